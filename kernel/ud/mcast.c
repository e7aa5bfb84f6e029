// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Multicast groups: which QPs of a device receive what is sent to a multicast address
 *
 * The netdev joins the IP group with the first member, so that packets to the group come in at
 * all, and leaves it with the last member. Senders walk the groups under RCU.
 */
#include <linux/igmp.h>
#include <linux/inetdevice.h>
#include <linux/jhash.h>
#include <linux/rculist.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/addrconf.h>

#include "base/device.h"
#include "qp/qp.h"
#include "ud/mcast.h"

/**
 * struct mcast_member - a QP in a group
 * @node: in mcast_group.members
 * @rcu: walks take no lock
 * @qp: the QP; a reference is held
 */
struct mcast_member {
	struct hlist_node node;
	struct rcu_head rcu;
	struct mirage_qp *qp;
};

/**
 * struct mcast_group - the QPs that receive what is sent to one address
 * @node: in its bucket of the table
 * @rcu: walks take no lock
 * @gid: the address
 * @members: the QPs
 * @num: number of members
 * @joined: the netdev has joined the IP group
 */
struct mcast_group {
	struct hlist_node node;
	struct rcu_head rcu;
	union ib_gid gid;
	struct hlist_head members;
	u32 num;
	bool joined;
};

/** mirage_mcast_init - initialize an empty table */
void mirage_mcast_init(struct mirage_mcast_table *table)
{
	mutex_init(&table->mutex);
}

/** mirage_mcast_empty - tell whether the table has no groups */
bool mirage_mcast_empty(const struct mirage_mcast_table *table)
{
	return !READ_ONCE(table->groups);
}

static struct hlist_head *mcast_bucket_of(struct mirage_mcast_table *table, const union ib_gid *gid)
{
	u32 hash = jhash2((const u32 *)gid->raw, sizeof(gid->raw) / sizeof(u32), 0);

	return &table->bucket[hash % MIRAGE_MCAST_BUCKETS];
}

static struct mcast_group *mcast_find_group(struct mirage_mcast_table *table,
					    const union ib_gid *gid)
{
	struct mcast_group *group;

	hlist_for_each_entry_rcu(group, mcast_bucket_of(table, gid), node,
				 lockdep_is_held(&table->mutex))
		if (!memcmp(&group->gid, gid, sizeof(*gid)))
			return group;
	return NULL;
}

static struct mcast_member *mcast_find_member(struct mirage_mcast_table *table,
					      struct mcast_group *group, const struct mirage_qp *qp)
{
	struct mcast_member *member;

	hlist_for_each_entry_rcu(member, &group->members, node,
				 lockdep_is_held(&table->mutex))
		if (member->qp == qp)
			return member;
	return NULL;
}

/**
 * mirage_mcast_for_each - call a function for each QP of a group
 * @dev: the device
 * @gid: the group
 * @fn: called under rcu_read_lock()
 * @arg: for @fn
 *
 * Any context but hardirq.
 */
void mirage_mcast_for_each(struct mirage_dev *dev, const union ib_gid *gid,
			   void (*fn)(struct mirage_qp *qp, void *arg), void *arg)
{
	struct mcast_member *member;
	struct mcast_group *group;

	rcu_read_lock();
	group = mcast_find_group(&dev->mcast, gid);
	if (group)
		hlist_for_each_entry_rcu(member, &group->members, node)
			fn(member->qp, arg);
	rcu_read_unlock();
}

/* A netdev without that IP version gets no packets of the group, which is no error here. */
static int mcast_join(struct net_device *netdev, struct mcast_group *group)
{
	const struct in6_addr *addr = (const struct in6_addr *)group->gid.raw;
	struct in_device *in_dev;
	int err = 0;

	rtnl_lock();
	if (!ipv6_addr_v4mapped(addr)) {
		err = ipv6_dev_mc_inc(netdev, addr);
		group->joined = !err;
	} else {
		in_dev = __in_dev_get_rtnl(netdev);
		if (in_dev)
			ip_mc_inc_group(in_dev, addr->s6_addr32[3]);
		group->joined = in_dev;
	}
	rtnl_unlock();
	return err == -ENOMEM ? err : 0;
}

static void mcast_leave(struct net_device *netdev, const struct mcast_group *group)
{
	const struct in6_addr *addr = (const struct in6_addr *)group->gid.raw;
	struct in_device *in_dev;

	/* If this group did not join, a membership of the netdev is somebody else's. */
	if (!group->joined)
		return;
	rtnl_lock();
	if (!ipv6_addr_v4mapped(addr)) {
		ipv6_dev_mc_dec(netdev, addr);
	} else {
		in_dev = __in_dev_get_rtnl(netdev);
		if (in_dev)
			ip_mc_dec_group(in_dev, addr->s6_addr32[3]);
	}
	rtnl_unlock();
}

static struct mcast_group *mcast_make_group(struct mirage_dev *dev, const union ib_gid *gid)
{
	struct mirage_mcast_table *table = &dev->mcast;
	struct mcast_group *group;
	int err;

	lockdep_assert_held(&table->mutex);
	if (table->groups == MIRAGE_MAX_MCAST_GROUPS)
		return ERR_PTR(-ENOMEM);
	group = kzalloc_obj(*group, GFP_KERNEL_ACCOUNT);
	if (!group)
		return ERR_PTR(-ENOMEM);
	group->gid = *gid;
	err = mcast_join(dev->netdev, group);
	if (err) {
		kfree(group);
		return ERR_PTR(err);
	}
	hlist_add_head_rcu(&group->node, mcast_bucket_of(table, gid));
	WRITE_ONCE(table->groups, table->groups + 1);
	return group;
}

static void mcast_drop_group(struct mirage_dev *dev, struct mcast_group *group)
{
	lockdep_assert_held(&dev->mcast.mutex);
	mcast_leave(dev->netdev, group);
	hlist_del_rcu(&group->node);
	WRITE_ONCE(dev->mcast.groups, dev->mcast.groups - 1);
	kfree_rcu(group, rcu);
}

static int mcast_attach(struct mirage_dev *dev, struct mirage_qp *qp, const union ib_gid *gid)
{
	struct mcast_group *group = mcast_find_group(&dev->mcast, gid);
	struct mcast_member *member;

	if (group && mcast_find_member(&dev->mcast, group, qp))
		return 0;
	if (group && group->num == MIRAGE_MAX_MCAST_MEMBERS)
		return -ENOMEM;
	member = kzalloc_obj(*member, GFP_KERNEL_ACCOUNT);
	if (!member)
		return -ENOMEM;
	if (!group)
		group = mcast_make_group(dev, gid);
	if (IS_ERR(group)) {
		kfree(member);
		return PTR_ERR(group);
	}

	kref_get(&qp->ref);
	member->qp = qp;
	hlist_add_head_rcu(&member->node, &group->members);
	group->num++;
	return 0;
}

static int mcast_detach(struct mirage_dev *dev, struct mirage_qp *qp, const union ib_gid *gid)
{
	struct mcast_group *group = mcast_find_group(&dev->mcast, gid);
	struct mcast_member *member;

	member = group ? mcast_find_member(&dev->mcast, group, qp) : NULL;
	if (!member)
		return -EINVAL;
	hlist_del_rcu(&member->node);
	if (!--group->num)
		mcast_drop_group(dev, group);
	/* Senders may still see the QP: it is freed by RCU, after a grace period. */
	mirage_qp_put(qp);
	kfree_rcu(member, rcu);
	return 0;
}

/**
 * mirage_attach_mcast - ib_device_ops.attach_mcast
 * @ibqp: a UD QP
 * @gid: a multicast address
 * @lid: has no meaning here
 *
 * Return: 0; -ENOMEM, also if there are MIRAGE_MAX_MCAST_GROUPS already or the group has
 * MIRAGE_MAX_MCAST_MEMBERS.
 */
int mirage_attach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct mirage_dev *dev = to_mdev(ibqp->device);
	int err;

	mutex_lock(&dev->mcast.mutex);
	err = mcast_attach(dev, to_mqp(ibqp), gid);
	mutex_unlock(&dev->mcast.mutex);
	return err;
}

/**
 * mirage_detach_mcast - ib_device_ops.detach_mcast
 * @ibqp: a UD QP
 * @gid: a multicast address
 * @lid: has no meaning here
 *
 * Return: 0, or -EINVAL if the QP is not attached to the group.
 */
int mirage_detach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct mirage_dev *dev = to_mdev(ibqp->device);
	int err;

	mutex_lock(&dev->mcast.mutex);
	err = mcast_detach(dev, to_mqp(ibqp), gid);
	mutex_unlock(&dev->mcast.mutex);
	return err;
}

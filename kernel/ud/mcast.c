// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Multicast groups: which QPs of a device get what is sent to which
 *
 * The netdev joins the IP group with the first member, so that its packets come in
 * at all, and leaves it with the last one. Who sends walks the groups under RCU.
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
 * @rcu: walks are lockless
 * @qp: the QP; a reference is held
 */
struct mcast_member {
	struct hlist_node node;
	struct rcu_head rcu;
	struct qp *qp;
};

/**
 * struct mcast_group - who gets what is sent to one address
 * @node: in its bucket
 * @rcu: walks are lockless
 * @gid: the address
 * @members: the QPs
 * @num: how many there are
 * @joined: the netdev gets its packets
 */
struct mcast_group {
	struct hlist_node node;
	struct rcu_head rcu;
	union ib_gid gid;
	struct hlist_head members;
	u32 num;
	bool joined;
};

/** mcast_init - an empty table */
void mcast_init(struct mcast_table *table)
{
	mutex_init(&table->mutex);
}

/** mcast_empty - are there no groups? */
bool mcast_empty(const struct mcast_table *table)
{
	return !READ_ONCE(table->groups);
}

static struct hlist_head *bucket_of(struct mcast_table *table, const union ib_gid *gid)
{
	u32 hash = jhash2((const u32 *)gid->raw, sizeof(gid->raw) / sizeof(u32), 0);

	return &table->bucket[hash % MCAST_BUCKETS];
}

static struct mcast_group *find_group(struct mcast_table *table,
				      const union ib_gid *gid)
{
	struct mcast_group *group;

	hlist_for_each_entry_rcu(group, bucket_of(table, gid), node,
				 lockdep_is_held(&table->mutex))
		if (!memcmp(&group->gid, gid, sizeof(*gid)))
			return group;
	return NULL;
}

static struct mcast_member *find_member(struct mcast_table *table,
					struct mcast_group *group, const struct qp *qp)
{
	struct mcast_member *member;

	hlist_for_each_entry_rcu(member, &group->members, node,
				 lockdep_is_held(&table->mutex))
		if (member->qp == qp)
			return member;
	return NULL;
}

/**
 * mcast_for_each - do something for each QP of a group
 * @dev: the device
 * @gid: the group
 * @fn: called under rcu_read_lock()
 * @arg: for @fn
 *
 * Any context but hardirq.
 */
void mcast_for_each(struct mirage_dev *dev, const union ib_gid *gid,
		    void (*fn)(struct qp *qp, void *arg), void *arg)
{
	struct mcast_member *member;
	struct mcast_group *group;

	rcu_read_lock();
	group = find_group(&dev->mcast, gid);
	if (group)
		hlist_for_each_entry_rcu(member, &group->members, node)
			fn(member->qp, arg);
	rcu_read_unlock();
}

/* A netdev without that IP version gets no such packets; that is no error here. */
static int join(struct net_device *netdev, struct mcast_group *group)
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

static void leave(struct net_device *netdev, const struct mcast_group *group)
{
	const struct in6_addr *addr = (const struct in6_addr *)group->gid.raw;
	struct in_device *in_dev;

	/* What it did not join may be another's. */
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

static struct mcast_group *make_group(struct mirage_dev *dev, const union ib_gid *gid)
{
	struct mcast_table *table = &dev->mcast;
	struct mcast_group *group;
	int err;

	lockdep_assert_held(&table->mutex);
	if (table->groups == MCAST_MAX_GROUPS)
		return ERR_PTR(-ENOMEM);
	group = kzalloc_obj(*group, GFP_KERNEL_ACCOUNT);
	if (!group)
		return ERR_PTR(-ENOMEM);
	group->gid = *gid;
	err = join(dev->netdev, group);
	if (err) {
		kfree(group);
		return ERR_PTR(err);
	}
	hlist_add_head_rcu(&group->node, bucket_of(table, gid));
	WRITE_ONCE(table->groups, table->groups + 1);
	return group;
}

static void drop_group(struct mirage_dev *dev, struct mcast_group *group)
{
	lockdep_assert_held(&dev->mcast.mutex);
	leave(dev->netdev, group);
	hlist_del_rcu(&group->node);
	WRITE_ONCE(dev->mcast.groups, dev->mcast.groups - 1);
	kfree_rcu(group, rcu);
}

static int attach(struct mirage_dev *dev, struct qp *qp, const union ib_gid *gid)
{
	struct mcast_group *group = find_group(&dev->mcast, gid);
	struct mcast_member *member;

	if (group && find_member(&dev->mcast, group, qp))
		return 0;
	if (group && group->num == MCAST_MAX_MEMBERS)
		return -ENOMEM;
	member = kzalloc_obj(*member, GFP_KERNEL_ACCOUNT);
	if (!member)
		return -ENOMEM;
	if (!group)
		group = make_group(dev, gid);
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

static int detach(struct mirage_dev *dev, struct qp *qp, const union ib_gid *gid)
{
	struct mcast_group *group = find_group(&dev->mcast, gid);
	struct mcast_member *member;

	member = group ? find_member(&dev->mcast, group, qp) : NULL;
	if (!member)
		return -EINVAL;
	hlist_del_rcu(&member->node);
	if (!--group->num)
		drop_group(dev, group);
	/* Walkers may still see the QP: it lives on for a grace period after this. */
	qp_put(qp);
	kfree_rcu(member, rcu);
	return 0;
}

/**
 * mirage_attach_mcast - ib_device_ops.attach_mcast
 * @ibqp: a UD QP
 * @gid: a multicast address
 * @lid: has no meaning here
 *
 * Return: 0, -ENOMEM when there are MCAST_MAX_GROUPS or the group has
 * MCAST_MAX_MEMBERS, too.
 */
int mirage_attach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct mirage_dev *dev = to_mdev(ibqp->device);
	int err;

	mutex_lock(&dev->mcast.mutex);
	err = attach(dev, to_qp(ibqp), gid);
	mutex_unlock(&dev->mcast.mutex);
	return err;
}

/**
 * mirage_detach_mcast - ib_device_ops.detach_mcast
 * @ibqp: a UD QP
 * @gid: a multicast address
 * @lid: has no meaning here
 *
 * Return: 0, -EINVAL when it is not attached.
 */
int mirage_detach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct mirage_dev *dev = to_mdev(ibqp->device);
	int err;

	mutex_lock(&dev->mcast.mutex);
	err = detach(dev, to_qp(ibqp), gid);
	mutex_unlock(&dev->mcast.mutex);
	return err;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Address handles: where datagrams go
 *
 * A work request has the number of a handle. The process may destroy the handle while the work
 * request is under way. So engines use struct mirage_av, which has a reference count of its own.
 */
#include <linux/slab.h>
#include <rdma/ib_addr.h>
#include <rdma/uverbs_ioctl.h>

#include "base/ah.h"
#include "base/device.h"
#include "net/address.h"
#include "ud/ah.h"

static void av_release(struct kref *ref)
{
	struct mirage_av *av = container_of(ref, struct mirage_av, ref);

	if (av->wired)
		mirage_net_path_release(&av->path);
	kfree_rcu(av, rcu);
}

/** mirage_av_put - drop a reference of mirage_av_get(); any context */
void mirage_av_put(struct mirage_av *av)
{
	kref_put(&av->ref, av_release);
}

/**
 * mirage_av_get - find an address vector by its number
 * @dev: the device
 * @pd: the PD of the QP that sends; handles of other PDs are not found
 * @num: the number
 *
 * Any context.
 *
 * Return: the address vector with a reference, or NULL.
 */
struct mirage_av *mirage_av_get(struct mirage_dev *dev, struct ib_pd *pd, u32 num)
{
	struct mirage_av *av;

	rcu_read_lock();
	av = xa_load(&dev->ahs, num);
	if (av && (av->pd != pd || !kref_get_unless_zero(&av->ref)))
		av = NULL;
	rcu_read_unlock();
	return av;
}

static struct mirage_av *av_alloc(struct ib_ah *ibah, const struct rdma_ah_attr *to, gfp_t gfp)
{
	struct mirage_av *av = kzalloc_obj(*av, gfp);

	if (!av)
		return NULL;
	kref_init(&av->ref);
	av->pd = ibah->pd;
	av->sgid = to->grh.sgid_attr->gid;
	av->dgid = to->grh.dgid;
	av->multicast = rdma_is_multicast_addr((struct in6_addr *)av->dgid.raw);
	av->local = mirage_local_gid(to_mdev(ibah->device), &av->dgid);
	av->tclass = to->grh.traffic_class;
	av->hop_limit = to->grh.hop_limit;
	av->flow_label = to->grh.flow_label;
	/* If no packet can be sent to the address, datagrams to it are dropped: no error here. */
	if (!av->local)
		av->wired = !mirage_net_path_init(&av->path, to_mdev(ibah->device), to, 0, 0);
	return av;
}

/* A kernel user may create a handle in atomic context, with IRQs off. */
static int av_publish(struct mirage_dev *dev, struct mirage_av *av, bool sleepable)
{
	unsigned long flags;
	int err;

	if (sleepable)
		return xa_alloc_irq(&dev->ahs, &av->num, av, xa_limit_31b,
				    GFP_KERNEL_ACCOUNT);
	xa_lock_irqsave(&dev->ahs, flags);
	err = __xa_alloc(&dev->ahs, &av->num, av, xa_limit_31b, GFP_ATOMIC);
	xa_unlock_irqrestore(&dev->ahs, flags);
	return err;
}

static void av_unpublish(struct mirage_dev *dev, struct mirage_av *av)
{
	unsigned long flags;

	WRITE_ONCE(av->dead, true);
	xa_lock_irqsave(&dev->ahs, flags);
	__xa_erase(&dev->ahs, av->num);
	xa_unlock_irqrestore(&dev->ahs, flags);
	mirage_av_put(av);
}

/**
 * mirage_create_ah - ib_device_ops.create_ah, ib_device_ops.create_user_ah
 * @ibah: the core's object
 * @attr: the destination; the core has resolved the GIDs and the MAC address
 * @udata: takes struct mirage_create_ah_resp; NULL for a kernel user
 *
 * Return: 0; -EINVAL without a global route, which RoCE needs; -ENOMEM, also if there are
 * MIRAGE_MAX_AH handles already; -EFAULT.
 */
int mirage_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *attr,
		     struct ib_udata *udata)
{
	bool sleepable = attr->flags & RDMA_CREATE_AH_SLEEPABLE;
	struct mirage_dev *dev = to_mdev(ibah->device);
	const struct rdma_ah_attr *to = attr->ah_attr;
	struct mirage_create_ah_resp resp = {};
	int err = ib_is_udata_in_empty(udata);
	struct mirage_av *av;

	if (err)
		return err;
	if (!(rdma_ah_get_ah_flags(to) & IB_AH_GRH) || !to->grh.sgid_attr)
		return -EINVAL;
	if (!mirage_limit_get(&dev->num_ah, MIRAGE_MAX_AH))
		return -ENOMEM;
	err = -ENOMEM;
	av = av_alloc(ibah, to, sleepable ? GFP_KERNEL_ACCOUNT : GFP_ATOMIC);
	if (!av)
		goto put_limit;
	err = av_publish(dev, av, sleepable);
	if (err)
		goto put_av;
	resp.num = av->num;
	if (udata)
		err = ib_respond_udata(udata, resp);
	if (err)
		goto unpublish;
	to_mah(ibah)->num = av->num;
	to_mah(ibah)->av = av;
	return 0;

unpublish:
	av_unpublish(dev, av);
	goto put_limit;
put_av:
	mirage_av_put(av);
put_limit:
	mirage_limit_put(&dev->num_ah);
	return err;
}

/** mirage_destroy_ah - ib_device_ops.destroy_ah */
int mirage_destroy_ah(struct ib_ah *ibah, u32 flags)
{
	struct mirage_dev *dev = to_mdev(ibah->device);

	av_unpublish(dev, to_mah(ibah)->av);
	mirage_limit_put(&dev->num_ah);
	return 0;
}

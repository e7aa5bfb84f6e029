/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What older kernels lack of the RDMA core. Force-included into the files of
 * mirage.ko, after kernel.h.
 */
#ifndef MIRAGE_COMPAT_RDMA_H
#define MIRAGE_COMPAT_RDMA_H

#include <linux/netdevice.h>
#include <linux/uaccess.h>
#include <rdma/ib_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include "compat/memory.h"

#ifndef HAVE_IB_DMAH
struct ib_dmah;
#endif

#ifndef HAVE_IB_FLUSH
#define IB_UVERBS_WR_FLUSH		14
#define IB_UVERBS_WR_ATOMIC_WRITE	15
#define IB_WC_FLUSH			8
#define IB_WC_ATOMIC_WRITE		9
#define IB_ACCESS_FLUSH_GLOBAL		BIT(8)
#define IB_ACCESS_FLUSH_PERSISTENT	BIT(9)
#define IB_FLUSH_GLOBAL			BIT(0)
#define IB_FLUSH_PERSISTENT		BIT(1)
#define IB_FLUSH_MR			1
/* Such a core knows no access flags for FLUSH. ATOMIC WRITE needs nothing of the core. */
#define IB_DEVICE_FLUSH_GLOBAL		0
#define IB_DEVICE_ATOMIC_WRITE		BIT_ULL(40)
#endif

#ifndef HAVE_IB_ODP_SUPPORT_FLUSH
#define IB_ODP_SUPPORT_FLUSH		BIT(6)
#define IB_ODP_SUPPORT_ATOMIC_WRITE	BIT(7)
#endif

#ifndef HAVE_IB_ALLOC_DEVICE_WITH_NET
#define ib_alloc_device_with_net(drv_struct, member, net) \
	((void)(net), ib_alloc_device(drv_struct, member))
#endif

#ifndef HAVE_IB_MARK_NAME_ASSIGNED_BY_USER
static inline void ib_mark_name_assigned_by_user(struct ib_device *ibdev)
{
}
#endif

#ifdef HAVE_IB_GET_CURR_PORT_STATE
/* The core compares states and sends the event itself. */
static inline void compat_port_event(struct ib_device *ibdev, struct net_device *netdev,
				     enum ib_port_state *last)
{
}
#else
static inline enum ib_port_state ib_get_curr_port_state(struct net_device *netdev)
{
	return netif_running(netdev) && netif_carrier_ok(netdev) ?
	       IB_PORT_ACTIVE : IB_PORT_DOWN;
}

/* From a netdev notifier, so RTNL protects *last. */
static inline void compat_port_event(struct ib_device *ibdev, struct net_device *netdev,
				     enum ib_port_state *last)
{
	enum ib_port_state state = ib_get_curr_port_state(netdev);
	struct ib_event event = {
		.device = ibdev,
		.element.port_num = 1,
		.event = state == IB_PORT_ACTIVE ? IB_EVENT_PORT_ACTIVE :
						   IB_EVENT_PORT_ERR,
	};

	if (state == *last)
		return;
	*last = state;
	ib_dispatch_event(&event);
}
#endif

#ifndef HAVE_IB_RESPOND_UDATA
static inline int compat_udata_in(struct ib_udata *udata, void *req, size_t size,
				  size_t least)
{
	int err;

	if (udata->inlen < least)
		return -EINVAL;
	err = copy_struct_from_user(req, size, udata->inbuf, udata->inlen);
	return err == -E2BIG ? -EOPNOTSUPP : err;
}

#define ib_copy_validate_udata_in(udata, req, last_member) \
	compat_udata_in(udata, &(req), sizeof(req), \
			offsetofend(typeof(req), last_member))

static inline int ib_is_udata_in_empty(struct ib_udata *udata)
{
	if (!udata || !udata->inlen)
		return 0;
	return ib_is_udata_cleared(udata, 0, udata->inlen) ? 0 : -EOPNOTSUPP;
}

static inline int compat_udata_out(struct ib_udata *udata, const void *resp, size_t size)
{
	size_t len = min(size, udata->outlen);

	if (copy_to_user(udata->outbuf, resp, len) ||
	    clear_user(udata->outbuf + len, udata->outlen - len))
		return -EFAULT;
	return 0;
}

#define ib_respond_udata(udata, resp) \
	compat_udata_out(udata, &(resp), sizeof(resp))

static inline int ib_respond_empty_udata(struct ib_udata *udata)
{
	return udata && udata->outlen ? compat_udata_out(udata, NULL, 0) : 0;
}
#endif

#endif

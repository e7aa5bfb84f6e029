// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The small objects: contexts, PDs, XRC domains
 *
 * These objects have no state of their own: they are counted. Arguments are checked here,
 * unless the core has checked them.
 */
#include <rdma/uverbs_ioctl.h>

#include "base/device.h"
#include "mirage-abi.h"
#include "verbs.h"

/**
 * mirage_alloc_ucontext - ib_device_ops.alloc_ucontext
 * @uctx: the core's object; all that mirage attaches to it are rings, by their offsets
 * @udata: driver data: struct mirage_alloc_ucontext_resp
 *
 * Return: 0, -EOPNOTSUPP for input that nobody knows, or -EFAULT.
 */
int mirage_alloc_ucontext(struct ib_ucontext *uctx, struct ib_udata *udata)
{
	struct mirage_alloc_ucontext_resp resp = {
		.max_inline = MIRAGE_MAX_INLINE,
		.max_sge = MIRAGE_MAX_SGE,
	};
	int err = ib_is_udata_in_empty(udata);

	return err ?: ib_respond_udata(udata, resp);
}

/** mirage_query_ucontext - ib_device_ops.query_ucontext; without it the core imports none */
int mirage_query_ucontext(struct ib_ucontext *uctx, struct uverbs_attr_bundle *attrs)
{
	return 0;
}

/** mirage_dealloc_ucontext - ib_device_ops.dealloc_ucontext; the core requires it */
void mirage_dealloc_ucontext(struct ib_ucontext *uctx)
{
}

/**
 * mirage_disassociate_ucontext - ib_device_ops.disassociate_ucontext
 * @uctx: of a process that lives on without the device
 *
 * Only with this operation the core removes a device that processes use. The core destroys
 * their objects; the rings that they still map are ordinary memory by then.
 */
void mirage_disassociate_ucontext(struct ib_ucontext *uctx)
{
}

/**
 * mirage_alloc_pd - ib_device_ops.alloc_pd
 * @pd: the core's object
 * @udata: driver data: struct mirage_alloc_pd_resp
 *
 * Return: 0, -ENOMEM when there are MIRAGE_MAX_PD already, -EFAULT.
 */
int mirage_alloc_pd(struct ib_pd *pd, struct ib_udata *udata)
{
	struct mirage_dev *dev = to_mdev(pd->device);
	struct mirage_alloc_pd_resp resp = {};
	int err = ib_is_udata_in_empty(udata);

	if (err)
		return err;
	if (!mirage_limit_get(&dev->num_pd, MIRAGE_MAX_PD))
		return -ENOMEM;
	resp.pdn = pd->res.id;
	err = udata ? ib_respond_udata(udata, resp) : 0;
	if (err)
		mirage_limit_put(&dev->num_pd);
	return err;
}

/** mirage_dealloc_pd - ib_device_ops.dealloc_pd; the core calls it for an unused PD only */
int mirage_dealloc_pd(struct ib_pd *pd, struct ib_udata *udata)
{
	mirage_limit_put(&to_mdev(pd->device)->num_pd);
	return 0;
}

/**
 * mirage_alloc_xrcd - ib_device_ops.alloc_xrcd
 * @xrcd: the core's object, which says all there is: who shares the domain
 * @udata: no driver data
 *
 * Return: 0, -ENOMEM when there are MIRAGE_MAX_XRCD already.
 */
int mirage_alloc_xrcd(struct ib_xrcd *xrcd, struct ib_udata *udata)
{
	struct mirage_dev *dev = to_mdev(xrcd->device);
	int err = ib_is_udata_in_empty(udata);

	if (err)
		return err;
	return mirage_limit_get(&dev->num_xrcd, MIRAGE_MAX_XRCD) ? 0 : -ENOMEM;
}

/** mirage_dealloc_xrcd - ib_device_ops.dealloc_xrcd; the core calls it for an unused one only */
int mirage_dealloc_xrcd(struct ib_xrcd *xrcd, struct ib_udata *udata)
{
	mirage_limit_put(&to_mdev(xrcd->device)->num_xrcd);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The doorbell of processes: one ioctl method, on the path of every post
 */
#include <rdma/uverbs_ioctl.h>
#include <rdma/uverbs_types.h>

#define UVERBS_MODULE_NAME mirage
#include <rdma/uverbs_named_ioctl.h>

#include "base/device.h"
#include "doorbell.h"
#include "qp/qp.h"
#include "queue/srq.h"

static int doorbell_ring_srq(struct mirage_dev *dev, struct ib_ucontext *uctx, u32 srqn)
{
	int err = mirage_srq_doorbell(dev, uctx, srqn);

	if (!err)
		mirage_qp_srq_posted(dev, srqn);
	return err;
}

/*
 * In the system call of the process that rings. Runs the queue as far as it goes without
 * waiting. Return: 0, -ENOENT when @uctx has no such queue, -EINVAL for an unknown @what.
 */
static int doorbell_ring(struct ib_ucontext *uctx, u32 num, u32 what)
{
	struct mirage_dev *dev = to_mdev(uctx->device);
	struct mirage_qp *qp;
	int err = 0;

	if (what == MIRAGE_DOORBELL_SRQ)
		return doorbell_ring_srq(dev, uctx, num);

	qp = mirage_qp_get(dev, num);
	if (!qp)
		return -ENOENT;
	if (qp->uctx != uctx)
		err = -ENOENT;
	else if (what == MIRAGE_DOORBELL_SQ)
		mirage_engine_doorbell(&qp->engine);
	else if (what == MIRAGE_DOORBELL_RQ)
		mirage_qp_recv_doorbell(qp);
	else
		err = -EINVAL;
	mirage_qp_put(qp);
	return err;
}

static int UVERBS_HANDLER(MIRAGE_METHOD_DOORBELL)(struct uverbs_attr_bundle *attrs)
{
	const struct uverbs_attr *attr = uverbs_attr_get(attrs, MIRAGE_ATTR_DOORBELL);
	struct ib_ucontext *uctx = ib_uverbs_get_ucontext(attrs);
	struct mirage_doorbell doorbell;

	if (IS_ERR(uctx))
		return PTR_ERR(uctx);
	/* Mandatory and of one size only, so it is there and it is inline. */
	memcpy(&doorbell, &attr->ptr_attr.data, sizeof(doorbell));
	return doorbell_ring(uctx, doorbell.num, doorbell.what);
}

DECLARE_UVERBS_NAMED_METHOD(MIRAGE_METHOD_DOORBELL,
			    UVERBS_ATTR_PTR_IN(MIRAGE_ATTR_DOORBELL,
					       UVERBS_ATTR_TYPE(struct mirage_doorbell),
					       UA_MANDATORY));

DECLARE_UVERBS_GLOBAL_METHODS(MIRAGE_OBJECT_DOORBELL,
			      &UVERBS_METHOD(MIRAGE_METHOD_DOORBELL));

const struct uapi_definition mirage_uapi_defs[] = {
	UAPI_DEF_CHAIN_OBJ_TREE_NAMED(MIRAGE_OBJECT_DOORBELL),
	{},
};

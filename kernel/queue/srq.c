// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Shared receive queues
 *
 * An SRQ has a ring like a receive queue's, and many QPs take from it. The ring is made
 * larger than asked for, so that a resize moves nothing and the process keeps its mapping.
 */
#include <linux/log2.h>
#include <rdma/uverbs_ioctl.h>

#include "base/device.h"
#include "base/udata.h"
#include "queue/cq.h"
#include "queue/srq.h"

/* An SRQ can be resized to this many times what it was created with. */
#define SRQ_ROOM	4

/* What an XRCETH has room for. */
#define SRQN_MAX	0xffffff

static void srq_dispatch_event(struct mirage_srq *srq, enum ib_event_type type)
{
	struct ib_event event = {
		.device = srq->ibsrq.device,
		.event = type,
		.element.srq = &srq->ibsrq,
	};

	if (srq->ibsrq.event_handler)
		srq->ibsrq.event_handler(&event, srq->ibsrq.srq_context);
}

/* Is the limit event due? True once only. */
static bool srq_limit_reached(struct mirage_srq *srq)
	__must_hold(&srq->lock)
{
	int left;

	lockdep_assert_held(&srq->lock);
	if (likely(!srq->limit))
		return false;
	left = mirage_ring_pending(&srq->ring);
	if (left < 0 || left >= srq->limit)
		return false;
	srq->limit = 0;
	return true;
}

static int srq_pop_or_ask(struct mirage_srq *srq, struct mirage_recv_copy *to)
	__must_hold(&srq->lock)
{
	int ret;

	lockdep_assert_held(&srq->lock);
	ret = mirage_wqe_pop_recv(&srq->ring, to);
	if (likely(ret != -ENOENT))
		return ret;
	mirage_ring_want_doorbell(&srq->ring, true);
	return mirage_wqe_pop_recv(&srq->ring, to);
}

/**
 * mirage_srq_pop - take the oldest work request
 * @srq: the SRQ; a QP keeps it alive
 * @to: filled in
 *
 * Any context but hardirq; inside a QP's lock. Events are raised here.
 *
 * Return: 0, -ENOENT: there is none (the process was asked to ring the doorbell
 * after its next post; who answers the doorbell takes that back with
 * mirage_srq_doorbell_rung()),
 * -EPROTO: the process' index is out of bounds, anything else: what is wrong with
 * that work request, which is consumed (to->wr_id is valid).
 */
int mirage_srq_pop(struct mirage_srq *srq, struct mirage_recv_copy *to)
{
	bool error, limit;
	int ret;

	spin_lock_bh(&srq->lock);
	ret = srq_pop_or_ask(srq, to);
	error = ret == -EPROTO && !srq->error;
	if (error)
		srq->error = true;
	limit = srq_limit_reached(srq);
	spin_unlock_bh(&srq->lock);

	if (unlikely(error))
		srq_dispatch_event(srq, IB_EVENT_SRQ_ERR);
	if (unlikely(limit))
		srq_dispatch_event(srq, IB_EVENT_SRQ_LIMIT_REACHED);
	return ret;
}

/**
 * mirage_srq_doorbell_rung - the process need not ring the doorbell any more
 * @srq: the SRQ
 *
 * Call it before the waiting QPs try again: who still finds nothing asks again.
 */
void mirage_srq_doorbell_rung(struct mirage_srq *srq)
{
	spin_lock_bh(&srq->lock);
	mirage_ring_want_doorbell(&srq->ring, false);
	spin_unlock_bh(&srq->lock);
}

/**
 * mirage_srq_doorbell - a process rings the doorbell of an SRQ
 * @dev: the device
 * @uctx: of the process
 * @srqn: which it says
 *
 * Any context but hardirq. mirage_srq_doorbell_rung() for an SRQ that nobody holds.
 *
 * Return: 0, or -ENOENT when @uctx has no such SRQ.
 */
int mirage_srq_doorbell(struct mirage_dev *dev, struct ib_ucontext *uctx, u32 srqn)
{
	struct mirage_srq *srq;
	int err = -ENOENT;

	xa_lock_bh(&dev->srqs);
	srq = xa_load(&dev->srqs, srqn);
	if (srq && srq->uctx == uctx) {
		mirage_srq_doorbell_rung(srq);
		err = 0;
	}
	xa_unlock_bh(&dev->srqs);
	return err;
}

static void srq_doorbell_work(struct work_struct *work)
{
	struct mirage_srq *srq = container_of(work, struct mirage_srq, doorbell);
	struct mirage_dev *dev = to_mdev(srq->ibsrq.device);

	mirage_srq_doorbell_rung(srq);
	dev->upcalls->srq_posted(dev, srq->srqn);
}

/* XRC targets hold no reference on an SRQ: they use it under the table's lock. */
static struct mirage_srq *xsrq_find(struct mirage_dev *dev, const struct ib_xrcd *xrcd,
				    u32 srqn)
	__must_hold(&dev->srqs.xa_lock)
{
	struct mirage_srq *srq;

	lockdep_assert_held(&dev->srqs.xa_lock);
	srq = xa_load(&dev->srqs, srqn);
	return srq && srq->xrcd && srq->xrcd == xrcd ? srq : NULL;
}

/**
 * mirage_xsrq_pd - the PD whose keys a message to an XRC SRQ uses
 * @dev: the device
 * @xrcd: the target's domain
 * @srqn: the SRQ's number
 *
 * Any context but hardirq.
 *
 * Return: the SRQ's PD, to compare only its address; NULL when the domain has no such SRQ.
 */
struct ib_pd *mirage_xsrq_pd(struct mirage_dev *dev, struct ib_xrcd *xrcd, u32 srqn)
{
	struct mirage_srq *srq;
	struct ib_pd *pd;

	xa_lock_bh(&dev->srqs);
	srq = xsrq_find(dev, xrcd, srqn);
	pd = srq ? srq->ibsrq.pd : NULL;
	xa_unlock_bh(&dev->srqs);
	return pd;
}

/**
 * mirage_xsrq_pop - mirage_srq_pop() for an XRC target
 * @dev: the device
 * @xrcd: the target's domain
 * @srqn: the SRQ's number
 * @to: filled in
 *
 * Return: as mirage_srq_pop(); -ENXIO when the domain has no such SRQ.
 */
int mirage_xsrq_pop(struct mirage_dev *dev, struct ib_xrcd *xrcd, u32 srqn,
		    struct mirage_recv_copy *to)
{
	struct mirage_srq *srq;
	int ret = -ENXIO;

	xa_lock_bh(&dev->srqs);
	srq = xsrq_find(dev, xrcd, srqn);
	if (srq)
		ret = mirage_srq_pop(srq, to);
	xa_unlock_bh(&dev->srqs);
	return ret;
}

/**
 * mirage_xsrq_complete - post the completion of a work request of an XRC SRQ
 * @dev: the device
 * @xrcd: the target's domain
 * @srqn: the SRQ's number
 * @cqe: to post
 * @solicited: as mirage_cq_post()
 *
 * Return: as mirage_cq_post(); also 0 when the SRQ is gone, since nobody waits for the
 * completion then.
 */
int mirage_xsrq_complete(struct mirage_dev *dev, struct ib_xrcd *xrcd, u32 srqn,
			 const struct mirage_cqe *cqe, bool solicited)
{
	struct mirage_srq *srq;
	int ret = 0;

	xa_lock_bh(&dev->srqs);
	srq = xsrq_find(dev, xrcd, srqn);
	if (srq)
		ret = mirage_cq_post(srq->xcq, cqe, solicited);
	xa_unlock_bh(&dev->srqs);
	return ret;
}

static int srq_check_attr(const struct ib_srq_init_attr *init)
{
	const struct ib_srq_attr *attr = &init->attr;

	if (init->srq_type != IB_SRQT_BASIC && init->srq_type != IB_SRQT_XRC)
		return -EOPNOTSUPP;
	if (!attr->max_wr || attr->max_wr > MIRAGE_MAX_WR ||
	    attr->max_sge > MIRAGE_MAX_SGE)
		return -EINVAL;
	return 0;
}

static int srq_respond(struct mirage_srq *srq, struct ib_udata *udata)
{
	struct mirage_create_srq_resp resp = { .srqn = srq->srqn };

	mirage_ring_info(&srq->ring, &resp.ring);
	return ib_respond_udata(udata, resp);
}

/**
 * mirage_create_srq - ib_device_ops.create_srq
 * @ibsrq: the core's object, zeroed
 * @init: what is asked for; ->attr is updated to what there is; ->attr.srq_limit is not
 *	used, because only a modify sets the limit
 * @udata: driver data: struct mirage_create_srq_resp; NULL for a kernel user
 *
 * Return: 0, -EOPNOTSUPP for tag matching, -EINVAL beyond a limit of one SRQ, -ENOMEM
 * (also beyond the number of SRQs).
 */
int mirage_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *init,
		      struct ib_udata *udata)
{
	struct ib_ucontext *uctx = mirage_udata_context(udata);
	struct mirage_dev *dev = to_mdev(ibsrq->device);
	struct mirage_srq *srq = to_msrq(ibsrq);
	u32 entries;
	int err;

	err = srq_check_attr(init) ?: ib_is_udata_in_empty(udata);
	if (err)
		return err;
	if (!mirage_limit_get(&dev->num_srq, MIRAGE_MAX_SRQ))
		return -ENOMEM;

	spin_lock_init(&srq->lock);
	spin_lock_init(&srq->post_lock);
	INIT_WORK(&srq->doorbell, srq_doorbell_work);
	srq->uctx = uctx;
	srq->max_wr = init->attr.max_wr;
	srq->max_sge = max(init->attr.max_sge, 1U);
	if (init->srq_type == IB_SRQT_XRC) {
		srq->xrcd = init->ext.xrc.xrcd;
		srq->xcq = to_mcq(init->ext.cq);
	}
	entries = roundup_pow_of_two(min_t(u32, srq->max_wr * SRQ_ROOM, MIRAGE_MAX_WR));
	err = mirage_ring_create(&srq->ring, uctx, entries, mirage_wqe_recv_stride(srq->max_sge));
	if (err)
		goto put_limit;
	/* A number is not reused soon: peers may still name an SRQ that is gone. */
	err = xa_alloc_cyclic_bh(&dev->srqs, &srq->srqn, srq, XA_LIMIT(1, SRQN_MAX),
				 &dev->next_srqn, GFP_KERNEL_ACCOUNT);
	if (err < 0)
		goto destroy_ring;
	ibsrq->ext.xrc.srq_num = srq->srqn;
	err = udata ? srq_respond(srq, udata) : 0;
	if (err)
		goto erase;

	init->attr.max_sge = srq->max_sge;
	return 0;

erase:
	xa_erase_bh(&dev->srqs, srq->srqn);
destroy_ring:
	mirage_ring_destroy(&srq->ring);
put_limit:
	mirage_limit_put(&dev->num_srq);
	return err;
}

/**
 * mirage_modify_srq - ib_device_ops.modify_srq
 * @ibsrq: the SRQ
 * @attr: the values
 * @mask: IB_SRQ_MAX_WR and IB_SRQ_LIMIT, all or none of which take effect
 * @udata: no driver data
 *
 * Return: 0, -EINVAL: more than the ring has room for, less than is posted, or a
 * limit beyond the size.
 */
int mirage_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr,
		      enum ib_srq_attr_mask mask, struct ib_udata *udata)
{
	struct mirage_srq *srq = to_msrq(ibsrq);
	int err = ib_is_udata_in_empty(udata);
	u32 max_wr, limit;

	if (err)
		return err;
	if (mask & ~(IB_SRQ_MAX_WR | IB_SRQ_LIMIT))
		return -EINVAL;

	spin_lock_bh(&srq->lock);
	max_wr = mask & IB_SRQ_MAX_WR ? attr->max_wr : srq->max_wr;
	limit = mask & IB_SRQ_LIMIT ? attr->srq_limit : srq->limit;
	if (!max_wr || max_wr > min_t(u32, srq->ring.entries, MIRAGE_MAX_WR) ||
	    mirage_ring_pending(&srq->ring) > (int)max_wr || limit > max_wr) {
		err = -EINVAL;
	} else {
		WRITE_ONCE(srq->max_wr, max_wr);
		srq->limit = limit;
	}
	spin_unlock_bh(&srq->lock);
	return err;
}

/** mirage_query_srq - ib_device_ops.query_srq */
int mirage_query_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr)
{
	struct mirage_srq *srq = to_msrq(ibsrq);

	spin_lock_bh(&srq->lock);
	attr->max_wr = srq->max_wr;
	attr->max_sge = srq->max_sge;
	attr->srq_limit = srq->limit;
	spin_unlock_bh(&srq->lock);
	return 0;
}

/** mirage_destroy_srq - ib_device_ops.destroy_srq; no QP uses it any more */
int mirage_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata)
{
	struct mirage_dev *dev = to_mdev(ibsrq->device);
	struct mirage_srq *srq = to_msrq(ibsrq);

	/* Whoever has found it there used it under the same lock, and is done now. */
	xa_erase_bh(&dev->srqs, srq->srqn);
	/* Nobody posts any more. */
	cancel_work_sync(&srq->doorbell);
	mirage_ring_destroy(&srq->ring);
	mirage_limit_put(&dev->num_srq);
	return 0;
}

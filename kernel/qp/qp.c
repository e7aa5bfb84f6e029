// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Life of queue pairs: create, find, break, destroy
 */
#include <linux/log2.h>
#include <rdma/uverbs_ioctl.h>

#include "base/device.h"
#include "base/udata.h"
#include "mem/mw.h"
#include "qp/carrier.h"
#include "qp/completer.h"
#include "qp/qp.h"

/* The QP of the general services interface, which the MAD layer creates, is number 1. */
#define QPN_GSI		1
#define QPN_MIN		2
#define QPN_MAX		0xfffffe

static void qp_release(struct kref *ref)
{
	struct mirage_qp *qp = container_of(ref, struct mirage_qp, ref);

	kfree(qp->carried);
	kfree_rcu(qp, rcu);
}

/** mirage_qp_put - drop a reference of mirage_qp_get(); any context */
void mirage_qp_put(struct mirage_qp *qp)
{
	kref_put(&qp->ref, qp_release);
}

/**
 * mirage_qp_get - find a QP by its number
 * @dev: the device
 * @qpn: the number
 *
 * Any context. The QP may be about to be destroyed: check its state under its lock.
 *
 * Return: the QP with a reference, or NULL.
 */
struct mirage_qp *mirage_qp_get(struct mirage_dev *dev, u32 qpn)
{
	struct mirage_qp *qp;

	rcu_read_lock();
	qp = mirage_qp_find(dev, qpn);
	if (qp && !kref_get_unless_zero(&qp->ref))
		qp = NULL;
	rcu_read_unlock();
	return qp;
}

/**
 * mirage_qp_of_cqe - mirage_upcalls.cqe_qp
 * @dev: the device
 * @qpn: the number in a CQE
 *
 * Any context, under RCU.
 *
 * Return: the core's object, or NULL if the QP was destroyed.
 */
struct ib_qp *mirage_qp_of_cqe(struct mirage_dev *dev, u32 qpn)
{
	const struct mirage_qp *qp = mirage_qp_find(dev, qpn);

	return qp ? qp->ibqp : NULL;
}

/**
 * mirage_qp_event - raise an asynchronous event
 * @qp: the QP; its lock is held, and its state is not RESET
 * @type: the event
 */
void mirage_qp_event(struct mirage_qp *qp, enum ib_event_type type)
{
	struct ib_event event = {
		.device = &qp->dev->ibdev,
		.event = type,
		.element.qp = qp->ibqp,
	};

	lockdep_assert_held(&qp->lock);
	if (qp->ibqp->event_handler)
		qp->ibqp->event_handler(&event, qp->ibqp->qp_context);
}

/**
 * mirage_qp_error_locked - put a QP into the error state and flush it
 * @qp: the QP; its lock is held
 * @event: the event to raise, or 0
 *
 * The receive queue is flushed here. The send queue is flushed by its runner or by a worker.
 */
void mirage_qp_error_locked(struct mirage_qp *qp, enum ib_event_type event)
{
	lockdep_assert_held(&qp->lock);
	if (qp->state == IB_QPS_ERR || qp->state == IB_QPS_RESET)
		return;

	WRITE_ONCE(qp->state, IB_QPS_ERR);
	if (event)
		mirage_qp_event(qp, event);
	mirage_responder_reset(qp);
	if (qp->carrier->drop)
		qp->carrier->drop(qp);
	mirage_complete_flush_recvs(qp);
	if (qp->srq)
		mirage_qp_event(qp, IB_EVENT_QP_LAST_WQE_REACHED);
	mirage_engine_doorbell_worker(&qp->engine);
}

/** mirage_qp_error - mirage_qp_error_locked() for callers without the QP's lock */
void mirage_qp_error(struct mirage_qp *qp, enum ib_event_type event)
{
	spin_lock_bh(&qp->lock);
	mirage_qp_error_locked(qp, event);
	spin_unlock_bh(&qp->lock);
}

/**
 * mirage_qp_send_error - change the state after a send work request has failed
 * @qp: the QP; none of its locks are held
 *
 * A reliable connection goes to the error state. Any other QP goes to SQE: only its send queue
 * is in error (IBA 10.3.1.6), its owner may bring that back, and receives go on.
 */
void mirage_qp_send_error(struct mirage_qp *qp)
{
	spin_lock_bh(&qp->lock);
	if (qp->transport == OP_RC)
		mirage_qp_error_locked(qp, 0);
	else if (qp->state == IB_QPS_RTS || qp->state == IB_QPS_SQD)
		WRITE_ONCE(qp->state, IB_QPS_SQE);
	spin_unlock_bh(&qp->lock);
}

/* Returns 0 for a type that the device does not have. */
static enum mirage_op_transport qp_transport_of(enum ib_qp_type type)
{
	switch (type) {
	case IB_QPT_RC:
	case IB_QPT_XRC_INI:
	case IB_QPT_XRC_TGT:
		return OP_RC;
	case IB_QPT_UC:
		return OP_UC;
	case IB_QPT_UD:
	case IB_QPT_GSI:
		return OP_UD;
	default:
		return 0;
	}
}

static bool qp_has_sq(enum ib_qp_type type)
{
	return type != IB_QPT_XRC_TGT;
}

static bool qp_has_rq(enum ib_qp_type type)
{
	return type != IB_QPT_XRC_TGT && type != IB_QPT_XRC_INI;
}

static int qp_check_init_attr(const struct ib_qp_init_attr *attr, bool kernel)
{
	u32 flags = attr->qp_type == IB_QPT_UD ? IB_QP_CREATE_BLOCK_MULTICAST_LOOPBACK : 0;
	const struct ib_qp_cap *cap = &attr->cap;

	if (attr->create_flags & ~flags || !qp_transport_of(attr->qp_type))
		return -EOPNOTSUPP;
	if (attr->qp_type == IB_QPT_GSI && !kernel)
		return -EOPNOTSUPP;
	if (qp_has_sq(attr->qp_type) &&
	    (cap->max_send_wr > MIRAGE_MAX_WR || cap->max_send_sge > MIRAGE_MAX_SGE ||
	     cap->max_inline_data > MIRAGE_MAX_INLINE))
		return -EINVAL;
	if (qp_has_rq(attr->qp_type) && !attr->srq &&
	    (cap->max_recv_wr > MIRAGE_MAX_WR || cap->max_recv_sge > MIRAGE_MAX_SGE))
		return -EINVAL;
	return 0;
}

/* Makes the send ring, and raises *cap to what the ring can hold. */
static int qp_make_sq(struct mirage_qp *qp, struct ib_qp_cap *cap)
{
	u32 stride;

	if (!qp_has_sq(qp->type)) {
		cap->max_send_wr = 0;
		cap->max_send_sge = 0;
		cap->max_inline_data = 0;
		return 0;
	}
	cap->max_send_sge = max(cap->max_send_sge, 1U);
	stride = mirage_wqe_send_stride(cap->max_send_sge, cap->max_inline_data);
	cap->max_send_wr = roundup_pow_of_two(max(cap->max_send_wr, 1U));
	cap->max_inline_data = min_t(u32, stride - sizeof(struct mirage_send_wqe),
				     MIRAGE_MAX_INLINE);
	return mirage_ring_create(&qp->sq, qp->uctx, cap->max_send_wr, stride);
}

static int qp_make_rq(struct mirage_qp *qp, struct ib_qp_cap *cap)
{
	if (qp->srq || !qp_has_rq(qp->type)) {
		cap->max_recv_wr = 0;
		cap->max_recv_sge = 0;
		return 0;
	}
	cap->max_recv_sge = max(cap->max_recv_sge, 1U);
	cap->max_recv_wr = roundup_pow_of_two(max(cap->max_recv_wr, 1U));
	return mirage_ring_create(&qp->rq, qp->uctx, cap->max_recv_wr,
				  mirage_wqe_recv_stride(cap->max_recv_sge));
}

static void qp_drop_rings(struct mirage_qp *qp)
{
	mirage_ring_destroy(&qp->sq);
	mirage_ring_destroy(&qp->rq);
}

static int qp_make_rings(struct mirage_qp *qp, struct ib_qp_cap *cap)
{
	int ret = qp_make_sq(qp, cap) ?: qp_make_rq(qp, cap);

	if (ret)
		qp_drop_rings(qp);
	return ret;
}

static int qp_respond(const struct mirage_qp *qp, struct ib_udata *udata)
{
	struct mirage_create_qp_resp resp = {
		.max_inline = qp->cap.max_inline_data,
	};

	mirage_ring_info(&qp->sq, &resp.sq);
	mirage_ring_info(&qp->rq, &resp.rq);
	return ib_copy_to_udata(udata, &resp, min(sizeof(resp), udata->outlen));
}

static void qp_send_doorbell_tasklet(struct tasklet_struct *t);
static void qp_recv_doorbell_work(struct work_struct *work);

static struct mirage_qp *qp_alloc(struct ib_qp *ibqp, const struct ib_qp_init_attr *attr,
				  struct ib_ucontext *uctx)
{
	struct mirage_dev *dev = to_mdev(ibqp->device);
	struct mirage_qp *qp = kzalloc_obj(*qp, GFP_KERNEL_ACCOUNT);

	if (!qp)
		return NULL;
	kref_init(&qp->ref);
	mutex_init(&qp->mutex);
	spin_lock_init(&qp->lock);
	mirage_engine_init(&qp->engine, qp);
	qp->dev = dev;
	qp->ibqp = ibqp;
	spin_lock_init(&qp->post_lock);
	tasklet_setup(&qp->send_doorbell, qp_send_doorbell_tasklet);
	INIT_WORK(&qp->recv_doorbell, qp_recv_doorbell_work);
	qp->uctx = uctx;
	qp->type = attr->qp_type;
	/* An XRC initiator is connected to a target; every other QP to one of its own type. */
	qp->peer_type = attr->qp_type == IB_QPT_XRC_INI ? IB_QPT_XRC_TGT : attr->qp_type;
	qp->transport = qp_transport_of(attr->qp_type);
	qp->pd = ibqp->pd;
	qp->xrcd = attr->xrcd;
	qp->scq = to_mcq(attr->send_cq);
	qp->rcq = to_mcq(attr->recv_cq);
	/* An XRC target uses the SRQs that its requests name; the core keeps none alive for it. */
	if (attr->srq && qp_has_rq(qp->type)) {
		qp->srq = to_msrq(attr->srq);
		qp->srqn = qp->srq->srqn;
	}
	qp->sig_all = attr->sq_sig_type == IB_SIGNAL_ALL_WR;
	qp->mute_mcast = attr->create_flags & IB_QP_CREATE_BLOCK_MULTICAST_LOOPBACK;
	qp->state = IB_QPS_RESET;
	return qp;
}

static struct mirage_qp **qp_recent_slot(const struct mirage_qp *qp)
{
	return &qp->dev->recent_qp[qp->qpn % MIRAGE_RECENT_QPS];
}

/* Reserves a number. Look-ups of that number find nothing yet. */
static int qp_reserve_qpn(struct mirage_qp *qp)
{
	struct xarray *qps = &qp->dev->qps;

	if (qp->type != IB_QPT_GSI)
		return xa_alloc_cyclic(qps, &qp->qpn, NULL, XA_LIMIT(QPN_MIN, QPN_MAX),
				       &qp->dev->next_qpn, GFP_KERNEL);
	qp->qpn = QPN_GSI;
	return xa_insert(qps, qp->qpn, NULL, GFP_KERNEL);
}

/**
 * mirage_carrier_for - choose the carrier of a QP
 * @qp: the QP
 * @attr: see suits() of struct mirage_carrier
 *
 * Return: the first carrier of the device that suits the QP; there always is one.
 */
const struct mirage_carrier *mirage_carrier_for(struct mirage_qp *qp,
						const struct ib_qp_attr *attr)
{
	const struct mirage_carrier *const *carrier = qp->dev->carriers;

	while (!(*carrier)->suits(qp, attr))
		carrier++;
	return *carrier;
}

/**
 * mirage_create_qp - ib_device_ops.create_qp
 * @ibqp: the core's object
 * @attr: what the user asks for; its ->cap is raised to what the user gets
 * @udata: takes struct mirage_create_qp_resp; NULL for a kernel user
 *
 * Return: 0; -EOPNOTSUPP for a type or flag that the device does not have; -EINVAL above a
 * limit; -ENOMEM; -EFAULT.
 */
int mirage_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *attr,
		     struct ib_udata *udata)
{
	struct mirage_dev *dev = to_mdev(ibqp->device);
	struct mirage_qp *qp;
	int ret;

	ret = qp_check_init_attr(attr, !udata);
	if (ret)
		return ret;
	if (!mirage_limit_get(&dev->num_qp, MIRAGE_MAX_QP))
		return -ENOMEM;
	ret = -ENOMEM;
	qp = qp_alloc(ibqp, attr, mirage_udata_context(udata));
	if (!qp)
		goto err_limit;
	qp->carrier = mirage_carrier_for(qp, NULL);
	ret = qp->carrier->create ? qp->carrier->create(qp) : 0;
	if (!ret)
		ret = qp_make_rings(qp, &attr->cap);
	if (ret)
		goto err_free;
	qp->cap = attr->cap;

	ret = qp_reserve_qpn(qp);
	if (ret < 0)
		goto err_rings;
	ret = udata ? qp_respond(qp, udata) : 0;
	if (ret)
		goto err_qpn;

	ibqp->qp_num = qp->qpn;
	container_of(ibqp, struct mirage_ibqp, ibqp)->qp = qp;
	/* From here on a peer may find the QP. */
	xa_store(&dev->qps, qp->qpn, qp, GFP_KERNEL);
	/* Whoever finds it in the slot, which has no lock, sees all that was written before. */
	smp_store_release(qp_recent_slot(qp), qp);
	return 0;

err_qpn:
	xa_erase(&dev->qps, qp->qpn);
err_rings:
	qp_drop_rings(qp);
err_free:
	kfree(qp->carried);
	kfree(qp);
err_limit:
	mirage_limit_put(&dev->num_qp);
	return ret;
}

/**
 * mirage_qp_silence - stop both directions of a QP, and put it into RESET
 * @qp: the QP
 *
 * When this returns nobody works on the QP. Nobody begins to before mirage_engine_start() and
 * before the QP leaves RESET. The caller resets rings, requester and datagrams. May sleep,
 * never for a page.
 */
void mirage_qp_silence(struct mirage_qp *qp)
{
	mirage_engine_stop(&qp->engine);
	if (qp->carrier->disconnect)
		qp->carrier->disconnect(qp);
	WRITE_ONCE(qp->carrier, mirage_carrier_for(qp, NULL));
	/* A peer's runner may have found the QP already. Under the lock it sees that it is gone. */
	spin_lock_bh(&qp->lock);
	WRITE_ONCE(qp->state, IB_QPS_RESET);
	mirage_responder_reset(qp);
	if (qp->carrier->drop)
		qp->carrier->drop(qp);
	spin_unlock_bh(&qp->lock);
	/* If the QP went into error meanwhile, that has queued the engine's worker: cancel it. */
	mirage_engine_stop(&qp->engine);
}

/**
 * mirage_destroy_qp - ib_device_ops.destroy_qp
 * @ibqp: the core's object
 * @udata: unused
 *
 * Waits for runners that work on the QP right now, never for a page. After it has returned
 * there are no completions and no events of the QP any more.
 *
 * Return: 0.
 */
int mirage_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	struct mirage_dev *dev = qp->dev;

	/* Nobody finds the QP any more, but its number is not free yet. */
	xa_store(&dev->qps, qp->qpn, NULL, GFP_KERNEL);
	cmpxchg(qp_recent_slot(qp), qp, NULL);
	tasklet_kill(&qp->send_doorbell);
	mirage_qp_silence(qp);

	mirage_mw_end_qp(dev, qp->qpn);
	xa_erase(&dev->qps, qp->qpn);
	mirage_requester_reset(qp);
	qp_drop_rings(qp);
	mirage_limit_put(&dev->num_qp);
	mirage_qp_put(qp);
	return 0;
}

/**
 * mirage_qp_recv_doorbell - a receive was posted to a QP that had asked for a doorbell
 * @qp: the QP
 *
 * Task context, no locks held. Flushes the receive if the QP is in error. Else the peer may go
 * on if it waits for a receive.
 */
void mirage_qp_recv_doorbell(struct mirage_qp *qp)
{
	bool waited_for = false;

	spin_lock_bh(&qp->lock);
	if (qp->state == IB_QPS_ERR) {
		mirage_complete_flush_recvs(qp);
	} else if (qp->state != IB_QPS_RESET) {
		if (qp->srq)
			mirage_srq_doorbell_rung(qp->srq);
		else if (qp_has_rq(qp->type))
			mirage_ring_want_doorbell(&qp->rq, false);
		swap(waited_for, qp->rnr_peer);
	}
	spin_unlock_bh(&qp->lock);

	if (waited_for && qp->carrier->receive_posted)
		qp->carrier->receive_posted(qp);
}

static void qp_recv_doorbell_work(struct work_struct *work)
{
	struct mirage_qp *qp = container_of(work, struct mirage_qp, recv_doorbell);

	mirage_qp_recv_doorbell(qp);
	mirage_qp_put(qp);
}

/**
 * mirage_qp_recv_doorbell_later - have a worker call mirage_qp_recv_doorbell()
 * @qp: a kernel user's QP
 *
 * Any context but hardirq; locks may be held and IRQs be off.
 */
void mirage_qp_recv_doorbell_later(struct mirage_qp *qp)
{
	kref_get(&qp->ref);
	if (!queue_work(qp->dev->wq, &qp->recv_doorbell))
		mirage_qp_put(qp);
}

static void qp_send_doorbell_tasklet(struct tasklet_struct *t)
{
	struct mirage_qp *qp = from_tasklet(qp, t, send_doorbell);

	clear_bit(0, &qp->send_doorbell_rung);
	/* Whoever found the bit still set has posted before: the engine sees that post below. */
	smp_mb__after_atomic();
	mirage_engine_doorbell_atomic(&qp->engine);
	mirage_qp_put(qp);
}

/**
 * mirage_qp_send_doorbell - a kernel user has posted sends
 * @qp: the user's QP
 *
 * Any context but hardirq; locks may be held and IRQs be off. The queue runs here if the caller
 * is preemptible, and else in a tasklet. So a completion handler never runs inside of a lock
 * that the user holds while it posts.
 */
void mirage_qp_send_doorbell(struct mirage_qp *qp)
{
	if (preemptible() && !rcu_preempt_depth()) {
		mirage_engine_doorbell(&qp->engine);
		return;
	}
	if (test_and_set_bit(0, &qp->send_doorbell_rung))
		return;
	kref_get(&qp->ref);
	tasklet_schedule(&qp->send_doorbell);
}

/* The number of the SRQ that a QP takes receives from, or last lacked one in; 0 is none. */
static u32 qp_waited_srqn(const struct mirage_qp *qp)
{
	return qp->type == IB_QPT_XRC_TGT ? READ_ONCE(qp->rnr_srqn) : qp->srqn;
}

/**
 * mirage_qp_srq_posted - a receive was posted to an SRQ that had asked for a doorbell
 * @dev: the device
 * @srqn: the SRQ's number; its request for a doorbell has been taken back
 *
 * It is mirage_upcalls.srq_posted, for kernel users, and is called for the doorbell of a
 * process. Task context, no locks held. QPs whose peers wait for a receive of this SRQ go on.
 */
void mirage_qp_srq_posted(struct mirage_dev *dev, u32 srqn)
{
	unsigned long qpn;
	struct mirage_qp *found;

	xa_for_each(&dev->qps, qpn, found) {
		struct mirage_qp *qp = mirage_qp_get(dev, qpn);

		if (!qp)
			continue;
		if (READ_ONCE(qp->rnr_peer) && srqn == qp_waited_srqn(qp))
			mirage_qp_recv_doorbell(qp);
		mirage_qp_put(qp);
	}
}

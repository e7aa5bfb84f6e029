// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The states of a queue pair
 *
 * A table of the core says which transitions and which attributes are legal
 * (ib_modify_qp_is_ok(); IBA volume 1, 11.2.5.2). qp_check_attr() checks the values of the
 * attributes. Each source state has one function, which does what its transitions need and
 * takes the attributes over.
 */
#include "base/device.h"
#include "qp/carrier.h"
#include "qp/completer.h"
#include "qp/qp.h"

static int qp_check_attr(const struct ib_qp_attr *attr, int mask)
{
	if (((mask & IB_QP_PORT) && attr->port_num != 1) ||
	    ((mask & IB_QP_PKEY_INDEX) && attr->pkey_index) ||
	    ((mask & IB_QP_DEST_QPN) && attr->dest_qp_num > IB_QPN_MASK) ||
	    ((mask & IB_QP_TIMEOUT) && attr->timeout > 31) ||
	    ((mask & IB_QP_RETRY_CNT) && attr->retry_cnt > 7) ||
	    ((mask & IB_QP_RNR_RETRY) && attr->rnr_retry > 7) ||
	    ((mask & IB_QP_MIN_RNR_TIMER) && attr->min_rnr_timer > 31))
		return -EINVAL;
	if ((mask & IB_QP_PATH_MTU) &&
	    (attr->path_mtu < IB_MTU_256 || attr->path_mtu > IB_MTU_4096))
		return -EINVAL;
	if (((mask & IB_QP_MAX_QP_RD_ATOMIC) &&
	     attr->max_rd_atomic > MIRAGE_MAX_RD_ATOMIC) ||
	    ((mask & IB_QP_MAX_DEST_RD_ATOMIC) &&
	     attr->max_dest_rd_atomic > MIRAGE_MAX_RD_ATOMIC))
		return -EINVAL;
	if (mask & (IB_QP_ALT_PATH | IB_QP_PATH_MIG_STATE | IB_QP_RATE_LIMIT))
		return -EOPNOTSUPP;
	return 0;
}

static void qp_take_address(struct mirage_qp *qp, const struct rdma_ah_attr *ah)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(ah);

	qp->attr.ah_attr = *ah;
	/* The core's reference on this is not ours to use later. */
	qp->attr.ah_attr.grh.sgid_attr = NULL;
	qp->dgid = grh->dgid;
	if (grh->sgid_attr)
		qp->sgid = grh->sgid_attr->gid;
}

static void qp_take_attr(struct mirage_qp *qp, const struct ib_qp_attr *from, int mask)
{
	struct ib_qp_attr *to = &qp->attr;

	lockdep_assert_held(&qp->lock);
	if (mask & IB_QP_ACCESS_FLAGS)
		to->qp_access_flags = from->qp_access_flags;
	if (mask & IB_QP_PORT)
		to->port_num = from->port_num;
	if (mask & IB_QP_AV)
		qp_take_address(qp, &from->ah_attr);
	if (mask & IB_QP_PATH_MTU)
		to->path_mtu = from->path_mtu;
	if (mask & IB_QP_DEST_QPN)
		to->dest_qp_num = from->dest_qp_num;
	if (mask & IB_QP_TIMEOUT)
		to->timeout = from->timeout;
	if (mask & IB_QP_RETRY_CNT)
		to->retry_cnt = from->retry_cnt;
	if (mask & IB_QP_RNR_RETRY)
		to->rnr_retry = from->rnr_retry;
	if (mask & IB_QP_MIN_RNR_TIMER)
		to->min_rnr_timer = from->min_rnr_timer;
	if (mask & IB_QP_MAX_QP_RD_ATOMIC)
		to->max_rd_atomic = from->max_rd_atomic;
	if (mask & IB_QP_MAX_DEST_RD_ATOMIC)
		to->max_dest_rd_atomic = from->max_dest_rd_atomic;
	if (mask & IB_QP_QKEY)
		to->qkey = from->qkey;
	if (mask & IB_QP_RQ_PSN)
		qp->resp.psn = from->rq_psn & PSN_MASK;
	if (mask & IB_QP_SQ_PSN)
		qp->req.psn = from->sq_psn & PSN_MASK;
	/* Whoever sees the new count sees the new addresses, too. */
	if (mask & (IB_QP_AV | IB_QP_DEST_QPN))
		atomic_inc_return_release(&qp->dev->addressed);
}

static void qp_enter_state(struct mirage_qp *qp, enum ib_qp_state cur, enum ib_qp_state to,
			   const struct ib_qp_attr *attr, int mask)
{
	spin_lock_bh(&qp->lock);
	/* The QP may have gone into error meanwhile: then it stays there. */
	if (qp->state == cur) {
		qp_take_attr(qp, attr, mask);
		WRITE_ONCE(qp->state, to);
	}
	spin_unlock_bh(&qp->lock);
}

static int qp_to_reset(struct mirage_qp *qp)
{
	mirage_qp_silence(qp);
	spin_lock_bh(&qp->lock);
	qp->resp.have_wqe = false;
	qp->resp.established = false;
	qp->rnr_peer = false;
	qp->sqd_notify = false;
	memset(&qp->attr, 0, sizeof(qp->attr));
	mirage_ring_reset(&qp->rq);
	spin_unlock_bh(&qp->lock);

	mirage_requester_reset(qp);
	mirage_ring_reset(&qp->sq);
	mirage_engine_start(&qp->engine);
	return 0;
}

static int qp_to_err(struct mirage_qp *qp)
{
	mirage_qp_error(qp, 0);
	return 0;
}

/* Only now, at the transition to RTR, a connected QP knows its peer and so its carrier. */
static int qp_connect(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	const struct mirage_carrier *carrier = qp->carrier;
	int err;

	if (qp->transport != OP_UD)
		carrier = mirage_carrier_for(qp, attr);
	err = carrier->connect(qp, attr);
	if (!err)
		WRITE_ONCE(qp->carrier, carrier);
	return err;
}

static int qp_from_reset_or_init(struct mirage_qp *qp, enum ib_qp_state cur, enum ib_qp_state to,
				 const struct ib_qp_attr *attr, int mask)
{
	int err = 0;

	if (to == IB_QPS_RTR)
		err = qp_connect(qp, attr);
	if (!err)
		qp_enter_state(qp, cur, to, attr, mask);
	return err;
}

static int qp_from_rtr(struct mirage_qp *qp, enum ib_qp_state cur, enum ib_qp_state to,
		       const struct ib_qp_attr *attr, int mask)
{
	qp_enter_state(qp, cur, to, attr, mask);
	mirage_engine_doorbell(&qp->engine);
	return 0;
}

static int qp_from_rts(struct mirage_qp *qp, enum ib_qp_state cur, enum ib_qp_state to,
		       const struct ib_qp_attr *attr, int mask)
{
	if (to == IB_QPS_SQD) {
		spin_lock_bh(&qp->lock);
		qp->sqd_notify = (mask & IB_QP_EN_SQD_ASYNC_NOTIFY) &&
				 attr->en_sqd_async_notify;
		spin_unlock_bh(&qp->lock);
	}
	qp_enter_state(qp, cur, to, attr, mask);
	/* If nothing is under way this doorbell makes the engine raise IB_EVENT_SQ_DRAINED. */
	mirage_engine_doorbell(&qp->engine);
	return 0;
}

static int qp_readdress(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	int err;

	mirage_engine_stop(&qp->engine);
	err = qp->carrier->readdress(qp, attr);
	mirage_engine_start(&qp->engine);
	return err;
}

static int qp_from_sqd(struct mirage_qp *qp, enum ib_qp_state cur, enum ib_qp_state to,
		       const struct ib_qp_attr *attr, int mask)
{
	int err = 0;

	if (to == IB_QPS_SQD && qp->carrier->is_busy(qp))
		return -EBUSY;
	if (mask & IB_QP_AV)
		err = qp_readdress(qp, attr);
	if (!err)
		qp_enter_state(qp, cur, to, attr, mask);
	mirage_engine_doorbell(&qp->engine);
	return err;
}

static int qp_from_sqe(struct mirage_qp *qp, enum ib_qp_state cur, enum ib_qp_state to,
		       const struct ib_qp_attr *attr, int mask)
{
	qp_enter_state(qp, cur, to, attr, mask);
	mirage_engine_doorbell(&qp->engine);
	return 0;
}

static int qp_transit(struct mirage_qp *qp, struct ib_qp_attr *attr, int mask)
{
	static int (*const from[])(struct mirage_qp *qp, enum ib_qp_state cur,
				   enum ib_qp_state to, const struct ib_qp_attr *attr, int mask) = {
		[IB_QPS_RESET] = qp_from_reset_or_init,
		[IB_QPS_INIT] = qp_from_reset_or_init,
		[IB_QPS_RTR] = qp_from_rtr,
		[IB_QPS_RTS] = qp_from_rts,
		[IB_QPS_SQD] = qp_from_sqd,
		[IB_QPS_SQE] = qp_from_sqe,
	};
	enum ib_qp_state cur = READ_ONCE(qp->state), to;
	int ret;

	lockdep_assert_held(&qp->mutex);
	if (mask & ~IB_QP_ATTR_STANDARD_BITS)
		return -EOPNOTSUPP;
	to = mask & IB_QP_STATE ? attr->qp_state : cur;
	if ((mask & IB_QP_CUR_STATE) && attr->cur_qp_state != cur)
		return -EINVAL;
	if (!ib_modify_qp_is_ok(cur, to, qp->type, mask))
		return -EINVAL;
	ret = qp_check_attr(attr, mask);
	if (ret)
		return ret;

	if (to == IB_QPS_RESET)
		return qp_to_reset(qp);
	if (to == IB_QPS_ERR)
		return qp_to_err(qp);
	if (cur >= ARRAY_SIZE(from))
		return -EINVAL;
	return from[cur](qp, cur, to, attr, mask);
}

/**
 * mirage_modify_qp - ib_device_ops.modify_qp
 * @ibqp: the QP
 * @attr: the attributes
 * @mask: says which of them to modify
 * @udata: unused
 *
 * Return: 0; -EINVAL for a transition or a value that is not legal; -EOPNOTSUPP for attributes
 * that the device does not have; -EBUSY for a change of attributes in SQD before the queue is
 * drained; -ENOMEM; -ENETDOWN.
 */
int mirage_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		     struct ib_udata *udata)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	int ret;

	mutex_lock(&qp->mutex);
	ret = qp_transit(qp, attr, mask);
	mutex_unlock(&qp->mutex);
	return ret;
}

/**
 * mirage_query_qp - ib_device_ops.query_qp
 * @ibqp: the QP
 * @attr: filled with the attributes
 * @mask: ignored, since all attributes are filled in
 * @init: filled with the attributes of the creation
 *
 * Return: 0.
 */
int mirage_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		    struct ib_qp_init_attr *init)
{
	struct mirage_qp *qp = to_mqp(ibqp);

	mutex_lock(&qp->mutex);
	spin_lock_bh(&qp->lock);
	*attr = qp->attr;
	attr->qp_state = qp->state;
	attr->cur_qp_state = qp->state;
	attr->rq_psn = qp->resp.psn;
	attr->sq_psn = READ_ONCE(qp->req.psn);
	attr->sq_draining = qp->state == IB_QPS_SQD && qp->carrier->is_busy(qp);
	attr->path_mig_state = IB_MIG_MIGRATED;
	attr->cap = qp->cap;
	spin_unlock_bh(&qp->lock);
	mutex_unlock(&qp->mutex);

	*init = (struct ib_qp_init_attr) {
		.event_handler = ibqp->event_handler,
		.qp_context = ibqp->qp_context,
		.send_cq = ibqp->send_cq,
		.recv_cq = ibqp->recv_cq,
		.srq = ibqp->srq,
		.cap = qp->cap,
		.sq_sig_type = qp->sig_all ? IB_SIGNAL_ALL_WR : IB_SIGNAL_REQ_WR,
		.qp_type = ibqp->qp_type,
	};
	return 0;
}

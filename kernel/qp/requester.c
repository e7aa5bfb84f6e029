// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The requester: one send work request after the other
 *
 * The requester copies and validates a work request. The carrier executes it, as far as pages
 * and receive buffers allow. When it is completed, the next one starts. So work requests
 * execute and complete in order, and a fence has nothing to wait for. (On the wire many are
 * under way at once: that carrier has a requester of its own, wire/wire_req.c.)
 *
 * Timers and retry counts follow IBA volume 1, 9.7.5.
 */
#include "base/device.h"
#include "mem/fastreg.h"
#include "mem/mw.h"
#include "qp/carrier.h"
#include "qp/completer.h"
#include "qp/nak.h"
#include "qp/qp.h"
#include "qp/timer.h"

/* Bursts in one round of the engine: some hundred microseconds of small work requests. */
#define REQ_BATCH	16

/* The same for a runner that may not sleep between two bursts. */
#define REQ_BATCH_ATOMIC	1

/* Completes the work request under way. With a bad status the QP goes into error. */
static noinline void requester_finish(struct mirage_qp *qp, enum ib_wc_status status, int err)
{
	bool connected = qp->transport == OP_RC;
	struct mirage_requester *req = &qp->req;

	mirage_cursor_release(&req->local);
	req->active = false;
	if (status != IB_WC_SUCCESS)
		mirage_stat_inc(qp->dev, MIRAGE_STAT_LOCAL_ERRORS);
	/*
	 * Without a connection only the send queue goes into error. That comes before the
	 * completion: whoever polls the completion may bring the send queue back at once. In a
	 * connection it comes after: the completion has to precede those that are flushed.
	 */
	if (status != IB_WC_SUCCESS && !connected)
		mirage_qp_send_error(qp);
	if (mirage_complete_send(qp, status, err))
		mirage_qp_error(qp, IB_EVENT_QP_FATAL);
	else if (status != IB_WC_SUCCESS && connected)
		mirage_qp_send_error(qp);
}

/* Fields that only atomics use keep their old values for other requests. */
static void requester_fill_hdr(struct mirage_qp *qp)
{
	struct mirage_requester *req = &qp->req;
	const struct mirage_send_wqe *head = &req->wqe.head;
	const struct mirage_op *op = req->op;
	struct mirage_request *hdr = &req->hdr;
	/* IB_MTU_256 is 1, and 256 is 1 << 8. */
	unsigned int shift = qp->attr.path_mtu + 7;
	u32 length = req->wqe.length;

	if (op->class == OP_ATOMIC) {
		length = 8;
		hdr->atomic = op->atomic;
		hdr->compare_add = head->compare_add;
		hdr->swap = head->swap;
	}
	hdr->op = op;
	hdr->psn = req->psn;
	hdr->packets = 1;
	if (length > ib_mtu_enum_to_int(IB_MTU_256) && qp->transport != OP_UD)
		hdr->packets = ((u64)length + BIT(shift) - 1) >> shift;
	hdr->length = length;
	hdr->access = op->remote;
	hdr->ex = head->ex;
	hdr->srqn = head->srqn;
	hdr->solicited = head->flags & MIRAGE_WQE_SOLICITED;
	/* A send has no remote address. */
	if (op->class == OP_SEND)
		return;
	hdr->reach = length;
	hdr->any = false;
	hdr->rkey = head->rkey;
	hdr->addr = head->remote_addr;
}

/* In the WQE, a flush has its fields where an atomic has its operands. */
static void requester_fill_flush(struct mirage_requester *req)
{
	const struct mirage_send_wqe *head = &req->wqe.head;
	u32 type = head->swap;

	req->hdr.access = ((type & IB_FLUSH_GLOBAL) ? IB_ACCESS_FLUSH_GLOBAL : 0) |
		((type & IB_FLUSH_PERSISTENT) ? IB_ACCESS_FLUSH_PERSISTENT : 0);
	req->hdr.any = head->swap >> 32 == IB_FLUSH_MR;
	req->hdr.reach = req->hdr.any ? 1 : head->compare_add;
}

/**
 * mirage_requester_check - check whether a work request may be executed at all
 * @qp: the QP; the caller is its runner
 * @op: the row of its opcode, or NULL
 * @wqe: our copy of the work request
 *
 * Return: IB_WC_SUCCESS, or the status to complete it with.
 */
inline enum ib_wc_status mirage_requester_check(const struct mirage_qp *qp,
						const struct mirage_op *op,
						const struct mirage_send_copy *wqe)
{
	if (!op || !(op->transports & qp->transport) ||
	    (wqe->inline_data ? !op->inline_ok : op->word))
		return IB_WC_LOC_QP_OP_ERR;
	if (op->class <= OP_WRITE)
		return IB_WC_SUCCESS;
	if (op->wc == IB_WC_REG_MR && qp->uctx)
		return IB_WC_LOC_QP_OP_ERR;
	if (op->class >= OP_FLUSH && wqe->length)
		return IB_WC_LOC_LEN_ERR;
	/* The request has 32 bits for the length: a longer one, cut off, might pass as 0. */
	if (op->class == OP_FLUSH && wqe->head.compare_add > U32_MAX)
		return IB_WC_LOC_LEN_ERR;
	if ((op->class == OP_READ || op->class == OP_ATOMIC) &&
	    !qp->attr.max_rd_atomic)
		return IB_WC_LOC_QP_OP_ERR;
	if (op->class == OP_ATOMIC && wqe->length < 8)
		return IB_WC_LOC_LEN_ERR;
	return IB_WC_SUCCESS;
}

/* Opens the local SGEs. Returns false if a key is wrong: then the work request is finished. */
static bool requester_open_local(struct mirage_qp *qp)
{
	const struct mirage_send_copy *wqe = &qp->req.wqe;
	int ret = mirage_cursor_open_sges(&qp->req.local, qp->dev, qp->pd, wqe->sge,
					  wqe->head.num_sge, qp->req.op->local);

	if (ret)
		requester_finish(qp, IB_WC_LOC_PROT_ERR, ret);
	return !ret;
}

/*
 * Tells whether the message may do without a reference on its region. A small message of one
 * SGE may: mostly it is executed as a whole before BHs are enabled.
 */
static bool requester_may_borrow(const struct mirage_qp *qp, const struct mirage_stepper *step)
{
	const struct mirage_requester *req = &qp->req;

	return req->wqe.head.num_sge == 1 && req->op->class <= OP_WRITE &&
	       req->wqe.length - 1 < MIRAGE_CURSOR_BORROW_MAX &&
	       (!step->reads_once || step->reads_once(qp));
}

/* A borrowed message was not executed as a whole: look its region up again, with a reference. */
static bool requester_keep_local(struct mirage_qp *qp)
{
	return likely(!mirage_cursor_is_borrowed(&qp->req.local)) || requester_open_local(qp);
}

/* Takes the oldest work request up. A bad one is finished at once. */
static void requester_start_wr(struct mirage_qp *qp, const struct mirage_stepper *step)
{
	struct mirage_requester *req = &qp->req;
	struct mirage_send_copy *wqe = &req->wqe;
	enum ib_wc_status status;
	int ret;

	ret = mirage_wqe_copy_send(wqe, mirage_ring_slot(&qp->sq, qp->sq.index), qp->sq.stride);
	req->active = true;
	req->begun = false;
	req->executed = false;
	req->probed = false;
	req->done = 0;
	req->rnr_left = qp->attr.rnr_retry;
	req->retry_left = qp->attr.retry_cnt;
	req->op = mirage_op_of(wqe->head.opcode);
	req->hdr.length = 0;
	mirage_cursor_open_buf(&req->local, wqe->inline_data);

	if (ret)
		status = ret == -EMSGSIZE ? IB_WC_LOC_LEN_ERR : IB_WC_LOC_QP_OP_ERR;
	else
		status = mirage_requester_check(qp, req->op, wqe);
	if (step->check && status == IB_WC_SUCCESS)
		status = step->check(qp);
	if (status != IB_WC_SUCCESS) {
		requester_finish(qp, status, ret);
		return;
	}

	requester_fill_hdr(qp);
	if (req->op->class == OP_FLUSH)
		requester_fill_flush(req);
	if (wqe->inline_data)
		return;
	if (requester_may_borrow(qp, step) &&
	    mirage_cursor_borrow(&req->local, qp->dev, qp->pd, wqe->sge, req->op->local))
		return;
	requester_open_local(qp);
}

/* Nobody answers: try again after the local ACK timeout (IBA 9.7.6.1.3). */
static enum mirage_engine_verdict requester_unanswered(struct mirage_qp *qp)
{
	struct mirage_requester *req = &qp->req;
	u8 timeout = qp->attr.timeout;

	if (timeout && !req->retry_left--) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_RETRY_EXCEEDED);
		requester_finish(qp, IB_WC_RETRY_EXC_ERR, 0);
		return ENGINE_MORE;
	}
	qp->engine.delay = mirage_timer_ack(timeout);
	return ENGINE_DELAY;
}

/* The peer has no receive work request: try again after its RNR timer. */
static enum mirage_engine_verdict requester_not_ready(struct mirage_qp *qp)
{
	struct mirage_requester *req = &qp->req;

	if (!mirage_timer_rnr_again(qp->attr.rnr_retry, &req->rnr_left)) {
		requester_finish(qp, IB_WC_RNR_RETRY_EXC_ERR, 0);
		return ENGINE_MORE;
	}
	qp->engine.delay = mirage_timer_rnr(READ_ONCE(req->peer->attr.min_rnr_timer));
	return ENGINE_DELAY;
}

/*
 * Before the requester waits for the responder, it looks for the first missing page of its own
 * message. An unmapped page there is the requester's own error, whether the responder ever
 * gets ready or not. Returns true if a page is missing. Looks once for each work request.
 */
static bool requester_probe(struct mirage_qp *qp)
{
	struct mirage_requester *req = &qp->req;

	if (req->probed || (req->op->class != OP_SEND && req->op->class != OP_WRITE))
		return false;
	req->probed = true;
	req->remote_miss = false;
	return mirage_cursor_find_missing(&req->local, &qp->engine.miss);
}

/* The work request is acknowledged. Always inline: see direct_ask_peer(). */
static __always_inline void requester_succeed(struct mirage_qp *qp)
{
	struct mirage_requester *req = &qp->req;

	req->psn = (req->psn + req->hdr.packets) & PSN_MASK;
	mirage_cursor_release(&req->local);
	req->active = false;
	if (unlikely(mirage_complete_send(qp, IB_WC_SUCCESS, 0)))
		mirage_qp_error(qp, IB_EVENT_QP_FATAL);
}

/* Returns ENGINE_MORE if the work request is done, or if its next step may follow at once. */
static noinline enum mirage_engine_verdict requester_answered(struct mirage_qp *qp,
							      enum mirage_verdict v)
{
	/* UC has no answers: the work request was sent, whatever has become of it. */
	if (qp->transport == OP_UC && v != RESP_MISS && v != RESP_GOES_ON)
		v = RESP_OK;
	switch (v) {
	case RESP_OK:
		requester_succeed(qp);
		break;
	case RESP_MISS:
		return ENGINE_FAULT;
	case RESP_GOES_ON:
		break;
	case RESP_SILENT:
		return requester_probe(qp) ? ENGINE_FAULT : requester_unanswered(qp);
	case RESP_RNR:
		return requester_probe(qp) ? ENGINE_FAULT : requester_not_ready(qp);
	case RESP_NAK_INVALID:
	case RESP_NAK_ACCESS:
	case RESP_NAK_OPERATIONAL:
		requester_finish(qp, mirage_nak_status(v), 0);
		break;
	}
	return ENGINE_MORE;
}

/**
 * mirage_requester_local - execute a work request that binds, registers or invalidates a key
 * @qp: the QP; the caller is its runner
 * @op: the row of its opcode, of class OP_LOCAL
 * @head: our copy of the work request
 * @err: set to the errno behind a bad status, or to 0; after -ENOMEM try again in a moment
 *
 * Return: the status to complete it with.
 */
enum ib_wc_status mirage_requester_local(struct mirage_qp *qp, const struct mirage_op *op,
					 const struct mirage_send_wqe *head, int *err)
{
	struct mirage_mw_bind bind = {
		.rkey = head->rkey,
		.new_rkey = head->ex,
		.lkey = head->swap,
		.access = head->swap >> 32,
		.addr = head->remote_addr,
		.length = head->compare_add,
	};

	if (op->wc == IB_WC_BIND_MW)
		*err = mirage_mw_bind(qp->dev, qp->pd, qp->qpn, &bind);
	else if (op->wc == IB_WC_REG_MR)
		*err = mirage_fastreg_execute(qp->dev, qp->pd, head->ex);
	else
		*err = mirage_mw_invalidate(qp->dev, qp->pd, qp->qpn, head->ex);
	return *err ? IB_WC_MW_BIND_ERR : IB_WC_SUCCESS;
}

static enum mirage_engine_verdict requester_execute_local(struct mirage_qp *qp)
{
	struct mirage_requester *req = &qp->req;
	enum ib_wc_status status;
	int err;

	status = mirage_requester_local(qp, req->op, &req->wqe.head, &err);
	if (err == -ENOMEM) {
		qp->engine.delay = 1;
		return ENGINE_DELAY;
	}
	requester_finish(qp, status, err);
	return ENGINE_MORE;
}

static enum mirage_engine_verdict requester_execute(struct mirage_qp *qp,
						    const struct mirage_stepper *step)
{
	struct mirage_engine *e = &qp->engine;
	int err = e->fault_error;

	e->fault_error = 0;
	if (qp->req.op->class == OP_LOCAL)
		return requester_execute_local(qp);
	if (!err) {
		enum mirage_verdict v = step->request(qp, &e->miss);

		if (likely(v == RESP_OK))
			requester_succeed(qp);
		else if (requester_keep_local(qp))
			return requester_answered(qp, v);
		return ENGINE_MORE;
	}
	if (!requester_keep_local(qp))
		return ENGINE_MORE;
	if (qp->req.remote_miss)
		return requester_answered(qp, step->fail(qp, err));

	requester_finish(qp, IB_WC_LOC_PROT_ERR, err);
	return ENGINE_MORE;
}

/**
 * mirage_requester_drained - the send queue is drained: raise the event if the user wants it
 * @qp: the QP, none of its locks held
 */
void mirage_requester_drained(struct mirage_qp *qp)
{
	spin_lock_bh(&qp->lock);
	if (qp->state == IB_QPS_SQD && qp->sqd_notify) {
		qp->sqd_notify = false;
		mirage_qp_event(qp, IB_EVENT_SQ_DRAINED);
	}
	spin_unlock_bh(&qp->lock);
}

static void requester_flush(struct mirage_qp *qp)
{
	if (qp->req.active)
		requester_finish(qp, IB_WC_WR_FLUSH_ERR, 0);
	mirage_complete_flush_sends(qp);
}

/* Starts the next work request. Returns false if there is none, or none may start. */
static bool requester_take_next(struct mirage_qp *qp, const struct mirage_stepper *step)
{
	int pending;

	switch (READ_ONCE(qp->state)) {
	case IB_QPS_SQD:
		mirage_requester_drained(qp);
		return false;
	case IB_QPS_RTS:
		break;
	default:
		return false;
	}
	if (!qp->sq.hdr)
		return false;

	pending = mirage_ring_pending(&qp->sq);
	if (pending < 0)
		mirage_qp_error(qp, IB_EVENT_QP_FATAL);
	if (pending <= 0)
		return false;
	requester_start_wr(qp, step);
	return true;
}

/* One burst, with BHs off. Returns ENGINE_MORE if there may be more to do. */
static enum mirage_engine_verdict requester_run_some(struct mirage_qp *qp,
						     const struct mirage_stepper *step)
{
	struct mirage_requester *req = &qp->req;
	int i;

	for (i = 0; i < step->burst; i++) {
		enum mirage_engine_verdict v;

		if (unlikely(mirage_qp_flushes(qp)))
			break;
		if (!req->active && !requester_take_next(qp, step))
			return ENGINE_IDLE;
		if (unlikely(!req->active))
			continue;
		v = requester_execute(qp, step);
		if (v != ENGINE_MORE)
			return v;
		if (req->hdr.length > PAGE_SIZE || (step->is_large && step->is_large(qp)))
			break;
	}
	return ENGINE_MORE;
}

/**
 * mirage_requester_run - execute send work requests, one after the other
 * @qp: the QP, whose carrier has a struct mirage_stepper; the caller is its runner
 *
 * Any context but hardirq, no locks held.
 *
 * Return: why it ended. With ENGINE_FAULT @qp->engine.miss is filled, with ENGINE_DELAY
 * @qp->engine.delay.
 */
enum mirage_engine_verdict mirage_requester_run(struct mirage_qp *qp)
{
	int i, batch = qp->engine.atomic ? REQ_BATCH_ATOMIC : REQ_BATCH;
	const struct mirage_stepper *step = qp->carrier->step;

	for (i = 0; i < batch; i++) {
		enum mirage_engine_verdict v;

		if (mirage_qp_flushes(qp)) {
			requester_flush(qp);
			return ENGINE_IDLE;
		}
		/* Once for the whole burst, since it costs as much as a look-up. */
		local_bh_disable();
		v = requester_run_some(qp, step);
		if (step->flush)
			step->flush(qp);
		local_bh_enable();
		if (v != ENGINE_MORE)
			return v;
		mirage_engine_breathe(&qp->engine);
	}
	return ENGINE_MORE;
}

/** mirage_requester_is_busy - tell whether a work request is under way */
bool mirage_requester_is_busy(const struct mirage_qp *qp)
{
	return READ_ONCE(qp->req.active);
}

/**
 * mirage_requester_forget_peer - put the peer that was remembered, if any
 * @qp: the QP; the caller is its runner, or nobody is
 */
void mirage_requester_forget_peer(struct mirage_qp *qp)
{
	if (qp->req.peer)
		mirage_qp_put(qp->req.peer);
	qp->req.peer = NULL;
}

/**
 * mirage_requester_reset - forget the work request under way, and the peer
 * @qp: the QP, its engine stopped and its state RESET
 */
void mirage_requester_reset(struct mirage_qp *qp)
{
	struct mirage_requester *req = &qp->req;

	if (req->active)
		mirage_cursor_release(&req->local);
	req->active = false;
	mirage_requester_forget_peer(qp);
	if (qp->carrier->reset)
		qp->carrier->reset(qp);
}

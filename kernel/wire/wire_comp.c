// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The requester on the wire: answers -> completions (IBA volume 1, 9.7.5.1 and 9.7.6)
 *
 * una is the PSN of the oldest packet without an answer. Answers move it on, and the work
 * requests that it has passed are completed, in order. An acknowledgment also acknowledges all
 * packets before its own, except READs and atomics: their bytes are in their own answers. If a
 * later answer comes first, that of the READ or atomic was lost (an implied NAK). Then, and
 * after a NAK, the runner is asked to go back to una. An answer to a PSN that una has passed,
 * or that was never sent, is dropped and counted.
 *
 * Most of it runs under req.lock, in softirq as a rule. The engine's doorbell must not be rung
 * and the QP must not be put into error under that lock. Both are noted in req.owed, and
 * mirage_wire_response_end() does them: whoever held the lock calls it afterwards.
 */
#include "base/device.h"
#include "qp/completer.h"
#include "qp/nak.h"
#include "qp/qp.h"
#include "qp/timer.h"
#include "wire/wire.h"

static struct mirage_wire_wr *wire_comp_oldest(const struct mirage_qp *qp)
{
	return mirage_wire_wr(&mirage_wire_of(qp)->req, qp->sq.entries, qp->sq.index);
}

static bool wire_comp_none_left(const struct mirage_qp *qp, const struct mirage_wire_req *req)
{
	/* Pairs with the release store in wire_req_start(), after the record was written. */
	return qp->sq.index == smp_load_acquire(&req->tail);
}

static void wire_comp_close_into(struct mirage_wire_req *req)
{
	if (mirage_cursor_is_open(&req->into))
		mirage_cursor_release(&req->into);
}

/* From here on there is only a flush; mirage_wire_response_end() causes it. */
static void wire_comp_set_failed(struct mirage_wire_req *req)
	__must_hold(&req->lock)
{
	lockdep_assert_held(&req->lock);
	req->state = WIRE_FAILED;
	WRITE_ONCE(req->owed, req->owed | WIRE_OWES_ERROR);
}

static void wire_comp_finish(struct mirage_qp *qp, enum ib_wc_status status, int err)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;
	const struct mirage_wire_wr *wr = wire_comp_oldest(qp);

	wire_comp_close_into(req);
	if (!mirage_complete_wr(qp, &wr->wqe.head, wr->op, wr->length, status, err))
		return;
	wire_comp_set_failed(req);
	req->event = IB_EVENT_QP_FATAL;
}

/**
 * mirage_wire_fail - the oldest work request has failed
 * @qp: the QP, with a work request under way; wire->req.lock is held
 * @status: the status to complete it with
 * @err: the errno behind that status, or 0
 */
void mirage_wire_fail(struct mirage_qp *qp, enum ib_wc_status status, int err)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	lockdep_assert_held(&req->lock);
	mirage_stat_inc(qp->dev, MIRAGE_STAT_LOCAL_ERRORS);
	wire_comp_set_failed(req);
	wire_comp_finish(qp, status, err);
}

/**
 * mirage_wire_retire - complete the work requests that una has passed
 * @qp: the QP; wire->req.lock is held
 */
void mirage_wire_retire(struct mirage_qp *qp)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	lockdep_assert_held(&req->lock);
	while (req->state != WIRE_FAILED && !wire_comp_none_left(qp, req)) {
		const struct mirage_wire_wr *wr = wire_comp_oldest(qp);

		if (!wr->status && mirage_psn_cmp(req->una, wr->end) < 0)
			break;
		if (wr->status)
			mirage_wire_fail(qp, wr->status, wr->err);
		else
			wire_comp_finish(qp, IB_WC_SUCCESS, 0);
	}
}

/**
 * mirage_wire_flush - complete the work requests under way as flushed
 * @qp: the QP, in error; the caller is its runner, none of its locks held
 */
void mirage_wire_flush(struct mirage_qp *qp)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	spin_lock_bh(&req->lock);
	req->state = WIRE_FAILED;
	while (!wire_comp_none_left(qp, req))
		wire_comp_finish(qp, IB_WC_WR_FLUSH_ERR, 0);
	/* UC: its owner may bring the send queue back from SQE. */
	if (qp->transport != OP_RC)
		req->state = WIRE_SENDING;
	spin_unlock_bh(&req->lock);
}

/**
 * mirage_wire_rewind - have the runner go back to una
 * @req: the requester; its lock is held
 */
void mirage_wire_rewind(struct mirage_wire_req *req)
{
	lockdep_assert_held(&req->lock);
	/* In WIRE_RNR the runner goes back anyway, when the peer's RNR timer is over. */
	if (req->state != WIRE_SENDING && req->state != WIRE_REWINDING)
		return;
	WRITE_ONCE(req->state, WIRE_REWINDING);
	WRITE_ONCE(req->owed, req->owed | WIRE_OWES_DOORBELL);
}

/**
 * mirage_wire_again - retransmit from una after a loss, or fail if no retries are left
 * @qp: the QP, with work requests under way; wire->req.lock is held
 * @window: upper limit for the packets that may be outstanding from now on
 */
void mirage_wire_again(struct mirage_qp *qp, u32 window)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	lockdep_assert_held(&req->lock);
	if (!req->retry_left) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_RETRY_EXCEEDED);
		mirage_wire_fail(qp, IB_WC_RETRY_EXC_ERR, 0);
		return;
	}
	req->retry_left--;
	req->window = max_t(u32, min(req->window, window), WIRE_WINDOW_MIN);
	mirage_wire_rewind(req);
}

/* All packets before @psn are answered. */
static void wire_comp_progress(struct mirage_qp *qp, u32 psn)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;
	u32 n = (psn - req->una) & PSN_MASK;

	req->una = psn;
	req->implied_nak = WIRE_NO_PSN;
	req->timeouts = 0;
	req->retry_left = qp->attr.retry_cnt;
	req->rnr_left = qp->attr.rnr_retry;
	req->progress = jiffies;
	req->window = min_t(u32, req->window + DIV_ROUND_UP(n, 2),
			    WIRE_WINDOW >> req->shift);
	if (req->starved)
		WRITE_ONCE(req->owed, req->owed | WIRE_OWES_DOORBELL);
	mirage_wire_retire(qp);
}

/**
 * mirage_wire_sent - complete what was sent on UC, which has no answers
 * @qp: the QP; the caller is its runner; BHs off, none of its locks held
 */
void mirage_wire_sent(struct mirage_qp *qp)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	spin_lock(&req->lock);
	if (req->state != WIRE_FAILED && mirage_psn_cmp(req->una, req->psn) < 0)
		wire_comp_progress(qp, req->psn);
	spin_unlock(&req->lock);
}

static bool wire_comp_in_answer(const struct mirage_wire_wr *wr)
{
	return wr->op->answer == OP_ANSWER_BYTES || wr->op->answer == OP_ANSWER_WORD;
}

/*
 * An answer to @psn has come: the peer has executed all requests before it. Moves una up to
 * @psn. Returns false if the answer is of no use, because an answer before it was lost or a
 * work request has failed.
 */
static bool wire_comp_advance(struct mirage_qp *qp, u32 psn)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	while (mirage_psn_cmp(req->una, psn) < 0) {
		const struct mirage_wire_wr *wr = wire_comp_oldest(qp);

		if (wire_comp_in_answer(wr)) {
			if (req->implied_nak != req->una) {
				mirage_stat_inc(qp->dev, MIRAGE_STAT_IMPLIED_NAK);
				mirage_wire_again(qp, req->window / 2);
			}
			req->implied_nak = req->una;
			return false;
		}
		wire_comp_progress(qp, mirage_psn_cmp(psn, wr->end) < 0 ? psn : wr->end);
		if (req->state == WIRE_FAILED)
			return false;
	}
	return true;
}

/* An RNR NAK: send nothing until the peer's RNR timer is over. */
static void wire_comp_not_ready(struct mirage_qp *qp, u8 syndrome)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;
	unsigned long wait = mirage_timer_rnr(syndrome);

	if (req->state == WIRE_RNR)
		return;
	mirage_stat_inc(qp->dev, MIRAGE_STAT_RNR_RETRY);
	if (!mirage_timer_rnr_again(qp->attr.rnr_retry, &req->rnr_left)) {
		mirage_wire_fail(qp, IB_WC_RNR_RETRY_EXC_ERR, 0);
		return;
	}
	req->state = WIRE_RNR;
	req->rnr_end = jiffies + wait;
	mirage_wire_timer_arm(req, wait);
}

static void wire_comp_take_nak(struct mirage_qp *qp, u8 syndrome)
{
	enum mirage_verdict v = mirage_nak_of(syndrome);

	if (syndrome == AETH_NAK_PSN) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_PACKET_SEQ_ERR);
		mirage_wire_again(qp, mirage_wire_of(qp)->req.window / 2);
	} else if (mirage_is_nak(v)) {
		mirage_wire_fail(qp, mirage_nak_status(v), 0);
	} else {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_BAD_RESPONSE);
	}
}

static void wire_comp_acknowledged(struct mirage_qp *qp, const struct mirage_pkt *pkt)
{
	switch (pkt->syndrome & AETH_KIND) {
	case AETH_ACK:
		wire_comp_advance(qp, (pkt->psn + 1) & PSN_MASK);
		break;
	case AETH_RNR:
		if (wire_comp_advance(qp, pkt->psn))
			wire_comp_not_ready(qp, pkt->syndrome);
		break;
	case AETH_NAK:
		if (wire_comp_advance(qp, pkt->psn))
			wire_comp_take_nak(qp, pkt->syndrome);
		break;
	default:
		mirage_stat_inc(qp->dev, MIRAGE_STAT_BAD_RESPONSE);
	}
}

/* Opens ->into over the oldest work request's own memory, from @off on. */
static bool wire_comp_open_into(struct mirage_qp *qp, const struct mirage_wire_wr *wr, u32 off)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;
	int ret;

	if (mirage_cursor_is_open(&req->into))
		return true;
	ret = mirage_cursor_open_sges(&req->into, qp->dev, qp->pd, wr->wqe.sge,
				      wr->wqe.head.num_sge, IB_ACCESS_LOCAL_WRITE);
	if (ret) {
		mirage_wire_fail(qp, IB_WC_LOC_PROT_ERR, ret);
		return false;
	}
	mirage_cursor_seek(&req->into, off);
	return true;
}

/* Copies the @len bytes of the answer to una to offset @off of the work request. */
static enum mirage_wire_verdict wire_comp_take_bytes(struct mirage_qp *qp,
						     const struct mirage_wire_wr *wr, u32 off,
						     const void *data, u32 len,
						     struct mirage_miss *miss)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	if (!wire_comp_open_into(qp, wr, off))
		return WIRE_DONE;
	if (!mirage_cursor_write(&req->into, data, len, wr->length - off, miss))
		return WIRE_HELD;
	wire_comp_progress(qp, (req->una + 1) & PSN_MASK);
	return WIRE_DONE;
}

static enum mirage_wire_verdict wire_comp_read_answered(struct mirage_qp *qp,
							const struct mirage_net_seg *seg,
							struct mirage_miss *miss)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;
	const struct mirage_wire_wr *wr;
	u32 off;

	if (!wire_comp_advance(qp, seg->pkt.psn))
		return WIRE_DONE;
	wr = wire_comp_oldest(qp);
	if (wr->op->answer == OP_ANSWER_EMPTY && !seg->pkt.payload) {
		wire_comp_progress(qp, wr->end);
		return WIRE_DONE;
	}
	if (wr->op->answer != OP_ANSWER_BYTES) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_BAD_RESPONSE);
		return WIRE_DONE;
	}
	off = ((req->una - wr->psn) & PSN_MASK) << req->shift;
	if (seg->pkt.payload != min_t(u32, wr->length - off, BIT(req->shift))) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_BAD_RESPONSE);
		mirage_wire_fail(qp, IB_WC_BAD_RESP_ERR, 0);
		return WIRE_DONE;
	}
	return wire_comp_take_bytes(qp, wr, off, seg->payload, seg->pkt.payload, miss);
}

static enum mirage_wire_verdict wire_comp_atomic_answered(struct mirage_qp *qp,
							  const struct mirage_pkt *pkt,
							  struct mirage_miss *miss)
{
	const struct mirage_wire_wr *wr;

	if (!wire_comp_advance(qp, pkt->psn))
		return WIRE_DONE;
	wr = wire_comp_oldest(qp);
	if (wr->op->class != OP_ATOMIC) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_BAD_RESPONSE);
		return WIRE_DONE;
	}
	return wire_comp_take_bytes(qp, wr, 0, &pkt->orig, sizeof(pkt->orig), miss);
}

/**
 * mirage_wire_response - an answer has come
 * @qp: the QP; wire->req.lock is held; mirage_wire_response_end() is called after that
 * @seg: the packet
 * @miss: filled if WIRE_HELD is returned; the caller puts @miss->mr
 *
 * Return: WIRE_DONE, or WIRE_HELD if a page is missing: the caller passes the same packet again
 * when the page is there.
 */
enum mirage_wire_verdict mirage_wire_response(struct mirage_qp *qp,
					      const struct mirage_net_seg *seg,
					      struct mirage_miss *miss)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;
	const struct mirage_pkt *pkt = &seg->pkt;
	enum ib_qp_state state = READ_ONCE(qp->state);

	lockdep_assert_held(&req->lock);
	if (req->state == WIRE_FAILED || (state != IB_QPS_RTS && state != IB_QPS_SQD))
		return WIRE_DONE;
	/* UC has no answers. A packet of another transport is no answer, either. */
	if ((pkt->opcode & PKT_TRANSPORT) != mirage_qp_packets(qp)) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_BAD_RESPONSE);
		return WIRE_DONE;
	}
	if (mirage_psn_cmp(pkt->psn, req->una) < 0 ||
	    mirage_psn_cmp(pkt->psn, READ_ONCE(req->next)) >= 0) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_BAD_RESPONSE);
		/* The peer is late, but alive. Asking again would only make it later. */
		if (mirage_psn_cmp(pkt->psn, req->una) < 0)
			req->progress = jiffies;
		return WIRE_DONE;
	}

	switch (pkt->opcode & PKT_KIND) {
	case PKT_ACKNOWLEDGE:
		wire_comp_acknowledged(qp, pkt);
		return WIRE_DONE;
	case PKT_ATOMIC_ACKNOWLEDGE:
		return wire_comp_atomic_answered(qp, pkt, miss);
	default:
		return wire_comp_read_answered(qp, seg, miss);
	}
}

/**
 * mirage_wire_response_batch - several responses from the middle of a READ have come
 * @qp: the QP; wire->req.lock is held; mirage_wire_response_end() is called after that
 * @skb: has the packets
 * @off: offset of the first one
 * @batch: the packets, for this QP
 *
 * BHs off.
 *
 * Return: number of packets consumed. The rest is for mirage_wire_response().
 */
u32 mirage_wire_response_batch(struct mirage_qp *qp, struct sk_buff *skb, u32 off,
			       const struct mirage_net_batch *batch)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;
	enum ib_qp_state state = READ_ONCE(qp->state);
	const struct mirage_pkt *pkt = &batch->pkt;
	const struct mirage_wire_wr *wr;
	bool ack = false;
	u32 left, num;

	lockdep_assert_held(&req->lock);
	if (req->state == WIRE_FAILED || (state != IB_QPS_RTS && state != IB_QPS_SQD) ||
	    !mirage_cursor_is_open(&req->into) || pkt->psn != req->una ||
	    (pkt->opcode & PKT_KIND) != PKT_READ_RESPONSE_MIDDLE ||
	    pkt->payload != BIT(req->shift))
		return 0;
	/* ->into is open, so the oldest work request is the READ. */
	wr = wire_comp_oldest(qp);
	left = wr->length - (((req->una - wr->psn) & PSN_MASK) << req->shift);
	/* Neither the last response nor those that were not asked for yet can be in the middle. */
	left = min_t(u32, left - 1, mirage_psn_cmp(READ_ONCE(req->next), req->una) << req->shift);
	num = mirage_wire_batch_take(skb, off, batch, &req->into, left, &ack);
	if (num)
		wire_comp_progress(qp, (req->una + num) & PSN_MASK);
	return num;
}

/**
 * mirage_wire_response_failed - the page that an answer waited for can not be brought in
 * @qp: the QP; wire->req.lock is held; mirage_wire_response_end() is called after that
 * @err: the error of the fault
 */
void mirage_wire_response_failed(struct mirage_qp *qp, int err)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	lockdep_assert_held(&req->lock);
	if (req->state != WIRE_FAILED && mirage_cursor_is_open(&req->into))
		mirage_wire_fail(qp, IB_WC_LOC_PROT_ERR, err);
}

/**
 * mirage_wire_response_lost - ask again for answers that were dropped here for want of room
 * @qp: the QP; wire->req.lock is held; mirage_wire_response_end() is called after that
 */
void mirage_wire_response_lost(struct mirage_qp *qp)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	lockdep_assert_held(&req->lock);
	if (req->state != WIRE_FAILED && req->una != READ_ONCE(req->next))
		mirage_wire_rewind(req);
}

/**
 * mirage_wire_response_end - do what could not be done under the requester's lock
 * @qp: the QP; none of its locks are held; the caller is in an RCU read side, or is the runner
 */
void mirage_wire_response_end(struct mirage_qp *qp)
{
	/* Pairs with the release store in wire_connect(). */
	struct mirage_wire *wire = smp_load_acquire(&qp->carried);
	struct mirage_wire_req *req;
	unsigned int owed;

	if (!wire)
		return;
	req = &wire->req;
	if (likely(!READ_ONCE(req->owed)))
		return;
	/* xchg() is a barrier: a later note is seen here, or by the call of whoever writes it. */
	owed = xchg(&req->owed, 0);
	if (owed & WIRE_OWES_ERROR) {
		if (req->event)
			mirage_qp_error(qp, req->event);
		else
			mirage_qp_send_error(qp);
	}
	/* After an error this doorbell makes the engine flush the send queue. */
	if (READ_ONCE(req->state) == WIRE_REWINDING)
		mirage_engine_doorbell_urgent(&qp->engine);
	else if (owed)
		mirage_engine_doorbell_atomic(&qp->engine);
}

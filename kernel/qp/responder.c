// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The responder: executes requests, whatever carries them
 *
 * A carrier passes a request's header to mirage_responder_begin(), moves its bytes to or from
 * resp->bytes, and calls mirage_responder_end(). A carrier that gets a request in pieces calls
 * mirage_responder_piece() before it moves each of them. This file does not know packets, and
 * the rooms below do not know NAKs: this file turns an errno of mem/ into a NAK.
 *
 * All of it runs under the QP's lock, which a carrier holds for one step at a time. Between two
 * steps the QP may be reset. A requester may begin a request anew, after a reset or after
 * another request has interrupted its own. That takes the place of the request under way, and
 * uses the receive work request that was taken for it.
 *
 * The checks are those of IBA volume 1, 9.7.4. In UC, which has no acknowledgements, a message
 * that fails a check is dropped, and the next one begins with its first packet, whatever PSN
 * that has (9.8.2). A bad receive work request is an error in UC, too. An XRC target has no PD
 * and no receive queue: it uses those of the SRQ that a request names (annex A14).
 */
#include "base/device.h"
#include "mem/mw.h"
#include "qp/completer.h"
#include "qp/qp.h"

static void responder_release_bytes(struct mirage_responder *resp)
{
	mirage_cursor_release(&resp->bytes);
	resp->busy = false;
}

/* Answers the request with a NAK. The QP is in error afterwards, except UC (IBA 9.9.3.1). */
static enum mirage_verdict responder_send_nak(struct mirage_qp *qp, enum mirage_verdict v)
{
	mirage_stat_inc(qp->dev, MIRAGE_STAT_REMOTE_ERRORS);
	if (qp->transport == OP_UC) {
		responder_release_bytes(&qp->resp);
		return v;
	}
	mirage_qp_error_locked(qp, v == RESP_NAK_ACCESS ? IB_EVENT_QP_ACCESS_ERR :
							  IB_EVENT_QP_REQ_ERR);
	return v;
}

/**
 * mirage_responder_fail_wqe - the receive work request that was taken has failed
 * @qp: the QP; its lock is held
 * @status: the status to complete it with
 * @err: the errno behind that status
 *
 * The QP is in error afterwards.
 */
void mirage_responder_fail_wqe(struct mirage_qp *qp, enum ib_wc_status status, int err)
{
	struct mirage_cqe cqe = {
		.wr_id = qp->resp.wqe.wr_id,
		.status = status,
		.opcode = IB_WC_RECV,
		.vendor_err = -err,
	};

	lockdep_assert_held(&qp->lock);
	mirage_complete_recv(qp, &cqe, false);
	qp->resp.have_wqe = false;
	mirage_stat_inc(qp->dev, MIRAGE_STAT_LOCAL_ERRORS);
	mirage_qp_error_locked(qp, 0);
}

/* Answers the request with a NAK, because its receive work request has failed. */
static noinline enum mirage_verdict responder_nak_wqe(struct mirage_qp *qp, enum mirage_verdict v,
						      enum ib_wc_status status, int err)
{
	mirage_responder_fail_wqe(qp, status, err);
	return v;
}

/**
 * mirage_responder_wqe_failed - the oldest receive work request could not be taken
 * @qp: the QP; its lock is held
 * @err: an error of mirage_qp_pop_recv(), but not -ENOENT or -ENXIO
 *
 * The QP is in error afterwards.
 */
void mirage_responder_wqe_failed(struct mirage_qp *qp, int err)
{
	lockdep_assert_held(&qp->lock);
	/* An SRQ raises an event of its own if the index of its process makes no sense. */
	if (err == -EPROTO)
		mirage_qp_error_locked(qp, qp->rq.hdr ? IB_EVENT_QP_FATAL : 0);
	else
		mirage_responder_fail_wqe(qp, IB_WC_LOC_QP_OP_ERR, err);
}

/* The first try to take a receive work request has returned @ret. */
static noinline enum mirage_verdict responder_not_taken(struct mirage_qp *qp, int ret)
{
	if (ret == -ENOENT && qp->rq.hdr) {
		/* Ask for a doorbell, then try again: one may have been posted just before. */
		mirage_ring_want_doorbell(&qp->rq, true);
		ret = mirage_qp_pop_recv(qp);
	}

	switch (ret) {
	case 0:
		return RESP_OK;
	case -ENOENT:
		mirage_stat_inc(qp->dev, MIRAGE_STAT_RNR_NAK);
		WRITE_ONCE(qp->rnr_srqn, qp->resp.srqn);
		qp->rnr_peer = true;
		return RESP_RNR;
	case -ENXIO:
		return responder_send_nak(qp, RESP_NAK_INVALID);
	default:
		mirage_responder_wqe_failed(qp, ret);
		return RESP_NAK_OPERATIONAL;
	}
}

static enum mirage_verdict responder_take_wqe(struct mirage_qp *qp)
{
	int ret = mirage_qp_pop_recv(qp);

	return likely(!ret) ? RESP_OK : responder_not_taken(qp, ret);
}

/*
 * An XRC target uses the PD and the receives of the SRQ that the request names. A receive that
 * was taken from another SRQ, for a request that was never finished, is completed as flushed.
 */
static noinline struct ib_pd *responder_turn_to_srq(struct mirage_qp *qp, u32 srqn)
{
	struct mirage_cqe cqe = {
		.wr_id = qp->resp.wqe.wr_id,
		.status = IB_WC_WR_FLUSH_ERR,
		.opcode = IB_WC_RECV,
	};

	if (qp->resp.have_wqe && qp->resp.srqn != srqn) {
		qp->resp.have_wqe = false;
		mirage_complete_recv(qp, &cqe, false);
	}
	qp->resp.srqn = srqn;
	return mirage_xsrq_pd(qp->dev, qp->xrcd, srqn);
}

/*
 * Tells whether the QP may execute such a request at all (IBA 9.7.4.1.2, 9.7.4.1.5). Always
 * inline: see direct_ask_peer().
 */
static __always_inline bool responder_allowed(const struct mirage_qp *qp,
					      const struct mirage_request *hdr)
{
	const struct mirage_op *op = hdr->op;

	if ((qp->attr.qp_access_flags & hdr->access) != hdr->access)
		return false;
	if (hdr->length > MIRAGE_MAX_MSG)
		return false;
	if (op->class <= OP_WRITE && !op->word)
		return true;
	if ((op->class == OP_READ || op->class == OP_ATOMIC) &&
	    !qp->attr.max_dest_rd_atomic)
		return false;
	if (op->word && hdr->length != 8)
		return false;
	return (op->class != OP_ATOMIC && !op->word) || IS_ALIGNED(hdr->addr, 8);
}

/* The message is longer than the receive work request that was taken for it. */
static noinline enum mirage_verdict responder_too_long(struct mirage_qp *qp)
{
	/* In UC the next message can use the same receive, unless that is an SRQ's. */
	if (qp->transport == OP_UC && !qp->srq)
		return responder_send_nak(qp, RESP_NAK_INVALID);
	return responder_nak_wqe(qp, RESP_NAK_INVALID, IB_WC_LOC_LEN_ERR, -EMSGSIZE);
}

static enum mirage_verdict
responder_open_recv_bytes(struct mirage_qp *qp, const struct mirage_request *hdr)
{
	struct mirage_responder *resp = &qp->resp;
	/* For an XRC target resp->pd is the PD of its SRQ already. */
	struct ib_pd *pd = unlikely(qp->srq) ? mirage_qp_recv_pd(qp) : resp->pd;
	int ret;

	if (hdr->length > resp->wqe.length)
		return responder_too_long(qp);

	ret = mirage_cursor_open_sges(&resp->bytes, qp->dev, pd, resp->wqe.sge,
				      resp->wqe.num_sge, IB_ACCESS_LOCAL_WRITE);
	if (ret)
		return responder_nak_wqe(qp, RESP_NAK_OPERATIONAL, IB_WC_LOC_PROT_ERR, ret);
	return RESP_OK;
}

/*
 * A flush opens the region only to check it. It has no bytes to move: stores of the responder
 * are visible to every CPU and device before they are acknowledged.
 */
static int responder_open_region(struct mirage_qp *qp, const struct mirage_request *hdr)
{
	struct mirage_cursor *b = &qp->resp.bytes;
	int ret;

	ret = mirage_cursor_open_remote(b, qp->dev, qp->resp.pd, qp->qpn, hdr->rkey, hdr->addr,
					hdr->reach, hdr->access);
	/* The bounds are checked last: after -ERANGE everything else was right. */
	return ret == -ERANGE && hdr->any ? 0 : ret;
}

/**
 * mirage_responder_begin - begin a request
 * @qp: the responder's QP, in a state to receive; its lock is held
 * @hdr: the request
 *
 * Return: RESP_OK if it was begun; then @qp->resp.bytes is the memory that its bytes go to or
 * come from, and @qp->resp.msg its number. After RESP_RNR and RESP_SILENT the same request may
 * come again. A NAK has put the QP into error, except UC.
 */
enum mirage_verdict mirage_responder_begin(struct mirage_qp *qp, const struct mirage_request *hdr)
{
	struct mirage_responder *resp = &qp->resp;
	enum mirage_verdict v;

	lockdep_assert_held(&qp->lock);
	if (hdr->psn != resp->psn) {
		if (qp->transport != OP_UC)
			return RESP_SILENT;
		resp->psn = hdr->psn;
	}

	if (unlikely(resp->busy))
		responder_release_bytes(resp);
	if (qp->state == IB_QPS_RTR && !resp->established) {
		resp->established = true;
		mirage_qp_event(qp, IB_EVENT_COMM_EST);
	}
	resp->pd = likely(qp->pd) ? qp->pd : responder_turn_to_srq(qp, hdr->srqn);
	if (!responder_allowed(qp, hdr) || unlikely(!resp->pd))
		return responder_send_nak(qp, RESP_NAK_INVALID);
	if (hdr->op->recv && !resp->have_wqe) {
		v = responder_take_wqe(qp);
		if (v != RESP_OK)
			return v;
	}
	if (hdr->op->class == OP_SEND) {
		v = responder_open_recv_bytes(qp, hdr);
		if (v != RESP_OK)
			return v;
	} else if (responder_open_region(qp, hdr)) {
		return responder_send_nak(qp, RESP_NAK_ACCESS);
	}

	resp->busy = true;
	resp->got = 0;
	resp->msg++;
	return RESP_OK;
}

/**
 * mirage_responder_piece - another piece of the send or write under way has come
 * @qp: the responder's QP; its lock is held
 * @hdr: the request. Its ->op is known for sure only with the last piece. The ->length of a
 *	send is the length of the pieces before; @len is added to it here.
 * @len: bytes of the piece
 * @last: the request ends with this piece
 *
 * Return: RESP_OK if there is room for the piece and the length is right so far; RESP_RNR,
 * which leaves everything as it was; or a NAK.
 */
enum mirage_verdict mirage_responder_piece(struct mirage_qp *qp, struct mirage_request *hdr,
					   u32 len, bool last)
{
	struct mirage_responder *resp = &qp->resp;

	lockdep_assert_held(&qp->lock);
	if (hdr->op->class == OP_SEND) {
		if (len > resp->wqe.length - hdr->length)
			return responder_too_long(qp);
		hdr->length += len;
		return RESP_OK;
	}

	if (len > hdr->length - resp->got || (last && len != hdr->length - resp->got))
		return responder_send_nak(qp, RESP_NAK_INVALID);
	if (hdr->op->recv && !resp->have_wqe) {
		enum mirage_verdict v = responder_take_wqe(qp);

		if (v != RESP_OK)
			return v;
	}
	resp->got += len;
	return RESP_OK;
}

/**
 * mirage_responder_again - prepare to answer a duplicate of a read
 * @qp: the responder's QP; its lock is held
 * @hdr: the read
 * @b: with RESP_OK, opened over its bytes; the caller releases it by mirage_cursor_release()
 *
 * Does not touch the request under way.
 *
 * Return: RESP_OK, or RESP_SILENT if the read fails its checks. Then its rights have changed
 * since it was answered, or it is no duplicate at all.
 */
enum mirage_verdict mirage_responder_again(struct mirage_qp *qp, const struct mirage_request *hdr,
					   struct mirage_cursor *b)
{
	struct ib_pd *pd = qp->pd ?: mirage_xsrq_pd(qp->dev, qp->xrcd, hdr->srqn);

	lockdep_assert_held(&qp->lock);
	if (!pd || !responder_allowed(qp, hdr) ||
	    mirage_cursor_open_remote(b, qp->dev, pd, qp->qpn, hdr->rkey, hdr->addr,
				      hdr->reach, hdr->access))
		return RESP_SILENT;
	return RESP_OK;
}

/**
 * mirage_responder_invalid - refuse a request that is not valid at this point
 * @qp: the responder's QP; its lock is held
 *
 * Return: the NAK.
 */
enum mirage_verdict mirage_responder_invalid(struct mirage_qp *qp)
{
	lockdep_assert_held(&qp->lock);
	return responder_send_nak(qp, RESP_NAK_INVALID);
}

/**
 * mirage_responder_atomic - execute the atomic under way
 * @qp: the responder's QP; its lock is held
 * @hdr: the request
 * @old: set to the value before
 * @miss: filled if RESP_MISS is returned
 *
 * The operation is atomic with respect to all CPUs and all devices of the machine
 * (IB_ATOMIC_GLOB; IBA 9.4.5).
 *
 * Return: RESP_OK or RESP_MISS.
 */
enum mirage_verdict mirage_responder_atomic(struct mirage_qp *qp, const struct mirage_request *hdr,
					    u64 *old,
					    struct mirage_miss *miss)
{
	struct mirage_piece *seg = &qp->resp.bytes.seg[0];

	lockdep_assert_held(&qp->lock);
	if (!mirage_mtt_atomic(&seg->mr->mtt, seg->addr, hdr->atomic, hdr->compare_add,
			       hdr->swap, old))
		return RESP_OK;

	mirage_miss_set(miss, seg->mr, seg->addr, 8, true);
	return RESP_MISS;
}

static noinline enum mirage_verdict responder_end_xrc_recv(struct mirage_qp *qp,
							   const struct mirage_request *hdr)
{
	const struct mirage_op *op = hdr->op;
	struct mirage_cqe cqe = {
		.wr_id = qp->resp.wqe.wr_id,
		.status = IB_WC_SUCCESS,
		.opcode = op->recv,
		.byte_len = hdr->length,
		.ex = op->ex ? hdr->ex : 0,
		.src_qp = qp->attr.dest_qp_num,
		.wc_flags = op->ex,
	};

	qp->resp.have_wqe = false;
	if (!mirage_complete_recv(qp, &cqe, hdr->solicited))
		return RESP_OK;
	mirage_qp_error_locked(qp, IB_EVENT_QP_FATAL);
	return RESP_NAK_OPERATIONAL;
}

/* Completes the receive work request of a request, writing the CQE in its place in the CQ. */
static enum mirage_verdict responder_end_recv(struct mirage_qp *qp,
					      const struct mirage_request *hdr)
{
	const struct mirage_op *op = hdr->op;
	struct mirage_cqe *slot;

	if (unlikely(!qp->rcq))
		return responder_end_xrc_recv(qp, hdr);
	qp->resp.have_wqe = false;
	slot = mirage_cq_begin(qp->rcq);
	if (likely(slot)) {
		mirage_complete_fill_recv(qp, slot);
		slot->opcode = op->recv;
		slot->byte_len = hdr->length;
		slot->ex = op->ex ? hdr->ex : 0;
		slot->src_qp = qp->attr.dest_qp_num;
		slot->wc_flags = op->ex;
		slot->sl = 0;
	}
	if (likely(!mirage_cq_end(qp->rcq, slot, hdr->solicited)))
		return RESP_OK;
	mirage_qp_error_locked(qp, IB_EVENT_QP_FATAL);
	return RESP_NAK_OPERATIONAL;
}

/**
 * mirage_responder_end - end a request whose bytes have all been moved
 * @qp: the responder's QP; its lock is held
 * @hdr: the request
 *
 * Return: RESP_OK if it is to be acknowledged; or a NAK.
 */
enum mirage_verdict mirage_responder_end(struct mirage_qp *qp, const struct mirage_request *hdr)
{
	struct mirage_responder *resp = &qp->resp;

	lockdep_assert_held(&qp->lock);
	responder_release_bytes(resp);
	if (hdr->op->ex == MIRAGE_WC_WITH_INV &&
	    mirage_mw_invalidate(qp->dev, resp->pd, qp->qpn, hdr->ex))
		return responder_send_nak(qp, RESP_NAK_ACCESS);
	resp->psn = (resp->psn + hdr->packets) & PSN_MASK;
	return hdr->op->recv ? responder_end_recv(qp, hdr) : RESP_OK;
}

/**
 * mirage_responder_fault_failed - a page that the request needs can not be brought in
 * @qp: the responder's QP; its lock is held
 * @hdr: the request
 * @err: the error of the fault
 *
 * Return: the NAK.
 */
enum mirage_verdict mirage_responder_fault_failed(struct mirage_qp *qp,
						  const struct mirage_request *hdr, int err)
{
	lockdep_assert_held(&qp->lock);
	if (hdr->op->class == OP_SEND)
		return responder_nak_wqe(qp, RESP_NAK_OPERATIONAL, IB_WC_LOC_PROT_ERR, err);
	return responder_send_nak(qp, RESP_NAK_ACCESS);
}

/**
 * mirage_responder_reset - forget the request under way
 * @qp: the QP; its lock is held
 *
 * If a receive work request was taken for it, mirage_complete_flush_recvs() completes that.
 */
void mirage_responder_reset(struct mirage_qp *qp)
{
	lockdep_assert_held(&qp->lock);
	responder_release_bytes(&qp->resp);
}

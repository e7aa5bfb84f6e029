// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Completions of a QP
 */
#include "base/device.h"
#include "qp/completer.h"
#include "qp/qp.h"

/**
 * mirage_complete_send_visibly - post the CQE of the send work request under way
 * @qp: the QP; the caller is its runner
 * @status: as mirage_complete_send()
 * @err: as mirage_complete_send()
 *
 * Return: as mirage_complete_send().
 */
int mirage_complete_send_visibly(struct mirage_qp *qp, enum ib_wc_status status, int err)
{
	const struct mirage_requester *req = &qp->req;
	const struct mirage_cqe cqe = {
		.wr_id = req->wqe.head.wr_id,
		.byte_len = req->hdr.length,
		.qp_num = qp->qpn,
		.vendor_err = -err,
		.status = status,
		.opcode = req->op ? req->op->wc : IB_WC_SEND,
		.cons = qp->sq.index,
		.ring = MIRAGE_CQE_SQ,
	};

	return mirage_cq_post(qp->scq, &cqe, false);
}

/**
 * mirage_complete_wr - complete the oldest of several send work requests under way
 * @qp: the QP; the caller owns the index of its send ring
 * @head: our copy of the work request
 * @op: the row of its opcode, or NULL
 * @length: bytes of the message
 * @status: the status to complete it with
 * @err: the errno behind a bad status, or 0
 *
 * Return: as mirage_complete_send().
 */
int mirage_complete_wr(struct mirage_qp *qp, const struct mirage_send_wqe *head,
		       const struct mirage_op *op,
		       u32 length, enum ib_wc_status status, int err)
{
	struct mirage_cqe *slot;

	mirage_ring_consume(&qp->sq);
	if (status == IB_WC_SUCCESS && !qp->sig_all &&
	    !(head->flags & MIRAGE_WQE_SIGNALED))
		return 0;

	slot = mirage_cq_begin(qp->scq);
	if (likely(slot)) {
		slot->wr_id = head->wr_id;
		slot->status = status;
		slot->opcode = op ? op->wc : IB_WC_SEND;
		slot->vendor_err = -err;
		slot->byte_len = length;
		slot->ex = 0;
		slot->qp_num = qp->qpn;
		slot->src_qp = 0;
		slot->wc_flags = 0;
		slot->cons = qp->sq.index;
		slot->ring = MIRAGE_CQE_SQ;
		slot->sl = 0;
		slot->pkey_index = 0;
	}
	return mirage_cq_end(qp->scq, slot, status);
}

/**
 * mirage_complete_recv - complete a receive work request
 * @qp: the QP; its lock is held
 * @cqe: the completion; its ->qp_num, ->cons and ->ring are filled in here
 * @solicited: the sender asked for a solicited event
 *
 * Return: 0, or -EOVERFLOW as mirage_cq_post().
 */
int mirage_complete_recv(struct mirage_qp *qp, struct mirage_cqe *cqe, bool solicited)
{
	lockdep_assert_held(&qp->lock);

	cqe->qp_num = qp->qpn;
	cqe->cons = qp->rq.index;
	cqe->ring = qp->rq.hdr ? MIRAGE_CQE_RQ : MIRAGE_CQE_NO_RING;
	if (unlikely(qp->type == IB_QPT_XRC_TGT))
		return mirage_xsrq_complete(qp->dev, qp->xrcd, qp->resp.srqn, cqe,
					    solicited);
	return mirage_cq_post(qp->rcq, cqe, solicited);
}

/**
 * mirage_complete_flush_sends - flush what the process has posted to the send queue
 * @qp: the QP, in error; the caller is its runner
 *
 * A work request that is posted later comes with a doorbell, which flushes it. A CQ that
 * overflows meanwhile has raised its own event; there is nobody else to tell.
 */
void mirage_complete_flush_sends(struct mirage_qp *qp)
{
	struct mirage_cqe cqe = {
		.qp_num = qp->qpn,
		.status = IB_WC_WR_FLUSH_ERR,
		.opcode = IB_WC_SEND,
		.ring = MIRAGE_CQE_SQ,
	};
	int left;

	/*
	 * An XRC target has no send ring. The index is read once: the process could move it for
	 * ever.
	 */
	left = qp->sq.hdr ? mirage_ring_pending(&qp->sq) : 0;

	for (; left > 0; left--) {
		const struct mirage_send_wqe *wqe;

		wqe = mirage_ring_slot(&qp->sq, qp->sq.index);
		cqe.wr_id = READ_ONCE(wqe->wr_id);
		mirage_ring_consume(&qp->sq);
		cqe.cons = qp->sq.index;
		mirage_cq_post(qp->scq, &cqe, false);
	}
}

/**
 * mirage_complete_flush_recvs - flush the receive queue
 * @qp: the QP, in error; its lock is held
 *
 * A receive that is posted later comes with a doorbell, which flushes it.
 */
void mirage_complete_flush_recvs(struct mirage_qp *qp)
{
	struct mirage_cqe cqe = {
		.status = IB_WC_WR_FLUSH_ERR,
		.opcode = IB_WC_RECV,
	};
	int left;

	lockdep_assert_held(&qp->lock);
	if (qp->resp.have_wqe) {
		qp->resp.have_wqe = false;
		cqe.wr_id = qp->resp.wqe.wr_id;
		mirage_complete_recv(qp, &cqe, false);
	}
	if (!qp->rq.hdr)
		return;

	mirage_ring_want_doorbell(&qp->rq, true);
	/* The index is read once: the process could move it for ever. */
	for (left = mirage_ring_pending(&qp->rq); left > 0; left--) {
		const struct mirage_recv_wqe *wqe;

		wqe = mirage_ring_slot(&qp->rq, qp->rq.index);
		cqe.wr_id = READ_ONCE(wqe->wr_id);
		mirage_ring_consume(&qp->rq);
		mirage_complete_recv(qp, &cqe, false);
	}
}

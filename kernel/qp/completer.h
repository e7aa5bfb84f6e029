/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Completions of a QP
 */
#ifndef MIRAGE_COMPLETER_H
#define MIRAGE_COMPLETER_H

#include <rdma/ib_verbs.h>

#include "qp/qp.h"

struct mirage_send_wqe;

int mirage_complete_send_visibly(struct mirage_qp *qp, enum ib_wc_status status, int err);
int mirage_complete_wr(struct mirage_qp *qp, const struct mirage_send_wqe *head,
		       const struct mirage_op *op,
		       u32 length, enum ib_wc_status status, int err);
int mirage_complete_recv(struct mirage_qp *qp, struct mirage_cqe *cqe, bool solicited);
void mirage_complete_flush_sends(struct mirage_qp *qp);
void mirage_complete_flush_recvs(struct mirage_qp *qp);

/**
 * mirage_complete_send - complete the send work request under way
 * @qp: the QP; the caller is its runner
 * @status: the status to complete it with
 * @err: the errno behind a bad status, or 0
 *
 * The slot of the send ring is given back before the completion is visible, so that a process
 * that has seen the completion finds room to post.
 *
 * Return: 0, or -EOVERFLOW as mirage_cq_post().
 */
static inline int mirage_complete_send(struct mirage_qp *qp, enum ib_wc_status status, int err)
{
	mirage_ring_consume(&qp->sq);
	if (likely(status == IB_WC_SUCCESS) && !qp->sig_all &&
	    !(qp->req.wqe.head.flags & MIRAGE_WQE_SIGNALED))
		return 0;
	return mirage_complete_send_visibly(qp, status, err);
}

/**
 * mirage_complete_fill_recv - fill in the fields that all successful receives have in common
 * @qp: the QP; its lock is held
 * @slot: from mirage_cq_begin(); the caller fills in the fields that describe the message
 */
static inline void mirage_complete_fill_recv(const struct mirage_qp *qp, struct mirage_cqe *slot)
{
	lockdep_assert_held(&qp->lock);
	slot->wr_id = qp->resp.wqe.wr_id;
	slot->status = IB_WC_SUCCESS;
	slot->vendor_err = 0;
	slot->qp_num = qp->qpn;
	slot->cons = qp->rq.index;
	slot->ring = qp->rq.hdr ? MIRAGE_CQE_RQ : MIRAGE_CQE_NO_RING;
	slot->pkey_index = 0;
}

#endif

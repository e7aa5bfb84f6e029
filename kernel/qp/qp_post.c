// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Kernel users post to their queue pairs
 *
 * A kernel user posts from any context, with its own locks held, even with IRQs off. It does
 * not expect its completion handler to be called meanwhile: see mirage_qp_send_doorbell().
 */
#include "base/device.h"
#include "mem/fastreg.h"
#include "qp/qp.h"
#include "qp/qp_post.h"
#include "queue/post.h"

static int qp_post_one(struct mirage_qp *qp, const struct ib_send_wr *wr)
	__must_hold(&qp->post_lock)
{
	int err;

	lockdep_assert_held(&qp->post_lock);
	err = mirage_post_put_send(&qp->sq, &qp->cap, qp->transport == OP_UD, wr);
	/* The slot has only the key; the region keeps what that key is going to name. */
	if (unlikely(wr->opcode == IB_WR_REG_MR) && !err)
		err = mirage_fastreg_prepare(reg_wr(wr)->mr, reg_wr(wr)->key,
					     reg_wr(wr)->access);
	if (!err)
		mirage_post_push(&qp->sq);
	return err;
}

/**
 * mirage_post_send - ib_device_ops.post_send
 * @ibqp: a kernel user's QP
 * @wr: the first of a list
 * @bad_wr: on failure the first that was not posted; else left alone
 *
 * Any context but hardirq; IRQs may be off.
 *
 * Return: 0; -ENOMEM if the queue is full; -EINVAL if the QP is in no state to send, or for a
 * malformed work request; -EOPNOTSUPP for the QP of a process.
 */
int mirage_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		     const struct ib_send_wr **bad_wr)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	unsigned long flags;
	int err = 0;

	if (ibqp->uobject) {
		*bad_wr = wr;
		return -EOPNOTSUPP;
	}
	if (READ_ONCE(qp->state) < IB_QPS_RTS || !qp->sq.hdr) {
		*bad_wr = wr;
		return -EINVAL;
	}

	spin_lock_irqsave(&qp->post_lock, flags);
	for (; wr; wr = wr->next) {
		err = qp_post_one(qp, wr);
		if (err) {
			*bad_wr = wr;
			break;
		}
	}
	spin_unlock_irqrestore(&qp->post_lock, flags);

	mirage_qp_send_doorbell(qp);
	return err;
}

/**
 * mirage_post_recv - ib_device_ops.post_recv
 * @ibqp: a kernel user's QP, without an SRQ
 * @wr: the first of a list
 * @bad_wr: on failure the first that was not posted; else left alone
 *
 * Any context but hardirq; IRQs may be off.
 *
 * Return: 0; -ENOMEM if the queue is full; -EINVAL if the QP is in RESET or has no receive
 * ring, or for too many SGEs; -EOPNOTSUPP for the QP of a process.
 */
int mirage_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		     const struct ib_recv_wr **bad_wr)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	bool wants_doorbell;
	unsigned long flags;
	int err;

	if (ibqp->uobject) {
		*bad_wr = wr;
		return -EOPNOTSUPP;
	}
	if (READ_ONCE(qp->state) == IB_QPS_RESET || !qp->rq.hdr) {
		*bad_wr = wr;
		return -EINVAL;
	}

	spin_lock_irqsave(&qp->post_lock, flags);
	err = mirage_post_recvs(&qp->rq, qp->rq.entries, qp->cap.max_recv_sge, wr, bad_wr);
	wants_doorbell = mirage_post_wants_doorbell(&qp->rq);
	spin_unlock_irqrestore(&qp->post_lock, flags);
	if (wants_doorbell)
		mirage_qp_recv_doorbell_later(qp);
	return err;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * recv.c - posting receives, to a queue pair's own queue or a shared one
 *
 * No system call, unless the kernel said that it waits for a receive.
 */
#include "mirage.h"

/*
 * A queue pair's slots are free when their completion was polled. An SRQ's complete
 * through many queue pairs and CQs in no order, so one that is slow would keep all
 * that were posted after it: they are free when the kernel has taken them.
 */
static inline bool full(struct mirage_wq *wq, uint32_t index, bool shared)
{
	if (likely(!mirage_wq_full(wq, index)))
		return false;
	if (shared)
		mirage_wq_set_tail(wq,
				   mirage_load_index(&wq->ring.hdr->cons));
	return mirage_wq_full(wq, index);
}

static inline int fill(struct mirage_wq *wq, const struct mirage_ring *ring,
		       uint32_t index, const struct ibv_recv_wr *wr)
{
	struct mirage_recv_wqe *wqe = mirage_ring_slot(ring, index);
	struct mirage_sge *sge = (struct mirage_sge *)(wqe + 1);
	int i;

	/* As unsigned: a negative count is too many as well. */
	if (unlikely((uint32_t)wr->num_sge > wq->max_sge))
		return EINVAL;

	wqe->wr_id = wr->wr_id;
	wqe->num_sge = wr->num_sge;
	for (i = 0; i < wr->num_sge; i++) {
		sge[i].addr = wr->sg_list[i].addr;
		sge[i].length = wr->sg_list[i].length;
		sge[i].lkey = wr->sg_list[i].lkey;
	}
	return 0;
}

static int post(struct mirage_wq *wq, bool shared, int fd,
		struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr)
{
	/* A copy, which no store to a WQE can change in the compiler's eyes. */
	const struct mirage_ring ring = wq->ring;
	struct ibv_recv_wr *first = wr;
	bool wants_doorbell = false;
	uint32_t next;
	int err = 0;

	mirage_lock(&wq->lock);
	for (next = wq->next; wr; wr = wr->next, next++) {
		err = likely(!full(wq, next, shared)) ?
		      fill(wq, &ring, next, wr) : ENOMEM;
		if (unlikely(err)) {
			*bad_wr = wr;
			break;
		}
	}
	if (likely(next != wq->next)) {
		mirage_wq_publish(wq, next);
		wants_doorbell = mirage_wq_wants_doorbell(wq);
	}
	mirage_unlock(&wq->lock);

	if (unlikely(wants_doorbell)) {
		int doorbell_err = mirage_wq_ring_doorbell(wq, fd);

		if (doorbell_err) {
			*bad_wr = first;
			return doorbell_err;
		}
	}
	return err;
}

int mirage_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr,
		     struct ibv_recv_wr **bad_wr)
{
	struct mirage_qp *qp = to_mqp(ibqp);

	/* There is no ring when receives come from an SRQ. */
	if (unlikely(ibqp->state == IBV_QPS_RESET || !qp->rq.ring.hdr)) {
		*bad_wr = wr;
		return EINVAL;
	}
	return post(&qp->rq, false, ibqp->context->cmd_fd, wr, bad_wr);
}

int mirage_post_srq_recv(struct ibv_srq *ibsrq, struct ibv_recv_wr *wr,
			 struct ibv_recv_wr **bad_wr)
{
	return post(&to_msrq(ibsrq)->wq, true, ibsrq->context->cmd_fd, wr,
		    bad_wr);
}

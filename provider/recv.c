// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * recv.c - posting receives, to a queue pair's own queue or a shared one
 *
 * Posting makes no system call unless the kernel has said that it waits for a receive.
 */
#include "mirage.h"

/*
 * A slot of a queue pair's own queue is free once its completion was polled. Those of
 * an SRQ complete on many queue pairs and CQs in no order, and a slow one would keep
 * every slot posted after it; so they are free once the kernel has taken them.
 */
static inline bool recv_is_full(struct mirage_wq *wq, uint32_t index, bool shared)
{
	if (likely(!mirage_wq_full(wq, index)))
		return false;
	if (shared)
		mirage_wq_set_tail(wq,
				   mirage_load_index(&wq->ring.hdr->cons));
	return mirage_wq_full(wq, index);
}

static inline int recv_fill(struct mirage_wq *wq,
			    const struct mirage_ring *ring, uint32_t index,
			    const struct ibv_recv_wr *wr)
{
	struct mirage_recv_wqe *wqe = mirage_ring_slot(ring, index);
	struct mirage_sge *sge = (struct mirage_sge *)(wqe + 1);
	int i;

	/* Compared as unsigned, so that a negative count is too many as well. */
	if (unlikely((uint32_t)wr->num_sge > wq->max_sge))
		return EINVAL;

	wqe->wr_id = wr->wr_id;
	wqe->num_sge = wr->num_sge;
	for (i = 0; i < wr->num_sge; i++)
		mirage_sge_put(&sge[i], wr->sg_list[i].addr,
			       wr->sg_list[i].length, wr->sg_list[i].lkey);
	return 0;
}

static int recv_post(struct mirage_wq *wq, bool shared, int fd,
		     struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr)
{
	/* A local copy: the compiler knows that no store to a WQE changes it. */
	const struct mirage_ring ring = wq->ring;
	struct ibv_recv_wr *first = wr;
	bool wanted = false;
	uint32_t next;
	int err = 0;

	mirage_lock(&wq->lock);
	for (next = wq->next; wr; wr = wr->next, next++) {
		err = likely(!recv_is_full(wq, next, shared)) ?
		      recv_fill(wq, &ring, next, wr) : ENOMEM;
		if (unlikely(err)) {
			*bad_wr = wr;
			break;
		}
	}
	if (likely(next != wq->next)) {
		mirage_wq_publish(wq, next);
		wanted = mirage_wq_wants_doorbell(wq);
	}
	mirage_unlock(&wq->lock);

	if (unlikely(wanted)) {
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

	/* A queue pair on an SRQ has no receive ring. */
	if (unlikely(ibqp->state == IBV_QPS_RESET || !qp->rq.ring.hdr)) {
		*bad_wr = wr;
		return EINVAL;
	}
	return recv_post(&qp->rq, false, ibqp->context->cmd_fd, wr, bad_wr);
}

int mirage_post_srq_recv(struct ibv_srq *ibsrq, struct ibv_recv_wr *wr,
			 struct ibv_recv_wr **bad_wr)
{
	return recv_post(&to_msrq(ibsrq)->wq, true, ibsrq->context->cmd_fd, wr,
			 bad_wr);
}

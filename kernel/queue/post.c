// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Posting by kernel users
 *
 * What the provider does in a process: work requests are encoded into the ring, and
 * the queue is kicked. Kernel users post from any context and with their own locks
 * held, even with IRQs off, and expect no completion handler to be called meanwhile:
 * see mirage_qp_send_doorbell().
 */
#include <linux/string.h>

#include "base/device.h"
#include "mem/dma.h"
#include "qp/qp.h"
#include "queue/post.h"
#include "queue/srq.h"
#include "queue/wqe.h"
#include "ud/ah.h"

static_assert(sizeof(struct ib_sge) == sizeof(struct mirage_sge));
static_assert(offsetof(struct ib_sge, length) == offsetof(struct mirage_sge, length));
static_assert(offsetof(struct ib_sge, lkey) == offsetof(struct mirage_sge, lkey));

/*
 * The slot to write next, or NULL when so many are in use as may be; the poster's lock is
 * held.
 */
static void *post_room(const struct mirage_ring *ring, u32 most)
{
	u32 prod = ring->hdr->prod;

	/* Pairs with the release store of mirage_ring_consume(). */
	if (prod - smp_load_acquire(&ring->hdr->cons) >= most)
		return NULL;
	return mirage_ring_slot(ring, prod);
}

static void post_push(struct mirage_ring *ring)
{
	/* The slot before the index that covers it. */
	smp_store_release(&ring->hdr->prod, ring->hdr->prod + 1);
}

/* Does the consumer wait for what was pushed just now? */
static bool post_wants_doorbell(const struct mirage_ring *ring)
{
	/* Between our index and its flag, as mirage_ring_want_doorbell(). */
	smp_mb();
	return READ_ONCE(ring->hdr->cons_flags) & MIRAGE_WANT_DOORBELL;
}

static int post_put_inline(struct mirage_send_wqe *slot, const struct ib_send_wr *wr, u32 max)
{
	void *to = slot + 1;
	u32 len = 0;
	int i;

	for (i = 0; i < wr->num_sge; i++) {
		const struct ib_sge *sge = &wr->sg_list[i];

		if (sge->length > max - len)
			return -EINVAL;
		memcpy(to + len, (void *)(uintptr_t)sge->addr, sge->length);
		len += sge->length;
	}
	slot->inline_len = len;
	return 0;
}

static int post_put_reg(struct mirage_send_wqe *slot, const struct ib_reg_wr *wr)
{
	slot->opcode = MIRAGE_WR_REG_MR;
	slot->ex = wr->key;
	return mirage_fastreg_prepare(wr->mr, wr->key, wr->access);
}

static void post_put_datagram(struct mirage_send_wqe *slot, const struct ib_ud_wr *wr)
{
	slot->remote_addr = to_mah(wr->ah)->av->num;
	slot->rkey = wr->remote_qkey;
	slot->swap = (u64)wr->pkey_index << 32 | wr->remote_qpn;
}

/* What else than data an opcode has. */
static int post_put_operands(const struct mirage_qp *qp, struct mirage_send_wqe *slot,
			     const struct ib_send_wr *wr)
{
	switch (wr->opcode) {
	case IB_WR_RDMA_WRITE:
	case IB_WR_RDMA_WRITE_WITH_IMM:
	case IB_WR_RDMA_READ:
		slot->remote_addr = rdma_wr(wr)->remote_addr;
		slot->rkey = rdma_wr(wr)->rkey;
		return 0;
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		slot->remote_addr = atomic_wr(wr)->remote_addr;
		slot->rkey = atomic_wr(wr)->rkey;
		slot->compare_add = atomic_wr(wr)->compare_add;
		slot->swap = atomic_wr(wr)->swap;
		return 0;
	case IB_WR_SEND:
	case IB_WR_SEND_WITH_IMM:
		if (qp->transport == OP_UD)
			post_put_datagram(slot, ud_wr(wr));
		return 0;
	case IB_WR_SEND_WITH_INV:
	case IB_WR_LOCAL_INV:
		return 0;
	case IB_WR_REG_MR:
		return post_put_reg(slot, reg_wr(wr));
	default:
		return -EINVAL;
	}
}

static u8 post_flags_of(int send_flags)
{
	return (send_flags & IB_SEND_SIGNALED ? MIRAGE_WQE_SIGNALED : 0) |
	       (send_flags & IB_SEND_SOLICITED ? MIRAGE_WQE_SOLICITED : 0) |
	       (send_flags & IB_SEND_FENCE ? MIRAGE_WQE_FENCE : 0) |
	       (send_flags & IB_SEND_INLINE ? MIRAGE_WQE_INLINE : 0);
}

static int post_put_send(const struct mirage_qp *qp, const struct ib_send_wr *wr)
{
	struct mirage_send_wqe *slot = post_room(&qp->sq, qp->sq.entries);
	int err;

	if (!slot)
		return -ENOMEM;
	if (wr->num_sge < 0 || wr->num_sge > qp->cap.max_send_sge)
		return -EINVAL;
	*slot = (struct mirage_send_wqe) {
		.wr_id = wr->wr_id,
		.opcode = wr->opcode,
		.flags = post_flags_of(wr->send_flags),
		.num_sge = wr->num_sge,
		/* The immediate as it is, or the key: the same bytes. */
		.ex = wr->ex.invalidate_rkey,
	};
	err = post_put_operands(qp, slot, wr);
	if (err)
		return err;
	if (wr->send_flags & IB_SEND_INLINE)
		return post_put_inline(slot, wr, qp->cap.max_inline_data);
	memcpy(slot + 1, wr->sg_list, wr->num_sge * sizeof(*wr->sg_list));
	return 0;
}

/**
 * mirage_post_send - ib_device_ops.post_send
 * @ibqp: a kernel user's QP
 * @wr: the first of a list
 * @bad_wr: the first that was not posted
 *
 * Any context but hardirq; IRQs may be off.
 *
 * Return: 0; -ENOMEM the queue is full; -EINVAL the QP is in no state to send, or a
 * work request that can not be; -EOPNOTSUPP for the QP of a process.
 */
int mirage_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		     const struct ib_send_wr **bad_wr)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	unsigned long flags;
	int err = 0;

	*bad_wr = wr;
	if (ibqp->uobject)
		return -EOPNOTSUPP;
	if (READ_ONCE(qp->state) < IB_QPS_RTS || !qp->sq.hdr)
		return -EINVAL;

	spin_lock_irqsave(&qp->post_lock, flags);
	for (; wr; wr = wr->next) {
		err = post_put_send(qp, wr);
		if (err)
			break;
		post_push(&qp->sq);
	}
	spin_unlock_irqrestore(&qp->post_lock, flags);

	mirage_qp_send_doorbell(qp);
	*bad_wr = wr;
	return err;
}

static int post_put_recv(struct mirage_ring *ring, u32 most, const struct ib_recv_wr *wr,
			 u32 max_sge)
{
	struct mirage_recv_wqe *slot = post_room(ring, most);

	if (!slot)
		return -ENOMEM;
	if (wr->num_sge < 0 || wr->num_sge > max_sge)
		return -EINVAL;
	*slot = (struct mirage_recv_wqe) { .wr_id = wr->wr_id, .num_sge = wr->num_sge };
	memcpy(slot + 1, wr->sg_list, wr->num_sge * sizeof(*wr->sg_list));
	post_push(ring);
	return 0;
}

/* Under the poster's lock. *bad_wr is NULL after the last one. */
static int post_put_recvs(struct mirage_ring *ring, u32 most, const struct ib_recv_wr *wr,
			  u32 max_sge, const struct ib_recv_wr **bad_wr)
{
	int err = 0;

	for (; wr; wr = wr->next) {
		err = post_put_recv(ring, most, wr, max_sge);
		if (err)
			break;
	}
	*bad_wr = wr;
	return err;
}

/**
 * mirage_post_recv - ib_device_ops.post_recv
 * @ibqp: a kernel user's QP, without an SRQ
 * @wr: the first of a list
 * @bad_wr: the first that was not posted
 *
 * Any context but hardirq; IRQs may be off.
 *
 * Return: 0; -ENOMEM the queue is full; -EINVAL the QP is in no state to be posted
 * to, or too many SGEs; -EOPNOTSUPP for the QP of a process.
 */
int mirage_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		     const struct ib_recv_wr **bad_wr)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	unsigned long flags;
	bool kick;
	int err;

	*bad_wr = wr;
	if (ibqp->uobject)
		return -EOPNOTSUPP;
	if (READ_ONCE(qp->state) == IB_QPS_RESET || !qp->rq.hdr)
		return -EINVAL;

	spin_lock_irqsave(&qp->post_lock, flags);
	err = post_put_recvs(&qp->rq, qp->rq.entries, wr, qp->cap.max_recv_sge, bad_wr);
	kick = post_wants_doorbell(&qp->rq);
	spin_unlock_irqrestore(&qp->post_lock, flags);
	if (kick)
		mirage_qp_recv_doorbell_later(qp);
	return err;
}

/**
 * mirage_post_srq_recv - ib_device_ops.post_srq_recv
 * @ibsrq: a kernel user's SRQ
 * @wr: the first of a list
 * @bad_wr: the first that was not posted
 *
 * Any context but hardirq; IRQs may be off.
 *
 * Return: 0; -ENOMEM the queue is full; -EINVAL too many SGEs; -EOPNOTSUPP for the
 * SRQ of a process.
 */
int mirage_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
			 const struct ib_recv_wr **bad_wr)
{
	struct mirage_srq *srq = to_msrq(ibsrq);
	unsigned long flags;
	bool kick;
	int err;

	*bad_wr = wr;
	if (ibsrq->uobject)
		return -EOPNOTSUPP;

	spin_lock_irqsave(&srq->post_lock, flags);
	err = post_put_recvs(&srq->ring, READ_ONCE(srq->max_wr), wr, srq->max_sge, bad_wr);
	kick = post_wants_doorbell(&srq->ring);
	spin_unlock_irqrestore(&srq->post_lock, flags);
	if (kick)
		queue_work(to_mdev(ibsrq->device)->wq, &srq->kick);
	return err;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Work requests of kernel users, encoded into a ring as the provider does it in a process
 *
 * This file posts to SRQs, qp/qp_post.c to queue pairs. A ring has one poster at a time:
 * its owner's post_lock ensures that. The functions that take a ring do not know the lock.
 */
#include <linux/string.h>

#include "base/ah.h"
#include "base/device.h"
#include "queue/opcode.h"
#include "queue/post.h"
#include "queue/srq.h"

/* The slot to write next, or NULL when no more may be in use. */
static void *post_room(const struct mirage_ring *ring, u32 most)
{
	u32 prod = ring->hdr->prod;

	/* Pairs with the release store of mirage_ring_consume(). */
	if (prod - smp_load_acquire(&ring->hdr->cons) >= most)
		return NULL;
	return mirage_ring_slot(ring, prod);
}

/* As a rule there is one SGE, and a loop costs less than a call of memcpy(). */
static void post_put_sges(struct mirage_sge *to, const struct ib_sge *from, int num)
{
	int i;

	for (i = 0; i < num; i++) {
		to[i].addr = from[i].addr;
		to[i].length = from[i].length;
		to[i].lkey = from[i].lkey;
	}
}

/* Not inlined, so that only work requests with inline data save the registers for it. */
static noinline int post_put_inline(struct mirage_send_wqe *slot, const struct ib_send_wr *wr,
				    u32 max)
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

static void post_put_datagram(struct mirage_send_wqe *slot, const struct ib_ud_wr *wr)
{
	slot->remote_addr = to_mah(wr->ah)->num;
	slot->rkey = wr->remote_qkey;
	slot->swap = (u64)wr->pkey_index << 32 | wr->remote_qpn;
}

/* Encodes the operands of an opcode: all but its data. */
static int post_put_operands(struct mirage_send_wqe *slot, const struct ib_send_wr *wr, bool ud)
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
		if (ud)
			post_put_datagram(slot, ud_wr(wr));
		return 0;
	case IB_WR_SEND_WITH_INV:
	case IB_WR_LOCAL_INV:
		return 0;
	case IB_WR_REG_MR:
		slot->opcode = MIRAGE_WR_REG_MR;
		slot->ex = reg_wr(wr)->key;
		return 0;
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

/**
 * mirage_post_put_send - write a work request to the next slot of a send ring
 * @ring: a kernel user's send ring
 * @cap: what the ring was made for
 * @ud: the work request is one of a queue pair for datagrams
 * @wr: the work request
 *
 * Any context, one poster at a time. The consumer does not see the slot before
 * mirage_post_push(); meanwhile the caller tells the region of an IB_WR_REG_MR about it.
 *
 * Return: 0; -ENOMEM the ring is full; -EINVAL a work request that can not be.
 */
int mirage_post_put_send(const struct mirage_ring *ring, const struct ib_qp_cap *cap, bool ud,
			 const struct ib_send_wr *wr)
{
	struct mirage_send_wqe *slot = post_room(ring, ring->entries);
	int err;

	if (!slot)
		return -ENOMEM;
	if (wr->num_sge < 0 || wr->num_sge > cap->max_send_sge)
		return -EINVAL;
	*slot = (struct mirage_send_wqe) {
		.wr_id = wr->wr_id,
		.opcode = wr->opcode,
		.flags = post_flags_of(wr->send_flags),
		.num_sge = wr->num_sge,
		/* The immediate and the key are in the same bytes of the union. */
		.ex = wr->ex.invalidate_rkey,
	};
	err = post_put_operands(slot, wr, ud);
	if (err)
		return err;
	if (wr->send_flags & IB_SEND_INLINE)
		return post_put_inline(slot, wr, cap->max_inline_data);
	post_put_sges((struct mirage_sge *)(slot + 1), wr->sg_list, wr->num_sge);
	return 0;
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
	post_put_sges((struct mirage_sge *)(slot + 1), wr->sg_list, wr->num_sge);
	mirage_post_push(ring);
	return 0;
}

/**
 * mirage_post_recvs - push a list of work requests to a receive ring
 * @ring: a kernel user's receive ring, of a queue pair or an SRQ
 * @most: how many of its slots may be in use
 * @max_sge: SGEs of one work request
 * @wr: the first of the list
 * @bad_wr: on failure: the first that was not posted; else left alone
 *
 * Any context, one poster at a time.
 *
 * Return: 0; -ENOMEM the ring is full; -EINVAL too many SGEs.
 */
int mirage_post_recvs(struct mirage_ring *ring, u32 most, u32 max_sge,
		      const struct ib_recv_wr *wr, const struct ib_recv_wr **bad_wr)
{
	int err;

	for (; wr; wr = wr->next) {
		err = post_put_recv(ring, most, wr, max_sge);
		if (err) {
			*bad_wr = wr;
			return err;
		}
	}
	return 0;
}

/**
 * mirage_post_srq_recv - ib_device_ops.post_srq_recv
 * @ibsrq: a kernel user's SRQ
 * @wr: the first of a list
 * @bad_wr: on failure: the first that was not posted; else left alone
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
	bool wants_doorbell;
	unsigned long flags;
	int err;

	if (ibsrq->uobject) {
		*bad_wr = wr;
		return -EOPNOTSUPP;
	}

	spin_lock_irqsave(&srq->post_lock, flags);
	err = mirage_post_recvs(&srq->ring, READ_ONCE(srq->max_wr), srq->max_sge, wr, bad_wr);
	wants_doorbell = mirage_post_wants_doorbell(&srq->ring);
	spin_unlock_irqrestore(&srq->post_lock, flags);
	if (wants_doorbell)
		queue_work(to_mdev(ibsrq->device)->wq, &srq->doorbell);
	return err;
}

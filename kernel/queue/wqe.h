/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Taking one work request out of its ring: copy it, then validate the copy
 *
 * What passes here is safe to execute, but perhaps not legal: whether an opcode fits its
 * QP, and a key its PD, the requester and the responder check.
 */
#ifndef MIRAGE_WQE_H
#define MIRAGE_WQE_H

#include "base/limits.h"
#include "queue/ring.h"

/**
 * struct mirage_send_copy - a send work request, out of the process' reach
 * @head: the copy
 * @inline_data: the data of an inline send, still in the ring; NULL otherwise
 * @length: sum of the SGEs, or inline_len
 * @sge: the copies of its SGEs, none for an inline send; the last member, so that a table
 *	of copies can leave out those SGEs that no slot of its ring has room for
 */
struct mirage_send_copy {
	struct mirage_send_wqe head;
	const void *inline_data;
	u32 length;
	struct mirage_sge sge[MIRAGE_MAX_SGE];
};

/**
 * struct mirage_recv_copy - a receive work request, out of the process' reach
 * @wr_id: the process' cookie
 * @num_sge: how many @sge are filled
 * @length: their sum
 * @sge: the copies
 */
struct mirage_recv_copy {
	u64 wr_id;
	u32 num_sge;
	u32 length;
	struct mirage_sge sge[MIRAGE_MAX_SGE];
};

u32 mirage_wqe_send_stride(u32 max_sge, u32 max_inline);
u32 mirage_wqe_recv_stride(u32 max_sge);

static inline int mirage_wqe_copy_sges(struct mirage_sge *to, const void *from, u32 num, u32 room,
				       u32 *length)
{
	u64 sum = 0;
	u32 i;

	if (num > MIRAGE_MAX_SGE || num * sizeof(*to) > room)
		return -EINVAL;

	for (i = 0; i < num; i++) {
		__builtin_memcpy(&to[i], from + i * sizeof(*to), sizeof(*to));
		/* Sum the copies up, not a second read of the ring. */
		barrier();
		sum += to[i].length;
	}
	if (sum > MIRAGE_MAX_MSG)
		return -EMSGSIZE;

	*length = sum;
	return 0;
}

/**
 * mirage_wqe_copy_send - take a private copy of a send work request
 * @to: the copy; @to->head is filled even on an error
 * @slot: its slot in the ring, which the process may write to meanwhile
 * @stride: size of the slot
 *
 * Any context.
 *
 * Return: 0, -EINVAL when it does not fit its slot, -EMSGSIZE when it is longer than a
 * message may be.
 */
static inline int mirage_wqe_copy_send(struct mirage_send_copy *to, const void *slot, u32 stride)
{
	u32 room = stride - sizeof(to->head);

	__builtin_memcpy(&to->head, slot, sizeof(to->head));
	/* Nothing below may read the ring a second time instead of the copy. */
	barrier();

	to->length = 0;
	to->inline_data = NULL;
	if (!(to->head.flags & MIRAGE_WQE_INLINE))
		return mirage_wqe_copy_sges(to->sge, slot + sizeof(to->head),
					    to->head.num_sge, room, &to->length);

	if (to->head.inline_len > room)
		return -EINVAL;
	to->head.num_sge = 0;
	to->inline_data = slot + sizeof(to->head);
	to->length = to->head.inline_len;
	return 0;
}

/**
 * mirage_wqe_copy_recv - take a private copy of a receive work request
 * @to: the copy; @to->wr_id is filled even on an error
 * @slot: its slot in the ring
 * @stride: size of the slot
 *
 * Any context.
 *
 * Return: as mirage_wqe_copy_send().
 */
static inline int mirage_wqe_copy_recv(struct mirage_recv_copy *to, const void *slot, u32 stride)
{
	const struct mirage_recv_wqe *head = slot;
	u32 num = READ_ONCE(head->num_sge);

	to->wr_id = READ_ONCE(head->wr_id);
	to->num_sge = num;
	to->length = 0;
	return mirage_wqe_copy_sges(to->sge, head + 1, num, stride - sizeof(*head),
				    &to->length);
}

/**
 * mirage_wqe_pop_recv - take the oldest receive work request of a ring
 * @ring: the ring; the lock of its queue is held
 * @to: the copy
 *
 * Return: 0, -ENOENT when there is none, -EPROTO when the process' index is out of
 * bounds, or what is wrong with the work request, which is consumed then, too.
 */
static inline int mirage_wqe_pop_recv(struct mirage_ring *ring, struct mirage_recv_copy *to)
{
	int ret = mirage_ring_pending(ring);

	if (ret <= 0)
		return ret ?: -ENOENT;

	ret = mirage_wqe_copy_recv(to, mirage_ring_slot(ring, ring->index), ring->stride);
	mirage_ring_consume(ring);
	return ret;
}

#endif

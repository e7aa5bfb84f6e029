// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The slots of work requests: their size, and the oldest of a receive queue
 */
#include "wqe.h"

/**
 * wqe_send_stride - bytes per slot of a send queue
 * @max_sge: SGEs that must fit
 * @max_inline: bytes of inline data that must fit
 */
u32 wqe_send_stride(u32 max_sge, u32 max_inline)
{
	u32 room = max_t(u32, max_sge * sizeof(struct mirage_sge), max_inline);

	return ALIGN(sizeof(struct mirage_send_wqe) + room, 64);
}

/**
 * wqe_recv_stride - bytes per slot of a receive queue
 * @max_sge: SGEs that must fit
 */
u32 wqe_recv_stride(u32 max_sge)
{
	return ALIGN(sizeof(struct mirage_recv_wqe) +
		     max_sge * sizeof(struct mirage_sge), 32);
}

/**
 * wqe_pop_recv - take the oldest receive work request of a ring
 * @ring: the ring; the lock of its queue is held
 * @to: the copy
 *
 * Return: 0, -ENOENT when there is none, -EPROTO when the process' index is out of
 * bounds, or what is wrong with the work request (it is consumed all the same).
 */
int wqe_pop_recv(struct ring *ring, struct recv_wqe *to)
{
	int ret = ring_pending(ring);

	if (ret <= 0)
		return ret ?: -ENOENT;

	ret = wqe_copy_recv(to, ring_slot(ring, ring->index), ring->stride);
	ring_consume(ring);
	return ret;
}

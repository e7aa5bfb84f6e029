/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Work requests, copied out of their ring and validated
 */
#ifndef MIRAGE_WQE_H
#define MIRAGE_WQE_H

#include "ring.h"

/* The true limits, as ibv_query_device_ex reports them. */
#define MIRAGE_MAX_SGE		32
#define MIRAGE_MAX_INLINE	1024
#define MIRAGE_MAX_WR		16384
#define MIRAGE_MAX_MSG		(1U << 31)

/**
 * struct send_wqe - a send work request, out of the process' reach
 * @head: the copy
 * @inline_data: the data of an inline send, still in the ring; NULL otherwise
 * @length: sum of the SGEs, or inline_len
 * @sge: the copies of its SGEs, none for an inline send; the last member, so that who
 *	keeps many can leave out what no slot of the ring has room for
 */
struct send_wqe {
	struct mirage_send_wqe head;
	const void *inline_data;
	u32 length;
	struct mirage_sge sge[MIRAGE_MAX_SGE];
};

/**
 * struct recv_wqe - a receive work request, out of the process' reach
 * @wr_id: the process' cookie
 * @num_sge: how many @sge are filled
 * @length: their sum
 * @sge: the copies
 */
struct recv_wqe {
	u64 wr_id;
	u32 num_sge;
	u32 length;
	struct mirage_sge sge[MIRAGE_MAX_SGE];
};

u32 wqe_send_stride(u32 max_sge, u32 max_inline);
u32 wqe_recv_stride(u32 max_sge);
int wqe_copy_send(struct send_wqe *to, const void *slot, u32 stride);
int wqe_copy_recv(struct recv_wqe *to, const void *slot, u32 stride);
int wqe_pop_recv(struct ring *ring, struct recv_wqe *to);

#endif

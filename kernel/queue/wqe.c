// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The slots of work requests: their size */
#include "queue/wqe.h"

/**
 * mirage_wqe_send_stride - bytes per slot of a send queue
 * @max_sge: SGEs that must fit
 * @max_inline: bytes of inline data that must fit
 *
 * Return: the size, a multiple of 64.
 */
u32 mirage_wqe_send_stride(u32 max_sge, u32 max_inline)
{
	u32 room = max_t(u32, max_sge * sizeof(struct mirage_sge), max_inline);

	return ALIGN(sizeof(struct mirage_send_wqe) + room, 64);
}

/**
 * mirage_wqe_recv_stride - bytes per slot of a receive queue
 * @max_sge: SGEs that must fit
 *
 * Return: the size, a multiple of 32.
 */
u32 mirage_wqe_recv_stride(u32 max_sge)
{
	return ALIGN(sizeof(struct mirage_recv_wqe) +
		     max_sge * sizeof(struct mirage_sge), 32);
}

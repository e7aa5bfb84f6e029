/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Work requests of kernel users, encoded into a ring
 */
#ifndef MIRAGE_POST_H
#define MIRAGE_POST_H

#include <rdma/ib_verbs.h>

#include "queue/ring.h"

int mirage_post_put_send(const struct mirage_ring *ring, const struct ib_qp_cap *cap, bool ud,
			 const struct ib_send_wr *wr);
int mirage_post_recvs(struct mirage_ring *ring, u32 most, u32 max_sge,
		      const struct ib_recv_wr *wr, const struct ib_recv_wr **bad_wr);

/**
 * mirage_post_push - hand the slot that was filled last to the consumer
 * @ring: a kernel user's work queue
 *
 * Any context, one poster at a time.
 */
static inline void mirage_post_push(struct mirage_ring *ring)
{
	/* The slot before the index that covers it. */
	smp_store_release(&ring->hdr->prod, ring->hdr->prod + 1);
}

/**
 * mirage_post_wants_doorbell - does the consumer wait for what was pushed just now?
 * @ring: a kernel user's work queue
 *
 * Any context, one poster at a time.
 *
 * Return: whether the caller has to ring it.
 */
static inline bool mirage_post_wants_doorbell(const struct mirage_ring *ring)
{
	/* Between our index and its flag, as mirage_ring_want_doorbell(). */
	smp_mb();
	return READ_ONCE(ring->hdr->cons_flags) & MIRAGE_WANT_DOORBELL;
}

int mirage_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
			 const struct ib_recv_wr **bad_wr);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Completion queues
 */
#ifndef MIRAGE_CQ_H
#define MIRAGE_CQ_H

#include <linux/spinlock.h>
#include <rdma/ib_verbs.h>

#include "queue/ring.h"

/**
 * struct mirage_cq - one completion queue
 * @ibcq: the core's object
 * @lock: protects @ring and @overflow; taken with BHs off; only @poll_lock is inside
 * @ring: prod is ring.index
 * @flags: MIRAGE_CQ_*
 * @overflow: the process let it overflow: nothing is posted any more
 * @told: the event of that was raised
 * @poll_lock: of a kernel user's CQ: one poll at a time; protects cons; taken with IRQs
 *	off, inside @lock
 */
struct mirage_cq {
	struct ib_cq ibcq;
	spinlock_t lock; /* see above */
	struct mirage_ring ring;
	u32 flags;
	bool overflow;
	u32 told;
	spinlock_t poll_lock; /* see above */
};

static inline struct mirage_cq *to_mcq(struct ib_cq *ibcq)
{
	return container_of(ibcq, struct mirage_cq, ibcq);
}

void mirage_cq_stamp(const struct mirage_cq *cq, struct mirage_cqe *slot);
bool mirage_cq_take_arm(struct mirage_cq *cq, bool solicited);
int mirage_cq_overflow(struct mirage_cq *cq);
int mirage_cq_post(struct mirage_cq *cq, const struct mirage_cqe *cqe,
		   bool solicited);

/*
 * mirage_cq_post() in two halves. Between them the caller fills the CQE in its slot, which
 * spares common completions a copy.
 */

/**
 * mirage_cq_begin - take the slot of the next CQE
 * @cq: the CQ; it is locked until mirage_cq_end()
 *
 * Return: the CQE, to be filled by the caller but for the timestamps (they are 0 where
 * the CQ has none); NULL: the CQ is full.
 */
static inline struct mirage_cqe *mirage_cq_begin(struct mirage_cq *cq)
	__acquires(&cq->lock)
{
	const struct mirage_ring *ring = &cq->ring;
	u32 cons;

	spin_lock(&cq->lock);
	/* Pairs with the release store of the process after it read the slots. */
	cons = smp_load_acquire(&ring->hdr->cons);
	if (unlikely(cq->overflow || ring->index - cons >= ring->entries)) {
		cq->overflow = true;
		return NULL;
	}
	return (struct mirage_cqe *)ring->slots + (ring->index & (ring->entries - 1));
}

/**
 * mirage_cq_end - let the process read the CQE
 * @cq: the CQ
 * @slot: what mirage_cq_begin() returned
 * @solicited: as in mirage_cq_post(); true for an error
 *
 * Return: as mirage_cq_post().
 */
static inline int mirage_cq_end(struct mirage_cq *cq, struct mirage_cqe *slot, bool solicited)
	__releases(&cq->lock)
{
	struct mirage_ring_hdr *hdr = cq->ring.hdr;
	bool fire;

	if (unlikely(!slot)) {
		spin_unlock(&cq->lock);
		return mirage_cq_overflow(cq);
	}
	if (unlikely(cq->flags))
		mirage_cq_stamp(cq, slot);
	/* The process reads the slot as soon as it sees this. */
	smp_store_release(&hdr->prod, ++cq->ring.index);
	/* Between our index and the process' word: see the top of cq.c. */
	smp_mb();
	fire = unlikely(READ_ONCE(hdr->cons_flags)) && mirage_cq_take_arm(cq, solicited);
	spin_unlock(&cq->lock);
	/*
	 * Without the lock, because waking somebody takes longer than posting. The CQ
	 * stays: it cannot be destroyed while its QPs still post.
	 */
	if (unlikely(fire))
		cq->ibcq.comp_handler(&cq->ibcq, cq->ibcq.cq_context);
	return 0;
}

int mirage_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		     struct uverbs_attr_bundle *attrs);
int mirage_resize_cq(struct ib_cq *ibcq, unsigned int cqe, struct ib_udata *udata);
int mirage_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata);
int mirage_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc);
int mirage_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags);

#endif

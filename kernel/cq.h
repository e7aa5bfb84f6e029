/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Completion queues
 */
#ifndef MIRAGE_CQ_H
#define MIRAGE_CQ_H

#include <linux/spinlock.h>
#include <rdma/ib_verbs.h>

#include "ring.h"

/**
 * struct mirage_cq - one completion queue
 * @ibcq: the core's object
 * @lock: protects @ring and @overflow; innermost, taken with BHs off
 * @ring: prod is ring.index
 * @flags: MIRAGE_CQ_*
 * @overflow: the process let it overflow: nothing is posted any more
 * @poll_lock: a kernel user's: one poll at a time; protects cons; taken with IRQs off,
 *	inside @lock
 */
struct mirage_cq {
	struct ib_cq ibcq;
	spinlock_t lock; /* see above */
	struct ring ring;
	u32 flags;
	bool overflow;
	spinlock_t poll_lock; /* see above */
};

static inline struct mirage_cq *to_mcq(struct ib_cq *ibcq)
{
	return container_of(ibcq, struct mirage_cq, ibcq);
}

int mirage_cq_post(struct mirage_cq *cq, const struct mirage_cqe *cqe,
		   bool solicited);

int mirage_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		     struct uverbs_attr_bundle *attrs);
int mirage_resize_cq(struct ib_cq *ibcq, unsigned int cqe, struct ib_udata *udata);
int mirage_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata);
int mirage_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc);
int mirage_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags);

#endif

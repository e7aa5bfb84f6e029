/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Shared receive queues
 */
#ifndef MIRAGE_SRQ_H
#define MIRAGE_SRQ_H

#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <rdma/ib_verbs.h>

#include "queue/wqe.h"

struct mirage_cq;
struct mirage_cqe;

struct mirage_dev;

/**
 * struct mirage_srq - one shared receive queue
 * @ibsrq: the core's object
 * @uctx: the process it belongs to; NULL for a kernel user
 * @srqn: its number, index into dev->srqs
 * @xrcd: XRC: its domain, compared by address only; or NULL
 * @xcq: XRC: its CQ
 * @lock: protects @ring, @max_wr, @limit and @error; taken with BHs off, inside a QP's
 *	lock, and for XRC inside that of the table of SRQs
 * @ring: the work requests
 * @max_wr: as created or modified
 * @max_sge: as created
 * @limit: raise IB_EVENT_SRQ_LIMIT_REACHED once below this; 0: not armed
 * @post_lock: kernel users: prod of @ring; innermost, taken with IRQs off
 * @doorbell: kernel users: tells those who wait for a receive that one was posted
 * @error: the process' index was out of bounds: IB_EVENT_SRQ_ERR was raised
 */
struct mirage_srq {
	struct ib_srq ibsrq;
	struct ib_ucontext *uctx;
	u32 srqn;
	struct ib_xrcd *xrcd;
	struct mirage_cq *xcq;
	spinlock_t lock; /* see above */
	struct mirage_ring ring;
	u32 max_wr;
	u32 max_sge;
	u32 limit;
	bool error;
	spinlock_t post_lock; /* see above */
	struct work_struct doorbell;
};

static inline struct mirage_srq *to_msrq(struct ib_srq *ibsrq)
{
	return container_of(ibsrq, struct mirage_srq, ibsrq);
}

int mirage_srq_pop(struct mirage_srq *srq, struct mirage_recv_copy *to);
void mirage_srq_doorbell_rung(struct mirage_srq *srq);
int mirage_srq_doorbell(struct mirage_dev *dev, struct ib_ucontext *uctx, u32 srqn);

struct ib_pd *mirage_xsrq_pd(struct mirage_dev *dev, struct ib_xrcd *xrcd, u32 srqn);
int mirage_xsrq_pop(struct mirage_dev *dev, struct ib_xrcd *xrcd, u32 srqn,
		    struct mirage_recv_copy *to);
int mirage_xsrq_complete(struct mirage_dev *dev, struct ib_xrcd *xrcd, u32 srqn,
			 const struct mirage_cqe *cqe, bool solicited);

int mirage_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *attr,
		      struct ib_udata *udata);
int mirage_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr,
		      enum ib_srq_attr_mask mask, struct ib_udata *udata);
int mirage_query_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr);
int mirage_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata);

#endif

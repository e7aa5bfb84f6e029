/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * odp.h - on-demand paging: faults as events
 */
#ifndef MIRAGE_ODP_H
#define MIRAGE_ODP_H

#include <linux/list.h>
#include <linux/types.h>

struct mirage_mr;
struct odp_fault;

/**
 * struct odp_waiter - somebody a fault is serviced for
 * @wake: called once from the fault worker (process context, no locks held) when
 *	the fault is over; @err is 0 (try again: the page may already be gone) or
 *	the permanent answer: -EFAULT, -EPERM, -ESRCH
 *
 * Embedded in the waiter's object, which must live until @wake has been called or
 * odp_fault_cancel() returned true.
 */
struct odp_waiter {
	void (*wake)(struct odp_waiter *w, int err);
	/* private: */
	struct list_head node;
	struct odp_fault *fault;
	struct mirage_mr *mr;
};

/*
 * Task context, no locks. Brings [iova, iova + len) of an ODP region in as far as
 * that needs no sleep on I/O nor on mmap_lock. 0: all of it, or as much as one
 * bounded attempt covers, starting at iova (the caller tries its copy again);
 * -EAGAIN: raise it instead; -EFAULT, -EPERM, -ESRCH: permanent.
 */
int odp_fault_now(struct mirage_mr *mr, u64 iova, u64 len, bool write);

/*
 * Any context (GFP_ATOMIC). Raises a fault event for [iova, iova + len), or joins
 * the one in flight that covers it. 0: w->wake will be called; otherwise it will
 * not: -ENOMEM (try later), -ESRCH (deregistered). Takes its own reference on mr.
 */
int odp_fault_raise(struct mirage_mr *mr, u64 iova, u64 len, bool write,
		    struct odp_waiter *w);

/*
 * Any context. True: w is off the list and wake will not be called. False: wake
 * was called, or is being called right now.
 */
bool odp_fault_cancel(struct odp_waiter *w);

int odp_init(void);	/* module init: workqueue, caches */
void odp_exit(void);

#endif

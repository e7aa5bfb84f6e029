/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * On-demand paging: faults as events
 */
#ifndef MIRAGE_ODP_H
#define MIRAGE_ODP_H

#include <linux/list.h>
#include <linux/types.h>
#include <rdma/ib_verbs.h>

#include "mem/odp_mm.h"

struct mirage_mr;
struct workqueue_struct;

/**
 * struct mirage_odp_waiter - somebody a fault is serviced for
 * @wake: called once, in process context without locks, when the fault is over;
 *	@err is 0 (try again: the page may already be gone) or the permanent answer:
 *	-EFAULT, -EPERM, -ESRCH
 *
 * Embedded in the waiter's object, which must live until @wake has been called or
 * mirage_odp_fault_cancel() returned true. All zero before it is first used.
 */
struct mirage_odp_waiter {
	void (*wake)(struct mirage_odp_waiter *w, int err);
	/* private: */
	struct list_head node;		/* in odp_fault.waiters; odp.lock */
	struct mirage_mr *mr;		/* NULL when not waiting; odp.lock */
};

/* What a region has gone through; in the order of enum mirage_stat. */
enum mirage_odp_event {
	ODP_FAULTS,
	ODP_FAULTS_HANDLED,
	ODP_INVALIDATIONS,
	ODP_INVALIDATIONS_HANDLED,
	ODP_PREFETCH,
	ODP_EVENTS,
};

extern const char *const mirage_odp_event_names[ODP_EVENTS];

/* Unbound; for what sleeps for a region's sake. */
extern struct workqueue_struct *mirage_odp_wq;

int mirage_odp_create(struct mirage_mr *mr);
void mirage_odp_queue(struct mirage_mr *mr, struct mirage_odp_job *job,
		      void (*run)(struct mirage_odp_job *job));
bool mirage_odp_region(const struct mirage_mr *mr);
u64 mirage_odp_event_count(const struct mirage_mr *mr, enum mirage_odp_event event);

int mirage_odp_fault_now(struct mirage_mr *mr, u64 iova, u64 len, bool write);
int mirage_odp_fault_raise(struct mirage_mr *mr, u64 iova, u64 len, bool write,
			   struct mirage_odp_waiter *w);
bool mirage_odp_fault_cancel(struct mirage_odp_waiter *w);
int mirage_odp_prefetch(struct mirage_mr *mr, u64 iova, u64 len,
			enum ib_uverbs_advise_mr_advice advice);

int mirage_odp_init(void);
void mirage_odp_exit(void);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * On-demand paging: faults, and those who wait for them
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
 * struct mirage_odp_waiter - one who waits for a fault
 * @wake: called once, in process context without locks, when the fault is over. @err is 0, or
 *	a permanent error: -EFAULT, -EPERM, -ESRCH. After 0 the waiter looks for the page again,
 *	and may miss it again
 *
 * Embedded in the waiter's object, which must live until @wake has been called or
 * mirage_odp_fault_cancel() returned true. All zero before it is first used.
 */
struct mirage_odp_waiter {
	void (*wake)(struct mirage_odp_waiter *w, int err);
	/* private: */
	struct list_head node;		/* in odp_fault.waiters; under odp.lock */
	struct mirage_mr *mr;		/* NULL when not waiting; under odp.lock */
};

/* What a region counts; in the order of enum mirage_stat. */
enum mirage_odp_event {
	ODP_FAULTS,
	ODP_FAULTS_HANDLED,
	ODP_INVALIDATIONS,
	ODP_INVALIDATIONS_HANDLED,
	ODP_PREFETCH,
	ODP_EVENTS,
};

extern const char *const mirage_odp_event_names[ODP_EVENTS];

/* An unbound workqueue for jobs that may sleep for a region's pages. */
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

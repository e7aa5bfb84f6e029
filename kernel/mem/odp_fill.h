/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * ODP regions: what faults (odp.c) and the populate loop (odp_fill.c) share
 */
#ifndef MIRAGE_ODP_FILL_H
#define MIRAGE_ODP_FILL_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/spinlock.h>

#include "mem/mr.h"
#include "mem/mtt.h"
#include "mem/odp.h"
#include "mem/odp_mm.h"
#include "mirror.h"

/* Pages that are brought in at once. Their pfns take 512 bytes of the stack. */
#define ODP_BATCH	64U

/* How to bring pages in. */
enum mirage_odp_how {
	ODP_READ	= 0,
	ODP_WRITE	= BIT(0),
	ODP_BLOCK	= BIT(1),	/* sleep for I/O and for other processes, too */
	ODP_LOOK	= BIT(2),	/* bring in what is mapped, cause no faults */
};

/**
 * struct mirage_odp - the ODP backend's part of a region
 * @mirror: tells of changes to the region's part of the address space
 * @mr: the region
 * @stats: the device's counters; those of no device once the region is deregistered
 * @mm: the jobs of the address space, among which the region's faults are queued
 * @va_first: first byte of the region's first page, a user address
 * @va_last: last byte of its last page, a user address
 * @va_to_iova: iova minus user address, modulo 2^64
 * @rcu: frees the struct; mirage_odp_fault_cancel() may use it until its RCU read side ends
 * @lock: protects @faults, @aheads, @dead and the waiters; taken in softirqs too. The order:
 *	base/device.h
 * @faults: faults in flight that can be joined
 * @aheads: faults whose demand was serviced, and that still read ahead
 * @dead: the region is deregistered; no fault is added any more
 * @next: iova of the next miss, if misses walk through the region
 * @window: pages to read ahead in that case. @next and @window are guesses; no lock protects them
 * @events: counters
 */
struct mirage_odp {
	struct mirror mirror;
	struct mirage_mr *mr;
	struct mirage_stats __percpu *stats;
	struct mirage_odp_mm *mm;
	unsigned long va_first;
	unsigned long va_last;
	u64 va_to_iova;
	struct rcu_head rcu;
	spinlock_t lock;		/* see above */
	struct list_head faults;
	struct list_head aheads;
	bool dead;
	u64 next;
	unsigned int window;
	atomic64_t events[ODP_EVENTS];
};

/* The number of pages in [iova, iova + len), at most max, and not beyond the end of the chunk. */
static inline unsigned int odp_pages(u64 iova, u64 len, unsigned int max)
{
	len = min(len, mirage_mtt_chunk_left(iova));
	return min_t(u64, max, PAGE_ALIGN(offset_in_page(iova) + len) >> PAGE_SHIFT);
}

void mirage_odp_count(struct mirage_odp *odp, enum mirage_odp_event event, unsigned long n);

int mirage_odp_fill(struct mirage_odp *odp, u64 iova, unsigned int pages, enum mirage_odp_how how);
int mirage_odp_fill_patiently(struct mirage_odp *odp, u64 iova, unsigned int *pages,
			      enum mirage_odp_how how);

#endif

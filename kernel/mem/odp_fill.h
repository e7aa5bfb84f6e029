/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Regions with on-demand paging: what faulting (odp.c) and filling (odp_fill.c)
 * share
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

/* Pages brought in at once: their pfns are on the stack, where 512 bytes fit. */
#define ODP_BATCH	64U

/* How to bring pages in. */
enum mirage_odp_how {
	ODP_READ	= 0,
	ODP_WRITE	= BIT(0),
	ODP_BLOCK	= BIT(1),	/* sleep for as long as it takes */
	ODP_LOOK	= BIT(2),	/* take what is mapped, fault nothing */
};

/**
 * struct mirage_odp - what makes a region an ODP region
 * @mirror: follows the region's part of the address space
 * @mr: the region
 * @stats: its device's; nobody's once it is deregistered
 * @mm: whose turn its faults take
 * @va_first: first byte of its first page, a user address
 * @va_last: last byte of its last page
 * @va_to_iova: what to add, modulo 2^64
 * @rcu: mirage_odp_fault_cancel() may come late
 * @lock: taken in softirqs too
 * @faults: in flight and joinable
 * @aheads: faults whose demand is over, while the rest is read ahead
 * @dead: deregistered; no fault is added any more
 * @next: iova where the next miss is expected when misses walk through the region
 * @window: pages to read ahead then; both are guesses, and nobody's lock protects
 *	them
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
	spinlock_t lock;		/* @faults, @aheads, waiters, @dead */
	struct list_head faults;
	struct list_head aheads;
	bool dead;
	u64 next;
	unsigned int window;
	atomic64_t events[ODP_EVENTS];
};

/* Pages that [iova, iova + len) touches, up to max and to the end of the chunk. */
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

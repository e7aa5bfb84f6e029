/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * mirror: follow a process address space from a device's translation table. The
 * interface of mirror.ko, for any device.
 *
 * The overview, the rules for callers and the locking are in kernel/mirror/mirror.c
 * (DOC: address-space mirror).
 */
#ifndef MIRROR_H
#define MIRROR_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/types.h>

struct mirror;
struct mirror_mm;

/**
 * struct mirror_ops - what the user of a mirror provides
 */
struct mirror_ops {
	/**
	 * @invalidate: stop using [@start, @end); required
	 *
	 * When this returns the device must have stopped using the pages, and
	 * must not use them again through anything that it read before. The
	 * interval is page aligned, rounded outward, and not clipped to the
	 * interval of the mirror.
	 *
	 * Runs with a spinlock of the mirror held and softirqs off, inside an mmu
	 * notifier, maybe under reclaim: it must not sleep, nor allocate, nor
	 * call any function of this header but mirror_range_valid(). It may take
	 * spinlocks.
	 */
	void (*invalidate)(struct mirror *m, unsigned long start,
			   unsigned long end);

	/**
	 * @release: the mm is going away; required
	 *
	 * Every table entry must be gone when this returns. No callback follows
	 * it. mirror_unregister() is still the caller's to do, later and from
	 * another context. The rules of @invalidate hold.
	 */
	void (*release)(struct mirror *m);
};

/**
 * struct mirror - one user's interest in an interval of one mm
 * @ops: set by mirror_register()
 *
 * Embedded in the caller's object, which must not be freed before
 * mirror_unregister() has returned.
 */
struct mirror {
	const struct mirror_ops *ops;
	/* private: */
	struct mirror_mm *mm;		/* constant while registered */
	struct interval_tree_node node;	/* in mm->mirrors; mm->lock */
	struct list_head ranges;	/* of mirror_range.entry; mm->lock */
};

/* mirror_range.default_flags: the pages must be writable */
#define MIRROR_WRITE BIT(0)

/**
 * struct mirror_range - an interval whose pages the caller is copying to its table
 * @mirror: set by mirror_range_register()
 * @start: first address, rounded down by mirror_range_register()
 * @end: end, exclusive, rounded up by mirror_range_register()
 * @pfns: the caller's array, mirror_range_pages() long; written by
 *	mirror_range_snapshot() and mirror_range_fault(), whatever they return;
 *	read it with the mirror_pfn_*() accessors
 * @default_flags: 0 or MIRROR_WRITE, read by mirror_range_fault()
 *
 * mirror_range_register() leaves @pfns and @default_flags alone. One thread at a
 * time uses a range.
 */
struct mirror_range {
	struct mirror *mirror;
	unsigned long start;
	unsigned long end;
	unsigned long *pfns;
	unsigned long default_flags;
	/* private: */
	struct list_head entry;		/* in mirror->ranges; mm->lock */
	unsigned long seq;		/* invalidations so far; written under mm->lock */
	unsigned long quiet;		/* seq at registration; 0 if a flight was over it */
	unsigned long sampled;		/* seq for which pfns is valid; the user's thread only */
};

int mirror_register(struct mirror *m, struct mm_struct *mm, unsigned long start,
		    unsigned long end, const struct mirror_ops *ops);
void mirror_unregister(struct mirror *m);

int mirror_range_register(struct mirror_range *r, struct mirror *m,
			  unsigned long start, unsigned long end);
int mirror_range_wait_until_valid(struct mirror_range *r,
				  unsigned long timeout_jiffies);
bool mirror_range_valid(struct mirror_range *r);
long mirror_range_snapshot(struct mirror_range *r);
long mirror_range_fault(struct mirror_range *r, bool block);
void mirror_range_unregister(struct mirror_range *r);

/*
 * An entry of mirror_range.pfns: the page frame number above two flags and the
 * order of the mapping. 0 is "nothing here".
 */
#define MIRROR_PFN_VALID	BIT(0)
#define MIRROR_PFN_WRITE	BIT(1)
#define MIRROR_PFN_ORDER_SHIFT	2
#define MIRROR_PFN_ORDER_MASK	0x3fUL
#define MIRROR_PFN_SHIFT	8

static_assert(BITS_PER_LONG == 64);

/**
 * mirror_pfn_valid - is a page mapped here?
 * @pfn: an entry of mirror_range.pfns
 *
 * Return: whether the other functions may be asked about the entry.
 */
static inline bool mirror_pfn_valid(unsigned long pfn)
{
	return pfn & MIRROR_PFN_VALID;
}

/**
 * mirror_pfn_writable - may the device write to the page?
 * @pfn: an entry of mirror_range.pfns
 *
 * A device that writes marks the page dirty itself: the CPU's page table does not know.
 *
 * Return: whether the page is mapped for writing.
 */
static inline bool mirror_pfn_writable(unsigned long pfn)
{
	return pfn & MIRROR_PFN_WRITE;
}

/**
 * mirror_pfn_page - the page of a valid entry
 * @pfn: an entry of mirror_range.pfns
 *
 * No reference is held: the page is the caller's only while
 * mirror_range_valid() says so, or until ops->invalidate() once it is in the
 * caller's table.
 *
 * Return: the page.
 */
static inline struct page *mirror_pfn_page(unsigned long pfn)
{
	return pfn_to_page(pfn >> MIRROR_PFN_SHIFT);
}

/**
 * mirror_pfn_order - the order of the CPU's mapping of a valid entry
 * @pfn: an entry of mirror_range.pfns
 *
 * The 2^order pages around it, naturally aligned in virtual and in physical
 * memory, are mapped alike; they may reach out of the range.
 *
 * Return: the order, 0 for a page that is mapped by itself.
 */
static inline unsigned int mirror_pfn_order(unsigned long pfn)
{
	return (pfn >> MIRROR_PFN_ORDER_SHIFT) & MIRROR_PFN_ORDER_MASK;
}

/**
 * mirror_range_pages - length of mirror_range.pfns
 * @r: a registered range
 *
 * Return: the number of pages, at least 1.
 */
static inline unsigned long mirror_range_pages(const struct mirror_range *r)
{
	return (r->end - r->start) >> PAGE_SHIFT;
}

#endif

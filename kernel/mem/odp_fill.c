// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Filling the table of an ODP region from the page tables of the process
 *
 * Faults, read-ahead and prefetches share one populate loop, odp_fill_with().
 */
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "base/trace.h"
#include "mem/mr.h"
#include "mem/mtt.h"
#include "mem/odp.h"
#include "mem/odp_fill.h"
#include "mirror.h"

#define ODP_TRIES_NOW	3
#define ODP_TRIES	12

/* How long one attempt waits for the end of an invalidation that overlaps the range. */
#define ODP_WAIT	(HZ / 10 + 1)

/*
 * Translates iovas to user addresses; nothing else does so. The two are different numbers: they
 * agree only modulo the page size.
 */
static int odp_va(const struct mirage_mr *mr, u64 iova, unsigned int pages,
		  unsigned long *start, unsigned long *end)
{
	u64 va;

	if (iova < (mr->iova & PAGE_MASK) || iova > mr->mtt.last)
		return -EFAULT;
	/* The table of an implicit region ends before its addresses do. */
	if (pages > (mr->mtt.last >> PAGE_SHIFT) - (iova >> PAGE_SHIFT) + 1)
		return -EFAULT;
	va = (mr->start & PAGE_MASK) + ((iova & PAGE_MASK) - (mr->iova & PAGE_MASK));
	*start = va;
	*end = va + ((unsigned long)pages << PAGE_SHIFT);
	return va < (mr->start & PAGE_MASK) || *end <= *start ? -EFAULT : 0;
}

static int odp_errno(int err)
{
	switch (err) {
	case 0:
	case -EPERM:
	case -ESRCH:
		return err;
	case -EBUSY:
	case -EAGAIN:
	case -EINTR:
	case -ENOMEM:
	case -ETIMEDOUT:
		return -EAGAIN;
	default:
		return -EFAULT;
	}
}

struct odp_filling {
	struct mirror_range range;
	bool secret;
};

/* Pages of memfd_secret() are not in the direct map. They are neither anonymous nor large. */
static bool odp_page_is_secret(struct page *page)
{
	struct folio *folio = page_folio(page);
	struct address_space *mapping;

	if (likely(folio_test_anon(folio) || folio_test_large(folio)))
		return false;
	mapping = folio_mapping(folio);
	return mapping && mapping->host &&
	       mapping->host->i_sb->s_magic == SECRETMEM_MAGIC;
}

/*
 * Tells whether the pages may be committed. Called under the chunk's lock, where a page that is
 * valid can not go away. HMM returns secret pages too, but the kernel must not access them: their
 * addresses in the direct map are not mapped.
 */
static bool odp_fill_valid(void *arg)
{
	struct odp_filling *fill = arg;
	unsigned long i, n = mirror_range_pages(&fill->range);

	if (!mirror_range_valid(&fill->range))
		return false;
	for (i = 0; i < n; i++) {
		unsigned long pfn = fill->range.pfns[i];

		if (mirror_pfn_valid(pfn) && odp_page_is_secret(mirror_pfn_page(pfn)))
			fill->secret = true;
	}
	return !fill->secret;
}

static int odp_fill_once(struct mirage_odp *odp, struct odp_filling *fill, u64 iova,
			 enum mirage_odp_how how)
{
	struct mirror_range *r = &fill->range;
	bool block = how & ODP_BLOCK;
	long ret;

	ret = mirror_range_wait_until_valid(r, block ? ODP_WAIT : 0);
	if (ret)
		return ret;
	if (how & ODP_LOOK)
		ret = mirror_range_snapshot(r);
	else
		ret = mirror_range_fault(r, block);
	/* Where nothing is mapped, make no chunk: a hole can have any size. */
	if (ret <= 0)
		return ret;
	ret = mirage_mtt_commit(&odp->mr->mtt, iova, mirror_range_pages(r), r->pfns,
				odp_fill_valid, fill);
	return fill->secret ? -EFAULT : ret;
}

/*
 * The populate loop: copies pages from the page tables of the process to the region's table. The
 * pages must be in one chunk. Returns 0, -EAGAIN for a transient error, or a permanent error.
 */
static int odp_fill_with(struct mirage_odp *odp, u64 iova, unsigned int pages,
			 enum mirage_odp_how how, unsigned long *pfns)
{
	struct odp_filling fill = {
		.range.pfns = pfns,
		.range.default_flags = how & ODP_WRITE ? MIRROR_WRITE : 0,
	};
	unsigned int tries = ODP_TRIES_NOW;
	unsigned long start, end;
	int err;

	err = odp_va(odp->mr, iova, pages, &start, &end);
	if (err)
		return err;
	err = mirror_range_register(&fill.range, &odp->mirror, start, end);
	if (err)
		return odp_errno(err);
	do {
		err = odp_fill_once(odp, &fill, iova, how);
		if (unlikely(err))
			trace_mirage_odp_fault_retry(odp->mr->key, iova, err);
	} while (err == -EBUSY && --tries);
	mirror_range_unregister(&fill.range);

	if (unlikely(err))
		return odp_errno(err);
	trace_mirage_odp_fault_commit(odp->mr->key, iova, (u64)pages << PAGE_SHIFT,
				      how & ODP_WRITE);
	return 0;
}

static noinline int odp_fill_batch(struct mirage_odp *odp, u64 iova, unsigned int pages,
				   enum mirage_odp_how how)
{
	unsigned long pfns[ODP_BATCH];

	return odp_fill_with(odp, iova, pages, how, pfns);
}

/**
 * mirage_odp_fill - bring pages in: all of them, or with ODP_LOOK those that are mapped
 * @odp: the region
 * @iova: an address in the first page
 * @pages: number of pages, at most ODP_BATCH; they must be in one chunk
 * @how: for reading or writing, and whether to sleep
 *
 * Task context.
 *
 * Return: 0; -EAGAIN for a transient error; or a permanent error, see odp.c.
 */
int mirage_odp_fill(struct mirage_odp *odp, u64 iova, unsigned int pages, enum mirage_odp_how how)
{
	unsigned long pfn;

	/* A kernel that initializes stack variables would clear the array for one page. */
	return pages == 1 ? odp_fill_with(odp, iova, pages, how, &pfn) :
			    odp_fill_batch(odp, iova, pages, how);
}

/**
 * mirage_odp_fill_patiently - bring pages in, and try again after transient errors
 * @odp: the region
 * @iova: an address in the first page
 * @pages: number of pages, as for mirage_odp_fill(). Errors reduce it, down to 1: a permanent
 *	error may be that of a later page, and a long range is invalidated more often
 * @how: as for mirage_odp_fill(), with ODP_BLOCK
 *
 * Task context, sleeps.
 *
 * Return: as mirage_odp_fill(), for the first *@pages pages; -ESRCH if the region is deregistered.
 */
int mirage_odp_fill_patiently(struct mirage_odp *odp, u64 iova, unsigned int *pages,
			      enum mirage_odp_how how)
{
	unsigned int try;
	int err;

	for (try = 0; try < ODP_TRIES; try++) {
		if (READ_ONCE(odp->mr->dead))
			return -ESRCH;
		err = mirage_odp_fill(odp, iova, *pages, how);
		if (!err || fatal_signal_pending(current))
			return err;
		if (*pages > 1) {
			*pages = err == -EAGAIN ? DIV_ROUND_UP(*pages, 4) : 1;
			continue;
		}
		if (err != -EAGAIN)
			return err;
		schedule_timeout_killable(min(1U << try, HZ / 10U + 1));
	}
	return -EAGAIN;
}

/**
 * mirage_odp_prefetch - bring in the pages of a range that the user said it will need
 * @mr: an ODP region, with a reference
 * @iova: first byte; checked against the region by the caller
 * @len: bytes
 * @advice: bring pages in for reading, for writing, or only those that are mapped already
 *
 * Process context, sleeps.
 *
 * Return: 0; -EFAULT, -EPERM or -ESRCH if a page can not be brought in; -EAGAIN if transient
 * errors did not end; -EINTR if the caller was killed.
 */
int mirage_odp_prefetch(struct mirage_mr *mr, u64 iova, u64 len,
			enum ib_uverbs_advise_mr_advice advice)
{
	enum mirage_odp_how how = ODP_BLOCK;
	struct mirage_odp *odp = mr->priv;
	int err = 0;

	if (advice == IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE)
		how |= ODP_WRITE;
	if (advice == IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT)
		how |= ODP_LOOK;
	trace_mirage_odp_prefetch(mr->key, iova, len, how & ODP_WRITE);
	while (len && !err) {
		unsigned int n = odp_pages(iova, len, ODP_BATCH);
		u64 bytes;

		if (fatal_signal_pending(current))
			return -EINTR;
		err = mirage_odp_fill_patiently(odp, iova, &n, how);
		if (!err)
			mirage_odp_count(odp, ODP_PREFETCH, n);
		bytes = min(len, ((u64)n << PAGE_SHIFT) - offset_in_page(iova));
		iova += bytes;
		len -= bytes;
		cond_resched();
	}
	return err == -EAGAIN && fatal_signal_pending(current) ? -EINTR : err;
}

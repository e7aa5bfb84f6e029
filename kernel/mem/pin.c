// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The backend of pinned regions: all pages are pinned and in the table from the start
 */
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <rdma/ib_umem.h>

#include "mem/mr.h"
#include "mem/mtt.h"
#include "mem/pin.h"
#include "mirror.h"

/* The table was killed, so nobody uses the pages, even if the region still has references. */
static void pin_dereg(struct mirage_mr *mr)
{
	ib_umem_release(mr->priv);
}

static const struct mirage_mr_backend pin_backend = {
	.fault_now = mirage_mr_fault_now_gone,
	.fault_raise = mirage_mr_fault_raise_gone,
	.dereg = pin_dereg,
};

/* Tells whether a chunk's pages are physically contiguous and aligned: one entry is enough then. */
static bool pin_is_huge(const unsigned long *pfns, unsigned long n)
{
	unsigned long first = page_to_pfn(mirror_pfn_page(pfns[0])), i;

	if (n != MTT_CHUNK_PAGES || first % MTT_CHUNK_PAGES)
		return false;
	for (i = 1; i < n; i++)
		if (page_to_pfn(mirror_pfn_page(pfns[i])) != first + i)
			return false;
	return true;
}

static int pin_commit(struct mirage_mr *mr, u64 iova, unsigned long *pfns,
		      unsigned long n)
{
	if (pin_is_huge(pfns, n))
		pfns[0] |= (MTT_CHUNK_SHIFT - PAGE_SHIFT) << MIRROR_PFN_ORDER_SHIFT;
	return mirage_mtt_commit(&mr->mtt, iova, n, pfns, NULL, NULL);
}

static int pin_fill(struct mirage_mr *mr, struct ib_umem *umem)
{
	unsigned long flags = MIRROR_PFN_VALID, *pfns, n = 0;
	u64 start = mr->iova & PAGE_MASK, iova = start;
	struct sg_page_iter iter;
	int err = 0;

	pfns = kmalloc_array(MTT_CHUNK_PAGES, sizeof(*pfns), GFP_KERNEL);
	if (!pfns)
		return -ENOMEM;
	if (umem->writable)
		flags |= MIRROR_PFN_WRITE;
	for_each_sgtable_page(&umem->sgt_append.sgt, &iter, 0) {
		unsigned long pfn = page_to_pfn(sg_page_iter_page(&iter));

		pfns[n++] = pfn << MIRROR_PFN_SHIFT | flags;
		iova += PAGE_SIZE;
		if (iova & (MTT_CHUNK_SIZE - 1))
			continue;
		err = pin_commit(mr, start, pfns, n);
		if (err)
			break;
		start = iova;
		n = 0;
		cond_resched();
	}
	if (!err && n)
		err = pin_commit(mr, start, pfns, n);
	kfree(pfns);
	return err;
}

/**
 * mirage_pin_create - pin the pages of a region and fill its table
 * @mr: the region, with its bounds and rights set, and the table initialised
 *
 * Process context. On error the caller kills the table.
 *
 * Return: 0; -ENOMEM, also if RLIMIT_MEMLOCK is exceeded; -EFAULT if a page is not mapped; or
 * another errno of ib_umem_get_va().
 */
int mirage_pin_create(struct mirage_mr *mr)
{
	struct ib_umem *umem;
	int err;

	umem = ib_umem_get_va(mr->pd->device, mr->start, mr->last - mr->iova + 1,
			      mr->access);
	if (IS_ERR(umem))
		return PTR_ERR(umem);
	err = pin_fill(mr, umem);
	if (err) {
		mirage_mtt_kill(&mr->mtt);
		ib_umem_release(umem);
		return err;
	}
	mr->priv = umem;
	mr->backend = &pin_backend;
	return 0;
}

/**
 * mirage_pin_writable - were a region's pages pinned for writing?
 * @mr: a pinned region
 *
 * Return: whether they were.
 */
bool mirage_pin_writable(const struct mirage_mr *mr)
{
	const struct ib_umem *umem = mr->priv;

	return umem->writable;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The backend of DMA regions: all of the kernel's memory
 *
 * There is no hardware behind the device, so the DMA addresses of kernel users are addresses in
 * the kernel's direct map.
 *
 * A DMA region is the whole direct map: an address in it is its own iova. A part of its table is
 * filled when the key is looked up for it, usually in steps of 2 MiB. So no engine misses a page
 * there in a softirq, where it could not wait for one. Entries stay as long as the region, since
 * the direct map does not change.
 */
#include <linux/mm.h>

#include "mem/dma.h"
#include "mem/mr.h"
#include "mem/mtt.h"
#include "mirror.h"

/* Larger than any direct map, but not all addresses: that keeps the table's tree low. */
#define DMA_SPAN	BIT_ULL(52)

/**
 * mirage_dma_pfn - make the pfn of a page of the direct map for mirage_mtt_commit()
 * @addr: an address in the page
 *
 * Any context.
 *
 * Return: the pfn, with the flags for reading and writing.
 */
unsigned long mirage_dma_pfn(u64 addr)
{
	return page_to_pfn(virt_to_page((void *)addr)) << MIRROR_PFN_SHIFT |
	       MIRROR_PFN_VALID | MIRROR_PFN_WRITE;
}

/* Tells whether all of the chunk around @addr is memory. */
static bool dma_is_huge(u64 addr)
{
	u64 start = addr & ~(MTT_CHUNK_SIZE - 1), n;

	for (n = 0; n < MTT_CHUNK_SIZE; n += PAGE_SIZE)
		if (!virt_addr_valid((void *)(start + n)))
			return false;
	return true;
}

/* Fills the table for a range within one chunk. */
static int dma_fill_chunk(struct mirage_mtt *mtt, u64 addr, u64 len)
{
	u64 last = addr + len - 1;
	int err = 0;

	if (dma_is_huge(addr)) {
		unsigned long pfn = mirage_dma_pfn(addr);

		pfn |= (unsigned long)(MTT_CHUNK_SHIFT - PAGE_SHIFT) << MIRROR_PFN_ORDER_SHIFT;
		err = mirage_mtt_commit(mtt, addr, 1, &pfn, NULL, NULL);
	}
	/* If the chunk is not physically aligned, the commit above entered only one page. */
	for (addr &= PAGE_MASK; !err && addr <= last; addr += PAGE_SIZE) {
		unsigned long pfn;

		if (mirage_mtt_present(mtt, addr, 1, true))
			continue;
		if (!virt_addr_valid((void *)addr))
			return -EFAULT;
		pfn = mirage_dma_pfn(addr);
		err = mirage_mtt_commit(mtt, addr, 1, &pfn, NULL, NULL);
	}
	return err;
}

static int dma_fault_now(struct mirage_mr *mr, u64 iova, u64 len, bool write)
{
	int err = 0;

	while (len && !err) {
		u64 n = min(len, mirage_mtt_chunk_left(iova));

		if (!mirage_mtt_present(&mr->mtt, iova, n, true))
			err = dma_fill_chunk(&mr->mtt, iova, n);
		iova += n;
		len -= n;
	}
	return err;
}

/* Only a lack of memory can make this fail for a while; then the caller tries again. */
static int dma_fault_raise(struct mirage_mr *mr, u64 iova, u64 len, bool write,
			   struct mirage_odp_waiter *w)
{
	return dma_fault_now(mr, iova, len, write) ?: -ENOMEM;
}

static const struct mirage_mr_backend dma_backend = {
	.fault_now = dma_fault_now,
	.fault_raise = dma_fault_raise,
};

/**
 * mirage_dma_fill - fill the table of a DMA region for a range that will be used
 * @mr: the region
 * @addr: first byte
 * @len: bytes, not 0
 *
 * Any context but hardirq. A page that can not be entered is missed later; the fault then returns
 * the error.
 */
void mirage_dma_fill(struct mirage_mr *mr, u64 addr, u64 len)
{
	dma_fault_now(mr, addr, len, true);
}

/**
 * mirage_get_dma_mr - ib_device_ops.get_dma_mr
 * @pd: a kernel user's PD
 * @access: IB_ACCESS_*
 *
 * Return: a region of all memory, or an ERR_PTR: -EOPNOTSUPP for unknown rights, -ENOSPC if there
 * are too many regions, -ENOMEM.
 */
struct ib_mr *mirage_get_dma_mr(struct ib_pd *pd, int access)
{
	u64 first = PAGE_OFFSET & ~(u64)(MTT_CHUNK_SIZE - 1);
	struct mirage_mr *mr;

	mr = mirage_mr_alloc(pd, sizeof(*mr), access);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	mr->backend = &dma_backend;
	mr->dma = true;
	mr->iova = first;
	mr->last = first + min(U64_MAX - first, DMA_SPAN - 1);
	mirage_mtt_init(&mr->mtt, mr->iova, mr->last, true);
	mr->mtt.atomic = true;
	mirage_mr_publish(mr);
	return &mr->ibmr;
}

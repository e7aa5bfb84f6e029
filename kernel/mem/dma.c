// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The backend of DMA regions: all of the kernel's memory
 *
 * There is no hardware behind the device, so what kernel users call DMA addresses
 * are addresses of the kernel's direct map.
 *
 * A DMA region is all of the direct map: an address in it is its own iova. Its table
 * is filled where a key is looked up, before anybody can miss a page, because that
 * may be in a softirq with nobody to fault for: by 2 MiB as a rule, and for good,
 * since the direct map does not change.
 */
#include <linux/mm.h>

#include "mem/dma.h"
#include "mem/mr.h"
#include "mem/mtt.h"
#include "mirror.h"

/* More than the direct map of any machine; the table is flatter for it. */
#define DMA_SPAN	BIT_ULL(52)

/**
 * mirage_dma_pfn - an entry of mirage_mtt_commit() for a page of the direct map
 * @addr: an address in it
 *
 * Any context.
 *
 * Return: the entry, for reading and writing.
 */
unsigned long mirage_dma_pfn(u64 addr)
{
	return page_to_pfn(virt_to_page((void *)addr)) << MIRROR_PFN_SHIFT |
	       MIRROR_PFN_VALID | MIRROR_PFN_WRITE;
}

/* Is there memory in all of the 2 MiB around an address? */
static bool dma_is_huge(u64 addr)
{
	u64 start = addr & ~(MTT_CHUNK_SIZE - 1), n;

	for (n = 0; n < MTT_CHUNK_SIZE; n += PAGE_SIZE)
		if (!virt_addr_valid((void *)(start + n)))
			return false;
	return true;
}

/* Part of one chunk. */
static int dma_fill_chunk(struct mirage_mtt *mtt, u64 addr, u64 len)
{
	u64 last = addr + len - 1;
	int err = 0;

	if (dma_is_huge(addr)) {
		unsigned long pfn = mirage_dma_pfn(addr);

		pfn |= (unsigned long)(MTT_CHUNK_SHIFT - PAGE_SHIFT) << MIRROR_PFN_ORDER_SHIFT;
		err = mirage_mtt_commit(mtt, addr, 1, &pfn, NULL, NULL);
	}
	/* Where the direct map is aligned otherwise than memory, that was one page. */
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

/* Nothing to wait for but memory, of which the caller's next try may find some. */
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
 * mirage_dma_fill - before somebody uses a part of a DMA region
 * @mr: the region
 * @addr: first byte
 * @len: bytes, not 0
 *
 * Any context but hardirq. What can not be filled is missed later, and the backend's
 * faults say why.
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
 * Return: a region of all memory. ERR_PTR: -EOPNOTSUPP unknown rights, -ENOSPC too
 * many, -ENOMEM.
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

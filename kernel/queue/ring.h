/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Rings shared with a process that is not trusted
 *
 * The layout is in include/mirage-abi.h. The rules here:
 *
 *  - The kernel keeps its own index (cons of a work queue, prod of a CQ) in kernel
 *    memory. The ring header has a copy of it, for the process.
 *  - The kernel loads the process' index once per look, and checks the difference of
 *    the two indices against the number of entries before it uses it.
 *  - The kernel copies a WQE out whole before it reads the first field, and does not
 *    read the ring again for it (wqe.h). The exception is the data of an inline send:
 *    whatever it changes to, it is only data.
 */
#ifndef MIRAGE_RING_H
#define MIRAGE_RING_H

#include <linux/types.h>
#include <rdma/ib_verbs.h>

#include "mirage-abi.h"

/**
 * struct mirage_ring - one shared ring, as the kernel sees it
 * @hdr: the shared header, start of the vmalloc'ed memory; NULL: there is no ring
 * @slots: the first slot
 * @entries: number of slots, a power of two
 * @stride: bytes per slot
 * @index: the kernel's own index; protected by the lock of the queue it is in
 * @entry: what the process maps; NULL when the ring is the kernel's own
 */
struct mirage_ring {
	struct mirage_ring_hdr *hdr;
	void *slots;
	u32 entries;
	u32 stride;
	u32 index;
	struct rdma_user_mmap_entry *entry;
};

int mirage_ring_create(struct mirage_ring *ring, struct ib_ucontext *uctx, u32 entries,
		       u32 stride);
void mirage_ring_destroy(struct mirage_ring *ring);
void mirage_ring_info(const struct mirage_ring *ring, struct mirage_ring_info *info);
void mirage_ring_reset(struct mirage_ring *ring);
int mirage_ring_mmap(struct ib_ucontext *uctx, struct vm_area_struct *vma);
void mirage_ring_mmap_free(struct rdma_user_mmap_entry *entry);

static inline void *mirage_ring_slot(const struct mirage_ring *ring, u32 index)
{
	return ring->slots + (size_t)(index & (ring->entries - 1)) * ring->stride;
}

/**
 * mirage_ring_pending - work requests that are posted and not yet taken
 * @ring: a work queue's ring
 *
 * Return: their number, or -EPROTO when the process' index is out of bounds.
 */
static inline int mirage_ring_pending(const struct mirage_ring *ring)
{
	/* Pairs with the release store of the process after it wrote the slots. */
	u32 n = smp_load_acquire(&ring->hdr->prod) - ring->index;

	return n <= ring->entries ? (int)n : -EPROTO;
}

/** mirage_ring_consume - give the slot at the kernel's index back to the process */
static inline void mirage_ring_consume(struct mirage_ring *ring)
{
	/* The process may write to the slot as soon as it sees this. */
	smp_store_release(&ring->hdr->cons, ++ring->index);
}

/**
 * mirage_ring_want_doorbell - ask the process to ring the doorbell after its next post, or not
 * @ring: a work queue's ring
 * @want: whether to
 *
 * Call mirage_ring_pending() after this, not before: a post in between has not seen the
 * flag.
 */
static inline void mirage_ring_want_doorbell(struct mirage_ring *ring, bool want)
{
	WRITE_ONCE(ring->hdr->cons_flags, want ? MIRAGE_WANT_DOORBELL : 0);
	/* Pairs with the barrier of the process, which stores its index and then looks here. */
	smp_mb();
}

#endif

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The memory of rings: allocated here, mapped by the process that shares the ring
 *
 * A ring of a kernel user is the same, in memory that nobody maps.
 *
 * A mapping holds references on the pages, not on the ring. So the kernel can free a
 * ring that the process still maps (of a resized CQ, of a device that is removed), and
 * copying or ending a mapping calls nothing in this module. The pages are charged to the
 * memory cgroup of the process that asked for the ring.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "queue/ring.h"

/**
 * struct ring_memory - the memory behind the mmap offset of a ring
 * @entry: the core's bookkeeping of offsets
 * @start: the pages
 * @size: their size in bytes
 */
struct ring_memory {
	struct rdma_user_mmap_entry entry;
	void *start;
	size_t size;
};

static struct ring_memory *ring_to_memory(struct rdma_user_mmap_entry *entry)
{
	return container_of(entry, struct ring_memory, entry);
}

static struct ring_memory *ring_memory_create(struct ib_ucontext *uctx, size_t size)
{
	struct ring_memory *mem;
	int err = -ENOMEM;

	mem = kzalloc_obj(*mem, GFP_KERNEL_ACCOUNT);
	if (!mem)
		return ERR_PTR(err);

	mem->size = size;
	mem->start = __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!mem->start)
		goto free_mem;

	err = rdma_user_mmap_entry_insert(uctx, &mem->entry, size);
	if (err)
		goto free_start;
	return mem;

free_start:
	vfree(mem->start);
free_mem:
	kfree(mem);
	return ERR_PTR(err);
}

/**
 * mirage_ring_create - make a ring
 * @ring: filled in; nobody uses it yet
 * @uctx: the process that may map it; NULL for a kernel user
 * @entries: number of slots, a power of two
 * @stride: bytes per slot
 *
 * May sleep.
 *
 * Return: 0, -EINVAL for a size that no ring has, -ENOMEM.
 */
int mirage_ring_create(struct mirage_ring *ring, struct ib_ucontext *uctx, u32 entries, u32 stride)
{
	struct ring_memory *mem;
	size_t size;

	if (!is_power_of_2(entries) || !stride)
		return -EINVAL;
	size = size_add(size_mul(entries, stride), sizeof(struct mirage_ring_hdr));
	if (size > INT_MAX)
		return -EINVAL;

	if (uctx) {
		mem = ring_memory_create(uctx, PAGE_ALIGN(size));
		if (IS_ERR(mem))
			return PTR_ERR(mem);
		ring->entry = &mem->entry;
		ring->hdr = mem->start;
	} else {
		ring->entry = NULL;
		ring->hdr = vzalloc(size);
		if (!ring->hdr)
			return -ENOMEM;
	}
	ring->slots = ring->hdr + 1;
	ring->entries = entries;
	ring->stride = stride;
	ring->index = 0;
	return 0;
}

/**
 * mirage_ring_destroy - let go of a ring
 * @ring: the ring, which the kernel has stopped using; may be all zero
 *
 * The process keeps the pages for as long as it maps them. May sleep.
 */
void mirage_ring_destroy(struct mirage_ring *ring)
{
	if (ring->entry)
		rdma_user_mmap_entry_remove(ring->entry);
	else
		vfree(ring->hdr);
	memset(ring, 0, sizeof(*ring));
}

/**
 * mirage_ring_info - tell the process where a ring is
 * @ring: the ring; if it does not exist, or is a kernel user's, @info is all zero
 * @info: filled in
 */
void mirage_ring_info(const struct mirage_ring *ring, struct mirage_ring_info *info)
{
	memset(info, 0, sizeof(*info));
	if (!ring->entry)
		return;
	info->offset = rdma_user_mmap_get_offset(ring->entry);
	info->size = ring_to_memory(ring->entry)->size;
	info->entries = ring->entries;
	info->stride = ring->stride;
}

/**
 * mirage_ring_reset - empty a ring
 * @ring: the ring; its queue's lock is held, or nobody else uses it
 *
 * The process must not use the ring meanwhile. If it does, it harms only itself.
 */
void mirage_ring_reset(struct mirage_ring *ring)
{
	if (!ring->hdr)
		return;
	ring->index = 0;
	WRITE_ONCE(ring->hdr->prod, 0);
	WRITE_ONCE(ring->hdr->cons, 0);
	WRITE_ONCE(ring->hdr->cons_flags, 0);
}

static int ring_map_pages(struct vm_area_struct *vma, const struct ring_memory *mem)
{
	size_t done;
	int err = 0;

	for (done = 0; done < mem->size && !err; done += PAGE_SIZE)
		err = vm_insert_page(vma, vma->vm_start + done,
				     vmalloc_to_page(mem->start + done));
	return err;
}

/**
 * mirage_ring_mmap - ib_device_ops.mmap
 * @uctx: the process
 * @vma: what it wants to map
 *
 * Maps only a whole ring, shared, and never executable.
 *
 * Return: 0, -EINVAL for anything but exactly what mirage_ring_info() offered, -EPERM for
 * PROT_EXEC, -ENOMEM.
 */
int mirage_ring_mmap(struct ib_ucontext *uctx, struct vm_area_struct *vma)
{
	struct rdma_user_mmap_entry *entry;
	int err;

	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	/* Finds shared mappings of the right size only. */
	entry = rdma_user_mmap_entry_get(uctx, vma);
	if (!entry)
		return -EINVAL;

	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYEXEC);
	err = ring_map_pages(vma, ring_to_memory(entry));
	rdma_user_mmap_entry_put(entry);
	return err;
}

/**
 * mirage_ring_mmap_free - ib_device_ops.mmap_free
 * @entry: of a destroyed ring that nobody can map any more
 */
void mirage_ring_mmap_free(struct rdma_user_mmap_entry *entry)
{
	struct ring_memory *mem = ring_to_memory(entry);

	vfree(mem->start);
	kfree(mem);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * ring.c - the rings shared with the kernel: mapping, life of a work queue
 */
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include <infiniband/driver.h>

#include "ring.h"

/*
 * A lock is held for a moment, unless its holder lost its CPU or resizes a CQ. On one
 * or two CPUs such a holder goes on only if those who wait yield.
 */
void mirage_lock_wait(struct mirage_lock *lock)
{
	int spins = 0;

	do {
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED)) {
			if (++spins % 64 == 0)
				sched_yield();
		}
	} while (!mirage_trylock(lock));
}

int mirage_ring_map(struct mirage_ring *ring, int fd,
		    const struct mirage_ring_info *info)
{
	void *base;

	if (!info->size) {
		memset(ring, 0, sizeof(*ring));
		return 0;
	}

	base = mmap(NULL, info->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    info->offset);
	if (base == MAP_FAILED)
		return errno;

	/* A forked child must not post to its parent's queue. */
	if (ibv_dontfork_range(base, info->size)) {
		munmap(base, info->size);
		return ENOMEM;
	}

	ring->hdr = base;
	ring->slots = (uint8_t *)base + sizeof(*ring->hdr);
	ring->entries = info->entries;
	ring->stride = info->stride;
	ring->size = info->size;
	return 0;
}

void mirage_ring_unmap(struct mirage_ring *ring)
{
	if (!ring->hdr)
		return;

	ibv_dofork_range(ring->hdr, ring->size);
	munmap(ring->hdr, ring->size);
	ring->hdr = NULL;
}

int mirage_wq_init(struct mirage_wq *wq, int fd,
		   const struct mirage_ring_info *info, uint32_t max_wr,
		   uint32_t max_sge, bool lock_needed)
{
	int err;

	err = mirage_ring_map(&wq->ring, fd, info);
	if (err)
		return err;

	mirage_lock_init(&wq->lock, lock_needed);
	wq->max_wr = max_wr;
	wq->max_sge = max_sge;
	wq->next = 0;
	wq->tail = 0;
	return 0;
}

void mirage_wq_set_max_wr(struct mirage_wq *wq, uint32_t max_wr)
{
	mirage_lock(&wq->lock);
	wq->max_wr = max_wr;
	mirage_unlock(&wq->lock);
}

void mirage_wq_set_doorbell(struct mirage_wq *wq, uint32_t num,
			    enum mirage_doorbell_queue what)
{
	struct ib_uverbs_ioctl_hdr *cmd = &wq->doorbell.cmd;
	struct mirage_doorbell queue = { .num = num, .what = what };

	memset(&wq->doorbell, 0, sizeof(wq->doorbell));
	cmd->length = sizeof(wq->doorbell);
	cmd->object_id = MIRAGE_OBJECT_DOORBELL;
	cmd->method_id = MIRAGE_METHOD_DOORBELL;
	cmd->num_attrs = 1;
	cmd->driver_id = MIRAGE_DRIVER_ID;
	cmd->attrs[0].attr_id = MIRAGE_ATTR_DOORBELL;
	cmd->attrs[0].len = sizeof(queue);
	cmd->attrs[0].flags = UVERBS_ATTR_F_MANDATORY;
	memcpy(&cmd->attrs[0].data, &queue, sizeof(queue));
}

/*
 * Forget what is posted. Call it when the queue pair is in RESET, where the kernel no
 * longer moves its index; whether that index starts over is the kernel's choice.
 */
void mirage_wq_reset(struct mirage_wq *wq)
{
	uint32_t cons;

	if (!wq->ring.hdr)
		return;

	mirage_lock(&wq->lock);
	cons = mirage_load_index(&wq->ring.hdr->cons);
	mirage_wq_set_tail(wq, cons);
	mirage_wq_publish(wq, cons);
	mirage_unlock(&wq->lock);
}

void mirage_wq_fini(struct mirage_wq *wq)
{
	mirage_ring_unmap(&wq->ring);
}

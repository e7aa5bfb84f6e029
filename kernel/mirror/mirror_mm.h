/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The inside of a mirror, which mirror.c (it follows the address space) and mirror_read.c (it
 * reads the page tables) share
 */
#ifndef MIRROR_MM_H
#define MIRROR_MM_H

#include <linux/atomic.h>
#include <linux/mmu_notifier.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "mirror.h"

#define MIRROR_FLIGHTS 32	/* that can have a slot at a time */

/**
 * struct mirror_flight - an invalidation that has started and not ended
 * @task: the task that invalidates; only compared, never dereferenced
 * @start: first address, as the MMU notifier gave it
 * @end: end, exclusive, as the MMU notifier gave it
 */
struct mirror_flight {
	struct task_struct *task;
	unsigned long start;
	unsigned long end;
};

/**
 * struct mirror_mm - what all mirrors of one mm share
 * @mn: the MMU notifier; the kernel finds it by the mm and counts its users
 * @lock: protects @mirrors, @only and @dead; bits of @busy are set under it. The order:
 *	kernel/base/device.h
 * @dead: release() was called; never cleared
 * @unslotted: flights that found no slot
 * @busy: bitmap of the slots of @flights in use; atomic
 * @mirrors: of mirror.node
 * @only: the only one of @mirrors; NULL if there are several or none
 * @wait: woken at the end of a flight, and by release()
 * @flights: slots; written under @lock while the bit in @busy is clear, constant while it is set
 */
struct mirror_mm {
	struct mmu_notifier mn;
	spinlock_t lock;	/* all that is neither constant nor atomic */
	bool dead;
	atomic_t unslotted;
	unsigned long busy;
	struct rb_root_cached mirrors;
	struct mirror *only;
	wait_queue_head_t wait;
	struct mirror_flight flights[MIRROR_FLIGHTS];
};

int mirror_range_sample(struct mirror_range *r);

#endif

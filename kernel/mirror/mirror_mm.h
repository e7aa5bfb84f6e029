/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The inside of a mirror, for who follows the address space (mirror.c) and who reads
 * its page tables (mirror_read.c)
 */
#ifndef MIRROR_MM_H
#define MIRROR_MM_H

#include <linux/atomic.h>
#include <linux/mmu_notifier.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "mirror.h"

#define MIRROR_FLIGHTS 32	/* at a time, with a slot */

/**
 * struct mirror_flight - an invalidation that has started and not ended
 * @task: whose it is; to compare with, not to look into
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
 * @mn: the MMU notifier, by which this is found and counted
 * @lock: protects @mirrors, @only, @dead, and setting bits of @busy
 * @dead: release() has run; constant then
 * @unslotted: flights that found no slot
 * @busy: bitmap of the slots of @flights in use; atomic
 * @mirrors: of mirror.node
 * @only: the one of @mirrors, if it is one
 * @wait: for the end of flights, and for death
 * @flights: written under @lock while the bit in @busy is clear, constant while set
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

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

/* An invalidation that has started and not ended, as the MMU notifier gave it. */
struct mirror_flight {
	struct task_struct *task;	/* to compare with, not to look into */
	unsigned long start;
	unsigned long end;
};

/* What all mirrors of one mm share. */
struct mirror_mm {
	struct mmu_notifier mn;
	spinlock_t lock;		/* mirrors, only, dead; setting bits of busy */
	bool dead;			/* release() has run; constant then */
	atomic_t unslotted;		/* flights that found no slot */
	unsigned long busy;		/* bitmap of the slots in use; atomic */
	struct rb_root_cached mirrors;	/* of mirror.node */
	struct mirror *only;		/* the one of mirrors, if it is one */
	wait_queue_head_t wait;		/* for the end of flights, and for death */
	/* Written under the lock while the bit in busy is clear, constant while set. */
	struct mirror_flight flights[MIRROR_FLIGHTS];
};

int mirror_range_sample(struct mirror_range *r);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * transfer.h - random operations from a source region to a target region
 *
 * A batch is up to BATCH operations on disjoint parts of the target, posted at
 * once, on two pairs of QPs. When all have completed, the shadows say what the
 * target holds, between and beside the parts as well.
 */
#ifndef DATA_TRANSFER_H
#define DATA_TRANSFER_H

#include <pthread.h>

#include "region.h"

#define BATCH		8
#define MAX_PIECES	4
#define READ_BACK	(64ul << 10)

struct transfer {
	struct rc_pair *pair[2];
	struct region *source, *target;
	struct rc_buf back;	/* pinned: what is read back of the target */
	pthread_mutex_t *cpu;	/* taken while the CPU writes to a region */
	uint64_t random;
	size_t max_len;
	uint64_t bytes;		/* moved and verified */
	uint64_t ops;
	char what[160];		/* for messages: how to get here again */
};

/* One batch, verified. */
void transfer_batch(struct transfer *t);

/* Compare both regions with their shadows, every byte. */
void transfer_check_all(struct transfer *t);

#endif

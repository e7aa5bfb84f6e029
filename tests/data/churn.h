/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * churn.h - a thread that moves the pages under the regions and keeps their bytes
 *
 * Whatever it does (paging out, cleaning, merging, splitting, copying on fork, mapping
 * the same file page again, moving another mapping of it into place), a reader of the
 * memory sees the same bytes at every moment. So it may run at any time, also during
 * transfers.
 */
#ifndef DATA_CHURN_H
#define DATA_CHURN_H

#include <pthread.h>

#include "region.h"

struct churn {
	struct region *source;	/* the device only reads it: may be read-only for a while */
	struct region *target;
	pthread_mutex_t cpu;	/* held while the CPU writes to a region or maps another file */
	pthread_t thread;
	uint64_t random;
	bool stop;
	unsigned long done;	/* operations that the kernel accepted */
};

void churn_start(struct churn *c, struct region *source, struct region *target,
		 uint64_t seed);
void churn_stop(struct churn *c);

#endif

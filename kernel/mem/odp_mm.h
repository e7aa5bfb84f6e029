/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Work that sleeps for an address space's sake, so much of it at a time
 */
#ifndef MIRAGE_ODP_MM_H
#define MIRAGE_ODP_MM_H

#include <linux/list.h>
#include <linux/workqueue.h>

struct mm_struct;
struct mirage_odp_mm;

/**
 * struct mirage_odp_job - a piece of that work
 * @work: runs it
 * @node: in odp_mm.pending while it waits for its turn
 * @mm: whose it is
 * @run: what to do; may free the job, or queue it again
 */
struct mirage_odp_job {
	struct work_struct work;
	struct list_head node;
	struct mirage_odp_mm *mm;
	void (*run)(struct mirage_odp_job *job);
};

struct mirage_odp_mm *mirage_odp_mm_get(struct mm_struct *mm);
void mirage_odp_mm_put(struct mirage_odp_mm *om);
void mirage_odp_job_queue(struct mirage_odp_mm *om, struct mirage_odp_job *job,
			  void (*run)(struct mirage_odp_job *job));

#endif

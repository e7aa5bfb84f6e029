/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Jobs that may sleep for the pages of an address space, a limited number at a time
 */
#ifndef MIRAGE_ODP_MM_H
#define MIRAGE_ODP_MM_H

#include <linux/list.h>
#include <linux/workqueue.h>

struct mm_struct;
struct mirage_odp_mm;

/**
 * struct mirage_odp_job - a job that may sleep for the pages of an address space
 * @work: calls @run in a worker
 * @node: in mirage_odp_mm.pending while the job waits for its turn
 * @mm: of the address space; with a reference while the job is queued or runs
 * @run: what the job does; may free the job, or queue it again
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

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Jobs that may sleep for the pages of an address space, a limited number at a time
 *
 * A fault can sleep for as long as the process likes (userfaultfd, FUSE), and occupies a worker
 * that long. The number of workers of a workqueue is limited. So an address space has at most
 * ODP_MM_WORKERS jobs with a worker at a time. Its further jobs wait in a queue of the address
 * space, and delay no other process.
 */
#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "mem/odp.h"
#include "mem/odp_mm.h"

/* If a workqueue may have 512 workers, it takes 32 processes to occupy all of them. */
#define ODP_MM_WORKERS	16

/**
 * struct mirage_odp_mm - the jobs of one address space
 * @node: in odp_mms; under odp_mms_lock
 * @ref: a reference for each region, and one for each job
 * @mm: the address space; only the mm_struct is kept (mm_count)
 * @lock: protects @active and @pending; taken in softirqs too. The order: base/device.h
 * @active: number of jobs that are given to the workqueue
 * @pending: jobs that wait until one of these has ended
 */
struct mirage_odp_mm {
	struct hlist_node node;
	struct kref ref;
	struct mm_struct *mm;
	spinlock_t lock;		/* see above */
	unsigned int active;
	struct list_head pending;
};

static DEFINE_HASHTABLE(odp_mms, 6);
static DEFINE_SPINLOCK(odp_mms_lock);

static struct mirage_odp_mm *odp_mm_find(const struct mm_struct *mm)
	__must_hold(&odp_mms_lock)
{
	struct mirage_odp_mm *om;

	lockdep_assert_held(&odp_mms_lock);
	hash_for_each_possible(odp_mms, om, node, (unsigned long)mm)
		if (om->mm == mm)
			return om;
	return NULL;
}

static void odp_mm_release(struct kref *ref)
	__releases(&odp_mms_lock)
{
	struct mirage_odp_mm *om = container_of(ref, struct mirage_odp_mm, ref);

	hash_del(&om->node);
	spin_unlock(&odp_mms_lock);
	mmdrop(om->mm);
	kfree(om);
}

/**
 * mirage_odp_mm_put - drop a reference
 * @om: what mirage_odp_mm_get() returned
 *
 * Process context.
 */
void mirage_odp_mm_put(struct mirage_odp_mm *om)
{
	kref_put_lock(&om->ref, odp_mm_release, &odp_mms_lock);
}

/**
 * mirage_odp_mm_get - find the struct mirage_odp_mm of an address space, or make it
 * @mm: the address space
 *
 * Process context.
 *
 * Return: the struct, with a reference; NULL if there is no memory.
 */
struct mirage_odp_mm *mirage_odp_mm_get(struct mm_struct *mm)
{
	struct mirage_odp_mm *om, *fresh = NULL;

	spin_lock(&odp_mms_lock);
	om = odp_mm_find(mm);
	if (!om) {
		spin_unlock(&odp_mms_lock);
		fresh = kzalloc_obj(*fresh);
		if (!fresh)
			return NULL;
		spin_lock_init(&fresh->lock);
		INIT_LIST_HEAD(&fresh->pending);
		fresh->mm = mm;
		spin_lock(&odp_mms_lock);
		om = odp_mm_find(mm);
	}
	if (om) {
		kref_get(&om->ref);
	} else {
		om = fresh;
		fresh = NULL;
		kref_init(&om->ref);
		mmgrab(mm);
		hash_add(odp_mms, &om->node, (unsigned long)mm);
	}
	spin_unlock(&odp_mms_lock);
	kfree(fresh);
	return om;
}

/* A job has ended: gives the next pending job to the workqueue. */
static void odp_job_next(struct mirage_odp_mm *om)
{
	struct mirage_odp_job *next;

	spin_lock_bh(&om->lock);
	next = list_first_entry_or_null(&om->pending, struct mirage_odp_job, node);
	if (next)
		list_del(&next->node);
	else
		om->active--;
	spin_unlock_bh(&om->lock);
	if (next)
		queue_work(mirage_odp_wq, &next->work);
}

static void odp_job_work(struct work_struct *work)
{
	struct mirage_odp_job *job = container_of(work, struct mirage_odp_job, work);
	struct mirage_odp_mm *om = job->mm;

	job->run(job);
	odp_job_next(om);
	mirage_odp_mm_put(om);
}

/**
 * mirage_odp_job_queue - queue a job for a worker
 * @om: of the address space that the job may sleep for; the caller has a reference
 * @job: the job, which is not queued now; @run may queue it again
 * @run: the function that a worker calls
 *
 * Any context but hardirq; spinlocks may be held.
 */
void mirage_odp_job_queue(struct mirage_odp_mm *om, struct mirage_odp_job *job,
			  void (*run)(struct mirage_odp_job *job))
{
	bool now;

	INIT_WORK(&job->work, odp_job_work);
	job->mm = om;
	job->run = run;
	kref_get(&om->ref);
	spin_lock_bh(&om->lock);
	now = om->active < ODP_MM_WORKERS;
	if (now)
		om->active++;
	else
		list_add_tail(&job->node, &om->pending);
	spin_unlock_bh(&om->lock);
	if (now)
		queue_work(mirage_odp_wq, &job->work);
}

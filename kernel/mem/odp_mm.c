// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Work that sleeps for an address space's sake, so much of it at a time
 *
 * A fault can sleep for as long as the process likes (userfaultfd, FUSE), and keeps a
 * worker that long; and there are not more workers than a workqueue allows. So no
 * address space has more than ODP_MM_WORKERS of them. What it has besides waits in a
 * queue of its own, behind its own.
 */
#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "mem/odp.h"
#include "mem/odp_mm.h"

/* A workqueue has 512: so it takes 32 processes to fill it. */
#define ODP_MM_WORKERS	16

/**
 * struct mirage_odp_mm - the work of one address space
 * @node: in odp_mms; odp_mms_lock
 * @ref: one for each region, one for each job
 * @mm: which; a reference on the struct alone
 * @lock: protects the rest; taken in softirqs too
 * @active: jobs that a worker has or will have
 * @pending: jobs that wait until @active goes down
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
 * @om: what mirage_odp_mm_get() gave
 *
 * Process context.
 */
void mirage_odp_mm_put(struct mirage_odp_mm *om)
{
	kref_put_lock(&om->ref, odp_mm_release, &odp_mms_lock);
}

/**
 * mirage_odp_mm_get - find or make the fault queue of an address space
 * @mm: the address space
 *
 * Process context.
 *
 * Return: the queue, with a reference; NULL: no memory.
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

/* A worker is free again: for the next one that waits. */
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
 * mirage_odp_job_queue - have something done by a worker, when it is its turn
 * @om: of the address space it may sleep for; whoever queues has a reference
 * @job: not queued now; @job->run may queue it again
 * @run: what to do
 *
 * Any context but hardirq, spinlocks may be held.
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

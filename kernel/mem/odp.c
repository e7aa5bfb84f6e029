// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The backend of ODP regions: nothing is pinned. A page enters the region's table when it is
 * missed, and leaves the table when the CPU's page tables change.
 *
 * Vocabulary
 * ----------
 *
 * miss
 *	An engine found no page in the table for a byte that it has to move.
 *
 * fault
 *	What becomes of a miss that takes a wait: an object with waiters. A worker
 *	services it, and may sleep as long as it has to. Another miss of a page of its
 *	demand joins the fault in flight.
 *
 * demand
 *	The first pages from the miss on, ODP_BATCH at most. The fault brings them in
 *	first; then its waiters go on.
 *
 * read-ahead
 *	Pages that are likely to be missed next. A worker reads ahead the whole rest of
 *	the message. When misses walk through a region, mirage_odp_fault_now() also
 *	brings in the pages behind the one that was missed. Errors of the read-ahead are
 *	ignored. A fault on pages that another fault reads ahead brings in its demand,
 *	and leaves the rest to the other fault.
 *
 * Errors
 * ------
 *
 * -EFAULT, -EPERM and -ESRCH (the mm or the region is gone) are permanent: the operation
 * ends with a protection error. All others are transient and the miss is tried again, for
 * ever if need be: -EBUSY (invalidated meanwhile), -EAGAIN (would sleep), -EINTR, -ENOMEM.
 * After ODP_TRIES attempts with growing pauses a worker gives up and wakes its waiters, which
 * raise the fault again. So a fault whose waiters are gone does not occupy a worker for ever.
 *
 * A fault can sleep for ever (userfaultfd). It has a reference on its region. The region's
 * deregistration does not wait for it, but wakes the waiters; the end of a queue pair does not
 * wait for it either, but cancels its own wait. Only the module's exit waits for it, and so do
 * further faults of the same process when it has too many (odp_mm.c).
 *
 * The order of the locks: base/device.h.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "base/device.h"
#include "base/trace.h"
#include "mem/mr.h"
#include "mem/mtt.h"
#include "mem/mtt_chunk.h"
#include "mem/odp.h"
#include "mem/odp_fill.h"
#include "mirror.h"

/* Batches that a worker reads ahead before it lets other jobs of the process run. */
#define ODP_AHEAD_TURN	16

/**
 * struct odp_fault - a fault in flight
 * @node: in odp.faults while it can be joined, then in odp.aheads; under odp.lock
 * @waiters: list of struct mirage_odp_waiter; under odp.lock
 * @job: services the fault, then reads ahead
 * @mr: the region, with a reference
 * @iova: the first page of the demand, later the first page to read ahead
 * @pages: pages of the demand; 0 once they were serviced
 * @ahead: pages behind the demand, to be read ahead. While the fault is in odp.aheads, odp.lock
 *	protects @ahead and @iova
 * @write: the pages have to be writable
 */
struct odp_fault {
	struct list_head node;
	struct list_head waiters;
	struct mirage_odp_job job;
	struct mirage_mr *mr;
	u64 iova;
	unsigned int pages;
	unsigned int ahead;
	bool write;
};

const char *const mirage_odp_event_names[ODP_EVENTS] = {
	[ODP_FAULTS] = "page_faults",
	[ODP_FAULTS_HANDLED] = "page_faults_handled",
	[ODP_INVALIDATIONS] = "page_invalidations",
	[ODP_INVALIDATIONS_HANDLED] = "page_invalidations_handled",
	[ODP_PREFETCH] = "page_prefetch",
};

static_assert((int)ODP_FAULTS == MIRAGE_STAT_PAGE_FAULTS);
static_assert((int)ODP_PREFETCH == MIRAGE_STAT_PAGE_PREFETCH);

struct workqueue_struct *mirage_odp_wq;

/* Counters of deregistered regions, whose device may be gone. Nobody reads them. */
static DEFINE_PER_CPU(struct mirage_stats, odp_gone);

/*
 * The device can not be removed meanwhile: the caller is an operation of the device, or is in an
 * RCU read side.
 */
static void odp_count_here(struct mirage_odp *odp, enum mirage_odp_event event, unsigned long n)
{
	struct mirage_stats __percpu *stats = READ_ONCE(odp->stats);

	atomic64_add(n, &odp->events[event]);
	this_cpu_add(stats->count[event], n);
}

/**
 * mirage_odp_count - count an event for the region, and for its device if that still exists
 * @odp: the region
 * @event: the event
 * @n: number of pages
 *
 * The device can be removed before the last reference on a region is dropped. But its removal
 * takes grace periods, so it does not end within an RCU read side that began before the region
 * was deregistered.
 */
void mirage_odp_count(struct mirage_odp *odp, enum mirage_odp_event event, unsigned long n)
{
	rcu_read_lock();
	odp_count_here(odp, event, n);
	rcu_read_unlock();
}

/* The number of pages from @iova on, at most @pages and not beyond the region's last page. */
static unsigned int odp_clip(const struct mirage_mr *mr, u64 iova, unsigned int pages)
{
	return min_t(u64, pages, ((mr->last >> PAGE_SHIFT) - (iova >> PAGE_SHIFT)) + 1);
}

/*
 * The number of pages to bring in at once for a miss that needs @pages: more than these if
 * misses walk forward through the region, but at most a batch.
 */
static unsigned int odp_stream(struct mirage_odp *odp, u64 iova, unsigned int pages)
{
	u64 page = iova & PAGE_MASK;
	unsigned int window = 0;

	if (unlikely(page == READ_ONCE(odp->next))) {
		window = min(max(2 * READ_ONCE(odp->window), pages), ODP_BATCH);
		pages = odp_pages(page, ((u64)pages + window) << PAGE_SHIFT, ODP_BATCH);
		pages = odp_clip(odp->mr, page, pages);
	}
	WRITE_ONCE(odp->window, window);
	WRITE_ONCE(odp->next, page + ((u64)pages << PAGE_SHIFT));
	return pages;
}

/* The pages below @end are in the table: @fault need not read them ahead any more. */
static void odp_ahead_pass(struct mirage_odp *odp, struct odp_fault *fault, u64 end)
	__must_hold(&odp->lock)
{
	unsigned int n;

	lockdep_assert_held(&odp->lock);
	if (end <= fault->iova)
		return;
	n = min_t(u64, (end - fault->iova) >> PAGE_SHIFT, fault->ahead);
	fault->iova += (u64)n << PAGE_SHIFT;
	fault->ahead -= n;
}

/* These pages were brought in: no fault need read them ahead any more. */
static noinline void odp_ahead_skip(struct mirage_odp *odp, u64 iova, unsigned int pages,
				    bool write)
{
	u64 first = iova & PAGE_MASK, end = first + ((u64)pages << PAGE_SHIFT);
	struct odp_fault *fault;

	spin_lock_bh(&odp->lock);
	list_for_each_entry(fault, &odp->aheads, node)
		if (fault->iova >= first && fault->write <= write)
			odp_ahead_pass(odp, fault, end);
	spin_unlock_bh(&odp->lock);
}

/**
 * mirage_odp_fault_now - bring missed pages in at once, if that takes no wait
 * @mr: an ODP region
 * @iova: the first missing byte; checked against the region by the caller
 * @len: bytes the operation needs from there on
 * @write: whether the operation writes to the pages
 *
 * Task context, no locks held. May sleep to allocate and clear memory, but not for I/O, for
 * mmap_lock, or for another process.
 *
 * Return: 0 if the first page, and as many more as one attempt covers, were brought in, though
 * they may be invalid again; -EAGAIN if the caller has to raise a fault instead; -EFAULT, -EPERM
 * or -ESRCH for a permanent error.
 */
int mirage_odp_fault_now(struct mirage_mr *mr, u64 iova, u64 len, bool write)
{
	enum mirage_odp_how how = write ? ODP_WRITE : ODP_READ;
	unsigned int pages = odp_pages(iova, len, ODP_BATCH);
	struct mirage_odp *odp = mr->priv;
	unsigned int total;
	int err;

	if (READ_ONCE(mr->dead))
		return -ESRCH;
	trace_mirage_odp_fault_raise(mr->key, iova, len, write);
	trace_mirage_odp_fault_service(mr->key, iova, len, write);
	total = odp_stream(odp, iova, pages);
	odp_count_here(odp, ODP_FAULTS, pages);
	err = mirage_odp_fill(odp, iova, total, how);
	if (unlikely(err && total > pages)) {
		WRITE_ONCE(odp->window, 0);
		total = pages;
		err = mirage_odp_fill(odp, iova, total, how);
	}
	/* The error may be that of a later page: only an error of the first page counts. */
	if (unlikely(err && pages > 1)) {
		pages = 1;
		total = 1;
		err = mirage_odp_fill(odp, iova, total, how);
	}
	if (likely(!err)) {
		if (unlikely(!list_empty(&odp->aheads)))
			odp_ahead_skip(odp, iova, total, write);
		odp_count_here(odp, ODP_FAULTS_HANDLED, pages);
		if (total > pages)
			odp_count_here(odp, ODP_PREFETCH, total - pages);
	} else if (err != -EAGAIN) {
		trace_mirage_odp_fault_fail(mr->key, iova, err);
	}
	return err;
}

/*
 * Brings in the demand of a fault, and sleeps as long as that takes. Sets *@done to the number of
 * pages that were brought in. Returns a permanent error, or 0; after 0 the waiters look again.
 */
static int odp_service(struct odp_fault *fault, unsigned int *done)
{
	enum mirage_odp_how how = ODP_BLOCK | (fault->write ? ODP_WRITE : ODP_READ);
	struct mirage_odp *odp = fault->mr->priv;
	unsigned int pages = fault->pages;
	int err;

	trace_mirage_odp_fault_service(fault->mr->key, fault->iova,
				       (u64)pages << PAGE_SHIFT, fault->write);
	mirage_odp_count(odp, ODP_FAULTS, pages);
	err = mirage_odp_fill_patiently(odp, fault->iova, &pages, how);
	*done = err ? 0 : pages;
	if (!err)
		mirage_odp_count(odp, ODP_FAULTS_HANDLED, pages);
	else if (err != -EAGAIN)
		trace_mirage_odp_fault_fail(fault->mr->key, fault->iova, err);
	return err == -EAGAIN ? 0 : err;
}

/* Detaches a waiter from its fault: only the caller may wake it from now on. */
static void odp_detach(struct mirage_odp *odp, struct mirage_odp_waiter *w)
	__must_hold(&odp->lock)
{
	lockdep_assert_held(&odp->lock);
	list_del(&w->node);
	WRITE_ONCE(w->mr, NULL);
}

static void odp_wake_all(struct mirage_odp *odp, struct list_head *waiters, int err)
{
	struct mirage_odp_waiter *w;

	do {
		spin_lock_bh(&odp->lock);
		w = list_first_entry_or_null(waiters, struct mirage_odp_waiter, node);
		if (w)
			odp_detach(odp, w);
		spin_unlock_bh(&odp->lock);
		if (w)
			w->wake(w, err);
	} while (w);
}

static void odp_fault_free(struct odp_fault *fault)
{
	mirage_mr_put(fault->mr);
	kfree(fault);
}

/* Sets *@iova to the next page to read ahead. Returns the number of pages; 0 if none is left. */
static unsigned int odp_ahead_next(struct mirage_odp *odp, const struct odp_fault *fault,
				   u64 *iova)
{
	unsigned int n = 0;

	spin_lock_bh(&odp->lock);
	*iova = fault->iova;
	if (fault->ahead && !READ_ONCE(fault->mr->dead))
		n = odp_pages(*iova, (u64)fault->ahead << PAGE_SHIFT, ODP_BATCH);
	spin_unlock_bh(&odp->lock);
	return n;
}

/* Reads the rest of the message ahead, while the engine moves the bytes of the demand. */
static void odp_ahead_work(struct mirage_odp_job *job)
{
	struct odp_fault *fault = container_of(job, struct odp_fault, job);
	enum mirage_odp_how how = ODP_BLOCK | (fault->write ? ODP_WRITE : ODP_READ);
	struct mirage_odp *odp = fault->mr->priv;
	unsigned int turn = ODP_AHEAD_TURN, n;
	u64 iova;

	while ((n = odp_ahead_next(odp, fault, &iova))) {
		if (!turn--) {
			mirage_odp_job_queue(odp->mm, &fault->job, odp_ahead_work);
			return;
		}
		if (mirage_odp_fill(odp, iova, n, how))
			break;
		mirage_odp_count(odp, ODP_PREFETCH, n);
		odp_ahead_skip(odp, iova, n, fault->write);
		cond_resched();
	}
	spin_lock_bh(&odp->lock);
	list_del(&fault->node);
	spin_unlock_bh(&odp->lock);
	odp_fault_free(fault);
}

static void odp_fault_work(struct mirage_odp_job *job)
{
	struct odp_fault *fault = container_of(job, struct odp_fault, job);
	struct mirage_mr *mr = fault->mr;
	struct mirage_odp *odp = mr->priv;
	unsigned int done;
	int err = odp_service(fault, &done);
	LIST_HEAD(waiters);
	bool ahead;

	spin_lock_bh(&odp->lock);
	list_splice_init(&fault->waiters, &waiters);
	fault->ahead += fault->pages - done;
	fault->pages = 0;
	fault->iova += (u64)done << PAGE_SHIFT;
	ahead = done && fault->ahead;
	if (ahead)
		list_move_tail(&fault->node, &odp->aheads);
	else
		list_del(&fault->node);
	spin_unlock_bh(&odp->lock);

	kref_get(&mr->ref);
	if (ahead) {
		/* The engine runs in this worker when it is woken: another worker reads ahead. */
		mirage_odp_job_queue(odp->mm, &fault->job, odp_ahead_work);
	} else {
		odp_fault_free(fault);
	}
	odp_wake_all(odp, &waiters, err);
	mirage_mr_put(mr);
}

static struct odp_fault *odp_fault_alloc(struct mirage_mr *mr, u64 iova, u64 len,
					 bool write)
{
	struct odp_fault *fault = kmalloc_obj(*fault, GFP_ATOMIC | __GFP_NOWARN);
	unsigned int all;

	if (!fault)
		return NULL;
	INIT_LIST_HEAD(&fault->waiters);
	fault->mr = mr;
	fault->iova = iova & PAGE_MASK;
	fault->pages = odp_pages(iova, len, ODP_BATCH);
	all = PAGE_ALIGN(offset_in_page(iova) + len) >> PAGE_SHIFT;
	fault->ahead = odp_clip(mr, iova, all) - fault->pages;
	fault->write = write;
	return fault;
}

/* Finds a fault in flight whose demand includes the missing page. */
static struct odp_fault *odp_fault_find(struct mirage_odp *odp, u64 iova, bool write)
	__must_hold(&odp->lock)
{
	struct odp_fault *fault;

	lockdep_assert_held(&odp->lock);
	list_for_each_entry(fault, &odp->faults, node) {
		u64 off = iova - fault->iova;

		if (off < (u64)fault->pages << PAGE_SHIFT && write <= fault->write)
			return fault;
	}
	return NULL;
}

/* Tells whether another fault reads ahead all pages of @fault, those of the demand included. */
static bool odp_ahead_covers(struct mirage_odp *odp, const struct odp_fault *fault)
	__must_hold(&odp->lock)
{
	u64 end = fault->iova + ((u64)(fault->pages + fault->ahead) << PAGE_SHIFT);
	const struct odp_fault *other;

	lockdep_assert_held(&odp->lock);
	list_for_each_entry(other, &odp->aheads, node) {
		u64 other_end = other->iova + ((u64)other->ahead << PAGE_SHIFT);

		if (fault->write <= other->write && fault->iova >= other->iova &&
		    end <= other_end)
			return true;
	}
	return false;
}

/**
 * mirage_odp_fault_raise - have missed pages brought in by a worker
 * @mr: an ODP region, with a reference; the fault takes its own
 * @iova: the first missing byte; checked against the region by the caller
 * @len: bytes the operation needs from there on
 * @write: whether the operation writes to the pages
 * @w: the waiter, whose @w->wake is set; woken when the fault is over
 *
 * Joins a fault in flight if the demand of one includes the first page. A new fault covers all of
 * @len: it brings in the first pages before it wakes @w, and reads the rest ahead.
 *
 * Any context but hardirq. The caller may hold spinlocks, also those that @w->wake takes: this
 * function neither sleeps nor calls @w->wake.
 *
 * Return: 0 if @w->wake will be called. If it will not: -ENOMEM, try again later; -ESRCH, the
 * region was deregistered.
 */
int mirage_odp_fault_raise(struct mirage_mr *mr, u64 iova, u64 len, bool write,
			   struct mirage_odp_waiter *w)
{
	struct odp_fault *fault, *fresh = odp_fault_alloc(mr, iova, len, write);
	struct mirage_odp *odp = mr->priv;
	int err = 0;

	spin_lock_bh(&odp->lock);
	fault = odp_fault_find(odp, iova, write);
	if (odp->dead) {
		err = -ESRCH;
	} else if (fault) {
		trace_mirage_odp_fault_coalesce(mr->key, iova, len, write);
	} else if (fresh) {
		trace_mirage_odp_fault_raise(mr->key, iova, len, write);
		kref_get(&mr->ref);
		fault = fresh;
		fresh = NULL;
		if (odp_ahead_covers(odp, fault))
			fault->ahead = 0;
		list_add_tail(&fault->node, &odp->faults);
		mirage_odp_job_queue(odp->mm, &fault->job, odp_fault_work);
	} else {
		err = -ENOMEM;
	}
	if (!err) {
		list_add_tail(&w->node, &fault->waiters);
		WRITE_ONCE(w->mr, mr);
	}
	spin_unlock_bh(&odp->lock);
	kfree(fresh);
	return err;
}

/**
 * mirage_odp_fault_cancel - stop waiting for a fault
 * @w: the waiter, whether it waits or not
 *
 * The fault goes on, even if it has no other waiter. Any context but hardirq.
 *
 * Return: true if @w->wake will not be called. False if @w does not wait: if it ever did, @w->wake
 * was called, or is about to be called.
 */
bool mirage_odp_fault_cancel(struct mirage_odp_waiter *w)
{
	struct mirage_mr *mr;
	bool waiting = false;

	/* The region has a reference while w waits, and is freed by RCU after that. */
	rcu_read_lock();
	mr = READ_ONCE(w->mr);
	if (mr) {
		struct mirage_odp *odp = mr->priv;

		spin_lock_bh(&odp->lock);
		waiting = w->mr == mr;
		if (waiting)
			odp_detach(odp, w);
		spin_unlock_bh(&odp->lock);
	}
	rcu_read_unlock();
	return waiting;
}

/*
 * Counts and traces that @n pages between @first and @last left the table. Always inline: 0.4 % of
 * an madvise(MADV_DONTNEED) of one page (bench_unmap, dontneed_each).
 */
static __always_inline void odp_zapped(struct mirage_odp *odp, u64 first, u64 last, unsigned long n)
{
	if (!n)
		return;
	trace_mirage_odp_invalidate(odp->mr->key, first, last, n);
	/* The caller is a callback of the mirror; its spinlock makes this an RCU read side. */
	odp_count_here(odp, ODP_INVALIDATIONS, n);
}

static noinline void odp_invalidate_many(struct mirage_odp *odp, unsigned long start,
					 unsigned long end)
{
	u64 first, last;

	/* Clip user addresses, not iovas: outside of the region the sum may wrap. */
	first = max(start, odp->va_first) + odp->va_to_iova;
	last = min(end - 1, odp->va_last) + odp->va_to_iova;
	odp_zapped(odp, first, last, mirage_mtt_zap(&odp->mr->mtt, first, last));
}

static void odp_invalidate(struct mirror *mirror, unsigned long start,
			   unsigned long end)
{
	struct mirage_odp *odp = container_of(mirror, struct mirage_odp, mirror);
	u64 iova = start + odp->va_to_iova;
	struct mirage_mtt_chunk *chunk;

	if (unlikely(end - start != PAGE_SIZE)) {
		odp_invalidate_many(odp, start, end);
		return;
	}
	chunk = mtt_find_addr(&odp->mr->mtt, iova);
	if (!chunk)
		return;
	if (likely(mirage_mtt_zap_page(chunk, iova))) {
		odp_zapped(odp, iova, iova + PAGE_SIZE - 1, 1);
	} else {
		start = iova - odp->va_to_iova;
		odp_invalidate_many(odp, start, start + PAGE_SIZE);
	}
}

static void odp_release(struct mirror *mirror)
{
	struct mirage_odp *odp = container_of(mirror, struct mirage_odp, mirror);
	const struct mirage_mtt *mtt = &odp->mr->mtt;

	odp_zapped(odp, mtt->first, mtt->last,
		   mirage_mtt_zap(&odp->mr->mtt, mtt->first, mtt->last));
}

static const struct mirror_ops odp_mirror_ops = {
	.invalidate = odp_invalidate,
	.release = odp_release,
};

/* Wakes all who wait for pages of the region, because it is deregistered. */
static void odp_dereg(struct mirage_mr *mr)
{
	struct mirage_odp *odp = mr->priv;
	struct odp_fault *fault;
	LIST_HEAD(waiters);

	WRITE_ONCE(odp->stats, &odp_gone);
	spin_lock_bh(&odp->lock);
	odp->dead = true;
	list_for_each_entry(fault, &odp->faults, node)
		list_splice_tail_init(&fault->waiters, &waiters);
	spin_unlock_bh(&odp->lock);
	odp_wake_all(odp, &waiters, -ESRCH);
}

static void odp_teardown(struct mirage_mr *mr)
{
	struct mirage_odp *odp = mr->priv;

	mirror_unregister(&odp->mirror);
	mirage_odp_mm_put(odp->mm);
	kfree_rcu(odp, rcu);
}

static const struct mirage_mr_backend odp_backend = {
	.fault_now = mirage_odp_fault_now,
	.fault_raise = mirage_odp_fault_raise,
	.dereg = odp_dereg,
	.teardown = odp_teardown,
};

/**
 * mirage_odp_region - is this an ODP region?
 * @mr: the region
 *
 * Any context.
 *
 * Return: whether it is.
 */
bool mirage_odp_region(const struct mirage_mr *mr)
{
	return mr->backend == &odp_backend;
}

/**
 * mirage_odp_queue - queue a job that may sleep for a region's pages
 * @mr: an ODP region, with a reference
 * @job: the job; see mirage_odp_job_queue()
 * @run: the function that a worker calls
 *
 * Any context but hardirq; spinlocks may be held.
 */
void mirage_odp_queue(struct mirage_mr *mr, struct mirage_odp_job *job,
		      void (*run)(struct mirage_odp_job *job))
{
	struct mirage_odp *odp = mr->priv;

	mirage_odp_job_queue(odp->mm, job, run);
}

/**
 * mirage_odp_event_count - read one of a region's counters
 * @mr: an ODP region
 * @event: the event that it counts
 *
 * Any context.
 *
 * Return: the number of pages that were counted.
 */
u64 mirage_odp_event_count(const struct mirage_mr *mr, enum mirage_odp_event event)
{
	const struct mirage_odp *odp = mr->priv;

	/* An invalidation is handled at once, so that one counter serves both events. */
	if (event == ODP_INVALIDATIONS_HANDLED)
		event = ODP_INVALIDATIONS;
	return atomic64_read(&odp->events[event]);
}

/**
 * mirage_odp_create - make a region an ODP region of the caller's address space
 * @mr: the region, with its bounds and rights set, and the table initialised
 *
 * Brings no page in. Process context, takes mmap_lock.
 *
 * Return: 0, -ENOMEM, or the errno of mirror_register().
 */
int mirage_odp_create(struct mirage_mr *mr)
{
	unsigned long end = mr->start + (mr->last - mr->iova) + 1;
	struct mirage_odp *odp = kzalloc_obj(*odp, GFP_KERNEL_ACCOUNT);
	int err;

	if (!odp)
		return -ENOMEM;
	odp->mr = mr;
	odp->stats = mr->dev->stats;
	odp->va_first = mr->start & PAGE_MASK;
	odp->va_last = (end - 1) | ~PAGE_MASK;
	odp->va_to_iova = mr->iova - mr->start;
	odp->next = U64_MAX;
	spin_lock_init(&odp->lock);
	INIT_LIST_HEAD(&odp->faults);
	INIT_LIST_HEAD(&odp->aheads);
	odp->mm = mirage_odp_mm_get(current->mm);
	if (!odp->mm) {
		kfree(odp);
		return -ENOMEM;
	}
	mr->priv = odp;
	mr->backend = &odp_backend;
	/* If the region ends at the last address, end has wrapped to 0. */
	err = mirror_register(&odp->mirror, current->mm, mr->start, end ?: ULONG_MAX,
			      &odp_mirror_ops);
	if (err) {
		mirage_odp_mm_put(odp->mm);
		kfree(odp);
	}
	return err;
}

/**
 * mirage_odp_init - at module init: allocate the workqueue
 *
 * Return: 0 or -ENOMEM.
 */
int mirage_odp_init(void)
{
	/* Faults sleep in the workers, so there may be as many as a workqueue can have. */
	mirage_odp_wq = alloc_workqueue("mirage_odp", WQ_UNBOUND, WQ_UNBOUND_MAX_ACTIVE);
	return mirage_odp_wq ? 0 : -ENOMEM;
}

/**
 * mirage_odp_exit - at module exit, when no device is left
 *
 * Waits for faults in flight, and so for the end of the regions that they have references on.
 */
void mirage_odp_exit(void)
{
	destroy_workqueue(mirage_odp_wq);
	/* RCU callbacks in this module free chunks: wait for the last one. */
	rcu_barrier();
}

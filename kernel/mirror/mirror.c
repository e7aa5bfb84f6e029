// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/**
 * DOC: address-space mirror
 *
 * A device that uses the memory of a process through a table of its own has to
 * fill that table with the pages the process has, and to stop using them when the
 * process loses them. This file does the part of both that has to do with mm, for
 * any kind of table; mirror_read.c reads the page tables for it. Neither knows of
 * RDMA.
 *
 * mirror:
 *	one user's interest in an interval of an mm. Its ops->invalidate() is told
 *	of every change to the page tables that overlaps the interval.
 * range:
 *	the addresses that one thread is just now copying from the CPU's page tables
 *	to the device's. It notices invalidations that come in between.
 * flight:
 *	an invalidation between its start and its end. The page tables under it can
 *	change at any moment, so nothing read from them may be used.
 *
 * What the user writes
 * --------------------
 *
 * A table with a lock that can be taken where sleeping is forbidden; the two
 * callbacks, which clear entries of the table under its lock; and this loop, here
 * without its error paths::
 *
 *	struct mirror_range r = { .pfns = pfns, .default_flags = MIRROR_WRITE };
 *
 *	mirror_range_register(&r, mirror, start, end);
 * again:
 *	mirror_range_wait_until_valid(&r, timeout);
 *	if (mirror_range_fault(&r, true) == -EBUSY)
 *		goto again;
 *	spin_lock(&table->lock);
 *	if (!mirror_range_valid(&r)) {
 *		spin_unlock(&table->lock);
 *		goto again;
 *	}
 *	(copy pfns to the table)
 *	spin_unlock(&table->lock);
 *	mirror_range_unregister(&r);
 *
 * The user never holds mmap_lock: the functions here take and drop it themselves.
 * The user bounds the loop.
 *
 * mirror.ko exports the functions to any module whose licence is compatible with the
 * GPL. include/mirror.h is the only header such a module needs. A module that is built
 * outside of this tree names kernel/Module.symvers in KBUILD_EXTRA_SYMBOLS. tests/hmm has a
 * small example, which is no RDMA device.
 *
 * Why it is right
 * ---------------
 *
 * A start counts up mirror_range.seq of every range it overlaps and calls
 * ops->invalidate() after that; the two meet in the table's lock::
 *
 *	start                              loop
 *	                                   sampled = seq, no flight over the range
 *	                                   read the CPU's page tables
 *	seq++
 *	                                   lock table
 *	invalidate(): lock table (waits)   sampled == seq ?
 *	                                     no: unlock, again
 *	                                     yes: commit, unlock
 *	clear what was committed
 *
 * A commit that saw the old seq got the table's lock before invalidate() did, so
 * invalidate() clears it. One that got the lock later sees the new seq. It is a
 * count and not a flag, because a flag can be back where it was after a whole
 * invalidation has passed.
 *
 * An invalidate() that sees nothing to clear may do without the lock, for what a
 * commit makes known between two full barriers, or by a cmpxchg(), before it asks
 * mirror_range_valid(): there is one between seq++ and invalidate() too, so that one of
 * the two sees the other.
 *
 * Flights
 * -------
 *
 * A range can be registered, or can sample, in the middle of a flight, so flights
 * are recorded, even where no mirror is (one may come). start must not fail, nor
 * sleep, nor allocate for that: it runs under the OOM reaper. So there is a fixed
 * number of slots per mm. A start that finds none free is only counted, and is
 * taken to overlap everything until that count is zero again: then ranges wait
 * longer than they must, and nothing is wrong. It takes as many invalidations at
 * the same instant in one mm as there are slots to get there.
 *
 * An end gives back the slot of its start, which it knows by the task, since both
 * run in the same one, and by the addresses, since a task can have several flights
 * (one that splits a huge page is nested in the one that needs it split). Two
 * slots of one task with the same addresses are as good as each other. An end that
 * finds no slot belongs to a start that was counted. Slots are taken under the lock
 * and given back without: see mirror_flight_remove().
 *
 * Counting flights per bucket of addresses needs no slots, but lets a storm delay a
 * fault elsewhere that shares the bucket, and one fork() is in every bucket.
 *
 * Locking
 * -------
 *
 * mirror_mm.lock is the one lock here. It protects the tree of mirrors, their
 * lists of ranges and every mirror_range.seq, flights start under it, and it is
 * held, with softirqs off, over the callbacks: that is what makes mirror_unregister()
 * wait for them, without a reference count on the hot path. Order::
 *
 *	mmap_lock, reclaim, i_mmap_rwsem, anon_vma lock, page locks
 *	  -> mirror_mm.lock
 *	    -> the lock of the user's table, which softirq may take too
 *
 * Lifetime
 * --------
 *
 * All mirrors of an mm share one mirror_mm with one MMU notifier, counted by
 * mmu_notifier_get_locked() and freed through SRCU after mmu_notifier_put(). It
 * keeps the mm_struct (mm_count) but not the address space (mm_users): a process
 * exits under its mirrors, ops->release() tells of it, and what is asked later is
 * answered with -ESRCH. mm_users is held only while page tables are read or faulted,
 * and dropped with mmput_async(), because the last one calls back into the mirror.
 *
 * Once all its mirrors are unregistered, a user's module can be unloaded: callbacks run
 * under mirror_mm.lock, which mirror_unregister() takes. mirror.ko itself can be
 * unloaded when no other module needs it; mirror_exit() waits for the mirror_mm that
 * SRCU has yet to free.
 */

#include <linux/export.h>
#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>

#include "mirror.h"
#include "mirror/mirror_mm.h"

static_assert(MIRROR_FLIGHTS < BITS_PER_LONG);

/* Every mirror_mm that was allocated and not freed yet: see mirror_exit(). */
static atomic_t mirror_mm_count = ATOMIC_INIT(0);

/* The library's is out of line: two calls more for every invalidation. */
#define MIRROR_NODE_START(node) ((node)->start)
#define MIRROR_NODE_LAST(node) ((node)->last)
INTERVAL_TREE_DEFINE(struct interval_tree_node, rb, unsigned long, __subtree_last,
		     MIRROR_NODE_START, MIRROR_NODE_LAST, static inline, mirror_tree)

/* Half-open intervals: two that only touch do not overlap. */
static bool mirror_overlap(unsigned long a_start, unsigned long a_end,
			   unsigned long b_start, unsigned long b_end)
{
	return a_start < b_end && b_start < a_end;
}

static void mirror_flight_add(struct mirror_mm *mm, unsigned long start,
			      unsigned long end)
	__must_hold(&mm->lock)
{
	unsigned long i = ffz(READ_ONCE(mm->busy));
	struct mirror_flight *f = mm->flights + i;

	lockdep_assert_held(&mm->lock);
	if (unlikely(i >= MIRROR_FLIGHTS)) {
		atomic_inc(&mm->unslotted);
		return;
	}
	f->task = current;
	f->start = start;
	f->end = end;
	/* Pairs with the acquire of busy. */
	smp_mb__before_atomic();
	set_bit(i, &mm->busy);
}

/*
 * Without the lock. A slot that was busy when busy was read, and has current in it,
 * is a slot of this task's: nobody else gives it back, so it does not change while
 * it is compared. Another task's slot may be given back and taken at any time, but
 * never by this task meanwhile.
 */
static void mirror_flight_remove(struct mirror_mm *mm, unsigned long start,
				 unsigned long end)
{
	/* Pairs with the barrier before set_bit(). */
	unsigned long busy = smp_load_acquire(&mm->busy);

	for (; busy; busy &= busy - 1) {
		unsigned long i = __ffs(busy);
		struct mirror_flight *f = mm->flights + i;

		if (READ_ONCE(f->task) == current && f->start == start &&
		    f->end == end) {
			/* Who sees it clear sees the new page tables. */
			clear_bit_unlock(i, &mm->busy);
			return;
		}
	}
	/* As with clear_bit_unlock(). */
	smp_mb__before_atomic();
	WARN_ON_ONCE(atomic_dec_if_positive(&mm->unslotted) < 0);
}

static bool mirror_flight_over(struct mirror_mm *mm, unsigned long start,
			       unsigned long end)
	__must_hold(&mm->lock)
{
	/* Pairs with clear_bit_unlock(). */
	unsigned long busy = smp_load_acquire(&mm->busy);

	lockdep_assert_held(&mm->lock);
	if (unlikely(atomic_read_acquire(&mm->unslotted)))
		return true;
	for (; busy; busy &= busy - 1) {
		struct mirror_flight *f = mm->flights + __ffs(busy);

		if (mirror_overlap(f->start, f->end, start, end))
			return true;
	}
	return false;
}

/* Whoever samples m's ranges over [start, end) from now on samples another seq. */
static void mirror_ranges_expire(struct mirror *m, unsigned long start,
				 unsigned long end)
	__must_hold(&m->mm->lock)
{
	struct mirror_range *r;

	lockdep_assert_held(&m->mm->lock);
	list_for_each_entry(r, &m->ranges, entry)
		if (mirror_overlap(r->start, r->end, start, end))
			WRITE_ONCE(r->seq, r->seq + 1);
	/* Pairs with the cmpxchg() of mtt_chunk_insert(): see the top. */
	smp_mb();
}

static __always_inline void mirror_tell(struct mirror *m, unsigned long start,
					unsigned long end)
	__must_hold(&m->mm->lock)
{
	if (unlikely(!list_empty(&m->ranges)))
		mirror_ranges_expire(m, start, end);
	m->ops->invalidate(m, start, end);
}

static noinline void mirror_tell_all(struct mirror_mm *mm, unsigned long start,
				     unsigned long last, unsigned long end)
	__must_hold(&mm->lock)
{
	struct interval_tree_node *node;

	lockdep_assert_held(&mm->lock);
	node = mirror_tree_iter_first(&mm->mirrors, start, last);
	for (; node; node = mirror_tree_iter_next(node, start, last))
		mirror_tell(container_of(node, struct mirror, node), start, end);
}

/* Never fails, also not where it may not block: it takes no lock to sleep on. */
static int mirror_mn_start(struct mmu_notifier *mn,
			   const struct mmu_notifier_range *range)
{
	struct mirror_mm *mm = container_of(mn, struct mirror_mm, mn);
	unsigned long last = (range->end - 1) | ~PAGE_MASK;
	/* The last page of the address space has no end: do without it. */
	unsigned long end = last + 1 ? : PAGE_MASK;
	unsigned long start = range->start & PAGE_MASK;
	struct mirror *only;

	spin_lock_bh(&mm->lock);
	mirror_flight_add(mm, range->start, range->end);
	if (unlikely(mm->dead))
		goto out;
	only = mm->only;
	if (!only)
		mirror_tell_all(mm, start, last, end);
	else if (start <= only->node.last && only->node.start <= last)
		mirror_tell(only, start, end);
out:
	spin_unlock_bh(&mm->lock);
	return 0;
}

static void mirror_mn_end(struct mmu_notifier *mn,
			  const struct mmu_notifier_range *range)
{
	struct mirror_mm *mm = container_of(mn, struct mirror_mm, mn);

	mirror_flight_remove(mm, range->start, range->end);
	/* A waiter queues itself, and looks for flights after that. */
	smp_mb__after_atomic();
	/* Nearly always nobody is there, and the queue's lock is left alone. */
	if (unlikely(waitqueue_active(&mm->wait)))
		wake_up_all(&mm->wait);
}

/* No callback follows that of release(), whatever is still in flight. */
static void mirror_mn_release(struct mmu_notifier *mn, struct mm_struct *mm_struct)
{
	struct mirror_mm *mm = container_of(mn, struct mirror_mm, mn);
	struct interval_tree_node *node;

	spin_lock_bh(&mm->lock);
	WRITE_ONCE(mm->dead, true);
	node = mirror_tree_iter_first(&mm->mirrors, 0, ULONG_MAX);
	for (; node; node = mirror_tree_iter_next(node, 0, ULONG_MAX)) {
		struct mirror *m = container_of(node, struct mirror, node);

		mirror_ranges_expire(m, 0, ULONG_MAX);
		m->ops->release(m);
	}
	spin_unlock_bh(&mm->lock);
	wake_up_all(&mm->wait);
}

static struct mmu_notifier *mirror_mn_alloc(struct mm_struct *mm_struct)
{
	struct mirror_mm *mm = kzalloc(sizeof(*mm), GFP_KERNEL);

	if (!mm)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&mm->lock);
	mm->mirrors = RB_ROOT_CACHED;
	init_waitqueue_head(&mm->wait);
	atomic_inc(&mirror_mm_count);

	/* Reclaim invalidates: nothing may allocate under the lock. */
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(&mm->lock);
	fs_reclaim_release(GFP_KERNEL);
	return &mm->mn;
}

static void mirror_mn_free(struct mmu_notifier *mn)
{
	kfree(container_of(mn, struct mirror_mm, mn));
	if (atomic_dec_and_test(&mirror_mm_count))
		wake_up_var(&mirror_mm_count);
}

static const struct mmu_notifier_ops mirror_mn_ops = {
	.invalidate_range_start = mirror_mn_start,
	.invalidate_range_end = mirror_mn_end,
	.release = mirror_mn_release,
	.alloc_notifier = mirror_mn_alloc,
	.free_notifier = mirror_mn_free,
};

/* One region of the whole address space, as a rule: it is found without a search. */
static void mirror_count(struct mirror_mm *mm)
	__must_hold(&mm->lock)
{
	struct rb_node *top = mm->mirrors.rb_root.rb_node;
	bool one = top && !top->rb_left && !top->rb_right;

	lockdep_assert_held(&mm->lock);
	mm->only = one ? container_of(top, struct mirror, node.rb) : NULL;
}

/**
 * mirror_register - start to be told of changes to an interval of an mm
 * @m: the mirror, in the caller's object, uninitialised
 * @mm: the address space; the caller keeps mm_count over the call
 * @start: first address of interest
 * @end: end of it, exclusive; ULONG_MAX for the whole address space
 * @ops: the callbacks
 *
 * The interval is rounded outward to pages. Costs the same for any interval, and
 * the first mirror of an mm more than the others. The mm may be any, not only the
 * caller's own. Callbacks can come before this returns. Sleeps, takes mmap_lock.
 *
 * Return: 0; -EINVAL if @end is not above @start; -ESRCH if the mm is dead;
 * -EINTR if the caller was killed; -ENOMEM. On error @m is not registered.
 */
int mirror_register(struct mirror *m, struct mm_struct *mm, unsigned long start,
		    unsigned long end, const struct mirror_ops *ops)
{
	struct mmu_notifier *mn;
	int err;

	if (start >= end)
		return -EINVAL;
	if (!mmget_not_zero(mm))
		return -ESRCH;
	err = mmap_write_lock_killable(mm);
	if (err)
		goto out;
	mn = mmu_notifier_get_locked(&mirror_mn_ops, mm);
	mmap_write_unlock(mm);
	if (IS_ERR(mn)) {
		err = PTR_ERR(mn);
		goto out;
	}
	m->ops = ops;
	m->mm = container_of(mn, struct mirror_mm, mn);
	m->node.start = start & PAGE_MASK;
	m->node.last = (end - 1) | ~PAGE_MASK;
	INIT_LIST_HEAD(&m->ranges);
	/* mm_users is still held, so release() is yet to come and will see m. */
	spin_lock(&m->mm->lock);
	mirror_tree_insert(&m->node, &m->mm->mirrors);
	mirror_count(m->mm);
	spin_unlock(&m->mm->lock);
out:
	mmput_async(mm);
	return err;
}
EXPORT_SYMBOL_GPL(mirror_register);

/**
 * mirror_unregister - stop to be told
 * @m: a registered mirror without ranges
 *
 * When this returns no callback runs nor will run, so @m can be freed and the module
 * that has the callbacks unloaded. Must not be called with a lock held that the
 * callbacks take. Sleeps.
 */
void mirror_unregister(struct mirror *m)
{
	struct mirror_mm *mm = m->mm;

	might_sleep();
	WARN_ON_ONCE(!list_empty(&m->ranges));
	spin_lock(&mm->lock);
	mirror_tree_remove(&m->node, &mm->mirrors);
	mirror_count(mm);
	spin_unlock(&mm->lock);
	mmu_notifier_put(&mm->mn);
}
EXPORT_SYMBOL_GPL(mirror_unregister);

/**
 * mirror_range_register - track an interval while the caller fills its table
 * @r: the range; @pfns and @default_flags are the caller's and left alone
 * @m: a registered mirror
 * @start: first address, rounded down to a page
 * @end: end, exclusive, rounded up to a page
 *
 * The range is not valid before it was waited for. Does not sleep.
 *
 * Return: 0; -EINVAL if the rounded interval is empty, wraps or is not inside that
 * of @m; -ESRCH if the mm is dead. On error @r is not registered.
 */
int mirror_range_register(struct mirror_range *r, struct mirror *m,
			  unsigned long start, unsigned long end)
{
	unsigned long last = (end - 1) | ~PAGE_MASK;
	struct mirror_mm *mm = m->mm;
	int err = 0;

	start &= PAGE_MASK;
	/* The page up to ULONG_MAX has no end, and belongs to no process. */
	if (start >= end || last == ULONG_MAX)
		return -EINVAL;
	if (start < m->node.start || last > m->node.last)
		return -EINVAL;
	r->mirror = m;
	r->start = start;
	r->end = last + 1;
	r->seq = 1;
	r->sampled = 0;
	spin_lock(&mm->lock);
	if (unlikely(mm->dead)) {
		err = -ESRCH;
	} else {
		list_add(&r->entry, &m->ranges);
		/* Spares the wait the lock, as a rule. */
		r->quiet = mirror_flight_over(mm, start, last + 1) ? 0 : 1;
	}
	spin_unlock(&mm->lock);
	return err;
}
EXPORT_SYMBOL_GPL(mirror_range_register);

/**
 * mirror_range_unregister - stop to track
 * @r: a registered range
 *
 * Once for every mirror_range_register() that succeeded, whatever came between,
 * also when the mm has died. Does not sleep.
 */
void mirror_range_unregister(struct mirror_range *r)
{
	struct mirror_mm *mm = r->mirror->mm;

	spin_lock(&mm->lock);
	list_del(&r->entry);
	spin_unlock(&mm->lock);
}
EXPORT_SYMBOL_GPL(mirror_range_unregister);

/**
 * mirror_range_sample - take the range as valid from here on
 * @r: a registered range
 *
 * Return: 0; -EBUSY, an invalidation is over it; -ESRCH, the mm is dead.
 */
int mirror_range_sample(struct mirror_range *r)
{
	struct mirror_mm *mm = r->mirror->mm;
	int err = 0;

	spin_lock(&mm->lock);
	if (mm->dead)
		err = -ESRCH;
	else if (mirror_flight_over(mm, r->start, r->end))
		err = -EBUSY;
	else
		r->sampled = r->seq;
	spin_unlock(&mm->lock);
	return err;
}

/**
 * mirror_range_wait_until_valid - wait until no invalidation is over the range
 * @r: a registered range
 * @timeout_jiffies: how long at most; 0 does not sleep
 *
 * Only invalidations that overlap the range are waited for (but see "Flights"
 * above). What is read by mirror_range_snapshot() or mirror_range_fault() after
 * this is valid until the next one. The range stays registered on any outcome.
 *
 * Return: 0; -ETIMEDOUT; -EINTR if the caller was killed; -ESRCH if the mm is
 * dead.
 */
int mirror_range_wait_until_valid(struct mirror_range *r,
				  unsigned long timeout_jiffies)
{
	struct mirror_mm *mm = r->mirror->mm;
	long left;
	int err;

	if (likely(READ_ONCE(r->seq) == r->quiet)) {
		r->sampled = r->quiet;
		return 0;
	}
	err = mirror_range_sample(r);
	if (err != -EBUSY)
		return err;
	if (!timeout_jiffies)
		return -ETIMEDOUT;
	left = wait_event_killable_timeout(mm->wait,
					   (err = mirror_range_sample(r)) != -EBUSY,
					   min_t(unsigned long, timeout_jiffies,
						 MAX_SCHEDULE_TIMEOUT));
	if (err != -EBUSY)
		return err;
	return left < 0 ? -EINTR : -ETIMEDOUT;
}
EXPORT_SYMBOL_GPL(mirror_range_wait_until_valid);

/**
 * mirror_range_valid - is what was read from the page tables still so?
 * @r: a registered range
 *
 * The answer is of use only under the lock of the caller's table, the one that
 * ops->invalidate() takes: true means that a commit made before that lock is
 * dropped will be seen, and cleared, by every invalidation to come.
 *
 * Return: whether no invalidation has overlapped @r since the last wait, or, if
 * that came later, since the fault that succeeded.
 */
bool mirror_range_valid(struct mirror_range *r)
{
	return READ_ONCE(r->seq) == r->sampled;
}
EXPORT_SYMBOL_GPL(mirror_range_valid);

/*
 * Nobody has a mirror any more, but the last mirror_mn_free() may be yet to come.
 * mmu_notifier_synchronize() does not wait for it: where SRCU keeps a list of callbacks
 * for each CPU, it waits for those of one CPU. The last mirror_mn_free() has counted
 * down, but it may not have returned from this module. SRCU calls it with softirqs off,
 * and synchronize_rcu() waits for that.
 */
static void __exit mirror_exit(void)
{
	wait_var_event(&mirror_mm_count, !atomic_read(&mirror_mm_count));
	synchronize_rcu();
}

module_exit(mirror_exit);

MODULE_DESCRIPTION("Mirror of a process address space for a device's page table");
MODULE_LICENSE("Dual BSD/GPL");

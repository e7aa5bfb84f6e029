// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/**
 * DOC: address-space mirror
 *
 * A device that uses the memory of a process through a table of its own has to fill that table
 * with the pages of the process, and to stop using a page when the process loses it. This file
 * does the part of both that concerns mm, for any kind of table; mirror_read.c reads the page
 * tables for it. Neither knows of RDMA.
 *
 * mirror:
 *	one user's interest in an interval of an mm. Its ops->invalidate() is told
 *	of every change to the page tables that overlaps the interval.
 * range:
 *	the addresses whose pages one thread is just now copying from the CPU's page
 *	tables to the device's table. It notices invalidations that come in between.
 * flight:
 *	an invalidation between its start and its end. The page tables under it can
 *	change at any moment, so nothing read from them may be used.
 *
 * What the user writes
 * --------------------
 *
 * The user writes a table with a spinlock; the two callbacks, which clear entries of the table
 * under that lock; and this loop, shown without its error paths::
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
 * The user limits the number of rounds.
 *
 * mirror.ko exports the functions to any module whose licence is compatible with the
 * GPL. include/mirror.h is the only header such a module needs. A module that is built
 * outside of this tree names kernel/Module.symvers in KBUILD_EXTRA_SYMBOLS. tests/hmm has a
 * small example, which is no RDMA device.
 *
 * Why it is right
 * ---------------
 *
 * The start of a flight counts up mirror_range.seq of every range it overlaps, and calls
 * ops->invalidate() after that. The callback and the loop both take the table's lock::
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
 * A commit that saw the old seq got the table's lock before invalidate() did, so invalidate()
 * clears what it committed. A commit that got the lock later sees the new seq. seq is a count and
 * not a flag, because a flag can have its old value again after a whole invalidation.
 *
 * An invalidate() that finds nothing to clear may do so without the lock, if the commit publishes
 * what is to be found with a full barrier, or by a cmpxchg(), before it calls
 * mirror_range_valid(). There is a full barrier between seq++ and invalidate() too, so at least
 * one of the two sees the other.
 *
 * Flights
 * -------
 *
 * A range can be registered, or can sample, in the middle of a flight. So flights are recorded,
 * even where no mirror is, since one may be registered meanwhile. The start of a flight must not
 * fail, sleep or allocate, because the OOM reaper may be the caller. So there is a fixed number
 * of slots for each mm. A flight that finds no free slot is only counted, and while that count is
 * not zero every range is taken to be overlapped. Ranges then wait longer than they must, which
 * is correct. That needs more invalidations at one instant in one mm than there are slots.
 *
 * The end of a flight frees the slot that its start took. It finds the slot by the task, since
 * start and end run in the same task, and by the addresses, since a task can have several flights
 * (a flight that splits a huge page is nested in the flight that needs the split). If a task has
 * two slots with the same addresses, it may free either. An end that finds no slot belongs to a
 * start that was only counted. A slot is taken under the lock, but freed without it: see
 * mirror_flight_remove().
 *
 * To count flights for each bucket of addresses would need no slots. But then many invalidations
 * would delay a fault elsewhere in the same bucket, and one fork() is in every bucket.
 *
 * Locking
 * -------
 *
 * mirror_mm.lock is the only lock here. It protects the tree of mirrors, their lists of ranges
 * and every mirror_range.seq; flights start under it. It is held, with softirqs off, over the
 * callbacks: so mirror_unregister() waits for them without a reference count on the hot path.
 * The callbacks take the lock of the user's table inside it; softirqs may take that lock too. The
 * order: kernel/base/device.h.
 *
 * Lifetime
 * --------
 *
 * All mirrors of an mm share one mirror_mm with one MMU notifier, counted by
 * mmu_notifier_get_locked() and freed through SRCU after mmu_notifier_put(). It
 * keeps the mm_struct (mm_count) but not the address space (mm_users). So a process can exit
 * while it has mirrors: ops->release() is called, and later calls return -ESRCH. mm_users is held
 * only while page tables are read or faulted. It is dropped with mmput_async(), because the last
 * mmput() calls back into the mirror.
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

/* The kernel's own interval tree is out of line and would cost two calls for each invalidation. */
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
 * Runs without the lock. A slot whose bit was set in busy and whose task is current belongs to
 * this task: nobody else frees it, so it does not change while it is compared. A slot of another
 * task may be freed and taken again at any time, but not by this task meanwhile.
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
			/* A reader that sees the bit clear sees the new page tables. */
			clear_bit_unlock(i, &mm->busy);
			return;
		}
	}
	/* A reader that sees the lower count sees the new page tables. */
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

/* Expires what was sampled for m's ranges that overlap [start, end): their seq changes. */
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

static void mirror_tell(struct mirror *m, unsigned long start, unsigned long end)
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

/* Never fails, not even where it must not block: it takes only a spinlock. */
static int mirror_mn_start(struct mmu_notifier *mn,
			   const struct mmu_notifier_range *range)
{
	struct mirror_mm *mm = container_of(mn, struct mirror_mm, mn);
	unsigned long last = (range->end - 1) | ~PAGE_MASK;
	/* The end of the last page is not a number: leave that page out. */
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
	/* Pairs with the waiter, which queues itself before it looks for flights. */
	smp_mb__after_atomic();
	/* Nearly always nobody waits; then the lock of the queue is not taken. */
	if (unlikely(waitqueue_active(&mm->wait)))
		wake_up_all(&mm->wait);
}

/* After ops->release() no callback is called, whatever is still in flight. */
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

	/* Reclaim invalidates, so nothing may allocate under the lock: tell lockdep. */
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

/* If there is only one mirror, which is common, it is found without a search. */
static void mirror_count(struct mirror_mm *mm)
	__must_hold(&mm->lock)
{
	struct rb_node *top = mm->mirrors.rb_root.rb_node;
	bool one = top && !top->rb_left && !top->rb_right;

	lockdep_assert_held(&mm->lock);
	mm->only = one ? container_of(top, struct mirror, node.rb) : NULL;
}

/**
 * mirror_register - start calls of @ops for changes to an interval of an mm
 * @m: the mirror, in the caller's object, uninitialised
 * @mm: the address space; the caller keeps mm_count over the call
 * @start: first address of interest
 * @end: end of it, exclusive; ULONG_MAX for the whole address space
 * @ops: the callbacks
 *
 * The interval is rounded outward to pages. The cost does not depend on its length; the first
 * mirror of an mm costs more than others. The mm need not be the caller's own. Callbacks can come
 * before this returns. Sleeps, takes mmap_lock.
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
 * mirror_unregister - stop the calls of a mirror's callbacks
 * @m: a registered mirror without ranges
 *
 * When this returns no callback of @m runs or will run, so @m can be freed and the module that
 * has the callbacks can be unloaded. Must not be called with a lock held that the
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
		/* With this mirror_range_wait_until_valid() need not take the lock, as a rule. */
		r->quiet = mirror_flight_over(mm, start, last + 1) ? 0 : 1;
	}
	spin_unlock(&mm->lock);
	return err;
}
EXPORT_SYMBOL_GPL(mirror_range_register);

/**
 * mirror_range_unregister - stop tracking a range
 * @r: a registered range
 *
 * The caller calls this once for each mirror_range_register() that succeeded, also after errors
 * and after the mm has died. Does not sleep.
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
 * mirror_range_sample - make the range valid from now on, if no flight overlaps it
 * @r: a registered range
 *
 * Return: 0; -EBUSY if an invalidation is over the range; -ESRCH if the mm is dead.
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
 * Waits only for invalidations that overlap the range (but see "Flights" above). What
 * mirror_range_snapshot() or mirror_range_fault() reads after this is valid until the next one.
 * The range stays registered, whatever this returns.
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
 * mirror_range_valid - is what was read from the page tables still valid?
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

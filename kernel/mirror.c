// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/**
 * DOC: address-space mirror
 *
 * A device that uses the memory of a process through a table of its own has to
 * fill that table with the pages the process has, and to stop using them when the
 * process loses them. This file does the part of both that has to do with mm, for
 * any kind of table. It knows nothing of RDMA.
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
 * held over the callbacks: that is what makes mirror_unregister() wait for them,
 * without a reference count on the hot path. Order::
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
 */

#include <linux/hmm.h>
#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "mirror.h"

#define MIRROR_FLIGHTS 32	/* at a time, with a slot */
#define MIRROR_PEEK 8		/* pages that are cheaper read one by one */

/* An invalidation that has started and not ended, as the MMU notifier gave it. */
struct mirror_flight {
	struct task_struct *task;	/* to compare with, not to look into */
	unsigned long start;
	unsigned long end;
};

/* What all mirrors of one mm share. */
struct mirror_mm {
	struct mmu_notifier mn;
	spinlock_t lock;		/* mirrors, dead; setting bits of busy */
	bool dead;			/* release() has run; constant then */
	atomic_t unslotted;		/* flights that found no slot */
	unsigned long busy;		/* bitmap of the slots in use; atomic */
	struct rb_root_cached mirrors;	/* of mirror.node */
	wait_queue_head_t wait;		/* for the end of flights, and for death */
	/* Written under the lock while the bit in busy is clear, constant while set. */
	struct mirror_flight flights[MIRROR_FLIGHTS];
};

static_assert(MIRROR_FLIGHTS < BITS_PER_LONG);

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
	unsigned int i = ffz(READ_ONCE(mm->busy));
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
		unsigned int i = __ffs(busy);
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
}

/* Never fails, also not where it may not block: it takes no lock to sleep on. */
static int mirror_mn_start(struct mmu_notifier *mn,
			   const struct mmu_notifier_range *range)
{
	struct mirror_mm *mm = container_of(mn, struct mirror_mm, mn);
	unsigned long last = (range->end - 1) | ~PAGE_MASK;
	unsigned long start = range->start & PAGE_MASK;
	struct interval_tree_node *node;

	spin_lock(&mm->lock);
	if (unlikely(mm->dead))
		goto out;
	mirror_flight_add(mm, range->start, range->end);
	node = mirror_tree_iter_first(&mm->mirrors, start, last);
	for (; node; node = mirror_tree_iter_next(node, start, last)) {
		struct mirror *m = container_of(node, struct mirror, node);
		/* The last page of the address space has no end: do without it. */
		unsigned long end = last == ULONG_MAX ? PAGE_MASK : last + 1;

		mirror_ranges_expire(m, start, end);
		m->ops->invalidate(m, start, end);
	}
out:
	spin_unlock(&mm->lock);
	return 0;
}

static void mirror_mn_end(struct mmu_notifier *mn,
			  const struct mmu_notifier_range *range)
{
	struct mirror_mm *mm = container_of(mn, struct mirror_mm, mn);

	/* A start that recorded nothing has seen it, so this does. */
	if (unlikely(READ_ONCE(mm->dead)))
		return;
	mirror_flight_remove(mm, range->start, range->end);
	/* A waiter queues itself, and looks for flights after that. */
	if (unlikely(wq_has_sleeper(&mm->wait)))
		wake_up_all(&mm->wait);
}

/* No callback follows that of release(), whatever is still in flight. */
static void mirror_mn_release(struct mmu_notifier *mn, struct mm_struct *mm_struct)
{
	struct mirror_mm *mm = container_of(mn, struct mirror_mm, mn);
	struct interval_tree_node *node;

	spin_lock(&mm->lock);
	WRITE_ONCE(mm->dead, true);
	node = mirror_tree_iter_first(&mm->mirrors, 0, ULONG_MAX);
	for (; node; node = mirror_tree_iter_next(node, 0, ULONG_MAX)) {
		struct mirror *m = container_of(node, struct mirror, node);

		mirror_ranges_expire(m, 0, ULONG_MAX);
		m->ops->release(m);
	}
	spin_unlock(&mm->lock);
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

	/* Reclaim invalidates: nothing may allocate under the lock. */
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(&mm->lock);
	fs_reclaim_release(GFP_KERNEL);
	return &mm->mn;
}

static void mirror_mn_free(struct mmu_notifier *mn)
{
	kfree(container_of(mn, struct mirror_mm, mn));
}

static const struct mmu_notifier_ops mirror_mn_ops = {
	.invalidate_range_start = mirror_mn_start,
	.invalidate_range_end = mirror_mn_end,
	.release = mirror_mn_release,
	.alloc_notifier = mirror_mn_alloc,
	.free_notifier = mirror_mn_free,
};

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
	m->blank = 0;
	/* mm_users is still held, so release() is yet to come and will see m. */
	spin_lock(&m->mm->lock);
	mirror_tree_insert(&m->node, &m->mm->mirrors);
	spin_unlock(&m->mm->lock);
out:
	mmput_async(mm);
	return err;
}

/**
 * mirror_unregister - stop to be told
 * @m: a registered mirror without ranges
 *
 * When this returns no callback runs nor will run, and @m can be freed. Must not
 * be called with a lock held that the callbacks take.
 */
void mirror_unregister(struct mirror *m)
{
	struct mirror_mm *mm = m->mm;

	might_sleep();
	WARN_ON_ONCE(!list_empty(&m->ranges));
	spin_lock(&mm->lock);
	mirror_tree_remove(&m->node, &mm->mirrors);
	spin_unlock(&mm->lock);
	mmu_notifier_put(&mm->mn);
}

/**
 * mirror_synchronize - wait until what unregistered mirrors left behind is freed
 *
 * For the exit function of a module that used mirrors: it can not be unloaded
 * before.
 */
void mirror_synchronize(void)
{
	mmu_notifier_synchronize();
}

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
	spin_lock(&m->mm->lock);
	if (m->mm->dead)
		err = -ESRCH;
	else
		list_add(&r->entry, &m->ranges);
	spin_unlock(&m->mm->lock);
	return err;
}

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

/* Take the range as valid from here on, if nothing is in flight over it. */
static int mirror_range_sample(struct mirror_range *r)
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
	int err = mirror_range_sample(r);
	long left;

	if (likely(err != -EBUSY))
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

/*
 * Translate what HMM wrote to the caller's array, in place. Returns how many
 * entries have all of the flags in want.
 */
static long mirror_pfns_import(struct mirror_range *r, unsigned long want)
{
	unsigned long i, n = mirror_range_pages(r);
	long have = 0;

	for (i = 0; i < n; i++) {
		unsigned long in = r->pfns[i];
		unsigned long out = 0;

		if (in & HMM_PFN_VALID) {
			out = (in & ~HMM_PFN_FLAGS) << MIRROR_PFN_SHIFT;
			out |= hmm_pfn_to_map_order(in) << MIRROR_PFN_ORDER_SHIFT;
			out |= MIRROR_PFN_VALID;
			if (in & HMM_PFN_WRITE)
				out |= MIRROR_PFN_WRITE;
		}
		r->pfns[i] = out;
		have += (out & want) == want;
	}
	return have;
}

static unsigned long mirror_range_want(const struct mirror_range *r)
{
	return r->default_flags & MIRROR_WRITE ? MIRROR_PFN_VALID | MIRROR_PFN_WRITE :
						 MIRROR_PFN_VALID;
}

/*
 * HMM finds the mm through an interval notifier and stops early if its sequence
 * moves. The one that mirror_hmm_init() gives it was never inserted and never
 * moves: mirror_range_valid() is asked afterwards.
 */
struct mirror_hmm {
	struct hmm_range range;
	struct mmu_interval_notifier sub;
};

static void mirror_hmm_init(struct mirror_hmm *hmm, struct mirror_range *r,
			    struct mm_struct *mm, unsigned long flags)
{
	*hmm = (struct mirror_hmm) {
		.range = {
			.notifier = &hmm->sub,
			.start = r->start,
			.end = r->end,
			.hmm_pfns = r->pfns,
			.default_flags = flags,
		},
		.sub.mm = mm,
	};
	/* Some of HMM's flags are carried from input to output. */
	memset(r->pfns, 0, mirror_range_pages(r) * sizeof(*r->pfns));
}

/* Read the page tables. Returns how many entries have the flags in want. */
static long mirror_walk(struct mirror_range *r, struct mm_struct *mm,
			unsigned long want)
{
	struct mirror_hmm hmm;
	int err;

	mmap_assert_locked(mm);
	mirror_hmm_init(&hmm, r, mm, 0);
	err = hmm_range_fault(&hmm.range);
	return err ?: mirror_pfns_import(r, want);
}

/*
 * One page fault without I/O, or -EAGAIN. File systems and shmem do I/O in spite of
 * FAULT_FLAG_RETRY_NOWAIT, and hugetlb clears huge pages under a mutex: so this is
 * for anonymous memory only.
 */
static int mirror_touch(struct mm_struct *mm, unsigned long addr, bool write)
{
	unsigned int flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT |
			     FAULT_FLAG_REMOTE;
	struct vm_area_struct *vma = vma_lookup(mm, addr);
	vm_fault_t fault;

	/* HMM too takes what can not be read for what can not be written. */
	if (!vma || !(vma->vm_flags & VM_READ))
		return -EFAULT;
	if (write && !(vma->vm_flags & VM_WRITE))
		return -EPERM;
	if (!vma_is_anonymous(vma))
		return -EAGAIN;
	if (write)
		flags |= FAULT_FLAG_WRITE;
	fault = handle_mm_fault(vma, addr, flags, NULL);
	if (fault & VM_FAULT_RETRY)
		return -EAGAIN;
	return fault & VM_FAULT_ERROR ? vm_fault_to_errno(fault, 0) : 0;
}

static long mirror_fault_walk(struct mirror_range *r, struct mm_struct *mm)
{
	unsigned long want = mirror_range_want(r);
	long n = mirror_range_pages(r), i;
	long have = mirror_walk(r, mm, want);
	int err = 0;

	if (have < 0 || have == n)
		return have;
	for (i = 0; i < n && !err; i++)
		if ((r->pfns[i] & want) != want)
			err = mirror_touch(mm, r->start + (i << PAGE_SHIFT),
					   want & MIRROR_PFN_WRITE);
	/* Faults invalidate too, when they replace a page: copy on write. */
	if (!err && !mirror_range_valid(r))
		err = mirror_range_sample(r);
	if (err)
		return err;
	have = mirror_walk(r, mm, want);
	return have >= 0 && have < n ? -EAGAIN : have;
}

/*
 * Read current's page tables from page number have on, as far as they go, without
 * mmap_lock. The reference is for the time of a look at the page. Returns how far
 * it got, or -EOPNOTSUPP for a large page, whose mapping only a walk can tell.
 */
static __always_inline long mirror_peek_with(struct mirror_range *r, long have,
					     struct page **pages)
{
	long n = mirror_range_pages(r);
	bool large = false;
	int i, got;

	got = get_user_pages_fast_only(r->start + (have << PAGE_SHIFT), n - have,
				       FOLL_WRITE, pages);
	for (i = 0; i < got; i++) {
		r->pfns[have++] = page_to_pfn(pages[i]) << MIRROR_PFN_SHIFT |
				  MIRROR_PFN_VALID | MIRROR_PFN_WRITE;
		large |= PageCompound(pages[i]);
		put_page(pages[i]);
	}
	return large ? -EOPNOTSUPP : have;
}

static noinline long mirror_peek_many(struct mirror_range *r, long have)
{
	struct page *pages[MIRROR_PEEK];

	return mirror_peek_with(r, have, pages);
}

/* A kernel that clears its stack frames would clear all of an array for one page. */
static long mirror_peek(struct mirror_range *r, long have)
{
	struct page *page;

	return mirror_range_pages(r) == 1 ? mirror_peek_with(r, have, &page) :
					    mirror_peek_many(r, have);
}

/*
 * The peek before the first fault. One that finds nothing costs a tenth of a fault:
 * where one has found nothing, the next 15 are left out. That is a guess, which
 * threads may disturb.
 */
static long mirror_peek_first(struct mirror_range *r)
{
	struct mirror *m = r->mirror;
	unsigned int blank = READ_ONCE(m->blank);
	long have = 0;

	if (!(blank % 16)) {
		have = mirror_peek(r, 0);
		blank = 0;
	}
	if (!have)
		WRITE_ONCE(m->blank, blank + 1);
	else if (m->blank)
		WRITE_ONCE(m->blank, 0);
	return have;
}

/*
 * Fault and peek in turn; have pages have been read. Returns -EOPNOTSUPP if a page
 * can not be read in this way though it was faulted.
 */
static long mirror_fault_peek(struct mirror_range *r, struct mm_struct *mm,
			      long have)
{
	long n = mirror_range_pages(r), got;
	int err;

	mmap_assert_locked(mm);
	while (have < n) {
		err = mirror_touch(mm, r->start + (have << PAGE_SHIFT), true);
		if (err)
			return err;
		if (!mirror_range_valid(r)) {
			/* What was read before need not be so any more. */
			err = mirror_range_sample(r);
			return err ?: -EOPNOTSUPP;
		}
		got = mirror_peek(r, have);
		if (got <= have)
			return -EOPNOTSUPP;
		have = got;
	}
	return have;
}

/*
 * A walk of HMM costs a third of a page fault, whatever its length. Where the device
 * writes a few pages for the process that runs, as in the system call of a doorbell,
 * they are read in a cheaper way.
 */
static long mirror_fault_nowait(struct mirror_range *r, struct mm_struct *mm)
{
	bool peek = mm == current->mm && r->default_flags & MIRROR_WRITE &&
		    mirror_range_pages(r) <= MIRROR_PEEK;
	long ret = peek ? mirror_peek_first(r) : -EOPNOTSUPP;
	unsigned int noio;

	if (ret == mirror_range_pages(r))
		return ret;
	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	noio = memalloc_noio_save();
	if (ret >= 0)
		ret = mirror_fault_peek(r, mm, ret);
	/* What could not be peeked at, nor be faulted, can still be mapped. */
	if (ret == -EOPNOTSUPP || ret == -EAGAIN)
		ret = mirror_fault_walk(r, mm);
	memalloc_noio_restore(noio);
	mmap_read_unlock(mm);
	return ret;
}

static long mirror_fault_wait(struct mirror_range *r, struct mm_struct *mm)
{
	bool write = r->default_flags & MIRROR_WRITE;
	struct mirror_hmm hmm;
	int err;

	mirror_hmm_init(&hmm, r, mm,
			HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0));
	err = hmm_range_fault_unlocked_timeout(&hmm.range, 0);
	return err ?: mirror_pfns_import(r, mirror_range_want(r));
}

/**
 * mirror_range_snapshot - read what is mapped now
 * @r: a registered range that was waited for
 *
 * Causes no fault. Entries of @r->pfns are not valid where nothing is mapped, and
 * not writable where the CPU would have to fault to write. Sleeps, takes
 * mmap_lock.
 *
 * Return: the number of valid entries; -EBUSY if the range was invalidated: wait
 * and do it again; -ESRCH if the mm is dead; -EINTR if the caller was killed. On
 * error @r->pfns is undefined.
 */
long mirror_range_snapshot(struct mirror_range *r)
{
	struct mm_struct *mm = r->mirror->mm->mn.mm;
	long ret;

	if (!mmget_not_zero(mm))
		return -ESRCH;
	ret = mmap_read_lock_killable(mm);
	if (ret)
		goto out;
	ret = mirror_walk(r, mm, MIRROR_PFN_VALID);
	mmap_read_unlock(mm);
	if (ret >= 0 && !mirror_range_valid(r))
		ret = -EBUSY;
out:
	mmput_async(mm);
	return ret;
}

/**
 * mirror_range_fault - fault in what is missing
 * @r: a registered range that was waited for
 * @block: whether to sleep for I/O, for userspace (userfaultfd) and for mmap_lock
 *
 * All pages of the range, for write if @r->default_flags has MIRROR_WRITE, or an
 * error. Not for atomic context, also without @block: pages are allocated, cleared
 * and copied.
 *
 * Return: the number of pages. Or, of the errors that go away:
 * -EBUSY, the range was invalidated: wait and do it again;
 * -EAGAIN, only without @block: it would have slept;
 * -EINTR, the caller was killed; -ENOMEM. Of those that stay:
 * -EFAULT, a page does not exist, may not be read, or is no memory;
 * -EPERM, a page may not be written; -ESRCH, the mm is dead.
 * On error @r->pfns is undefined.
 */
long mirror_range_fault(struct mirror_range *r, bool block)
{
	struct mm_struct *mm = r->mirror->mm->mn.mm;
	long ret;

	might_sleep();
	if (!mmget_not_zero(mm))
		return -ESRCH;
	ret = block ? mirror_fault_wait(r, mm) : mirror_fault_nowait(r, mm);
	mmput_async(mm);
	if (ret > 0 && !mirror_range_valid(r))
		ret = -EBUSY;
	return ret;
}

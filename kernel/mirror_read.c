// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Reading the page tables for a mirror's range, and faulting in what is missing
 *
 * The overview is in mirror.c. Three ways lead to the pages: a walk by HMM, which can
 * do everything and may sleep; faults one by one and a walk after them, where nothing
 * may be waited for; and faults with a look at each page, which is the cheapest for a
 * few pages of the process that runs.
 */
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>

#include "mirror.h"
#include "mirror_mm.h"

#define MIRROR_PEEK 8		/* pages that are cheaper read one by one */

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
static long mirror_fault_nowait(struct mirror_range *r, struct mm_struct *mm, bool own)
{
	bool peek = own && r->default_flags & MIRROR_WRITE &&
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
	bool own = mm == current->mm;
	long ret;

	might_sleep();
	if (!own && !mmget_not_zero(mm))
		return -ESRCH;
	ret = block ? mirror_fault_wait(r, mm) : mirror_fault_nowait(r, mm, own);
	if (!own)
		mmput_async(mm);
	if (ret > 0 && !mirror_range_valid(r))
		ret = -EBUSY;
	return ret;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Reading the page tables for a mirror's range, and faulting in what is missing
 *
 * The overview is in mirror.c. Three ways lead to the pages: faults one by one with a
 * look at each page, which is the cheapest, waits for nothing, and is for small pages of
 * anonymous memory alone; a walk by HMM, which can do everything and may sleep; and a
 * walk with faults one by one, for the rest of what has to be had without waiting.
 */
#include <linux/export.h>
#include <linux/hmm.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>

#include "mirror.h"
#include "mirror/mirror_mm.h"

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

/*
 * GUP does not write to a shadow stack. HMM takes its pages for what they are to the CPU's
 * own calls, writable, and knows of no such areas: so they are not mirrored at all.
 */
static int mirror_areas_allowed(const struct mirror_range *r, struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, r->start);
	struct vm_area_struct *vma;

	mmap_assert_locked(mm);
	for_each_vma_range(vmi, vma, r->end)
		if (vma->vm_flags & VM_SHADOW_STACK)
			return -EFAULT;
	return 0;
}

/* Read the page tables. Returns how many entries have the flags in want. */
static long mirror_walk(struct mirror_range *r, struct mm_struct *mm,
			unsigned long want)
{
	struct mirror_hmm hmm;
	int err;

	mmap_assert_locked(mm);
	mirror_hmm_init(&hmm, r, mm, 0);
	err = mirror_areas_allowed(r, mm) ?: hmm_range_fault(&hmm.range);
	return err ?: mirror_pfns_import(r, want);
}

/*
 * The area over an address, if a fault there does no I/O: file systems and shmem do in
 * spite of FAULT_FLAG_RETRY_NOWAIT, and hugetlb clears huge pages under a mutex. So
 * that is anonymous memory only; other memory is answered with -EAGAIN.
 */
static int mirror_area(struct mm_struct *mm, unsigned long addr, bool write,
		       struct vm_area_struct **area)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	/* HMM too takes what can not be read for what can not be written. */
	if (!vma || (vma->vm_flags & (VM_READ | VM_SHADOW_STACK)) != VM_READ)
		return -EFAULT;
	if (write && !(vma->vm_flags & VM_WRITE))
		return -EPERM;
	*area = vma;
	return vma_is_anonymous(vma) ? 0 : -EAGAIN;
}

/* One page fault without I/O, or -EAGAIN. */
static int mirror_touch(struct vm_area_struct *vma, unsigned long addr, bool write)
{
	unsigned int flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT |
			     FAULT_FLAG_REMOTE;
	vm_fault_t fault;

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
	bool write = want & MIRROR_PFN_WRITE;
	long n = mirror_range_pages(r), i;
	long have = mirror_walk(r, mm, want);
	int err = 0;

	if (have < 0 || have == n)
		return have;
	for (i = 0; i < n && !err; i++) {
		unsigned long addr = r->start + (i << PAGE_SHIFT);
		struct vm_area_struct *vma;

		if ((r->pfns[i] & want) == want)
			continue;
		err = mirror_area(mm, addr, write, &vma) ?:
		      mirror_touch(vma, addr, write);
	}
	/* Faults invalidate too, when they replace a page: copy on write. */
	if (!err && !mirror_range_valid(r))
		err = mirror_range_sample(r);
	if (err)
		return err;
	have = mirror_walk(r, mm, want);
	return have >= 0 && have < n ? -EAGAIN : have;
}

/*
 * Where the PMD of an address in an area is; NULL also where a larger page is mapped
 * than a PMD can. It stays there as long as mmap_lock is held.
 */
static pmd_t *mirror_pmd(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud, entry;

	mmap_assert_locked(mm);
	if (unlikely(pgd_none(READ_ONCE(*pgd))))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (unlikely(p4d_none(READ_ONCE(*p4d))))
		return NULL;
	pud = pud_offset(p4d, addr);
	entry = READ_ONCE(*pud);
	if (unlikely(!pud_present(entry) || pud_leaf(entry)))
		return NULL;
	return pmd_offset(pud, addr);
}

/*
 * What is mapped at an address of anonymous memory, as an entry of pfns; 0 for nothing,
 * and for a large page, whose mapping HMM tells better. *next_none: nothing is at the
 * page after it, for all that was seen. Every entry is read once: it can change
 * meanwhile, which mirror_range_valid() tells of. But a table that is let go of stays
 * what it was as long as interrupts are off here, as for get_user_pages_fast().
 */
static __always_inline unsigned long mirror_peek(pmd_t *pmdp, unsigned long addr,
						 bool *next_none)
{
	unsigned long flags, pfn, out = 0;
	pte_t pte, *ptep;
	pmd_t pmd;

	*next_none = false;
	local_irq_save(flags);
	pmd = READ_ONCE(*pmdp);
	if (!pmd_present(pmd) || unlikely(pmd_leaf(pmd)))
		goto out;
	ptep = pte_offset_kernel(&pmd, addr);
	if (likely(pte_index(addr) < PTRS_PER_PTE - 1))
		*next_none = pte_none(ptep_get_lockless(ptep + 1));
	pte = ptep_get_lockless(ptep);
	if (!pte_present(pte) || unlikely(pte_protnone(pte)))
		goto out;
	pfn = pte_pfn(pte);
	if (unlikely(pte_special(pte) && !is_zero_pfn(pfn)))
		goto out;
	out = pfn << MIRROR_PFN_SHIFT | MIRROR_PFN_VALID;
	if (pte_write(pte))
		out |= MIRROR_PFN_WRITE;
out:
	local_irq_restore(flags);
	return out;
}

/* Where a look for one page after the other is. */
struct mirror_look {
	struct mm_struct *mm;
	pmd_t *pmd;
	unsigned long pmd_end;		/* the first address that is another PMD's */
	bool none;			/* nothing was at the next page */
};

static __always_inline unsigned long mirror_look(struct mirror_look *l,
						 unsigned long addr)
{
	if (unlikely(!l->pmd || addr >= l->pmd_end)) {
		l->pmd = mirror_pmd(l->mm, addr);
		l->pmd_end = (addr | ~PMD_MASK) + 1;
		l->none = false;
	}
	return l->pmd ? mirror_peek(l->pmd, addr, &l->none) : 0;
}

/*
 * Look and fault, page by page. Missing pages come in rows: the look that follows a
 * fault is one at the next page, too. Returns -EOPNOTSUPP if that can not tell what is
 * mapped where, and -EAGAIN where it might do I/O to go on.
 */
static long mirror_fault_peek(struct mirror_range *r, struct mm_struct *mm)
{
	unsigned long addr, want = mirror_range_want(r), *pfn = r->pfns;
	struct mirror_look look = { .mm = mm };
	bool write = want & MIRROR_PFN_WRITE;
	struct vm_area_struct *vma = NULL;
	int err;

	mmap_assert_locked(mm);
	for (addr = r->start; addr < r->end; addr += PAGE_SIZE, pfn++) {
		if (!vma || addr >= vma->vm_end) {
			err = mirror_area(mm, addr, write, &vma);
			if (err)
				return err;
		}
		if (!look.none) {
			*pfn = mirror_look(&look, addr);
			if ((*pfn & want) == want)
				continue;
		}
		err = mirror_touch(vma, addr, write);
		if (err)
			return err;
		*pfn = mirror_look(&look, addr);
		if ((*pfn & want) != want)
			return -EOPNOTSUPP;
	}
	return mirror_range_pages(r);
}

/* A walk of HMM costs a third of a page fault, whatever its length: it comes last. */
static long mirror_fault_nowait(struct mirror_range *r, struct mm_struct *mm)
{
	unsigned int noio;
	long ret;

	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	noio = memalloc_noio_save();
	ret = mirror_fault_peek(r, mm);
	/* It was a copy on write, as a rule; of what was read some may be old now. */
	if (ret > 0 && unlikely(!mirror_range_valid(r)))
		ret = mirror_range_sample(r) ?: -EOPNOTSUPP;
	/* What could not be peeked at, nor be faulted, can still be mapped. */
	if (ret == -EOPNOTSUPP || ret == -EAGAIN)
		ret = mirror_fault_walk(r, mm);
	memalloc_noio_restore(noio);
	mmap_read_unlock(mm);
	return ret;
}

/* What needs no waiting comes the cheap way here, too. */
static long mirror_fault_wait(struct mirror_range *r, struct mm_struct *mm)
{
	bool write = r->default_flags & MIRROR_WRITE;
	struct mirror_hmm hmm;
	long ret = 0;
	int err;

	if (mmap_read_trylock(mm)) {
		ret = mirror_fault_peek(r, mm);
		mmap_read_unlock(mm);
	}
	if (ret > 0)
		return ret;
	mirror_hmm_init(&hmm, r, mm,
			HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0));
	err = hmm_range_fault_unlocked_timeout(&hmm.range, 0) ?: mmap_read_lock_killable(mm);
	if (err)
		return err;
	/* Areas that changed since then invalidated the range. */
	err = mirror_areas_allowed(r, mm);
	mmap_read_unlock(mm);
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
EXPORT_SYMBOL_GPL(mirror_range_snapshot);

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
	ret = block ? mirror_fault_wait(r, mm) : mirror_fault_nowait(r, mm);
	if (!own)
		mmput_async(mm);
	if (ret > 0 && !mirror_range_valid(r))
		ret = -EBUSY;
	return ret;
}
EXPORT_SYMBOL_GPL(mirror_range_fault);

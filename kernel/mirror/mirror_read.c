// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Reading the page tables for a mirror's range, and faulting in what is missing
 *
 * The overview is in mirror.c. There are three ways to get the pages:
 *
 * - mirror_fault_peek() looks at each page table entry and faults pages one by one. It is the
 *   cheapest, waits for nothing, and works for small pages of anonymous memory only.
 * - mirror_fault_wait() has HMM walk the page tables and fault, which works for all memory and
 *   may sleep; it peeks first.
 * - mirror_fault_walk() has HMM walk without faults, and faults what is missing one by one. It is
 *   for what the first way can not do, if the caller must not wait.
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
 * Translates in place what HMM wrote to the caller's array. Returns the number of entries that
 * have all flags of @want.
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
 * HMM finds the mm through an interval notifier, and stops early if its sequence changes. The
 * notifier of mirror_hmm_init() was never inserted, so its sequence never changes. Instead
 * mirror_range_valid() is called afterwards.
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
 * GUP does not write to a shadow stack. HMM does not know of shadow stacks and reports their pages
 * as writable, because the CPU's call instructions write to them. So they are not mirrored.
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

/* Reads the page tables. Returns the number of entries that have all flags of @want. */
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
 * Finds the area of an address, if a fault there does no I/O. File systems and shmem do I/O in
 * spite of FAULT_FLAG_RETRY_NOWAIT, and hugetlb clears huge pages under a mutex. So this returns
 * -EAGAIN for all but anonymous memory.
 */
static int mirror_area(struct mm_struct *mm, unsigned long addr, bool write,
		       struct vm_area_struct **area)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	/* An area that can not be read can not be written either; HMM does the same. */
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
	/* A fault that replaces a page (copy on write) invalidates the range, too. */
	if (!err && !mirror_range_valid(r))
		err = mirror_range_sample(r);
	if (err)
		return err;
	have = mirror_walk(r, mm, want);
	return have >= 0 && have < n ? -EAGAIN : have;
}

/*
 * Finds the PMD of an address in an area. Returns NULL if there is none, also where a page is
 * mapped that is larger than a PMD maps. The PMD stays as long as mmap_lock is held.
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
 * Returns what is mapped at an address of anonymous memory, as an entry of pfns. Returns 0 if
 * nothing is, and for a large page, whose order HMM reports. Sets *@next_none if the next page was
 * seen not to be mapped. Each entry is read once: it can change meanwhile, and
 * mirror_range_valid() then returns false. A page table that the mm frees meanwhile stays intact
 * while interrupts are off here, as for get_user_pages_fast().
 */
static unsigned long mirror_peek(pmd_t *pmdp, unsigned long addr, bool *next_none)
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

/* The state of mirror_look(), which is called for one page after the other. */
struct mirror_look {
	struct mm_struct *mm;
	pmd_t *pmd;
	unsigned long pmd_end;		/* the first address of the next PMD */
	bool none;			/* the next page was not mapped */
};

static unsigned long mirror_look(struct mirror_look *l, unsigned long addr)
{
	if (unlikely(!l->pmd || addr >= l->pmd_end)) {
		l->pmd = mirror_pmd(l->mm, addr);
		l->pmd_end = (addr | ~PMD_MASK) + 1;
		l->none = false;
	}
	return l->pmd ? mirror_peek(l->pmd, addr, &l->none) : 0;
}

/*
 * Looks at each page and faults it if it is missing. Missing pages come in rows, so the look after
 * a fault also looks at the next page. Returns -EOPNOTSUPP if a look can not tell what is mapped,
 * and -EAGAIN if a fault might do I/O. Without it, all by HMM, a cold page costs 6 % more, and in
 * random order 40 % (perftest/bench, page_cold, page_random_cold).
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

/* A walk of HMM costs a third of a page fault, whatever its length, so it is the last resort. */
static long mirror_fault_nowait(struct mirror_range *r, struct mm_struct *mm)
{
	unsigned int noio;
	long ret;

	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	noio = memalloc_noio_save();
	ret = mirror_fault_peek(r, mm);
	/* A fault, usually a copy on write, invalidated the range: some entries may be old. */
	if (ret > 0 && unlikely(!mirror_range_valid(r)))
		ret = mirror_range_sample(r) ?: -EOPNOTSUPP;
	/* Pages that could not be looked at or faulted here may still be mapped. */
	if (ret == -EOPNOTSUPP || ret == -EAGAIN)
		ret = mirror_fault_walk(r, mm);
	memalloc_noio_restore(noio);
	mmap_read_unlock(mm);
	return ret;
}

/* Tries the cheap way first, for pages that need no wait. */
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
	/* An area that has changed since the walk has invalidated the range. */
	err = mirror_areas_allowed(r, mm);
	mmap_read_unlock(mm);
	return err ?: mirror_pfns_import(r, mirror_range_want(r));
}

/**
 * mirror_range_snapshot - read what is mapped now
 * @r: a registered range, after mirror_range_wait_until_valid()
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
 * @r: a registered range, after mirror_range_wait_until_valid()
 * @block: whether to sleep for I/O, for userspace (userfaultfd) and for mmap_lock
 *
 * Faults in all pages of the range, or returns an error. The pages are faulted for write if
 * @r->default_flags has MIRROR_WRITE. Not for atomic context, not even without @block, because
 * pages are allocated, cleared and copied.
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

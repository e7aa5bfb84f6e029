/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What older kernels lack of memory management. Force-included into the files of
 * mirror.ko, after kernel.h.
 */
#ifndef MIRAGE_COMPAT_MIRROR_H
#define MIRAGE_COMPAT_MIRROR_H

#include <linux/mm.h>

#ifndef VM_SHADOW_STACK
#define VM_SHADOW_STACK VM_NONE
#endif

#ifndef HAVE_HMM_RANGE_FAULT_UNLOCKED
#include <linux/hmm.h>
#include <linux/mmu_notifier.h>
#include <linux/oom.h>
#include <linux/sched/signal.h>

/* Fault every page in. A fault may drop mmap_lock where its handler wants that. */
static inline int mirror_compat_touch(struct hmm_range *range,
				      struct mm_struct *mm)
{
	unsigned int flags = range->default_flags & HMM_PFN_REQ_WRITE ?
			     FAULT_FLAG_WRITE : 0;
	unsigned long addr;
	int err;

	err = mmap_read_lock_killable(mm);
	if (err)
		return err;
	for (addr = range->start; addr < range->end && !err; addr += PAGE_SIZE) {
		bool unlocked = false;

		err = fixup_user_fault(mm, addr, flags, &unlocked);
		if (fatal_signal_pending(current))
			err = -EINTR;
	}
	mmap_read_unlock(mm);
	return err;
}

static inline int mirror_compat_fault(struct hmm_range *range,
				      struct mm_struct *mm)
{
	int err = mmap_read_lock_killable(mm);

	if (err)
		return err;
	if (check_stable_address_space(mm))
		err = -EFAULT;
	else
		err = hmm_range_fault(range);
	mmap_read_unlock(mm);
	return err;
}

/*
 * The older hmm_range_fault() keeps mmap_lock, so userfaultfd answers it with SIGBUS.
 * Its -EFAULT counts only after a fault that may drop the lock has failed as well. The
 * number of tries is bounded, because such a fault also accepts what HMM never does (I/O
 * mappings). The timeout is that of a notifier which the mirror does not use.
 */
static inline int hmm_range_fault_unlocked_timeout(struct hmm_range *range,
						   unsigned long timeout)
{
	struct mm_struct *mm = range->notifier->mm;
	unsigned int tries = 4;
	int err;

	while ((err = mirror_compat_fault(range, mm)) == -EFAULT && --tries) {
		err = mirror_compat_touch(range, mm);
		if (err)
			break;
	}
	return err;
}
#endif

#endif

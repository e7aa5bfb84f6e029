// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mirror_test.ko: a device that does nothing but mirror, and that can be stopped at
 * every step. See abi.h for what it is asked.
 *
 * It uses mirror.ko as any module would, but for a look into struct mirror_mm: tests
 * hold invalidations open by calling the notifier themselves. It trusts its caller, who
 * is root: two threads that step the range of one file at once are on their own.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "abi.h"
#include "mirror.h"
#include "mirror/mirror_mm.h"

#define MT_MAX_PAGES 65536UL

struct mtest {
	struct mirror mirror;
	struct mm_struct *mm;		/* of the last registration; mm_count */
	bool registered;

	spinlock_t lock;		/* the table's: table[], counters */
	unsigned long table_start;
	unsigned long table_pages;
	unsigned long *table;		/* entries as mirror wrote them, or 0 */
	struct mt_counters counters;

	struct mirror_range range;
	bool range_registered;

	struct work_struct async;
	struct completion async_done;
	u32 async_flags;
	unsigned long async_timeout;
	long async_result;

	struct work_struct locker;	/* holds mmap_lock for MT_FAULT_LOCKED */
	struct completion locked;
	struct completion unlock;

	struct completion stopped;
	struct completion resume;
};

static void mtest_invalidate(struct mirror *m, unsigned long start,
			     unsigned long end)
{
	struct mtest *f = container_of(m, struct mtest, mirror);
	unsigned long table_end, addr;

	spin_lock(&f->lock);
	f->counters.invalidations++;
	f->counters.last_start = start;
	f->counters.last_end = end;
	table_end = f->table_start + f->table_pages * PAGE_SIZE;
	addr = max(start, f->table_start);
	for (; addr < min(end, table_end); addr += PAGE_SIZE)
		f->table[(addr - f->table_start) >> PAGE_SHIFT] = 0;
	spin_unlock(&f->lock);
}

static void mtest_release_mm(struct mirror *m)
{
	struct mtest *f = container_of(m, struct mtest, mirror);

	spin_lock(&f->lock);
	f->counters.releases++;
	memset(f->table, 0, f->table_pages * sizeof(*f->table));
	spin_unlock(&f->lock);
}

static const struct mirror_ops mtest_ops = {
	.invalidate = mtest_invalidate,
	.release = mtest_release_mm,
};

static long mtest_register(struct mtest *f, struct mt_arg *a)
{
	unsigned long pages = (a->table_end - a->table_start) >> PAGE_SHIFT;
	struct mm_struct *mm = a->flags & MT_SAME_MM ? f->mm : current->mm;
	long err;

	if (f->registered || !mm || pages > MT_MAX_PAGES)
		return -EINVAL;
	kvfree(f->table);
	f->table = kvcalloc(pages + 1, sizeof(*f->table), GFP_KERNEL);
	if (!f->table)
		return -ENOMEM;
	f->table_start = a->table_start;
	f->table_pages = pages;
	mmgrab(mm);
	if (f->mm)
		mmdrop(f->mm);
	f->mm = mm;
	err = mirror_register(&f->mirror, mm, a->start, a->end, &mtest_ops);
	f->registered = !err;
	return err;
}

static void mtest_range_free(struct mtest *f)
{
	if (f->range_registered)
		mirror_range_unregister(&f->range);
	f->range_registered = false;
	kvfree(f->range.pfns);
	f->range.pfns = NULL;
}

static long mtest_unregister(struct mtest *f)
{
	if (!f->registered)
		return -EINVAL;
	f->registered = false;
	mirror_unregister(&f->mirror);
	return 0;
}

static long mtest_counters(struct mtest *f, struct mt_arg *a)
{
	struct mt_counters counters;
	struct list_head *entry;

	spin_lock(&f->lock);
	counters = f->counters;
	spin_unlock(&f->lock);
	if (f->registered) {
		spin_lock(&f->mirror.mm->lock);
		list_for_each(entry, &f->mirror.ranges)
			counters.ranges++;
		spin_unlock(&f->mirror.mm->lock);
	}
	if (copy_to_user(u64_to_user_ptr(a->buf), &counters, sizeof(counters)))
		return -EFAULT;
	return 0;
}

static long mtest_range_init(struct mtest *f, struct mirror_range *r,
			     struct mt_arg *a)
{
	long err;

	r->default_flags = a->flags & MT_WRITE ? MIRROR_WRITE : 0;
	r->pfns = NULL;
	err = mirror_range_register(r, &f->mirror, a->start, a->end);
	if (err)
		return err;
	if (mirror_range_pages(r) <= MT_MAX_PAGES)
		r->pfns = kvcalloc(mirror_range_pages(r), sizeof(*r->pfns),
				   GFP_KERNEL);
	if (!r->pfns) {
		mirror_range_unregister(r);
		return -ENOMEM;
	}
	return 0;
}

static long mtest_range_register(struct mtest *f, struct mt_arg *a)
{
	long err;

	if (f->range_registered)
		return -EINVAL;
	err = mtest_range_init(f, &f->range, a);
	if (err)
		return err;
	f->range_registered = true;
	a->start = f->range.start;
	a->end = f->range.end;
	return 0;
}

static long mtest_range_wait(struct mtest *f, struct mt_arg *a)
{
	long err;

	err = mirror_range_wait_until_valid(&f->range,
					    msecs_to_jiffies(a->timeout_ms));
	spin_lock(&f->lock);
	f->counters.last_wait = err;
	spin_unlock(&f->lock);
	return err;
}

/* Tell the user what came of a snapshot or a fault. */
static long mtest_range_report(struct mtest *f, struct mt_arg *a, long ret)
{
	u32 __user *buf = u64_to_user_ptr(a->buf);
	unsigned long i;

	if (ret < 0 || !buf)
		return ret;
	for (i = 0; i < mirror_range_pages(&f->range); i++) {
		unsigned long pfn = f->range.pfns[i];
		u32 out = 0;

		if (mirror_pfn_valid(pfn))
			out = MT_PAGE_VALID | mirror_pfn_order(pfn) << 8;
		if (mirror_pfn_writable(pfn))
			out |= MT_PAGE_WRITE;
		if (put_user(out, buf + i))
			return -EFAULT;
	}
	return ret;
}

/* The step under the table's lock: 1, or 0 if the range is not valid. */
static long mtest_commit(struct mtest *f, struct mirror_range *r)
{
	unsigned long first = (r->start - f->table_start) >> PAGE_SHIFT;
	unsigned long n = mirror_range_pages(r);
	bool valid;

	if (r->start < f->table_start || first + n > f->table_pages)
		return -ERANGE;
	spin_lock(&f->lock);
	valid = mirror_range_valid(r);
	if (valid)
		memcpy(f->table + first, r->pfns, n * sizeof(*r->pfns));
	spin_unlock(&f->lock);
	return valid;
}

static long mtest_populate_once(struct mtest *f, struct mirror_range *r,
				struct mt_arg *a)
{
	long pages, ret;

	ret = mirror_range_wait_until_valid(r, msecs_to_jiffies(a->timeout_ms));
	if (ret)
		return ret;
	pages = mirror_range_fault(r, a->flags & MT_BLOCK);
	if (pages < 0)
		return pages;
	ret = mtest_commit(f, r);
	if (ret < 0)
		return ret;
	return ret ? pages : -EBUSY;
}

static long mtest_populate(struct mtest *f, struct mt_arg *a)
{
	struct mirror_range r;
	long ret;

	a->busy = 0;
	ret = mtest_range_init(f, &r, a);
	if (ret)
		return ret;
	for (;;) {
		ret = mtest_populate_once(f, &r, a);
		if (ret != -EBUSY || ++a->busy >= a->tries)
			break;
	}
	mirror_range_unregister(&r);
	kvfree(r.pfns);
	return ret;
}

/* One copy inside a page, under the lock that invalidation takes. */
static long mtest_copy_page(struct mtest *f, unsigned long addr, void *bounce,
			    unsigned int len, bool write)
{
	unsigned long index = (addr - f->table_start) >> PAGE_SHIFT;
	unsigned long pfn;
	long err = 0;
	void *va;

	if (addr < f->table_start || index >= f->table_pages)
		return -ERANGE;
	spin_lock(&f->lock);
	pfn = f->table[index];
	if (!mirror_pfn_valid(pfn)) {
		err = -ENOENT;
	} else if (write && !mirror_pfn_writable(pfn)) {
		err = -EACCES;
	} else {
		va = kmap_local_page(mirror_pfn_page(pfn)) + offset_in_page(addr);
		if (write) {
			memcpy(va, bounce, len);
			set_page_dirty(mirror_pfn_page(pfn));
		} else if (len == sizeof(u64) && IS_ALIGNED(addr, sizeof(u64))) {
			/* memcpy() may go byte by byte, and see half of what the CPU stores. */
			*(u64 *)bounce = READ_ONCE(*(u64 *)va);
		} else {
			memcpy(bounce, va, len);
		}
		kunmap_local(va);
	}
	spin_unlock(&f->lock);
	return err;
}

static long mtest_copy(struct mtest *f, struct mt_arg *a, bool write)
{
	void __user *buf = u64_to_user_ptr(a->buf);
	void *bounce = (void *)__get_free_page(GFP_KERNEL);
	unsigned int done = 0, len;
	long err = bounce ? 0 : -ENOMEM;

	for (; !err && done < a->len; done += len) {
		len = min_t(unsigned int, a->len - done,
			    PAGE_SIZE - offset_in_page(a->start + done));
		if (write && copy_from_user(bounce, buf + done, len)) {
			err = -EFAULT;
			break;
		}
		err = mtest_copy_page(f, a->start + done, bounce, len, write);
		if (!err && !write && copy_to_user(buf + done, bounce, len))
			err = -EFAULT;
	}
	free_page((unsigned long)bounce);
	return err;
}

/* As the core calls the notifier, except that nothing happens to the memory. */
static long mtest_invalidation(struct mtest *f, struct mt_arg *a, bool start)
{
	bool nonblock = a->flags & MT_NONBLOCK;
	struct mmu_notifier *mn = &f->mirror.mm->mn;
	struct mmu_notifier_range range = {
		.mm = f->mm,
		.start = a->start,
		.end = a->end,
		.flags = nonblock ? 0 : MMU_NOTIFIER_RANGE_BLOCKABLE,
		.event = MMU_NOTIFY_UNMAP,
	};
	long err = 0;

	if (nonblock)
		non_block_start();
	if (start)
		err = mn->ops->invalidate_range_start(mn, &range);
	else
		mn->ops->invalidate_range_end(mn, &range);
	if (nonblock)
		non_block_end();
	return err;
}

static void mtest_async_work(struct work_struct *work)
{
	struct mtest *f = container_of(work, struct mtest, async);

	if (f->async_flags & MT_WAIT)
		f->async_result = mirror_range_wait_until_valid(&f->range,
								f->async_timeout);
	else
		f->async_result = mirror_range_fault(&f->range,
						     f->async_flags & MT_BLOCK);
	complete(&f->async_done);
}

static long mtest_async(struct mtest *f, struct mt_arg *a)
{
	f->async_flags = a->flags;
	f->async_timeout = msecs_to_jiffies(a->timeout_ms);
	queue_work(system_unbound_wq, &f->async);
	return 0;
}

static long mtest_async_result(struct mtest *f)
{
	int err = wait_for_completion_killable(&f->async_done);

	return err ? err : f->async_result;
}

/* A condition without an event of its own: look until it is so. */
static long mtest_waiters(struct mtest *f)
{
	/* No barrier: who is missed is seen the next time. */
	while (!waitqueue_active(&f->mirror.mm->wait)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(100, 200);
	}
	return 0;
}

static void mtest_locker(struct work_struct *work)
{
	struct mtest *f = container_of(work, struct mtest, locker);

	mmap_write_lock(f->mm);
	complete(&f->locked);
	wait_for_completion(&f->unlock);
	mmap_write_unlock(f->mm);
}

static long mtest_fault_locked(struct mtest *f)
{
	long ret;

	queue_work(system_unbound_wq, &f->locker);
	wait_for_completion(&f->locked);
	ret = mirror_range_fault(&f->range, false);
	complete(&f->unlock);
	flush_work(&f->locker);
	return ret;
}

/* If it is not free, then somebody forgot it: the process could not even exit. */
static long mtest_mmap_free(void)
{
	if (!rwsem_is_locked(&current->mm->mmap_lock))
		return 1;
	mmap_read_unlock(current->mm);
	return 0;
}

static long mtest_stop(struct mtest *f)
{
	complete(&f->stopped);
	wait_for_completion(&f->resume);
	return 0;
}

/* Calls that need neither a mirror nor a range. */
static long mtest_do(struct mtest *f, unsigned int cmd, struct mt_arg *a)
{
	switch (cmd) {
	case MT_REGISTER:
		return mtest_register(f, a);
	case MT_UNREGISTER:
		return mtest_unregister(f);
	case MT_COUNTERS:
		return mtest_counters(f, a);
	case MT_READ:
		return mtest_copy(f, a, false);
	case MT_WRITE_TO:
		return mtest_copy(f, a, true);
	case MT_MMAP_FREE:
		return mtest_mmap_free();
	case MT_STOP:
		return mtest_stop(f);
	case MT_STOPPED:
		return wait_for_completion_killable(&f->stopped);
	case MT_RESUME:
		complete(&f->resume);
		return 0;
	case MT_ASYNC_RESULT:
		return mtest_async_result(f);
	}
	return -ENOTTY;
}

static long mtest_do_mirror(struct mtest *f, unsigned int cmd, struct mt_arg *a)
{
	switch (cmd) {
	case MT_RANGE_REGISTER:
		return mtest_range_register(f, a);
	case MT_POPULATE:
		return mtest_populate(f, a);
	case MT_INV_START:
		return mtest_invalidation(f, a, true);
	case MT_INV_END:
		return mtest_invalidation(f, a, false);
	case MT_WAITERS:
		return mtest_waiters(f);
	}
	return -ENOTTY;
}

static long mtest_do_range(struct mtest *f, unsigned int cmd, struct mt_arg *a)
{
	struct mirror_range *r = &f->range;

	switch (cmd) {
	case MT_RANGE_WAIT:
		return mtest_range_wait(f, a);
	case MT_RANGE_SNAPSHOT:
		return mtest_range_report(f, a, mirror_range_snapshot(r));
	case MT_RANGE_FAULT:
		return mtest_range_report(f, a, mirror_range_fault(r, a->flags & MT_BLOCK));
	case MT_RANGE_VALID:
		return mirror_range_valid(r);
	case MT_RANGE_COMMIT:
		return mtest_commit(f, r);
	case MT_RANGE_UNREGISTER:
		mtest_range_free(f);
		return 0;
	case MT_ASYNC:
		return mtest_async(f, a);
	case MT_FAULT_LOCKED:
		return mtest_fault_locked(f);
	}
	return -ENOTTY;
}

static long mtest_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mt_arg __user *user = (struct mt_arg __user *)arg;
	struct mtest *f = file->private_data;
	struct mt_arg a;
	long ret;

	if (copy_from_user(&a, user, sizeof(a)))
		return -EFAULT;
	ret = mtest_do(f, cmd, &a);
	if (ret == -ENOTTY && f->registered)
		ret = mtest_do_mirror(f, cmd, &a);
	if (ret == -ENOTTY && f->range_registered)
		ret = mtest_do_range(f, cmd, &a);
	if (copy_to_user(user, &a, sizeof(a)))
		return -EFAULT;
	return ret;
}

static int mtest_open(struct inode *inode, struct file *file)
{
	struct mtest *f = kzalloc(sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	spin_lock_init(&f->lock);
	INIT_WORK(&f->async, mtest_async_work);
	INIT_WORK(&f->locker, mtest_locker);
	init_completion(&f->async_done);
	init_completion(&f->locked);
	init_completion(&f->unlock);
	init_completion(&f->stopped);
	init_completion(&f->resume);
	file->private_data = f;
	return 0;
}

static int mtest_close(struct inode *inode, struct file *file)
{
	struct mtest *f = file->private_data;

	flush_work(&f->async);
	mtest_range_free(f);
	if (f->registered)
		mirror_unregister(&f->mirror);
	if (f->mm)
		mmdrop(f->mm);
	kvfree(f->table);
	kfree(f);
	return 0;
}

static const struct file_operations mtest_fops = {
	.owner = THIS_MODULE,
	.open = mtest_open,
	.release = mtest_close,
	.unlocked_ioctl = mtest_ioctl,
};

static struct miscdevice mtest_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mirror_test",
	.fops = &mtest_fops,
};

module_misc_device(mtest_device);
MODULE_DESCRIPTION("Test device for the address-space mirror of mirage");
MODULE_LICENSE("Dual BSD/GPL");

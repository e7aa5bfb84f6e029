// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mirror_hmm.ko: devices on mirror.ko that are no RDMA devices, for the kernel's own
 * hmm-tests
 *
 * /dev/hmm_dmirror0 and /dev/hmm_dmirror1 take the calls of lib/test_hmm_uapi.h. Each
 * open file is a device of its own, a client of the mirror: it has a table for the whole
 * address space of the process that opened it, and copies between that and a buffer.
 * It has no memory and no atomic operations of its own, so what is about those is
 * refused with -ENOTTY.
 *
 * The table has an entry for every page that the client has used. Entries are read,
 * written and used under the table's lock only, which is the one that invalidations
 * take; so no page is used after the process has lost it.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "mirror.h"
#include "test_hmm_uapi.h"

#define CLIENT_CHUNK		32	/* pages of one range */
#define CLIENT_MAX_PAGES	65536UL	/* of one call */
#define CLIENT_TRIES		1000	/* as often the range may be invalidated */
#define CLIENT_PATIENCE		(10 * HZ)

/**
 * struct client - an open file
 * @mirror: of the address space of the process that opened it
 * @table: page number -> entry of mirror_range.pfns; xa_lock is the table's lock
 */
struct client {
	struct mirror mirror;
	struct xarray table;
};

static void client_clear(struct client *c, unsigned long first, unsigned long last)
{
	XA_STATE(xas, &c->table, first);
	void *entry;

	xa_lock(&c->table);
	xas_for_each(&xas, entry, last)
		xas_store(&xas, NULL);
	xa_unlock(&c->table);
}

static void client_invalidate(struct mirror *m, unsigned long start, unsigned long end)
{
	client_clear(container_of(m, struct client, mirror), start >> PAGE_SHIFT,
		     (end - 1) >> PAGE_SHIFT);
}

static void client_mm_gone(struct mirror *m)
{
	client_clear(container_of(m, struct client, mirror), 0, ULONG_MAX);
}

static const struct mirror_ops client_ops = {
	.invalidate = client_invalidate,
	.release = client_mm_gone,
};

/*
 * Room for the entries, because none is to be had under the lock. An invalidation may
 * take it away again, but then the range is not valid and nothing is stored.
 */
static int client_reserve(struct client *c, struct mirror_range *r)
{
	unsigned long first = r->start >> PAGE_SHIFT, i;
	int err = 0;

	for (i = 0; i < mirror_range_pages(r) && !err; i++)
		err = xa_reserve(&c->table, first + i, GFP_KERNEL);
	return err;
}

static int client_commit(struct client *c, struct mirror_range *r)
{
	unsigned long first = r->start >> PAGE_SHIFT, i;
	int err = 0;

	xa_lock(&c->table);
	if (!mirror_range_valid(r))
		err = -EBUSY;
	for (i = 0; i < mirror_range_pages(r) && !err; i++)
		err = xa_err(__xa_store(&c->table, first + i, xa_mk_value(r->pfns[i]), 0));
	xa_unlock(&c->table);
	return err;
}

static int client_fill_once(struct client *c, struct mirror_range *r)
{
	long pages;
	int err;

	err = mirror_range_wait_until_valid(r, CLIENT_PATIENCE);
	if (err)
		return err;
	pages = mirror_range_fault(r, true);
	if (pages < 0)
		return pages;
	err = client_reserve(c, r);
	return err ? err : client_commit(c, r);
}

/* Fill the table for [start, end), so that the device can read, or also write. */
static int client_fill(struct client *c, unsigned long start, unsigned long end, bool write)
{
	unsigned long pfns[CLIENT_CHUNK];
	struct mirror_range r = {
		.pfns = pfns,
		.default_flags = write ? MIRROR_WRITE : 0,
	};
	unsigned int tries;
	int err = 0;

	for (; start < end && !err; start = r.end) {
		err = mirror_range_register(&r, &c->mirror, start,
					    min(end, start + CLIENT_CHUNK * PAGE_SIZE));
		if (err)
			break;
		for (tries = 0, err = -EBUSY; err == -EBUSY && tries < CLIENT_TRIES; tries++)
			err = client_fill_once(c, &r);
		mirror_range_unregister(&r);
	}
	return err;
}

/* Copy the page at addr to buf, or from there: -ENOENT if the table does not have it. */
static int client_copy_page(struct client *c, unsigned long addr, void *buf, bool write)
{
	unsigned long entry;
	struct page *page;
	int err = 0;

	xa_lock(&c->table);
	entry = xa_to_value(xa_load(&c->table, addr >> PAGE_SHIFT));
	if (!mirror_pfn_valid(entry) || (write && !mirror_pfn_writable(entry))) {
		err = -ENOENT;
	} else if (write) {
		page = mirror_pfn_page(entry);
		memcpy_to_page(page, 0, buf, PAGE_SIZE);
		/* The CPU's page table does not know of the write. */
		folio_set_dirty(page_folio(page));
	} else {
		memcpy_from_page(buf, mirror_pfn_page(entry), 0, PAGE_SIZE);
	}
	xa_unlock(&c->table);
	return err;
}

/* What is missing is faulted in to the end at once, which counts as one fault. */
static int client_copy(struct client *c, struct hmm_dmirror_cmd *cmd, void *buf, bool write)
{
	unsigned long end = cmd->addr + cmd->npages * PAGE_SIZE, addr = cmd->addr;
	int err;

	while (addr < end) {
		err = client_copy_page(c, addr, buf + (addr - cmd->addr), write);
		if (!err) {
			addr += PAGE_SIZE;
			cmd->cpages++;
			continue;
		}
		err = fatal_signal_pending(current) ? -EINTR : client_fill(c, addr, end, write);
		if (err)
			return err;
		cmd->faults++;
	}
	return 0;
}

static int client_read(struct client *c, struct hmm_dmirror_cmd *cmd)
{
	void *buf = kvcalloc(cmd->npages, PAGE_SIZE, GFP_KERNEL);
	int err;

	if (!buf)
		return -ENOMEM;
	err = client_copy(c, cmd, buf, false);
	if (!err && copy_to_user(u64_to_user_ptr(cmd->ptr), buf, cmd->npages * PAGE_SIZE))
		err = -EFAULT;
	kvfree(buf);
	return err;
}

static int client_write(struct client *c, struct hmm_dmirror_cmd *cmd)
{
	void *buf = kvcalloc(cmd->npages, PAGE_SIZE, GFP_KERNEL);
	int err;

	if (!buf)
		return -ENOMEM;
	if (copy_from_user(buf, u64_to_user_ptr(cmd->ptr), cmd->npages * PAGE_SIZE))
		err = -EFAULT;
	else
		err = client_copy(c, cmd, buf, true);
	kvfree(buf);
	return err;
}

static u8 client_protection(unsigned long pfn)
{
	unsigned int order = mirror_pfn_order(pfn);
	u8 prot;

	if (!mirror_pfn_valid(pfn))
		return HMM_DMIRROR_PROT_NONE;
	prot = mirror_pfn_writable(pfn) ? HMM_DMIRROR_PROT_WRITE : HMM_DMIRROR_PROT_READ;
	if (is_zero_pfn(page_to_pfn(mirror_pfn_page(pfn))))
		prot |= HMM_DMIRROR_PROT_ZERO;
	if (order == PMD_SHIFT - PAGE_SHIFT)
		prot |= HMM_DMIRROR_PROT_PMD;
	else if (order == PUD_SHIFT - PAGE_SHIFT)
		prot |= HMM_DMIRROR_PROT_PUD;
	return prot;
}

/* It is told to the user, not put into the table, so it need not be valid any longer. */
static int client_snapshot_range(struct mirror_range *r)
{
	unsigned int tries;
	long ret = -EBUSY;

	for (tries = 0; ret == -EBUSY && tries < CLIENT_TRIES; tries++) {
		ret = mirror_range_wait_until_valid(r, CLIENT_PATIENCE);
		if (!ret)
			ret = mirror_range_snapshot(r);
	}
	return min(ret, 0L);
}

static int client_snapshot(struct client *c, struct hmm_dmirror_cmd *cmd)
{
	unsigned long end = cmd->addr + cmd->npages * PAGE_SIZE, addr, i;
	u8 __user *out = u64_to_user_ptr(cmd->ptr);
	unsigned long pfns[CLIENT_CHUNK];
	struct mirror_range r = { .pfns = pfns };
	int err = 0;

	for (addr = cmd->addr; addr < end && !err; addr = r.end) {
		err = mirror_range_register(&r, &c->mirror, addr,
					    min(end, addr + CLIENT_CHUNK * PAGE_SIZE));
		if (err)
			break;
		err = client_snapshot_range(&r);
		mirror_range_unregister(&r);
		for (i = 0; i < mirror_range_pages(&r) && !err; i++)
			err = put_user(client_protection(pfns[i]), out + cmd->cpages++);
	}
	return err;
}

static int client_call(struct client *c, unsigned int nr, struct hmm_dmirror_cmd *cmd)
{
	switch (nr) {
	case HMM_DMIRROR_READ:
	case HMM_DMIRROR_READ_UNLOCKED:
		return client_read(c, cmd);
	case HMM_DMIRROR_WRITE:
		return client_write(c, cmd);
	case HMM_DMIRROR_SNAPSHOT:
		return client_snapshot(c, cmd);
	default:
		return -ENOTTY;
	}
}

static long client_ioctl(struct file *file, unsigned int nr, unsigned long arg)
{
	struct hmm_dmirror_cmd __user *user = (struct hmm_dmirror_cmd __user *)arg;
	struct client *c = file->private_data;
	struct hmm_dmirror_cmd cmd;
	int err;

	if (copy_from_user(&cmd, user, sizeof(cmd)))
		return -EFAULT;
	if (!PAGE_ALIGNED(cmd.addr) || cmd.npages > CLIENT_MAX_PAGES ||
	    cmd.addr + cmd.npages * PAGE_SIZE < cmd.addr)
		return -EINVAL;
	cmd.cpages = 0;
	cmd.faults = 0;
	err = client_call(c, nr, &cmd);
	if (err)
		return err;
	return copy_to_user(user, &cmd, sizeof(cmd)) ? -EFAULT : 0;
}

/* Memory that is mapped already and belongs to no file. */
static int client_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long addr;
	struct page *page;
	int err = 0;

	for (addr = vma->vm_start; addr < vma->vm_end && !err; addr += PAGE_SIZE) {
		page = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!page)
			return -ENOMEM;
		err = vm_insert_page(vma, addr, page);
		/* The mapping has a reference of its own. */
		put_page(page);
	}
	return err;
}

static int client_open(struct inode *inode, struct file *file)
{
	struct client *c = kzalloc(sizeof(*c), GFP_KERNEL);
	int err;

	if (!c)
		return -ENOMEM;
	xa_init(&c->table);
	err = mirror_register(&c->mirror, current->mm, 0, ULONG_MAX, &client_ops);
	if (err)
		kfree(c);
	else
		file->private_data = c;
	return err;
}

static int client_close(struct inode *inode, struct file *file)
{
	struct client *c = file->private_data;

	mirror_unregister(&c->mirror);
	xa_destroy(&c->table);
	kfree(c);
	return 0;
}

static const struct file_operations client_fops = {
	.owner = THIS_MODULE,
	.open = client_open,
	.release = client_close,
	.unlocked_ioctl = client_ioctl,
	.mmap = client_mmap,
};

static struct miscdevice client_devices[] = {
	{ .minor = MISC_DYNAMIC_MINOR, .name = "hmm_dmirror0", .fops = &client_fops },
	{ .minor = MISC_DYNAMIC_MINOR, .name = "hmm_dmirror1", .fops = &client_fops },
};

static int __init client_init(void)
{
	int err;

	err = misc_register(&client_devices[0]);
	if (err)
		return err;
	err = misc_register(&client_devices[1]);
	if (err)
		misc_deregister(&client_devices[0]);
	return err;
}

static void __exit client_exit(void)
{
	misc_deregister(&client_devices[1]);
	misc_deregister(&client_devices[0]);
}

module_init(client_init);
module_exit(client_exit);

MODULE_DESCRIPTION("Devices on the address-space mirror of mirage for the kernel's hmm-tests");
MODULE_LICENSE("Dual BSD/GPL");

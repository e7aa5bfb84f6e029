// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory regions: their rights, and their life
 *
 * A region is registered, then deregistered, then freed. After deregistration it is dead: no
 * lookup finds it, no byte moves through its table, and its pages have been released.
 * Operations and faults under way have references. Only freeing waits for these;
 * deregistration does not.
 */
#include <linux/hugetlb_inline.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <rdma/restrack.h>

#include "base/device.h"
#include "mem/key.h"
#include "mem/mr.h"
#include "mem/mtt.h"
#include "mem/odp.h"
#include "mem/pin.h"

/*
 * IB_ACCESS_FLUSH_PERSISTENT is not offered: such a flush would have to write CPU caches back.
 */
#define MR_ACCESS_SUPPORTED	(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | \
				 IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC | \
				 IB_ACCESS_MW_BIND | IB_ACCESS_ON_DEMAND | \
				 IB_ACCESS_HUGETLB | IB_ACCESS_OPTIONAL | \
				 IB_ACCESS_FLUSH_GLOBAL)

/** mirage_mr_publish - let lookups find the region @mr by its key from now on */
void mirage_mr_publish(struct mirage_mr *mr)
{
	mr->ibmr.lkey = mr->key;
	mr->ibmr.rkey = mr->key;
	mirage_key_set(&mr->dev->mrs, mr->key, (unsigned long)mr);
}

/**
 * mirage_mr_get - mirage_mr_lookup() as a function call, for paths that are not hot
 * @dev: the device
 * @pd: as mirage_mr_lookup()
 * @key: as mirage_mr_lookup()
 * @addr: as mirage_mr_lookup()
 * @len: as mirage_mr_lookup()
 * @access: as mirage_mr_lookup()
 *
 * Return: as mirage_mr_lookup().
 */
struct mirage_mr *mirage_mr_get(struct mirage_dev *dev, struct ib_pd *pd, u32 key,
				u64 addr, u64 len, int access)
{
	return mirage_mr_lookup(&dev->mrs, pd, key, addr, len, access);
}

static void mr_free(struct mirage_mr *mr)
{
	if (mr->backend->teardown)
		mr->backend->teardown(mr);
	mirage_mtt_destroy(&mr->mtt);
	kfree_rcu(mr, rcu);
}

static void mr_teardown_work(struct work_struct *work)
{
	mr_free(container_of(work, struct mirage_mr, teardown));
}

/**
 * mirage_mr_release_later - free a region whose last reference is gone; teardown() in a worker
 * @ref: the region's reference count
 *
 * Any context.
 */
void mirage_mr_release_later(struct kref *ref)
{
	struct mirage_mr *mr = container_of(ref, struct mirage_mr, ref);

	if (!mr->backend->teardown) {
		mr_free(mr);
		return;
	}
	INIT_WORK(&mr->teardown, mr_teardown_work);
	queue_work(mirage_odp_wq, &mr->teardown);
}

static void mr_release_now(struct kref *ref)
{
	mr_free(container_of(ref, struct mirage_mr, ref));
}

/**
 * mirage_mr_fault_now_gone - mirage_mr_backend.fault_now of backends that fill all of a table
 *	before the region is published
 * @mr: the region
 * @iova: not used
 * @len: not used
 * @write: not used
 *
 * In such a table a page is missing only if the region is dead.
 *
 * Return: -ESRCH.
 */
int mirage_mr_fault_now_gone(struct mirage_mr *mr, u64 iova, u64 len, bool write)
{
	return -ESRCH;
}

/**
 * mirage_mr_fault_raise_gone - mirage_mr_backend.fault_raise of the same backends
 * @mr: the region
 * @iova: not used
 * @len: not used
 * @write: not used
 * @w: the waiter, which is not woken
 *
 * Return: -ESRCH.
 */
int mirage_mr_fault_raise_gone(struct mirage_mr *mr, u64 iova, u64 len, bool write,
			       struct mirage_odp_waiter *w)
{
	return -ESRCH;
}

static bool mr_is_implicit(u64 start, u64 length, int access)
{
	return access & IB_ACCESS_ON_DEMAND && !start && length == U64_MAX;
}

static bool mr_starts_in_hugetlb(unsigned long start)
{
	struct vm_area_struct *vma;
	bool hugetlb;

	if (mmap_read_lock_killable(current->mm))
		return false;
	vma = vma_lookup(current->mm, start);
	hugetlb = vma && is_vm_hugetlb_page(vma);
	mmap_read_unlock(current->mm);
	return hugetlb;
}

/* Checks bounds and access as far as that needs no page, and sets them in the region. */
static int mr_check_bounds(struct mirage_mr *mr, u64 start, u64 length, u64 iova,
			   int access)
{
	u64 end;

	mr->start = start;
	mr->iova = iova;
	mr->access = access;
	if (mr_is_implicit(start, length, access)) {
		mr->last = U64_MAX;
		return iova || access & IB_ACCESS_HUGETLB ? -EINVAL : 0;
	}
	if (!length || check_add_overflow(iova, length, &end))
		return -EINVAL;
	mr->last = end - 1;
	if (check_add_overflow(start, length, &end) || end > PAGE_MASK)
		return -EINVAL;
	if (offset_in_page(start) != offset_in_page(iova))
		return -EINVAL;
	if (access & IB_ACCESS_ON_DEMAND && access & IB_ACCESS_HUGETLB &&
	    !mr_starts_in_hugetlb(start))
		return -EINVAL;
	return 0;
}

/**
 * mirage_mr_check_access - check that a region of this device can have these rights
 * @access: IB_ACCESS_*
 *
 * Return: 0; -EOPNOTSUPP if a right is not supported; -EINVAL if one needs another that is not
 * in @access.
 */
int mirage_mr_check_access(int access)
{
	if (access & ~MR_ACCESS_SUPPORTED)
		return -EOPNOTSUPP;
	if (access & (IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC) &&
	    !(access & IB_ACCESS_LOCAL_WRITE))
		return -EINVAL;
	return 0;
}

/**
 * mirage_mr_alloc - allocate a region of kernel memory; its key finds nothing yet
 * @pd: the region's PD
 * @size: size of the structure that begins with the region
 * @access: IB_ACCESS_*
 *
 * Process context.
 *
 * Return: the region. ERR_PTR: as mirage_mr_check_access(); -ENOSPC if there are too many
 * regions; -ENOMEM.
 */
struct mirage_mr *mirage_mr_alloc(struct ib_pd *pd, size_t size, int access)
{
	struct mirage_dev *dev = to_mdev(pd->device);
	struct mirage_mr *mr;
	int err = mirage_mr_check_access(access);

	if (err)
		return ERR_PTR(err);
	if (!mirage_limit_get(&dev->num_mr, MIRAGE_MAX_MR))
		return ERR_PTR(-ENOSPC);
	err = -ENOMEM;
	mr = kzalloc(size, GFP_KERNEL);
	if (!mr)
		goto put_limit;
	kref_init(&mr->ref);
	mr->dev = dev;
	mr->pd = pd;
	mr->access = access;
	err = mirage_key_reserve(&dev->mrs, &mr->key);
	if (err)
		goto free_mr;
	return mr;

free_mr:
	kfree(mr);
put_limit:
	mirage_limit_put(&dev->num_mr);
	return ERR_PTR(err);
}

/* Does all that can fail, then publishes the region. */
static int mr_create(struct mirage_mr *mr)
{
	bool implicit = mr->last == U64_MAX;
	bool odp = mr->access & IB_ACCESS_ON_DEMAND;
	int err;

	err = mirage_key_reserve(&mr->dev->mrs, &mr->key);
	if (err)
		return err;
	/* The process has no page above TASK_SIZE_MAX, and the lower bound makes a flatter tree. */
	mirage_mtt_init(&mr->mtt, mr->iova, implicit ? TASK_SIZE_MAX - 1 : mr->last, !odp);
	err = odp ? mirage_odp_create(mr) : mirage_pin_create(mr);
	if (err) {
		mirage_mtt_destroy(&mr->mtt);
		mirage_key_set(&mr->dev->mrs, mr->key, 0);
		return err;
	}
	mirage_mr_publish(mr);
	return 0;
}

/**
 * mirage_reg_user_mr - ib_device_ops.reg_user_mr
 * @pd: the PD
 * @start: user address; 0 with a @length of U64_MAX and IB_ACCESS_ON_DEMAND for the
 *	whole address space
 * @length: bytes
 * @iova: the address that peers will use; agrees with @start modulo the page size
 * @access: IB_ACCESS_*
 * @dmah: not supported
 * @udata: not used
 *
 * Return: the region. ERR_PTR: -EINVAL if the bounds are wrong; -EOPNOTSUPP if there is a @dmah;
 * as mirage_mr_check_access(); -ENOSPC if there are too many regions; -ENOMEM; or the errno of
 * the backend.
 */
struct ib_mr *mirage_reg_user_mr(struct ib_pd *pd, u64 start, u64 length, u64 iova,
				 int access, struct ib_dmah *dmah,
				 struct ib_udata *udata)
{
	struct mirage_dev *dev = to_mdev(pd->device);
	struct mirage_mr *mr;
	int err;

	if (dmah)
		return ERR_PTR(-EOPNOTSUPP);
	err = mirage_mr_check_access(access);
	if (err)
		return ERR_PTR(err);
	if (!mirage_limit_get(&dev->num_mr, MIRAGE_MAX_MR))
		return ERR_PTR(-ENOSPC);
	mr = kzalloc_obj(*mr, GFP_KERNEL_ACCOUNT);
	if (!mr) {
		err = -ENOMEM;
		goto put_limit;
	}
	kref_init(&mr->ref);
	mr->dev = dev;
	mr->pd = pd;
	err = mr_check_bounds(mr, start, length, iova, access);
	if (err)
		goto free_mr;
	err = mr_create(mr);
	if (err)
		goto free_mr;
	return &mr->ibmr;

free_mr:
	kfree(mr);
put_limit:
	mirage_limit_put(&dev->num_mr);
	return ERR_PTR(err);
}

static bool mr_can_stay(const struct mirage_mr *mr, int access)
{
	int fixed = IB_ACCESS_ON_DEMAND | IB_ACCESS_HUGETLB;

	if ((mr->access ^ access) & fixed)
		return false;
	return mirage_odp_region(mr) || !ib_access_writable(access) || mirage_pin_writable(mr);
}

/**
 * mirage_rereg_user_mr - ib_device_ops.rereg_user_mr
 * @ibmr: the region
 * @flags: what to change, IB_MR_REREG_*
 * @start: the new user address, if @flags has IB_MR_REREG_TRANS
 * @length: the new length, if @flags has IB_MR_REREG_TRANS
 * @iova: the new iova, if @flags has IB_MR_REREG_TRANS
 * @access: the new rights, if @flags has IB_MR_REREG_ACCESS
 * @pd: the new PD, if @flags has IB_MR_REREG_PD
 * @udata: not used
 *
 * Operations under way may go on with the old rights and PD. On error the region does not
 * change.
 *
 * Return: NULL if the region was changed in place and keeps its key; a new region that replaces
 * it; or ERR_PTR as from mirage_reg_user_mr().
 */
struct ib_mr *mirage_rereg_user_mr(struct ib_mr *ibmr, int flags, u64 start,
				   u64 length, u64 iova, int access,
				   struct ib_pd *pd, struct ib_udata *udata)
{
	struct mirage_mr *mr = to_mmr(ibmr);
	int err;

	if (!(flags & IB_MR_REREG_ACCESS))
		access = mr->access;
	if (!(flags & IB_MR_REREG_PD))
		pd = mr->pd;
	err = mirage_mr_check_access(access);
	if (err)
		return ERR_PTR(err);
	if (!(flags & IB_MR_REREG_TRANS) && mr_can_stay(mr, access)) {
		WRITE_ONCE(mr->pd, pd);
		WRITE_ONCE(mr->access, access);
		return NULL;
	}
	if (!(flags & IB_MR_REREG_TRANS)) {
		start = mr->start;
		length = mr->last - mr->iova + 1;
		iova = mr->iova;
		/* The length of an implicit region is 2^64, which wraps to 0. */
		length = length ?: U64_MAX;
	}
	return mirage_reg_user_mr(pd, start, length, iova, access, NULL, udata);
}

/**
 * mirage_dereg_mr - ib_device_ops.dereg_mr
 * @ibmr: the region
 * @udata: not used
 *
 * Never waits for a fault. When it returns, no byte moves to or from the region any more, and
 * its pages are not pinned.
 *
 * Return: 0.
 */
int mirage_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct mirage_mr *mr = to_mmr(ibmr);
	struct mirage_dev *dev = mr->dev;

	WRITE_ONCE(mr->dead, true);
	mirage_mtt_kill(&mr->mtt);
	if (mr->backend->dereg)
		mr->backend->dereg(mr);
	mirage_key_set(&dev->mrs, mr->key, 0);
	mirage_limit_put(&dev->num_mr);
	kref_put(&mr->ref, mr_release_now);
	return 0;
}

/**
 * mirage_fill_stat_mr - ib_device_ops.fill_stat_mr_entry
 * @msg: the netlink message to add the counters to
 * @ibmr: the region; only ODP regions have counters
 *
 * Return: 0; -EMSGSIZE if the message is full.
 */
int mirage_fill_stat_mr(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct mirage_mr *mr = to_mmr(ibmr);
	struct nlattr *table;
	enum mirage_odp_event i;

	if (!mirage_odp_region(mr))
		return 0;
	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_STAT_HWCOUNTERS);
	if (!table)
		return -EMSGSIZE;
	for (i = 0; i < ODP_EVENTS; i++) {
		if (rdma_nl_stat_hwcounter_entry(msg, mirage_odp_event_names[i],
						 mirage_odp_event_count(mr, i))) {
			nla_nest_cancel(msg, table);
			return -EMSGSIZE;
		}
	}
	nla_nest_end(msg, table);
	return 0;
}

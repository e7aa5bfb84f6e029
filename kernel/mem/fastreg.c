// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Fast registration: regions of kernel memory that work requests register
 *
 * Work requests register and invalidate a fast-registration region, over and over. Each
 * registration is a region of its own, with its own table. An invalidation ends the registration
 * like a deregistration: nobody moves a byte through it any more, even with a reference on it.
 * struct fastreg is what the core knows, and what all registrations share.
 *
 *	slot of the key		meaning
 *	fast, marked		no registration is in force
 *	a region		the registration in force; its priv is fast
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "base/device.h"
#include "mem/dma.h"
#include "mem/fastreg.h"
#include "mem/mr.h"
#include "mem/mtt.h"

/**
 * struct fastreg_request - the contents of an IB_WR_REG_MR
 * @key: key of the registration
 * @access: IB_ACCESS_*
 * @iova: first byte
 * @length: bytes
 */
struct fastreg_request {
	u32 key;
	int access;
	u64 iova;
	u64 length;
};

/**
 * struct fastreg - a fast-registration region
 * @mr: what the core knows. It is never in the table of keys, and comes first for kfree_rcu()
 * @lock: protects @gone to @live and the slot of the key; taken with IRQs off, because a caller
 *	that posts may hold a lock that hardirqs take. The order: base/device.h
 * @gone: the region is deregistered
 * @posted: an IB_WR_REG_MR was posted and not executed yet
 * @request: the last IB_WR_REG_MR that was posted
 * @live: the registration in force, or NULL
 * @max: length of @pfns
 * @num: pages that mirage_map_mr_sg() mapped
 * @pfns: as mirage_mtt_commit() takes them; the user does not map while a request is posted
 */
struct fastreg {
	struct mirage_mr mr;
	spinlock_t lock;		/* see above */
	bool gone;
	bool posted;
	struct fastreg_request request;
	struct mirage_mr *live;
	u32 max;
	u32 num;
	unsigned long pfns[];
};

static struct fastreg *to_fastreg(struct mirage_mr *mr)
{
	return container_of(mr, struct fastreg, mr);
}

static const struct mirage_mr_backend fastreg_region_backend = {
	.fault_now = mirage_mr_fault_now_gone,
	.fault_raise = mirage_mr_fault_raise_gone,
};

/* Ends a registration that lookups find no more. After this nobody uses the pages through it. */
static void fastreg_end_region(struct mirage_mr *mr)
{
	if (!mr)
		return;
	WRITE_ONCE(mr->dead, true);
	mirage_mtt_kill(&mr->mtt);
	mirage_mr_put(mr);
}

static void fastreg_dereg(struct mirage_mr *mr)
{
	struct fastreg *fast = to_fastreg(mr);
	struct mirage_mr *live = NULL;

	spin_lock_irq(&fast->lock);
	fast->gone = true;
	swap(live, fast->live);
	mirage_key_set(&mr->dev->mrs, mr->key, (unsigned long)fast | MIRAGE_KEY_FASTREG);
	spin_unlock_irq(&fast->lock);
	fastreg_end_region(live);
}

static const struct mirage_mr_backend fastreg_backend = {
	.dereg = fastreg_dereg,
};

/**
 * mirage_alloc_mr - ib_device_ops.alloc_mr
 * @pd: a kernel user's PD
 * @type: IB_MR_TYPE_MEM_REG
 * @max_num_sg: largest number of pages of a registration
 *
 * Return: a region that work requests can register, or an ERR_PTR: -EOPNOTSUPP for another type,
 * -EINVAL for a wrong number of pages, -ENOSPC if there are too many regions, -ENOMEM.
 */
struct ib_mr *mirage_alloc_mr(struct ib_pd *pd, enum ib_mr_type type, u32 max_num_sg)
{
	struct mirage_mr *mr;
	struct fastreg *fast;

	if (type != IB_MR_TYPE_MEM_REG)
		return ERR_PTR(-EOPNOTSUPP);
	if (!max_num_sg || max_num_sg > MIRAGE_MAX_FASTREG_PAGES)
		return ERR_PTR(-EINVAL);
	mr = mirage_mr_alloc(pd, struct_size(fast, pfns, max_num_sg), 0);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	fast = to_fastreg(mr);
	spin_lock_init(&fast->lock);
	fast->max = max_num_sg;
	mr->backend = &fastreg_backend;
	mr->ibmr.lkey = mr->key;
	mr->ibmr.rkey = mr->key;
	mirage_key_set(&mr->dev->mrs, mr->key, (unsigned long)fast | MIRAGE_KEY_FASTREG);
	return &mr->ibmr;
}

static int fastreg_set_page(struct ib_mr *ibmr, u64 addr)
{
	struct fastreg *fast = to_fastreg(to_mmr(ibmr));

	if (fast->num == fast->max)
		return -ENOMEM;
	if (!virt_addr_valid((void *)addr))
		return -EFAULT;
	fast->pfns[fast->num++] = mirage_dma_pfn(addr);
	return 0;
}

/**
 * mirage_map_mr_sg - ib_device_ops.map_mr_sg
 * @ibmr: a fast-registration region
 * @sg: the memory to map
 * @nents: number of entries in @sg
 * @offset: offset into the first entry, or NULL
 *
 * Any context.
 *
 * Return: as ib_map_mr_sg(); -EINVAL if the page size is not the kernel's.
 */
int mirage_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int nents,
		     unsigned int *offset)
{
	if (ibmr->page_size != PAGE_SIZE)
		return -EINVAL;
	to_fastreg(to_mmr(ibmr))->num = 0;
	return ib_sg_to_pages(ibmr, sg, nents, offset, fastreg_set_page);
}

static int fastreg_commit(struct mirage_mr *mr, const struct fastreg *fast)
{
	u64 iova = mr->iova & PAGE_MASK;
	u32 done = 0;
	int err = 0;

	while (done < fast->num && !err) {
		u32 n = min_t(u64, fast->num - done, mirage_mtt_chunk_left(iova) >> PAGE_SHIFT);

		err = mirage_mtt_commit(&mr->mtt, iova, n, fast->pfns + done, NULL, NULL);
		done += n;
		iova += (u64)n << PAGE_SHIFT;
	}
	return err;
}

static int fastreg_check(const struct fastreg *fast, u32 key, int access)
{
	const struct ib_mr *ibmr = &fast->mr.ibmr;
	u64 pages = DIV_ROUND_UP_ULL(offset_in_page(ibmr->iova) + ibmr->length, PAGE_SIZE);
	int err = mirage_mr_check_access(access);

	if (err)
		return err;
	if (fast->mr.backend != &fastreg_backend || fast->mr.key >> 8 != key >> 8)
		return -EINVAL;
	if (!ibmr->length || pages != fast->num || ibmr->iova + ibmr->length < ibmr->length)
		return -EINVAL;
	return 0;
}

/**
 * mirage_fastreg_prepare - check and keep the contents of an IB_WR_REG_MR that is posted
 * @ibmr: the region
 * @key: key of the registration
 * @access: IB_ACCESS_*
 *
 * Any context but hardirq; IRQs may be off. The pages are those of mirage_map_mr_sg(). The user
 * does not map others until the registration has ended.
 *
 * Return: 0; -EINVAL if the region is not mapped, or the key is of another region; or the errno
 * of mirage_mr_check_access().
 */
int mirage_fastreg_prepare(struct ib_mr *ibmr, u32 key, int access)
{
	struct fastreg *fast = to_fastreg(to_mmr(ibmr));
	unsigned long flags;
	int err = fastreg_check(fast, key, access);

	if (err)
		return err;
	spin_lock_irqsave(&fast->lock, flags);
	fast->posted = true;
	fast->request = (struct fastreg_request) {
		.key = key,
		.access = access,
		.iova = ibmr->iova,
		.length = ibmr->length,
	};
	spin_unlock_irqrestore(&fast->lock, flags);
	return 0;
}

/* Finds the region of a key, whatever its lower bits are. Under rcu_read_lock(). */
static struct fastreg *fastreg_find(struct mirage_dev *dev, const struct ib_pd *pd, u32 key)
	__must_hold(RCU)
{
	unsigned long slot = mirage_key_slot(&dev->mrs, key);
	struct fastreg *fast = NULL;

	lockdep_assert(rcu_read_lock_held());
	if ((slot & MIRAGE_KEY_FLAGS) == MIRAGE_KEY_FASTREG) {
		fast = (struct fastreg *)(slot & ~MIRAGE_KEY_FLAGS);
	} else if (slot && !(slot & MIRAGE_KEY_FLAGS)) {
		struct mirage_mr *mr = (struct mirage_mr *)slot;

		if (mr->backend == &fastreg_region_backend)
			fast = mr->priv;
	}
	return fast && fast->mr.key >> 8 == key >> 8 && fast->mr.pd == pd ? fast : NULL;
}

static struct mirage_mr *fastreg_make_region(const struct fastreg *fast,
					     const struct fastreg_request *r)
{
	struct mirage_mr *mr = kzalloc_obj(*mr, GFP_ATOMIC | __GFP_NOWARN);

	if (!mr)
		return NULL;
	kref_init(&mr->ref);
	mr->dev = fast->mr.dev;
	mr->pd = fast->mr.pd;
	mr->key = r->key;
	mr->access = r->access;
	mr->iova = r->iova;
	mr->last = r->iova + r->length - 1;
	mr->backend = &fastreg_region_backend;
	mr->priv = (void *)fast;
	mirage_mtt_init(&mr->mtt, mr->iova, mr->last, true);
	mr->mtt.atomic = true;
	if (!fastreg_commit(mr, fast))
		return mr;
	fastreg_end_region(mr);
	return NULL;
}

static int fastreg_can_register(const struct fastreg *fast)
	__must_hold(&fast->lock)
{
	lockdep_assert_held(&fast->lock);
	if (fast->gone)
		return -ENOENT;
	if (fast->live)
		return -EBUSY;
	return fast->posted ? 0 : -EINVAL;
}

/* Under rcu_read_lock(). Makes the table without the lock: it must not be made with IRQs off. */
static int fastreg_execute(struct fastreg *fast)
	__must_hold(RCU)
{
	struct mirage_mr *mr = NULL;
	struct fastreg_request r;
	unsigned long flags;
	int err;

	lockdep_assert(rcu_read_lock_held());
	spin_lock_irqsave(&fast->lock, flags);
	err = fastreg_can_register(fast);
	r = fast->request;
	spin_unlock_irqrestore(&fast->lock, flags);
	if (err)
		return err;
	mr = fastreg_make_region(fast, &r);
	if (!mr)
		return -ENOMEM;

	spin_lock_irqsave(&fast->lock, flags);
	err = fastreg_can_register(fast);
	if (!err) {
		fast->posted = false;
		fast->mr.key = r.key;
		mirage_key_set(&fast->mr.dev->mrs, r.key, (unsigned long)mr);
		swap(fast->live, mr);
	}
	spin_unlock_irqrestore(&fast->lock, flags);
	fastreg_end_region(mr);
	return err;
}

/**
 * mirage_fastreg_execute - execute an IB_WR_REG_MR
 * @dev: the device
 * @pd: the PD of the queue pair
 * @key: any key that the region had or will have
 *
 * Any context but hardirq.
 *
 * Return: 0; -ENOENT if the PD has no such region; -EBUSY if a registration is in force; -EINVAL
 * if nothing was posted; -ENOMEM if the caller has to try again in a moment.
 */
int mirage_fastreg_execute(struct mirage_dev *dev, struct ib_pd *pd, u32 key)
{
	struct fastreg *fast;
	int err = -ENOENT;

	rcu_read_lock();
	fast = fastreg_find(dev, pd, key);
	if (fast)
		err = fastreg_execute(fast);
	rcu_read_unlock();
	return err;
}

/**
 * mirage_fastreg_invalidate - end a registration, as a local or a remote request asks
 * @dev: the device
 * @pd: the PD of the queue pair
 * @key: key of the registration
 *
 * Any context but hardirq. No byte moves through the registration after this has returned. It is
 * no error if the registration is invalid already.
 *
 * Return: 0, or -ENOENT if no fast-registration region of the PD has this key.
 */
int mirage_fastreg_invalidate(struct mirage_dev *dev, struct ib_pd *pd, u32 key)
{
	struct mirage_mr *live = NULL;
	unsigned long flags;
	struct fastreg *fast;
	int err = -ENOENT;

	rcu_read_lock();
	fast = fastreg_find(dev, pd, key);
	if (fast) {
		spin_lock_irqsave(&fast->lock, flags);
		if (!fast->gone && fast->mr.key == key) {
			swap(live, fast->live);
			mirage_key_set(&dev->mrs, key, (unsigned long)fast | MIRAGE_KEY_FASTREG);
			err = 0;
		}
		spin_unlock_irqrestore(&fast->lock, flags);
	}
	rcu_read_unlock();
	fastreg_end_region(live);
	return err;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The backends of kernel users' regions
 *
 * There is no hardware behind the device, so what kernel users call DMA addresses
 * are addresses of the kernel's direct map.
 *
 * A DMA region is all of the direct map: an address in it is its own iova. Its table
 * is filled where a key is looked up, before anybody can miss a page, because that
 * may be in a softirq with nobody to fault for: by 2 MiB as a rule, and for good,
 * since the direct map does not change.
 *
 * A fast-registration region is registered and invalidated by work requests, over
 * and over. Each registration is a region of its own, with its own table. Its
 * invalidation ends it like a deregistration does: whoever still holds it moves no
 * byte any more. What all of them share, and what the core knows, is struct fast.
 *
 *	slot of the key		fast
 *	fast, marked		no registration in force
 *	a region		the one in force; its priv is fast
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "base/device.h"
#include "mem/dma.h"
#include "mem/mr.h"
#include "mem/mtt.h"
#include "mirror.h"

/* More than the direct map of any machine; the table is flatter for it. */
#define DMA_SPAN	BIT_ULL(52)

/**
 * struct fast_request - what an IB_WR_REG_MR says
 * @key: the key it will have
 * @access: IB_ACCESS_*
 * @iova: first byte
 * @length: bytes
 */
struct fast_request {
	u32 key;
	int access;
	u64 iova;
	u64 length;
};

/**
 * struct fast - a fast-registration region
 * @mr: what the core knows: never in the table of keys itself, first for kfree_rcu()
 * @lock: protects what follows up to @live, and the slot; taken with IRQs off: who
 *	posts may hold locks of interrupts
 * @gone: deregistered
 * @posted: an IB_WR_REG_MR was posted and not executed yet
 * @request: the last one
 * @live: the registration in force, or NULL
 * @max: room in @pfns
 * @num: pages mapped
 * @pfns: as mtt_commit() takes them; of who maps and posts
 */
struct fast {
	struct mirage_mr mr;
	spinlock_t lock;		/* see above */
	bool gone;
	bool posted;
	struct fast_request request;
	struct mirage_mr *live;
	u32 max;
	u32 num;
	unsigned long pfns[];
};

static struct fast *to_fast(struct mirage_mr *mr)
{
	return container_of(mr, struct fast, mr);
}

static unsigned long dma_pfn(u64 addr)
{
	return page_to_pfn(virt_to_page((void *)addr)) << MIRROR_PFN_SHIFT |
	       MIRROR_PFN_VALID | MIRROR_PFN_WRITE;
}

/* Is there memory in all of the 2 MiB around an address? */
static bool dma_is_whole(u64 addr)
{
	u64 start = addr & ~(MTT_CHUNK_SIZE - 1), n;

	for (n = 0; n < MTT_CHUNK_SIZE; n += PAGE_SIZE)
		if (!virt_addr_valid((void *)(start + n)))
			return false;
	return true;
}

/* Part of one chunk. */
static int dma_fill_chunk(struct mtt *mtt, u64 addr, u64 len)
{
	u64 last = addr + len - 1;
	int err = 0;

	if (dma_is_whole(addr)) {
		unsigned long pfn = dma_pfn(addr);

		pfn |= (unsigned long)(MTT_CHUNK_SHIFT - PAGE_SHIFT) << MIRROR_PFN_ORDER_SHIFT;
		err = mtt_commit(mtt, addr, 1, &pfn, NULL, NULL);
	}
	/* Where the direct map is aligned otherwise than memory, that was one page. */
	for (addr &= PAGE_MASK; !err && addr <= last; addr += PAGE_SIZE) {
		unsigned long pfn;

		if (mtt_present(mtt, addr, 1, true))
			continue;
		if (!virt_addr_valid((void *)addr))
			return -EFAULT;
		pfn = dma_pfn(addr);
		err = mtt_commit(mtt, addr, 1, &pfn, NULL, NULL);
	}
	return err;
}

static int dma_fault_now(struct mirage_mr *mr, u64 iova, u64 len, bool write)
{
	int err = 0;

	while (len && !err) {
		u64 n = min(len, mtt_chunk_left(iova));

		if (!mtt_present(&mr->mtt, iova, n, true))
			err = dma_fill_chunk(&mr->mtt, iova, n);
		iova += n;
		len -= n;
	}
	return err;
}

/* Nothing to wait for but memory, of which the caller's next try may find some. */
static int dma_fault_raise(struct mirage_mr *mr, u64 iova, u64 len, bool write,
			   struct odp_waiter *w)
{
	return dma_fault_now(mr, iova, len, write) ?: -ENOMEM;
}

static const struct mr_backend dma_backend = {
	.fault_now = dma_fault_now,
	.fault_raise = dma_fault_raise,
};

/**
 * dma_fill - before somebody uses a part of a DMA region
 * @mr: the region
 * @addr: first byte
 * @len: bytes, not 0
 *
 * Any context but hardirq. What can not be filled is missed later, and the backend's
 * faults say why.
 */
void dma_fill(struct mirage_mr *mr, u64 addr, u64 len)
{
	dma_fault_now(mr, addr, len, true);
}

/**
 * mirage_get_dma_mr - ib_device_ops.get_dma_mr
 * @pd: a kernel user's PD
 * @access: IB_ACCESS_*
 *
 * Return: a region of all memory. ERR_PTR: -EOPNOTSUPP unknown rights, -ENOSPC too
 * many, -ENOMEM.
 */
struct ib_mr *mirage_get_dma_mr(struct ib_pd *pd, int access)
{
	u64 first = PAGE_OFFSET & ~(u64)(MTT_CHUNK_SIZE - 1);
	struct mirage_mr *mr;

	mr = mr_alloc(pd, sizeof(*mr), access);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	mr->backend = &dma_backend;
	mr->dma = true;
	mr->iova = first;
	mr->last = first + min(U64_MAX - first, DMA_SPAN - 1);
	mtt_init(&mr->mtt, mr->iova, mr->last, true);
	mr->mtt.atomic = true;
	mr_publish(mr);
	return &mr->ibmr;
}

/* Only a region that is gone lacks a page. */
static int fast_fault_now(struct mirage_mr *mr, u64 iova, u64 len, bool write)
{
	return -ESRCH;
}

static int fast_fault_raise(struct mirage_mr *mr, u64 iova, u64 len, bool write,
			    struct odp_waiter *w)
{
	return -ESRCH;
}

static const struct mr_backend fast_region_backend = {
	.fault_now = fast_fault_now,
	.fault_raise = fast_fault_raise,
};

/* Nobody finds it any more; the pages are not used when this returns. */
static void fast_region_end(struct mirage_mr *mr)
{
	if (!mr)
		return;
	WRITE_ONCE(mr->dead, true);
	mtt_kill(&mr->mtt);
	mirage_mr_put(mr);
}

static void fast_dereg(struct mirage_mr *mr)
{
	struct fast *fast = to_fast(mr);
	struct mirage_mr *live = NULL;

	spin_lock_irq(&fast->lock);
	fast->gone = true;
	swap(live, fast->live);
	mr_slot_set(&mr->dev->mrs, mr->key, (unsigned long)fast | MR_SLOT_FAST);
	spin_unlock_irq(&fast->lock);
	fast_region_end(live);
}

static const struct mr_backend fast_backend = {
	.dereg = fast_dereg,
};

/**
 * mirage_alloc_mr - ib_device_ops.alloc_mr
 * @pd: a kernel user's PD
 * @type: IB_MR_TYPE_MEM_REG
 * @max_num_sg: pages it will have at most
 *
 * Return: a region to be registered by work requests. ERR_PTR: -EOPNOTSUPP another
 * type, -EINVAL too large, -ENOSPC too many, -ENOMEM.
 */
struct ib_mr *mirage_alloc_mr(struct ib_pd *pd, enum ib_mr_type type, u32 max_num_sg)
{
	struct mirage_mr *mr;
	struct fast *fast;

	if (type != IB_MR_TYPE_MEM_REG)
		return ERR_PTR(-EOPNOTSUPP);
	if (!max_num_sg || max_num_sg > MIRAGE_MAX_FAST_PAGES)
		return ERR_PTR(-EINVAL);
	mr = mr_alloc(pd, struct_size(fast, pfns, max_num_sg), 0);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	fast = to_fast(mr);
	spin_lock_init(&fast->lock);
	fast->max = max_num_sg;
	mr->backend = &fast_backend;
	mr->ibmr.lkey = mr->key;
	mr->ibmr.rkey = mr->key;
	mr_slot_set(&mr->dev->mrs, mr->key, (unsigned long)fast | MR_SLOT_FAST);
	return &mr->ibmr;
}

static int fast_set_page(struct ib_mr *ibmr, u64 addr)
{
	struct fast *fast = to_fast(to_mmr(ibmr));

	if (fast->num == fast->max)
		return -ENOMEM;
	if (!virt_addr_valid((void *)addr))
		return -EFAULT;
	fast->pfns[fast->num++] = dma_pfn(addr);
	return 0;
}

/**
 * mirage_map_mr_sg - ib_device_ops.map_mr_sg
 * @ibmr: a fast-registration region
 * @sg: what it is to be of
 * @nents: entries of it
 * @offset: into the first one; or NULL
 *
 * Any context. Return: as ib_map_mr_sg(); -EINVAL for another page size than the
 * kernel's.
 */
int mirage_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int nents,
		     unsigned int *offset)
{
	if (ibmr->page_size != PAGE_SIZE)
		return -EINVAL;
	to_fast(to_mmr(ibmr))->num = 0;
	return ib_sg_to_pages(ibmr, sg, nents, offset, fast_set_page);
}

static int fast_commit(struct mirage_mr *mr, const struct fast *fast)
{
	u64 iova = mr->iova & PAGE_MASK;
	u32 done = 0;
	int err = 0;

	while (done < fast->num && !err) {
		u32 n = min_t(u64, fast->num - done, mtt_chunk_left(iova) >> PAGE_SHIFT);

		err = mtt_commit(&mr->mtt, iova, n, fast->pfns + done, NULL, NULL);
		done += n;
		iova += (u64)n << PAGE_SHIFT;
	}
	return err;
}

static int fast_check(const struct fast *fast, u32 key, int access)
{
	const struct ib_mr *ibmr = &fast->mr.ibmr;
	u64 pages = DIV_ROUND_UP_ULL(offset_in_page(ibmr->iova) + ibmr->length, PAGE_SIZE);
	int err = mr_check_access(access);

	if (err)
		return err;
	if (fast->mr.backend != &fast_backend || fast->mr.key >> 8 != key >> 8)
		return -EINVAL;
	if (!ibmr->length || pages != fast->num || ibmr->iova + ibmr->length < ibmr->length)
		return -EINVAL;
	return 0;
}

/**
 * fast_prepare - an IB_WR_REG_MR is posted
 * @ibmr: the region
 * @key: the key it will have
 * @access: IB_ACCESS_*
 *
 * Any context but hardirq; IRQs may be off. The pages are those of
 * mirage_map_mr_sg(), which are left alone until the registration has ended.
 *
 * Return: 0; -EINVAL what was not mapped, or a key of another region; -EOPNOTSUPP
 * rights.
 */
int fast_prepare(struct ib_mr *ibmr, u32 key, int access)
{
	struct fast *fast = to_fast(to_mmr(ibmr));
	unsigned long flags;
	int err = fast_check(fast, key, access);

	if (err)
		return err;
	spin_lock_irqsave(&fast->lock, flags);
	fast->posted = true;
	fast->request = (struct fast_request) {
		.key = key,
		.access = access,
		.iova = ibmr->iova,
		.length = ibmr->length,
	};
	spin_unlock_irqrestore(&fast->lock, flags);
	return 0;
}

/* Under rcu_read_lock(). The region that a key may be of, whatever its lower bits. */
static struct fast *fast_find(struct mirage_dev *dev, const struct ib_pd *pd, u32 key)
{
	unsigned long slot = mr_slot(&dev->mrs, key);
	struct fast *fast = NULL;

	if ((slot & MR_SLOT_FLAGS) == MR_SLOT_FAST) {
		fast = (struct fast *)(slot & ~MR_SLOT_FLAGS);
	} else if (slot && !(slot & MR_SLOT_FLAGS)) {
		struct mirage_mr *mr = (struct mirage_mr *)slot;

		if (mr->backend == &fast_region_backend)
			fast = mr->priv;
	}
	return fast && fast->mr.key >> 8 == key >> 8 && fast->mr.pd == pd ? fast : NULL;
}

static struct mirage_mr *fast_make(const struct fast *fast, const struct fast_request *r)
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
	mr->backend = &fast_region_backend;
	mr->priv = (void *)fast;
	mtt_init(&mr->mtt, mr->iova, mr->last, true);
	mr->mtt.atomic = true;
	if (!fast_commit(mr, fast))
		return mr;
	fast_region_end(mr);
	return NULL;
}

static int fast_can_register(const struct fast *fast)
	__must_hold(&fast->lock)
{
	lockdep_assert_held(&fast->lock);
	if (fast->gone)
		return -ENOENT;
	if (fast->live)
		return -EBUSY;
	return fast->posted ? 0 : -EINVAL;
}

/* Under rcu_read_lock(). The table is made without the lock: not with IRQs off. */
static int fast_execute(struct fast *fast)
{
	struct mirage_mr *mr = NULL;
	struct fast_request r;
	unsigned long flags;
	int err;

	spin_lock_irqsave(&fast->lock, flags);
	err = fast_can_register(fast);
	r = fast->request;
	spin_unlock_irqrestore(&fast->lock, flags);
	if (err)
		return err;
	mr = fast_make(fast, &r);
	if (!mr)
		return -ENOMEM;

	spin_lock_irqsave(&fast->lock, flags);
	err = fast_can_register(fast);
	if (!err) {
		fast->posted = false;
		fast->mr.key = r.key;
		mr_slot_set(&fast->mr.dev->mrs, r.key, (unsigned long)mr);
		swap(fast->live, mr);
	}
	spin_unlock_irqrestore(&fast->lock, flags);
	fast_region_end(mr);
	return err;
}

/**
 * fast_register - execute an IB_WR_REG_MR
 * @dev: the device
 * @pd: the PD of the queue pair
 * @key: any key that the region had or is to have
 *
 * Any context but hardirq. Return: 0; -ENOENT no such region of this PD; -EBUSY
 * registered already; -EINVAL nothing was posted; -ENOMEM: again in a moment.
 */
int fast_register(struct mirage_dev *dev, struct ib_pd *pd, u32 key)
{
	struct fast *fast;
	int err = -ENOENT;

	rcu_read_lock();
	fast = fast_find(dev, pd, key);
	if (fast)
		err = fast_execute(fast);
	rcu_read_unlock();
	return err;
}

/**
 * fast_invalidate - end a registration, as a local or a remote request
 * @dev: the device
 * @pd: the PD of the queue pair
 * @key: its key
 *
 * Any context but hardirq. No byte moves through it when this returns. What is
 * invalid already stays so without an error.
 *
 * Return: 0, or -ENOENT: not the key of such a region of this PD.
 */
int fast_invalidate(struct mirage_dev *dev, struct ib_pd *pd, u32 key)
{
	struct mirage_mr *live = NULL;
	unsigned long flags;
	struct fast *fast;
	int err = -ENOENT;

	rcu_read_lock();
	fast = fast_find(dev, pd, key);
	if (fast) {
		spin_lock_irqsave(&fast->lock, flags);
		if (!fast->gone && fast->mr.key == key) {
			swap(live, fast->live);
			mr_slot_set(&dev->mrs, key, (unsigned long)fast | MR_SLOT_FAST);
			err = 0;
		}
		spin_unlock_irqrestore(&fast->lock, flags);
	}
	rcu_read_unlock();
	fast_region_end(live);
	return err;
}

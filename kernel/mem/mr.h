/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory regions: their rights, and their life
 */
#ifndef MIRAGE_MR_H
#define MIRAGE_MR_H

#include <linux/err.h>
#include <linux/kref.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>
#include <rdma/ib_verbs.h>

#include "mem/dma.h"
#include "mem/key.h"
#include "mem/mtt.h"

struct mirage_dev;
struct mirage_mr;
struct mirage_odp_waiter;

/**
 * struct mirage_mr_backend - the operations of a backend, which fills the table of a region
 * @fault_now: brings the pages of [iova, iova + len) in, and does not sleep for I/O (task
 *	context)
 * @fault_raise: raises a fault that brings them in; @w is woken when the fault is over (any
 *	context but hardirq, spinlocks may be held)
 * @dereg: called when the region is deregistered, after mirage_mtt_kill(); others may still have
 *	references; may sleep; or NULL
 * @teardown: called after that, when the last reference is gone; may sleep; or NULL
 */
struct mirage_mr_backend {
	int (*fault_now)(struct mirage_mr *mr, u64 iova, u64 len, bool write);
	int (*fault_raise)(struct mirage_mr *mr, u64 iova, u64 len, bool write,
			   struct mirage_odp_waiter *w);
	void (*dereg)(struct mirage_mr *mr);
	void (*teardown)(struct mirage_mr *mr);
};

/**
 * struct mirage_mr - one region
 * @ibmr: the core's object; the core does not know it any more after mirage_dereg_mr(), but an
 *	engine or a fault may still have a reference on the region
 * @ref: the registration has a reference, and so has each operation and fault under way
 * @rcu: to free the region: lookups take no lock
 * @teardown: frees the region if its last reference was dropped where one may not sleep
 * @dev: the device; it may be gone once @dead is set, see mirage_odp_count()
 * @key: lkey and rkey
 * @pd: the PD; compared by address only, never followed after deregistration
 * @iova: the address that peers and WQEs use for the first byte
 * @last: the iova of the last byte
 * @start: user address of the first byte (ODP)
 * @access: IB_ACCESS_*
 * @dma: true for a DMA region, whose table is filled at each lookup
 * @dead: true after deregistration: every lookup and fault fails
 * @mtt: the region's table
 * @backend: operations of the backend: pinned, ODP, or one of those for kernel memory
 * @priv: the backend's own data
 */
struct mirage_mr {
	struct ib_mr ibmr;
	struct kref ref;
	struct rcu_head rcu;
	struct work_struct teardown;
	struct mirage_dev *dev;
	u32 key;
	struct ib_pd *pd;
	u64 iova;
	u64 last;
	unsigned long start;
	int access;
	bool dma;
	bool dead;
	struct mirage_mtt mtt;
	const struct mirage_mr_backend *backend;
	void *priv;
};

/**
 * to_mmr - from the core's object to ours
 * @ibmr: the core's object
 *
 * Return: the region.
 */
static inline struct mirage_mr *to_mmr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct mirage_mr, ibmr);
}

int mirage_mr_check_access(int access);
struct mirage_mr *mirage_mr_alloc(struct ib_pd *pd, size_t size, int access);
void mirage_mr_publish(struct mirage_mr *mr);
void mirage_mr_release_later(struct kref *ref);
int mirage_mr_fault_now_gone(struct mirage_mr *mr, u64 iova, u64 len, bool write);
int mirage_mr_fault_raise_gone(struct mirage_mr *mr, u64 iova, u64 len, bool write,
			       struct mirage_odp_waiter *w);
struct mirage_mr *mirage_mr_get(struct mirage_dev *dev, struct ib_pd *pd, u32 key,
				u64 addr, u64 len, int access);

/* Checks that a region has the key, the PD, the rights and the bytes. len is not 0. */
static inline int mr_check(const struct mirage_mr *mr, const struct ib_pd *pd, u32 key, u64 addr,
			   u64 len, int access)
{
	if (unlikely(mr->key != key || READ_ONCE(mr->dead)))
		return -ENOENT;
	if (unlikely(READ_ONCE(mr->pd) != pd))
		return -EXDEV;
	if (unlikely(access & ~READ_ONCE(mr->access)))
		return -EACCES;
	if (unlikely(addr < mr->iova || addr > mr->last || len - 1 > mr->last - addr))
		return -ERANGE;
	return 0;
}

/**
 * mirage_mr_find - find the region that a key names
 * @table: the device's table
 * @pd: the PD that the region has to belong to
 * @key: lkey or rkey
 * @addr: first byte, an iova of the region
 * @len: number of bytes, not 0: the caller needs no lookup for 0 bytes
 * @access: the rights needed, IB_ACCESS_*; 0 to read locally
 *
 * Under RCU, and only RCU keeps the region: it may be deregistered at any moment, and then its
 * table has no page any more. A window is not found; mirage_rkey_get() finds windows, too.
 *
 * Return: the region. ERR_PTR: -ENOENT if the key is unknown or stale, -EXDEV if the region is
 * of another PD, -EACCES if it lacks a right, -ERANGE if a byte is outside it.
 */
static inline struct mirage_mr *
mirage_mr_find(const struct mirage_key_table *table, const struct ib_pd *pd, u32 key, u64 addr,
	       u64 len,
	       int access)
{
	unsigned long slot = mirage_key_slot(table, key);
	int err = -ENOENT;

	if (likely(slot && !(slot & MIRAGE_KEY_FLAGS)))
		err = mr_check((struct mirage_mr *)slot, pd, key, addr, len, access);
	return likely(!err) ? (struct mirage_mr *)slot : ERR_PTR(err);
}

/**
 * mirage_mr_lookup - find the region that a key names, and take a reference on it
 * @table: as mirage_mr_find()
 * @pd: as mirage_mr_find()
 * @key: as mirage_mr_find()
 * @addr: as mirage_mr_find()
 * @len: as mirage_mr_find()
 * @access: as mirage_mr_find()
 *
 * Any context but hardirq. The table of a DMA region is filled for these bytes.
 *
 * Return: as mirage_mr_find().
 */
static inline struct mirage_mr *
mirage_mr_lookup(const struct mirage_key_table *table, const struct ib_pd *pd, u32 key, u64 addr,
		 u64 len, int access)
{
	struct mirage_mr *mr;

	/* The flavour of RCU whose read side is no function call. */
	rcu_read_lock_sched();
	mr = mirage_mr_find(table, pd, key, addr, len, access);
	if (!IS_ERR(mr) && unlikely(!kref_get_unless_zero(&mr->ref)))
		mr = ERR_PTR(-ENOENT);
	rcu_read_unlock_sched();
	if (!IS_ERR(mr) && unlikely(mr->dma))
		mirage_dma_fill(mr, addr, len);
	return mr;
}

/**
 * mirage_mr_put - drop a reference on a region
 * @mr: the region
 *
 * Any context: if it was the last reference, the backend's teardown() runs in a worker.
 */
static inline void mirage_mr_put(struct mirage_mr *mr)
{
	kref_put(&mr->ref, mirage_mr_release_later);
}

struct ib_mr *mirage_reg_user_mr(struct ib_pd *pd, u64 start, u64 length, u64 iova,
				 int access, struct ib_dmah *dmah,
				 struct ib_udata *udata);
struct ib_mr *mirage_rereg_user_mr(struct ib_mr *ibmr, int flags, u64 start,
				   u64 length, u64 iova, int access,
				   struct ib_pd *pd, struct ib_udata *udata);
int mirage_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata);
int mirage_fill_stat_mr(struct sk_buff *msg, struct ib_mr *ibmr);

#endif

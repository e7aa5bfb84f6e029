/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory regions: rights, life
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
 * struct mirage_mr_backend - what fills the table of a region
 * @fault_now: bring [iova, iova + len) in without sleeping on I/O (task context)
 * @fault_raise: the same as an event; @w is woken when it is over (any context but
 *	hardirq, spinlocks may be held)
 * @dereg: after mirage_mtt_kill(), in the deregistration; references may be left; sleeps; or
 *	NULL
 * @teardown: after that, when the last reference is gone; sleeps; or NULL
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
 * @ibmr: the core's object; gone for the core after mirage_dereg_mr(), while an
 *	engine or a fault may still hold the rest
 * @ref: one of the registration, one of each operation and fault under way
 * @rcu: lookups are lockless
 * @teardown: where the last reference was dropped where one may not sleep
 * @dev: the device; it may be gone once @dead is set, see mirage_odp_count()
 * @key: lkey and rkey
 * @pd: compared by address only, never followed after deregistration
 * @iova: the address peers and WQEs use for the first byte
 * @last: that of the last byte, inclusive
 * @start: user address of the first byte (ODP)
 * @access: IB_ACCESS_*
 * @dma: a DMA region: filled where it is looked up
 * @dead: deregistered: every lookup and fault fails
 * @mtt: its table
 * @backend: pinned, ODP, or those of kernel memory
 * @priv: its own
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

static __always_inline int mr_check(const struct mirage_mr *mr, const struct ib_pd *pd,
				    u32 key, u64 addr, u64 len, int access)
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
 * @pd: the PD it has to belong to
 * @key: lkey or rkey
 * @addr: first byte, in the region's own addresses
 * @len: bytes, not 0: there the caller has nothing to ask for
 * @access: the rights needed, IB_ACCESS_*; 0 to read locally
 *
 * Under RCU, which is all that keeps the region: it may be deregistered at any moment,
 * and then its table has no page any more. Finds no windows: mirage_rkey_get() does.
 *
 * Return: the region. ERR_PTR: -ENOENT unknown or stale key, -EXDEV another PD,
 * -EACCES rights, -ERANGE bounds or wrap.
 */
static __always_inline struct mirage_mr *
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
 * mirage_mr_lookup - mirage_mr_find() and take a reference
 * @table: as mirage_mr_find()
 * @pd: as mirage_mr_find()
 * @key: as mirage_mr_find()
 * @addr: as mirage_mr_find()
 * @len: as mirage_mr_find()
 * @access: as mirage_mr_find()
 *
 * Any context but hardirq.
 *
 * Return: as mirage_mr_find().
 */
static __always_inline struct mirage_mr *
mirage_mr_lookup(const struct mirage_key_table *table, const struct ib_pd *pd, u32 key, u64 addr,
		 u64 len, int access)
{
	struct mirage_mr *mr;

	/* The flavour that is no function call. */
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
 * mirage_mr_put - drop a reference
 * @mr: the region
 *
 * Any context; the teardown after the last one runs in a worker.
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

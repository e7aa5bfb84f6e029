// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory windows: remote rights to a part of a region, which work requests give and take
 *
 * Windows and regions share one table of keys: the slot of a window's key has a marked pointer to
 * the window. A window refers to its region by key, so the region can be deregistered at any
 * time; an access through the window then fails.
 *
 * A type 1 window can be used through every queue pair of its PD. A type 2 window can be used
 * only through the queue pair that bound it, and either end of that connection can invalidate it.
 * When the queue pair is destroyed the window becomes invalid, and another queue pair may bind it.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "base/device.h"
#include "mem/fastreg.h"
#include "mem/mr.h"
#include "mem/mw.h"

#define MW_ACCESS	(IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_WRITE | \
			 IB_ACCESS_REMOTE_ATOMIC)

/**
 * struct mirage_mw - a window as lookups see it
 * @rcu: frees the struct; a lookup takes no reference
 * @node: in dev->mws, if the window is of type 2
 * @lock: protects the members from @bound on; taken in softirqs too. It is held for reading while
 *	bytes move through the window, so none move after an invalidation. The order:
 *	base/device.h
 * @pd: the PD; only its address is compared
 * @type2: the window is of type 2
 * @bound: the window is bound, and the members from @qpn on are valid
 * @key: the rkey
 * @qpn: number of the queue pair that bound it
 * @lkey: key of the region
 * @first: first byte, in the region's addresses
 * @last: last byte, inclusive
 * @access: IB_ACCESS_REMOTE_*
 */
struct mirage_mw {
	struct rcu_head rcu;
	struct list_head node;
	rwlock_t lock;			/* see above */
	struct ib_pd *pd;
	bool type2;
	bool bound;
	u32 key;
	u32 qpn;
	u32 lkey;
	u64 first;
	u64 last;
	int access;
};

static int mw_check(const struct mirage_mw *mw, const struct ib_pd *pd, u32 qpn, u32 rkey,
		    u64 addr, u64 len, int access)
	__must_hold(&mw->lock)
{
	u64 last = addr + len - 1;

	lockdep_assert_held(&mw->lock);
	if (mw->key != rkey || !mw->bound)
		return -ENOENT;
	if (mw->pd != pd || (mw->type2 && mw->qpn != qpn))
		return -EXDEV;
	if ((mw->access & access) != access)
		return -EACCES;
	if (last < addr || addr < mw->first || last > mw->last)
		return -ERANGE;
	return 0;
}

/* Finds the window of a key, whatever its lower bits are. Under rcu_read_lock(). */
static struct mirage_mw *mw_find(struct mirage_dev *dev, u32 rkey)
	__must_hold(RCU)
{
	unsigned long slot = mirage_key_slot(&dev->mrs, rkey);

	lockdep_assert(rcu_read_lock_held());
	return (slot & MIRAGE_KEY_FLAGS) == MIRAGE_KEY_WINDOW ?
	       (struct mirage_mw *)(slot & ~MIRAGE_KEY_FLAGS) : NULL;
}

static struct mirage_mr *mw_get(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn,
				u32 rkey, u64 addr, u64 len, int access)
{
	int err = -ENOENT;
	struct mirage_mw *mw;
	u32 lkey = 0;

	rcu_read_lock();
	mw = mw_find(dev, rkey);
	if (mw) {
		read_lock_bh(&mw->lock);
		err = mw_check(mw, pd, qpn, rkey, addr, len, access);
		lkey = mw->lkey;
		read_unlock_bh(&mw->lock);
	}
	rcu_read_unlock();
	return err ? ERR_PTR(err) : mirage_mr_get(dev, pd, lkey, addr, len, 0);
}

/**
 * mirage_rkey_get - find the region of a remote key, which may be a window's
 * @dev: the device
 * @pd: the PD of the queue pair that got the request
 * @qpn: number of that queue pair
 * @rkey: the key
 * @addr: first byte, in the region's own addresses
 * @len: bytes, not 0
 * @access: the rights needed, IB_ACCESS_REMOTE_*
 *
 * Any context but hardirq.
 *
 * Return: as mirage_mr_lookup(), with a reference.
 */
struct mirage_mr *mirage_rkey_get(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn,
				  u32 rkey, u64 addr, u64 len, int access)
{
	struct mirage_mr *mr = mirage_mr_lookup(&dev->mrs, pd, rkey, addr, len, access);

	if (!IS_ERR(mr) || PTR_ERR(mr) != -ENOENT)
		return mr;
	return mw_get(dev, pd, qpn, rkey, addr, len, access);
}

/**
 * mirage_mw_enter - take the lock of a window for reading, to move bytes through it
 * @dev: the device
 * @pd: as in mirage_rkey_get()
 * @qpn: as in mirage_rkey_get()
 * @rkey: as in mirage_rkey_get()
 * @addr: as in mirage_rkey_get()
 * @len: as in mirage_rkey_get()
 * @access: as in mirage_rkey_get()
 * @lkey: key of the region that mirage_rkey_get() found
 *
 * BHs are off until mirage_mw_leave(), which the caller calls soon.
 *
 * Return: the window; NULL if it does not give that access to that region any more.
 */
struct mirage_mw *mirage_mw_enter(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn, u32 rkey,
				  u64 addr, u64 len, int access, u32 lkey)
{
	struct mirage_mw *mw;

	lockdep_assert_in_softirq();
	rcu_read_lock();
	mw = mw_find(dev, rkey);
	if (!mw)
		goto gone;
	read_lock(&mw->lock);
	if (!mw_check(mw, pd, qpn, rkey, addr, len, access) && mw->lkey == lkey) {
		/* Sparse can not express that the locks are held if the result is not NULL. */
		__release(&mw->lock);
		__release(RCU);
		return mw;
	}
	read_unlock(&mw->lock);
gone:
	rcu_read_unlock();
	return NULL;
}

/** mirage_mw_leave - drop the locks that mirage_mw_enter() took, when it returned @mw */
void mirage_mw_leave(struct mirage_mw *mw)
{
	lockdep_assert_held(&mw->lock);
	__acquire(&mw->lock);
	__acquire(RCU);
	read_unlock(&mw->lock);
	rcu_read_unlock();
}

/* Checks that the region allows the rights and the range of a bind. */
static int mw_check_region(struct mirage_dev *dev, struct ib_pd *pd,
			   const struct mirage_mw_bind *bind)
{
	int need = IB_ACCESS_MW_BIND;
	struct mirage_mr *mr;

	/* IB_ACCESS_LOCAL_WRITE is a right of the region. A bind may name it, without effect. */
	if (bind->access & ~(MW_ACCESS | IB_ACCESS_LOCAL_WRITE))
		return -EINVAL;
	if (bind->access & (IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC))
		need |= IB_ACCESS_LOCAL_WRITE;
	mr = mirage_mr_get(dev, pd, bind->lkey, bind->addr, bind->length, need);
	if (IS_ERR(mr))
		return PTR_ERR(mr);
	mirage_mr_put(mr);
	return 0;
}

static int mw_bind_locked(struct mirage_mw *mw, struct ib_pd *pd, u32 qpn,
			  const struct mirage_mw_bind *bind)
	__must_hold(&mw->lock)
{
	lockdep_assert_held(&mw->lock);
	if (mw->key >> 8 != bind->rkey >> 8)
		return -ENOENT;
	if (mw->pd != pd)
		return -EXDEV;
	if (mw->type2 && mw->bound && (bind->length || mw->qpn != qpn))
		return -EBUSY;
	mw->bound = bind->length;
	mw->key = bind->new_rkey;
	mw->qpn = qpn;
	mw->lkey = bind->lkey;
	mw->first = bind->addr;
	mw->last = bind->addr + bind->length - 1;
	mw->access = bind->access & MW_ACCESS;
	return 0;
}

/**
 * mirage_mw_bind - execute a bind work request
 * @dev: the device
 * @pd: the PD of the queue pair
 * @qpn: its number
 * @bind: the request
 *
 * Any context but hardirq.
 *
 * Return: 0; -ENOENT if there is no such window or region; -EXDEV if it is of another PD; -EACCES
 * if the region lacks a right; -ERANGE if the range is not inside the region; -EBUSY for a type 2
 * window that is bound; -EINVAL for invalid rights, or if the two rkeys are not of one window.
 */
int mirage_mw_bind(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn,
		   const struct mirage_mw_bind *bind)
{
	int err = bind->length ? mw_check_region(dev, pd, bind) : 0;
	struct mirage_mw *mw;

	if (err)
		return err;
	if (bind->rkey >> 8 != bind->new_rkey >> 8)
		return -EINVAL;
	err = -ENOENT;
	rcu_read_lock();
	mw = mw_find(dev, bind->rkey);
	if (mw) {
		write_lock_bh(&mw->lock);
		err = mw_bind_locked(mw, pd, qpn, bind);
		write_unlock_bh(&mw->lock);
	}
	rcu_read_unlock();
	return err;
}

/**
 * mirage_mw_invalidate - invalidate a key, as a local or a remote request asks
 * @dev: the device
 * @pd: the PD of the queue pair
 * @qpn: its number
 * @rkey: key of a type 2 window or a fast registration
 *
 * Any context but hardirq. No byte moves through the window after this has returned: a request
 * that has moved a part of its bytes fails.
 *
 * Return: 0; -ENOENT if nothing with this key can be invalidated; -EXDEV for a window of another
 * PD or queue pair; -EACCES for a window of type 1.
 */
int mirage_mw_invalidate(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn, u32 rkey)
{
	int err = -ENOENT;
	struct mirage_mw *mw;

	rcu_read_lock();
	mw = mw_find(dev, rkey);
	if (mw) {
		write_lock_bh(&mw->lock);
		err = mw->type2 ? mw_check(mw, pd, qpn, rkey, mw->first, 1, 0) :
				  -EACCES;
		if (!err)
			mw->bound = false;
		write_unlock_bh(&mw->lock);
	}
	rcu_read_unlock();
	return mw ? err : mirage_fastreg_invalidate(dev, pd, rkey);
}

/** mirage_mw_table_init - initialize @table, without windows */
void mirage_mw_table_init(struct mirage_mw_table *table)
{
	spin_lock_init(&table->lock);
	INIT_LIST_HEAD(&table->type2);
}

static void mw_table_add(struct mirage_mw_table *table, struct mirage_mw *mw)
{
	spin_lock(&table->lock);
	list_add_tail(&mw->node, &table->type2);
	spin_unlock(&table->lock);
}

static void mw_table_del(struct mirage_mw_table *table, struct mirage_mw *mw)
{
	spin_lock(&table->lock);
	list_del(&mw->node);
	spin_unlock(&table->lock);
}

/**
 * mirage_mw_end_qp - invalidate the windows of type 2 that a queue pair bound
 * @dev: the device
 * @qpn: number of the queue pair, which no new one has yet; the queue pair executes nothing more
 *
 * Process context.
 */
void mirage_mw_end_qp(struct mirage_dev *dev, u32 qpn)
{
	struct mirage_mw *mw;

	spin_lock(&dev->mws.lock);
	list_for_each_entry(mw, &dev->mws.type2, node) {
		write_lock_bh(&mw->lock);
		if (mw->qpn == qpn)
			mw->bound = false;
		write_unlock_bh(&mw->lock);
	}
	spin_unlock(&dev->mws.lock);
}

/**
 * mirage_alloc_mw - ib_device_ops.alloc_mw
 * @ibmw: the window; its type is set: IB_MW_TYPE_1 or IB_MW_TYPE_2
 * @udata: not used
 *
 * The device's limit is for the sum of its windows and regions.
 *
 * Return: 0, -ENOSPC or -ENOMEM.
 */
int mirage_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata)
{
	struct mirage_ibmw *mmw = container_of(ibmw, struct mirage_ibmw, ibmw);
	struct mirage_dev *dev = to_mdev(ibmw->device);
	struct mirage_mw *mw;
	int err;

	if (!mirage_limit_get(&dev->num_mr, MIRAGE_MAX_MR))
		return -ENOSPC;
	err = -ENOMEM;
	mw = kzalloc_obj(*mw, GFP_KERNEL_ACCOUNT);
	if (!mw)
		goto put_limit;
	rwlock_init(&mw->lock);
	mw->pd = ibmw->pd;
	mw->type2 = ibmw->type == IB_MW_TYPE_2;
	err = mirage_key_reserve(&dev->mrs, &mw->key);
	if (err)
		goto free_mw;
	mmw->mw = mw;
	if (mw->type2)
		mw_table_add(&dev->mws, mw);
	ibmw->rkey = mw->key;
	mirage_key_set(&dev->mrs, mw->key, (unsigned long)mw | MIRAGE_KEY_WINDOW);
	return 0;

free_mw:
	kfree(mw);
put_limit:
	mirage_limit_put(&dev->num_mr);
	return err;
}

/**
 * mirage_dealloc_mw - ib_device_ops.dealloc_mw
 * @ibmw: the window, bound or not
 *
 * No byte moves through the window after this has returned.
 *
 * Return: 0.
 */
int mirage_dealloc_mw(struct ib_mw *ibmw)
{
	struct mirage_dev *dev = to_mdev(ibmw->device);
	struct mirage_mw *mw = container_of(ibmw, struct mirage_ibmw, ibmw)->mw;

	if (mw->type2)
		mw_table_del(&dev->mws, mw);
	write_lock_bh(&mw->lock);
	mw->bound = false;
	write_unlock_bh(&mw->lock);
	mirage_key_set(&dev->mrs, mw->key, 0);
	kfree_rcu(mw, rcu);
	mirage_limit_put(&dev->num_mr);
	return 0;
}

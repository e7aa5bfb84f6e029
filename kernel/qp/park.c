// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Waiting for a page, or for a delay
 *
 * Nobody sleeps for a page. An owner of a park (an engine, one direction of a wire, a queue of
 * datagrams) that misses a page raises a fault, notes in its own state that it is parked, and
 * returns. When the fault ends, the fault worker wakes the owner and runs it on. A delay works
 * in the same way, but a work item ends it. The reasons for a delay are a share of the CPU that
 * is used up, a timer of the protocol, or no memory for the fault.
 *
 * The wake-up races with the parking. Both hold the owner's lock, so the owner's wake() sees
 * whether the owner has parked already::
 *
 *	owner					fault worker
 *	mirage_park_on_fault()
 *						lock; wake(): not parked yet,
 *						leave a note; unlock
 *	lock; there is a note: go on, unlock
 */
#include <linux/wait_bit.h>

#include "base/device.h"
#include "mem/mr.h"
#include "qp/park.h"
#include "qp/qp.h"

/* Ends the wait for the fault or for the delay, and drops the reference that was held for it. */
static void park_end_wait(struct mirage_park *park, bool fault, int err)
{
	/* The owner may free the park as soon as the lock is dropped, unless resume() is called. */
	struct mirage_qp *qp = park->qp;
	bool resume;

	spin_lock_bh(park->lock);
	if (fault) {
		if (park->state == MIRAGE_PARK_OVERTAKEN)
			err = 0;
		park->state = MIRAGE_PARK_FREE;
		wake_up_var(&park->state);
	}
	resume = park->wake(park, err);
	spin_unlock_bh(park->lock);
	if (resume)
		park->resume(park);
	mirage_qp_put(qp);
}

static void park_fault_over(struct mirage_odp_waiter *waiter, int err)
{
	park_end_wait(container_of(waiter, struct mirage_park, waiter), true, err);
}

static void park_delay_over(struct work_struct *work)
{
	park_end_wait(container_of(work, struct mirage_park, work.work), false, 0);
}

/**
 * mirage_park_init - initialize a park; its owner waits for nothing
 * @park: the park
 * @qp: the QP of its owner
 * @lock: the owner's lock, taken with BHs off
 * @wake: see struct mirage_park
 * @resume: see struct mirage_park
 */
void mirage_park_init(struct mirage_park *park, struct mirage_qp *qp, spinlock_t *lock,
		      bool (*wake)(struct mirage_park *park, int err),
		      void (*resume)(struct mirage_park *park))
{
	park->qp = qp;
	park->lock = lock;
	park->wake = wake;
	park->resume = resume;
	park->waiter.wake = park_fault_over;
	INIT_DELAYED_WORK(&park->work, park_delay_over);
}

/**
 * mirage_park_on_fault - raise a fault for missing bytes; its end wakes the owner
 * @park: the park; its lock is held, BHs are off
 * @miss: the missing bytes; the reference on their region stays the caller's to put
 *
 * Does not sleep. While an overtaken fault is not over, no new one is raised: the owner is
 * woken at its end and then tries again. Without memory for a fault, the owner is woken after
 * a jiffy.
 *
 * Return: 0 if the owner will be woken; or the error that makes a fault pointless, and the
 * owner is not woken.
 */
int mirage_park_on_fault(struct mirage_park *park, const struct mirage_miss *miss)
{
	const struct mirage_mr_backend *backend = miss->mr->backend;
	int err;

	lockdep_assert_held(park->lock);
	if (park->state != MIRAGE_PARK_FREE)
		return 0;
	err = backend->fault_raise(miss->mr, miss->iova, miss->len, miss->write, &park->waiter);
	if (err == -ENOMEM) {
		mirage_park_for(park, 1);
		return 0;
	}
	if (!err) {
		kref_get(&park->qp->ref);
		park->state = MIRAGE_PARK_RAISED;
	}
	return err;
}

/**
 * mirage_park_for - have the owner woken after a delay
 * @park: the park; the caller has a reference on its QP, or its lock
 * @delay: jiffies; 0 is as soon as a worker can
 *
 * Any context but hardirq. Does not change a delay that is under way already.
 */
void mirage_park_for(struct mirage_park *park, unsigned long delay)
{
	struct mirage_qp *qp = park->qp;

	kref_get(&qp->ref);
	if (!queue_delayed_work(qp->dev->wq, &park->work, delay))
		mirage_qp_put(qp);
}

/**
 * mirage_park_resume_now - have a worker wake the owner at once; cuts a delay short
 * @park: the park; the caller has a reference on its QP, or its lock
 *
 * Any context but hardirq.
 */
void mirage_park_resume_now(struct mirage_park *park)
{
	struct mirage_qp *qp = park->qp;

	kref_get(&qp->ref);
	if (mod_delayed_work(qp->dev->wq, &park->work, 0))
		mirage_qp_put(qp);
}

/**
 * mirage_park_end_delay - wake the owner in the caller's context, if it waits for a delay
 * @park: the park
 *
 * Task context, no locks held.
 */
void mirage_park_end_delay(struct mirage_park *park)
{
	if (cancel_delayed_work(&park->work))
		park_end_wait(park, false, 0);
}

static bool park_is_free(struct mirage_park *park)
{
	bool free;

	spin_lock_bh(park->lock);
	free = park->state == MIRAGE_PARK_FREE;
	spin_unlock_bh(park->lock);
	return free;
}

/**
 * mirage_park_cancel - end the waits without waking the owner
 * @park: the park; its wake() returns false from now on
 *
 * May sleep, never for a page: the fault goes on without the owner. After this has returned the
 * owner is not woken any more, and the park has no reference on the QP.
 */
void mirage_park_cancel(struct mirage_park *park)
{
	/* Either the waiter is taken back here, or its wake-up is under way, which is short. */
	if (mirage_odp_fault_cancel(&park->waiter)) {
		spin_lock_bh(park->lock);
		park->state = MIRAGE_PARK_FREE;
		spin_unlock_bh(park->lock);
		mirage_qp_put(park->qp);
	}
	wait_var_event(&park->state, park_is_free(park));
	if (cancel_delayed_work_sync(&park->work))
		mirage_qp_put(park->qp);
}

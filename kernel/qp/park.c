// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Waiting for a page, or for a time
 *
 * Nobody sleeps for a page: who misses one raises a fault, leaves a note in its own state
 * and returns. The end of the fault wakes it, in the fault worker, and runs it on there.
 * The same goes for a delay, which a work item ends: a share of the CPU that is used up,
 * a timer of the protocol, or no memory to say what is missing.
 *
 * Whoever wakes races with whoever parks. Both hold the owner's lock, so the owner sees
 * in @wake whether it has parked already::
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

/* Ends a wait, for the fault or the delay, and takes the reference that was held for it. */
static void park_end_wait(struct mirage_park *park, bool fault, int err)
{
	/* Without a @resume the park may be gone once the lock is free. */
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
 * mirage_park_init - nothing is waited for
 * @park: the park
 * @qp: whose
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
 * mirage_park_on_fault - have missing bytes brought in, and be woken then
 * @park: the park; its lock is held, BHs are off
 * @miss: what is missing; the caller still puts its region
 *
 * Does not sleep. While an overtaken fault is not over, its end is waited for instead:
 * the owner asks again then. Without memory for a fault, the owner is woken in a jiffy.
 *
 * Return: 0: the owner will be woken. Or the permanent answer: it will not.
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
 * mirage_park_for - be woken after a while
 * @park: the park; who calls has a reference on its QP, or its lock
 * @delay: jiffies, 0 for as soon as a worker can
 *
 * Any context but hardirq. A delay that is under way already stays as it is.
 */
void mirage_park_for(struct mirage_park *park, unsigned long delay)
{
	struct mirage_qp *qp = park->qp;

	kref_get(&qp->ref);
	if (!queue_delayed_work(qp->dev->wq, &park->work, delay))
		mirage_qp_put(qp);
}

/**
 * mirage_park_resume_now - have the owner woken by a worker at once, delayed or not
 * @park: the park; who calls has a reference on its QP, or its lock
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
 * mirage_park_end_delay - wake the owner here, if it waits for a delay
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
 * mirage_park_cancel - wait no longer
 * @park: the park; its owner's @wake returns false from now on
 *
 * May sleep, never for a page: a fault goes on without the owner. When this returns the
 * owner is not woken any more, and nothing of its references is left here.
 */
void mirage_park_cancel(struct mirage_park *park)
{
	/* Either the waiter is taken back here, or its wake is under way and short. */
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

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Run, park, resume
 *
 * An engine executes one send queue, in whatever context kicks it: the doorbell's
 * system call as a rule. Whoever finds it idle becomes its runner and owns the
 * requester until it gives it back; a kick meanwhile only leaves a note.
 *
 * A runner never sleeps for a page. What can be brought in without I/O is brought
 * in on the spot; for the rest it raises a fault, parks the engine and goes home.
 * The fault's end, in the fault worker, runs the engine on. So there is no blocked
 * thread per QP, nothing that a QP's destruction would have to wait for, and no
 * system call that waits for somebody else's page.
 *
 * A kick may also come from softirq: an acknowledgment opens the window of a wire,
 * a timer asks for a retransmission, a kernel user posts. Such a runner is atomic: it
 * brings nothing in itself but raises the fault at once, never reschedules, and after
 * a smaller share leaves the rest to a worker. Who sends packets runs the receiving
 * softirq as soon as BHs are on again, on its own stack, and with it perhaps the kick
 * of the engine that it runs: that only leaves a note, like any kick of a running one.
 *
 * The end of a wait races with the parking for it:
 *
 *	runner					fault worker
 *	mirage_odp_fault_raise()
 *						wake: running? woken = true
 *	woken? go on, do not park
 *
 * What a wait for a page must not hold up, a retransmission of what was sent before it,
 * cuts it short with an urgent kick. The fault goes on meanwhile; whoever misses a page
 * before its end waits for that end too, and asks again then.
 */
#include <linux/sched/signal.h>

#include "base/device.h"
#include "qp/engine.h"
#include "qp/qp.h"

/*
 * A system call executes this many rounds of mirage_requester_run() before a worker takes over,
 * so that another thread's posts can not keep it for ever.
 */
#define ENGINE_ROUNDS	256

/* The same for a softirq: its CPU has other packets to look at. */
#define ENGINE_ROUNDS_ATOMIC	16

static struct mirage_qp *engine_qp(struct mirage_engine *e)
{
	return container_of(e, struct mirage_qp, engine);
}

/* Becomes the runner, or leaves a note for the one there is. */
static bool engine_claim(struct mirage_engine *e, bool urgent)
{
	bool claimed = false;

	spin_lock_bh(&e->lock);
	if (e->running) {
		e->again = true;
		e->urgent |= urgent;
	} else if (!e->stopped) {
		claimed = e->parked == PARKED_NOT || (urgent && e->parked == PARKED_FAULT);
	}
	if (claimed) {
		e->running = true;
		e->stale = e->raised;
	}
	spin_unlock_bh(&e->lock);
	return claimed;
}

/* Becomes the runner because the wait that parked it is over. */
static bool engine_claim_woken(struct mirage_engine *e)
{
	bool claimed = false;

	lockdep_assert_held(&e->lock);
	if (e->running) {
		e->woken = true;
	} else {
		e->parked = PARKED_NOT;
		claimed = !e->stopped;
		e->running = claimed;
		e->stale = e->raised;
	}
	return claimed;
}

/*
 * Gives the engine back, idle or parked. False: it has to go on instead, since
 * somebody kicked it, or what it would wait for is over.
 */
static bool engine_release_locked(struct mirage_engine *e, int parked)
	__must_hold(&e->lock)
{
	bool released;

	lockdep_assert_held(&e->lock);
	/* A kick changes nothing for most who wait; the end of a wait always counts. */
	released = e->stopped || !(e->woken || (e->again && parked == PARKED_NOT) ||
				   (e->urgent && parked == PARKED_FAULT));
	e->again = false;
	e->urgent = false;
	if (released) {
		e->running = false;
		e->parked = e->woken ? PARKED_NOT : parked;
		if (e->stopped)
			wake_up_all(&e->idle);
	} else {
		e->stale = e->raised;
	}
	e->woken = false;
	return released;
}

static bool engine_release(struct mirage_engine *e, int parked)
{
	bool released;

	spin_lock_bh(&e->lock);
	released = engine_release_locked(e, parked);
	spin_unlock_bh(&e->lock);
	return released;
}

static void engine_queue(struct mirage_engine *e, unsigned long delay)
{
	struct mirage_qp *qp = engine_qp(e);

	kref_get(&qp->ref);
	if (!queue_delayed_work(qp->dev->wq, &e->work, delay))
		mirage_qp_put(qp);
}

/*
 * Gives the engine to a worker, in a while perhaps. That one must not find it running:
 * it would leave a note, and who has had enough would go on.
 */
static bool engine_hand_over(struct mirage_engine *e, unsigned long delay)
{
	bool released;

	spin_lock_bh(&e->lock);
	engine_queue(e, delay);
	released = engine_release_locked(e, PARKED_DELAY);
	spin_unlock_bh(&e->lock);
	return released;
}

static void engine_unraise(struct mirage_engine *e)
{
	spin_lock_bh(&e->lock);
	e->raised = false;
	spin_unlock_bh(&e->lock);
	mirage_qp_put(engine_qp(e));
}

/* Raises a fault, unless the wait for the last one was cut short. */
static int engine_raise(struct mirage_engine *e)
{
	struct mirage_miss *miss = &e->miss;
	int ret;

	spin_lock_bh(&e->lock);
	if (e->raised) {
		spin_unlock_bh(&e->lock);
		return 0;
	}
	e->raised = true;
	e->stale = false;
	spin_unlock_bh(&e->lock);

	kref_get(&engine_qp(e)->ref);
	ret = miss->mr->backend->fault_raise(miss->mr, miss->iova, miss->len,
					     miss->write, &e->waiter);
	if (ret)
		engine_unraise(e);
	return ret;
}

/*
 * Brings the missing bytes in, or raises a fault. True: go on; false: something
 * will wake us.
 */
static bool engine_fault(struct mirage_engine *e)
{
	struct mirage_miss *miss = &e->miss;
	struct mirage_mr *mr = miss->mr;
	bool wait = false;
	int ret;

	ret = -EAGAIN;
	if (!e->atomic)
		ret = mr->backend->fault_now(mr, miss->iova, miss->len, miss->write);
	if (ret == -EAGAIN) {
		ret = engine_raise(e);
		wait = !ret;
	}
	if (ret == -ENOMEM) {
		/* No memory to say what is missing: ask again in a moment. */
		engine_queue(e, 1);
		wait = true;
	}
	if (!wait)
		e->fault_error = ret;
	mirage_mr_put(mr);
	return !wait;
}

/* One round. True: the engine was given back. */
static bool engine_round(struct mirage_engine *e)
{
	switch (mirage_requester_run(engine_qp(e))) {
	case ENGINE_IDLE:
		return engine_release(e, PARKED_NOT);
	case ENGINE_FAULT:
		return !engine_fault(e) && engine_release(e, PARKED_FAULT);
	case ENGINE_DELAY:
		return engine_hand_over(e, e->delay);
	case ENGINE_MORE:
		break;
	}
	return false;
}

/* Has the runner had its share? */
static bool engine_tired(const struct mirage_engine *e, unsigned int rounds)
{
	if (e->atomic)
		return rounds >= ENGINE_ROUNDS_ATOMIC;
	return rounds >= ENGINE_ROUNDS || fatal_signal_pending(current);
}

static void engine_run(struct mirage_engine *e, bool atomic)
{
	unsigned int rounds = 0;

	e->atomic = atomic;
	while (!engine_round(e)) {
		mirage_engine_breathe(e);
		if (!engine_tired(e, ++rounds))
			continue;
		if (engine_hand_over(e, 0))
			break;
	}
}

/* A delay is over. Takes the reference that was held for it. */
static void engine_resume(struct mirage_engine *e)
{
	bool claimed;

	spin_lock_bh(&e->lock);
	claimed = engine_claim_woken(e);
	spin_unlock_bh(&e->lock);
	if (claimed)
		engine_run(e, false);
	mirage_qp_put(engine_qp(e));
}

static void engine_work(struct work_struct *work)
{
	engine_resume(container_of(work, struct mirage_engine, work.work));
}

static void engine_wake(struct mirage_odp_waiter *w, int err)
{
	struct mirage_engine *e = container_of(w, struct mirage_engine, waiter);
	struct mirage_qp *qp = engine_qp(e);
	bool claimed;

	spin_lock_bh(&e->lock);
	if (!e->stopped && !e->stale)
		e->fault_error = err;
	e->raised = false;
	claimed = engine_claim_woken(e);
	wake_up_all(&e->idle);
	spin_unlock_bh(&e->lock);
	if (claimed)
		engine_run(e, false);
	mirage_qp_put(qp);
}

/** mirage_engine_init - an idle engine */
void mirage_engine_init(struct mirage_engine *e)
{
	spin_lock_init(&e->lock);
	init_waitqueue_head(&e->idle);
	INIT_DELAYED_WORK(&e->work, engine_work);
	e->waiter.wake = engine_wake;
}

/**
 * mirage_engine_doorbell - there may be something to do: do it here
 * @e: the engine
 *
 * Task context, no locks held. Moves data until the queue is empty, parked, or a
 * system call's share is used up.
 */
void mirage_engine_doorbell(struct mirage_engine *e)
{
	if (engine_claim(e, false))
		engine_run(e, false);
}

/**
 * mirage_engine_doorbell_atomic - mirage_engine_doorbell() for who may not sleep
 * @e: the engine
 *
 * Any context but hardirq; no lock is held that the engine's work takes, which for a
 * wire is its requester's.
 */
void mirage_engine_doorbell_atomic(struct mirage_engine *e)
{
	if (engine_claim(e, false))
		engine_run(e, true);
}

/**
 * mirage_engine_doorbell_urgent - mirage_engine_doorbell_atomic() even if it waits for a page
 * @e: the engine
 *
 * Any context but hardirq, locks as there.
 */
void mirage_engine_doorbell_urgent(struct mirage_engine *e)
{
	if (engine_claim(e, true))
		engine_run(e, true);
}

/**
 * mirage_engine_doorbell_worker - there may be something to do, but not here
 * @e: the engine
 *
 * Any context but hardirq, locks may be held. Ends a delay.
 */
void mirage_engine_doorbell_worker(struct mirage_engine *e)
{
	struct mirage_qp *qp = engine_qp(e);

	kref_get(&qp->ref);
	if (mod_delayed_work(qp->dev->wq, &e->work, 0))
		mirage_qp_put(qp);
}

/**
 * mirage_engine_end_delay - what it waits for a timer for may have happened
 * @e: the engine
 *
 * Task context, no locks held. Does nothing unless it waits for a delay.
 */
void mirage_engine_end_delay(struct mirage_engine *e)
{
	if (cancel_delayed_work(&e->work))
		engine_resume(e);
}

/**
 * mirage_engine_stop - nobody executes when this returns, nor will until mirage_engine_start()
 * @e: the engine
 *
 * Task context; waits for the present runner's present round, which never waits for
 * a page.
 */
void mirage_engine_stop(struct mirage_engine *e)
{
	spin_lock_bh(&e->lock);
	e->stopped = true;
	spin_unlock_bh(&e->lock);

	wait_event(e->idle, !READ_ONCE(e->running));
	/* Either we take the waiter back, or its wake is under way and short. */
	if (READ_ONCE(e->raised) && mirage_odp_fault_cancel(&e->waiter))
		engine_unraise(e);
	wait_event(e->idle, !READ_ONCE(e->raised));
	if (cancel_delayed_work_sync(&e->work))
		mirage_qp_put(engine_qp(e));
}

/**
 * mirage_engine_start - may execute again, from a requester that was reset
 * @e: the engine, stopped
 */
void mirage_engine_start(struct mirage_engine *e)
{
	spin_lock_bh(&e->lock);
	e->stopped = false;
	e->again = false;
	e->urgent = false;
	e->woken = false;
	e->stale = false;
	e->parked = PARKED_NOT;
	e->fault_error = 0;
	spin_unlock_bh(&e->lock);
}

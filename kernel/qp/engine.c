// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Run, park, resume
 *
 * An engine executes one send queue, in whatever context rings its doorbell: the system
 * call of the process as a rule. Whoever finds it ready becomes its runner and owns the
 * requester until it gives it back; a doorbell meanwhile only leaves a note.
 *
 * A runner never sleeps for a page. It brings in at once what takes no I/O; for the rest it
 * raises a fault, parks the engine and returns. When the fault ends, the fault worker runs
 * the engine on. So no thread is blocked for each QP, the destruction of a QP has nothing to
 * wait for, and no system call waits for somebody else's page.
 *
 * A doorbell may also come from softirq: an acknowledgment opens the window of a wire, a
 * timer asks for a retransmission, a kernel user posts. Such a runner is atomic: it brings
 * nothing in itself but raises the fault at once, never reschedules, and leaves the rest to
 * a worker after a smaller share. The softirq may even run on top of a runner, which sends
 * and then enables BHs. A doorbell that it rings for that same engine only leaves a note, as
 * any doorbell of a running engine does.
 *
 * A missing page must not hold up the retransmission of packets that were sent before it. So
 * an urgent doorbell makes the engine run although it waits for a page. The fault goes on
 * meanwhile. A runner that misses a page before that fault ends waits for its end, too, and
 * then looks for its own page again.
 */
#include <linux/sched/signal.h>
#include <linux/wait_bit.h>

#include "mem/mr.h"
#include "qp/carrier.h"
#include "qp/engine.h"
#include "qp/qp.h"

/*
 * A system call runs this many rounds before a worker takes over, so that another
 * thread's posts can not keep it for ever.
 */
#define ENGINE_ROUNDS	256

/* The same for a softirq: its CPU has other packets to look at. */
#define ENGINE_ROUNDS_ATOMIC	16

static struct mirage_engine *engine_of_park(struct mirage_park *park)
{
	return container_of(park, struct mirage_engine, park);
}

static void engine_begin_run(struct mirage_engine *e)
	__must_hold(&e->lock)
{
	lockdep_assert_held(&e->lock);
	e->state = ENGINE_RUNNING;
	mirage_park_overtake(&e->park);
}

/* Makes the caller the runner, or leaves a note for the present runner. */
static bool engine_claim(struct mirage_engine *e, enum mirage_engine_note note)
{
	bool claimed = false;

	spin_lock_bh(&e->lock);
	if (e->state == ENGINE_RUNNING)
		e->note = max(e->note, note);
	else
		claimed = e->state == ENGINE_READY ||
			  (e->state == ENGINE_AWAITS_FAULT && note == ENGINE_NOTE_URGENT);
	if (claimed)
		engine_begin_run(e);
	spin_unlock_bh(&e->lock);
	return claimed;
}

/* The wake() of struct mirage_park: the engine's wait is over. */
static bool engine_wake(struct mirage_park *park, int err)
	__must_hold(&e->lock)
{
	struct mirage_engine *e = engine_of_park(park);

	lockdep_assert_held(&e->lock);
	if (e->state == ENGINE_STOPPING || e->state == ENGINE_STOPPED)
		return false;
	if (err)
		e->fault_error = err;
	if (e->state == ENGINE_RUNNING) {
		e->note = ENGINE_NOTE_WOKEN;
		return false;
	}
	engine_begin_run(e);
	return true;
}

/*
 * Tells whether the note keeps the engine from going to state @to. A doorbell does not end a
 * wait for a fault or a delay, unless it is urgent; the end of the wait always does.
 */
static bool engine_note_counts(const struct mirage_engine *e, enum mirage_engine_state to)
	__must_hold(&e->lock)
{
	lockdep_assert_held(&e->lock);
	switch (to) {
	case ENGINE_READY:
		return e->note >= ENGINE_NOTE_DOORBELL;
	case ENGINE_AWAITS_FAULT:
		return e->note >= ENGINE_NOTE_URGENT;
	default:
		return e->note >= ENGINE_NOTE_WOKEN;
	}
}

/* Gives the engine back. Returns false if a note says that the runner has to go on instead. */
static bool engine_release_locked(struct mirage_engine *e, enum mirage_engine_state to)
	__must_hold(&e->lock)
{
	bool go_on = engine_note_counts(e, to);

	e->note = ENGINE_NOTE_NONE;
	if (e->state == ENGINE_STOPPING) {
		e->state = ENGINE_STOPPED;
		wake_up_var(&e->state);
		return true;
	}
	if (go_on)
		mirage_park_overtake(&e->park);
	else
		e->state = to;
	return !go_on;
}

static bool engine_release(struct mirage_engine *e, enum mirage_engine_state to)
{
	bool released;

	spin_lock_bh(&e->lock);
	released = engine_release_locked(e, to);
	spin_unlock_bh(&e->lock);
	return released;
}

/*
 * Gives the engine to a worker, after @delay jiffies. The lock is kept from queueing the worker
 * to the change of state. Otherwise the worker might find the engine still running: it would
 * leave a note, and the runner that has used up its share would have to go on.
 */
static bool engine_hand_over(struct mirage_engine *e, unsigned long delay)
{
	bool released;

	spin_lock_bh(&e->lock);
	mirage_park_for(&e->park, delay);
	released = engine_release_locked(e, ENGINE_AWAITS_DELAY);
	spin_unlock_bh(&e->lock);
	return released;
}

/* Raises a fault for the missing bytes, and parks. Returns as engine_release(). */
static bool engine_park(struct mirage_engine *e)
{
	bool released = false;
	int err;

	spin_lock_bh(&e->lock);
	err = mirage_park_on_fault(&e->park, &e->miss);
	if (err)
		e->fault_error = err;
	else
		released = engine_release_locked(e, ENGINE_AWAITS_FAULT);
	spin_unlock_bh(&e->lock);
	return released;
}

/* Brings the missing bytes in, or parks. Returns as engine_release(). */
static bool engine_fault(struct mirage_engine *e)
{
	struct mirage_miss *miss = &e->miss;
	/* Once the engine is given back, @miss belongs to the next runner. */
	struct mirage_mr *mr = miss->mr;
	bool released = false;
	int err = -EAGAIN;

	if (!e->atomic)
		err = mr->backend->fault_now(mr, miss->iova, miss->len, miss->write);
	if (err == -EAGAIN || err == -ENOMEM)
		released = engine_park(e);
	else
		e->fault_error = err;
	mirage_mr_put(mr);
	return released;
}

/* Runs the carrier once. Returns true if the engine was given back. */
static bool engine_round(struct mirage_engine *e, struct mirage_qp *qp)
{
	switch (READ_ONCE(qp->carrier)->run(qp)) {
	case ENGINE_IDLE:
		return engine_release(e, ENGINE_READY);
	case ENGINE_FAULT:
		return engine_fault(e);
	case ENGINE_DELAY:
		return engine_hand_over(e, e->delay);
	case ENGINE_MORE:
		break;
	}
	return false;
}

/* Tells whether the runner has used up its share. */
static bool engine_is_tired(const struct mirage_engine *e, unsigned int rounds)
{
	if (e->atomic)
		return rounds >= ENGINE_ROUNDS_ATOMIC;
	return rounds >= ENGINE_ROUNDS || fatal_signal_pending(current);
}

static void engine_run(struct mirage_engine *e, bool atomic)
{
	struct mirage_qp *qp = e->park.qp;
	unsigned int rounds = 0;

	e->atomic = atomic;
	while (!engine_round(e, qp)) {
		mirage_engine_breathe(e);
		if (!engine_is_tired(e, ++rounds))
			continue;
		if (engine_hand_over(e, 0))
			break;
	}
}

static void engine_resume(struct mirage_park *park)
{
	engine_run(engine_of_park(park), false);
}

/**
 * mirage_engine_init - initialize an engine; it is ready to run
 * @e: the engine
 * @qp: the QP whose send queue it executes, by the QP's carrier
 */
void mirage_engine_init(struct mirage_engine *e, struct mirage_qp *qp)
{
	spin_lock_init(&e->lock);
	mirage_park_init(&e->park, qp, &e->lock, engine_wake, engine_resume);
}

/**
 * mirage_engine_doorbell - execute what may have been posted, in the caller's context
 * @e: the engine
 *
 * Task context, no locks held. Moves data until the queue is empty, the engine parks, or the
 * share of one system call is used up.
 */
void mirage_engine_doorbell(struct mirage_engine *e)
{
	if (engine_claim(e, ENGINE_NOTE_DOORBELL))
		engine_run(e, false);
}

/**
 * mirage_engine_doorbell_atomic - mirage_engine_doorbell() for callers that may not sleep
 * @e: the engine
 *
 * Any context but hardirq. The caller has none of the locks that the carrier takes, such as
 * mirage_wire_req.lock.
 */
void mirage_engine_doorbell_atomic(struct mirage_engine *e)
{
	if (engine_claim(e, ENGINE_NOTE_DOORBELL))
		engine_run(e, true);
}

/**
 * mirage_engine_doorbell_urgent - mirage_engine_doorbell_atomic(), even while the engine waits
 *	for a page
 * @e: the engine
 *
 * Context and locks as mirage_engine_doorbell_atomic().
 */
void mirage_engine_doorbell_urgent(struct mirage_engine *e)
{
	if (engine_claim(e, ENGINE_NOTE_URGENT))
		engine_run(e, true);
}

/**
 * mirage_engine_doorbell_worker - have a worker execute what may have been posted
 * @e: the engine
 *
 * Any context but hardirq, locks may be held. Ends a delay that the engine waits for.
 */
void mirage_engine_doorbell_worker(struct mirage_engine *e)
{
	mirage_park_resume_now(&e->park);
}

/**
 * mirage_engine_end_delay - end a delay early, since its reason may be gone
 * @e: the engine
 *
 * Task context, no locks held. Does nothing unless the engine waits for a delay.
 */
void mirage_engine_end_delay(struct mirage_engine *e)
{
	mirage_park_end_delay(&e->park);
}

/**
 * mirage_engine_stop - stop an engine; nobody runs it until mirage_engine_start()
 * @e: the engine
 *
 * Task context. Waits until the present runner has finished its round, which never waits for
 * a page.
 */
void mirage_engine_stop(struct mirage_engine *e)
{
	spin_lock_bh(&e->lock);
	e->state = e->state == ENGINE_RUNNING || e->state == ENGINE_STOPPING ?
		   ENGINE_STOPPING : ENGINE_STOPPED;
	spin_unlock_bh(&e->lock);

	wait_var_event(&e->state, READ_ONCE(e->state) == ENGINE_STOPPED);
	mirage_park_cancel(&e->park);
}

/**
 * mirage_engine_start - let a stopped engine run again
 * @e: the engine, stopped; its requester was reset, or has nothing under way
 */
void mirage_engine_start(struct mirage_engine *e)
{
	spin_lock_bh(&e->lock);
	e->state = ENGINE_READY;
	e->note = ENGINE_NOTE_NONE;
	e->fault_error = 0;
	spin_unlock_bh(&e->lock);
}

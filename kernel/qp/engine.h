/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Run, park, resume: who executes a send queue, and when
 */
#ifndef MIRAGE_ENGINE_H
#define MIRAGE_ENGINE_H

#include <linux/sched.h>
#include <linux/spinlock.h>

#include "mem/cursor.h"
#include "qp/park.h"

/* What a run of a carrier's requester ended with. */
enum mirage_engine_verdict {
	ENGINE_IDLE,		/* nothing to do until the next doorbell */
	ENGINE_MORE,		/* more to do, but the caller's share is used up */
	ENGINE_FAULT,		/* engine.miss has to be brought in first */
	ENGINE_DELAY,		/* engine.delay has to pass first */
};

/*
 * What may follow what:
 *
 *	READY		-> RUNNING	a doorbell
 *	RUNNING		-> READY	nothing to do, and no doorbell meanwhile
 *			-> AWAITS_*	parked, and not woken meanwhile
 *			-> STOPPING	mirage_engine_stop()
 *	AWAITS_FAULT	-> RUNNING	the fault is over, or an urgent doorbell
 *	AWAITS_DELAY	-> RUNNING	the delay is over
 *	STOPPING	-> STOPPED	the runner's round is over
 *	all but RUNNING	-> STOPPED	mirage_engine_stop()
 *	STOPPED		-> READY	mirage_engine_start()
 */
enum mirage_engine_state {
	ENGINE_READY,
	ENGINE_RUNNING,
	ENGINE_AWAITS_FAULT,
	ENGINE_AWAITS_DELAY,
	ENGINE_STOPPING,
	ENGINE_STOPPED,
};

/* What came to a runner meanwhile; each counts for more than those before it. */
enum mirage_engine_note {
	ENGINE_NOTE_NONE,
	ENGINE_NOTE_DOORBELL,	/* look at the queue again */
	ENGINE_NOTE_URGENT,	/* even if the runner is about to wait for a page */
	ENGINE_NOTE_WOKEN,	/* what the runner is about to wait for is over */
};

/**
 * struct mirage_engine - the executor of one send queue
 * @lock: protects @state, @note and @park; taken with BHs off, outside of the locks that
 *	raising a fault takes
 * @state: see above; who made it RUNNING is the runner, and owns the requester
 * @note: for the runner
 * @park: where the engine waits
 * @atomic: the runner may not sleep; of the runner
 * @fault_error: the permanent answer of the fault that was waited for, or 0; of the runner
 * @miss: what to bring in; of the runner
 * @delay: in jiffies; of the runner
 */
struct mirage_engine {
	spinlock_t lock;		/* state, note and park */
	enum mirage_engine_state state;
	enum mirage_engine_note note;
	struct mirage_park park;
	bool atomic;
	int fault_error;
	struct mirage_miss miss;
	unsigned long delay;
};

/** mirage_engine_breathe - between two steps of a runner: let others run, if it may */
static inline void mirage_engine_breathe(const struct mirage_engine *e)
{
	if (!e->atomic)
		cond_resched();
}

void mirage_engine_init(struct mirage_engine *e, struct mirage_qp *qp);
void mirage_engine_doorbell(struct mirage_engine *e);
void mirage_engine_doorbell_atomic(struct mirage_engine *e);
void mirage_engine_doorbell_urgent(struct mirage_engine *e);
void mirage_engine_doorbell_worker(struct mirage_engine *e);
void mirage_engine_end_delay(struct mirage_engine *e);
void mirage_engine_stop(struct mirage_engine *e);
void mirage_engine_start(struct mirage_engine *e);

#endif

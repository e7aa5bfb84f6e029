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

/* Why a carrier's run() returned. */
enum mirage_engine_verdict {
	ENGINE_IDLE,		/* nothing to do until the next doorbell */
	ENGINE_MORE,		/* there may be more to do: call run() again */
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

/* What happened while the engine was running; a later value overrides those before it. */
enum mirage_engine_note {
	ENGINE_NOTE_NONE,
	ENGINE_NOTE_DOORBELL,	/* look at the queue again */
	ENGINE_NOTE_URGENT,	/* the same, even if the runner is about to wait for a page */
	ENGINE_NOTE_WOKEN,	/* the wait that the runner is about to begin is over already */
};

/**
 * struct mirage_engine - the executor of one send queue
 * @lock: protects @state, @note and @park; taken with BHs off, outside of the locks that
 *	raising a fault takes
 * @state: see above; whoever made it RUNNING is the runner, and owns the requester
 * @note: what the runner has to know before it gives the engine back
 * @park: where the engine waits
 * @atomic: the runner may not sleep; owned by the runner
 * @fault_error: the error that the awaited fault ended with, or 0; owned by the runner
 * @miss: the missing bytes, for ENGINE_FAULT; owned by the runner
 * @delay: jiffies, for ENGINE_DELAY; owned by the runner
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

/** mirage_engine_breathe - let other tasks run between two steps, unless the runner is atomic */
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

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Run, park, resume: who executes a send queue, and when
 */
#ifndef MIRAGE_ENGINE_H
#define MIRAGE_ENGINE_H

#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "mem/cursor.h"
#include "mem/odp.h"

struct mirage_qp;

/* What a run of the requester ended with. */
enum mirage_engine_verdict {
	ENGINE_IDLE,		/* nothing to do until the next kick */
	ENGINE_MORE,		/* more to do, but the caller's share is used up */
	ENGINE_FAULT,		/* engine.miss has to be brought in first */
	ENGINE_DELAY,		/* engine.delay has to pass first */
};

/**
 * struct mirage_engine - the executor of one send queue
 * @lock: protects the flags up to @parked; innermost, BHs off
 * @running: somebody executes; everything of the requester is theirs
 * @again: there was a kick meanwhile
 * @urgent: one that counts even for who waits for a page
 * @woken: what it is about to park for is already over
 * @raised: @waiter is with a fault; a reference on the QP is held
 * @stale: the wait for it was cut short: its error says nothing of the present miss
 * @stopped: nobody may start
 * @parked: it waits for a fault or a delay
 * @idle: woken when @running or @raised turns false after @stopped turned true
 * @waiter: for a fault
 * @atomic: the runner may not sleep; owned by who runs
 * @fault_error: the fault's permanent answer, or 0; owned by who runs
 * @miss: what to bring in; owned by who runs
 * @delay: in jiffies; owned by who runs
 * @work: goes on after a delay, or with a share too large for a system call; holds
 *	a reference on the QP while queued
 */
struct mirage_engine {
	spinlock_t lock;		/* the flags up to parked */
	bool running;
	bool again;
	bool urgent;
	bool woken;
	bool raised;
	bool stale;
	bool stopped;
	enum { PARKED_NOT, PARKED_FAULT, PARKED_DELAY } parked;
	wait_queue_head_t idle;
	struct mirage_odp_waiter waiter;
	bool atomic;
	int fault_error;
	struct mirage_miss miss;
	unsigned long delay;
	struct delayed_work work;
};

/** mirage_engine_breathe - between two steps of a runner: let others run, if it may */
static inline void mirage_engine_breathe(const struct mirage_engine *e)
{
	if (!e->atomic)
		cond_resched();
}

void mirage_engine_init(struct mirage_engine *e);
void mirage_engine_doorbell(struct mirage_engine *e);
void mirage_engine_doorbell_atomic(struct mirage_engine *e);
void mirage_engine_doorbell_urgent(struct mirage_engine *e);
void mirage_engine_doorbell_worker(struct mirage_engine *e);
void mirage_engine_end_delay(struct mirage_engine *e);
void mirage_engine_stop(struct mirage_engine *e);
void mirage_engine_start(struct mirage_engine *e);

#endif

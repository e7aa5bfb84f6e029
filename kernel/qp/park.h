/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Waiting for a page, or for a delay
 */
#ifndef MIRAGE_PARK_H
#define MIRAGE_PARK_H

#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "mem/cursor.h"
#include "mem/odp.h"

struct mirage_qp;

/*
 * The states of the fault that the owner of a park waits for:
 *
 *	        mirage_park_on_fault()
 *	FREE ----------------------------> RAISED
 *	  ^                                  |  | mirage_park_overtake()
 *	  |  the fault ends, or is cancelled |  v
 *	  +------------------------------ OVERTAKEN
 *
 * The delay of mirage_park_for() has no state here: it may be under way in each of them.
 */
enum mirage_park_state {
	MIRAGE_PARK_FREE,	/* no fault will wake the owner */
	MIRAGE_PARK_RAISED,	/* the owner waits for a fault */
	MIRAGE_PARK_OVERTAKEN,	/* the owner went on before the fault was over */
};

/**
 * struct mirage_park - where an engine, a direction of a wire, or a queue of datagrams waits
 * @qp: the QP; a raised fault has a reference on it, and so has a queued @work
 * @lock: the owner's lock; it protects @state and what @wake looks at
 * @state: see enum mirage_park_state
 * @wake: called when a wait is over, with @lock held and BHs off. @err is the error that the
 *	awaited fault ended with, or 0. Returns whether @resume is to be called.
 * @resume: goes on where the owner stopped; process context, no locks held
 * @waiter: waits for the fault
 * @work: ends the delay
 */
struct mirage_park {
	struct mirage_qp *qp;
	spinlock_t *lock;		/* the owner's */
	enum mirage_park_state state;
	bool (*wake)(struct mirage_park *park, int err);
	void (*resume)(struct mirage_park *park);
	struct mirage_odp_waiter waiter;
	struct delayed_work work;
};

void mirage_park_init(struct mirage_park *park, struct mirage_qp *qp, spinlock_t *lock,
		      bool (*wake)(struct mirage_park *park, int err),
		      void (*resume)(struct mirage_park *park));
int mirage_park_on_fault(struct mirage_park *park, const struct mirage_miss *miss);
void mirage_park_for(struct mirage_park *park, unsigned long delay);
void mirage_park_end_delay(struct mirage_park *park);
void mirage_park_resume_now(struct mirage_park *park);
void mirage_park_cancel(struct mirage_park *park);

/**
 * mirage_park_overtake - the owner goes on although its fault may not be over
 * @park: the park; its lock is held
 *
 * The fault still wakes the owner when it ends. Its error is ignored then: it does not concern
 * what the owner is doing by that time.
 */
static inline void mirage_park_overtake(struct mirage_park *park)
{
	lockdep_assert_held(park->lock);
	if (unlikely(park->state == MIRAGE_PARK_RAISED))
		park->state = MIRAGE_PARK_OVERTAKEN;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Waiting for a page, or for a time
 */
#ifndef MIRAGE_PARK_H
#define MIRAGE_PARK_H

#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "mem/cursor.h"
#include "mem/odp.h"

struct mirage_qp;

/*
 * What is known of a fault that somebody waits for:
 *
 *	        mirage_park_on_fault()
 *	FREE ----------------------------> RAISED
 *	  ^                                  |  | mirage_park_overtake()
 *	  |  the fault ends, or is cancelled |  v
 *	  +------------------------------ OVERTAKEN
 *
 * The delay of mirage_park_for() is none of these: it may run beside them.
 */
enum mirage_park_state {
	MIRAGE_PARK_FREE,	/* no fault will wake the owner */
	MIRAGE_PARK_RAISED,	/* the owner waits for a fault */
	MIRAGE_PARK_OVERTAKEN,	/* the owner went on before the fault was over */
};

/**
 * struct mirage_park - where one direction of a QP waits
 * @qp: the QP; a reference is held for a raised fault, and one for a queued @work
 * @lock: the owner's; it protects @state and what @wake looks at
 * @state: see enum mirage_park_state
 * @wake: a wait is over; called with @lock held and BHs off. @err is the permanent
 *	answer of the fault that was waited for, or 0. Returns whether @resume is to run.
 * @resume: goes on where the owner stopped; process context, no locks
 * @waiter: for the fault
 * @work: for the delay
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
 * mirage_park_overtake - the owner goes on although a fault may not be over
 * @park: the park; its lock is held
 *
 * The fault still wakes the owner, but its answer is not for what the owner does by then.
 */
static inline void mirage_park_overtake(struct mirage_park *park)
{
	lockdep_assert_held(park->lock);
	if (unlikely(park->state == MIRAGE_PARK_RAISED))
		park->state = MIRAGE_PARK_OVERTAKEN;
}

#endif

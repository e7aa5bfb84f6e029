// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The timer of a requester on the wire (IBA volume 1, 9.7.5 and 9.7.6)
 *
 * A QP has one timer. An answer does not move it: when the timer expires it checks when the last
 * answer came, and waits for the rest of the time. When nothing is outstanding it stays off
 * until something is sent again.
 */
#include <linux/jiffies.h>

#include "base/device.h"
#include "qp/qp.h"
#include "qp/timer.h"
#include "wire/wire.h"

/**
 * mirage_wire_timer_arm - start a requester's timer
 * @req: the requester; its lock is held
 * @wait: jiffies until it expires
 */
void mirage_wire_timer_arm(struct mirage_wire_req *req, unsigned long wait)
{
	lockdep_assert_held(&req->lock);
	mod_timer(&req->timer, jiffies + wait);
}

/* Does what is due. Returns the jiffies until the timer has to expire again, or 0 for never. */
static unsigned long wire_timer_due(struct mirage_wire *wire)
{
	struct mirage_wire_req *req = &wire->req;
	unsigned long wait = mirage_timer_ack(wire->qp->attr.timeout), now = jiffies;

	if (req->state == WIRE_FAILED)
		return 0;
	if (req->state == WIRE_RNR) {
		if (time_before(now, req->rnr_end))
			return req->rnr_end - now;
		req->state = WIRE_SENDING;
		req->progress = now;
		mirage_wire_rewind(req);
	} else if (req->una == READ_ONCE(req->next)) {
		return 0;
	} else if (mirage_wire_hold_waits(&wire->responses)) {
		/* The peer has answered, but its answers wait here for a page. */
		req->progress = now;
	} else if (time_after_eq(now, req->progress + wait)) {
		mirage_stat_inc(wire->qp->dev, MIRAGE_STAT_ACK_TIMEOUT);
		req->progress = now;
		req->timeouts++;
		/* The peer may only be slow: begin with the smallest window. */
		mirage_wire_again(wire->qp, WIRE_WINDOW_MIN);
	}
	if (!wire->qp->attr.timeout || req->state == WIRE_FAILED)
		return 0;
	return req->progress + wait - now;
}

/**
 * mirage_wire_timer_expired - the callback of a requester's timer
 * @timer: wire_req.timer
 */
void mirage_wire_timer_expired(struct timer_list *timer)
{
	struct mirage_wire_req *req = timer_container_of(req, timer, timer);
	struct mirage_wire *wire = container_of(req, struct mirage_wire, req);
	unsigned long wait;

	spin_lock(&req->lock);
	wait = wire_timer_due(wire);
	if (wait)
		mirage_wire_timer_arm(req, wait);
	spin_unlock(&req->lock);
	mirage_wire_response_end(wire->qp);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How long a requester waits, and what it does then (IBA volume 1, 9.7.5 and 9.7.6)
 *
 * On the wire a QP has one timer. It is not moved with every answer: when it is due it
 * looks at when the last one came and waits for the rest, and when nothing is
 * outstanding it stays off until something is sent again.
 */
#include <linux/jiffies.h>

#include "base/device.h"
#include "qp/qp.h"
#include "qp/timer.h"
#include "wire/wire.h"

/* In units of 10 us: IBA table 45, RNR NAK timer field. */
static const u16 rnr_delay[32] = {
	65535, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384,
	512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576,
	32768, 49152,
};

/**
 * mirage_timer_rnr - the wait after an RNR NAK, in jiffies
 * @timer: as in the NAK's syndrome; the lower five bits count
 */
unsigned long mirage_timer_rnr(u8 timer)
{
	return max(usecs_to_jiffies(rnr_delay[timer & 31] * 10), 1UL);
}

/**
 * mirage_timer_ack - the local ACK timeout, in jiffies
 * @timeout: 4.096 us * 2^timeout; 0 is "never", which is looked after once a second
 */
unsigned long mirage_timer_ack(u8 timeout)
{
	if (!timeout)
		return HZ;
	return max(nsecs_to_jiffies(4096ULL << timeout), 1UL);
}

/**
 * mirage_timer_arm - have a requester's timer run out
 * @req: the requester; its lock is held
 * @wait: after so many jiffies
 */
void mirage_timer_arm(struct mirage_wire_req *req, unsigned long wait)
{
	lockdep_assert_held(&req->lock);
	req->armed = true;
	mod_timer(&req->timer, jiffies + wait);
}

/* Is it a page of ours that the peer's answers wait for? */
static bool timer_waits_here(const struct mirage_wire *wire)
{
	return wire->responses.parked || wire->responses.draining;
}

/* What is to be done now; the time to the next look, or 0. */
static unsigned long timer_due(struct mirage_wire *wire)
{
	struct mirage_wire_req *req = &wire->req;
	unsigned long wait = mirage_timer_ack(wire->qp->attr.timeout), now = jiffies;

	if (req->failed)
		return 0;
	if (req->rnr) {
		if (time_before(now, req->rnr_end))
			return req->rnr_end - now;
		req->rnr = false;
		req->progress = now;
		mirage_wire_rewind(req);
	} else if (req->una == READ_ONCE(req->next)) {
		return 0;
	} else if (timer_waits_here(wire)) {
		req->progress = now;
	} else if (time_after_eq(now, req->progress + wait)) {
		mirage_stat_inc(wire->qp->dev, MIRAGE_STAT_ACK_TIMEOUT);
		req->progress = now;
		req->timeouts++;
		/* The peer may be slow, not deaf: little at first. */
		mirage_wire_again(wire->qp, WIRE_WINDOW_MIN);
	}
	if (!wire->qp->attr.timeout || req->failed)
		return 0;
	return req->progress + wait - now;
}

/**
 * mirage_timer_expired - the callback of a requester's timer
 * @timer: wire_req.timer
 */
void mirage_timer_expired(struct timer_list *timer)
{
	struct mirage_wire_req *req = timer_container_of(req, timer, timer);
	struct mirage_wire *wire = container_of(req, struct mirage_wire, req);
	unsigned long wait;

	spin_lock(&req->lock);
	req->armed = false;
	wait = timer_due(wire);
	if (wait)
		mirage_timer_arm(req, wait);
	spin_unlock(&req->lock);
	mirage_wire_response_end(wire->qp);
}

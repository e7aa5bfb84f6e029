// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets of a connection: worked off as they come, or held while a page is missing
 *
 * A received skb is a super-packet as a rule: many packets of one QP. It is worked off
 * in rounds: consecutive packets of one direction of one QP, with one look-up, one
 * hold of that direction's lock and one answer.
 *
 * A round that meets a missing page raises a fault and ends. What is left of the skb,
 * and what comes after it for that direction, is queued as clones: an skb may have
 * packets of others, and its original counts against the socket's buffer. The fault's
 * end works the queue off in process context, where further pages can be brought in on
 * the spot, while softirqs add to its end; the one who finds it empty under the lock
 * gives the direction back. A READ that is too long for one turn waits in the same way,
 * for a work item. The states are those of enum mirage_hold_state.
 *
 * So a cold page costs nobody a retransmission, neither the packet that missed it nor
 * those behind it; a peer that sends more than WIRE_HOLD_MAX meanwhile is told what was
 * dropped as soon as the queue is empty.
 */
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/wait_bit.h>

#include "base/device.h"
#include "mem/mr.h"
#include "qp/qp.h"
#include "wire/wire.h"

static bool hold_is_request(const struct mirage_wire_hold *h)
{
	return h == &h->wire->requests;
}

static spinlock_t *hold_lock_of(struct mirage_wire_hold *h)
{
	return hold_is_request(h) ? &h->wire->qp->lock : &h->wire->req.lock;
}

/* To the peer; its addresses are good under the lock. */
static const struct mirage_net_path *hold_path_of(const struct mirage_wire_hold *h)
{
	return hold_is_request(h) ? &h->wire->resp.path : &h->wire->req.path;
}

/* Is the packet for this direction, by what it says before it was checked? */
static bool hold_is_ours(const struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	u32 qpn;
	u8 opcode;

	return mirage_net_peek_bth(skb, off, &opcode, &qpn) && qpn == h->wire->qp->qpn &&
	       mirage_pkt_ops[opcode].response != hold_is_request(h);
}

/* The first packet after that at @off that is not for this direction, or 0. */
static u32 hold_skip_ours(const struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	return mirage_net_skip(skb, off, h->wire->qp->qpn, !hold_is_request(h));
}

static bool hold_takes_packet(const struct mirage_wire_hold *h, const struct mirage_pkt *pkt)
{
	return pkt->qpn == h->wire->qp->qpn && pkt->op->response != hold_is_request(h) &&
	       mirage_wire_right_pkey(pkt->pkey);
}

static enum mirage_wire_verdict hold_feed_one(struct mirage_wire_hold *h,
					      const struct mirage_net_seg *seg,
					      struct mirage_miss *miss)
{
	struct mirage_qp *qp = h->wire->qp;

	return hold_is_request(h) ? mirage_wire_request(qp, seg, miss) :
				    mirage_wire_response(qp, seg, miss);
}

/* As many packets from within a message as go at once. The next one, or 0. */
static u32 hold_feed_middle(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	struct mirage_qp *qp = h->wire->qp;
	struct mirage_net_batch batch;
	u32 n;

	do {
		if (!mirage_net_batch_find(skb, off, &batch) || !hold_takes_packet(h, &batch.pkt))
			return off;
		n = hold_is_request(h) ? mirage_wire_request_batch(qp, skb, off, &batch) :
					 mirage_wire_response_batch(qp, skb, off, &batch);
		off += n * batch.len;
		if (off >= skb->len)
			return 0;
	} while (n == batch.num);
	return off;
}

/*
 * Feeds packets that are for this direction, @seg at *@off first, up to @end. *@off is
 * then the first one that was not consumed, or 0.
 */
static enum mirage_wire_verdict hold_feed_series(struct mirage_wire_hold *h, struct sk_buff *skb,
						 u32 *off,
						 u32 end, struct mirage_net_seg *seg,
						 struct mirage_miss *miss)
{
	do {
		enum mirage_wire_verdict v = hold_feed_one(h, seg, miss);

		if (v == WIRE_HELD)
			return v;
		do {
			*off = seg->next;
			if (v != WIRE_DONE || *off == end)
				return v;
			if (!seg->pkt.op->last)
				*off = hold_feed_middle(h, skb, *off);
			if (*off == end)
				return v;
		} while (mirage_net_segment(skb, *off, seg));
	} while (hold_takes_packet(h, &seg->pkt));
	return WIRE_DONE;
}

/* The same for a held skb. */
static enum mirage_wire_verdict hold_feed_held(struct mirage_wire_hold *h, struct sk_buff *skb,
					       struct mirage_miss *miss)
{
	struct mirage_net_cb *cb = mirage_net_cb(skb);

	do {
		enum mirage_wire_verdict v;
		struct mirage_net_seg seg;

		if (mirage_net_segment(skb, cb->off, &seg) || !hold_takes_packet(h, &seg.pkt)) {
			cb->off = seg.next;
			continue;
		}
		v = hold_feed_series(h, skb, &cb->off, cb->end, &seg, miss);
		if (v != WIRE_DONE)
			return v;
	} while (cb->off != cb->end);
	return WIRE_DONE;
}

/* Truesize of all that is held: it counts for no socket and no process. */
static atomic_long_t held_bytes;

static bool hold_has_room(const struct mirage_wire_hold *h, const struct sk_buff *skb)
{
	return h->bytes + skb->truesize <= WIRE_HOLD_MAX &&
	       atomic_long_read(&held_bytes) + skb->truesize <= WIRE_HOLD_ALL;
}

static void hold_add(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off, u32 end)
{
	struct mirage_dev *dev = h->wire->qp->dev;
	struct sk_buff *clone = NULL;

	lockdep_assert_held(hold_lock_of(h));
	/* What comes after one that was dropped is of no use. */
	if (!h->dropped && hold_has_room(h, skb))
		clone = skb_clone(skb, GFP_ATOMIC | __GFP_NOWARN);
	if (!clone) {
		h->dropped = true;
		mirage_stat_inc(dev, MIRAGE_STAT_HOLD_OVERFLOW);
		return;
	}
	mirage_stat_inc(dev, MIRAGE_STAT_HELD);
	/* Neither is good for as long as this may take. */
	skb_dst_drop(clone);
	clone->dev = NULL;
	mirage_net_cb(clone)->off = off;
	mirage_net_cb(clone)->end = end;
	h->bytes += clone->truesize;
	atomic_long_add(clone->truesize, &held_bytes);
	__skb_queue_tail(&h->queue, clone);
}

static void hold_remove(struct mirage_wire_hold *h, struct sk_buff *skb)
{
	__skb_unlink(skb, &h->queue);
	h->bytes -= skb->truesize;
	atomic_long_sub(skb->truesize, &held_bytes);
	consume_skb(skb);
}

static void hold_purge(struct mirage_wire_hold *h)
{
	__skb_queue_purge(&h->queue);
	atomic_long_sub(h->bytes, &held_bytes);
	h->bytes = 0;
}

/* From here on the fault, or the work item, has the direction. */
static void hold_park(struct mirage_wire_hold *h, enum mirage_wire_verdict v,
		      const struct mirage_miss *miss)
{
	int err = 0;

	lockdep_assert_held(hold_lock_of(h));
	h->state = HOLD_PARKED;
	if (!miss->mr)
		mirage_park_for(&h->park, v == WIRE_STALLED);
	else
		err = mirage_park_on_fault(&h->park, miss);
	if (!err)
		return;
	h->error = err;
	mirage_park_for(&h->park, 0);
}

/* One piece of what is held: an skb, or a turn of a READ. */
static enum mirage_wire_verdict hold_step(struct mirage_wire_hold *h, struct mirage_miss *miss)
{
	struct mirage_qp *qp = h->wire->qp;
	enum mirage_wire_verdict v = WIRE_DONE;
	int err = h->error;
	struct sk_buff *skb;

	h->error = 0;
	if (hold_is_request(h))
		v = mirage_wire_request_resume(qp, err, miss);
	else if (err)
		mirage_wire_response_failed(qp, err);
	skb = skb_peek(&h->queue);
	if (v != WIRE_DONE || !skb)
		return v;

	v = hold_feed_held(h, skb, miss);
	if (v != WIRE_HELD && mirage_net_cb(skb)->off == mirage_net_cb(skb)->end)
		hold_remove(h, skb);
	return v;
}

/* Nothing is held any more. */
static void hold_end(struct mirage_wire_hold *h)
{
	struct mirage_qp *qp = h->wire->qp;

	if (h->dropped && hold_is_request(h))
		mirage_wire_request_lost(qp);
	else if (h->dropped)
		mirage_wire_response_lost(qp);
	h->dropped = false;
	h->state = HOLD_IDLE;
}

/* True: there is more to do here. False: the direction is somebody else's by now. */
static bool hold_drain_round(struct mirage_wire_hold *h, struct mirage_miss *miss)
{
	enum mirage_wire_verdict v;

	lockdep_assert_held(hold_lock_of(h));
	if (h->state == HOLD_CLOSING) {
		h->state = HOLD_CLOSED;
		wake_up_var(&h->state);
		return false;
	}
	v = hold_step(h, miss);
	if (v == WIRE_STALLED)
		hold_park(h, v, miss);
	else if (v == WIRE_DONE && skb_queue_empty(&h->queue))
		hold_end(h);
	if (hold_is_request(h))
		mirage_wire_request_end(h->wire->qp);
	return h->state == HOLD_DRAINING;
}

/* Brings a page in here, if that takes no waiting; parks if it does. */
static bool hold_drain_fault(struct mirage_wire_hold *h, struct mirage_miss *miss)
{
	struct mirage_mr *mr = miss->mr;
	bool here = true;
	int err;

	err = mr->backend->fault_now(mr, miss->iova, miss->len, miss->write);
	if (err != -EAGAIN) {
		h->error = err;
	} else {
		spin_lock_bh(hold_lock_of(h));
		here = h->state == HOLD_CLOSING;
		if (!here)
			hold_park(h, WIRE_HELD, miss);
		spin_unlock_bh(hold_lock_of(h));
	}
	mirage_mr_put(mr);
	return here;
}

/* Works off what is held, up to its end or the next wait. */
static void hold_drain(struct mirage_park *park)
{
	struct mirage_wire_hold *h = container_of(park, struct mirage_wire_hold, park);
	bool requests = hold_is_request(h), more;
	struct mirage_qp *qp = park->qp;

	do {
		struct mirage_miss miss = {};

		rcu_read_lock();
		spin_lock_bh(hold_lock_of(h));
		more = hold_drain_round(h, &miss);
		spin_unlock_bh(hold_lock_of(h));
		if (!requests)
			mirage_wire_response_end(qp);
		rcu_read_unlock();
		if (more && miss.mr)
			more = hold_drain_fault(h, &miss);
		cond_resched();
	} while (more);
}

/* A wait is over: struct mirage_park. */
static bool hold_wake(struct mirage_park *park, int err)
{
	struct mirage_wire_hold *h = container_of(park, struct mirage_wire_hold, park);

	lockdep_assert_held(hold_lock_of(h));
	if (h->state != HOLD_PARKED)
		return false;
	h->state = HOLD_DRAINING;
	if (err)
		h->error = err;
	return true;
}

/**
 * mirage_wire_hold_init - a direction that is closed
 * @h: the direction, of a zeroed @wire
 * @wire: whose; its QP and its requester's lock are there
 */
void mirage_wire_hold_init(struct mirage_wire_hold *h, struct mirage_wire *wire)
{
	h->wire = wire;
	skb_queue_head_init(&h->queue);
	mirage_park_init(&h->park, wire->qp, hold_lock_of(h), hold_wake, hold_drain);
}

/** mirage_wire_hold_open - packets of the direction @h may come from now on */
void mirage_wire_hold_open(struct mirage_wire_hold *h)
{
	spin_lock_bh(hold_lock_of(h));
	h->state = HOLD_IDLE;
	spin_unlock_bh(hold_lock_of(h));
}

/**
 * mirage_wire_hold_close - nothing is taken in any more
 * @h: the direction
 *
 * May sleep, never for a page. When this returns nobody works for the direction.
 */
void mirage_wire_hold_close(struct mirage_wire_hold *h)
{
	spin_lock_bh(hold_lock_of(h));
	h->state = h->state == HOLD_DRAINING ? HOLD_CLOSING : HOLD_CLOSED;
	hold_purge(h);
	spin_unlock_bh(hold_lock_of(h));

	mirage_park_cancel(&h->park);
	wait_var_event(&h->state, READ_ONCE(h->state) == HOLD_CLOSED);
}

/* Holds the packets from @off on that are for this direction. Return: the next, or 0. */
static u32 hold_rest(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	u32 end = hold_skip_ours(h, skb, off);

	hold_add(h, skb, off, end);
	return end;
}

/**
 * mirage_wire_hold_input - packets of one direction of one QP have come
 * @h: the direction
 * @skb: where they are in
 * @off: of the first one
 * @seg: the first one, checked; what is in there afterwards means nothing
 *
 * BHs off, under rcu_read_lock().
 *
 * Return: the first packet that is not the direction's, or 0.
 */
u32 mirage_wire_hold_input(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off,
			   struct mirage_net_seg *seg)
{
	struct mirage_qp *qp = h->wire->qp;
	bool requests = hold_is_request(h);
	enum mirage_wire_verdict v = WIRE_DONE;
	struct mirage_miss miss = {};

	spin_lock(hold_lock_of(h));
	if (unlikely(h->state != HOLD_IDLE)) {
		if (mirage_wire_hold_waits(h) && mirage_net_same_peer(skb, hold_path_of(h))) {
			off = hold_rest(h, skb, off);
			goto unlock;
		}
		goto discard;
	}
	if (!mirage_net_same_peer(skb, hold_path_of(h)))
		goto discard;
	v = hold_feed_series(h, skb, &off, 0, seg, &miss);
	if (v != WIRE_DONE)
		hold_park(h, v, &miss);
	/* The first of all is at 0, too. */
	if (v == WIRE_HELD || (v != WIRE_DONE && off && hold_is_ours(h, skb, off)))
		off = hold_rest(h, skb, off);
	if (requests)
		mirage_wire_request_end(qp);
	goto unlock;

discard:
	mirage_stat_inc(qp->dev, MIRAGE_STAT_RX_DISCARDS);
	off = hold_skip_ours(h, skb, off);
unlock:
	spin_unlock(hold_lock_of(h));
	if (!requests)
		mirage_wire_response_end(qp);
	if (miss.mr)
		mirage_mr_put(miss.mr);
	return off;
}

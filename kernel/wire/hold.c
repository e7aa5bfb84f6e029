// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets of a connection: executed as they come, or held while a page is missing
 *
 * A received skb is a super-packet as a rule: many packets of one QP. It is executed in rounds.
 * A round is consecutive packets of one direction of one QP; it takes one look-up, takes the
 * direction's lock once, and sends one answer.
 *
 * A round that meets a missing page raises a fault and ends. The rest of the skb, and later skbs
 * for that direction, are queued as clones: an skb may also have packets of other QPs, and the
 * original counts against the socket's buffer. When the fault ends, the fault worker drains the
 * queue. In process context it can bring in further pages at once. Softirqs add to the end of
 * the queue meanwhile. When the worker finds the queue empty under the lock, the direction is
 * idle again. A READ that is too long for one turn waits in the same way, for a work item. The
 * states are those of enum mirage_hold_state.
 *
 * So a missing page causes no retransmission, neither of the packet that missed it nor of those
 * behind it. If a peer sends more than WIRE_HOLD_MAX meanwhile, packets are dropped; as soon as
 * the queue is empty the peer is asked to send them again.
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

/* The way to the peer; its addresses do not change while the direction's lock is kept. */
static const struct mirage_net_path *hold_path_of(const struct mirage_wire_hold *h)
{
	return hold_is_request(h) ? &h->wire->resp.path : &h->wire->req.path;
}

/* Tells whether the packet at @off is for this direction; the packet is not checked yet. */
static bool hold_is_ours(const struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	u32 qpn;
	u8 opcode;

	return mirage_net_peek_bth(skb, off, &opcode, &qpn) && qpn == h->wire->qp->qpn &&
	       mirage_pkt_ops[opcode].response != hold_is_request(h);
}

/* The offset of the first packet behind @off that is not for this direction, or 0. */
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

/* Executes packets from the middle of a message, by batches. Returns the next offset, or 0. */
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
 * Executes consecutive packets of this direction, up to @end; @seg, at *@off, is the first.
 * Sets *@off to the first packet that was not consumed, or to 0.
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

/* Executes the packets of a held skb that are for this direction. */
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

/* Truesize of all held skbs: no socket and no process is charged for them. */
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
	/* Packets behind one that was dropped are of no use. */
	if (!h->dropped && hold_has_room(h, skb))
		clone = skb_clone(skb, GFP_ATOMIC | __GFP_NOWARN);
	if (!clone) {
		h->dropped = true;
		mirage_stat_inc(dev, MIRAGE_STAT_HOLD_OVERFLOW);
		return;
	}
	mirage_stat_inc(dev, MIRAGE_STAT_HELD);
	/* A held skb may outlive its route and its netdev. */
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

/* Parks the direction. From here on the end of the fault, or the work item, drains it. */
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

/* Makes one step: a turn of a READ, and then the first held skb. */
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

/* Nothing is held any more: packets are executed as they come again. */
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

/* Returns true if the caller has to go on; false if it does not own the direction any more. */
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

/* Brings a page in if that takes no wait, and parks if it does. Returns as hold_drain_round(). */
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

/* The resume() of struct mirage_park: drains the queue until it is empty or parks again. */
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

/* The wake() of struct mirage_park: the direction's wait is over. */
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
 * mirage_wire_hold_init - initialize a direction; it is closed
 * @h: the direction, zeroed
 * @wire: its wire, whose QP and requester's lock are initialized
 */
void mirage_wire_hold_init(struct mirage_wire_hold *h, struct mirage_wire *wire)
{
	h->wire = wire;
	skb_queue_head_init(&h->queue);
	mirage_park_init(&h->park, wire->qp, hold_lock_of(h), hold_wake, hold_drain);
}

/** mirage_wire_hold_open - from now on the direction @h accepts packets */
void mirage_wire_hold_open(struct mirage_wire_hold *h)
{
	spin_lock_bh(hold_lock_of(h));
	h->state = HOLD_IDLE;
	spin_unlock_bh(hold_lock_of(h));
}

/**
 * mirage_wire_hold_close - from now on a direction discards packets
 * @h: the direction
 *
 * Drops what is held. May sleep, never for a page. After it has returned nobody works for the
 * direction any more.
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

/* Holds the packets from @off on that are for this direction. Returns the next offset, or 0. */
static u32 hold_rest(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	u32 end = hold_skip_ours(h, skb, off);

	hold_add(h, skb, off, end);
	return end;
}

/**
 * mirage_wire_hold_input - execute, or hold, received packets of one direction of one QP
 * @h: the direction
 * @skb: has the packets
 * @off: offset of the first one
 * @seg: the first one, checked; overwritten
 *
 * BHs off, under rcu_read_lock().
 *
 * Return: the offset of the first packet that was left, or 0.
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
	/* With WIRE_HELD, 0 is the offset of the first packet; otherwise it means "no more". */
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

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The carrier between devices: connections, and who gets a packet
 *
 * A received skb is a super-packet as a rule: many packets of one QP. It is worked off
 * in rounds: consecutive packets of one direction of one QP, with one look-up, one
 * hold of that direction's lock and one answer.
 *
 * Waiting
 * -------
 *
 * A round that meets a missing page raises a fault and ends. What is left of the skb,
 * and what comes after it for that direction, is queued as clones: an skb may have
 * packets of others, and its original counts against the socket's buffer. The fault's
 * end works the queue off in process context, where further pages can be brought in on
 * the spot, while softirqs add to its end; the one who finds it empty under the lock
 * gives the direction back. A READ that is too long for one turn, and a fault that
 * could not be raised, wait in the same way, for a work item.
 *
 *	idle --------- a page is missing ------> parked: the fault, or the work item
 *	  ^                                         |            ^
 *	  |                                         v            |
 *	  +------- the queue is empty ---------- draining -------+ missing again
 *
 * So a cold page costs nobody a retransmission, neither the packet that missed it nor
 * those behind it; a peer that sends more than WIRE_HOLD_MAX meanwhile is told what was
 * dropped as soon as the queue is empty.
 *
 * Life
 * ----
 *
 * qp->wire is set and cleared under qp->mutex. A softirq that found it just before may
 * hold it for its RCU read side, but takes nothing in once @closed is set. A fault or
 * a work item has a reference on the QP and is waited for.
 */
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <rdma/ib_mad.h>

#include "base/device.h"
#include "net/address.h"
#include "qp/qp.h"
#include "wire/wire.h"

static bool wire_is_request(const struct mirage_wire_hold *h)
{
	return h == &h->wire->requests;
}

static spinlock_t *wire_lock_of(struct mirage_wire_hold *h)
{
	return wire_is_request(h) ? &h->wire->qp->lock : &h->wire->req.lock;
}

/* To the peer; its addresses are good under the lock. */
static const struct mirage_net_path *wire_path_of(const struct mirage_wire_hold *h)
{
	return wire_is_request(h) ? &h->wire->resp.path : &h->wire->req.path;
}

/* Is the packet for this direction, by what it says before it was checked? */
static bool wire_is_ours(const struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	u32 qpn;
	u8 opcode;

	return mirage_net_peek_bth(skb, off, &opcode, &qpn) && qpn == h->wire->qp->qpn &&
	       mirage_pkt_ops[opcode].response != wire_is_request(h);
}

/* The first packet after that at @off that is not for this direction, or 0. */
static u32 wire_skip_ours(const struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	return mirage_net_skip(skb, off, h->wire->qp->qpn, !wire_is_request(h));
}

static bool wire_right_pkey(u16 pkey)
{
	/* We are a full member, so every member may talk to us. */
	return (pkey & 0x7fff) == (IB_DEFAULT_PKEY_FULL & 0x7fff);
}

static bool wire_takes_packet(const struct mirage_wire_hold *h, const struct mirage_pkt *pkt)
{
	return pkt->qpn == h->wire->qp->qpn && pkt->op->response != wire_is_request(h) &&
	       wire_right_pkey(pkt->pkey);
}

static enum mirage_wire_verdict wire_feed_one(struct mirage_wire_hold *h,
					      const struct mirage_net_seg *seg,
					      struct mirage_miss *miss)
{
	struct mirage_qp *qp = h->wire->qp;

	return wire_is_request(h) ? mirage_wire_request(qp, seg, miss) :
			       mirage_wire_response(qp, seg, miss);
}

/* As many packets from within a message as go at once. The next one, or 0. */
static u32 wire_feed_middle(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	struct mirage_qp *qp = h->wire->qp;
	struct mirage_net_batch run;
	u32 n;

	do {
		if (!mirage_net_batch_find(skb, off, &run) || !wire_takes_packet(h, &run.pkt))
			return off;
		n = wire_is_request(h) ? mirage_wire_request_batch(qp, skb, off, &run) :
				    mirage_wire_response_batch(qp, skb, off, &run);
		off += n * run.len;
		if (off >= skb->len)
			return 0;
	} while (n == run.num);
	return off;
}

/*
 * Feeds packets that are for this direction, @seg at *@off first, up to @end. *@off is
 * then the first one that was not consumed, or 0.
 */
static enum mirage_wire_verdict wire_feed_series(struct mirage_wire_hold *h, struct sk_buff *skb,
						 u32 *off,
						 u32 end, struct mirage_net_seg *seg,
						 struct mirage_miss *miss)
{
	do {
		enum mirage_wire_verdict v = wire_feed_one(h, seg, miss);

		if (v == WIRE_HELD)
			return v;
		do {
			*off = seg->next;
			if (v != WIRE_DONE || *off == end)
				return v;
			if (!seg->pkt.op->last)
				*off = wire_feed_middle(h, skb, *off);
			if (*off == end)
				return v;
		} while (mirage_net_segment(skb, *off, seg));
	} while (wire_takes_packet(h, &seg->pkt));
	return WIRE_DONE;
}

/* The same for a held skb. */
static enum mirage_wire_verdict wire_feed_held(struct mirage_wire_hold *h, struct sk_buff *skb,
					       struct mirage_miss *miss)
{
	struct mirage_net_cb *cb = mirage_net_cb(skb);

	do {
		enum mirage_wire_verdict v;
		struct mirage_net_seg seg;

		if (mirage_net_segment(skb, cb->off, &seg) || !wire_takes_packet(h, &seg.pkt)) {
			cb->off = seg.next;
			continue;
		}
		v = wire_feed_series(h, skb, &cb->off, cb->end, &seg, miss);
		if (v != WIRE_DONE)
			return v;
	} while (cb->off != cb->end);
	return WIRE_DONE;
}

/* Truesize of all that is held: it counts for no socket and no process. */
static atomic_long_t held_bytes;

static bool wire_may_hold(const struct mirage_wire_hold *h, const struct sk_buff *skb)
{
	return h->bytes + skb->truesize <= WIRE_HOLD_MAX &&
	       atomic_long_read(&held_bytes) + skb->truesize <= WIRE_HOLD_ALL;
}

static void wire_hold_add(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off, u32 end)
{
	struct mirage_dev *dev = h->wire->qp->dev;
	struct sk_buff *clone = NULL;

	lockdep_assert_held(wire_lock_of(h));
	/* What comes after one that was dropped is of no use. */
	if (!h->dropped && wire_may_hold(h, skb))
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

static void wire_hold_remove(struct mirage_wire_hold *h, struct sk_buff *skb)
{
	__skb_unlink(skb, &h->queue);
	h->bytes -= skb->truesize;
	atomic_long_sub(skb->truesize, &held_bytes);
	consume_skb(skb);
}

static void wire_hold_purge(struct mirage_wire_hold *h)
{
	__skb_queue_purge(&h->queue);
	atomic_long_sub(h->bytes, &held_bytes);
	h->bytes = 0;
}

static void wire_hold_queue_work(struct mirage_wire_hold *h, unsigned long delay)
{
	struct mirage_qp *qp = h->wire->qp;

	kref_get(&qp->ref);
	if (!queue_delayed_work(qp->dev->wq, &h->work, delay))
		mirage_qp_put(qp);
}

/* From here on the fault, or the work item, has the direction. */
static void wire_hold_park(struct mirage_wire_hold *h, enum mirage_wire_verdict v,
			   const struct mirage_miss *miss)
{
	struct mirage_qp *qp = h->wire->qp;
	int err;

	lockdep_assert_held(wire_lock_of(h));
	h->parked = true;
	h->draining = false;
	if (!miss->mr) {
		wire_hold_queue_work(h, v == WIRE_STALLED);
		return;
	}
	kref_get(&qp->ref);
	err = miss->mr->backend->fault_raise(miss->mr, miss->iova, miss->len,
					     miss->write, &h->waiter);
	h->raised = !err;
	if (!err)
		return;
	mirage_qp_put(qp);
	/* Without memory to say what is missing, ask again in a moment. */
	if (err != -ENOMEM)
		h->error = err;
	wire_hold_queue_work(h, err == -ENOMEM);
}

/* One piece of what is held: an skb, or a turn of a READ. */
static enum mirage_wire_verdict wire_hold_step(struct mirage_wire_hold *h, struct mirage_miss *miss)
{
	struct mirage_qp *qp = h->wire->qp;
	enum mirage_wire_verdict v = WIRE_DONE;
	int err = h->error;
	struct sk_buff *skb;

	h->error = 0;
	if (wire_is_request(h))
		v = mirage_wire_request_resume(qp, err, miss);
	else if (err)
		mirage_wire_response_failed(qp, err);
	skb = skb_peek(&h->queue);
	if (v != WIRE_DONE || !skb)
		return v;

	v = wire_feed_held(h, skb, miss);
	if (v != WIRE_HELD && mirage_net_cb(skb)->off == mirage_net_cb(skb)->end)
		wire_hold_remove(h, skb);
	return v;
}

/* Nothing is held any more. */
static void wire_hold_end(struct mirage_wire_hold *h)
{
	struct mirage_qp *qp = h->wire->qp;

	if (h->dropped && wire_is_request(h))
		mirage_wire_request_lost(qp);
	else if (h->dropped)
		mirage_wire_response_lost(qp);
	h->dropped = false;
	h->draining = false;
}

/* True: there is more to do here. False: the direction is somebody else's by now. */
static bool wire_hold_drain_round(struct mirage_wire_hold *h, struct mirage_miss *miss)
{
	enum mirage_wire_verdict v;

	lockdep_assert_held(wire_lock_of(h));
	if (h->closed) {
		h->draining = false;
		wake_up_all(&h->idle);
		return false;
	}
	v = wire_hold_step(h, miss);
	if (v == WIRE_STALLED)
		wire_hold_park(h, v, miss);
	else if (v == WIRE_DONE && skb_queue_empty(&h->queue))
		wire_hold_end(h);
	if (wire_is_request(h))
		mirage_wire_request_end(h->wire->qp);
	return h->draining;
}

/* Brings a page in here, if that takes no waiting; parks if it does. */
static bool wire_hold_drain_fault(struct mirage_wire_hold *h, struct mirage_miss *miss)
{
	struct mirage_mr *mr = miss->mr;
	bool here = true;
	int err;

	err = mr->backend->fault_now(mr, miss->iova, miss->len, miss->write);
	if (err != -EAGAIN) {
		h->error = err;
	} else {
		spin_lock_bh(wire_lock_of(h));
		here = h->closed;
		if (!here)
			wire_hold_park(h, WIRE_HELD, miss);
		spin_unlock_bh(wire_lock_of(h));
	}
	mirage_mr_put(mr);
	return here;
}

/* Works off what is held, up to its end or the next wait. Process context. */
static void wire_hold_drain(struct mirage_wire_hold *h)
{
	bool requests = wire_is_request(h), more;
	struct mirage_qp *qp = h->wire->qp;

	do {
		struct mirage_miss miss = {};

		rcu_read_lock();
		spin_lock_bh(wire_lock_of(h));
		more = wire_hold_drain_round(h, &miss);
		spin_unlock_bh(wire_lock_of(h));
		if (!requests)
			mirage_wire_response_end(qp);
		rcu_read_unlock();
		if (more && miss.mr)
			more = wire_hold_drain_fault(h, &miss);
		cond_resched();
	} while (more);
}

/* A wait is over. Takes the reference that was held for it. */
static void wire_hold_resume(struct mirage_wire_hold *h, int err)
{
	struct mirage_qp *qp = h->wire->qp;

	spin_lock_bh(wire_lock_of(h));
	h->parked = false;
	h->raised = false;
	h->draining = true;
	if (err)
		h->error = err;
	spin_unlock_bh(wire_lock_of(h));
	wire_hold_drain(h);
	mirage_qp_put(qp);
}

static void wire_hold_wake(struct mirage_odp_waiter *waiter, int err)
{
	wire_hold_resume(container_of(waiter, struct mirage_wire_hold, waiter), err);
}

static void wire_hold_work(struct work_struct *work)
{
	wire_hold_resume(container_of(work, struct mirage_wire_hold, work.work), 0);
}

static void wire_hold_init(struct mirage_wire_hold *h, struct mirage_wire *wire)
{
	h->wire = wire;
	h->closed = true;
	skb_queue_head_init(&h->queue);
	h->waiter.wake = wire_hold_wake;
	INIT_DELAYED_WORK(&h->work, wire_hold_work);
	init_waitqueue_head(&h->idle);
}

static void wire_hold_open(struct mirage_wire_hold *h)
{
	spin_lock_bh(wire_lock_of(h));
	h->closed = false;
	spin_unlock_bh(wire_lock_of(h));
}

/* Nobody takes anything in for this direction when this returns. May sleep. */
static void wire_hold_close(struct mirage_wire_hold *h)
{
	struct mirage_qp *qp = h->wire->qp;

	spin_lock_bh(wire_lock_of(h));
	h->closed = true;
	wire_hold_purge(h);
	spin_unlock_bh(wire_lock_of(h));

	/* Either we take the waiter back, or its wake is under way and short. */
	if (mirage_odp_fault_cancel(&h->waiter)) {
		h->raised = false;
		mirage_qp_put(qp);
	}
	wait_event(h->idle, !READ_ONCE(h->raised) && !READ_ONCE(h->draining));
	if (cancel_delayed_work_sync(&h->work))
		mirage_qp_put(qp);
}

/* Holds the packets from @off on that are for this direction. Return: the next, or 0. */
static u32 wire_hold_rest(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off)
{
	u32 end = wire_skip_ours(h, skb, off);

	wire_hold_add(h, skb, off, end);
	return end;
}

/*
 * Packets of one direction of one QP, from the one at @off, which is @seg. Return: the
 * first one that is not, or 0.
 */
static u32 wire_input_series(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off,
			     struct mirage_net_seg *seg)
{
	struct mirage_qp *qp = h->wire->qp;
	bool requests = wire_is_request(h);
	enum mirage_wire_verdict v = WIRE_DONE;
	struct mirage_miss miss = {};

	spin_lock(wire_lock_of(h));
	if (h->closed || !mirage_net_same_peer(skb, wire_path_of(h))) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_RX_DISCARDS);
		off = wire_skip_ours(h, skb, off);
	} else if (h->parked || h->draining) {
		off = wire_hold_rest(h, skb, off);
	} else {
		v = wire_feed_series(h, skb, &off, 0, seg, &miss);
		if (v != WIRE_DONE)
			wire_hold_park(h, v, &miss);
		/* The first of all is at 0, too. */
		if (v == WIRE_HELD ||
		    (v != WIRE_DONE && off && wire_is_ours(h, skb, off)))
			off = wire_hold_rest(h, skb, off);
		if (requests)
			mirage_wire_request_end(qp);
	}
	spin_unlock(wire_lock_of(h));
	if (!requests)
		mirage_wire_response_end(qp);
	if (miss.mr)
		mirage_mr_put(miss.mr);
	return off;
}

/* Who is a checked packet for? Return: the next one to look at, or 0. */
static u32 wire_input_from(struct mirage_dev *dev, struct sk_buff *skb, u32 off)
{
	struct mirage_net_seg seg;
	struct mirage_wire *wire;
	struct mirage_qp *qp;

	if (mirage_net_segment(skb, off, &seg))
		return seg.next;
	if ((seg.pkt.opcode & PKT_TRANSPORT) == PKT_UD && wire_right_pkey(seg.pkt.pkey))
		return mirage_ud_input(dev, skb, &seg);
	qp = mirage_qp_find(dev, seg.pkt.qpn);
	wire = qp ? READ_ONCE(qp->wire) : NULL;
	if (!wire || !wire_right_pkey(seg.pkt.pkey)) {
		mirage_stat_inc(dev, MIRAGE_STAT_RX_DISCARDS);
		return seg.next;
	}
	return wire_input_series(seg.pkt.op->response ? &wire->responses : &wire->requests,
				 skb, off, &seg);
}

/**
 * mirage_wire_input - a datagram, or many merged ones, has come
 * @dev: whose
 * @skb: it; consumed here
 *
 * BHs off, under rcu_read_lock().
 */
void mirage_wire_input(struct mirage_dev *dev, struct sk_buff *skb)
{
	u32 off = mirage_net_cb(skb)->off;

	do {
		off = wire_input_from(dev, skb, off);
	} while (off);
	napi_consume_skb(skb, 1);
}

/**
 * mirage_wire_connect - give a QP a wire, if its peer is not on this device
 * @qp: the QP, before it goes to RTR; its mutex is held
 * @attr: ->ah_attr and ->dest_qp_num of the peer
 *
 * Process context, may sleep. A namespace whose port is taken makes a wire on which
 * nobody answers. Return: 0, -ENOMEM, or -EINVAL for addresses no packet can have.
 */
int mirage_wire_connect(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(&attr->ah_attr);
	struct mirage_wire *wire;
	int err;

	lockdep_assert_held(&qp->mutex);
	mirage_wire_disconnect(qp);
	/* Then no wire is needed. */
	if (mirage_local_gid(qp->dev, &grh->dgid))
		return 0;
	wire = kzalloc_obj(*wire, GFP_KERNEL_ACCOUNT);
	if (!wire)
		return -ENOMEM;
	wire->qp = qp;
	spin_lock_init(&wire->req.lock);
	wire_hold_init(&wire->requests, wire);
	wire_hold_init(&wire->responses, wire);
	err = mirage_wire_resp_create(wire, attr);
	if (err)
		goto free;
	WRITE_ONCE(qp->wire, wire);
	err = mirage_wire_req_create(qp, attr);
	if (err)
		goto destroy_resp;

	mirage_net_open(qp->dev);
	wire_hold_open(&wire->requests);
	wire_hold_open(&wire->responses);
	return 0;

destroy_resp:
	WRITE_ONCE(qp->wire, NULL);
	mirage_wire_resp_destroy(wire);
free:
	/* A softirq may have found it, and found it closed. */
	kfree_rcu(wire, rcu);
	return err;
}

/**
 * mirage_wire_readdress - the peer is reached another way from now on
 * @qp: the QP, its engine stopped, nothing of its requester's under way; its mutex is held
 * @attr: ->ah_attr of the peer
 *
 * Process context. Return: 0; -EINVAL for addresses no packet can have, and where it
 * would have to go over to the other carrier, which knows nothing of PSNs that are in
 * the middle of a connection; -ENETDOWN.
 */
int mirage_wire_readdress(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(&attr->ah_attr);
	struct mirage_wire *wire = qp->wire;
	struct mirage_net_path path, resp;
	int err;

	lockdep_assert_held(&qp->mutex);
	if (mirage_local_gid(qp->dev, &grh->dgid) == !!wire)
		return -EINVAL;
	if (!wire)
		return 0;
	err = mirage_net_path_init(&path, qp->dev, &attr->ah_attr, qp->qpn, qp->attr.dest_qp_num);
	if (err)
		return err;
	err = mirage_net_path_init(&resp, qp->dev, &attr->ah_attr, qp->qpn, qp->attr.dest_qp_num);
	if (err) {
		mirage_net_path_release(&path);
		return err;
	}
	spin_lock_bh(&wire->req.lock);
	swap(wire->req.path, path);
	spin_unlock_bh(&wire->req.lock);
	spin_lock_bh(&qp->lock);
	swap(wire->resp.path, resp);
	spin_unlock_bh(&qp->lock);
	mirage_net_path_release(&path);
	mirage_net_path_release(&resp);
	return 0;
}

/**
 * mirage_wire_disconnect - take a QP's wire away
 * @qp: the QP, its engine stopped; its mutex is held, or nobody else has it
 *
 * May sleep, but never for a page. When it returns no packet, timer or fault of the
 * wire touches the QP any more.
 */
void mirage_wire_disconnect(struct mirage_qp *qp)
{
	struct mirage_wire *wire = qp->wire;

	if (!wire)
		return;
	wire_hold_close(&wire->requests);
	wire_hold_close(&wire->responses);
	mirage_wire_req_destroy(qp);
	WRITE_ONCE(qp->wire, NULL);
	mirage_wire_resp_destroy(wire);
	kfree_rcu(wire, rcu);
}

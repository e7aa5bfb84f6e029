/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The carrier between devices: what a queue pair has for the wire
 *
 * The data path on one page. BHs are off in all of it; "task" is the poster's system
 * call or a worker, "softirq" also whatever context rings the engine's doorbell.
 *
 *	task, softirq	mirage_wire_req_run()		wire_req.c	send WQEs -> packets
 *	softirq		mirage_wire_input()		wire.c		skb -> QPs
 *	softirq		mirage_wire_hold_input()	hold.c		packets -> one direction
 *	softirq, task	mirage_wire_request()		wire_resp.c	request -> answers
 *	softirq, task	mirage_wire_request_batch()	wire_resp.c	several of one message
 *	softirq, task	mirage_wire_request_resume()	wire_resp.c	a READ goes on
 *	softirq, task	mirage_wire_response()		wire_comp.c	answer -> completions
 *	softirq, task	mirage_wire_response_batch()	wire_comp.c	several of one READ
 *	timer		mirage_wire_timer_expired()	wire_timer.c	again from the oldest
 *
 * A QP is connected by the direct carrier or by this one; which, is decided when it
 * goes to RTR, by whether the peer's GID is one of this device.
 *
 * A packet that needs a page that is not there parks its direction of its QP: the
 * skb, and all that come after it for that direction, are held (struct mirage_wire_hold)
 * until the fault is over. The other direction and everybody else go on.
 *
 * Locks: qp->lock for the responder's side, wire->req.lock for the requester's; never both
 * of one QP, never those of two. The order: base/device.h.
 */
#ifndef MIRAGE_WIRE_H
#define MIRAGE_WIRE_H

#include <linux/skbuff.h>
#include <rdma/ib_mad.h>

#include "net/net.h"
#include "qp/carrier.h"
#include "qp/park.h"
#include "qp/qp.h"
#include "wire/wire_req.h"
#include "wire/wire_resp.h"

struct mirage_qp;

/* Bytes of held skbs per direction, truesize; what comes beyond is dropped. */
#define WIRE_HOLD_MAX	SZ_16M
/* The same of all of them together. */
#define WIRE_HOLD_ALL	SZ_256M

/* Unacknowledged bytes of a QP: the window. */
#define WIRE_WINDOW	SZ_4M

/*
 * What may follow what:
 *
 *	CLOSED		-> IDLE		the QP is connected
 *	IDLE		-> PARKED	a page is missing, or a READ is too long for one turn
 *	PARKED		-> DRAINING	the wait is over
 *	DRAINING	-> PARKED	a page is missing again
 *			-> IDLE		nothing is held any more
 *			-> CLOSING	the QP is disconnected
 *	IDLE, PARKED	-> CLOSED	the QP is disconnected
 *	CLOSING		-> CLOSED	who drained has noticed
 */
enum mirage_hold_state {
	HOLD_CLOSED,		/* nothing is taken in */
	HOLD_IDLE,		/* packets are worked off as they come */
	HOLD_PARKED,		/* packets are held until @park wakes */
	HOLD_DRAINING,		/* packets are held while somebody works off those before them */
	HOLD_CLOSING,		/* nothing is taken in, but somebody still works */
};

/**
 * struct mirage_wire_hold - one direction's packets, and what they wait for
 * @wire: whose
 * @queue: clones of skbs, in order, each from mirage_net_cb()->off on; with a page missing
 *	it is the first one that misses it
 * @bytes: their truesize
 * @state: see above; nothing is in @queue but while it is PARKED or DRAINING
 * @dropped: the bound was reached: ask for retransmission when it is over
 * @error: permanent answer of the fault, for the first packet
 * @park: where the direction waits
 *
 * Protected by its direction's lock, but for @error: that belongs to who drains.
 */
struct mirage_wire_hold {
	struct mirage_wire *wire;
	struct sk_buff_head queue;
	u32 bytes;
	enum mirage_hold_state state;
	bool dropped;
	int error;
	struct mirage_park park;
};

/* What became of a packet. */
enum mirage_wire_verdict {
	WIRE_DONE,		/* consumed, or dropped */
	WIRE_HELD,		/* a page is missing: the same packet again, later */
	WIRE_READING,		/* consumed, but the READ it asks for is not done yet */
	WIRE_STALLED,		/* the same, and nothing can be sent for now */
};

/**
 * struct mirage_wire - what a QP that is connected over the wire has more than others
 * @qp: the QP
 * @rcu: softirqs find it without a reference
 * @requests: packets for our responder; protected by qp->lock
 * @responses: packets for our requester; protected by @req.lock
 * @req: the requester (wire_req.h)
 * @resp: the responder (wire_resp.h)
 */
struct mirage_wire {
	struct mirage_qp *qp;
	struct rcu_head rcu;
	struct mirage_wire_hold requests;
	struct mirage_wire_hold responses;
	struct mirage_wire_req req;
	struct mirage_wire_resp resp;
};

/**
 * mirage_wire_of - what a QP has of the wire
 * @qp: the QP; its carrier is the wire, and the caller owns its requester, holds one of its
 *	locks, or is in the RCU read side that it found the wire in
 *
 * Return: its wire.
 */
static inline struct mirage_wire *mirage_wire_of(const struct mirage_qp *qp)
{
	return qp->carried;
}

/* wire.c: life, and who gets a packet */
extern const struct mirage_carrier mirage_wire_carrier;

void mirage_wire_input(struct mirage_dev *dev, struct sk_buff *skb);

/** mirage_wire_right_pkey - we are a full member, so every member may talk to us */
static inline bool mirage_wire_right_pkey(u16 pkey)
{
	return (pkey & 0x7fff) == (IB_DEFAULT_PKEY_FULL & 0x7fff);
}

/* hold.c: packets that wait */
void mirage_wire_hold_init(struct mirage_wire_hold *h, struct mirage_wire *wire);
void mirage_wire_hold_open(struct mirage_wire_hold *h);
void mirage_wire_hold_close(struct mirage_wire_hold *h);
u32 mirage_wire_hold_input(struct mirage_wire_hold *h, struct sk_buff *skb, u32 off,
			   struct mirage_net_seg *seg);

/** mirage_wire_hold_waits - does this direction wait for a page of ours? Its lock is held. */
static inline bool mirage_wire_hold_waits(const struct mirage_wire_hold *h)
{
	lockdep_assert_held(h->park.lock);
	return h->state == HOLD_PARKED || h->state == HOLD_DRAINING;
}

/* wire_timer.c; wire->req.lock is held */
void mirage_wire_timer_arm(struct mirage_wire_req *req, unsigned long wait);
void mirage_wire_timer_expired(struct timer_list *timer);

/*
 * wire_resp.c, under qp->lock. With WIRE_HELD *miss is filled, with WIRE_READING it
 * may be: without one, go on at once.
 */
enum mirage_wire_verdict mirage_wire_request(struct mirage_qp *qp, const struct mirage_net_seg *seg,
					     struct mirage_miss *miss);
u32 mirage_wire_request_batch(struct mirage_qp *qp, struct sk_buff *skb, u32 off,
			      const struct mirage_net_batch *batch);
enum mirage_wire_verdict mirage_wire_request_resume(struct mirage_qp *qp, int err,
						    struct mirage_miss *miss);
void mirage_wire_request_lost(struct mirage_qp *qp);
void mirage_wire_request_end(struct mirage_qp *qp);

/* wire_batch.c */
u32 mirage_wire_batch_fill(struct mirage_net_tx *tx, struct mirage_net_path *path,
			   struct mirage_pkt *pkt,
			   struct mirage_cursor *from, u32 num, u32 left, struct mirage_miss *miss);
u32 mirage_wire_batch_take(struct sk_buff *skb, u32 off, const struct mirage_net_batch *batch,
			   struct mirage_cursor *to, u32 left, bool *ack);

/* wire_req.c: the caller is the engine's runner */
enum mirage_engine_verdict mirage_wire_req_run(struct mirage_qp *qp);

/*
 * wire_comp.c: wire->req.lock is held, but by mirage_wire_response_end(). With WIRE_HELD
 * *miss is filled.
 */
enum mirage_wire_verdict mirage_wire_response(struct mirage_qp *qp,
					      const struct mirage_net_seg *seg,
					      struct mirage_miss *miss);
u32 mirage_wire_response_batch(struct mirage_qp *qp, struct sk_buff *skb, u32 off,
			       const struct mirage_net_batch *batch);
void mirage_wire_response_failed(struct mirage_qp *qp, int err);
void mirage_wire_response_lost(struct mirage_qp *qp);
void mirage_wire_response_end(struct mirage_qp *qp);

#endif

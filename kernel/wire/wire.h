/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The carrier between devices: the wire's part of a queue pair
 *
 * The data path on one page. BHs are off in all of it. "task" is the system call that posts, or
 * a worker; "softirq" includes every atomic context that rings the engine's doorbell.
 *
 *	task, softirq	mirage_wire_req_run()		wire_req.c	send WQEs -> packets
 *	softirq		mirage_wire_input()		wire.c		skb -> QPs
 *	softirq		mirage_wire_hold_input()	hold.c		packets -> one direction
 *	softirq, task	mirage_wire_request()		wire_resp.c	request -> answers
 *	softirq, task	mirage_wire_request_batch()	wire_resp.c	several of one message
 *	softirq, task	mirage_wire_request_resume()	wire_resp.c	a READ goes on
 *	softirq, task	mirage_wire_response()		wire_comp.c	answer -> completions
 *	softirq, task	mirage_wire_response_batch()	wire_comp.c	several of one READ
 *	timer		mirage_wire_timer_expired()	wire_timer.c	retransmit from the oldest
 *
 * A QP is connected by the direct carrier or by this one. That is decided when the QP goes to
 * RTR: if the peer's GID is one of this device, the direct carrier takes it.
 *
 * A packet that misses a page parks its direction of its QP: the skb, and all later ones for
 * that direction, are held (struct mirage_wire_hold) until the fault is over. The other
 * direction and all other QPs go on.
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

/* Truesize of held skbs, for each direction; what comes beyond is dropped. */
#define WIRE_HOLD_MAX	SZ_16M
/* The same for all directions of all QPs together. */
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
 *	CLOSING		-> CLOSED	the one who drains has stopped
 */
enum mirage_hold_state {
	HOLD_CLOSED,		/* packets are discarded */
	HOLD_IDLE,		/* packets are executed as they come */
	HOLD_PARKED,		/* packets are held until @park is woken */
	HOLD_DRAINING,		/* packets are held while a worker executes those before them */
	HOLD_CLOSING,		/* packets are discarded, but a worker is still busy */
};

/**
 * struct mirage_wire_hold - one direction of a wire: its held packets, and where it waits
 * @wire: the wire
 * @queue: clones of skbs, in order; the packets of each begin at mirage_net_cb()->off. If a
 *	page is missing, the very first packet misses it.
 * @bytes: truesize of @queue
 * @state: see above; @queue is empty unless it is PARKED or DRAINING
 * @dropped: a bound was reached, or memory ran out: ask for retransmission once @queue is empty
 * @error: the error that the fault of the first packet ended with, or 0
 * @park: where the direction waits
 *
 * Protected by its direction's lock, except @error, which belongs to the one who drains.
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
	WIRE_HELD,		/* a page is missing: pass the same packet again, later */
	WIRE_READING,		/* consumed, but responses of its READ are still to be sent */
	WIRE_STALLED,		/* the same, and no packet can be sent for now */
};

/**
 * struct mirage_wire - the wire's part of a QP that is connected over the wire
 * @qp: the QP
 * @rcu: softirqs find the wire without a reference
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
 * mirage_wire_of - the wire of a QP
 * @qp: the QP; its carrier is the wire. The caller is its runner, or holds one of its locks, or
 *	is still in the RCU read side in which it found the wire.
 *
 * Return: its wire.
 */
static inline struct mirage_wire *mirage_wire_of(const struct mirage_qp *qp)
{
	return qp->carried;
}

/* wire.c: connections, and which QP gets a packet */
extern const struct mirage_carrier mirage_wire_carrier;

void mirage_wire_input(struct mirage_dev *dev, struct sk_buff *skb);

/** mirage_wire_right_pkey - tell whether a P_Key matches ours, which is the full member's */
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

/** mirage_wire_hold_waits - tell whether the direction is parked or drains; its lock is held */
static inline bool mirage_wire_hold_waits(const struct mirage_wire_hold *h)
{
	lockdep_assert_held(h->park.lock);
	return h->state == HOLD_PARKED || h->state == HOLD_DRAINING;
}

/* wire_timer.c; wire->req.lock is held */
void mirage_wire_timer_arm(struct mirage_wire_req *req, unsigned long wait);
void mirage_wire_timer_expired(struct timer_list *timer);

/*
 * wire_resp.c, under qp->lock. With WIRE_HELD *miss is filled. With WIRE_READING it may be; if
 * it is not, the READ can go on at once.
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
 * wire_comp.c: wire->req.lock is held, except for mirage_wire_response_end(). With WIRE_HELD
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

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The carrier between devices: what a queue pair has for the wire
 *
 * The data path on one page. BHs are off in all of it; "task" is the poster's system
 * call or a worker, "softirq" also whatever context the engine is kicked from.
 *
 *	task, softirq	mirage_wire_req_run()		wire_req.c	send WQEs -> packets
 *	softirq		mirage_wire_input()		wire.c		skb -> QPs
 *	softirq, task	mirage_wire_request()		wire_resp.c	request -> resp.c, answers
 *	softirq, task	mirage_wire_request_batch()	wire_resp.c	several of one message at once
 *	softirq, task	mirage_wire_request_resume()	wire_resp.c	a READ goes on
 *	softirq, task	mirage_wire_response()		wire_comp.c	answer -> completions
 *	softirq, task	mirage_wire_response_batch()	wire_comp.c	several of one READ at once
 *	timer		wire_timeout()		timer.c		again from the oldest
 *
 * A QP is connected by the direct carrier or by this one; which, is decided when it
 * goes to RTR, by whether the peer's GID is one of this device.
 *
 * A packet that needs a page that is not there parks its direction of its QP: the
 * skb, and all that come after it for that direction, are held (struct mirage_wire_hold)
 * until the fault is over. The other direction and everybody else go on.
 *
 * Locks: qp->lock for the responder's side, wire->req.lock for the requester's; both
 * innermost but for the table's, a CQ's, an SRQ's and an engine's; never both of one
 * QP, never those of two.
 */
#ifndef MIRAGE_WIRE_H
#define MIRAGE_WIRE_H

#include <linux/skbuff.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "mem/odp.h"
#include "net/net.h"
#include "wire/wire_req.h"
#include "wire/wire_resp.h"

struct mirage_qp;

/* Bytes of held skbs per direction, truesize; what comes beyond is dropped. */
#define WIRE_HOLD_MAX	SZ_16M
/* The same of all of them together. */
#define WIRE_HOLD_ALL	SZ_256M

/* Unacknowledged bytes of a QP: the window. */
#define WIRE_WINDOW	SZ_4M

/**
 * struct mirage_wire_hold - one direction's packets, and what they wait for
 * @wire: whose
 * @queue: clones of skbs, in order, each from mirage_net_cb()->off on; with a page missing
 *	it is the first one that misses it
 * @bytes: their truesize
 * @closed: not connected: nothing is taken in any more
 * @parked: @waiter or @work will go on; a reference on the QP is held for it
 * @raised: it is @waiter; @parked is set too
 * @draining: somebody works @queue off, in process context
 * @dropped: the bound was reached: ask for retransmission when it is over
 * @error: permanent answer of the fault, for the first packet
 * @waiter: see odp.h
 * @work: goes on where no page is missing
 * @idle: woken when @draining turns false after @closed turned true
 *
 * Protected by its direction's lock, but for @error: that belongs to who drains, or to
 * whom it is parked for. Nothing is in @queue without @parked or @draining.
 */
struct mirage_wire_hold {
	struct mirage_wire *wire;
	struct sk_buff_head queue;
	u32 bytes;
	bool closed;
	bool parked;
	bool raised;
	bool draining;
	bool dropped;
	int error;
	struct mirage_odp_waiter waiter;
	struct delayed_work work;
	wait_queue_head_t idle;
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

/* wire.c: life, and who gets a packet */
int mirage_wire_connect(struct mirage_qp *qp, const struct ib_qp_attr *attr);
int mirage_wire_readdress(struct mirage_qp *qp, const struct ib_qp_attr *attr);
void mirage_wire_disconnect(struct mirage_qp *qp);
void mirage_wire_input(struct mirage_dev *dev, struct sk_buff *skb);

/*
 * wire_resp.c: qp->lock is held. With WIRE_HELD *miss is filled, with WIRE_READING it
 * may be: without one, go on at once.
 */
enum mirage_wire_verdict mirage_wire_request(struct mirage_qp *qp, const struct mirage_net_seg *seg,
					     struct mirage_miss *miss);
u32 mirage_wire_request_batch(struct mirage_qp *qp, struct sk_buff *skb, u32 off,
			      const struct mirage_net_batch *run);
enum mirage_wire_verdict mirage_wire_request_resume(struct mirage_qp *qp, int err,
						    struct mirage_miss *miss);
void mirage_wire_request_lost(struct mirage_qp *qp);
void mirage_wire_request_end(struct mirage_qp *qp);

/* wire_run.c */
u32 mirage_wire_batch_fill(struct mirage_net_tx *tx, struct mirage_net_path *path,
			   struct mirage_pkt *pkt,
			   struct mirage_cursor *from, u32 num, u32 left, struct mirage_miss *miss);
u32 mirage_wire_batch_take(struct sk_buff *skb, u32 off, const struct mirage_net_batch *run,
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
			       const struct mirage_net_batch *run);
void mirage_wire_response_failed(struct mirage_qp *qp, int err);
void mirage_wire_response_lost(struct mirage_qp *qp);
void mirage_wire_response_end(struct mirage_qp *qp);

#endif

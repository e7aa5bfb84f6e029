/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The carrier between devices: what a queue pair has for the wire
 *
 * The data path on one page. BHs are off in all of it; "task" is the poster's system
 * call or a worker, "softirq" also whatever context the engine is kicked from.
 *
 *	task, softirq	wire_req_run()		wire_req.c	send WQEs -> packets
 *	softirq		wire_input()		wire.c		skb -> QPs
 *	softirq, task	wire_request()		wire_resp.c	request -> resp.c, answers
 *	softirq, task	wire_request_run()	wire_resp.c	several of one message at once
 *	softirq, task	wire_request_resume()	wire_resp.c	a READ goes on
 *	softirq, task	wire_response()		wire_comp.c	answer -> completions
 *	softirq, task	wire_response_run()	wire_comp.c	several of one READ at once
 *	timer		wire_timeout()		timer.c		again from the oldest
 *
 * A QP is connected by the direct carrier or by this one; which, is decided when it
 * goes to RTR, by whether the peer's GID is one of this device.
 *
 * A packet that needs a page that is not there parks its direction of its QP: the
 * skb, and all that come after it for that direction, are held (struct wire_hold)
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

struct qp;

/* Bytes of held skbs per direction, truesize; what comes beyond is dropped. */
#define WIRE_HOLD_MAX	SZ_16M
/* The same of all of them together. */
#define WIRE_HOLD_ALL	SZ_256M

/* Unacknowledged bytes of a QP: the window. */
#define WIRE_WINDOW	SZ_4M

/**
 * struct wire_hold - one direction's packets, and what they wait for
 * @wire: whose
 * @queue: clones of skbs, in order, each from net_cb()->off on; with a page missing
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
struct wire_hold {
	struct wire *wire;
	struct sk_buff_head queue;
	u32 bytes;
	bool closed;
	bool parked;
	bool raised;
	bool draining;
	bool dropped;
	int error;
	struct odp_waiter waiter;
	struct delayed_work work;
	wait_queue_head_t idle;
};

/* What became of a packet. */
enum wire_verdict {
	WIRE_DONE,		/* consumed, or dropped */
	WIRE_HELD,		/* a page is missing: the same packet again, later */
	WIRE_READING,		/* consumed, but the READ it asks for is not done yet */
	WIRE_STALLED,		/* the same, and nothing can be sent for now */
};

/**
 * struct wire - what a QP that is connected over the wire has more than others
 * @qp: the QP
 * @rcu: softirqs find it without a reference
 * @requests: packets for our responder; protected by qp->lock
 * @responses: packets for our requester; protected by @req.lock
 * @req: the requester (wire_req.h)
 * @resp: the responder (wire_resp.h)
 */
struct wire {
	struct qp *qp;
	struct rcu_head rcu;
	struct wire_hold requests;
	struct wire_hold responses;
	struct wire_req req;
	struct wire_resp resp;
};

/* wire.c: life, and who gets a packet */
int wire_connect(struct qp *qp, const struct ib_qp_attr *attr);
int wire_readdress(struct qp *qp, const struct ib_qp_attr *attr);
void wire_disconnect(struct qp *qp);
void wire_input(struct mirage_dev *dev, struct sk_buff *skb);

/*
 * wire_resp.c: qp->lock is held. With WIRE_HELD *miss is filled, with WIRE_READING it
 * may be: without one, go on at once.
 */
enum wire_verdict wire_request(struct qp *qp, const struct net_seg *seg,
			       struct miss *miss);
u32 wire_request_run(struct qp *qp, struct sk_buff *skb, u32 off, const struct net_run *run);
enum wire_verdict wire_request_resume(struct qp *qp, int err, struct miss *miss);
void wire_request_lost(struct qp *qp);
void wire_request_end(struct qp *qp);

/* wire_run.c */
u32 wire_run_fill(struct net_tx *tx, struct net_path *path, struct pkt *pkt,
		  struct bytes *from, u32 num, u32 left, struct miss *miss);
u32 wire_run_take(struct sk_buff *skb, u32 off, const struct net_run *run,
		  struct bytes *to, u32 left, bool *ack);

/* wire_req.c: the caller is the engine's runner */
enum engine_verdict wire_req_run(struct qp *qp);

/*
 * wire_comp.c: wire->req.lock is held, but by wire_response_end(). With WIRE_HELD
 * *miss is filled.
 */
enum wire_verdict wire_response(struct qp *qp, const struct net_seg *seg,
				struct miss *miss);
u32 wire_response_run(struct qp *qp, struct sk_buff *skb, u32 off,
		      const struct net_run *run);
void wire_response_failed(struct qp *qp, int err);
void wire_response_lost(struct qp *qp);
void wire_response_end(struct qp *qp);

#endif

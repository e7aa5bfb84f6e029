/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The requester's side of a QP on the wire; how it works is told in wire_req.c
 */
#ifndef MIRAGE_WIRE_REQ_H
#define MIRAGE_WIRE_REQ_H

#include <linux/spinlock.h>
#include <linux/timer.h>

#include "mem/cursor.h"
#include "net/net.h"
#include "queue/wqe.h"

struct mirage_qp;
struct mirage_wire;

/* The limit of READs and atomics that a QP may have outstanding: see device.h. */
#define WIRE_READS_MAX	128

/* Packets that may be outstanding after losses, at least. */
#define WIRE_WINDOW_MIN	16

/**
 * struct mirage_wire_wr - a send work request under way: our copy, whatever the ring says now
 * @op: facts of its opcode, or NULL
 * @psn: of its first packet
 * @end: that after its last one; equal to @psn where nothing of it is sent
 * @length: bytes of the message, 8 for an atomic
 * @status: with what it will be completed when its turn comes: enum ib_wc_status
 * @err: the errno behind a bad status, or 0
 * @wqe: the copy; cut off after what SGEs a slot of the ring has room for
 */
struct mirage_wire_wr {
	const struct mirage_op *op;
	u32 psn;
	u32 end;
	u32 length;
	u32 status;
	int err;
	struct mirage_send_copy wqe;
};

/*
 * What may follow what:
 *
 *	SENDING		-> REWINDING	a packet or its answer was lost
 *	REWINDING	-> SENDING	the runner went back
 *	SENDING, REWINDING -> RNR	the peer has no receive buffer
 *	RNR		-> REWINDING	the peer's timer is over
 *	any		-> FAILED	a work request was completed in error
 *	FAILED		-> SENDING	the send queue was flushed, and may be brought back (UC)
 */
enum mirage_wire_req_state {
	WIRE_SENDING,		/* as the window allows */
	WIRE_REWINDING,		/* the runner goes back to @una before it sends anything */
	WIRE_RNR,		/* nothing is sent until @rnr_end */
	WIRE_FAILED,		/* nothing follows but a flush */
};

/* What is owed once the requester's lock is dropped: see mirage_wire_response_end(). */
enum mirage_wire_owed {
	WIRE_OWES_DOORBELL	= BIT(0),	/* to the engine */
	WIRE_OWES_ERROR		= BIT(1),	/* the QP goes to the error state */
};

/* No PSN has this value. */
#define WIRE_NO_PSN	U32_MAX

/**
 * struct mirage_wire_req - requests sent and not yet answered
 *
 * Work requests are named by their index in the send ring. Those from qp->sq.index up
 * to @tail are under way; qp->req.psn is the PSN after the last of them.
 *
 * @lock: protects what is named below it, qp->sq.index, and what of a record comes
 *	before its wqe once that is under way
 * @una: PSN of the oldest packet without an answer
 * @state: see enum mirage_wire_req_state
 * @implied_nak: @una when it was sent again because its response is missing, or WIRE_NO_PSN:
 *	that is done once for each
 * @starved: the runner waits for @una to move
 * @owed: enum mirage_wire_owed
 * @timeouts: of @una
 * @retry_left: times @una may still be sent anew
 * @rnr_left: RNR NAKs it may still get
 * @event: to raise with WIRE_OWES_ERROR, or 0
 * @window: packets that may be without an answer
 * @progress: when @una moved last, or the first packet was sent, in jiffies
 * @rnr_end: see WIRE_RNR, in jiffies
 * @timer: for answers, and for WIRE_RNR
 * @into: where the oldest work request wants its response; open while that is coming in
 *
 * All else is the runner's; @tail, @next and the records are read by the other side.
 *
 * @wrs: the records, as many as the ring has slots
 * @stride: bytes of one
 * @tail: see above
 * @next: PSN after the last packet that was ever sent
 * @cur: the work request that is being sent
 * @psn: its next packet
 * @filled: @tail, or one more when the record there is filled and not under way yet
 * @unasked: bytes sent since an acknowledgment was asked for; after a rewind so many that
 *	one is asked for at once
 * @shift: of the path MTU
 * @read_head: oldest of @read_end
 * @read_tail: free one of @read_end
 * @read_end: PSNs after each READ and atomic that is outstanding, in order
 * @path: to the peer; its addresses change under the lock, with the engine stopped
 * @local: the bytes of @cur, from @psn on; open while they are being sent
 */
struct mirage_wire_req {
	spinlock_t lock;		/* see above */
	u32 una;
	enum mirage_wire_req_state state;
	u32 implied_nak;
	bool starved;
	unsigned int owed;
	u8 timeouts;
	u8 retry_left;
	u8 rnr_left;
	enum ib_event_type event;
	u32 window;
	unsigned long progress;
	unsigned long rnr_end;
	struct timer_list timer;
	struct mirage_cursor into;

	void *wrs ____cacheline_aligned;
	size_t stride;
	u32 tail;
	u32 next;
	u32 cur;
	u32 psn;
	u32 filled;
	u32 unasked;
	u32 shift;
	u8 read_head;
	u8 read_tail;
	u32 read_end[WIRE_READS_MAX];
	struct mirage_net_path path;
	struct mirage_cursor local;
};

/**
 * mirage_wire_wr - the record of a work request
 * @req: the requester
 * @entries: slots of the send ring
 * @index: the work request's index in that ring
 *
 * Return: the record; which request it is of, is for the caller to know.
 */
static inline struct mirage_wire_wr *mirage_wire_wr(const struct mirage_wire_req *req, u32 entries,
						    u32 index)
{
	return req->wrs + (index & (entries - 1)) * req->stride;
}

/* wire_req.c */
int mirage_wire_req_create(struct mirage_wire *wire, const struct ib_qp_attr *attr);
void mirage_wire_req_destroy(struct mirage_wire *wire);
bool mirage_wire_req_is_busy(const struct mirage_qp *qp);

/* wire_comp.c; the lock is held but by mirage_wire_flush() and mirage_wire_sent() */
void mirage_wire_flush(struct mirage_qp *qp);
void mirage_wire_sent(struct mirage_qp *qp);
void mirage_wire_retire(struct mirage_qp *qp);
void mirage_wire_fail(struct mirage_qp *qp, enum ib_wc_status status, int err);
void mirage_wire_again(struct mirage_qp *qp, u32 window);
void mirage_wire_rewind(struct mirage_wire_req *req);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The requester's side of a QP on the wire; wire_req.c explains how it works
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

/* READs and atomics that a QP may have outstanding; equal to MIRAGE_MAX_RD_ATOMIC. */
#define WIRE_READS_MAX	128

/* The smallest window, in packets, that losses can reduce a requester to. */
#define WIRE_WINDOW_MIN	16

/**
 * struct mirage_wire_wr - the record of a send work request under way
 * @op: the row of its opcode, or NULL
 * @psn: PSN of its first packet
 * @end: PSN after its last one; equal to @psn if nothing of it is sent
 * @length: bytes of the message; 8 for an atomic
 * @status: IB_WC_SUCCESS, or the status that it fails with once those before it are done
 * @err: the errno behind a bad status, or 0
 * @wqe: our copy, whatever the process writes into the ring; the record ends after as many SGEs
 *	as a slot of the ring has room for
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
 *	RNR		-> REWINDING	the peer's RNR timer is over
 *	any		-> FAILED	a work request was completed in error
 *	FAILED		-> SENDING	the send queue was flushed, and may be brought back (UC)
 */
enum mirage_wire_req_state {
	WIRE_SENDING,		/* as the window allows */
	WIRE_REWINDING,		/* the runner goes back to @una before it sends anything */
	WIRE_RNR,		/* nothing is sent until @rnr_end */
	WIRE_FAILED,		/* nothing follows but a flush */
};

/* What mirage_wire_response_end() has to do once the requester's lock is dropped. */
enum mirage_wire_owed {
	WIRE_OWES_DOORBELL	= BIT(0),	/* ring the engine's doorbell */
	WIRE_OWES_ERROR		= BIT(1),	/* put the QP, or its send queue, into error */
};

/* No PSN has this value. */
#define WIRE_NO_PSN	U32_MAX

/**
 * struct mirage_wire_req - the requester on the wire: what is sent and not yet answered
 *
 * A work request is named by its index in the send ring. Those from qp->sq.index up to @tail are
 * under way; qp->req.psn is the PSN after the last of them.
 *
 * @lock: protects the fields from here to @into, qp->sq.index, and of each record under way the
 *	fields before its wqe
 * @una: PSN of the oldest packet without an answer
 * @state: see enum mirage_wire_req_state
 * @implied_nak: the @una that was last sent again after an implied NAK, or WIRE_NO_PSN: each is
 *	sent again for that reason only once
 * @starved: the runner waits for @una to move
 * @owed: see enum mirage_wire_owed
 * @timeouts: number of timeouts since @una moved
 * @retry_left: retries of @una that are left
 * @rnr_left: RNR retries that are left
 * @event: the event to raise with WIRE_OWES_ERROR, or 0
 * @window: packets that may be without an answer
 * @progress: jiffies when @una moved last, or when the first packet was sent
 * @rnr_end: jiffies when WIRE_RNR ends
 * @timer: expires when answers fail to come, and when WIRE_RNR ends
 * @into: the memory for the response of the oldest work request; open while that is coming in
 *
 * All other fields are the runner's; answers only read @tail, @next and the records.
 *
 * @wrs: the records, as many as the ring has slots
 * @stride: bytes from one record to the next
 * @tail: see above
 * @next: PSN after the last packet that was ever sent
 * @cur: index of the work request that is being sent
 * @psn: PSN of its next packet
 * @filled: @tail; or @tail + 1 if that record is filled and not under way yet
 * @unasked: bytes sent since an acknowledgment was asked for; a rewind sets it so high that the
 *	next packet asks for one
 * @shift: the path MTU is 1 << @shift
 * @read_head: counts the entries of @read_end that are answered
 * @read_tail: counts the entries that were added to @read_end
 * @read_end: PSN after each outstanding READ and atomic, in order
 * @path: the way to the peer; its addresses change under the lock, with the engine stopped
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
 * Return: the record in that place; the caller knows that it is that of the work request.
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

/* wire_comp.c; all but mirage_wire_flush() and mirage_wire_sent() run under the lock */
void mirage_wire_flush(struct mirage_qp *qp);
void mirage_wire_sent(struct mirage_qp *qp);
void mirage_wire_retire(struct mirage_qp *qp);
void mirage_wire_fail(struct mirage_qp *qp, enum ib_wc_status status, int err);
void mirage_wire_again(struct mirage_qp *qp, u32 window);
void mirage_wire_rewind(struct mirage_wire_req *req);

#endif

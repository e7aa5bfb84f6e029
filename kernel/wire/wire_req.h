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

/**
 * struct mirage_wire_req - requests sent and not yet answered
 *
 * Work requests are named by their index in the send ring. Those from qp->sq.index up
 * to @tail are under way; qp->req.psn is the PSN after the last of them.
 *
 * @lock: protects what is named below it, qp->sq.index, and what of a record comes
 *	before its wqe once that is under way
 * @una: PSN of the oldest packet without an answer
 * @rewind: go back to @una
 * @nakked: that was asked for at @una already, for a response that is missing
 * @rnr: the peer has no receive buffer: nothing is sent until @rnr_end
 * @failed: a work request was completed in error; nothing follows it but a flush
 * @starved: the runner waits for @una to move
 * @kick: owed when the lock is dropped: a kick of the engine
 * @error: owed when the lock is dropped: the QP goes to the error state
 * @armed: @timer runs, sooner or later than needed
 * @into_open: @into is where the oldest work request wants its response
 * @timeouts: of @una
 * @retry_left: times @una may still be sent anew
 * @rnr_left: RNR NAKs it may still get
 * @event: to raise with @error, or 0
 * @window: packets that may be without an answer
 * @progress: when @una moved last, or the first packet was sent, in jiffies
 * @rnr_end: see @rnr, in jiffies
 * @into: see @into_open
 * @timer: for answers, and for @rnr
 *
 * All else is the runner's; @tail, @next and the records are read by the other side.
 *
 * @wrs: the records, as many as the ring has slots
 * @stride: bytes of one
 * @tail: see above
 * @next: PSN after the last packet that was ever sent
 * @cur: the work request that is being sent
 * @psn: its next packet
 * @loaded: the record at @tail is filled; it is not under way yet
 * @open: @local is opened for @cur, and stands at @psn
 * @urge: ask for an acknowledgment with the next packet
 * @unasked: bytes sent since one was asked for
 * @shift: of the path MTU
 * @read_head: oldest of @read_end
 * @read_tail: free one of @read_end
 * @read_end: PSNs after each READ and atomic that is outstanding, in order
 * @path: to the peer; its addresses change under the lock, with the engine stopped
 * @local: see @open
 */
struct mirage_wire_req {
	spinlock_t lock;		/* see above */
	u32 una;
	bool rewind;
	bool nakked;
	bool rnr;
	bool failed;
	bool starved;
	bool kick;
	bool error;
	bool armed;
	bool into_open;
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
	bool loaded;
	bool open;
	bool urge;
	u32 unasked;
	u32 shift;
	u8 read_head;
	u8 read_tail;
	u32 read_end[WIRE_READS_MAX];
	struct mirage_net_path path;
	struct mirage_cursor local;
};

/** mirage_wire_wr - the record of a work request, by its index in the ring of @entries */
static inline struct mirage_wire_wr *mirage_wire_wr(const struct mirage_wire_req *req, u32 entries,
						    u32 index)
{
	return req->wrs + (index & (entries - 1)) * req->stride;
}

/* wire_req.c */
int mirage_wire_req_create(struct mirage_qp *qp, const struct ib_qp_attr *attr);
void mirage_wire_req_destroy(struct mirage_qp *qp);
bool mirage_wire_req_busy(const struct mirage_qp *qp);

/* wire_comp.c; the lock is held but by mirage_wire_flush() and mirage_wire_sent() */
void mirage_wire_flush(struct mirage_qp *qp);
void mirage_wire_sent(struct mirage_qp *qp);
void mirage_wire_retire(struct mirage_qp *qp);
void mirage_wire_fail(struct mirage_qp *qp, enum ib_wc_status status, int err);
void mirage_wire_again(struct mirage_qp *qp, u32 window);
void mirage_wire_rewind(struct mirage_wire_req *req);

#endif

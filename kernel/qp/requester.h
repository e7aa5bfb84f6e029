/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The requester: one send work request after the other
 */
#ifndef MIRAGE_REQUESTER_H
#define MIRAGE_REQUESTER_H

#include "mem/cursor.h"
#include "qp/engine.h"
#include "qp/responder.h"
#include "queue/opcode.h"
#include "queue/wqe.h"

struct mirage_qp;

/**
 * struct mirage_requester - the work request under way
 * @active: there is one
 * @begun: the responder has taken it up, as its message number @msg
 * @executed: an atomic was executed; @old is what it found
 * @remote_miss: the page that is missing is the responder's
 * @op: facts of its opcode
 * @wqe: the copy
 * @hdr: what the responder is told
 * @local: the requester's own bytes
 * @result: @old as a byte sequence
 * @done: bytes moved
 * @msg: see @begun
 * @psn: PSN of its first packet, 24 bits
 * @probed: its own bytes were looked for before the responder was ready
 * @rnr_left: RNR NAKs it may still get
 * @retry_left: times it may still go unanswered
 * @old: see @executed
 * @peer: the responder's QP, or what it was; a reference is held
 * @addressed: that of the device when @peer was found to be connected to us
 */
struct mirage_requester {
	bool active;
	bool begun;
	bool executed;
	bool remote_miss;
	bool probed;
	const struct mirage_op *op;
	struct mirage_send_copy wqe;
	struct mirage_request hdr;
	struct mirage_cursor local;
	struct mirage_cursor result;
	u32 done;
	u32 msg;
	u32 psn;
	u8 rnr_left;
	u8 retry_left;
	u64 old;
	struct mirage_qp *peer;
	int addressed;
};

enum ib_wc_status mirage_requester_check(const struct mirage_qp *qp, const struct mirage_op *op,
					 const struct mirage_send_copy *wqe);
enum ib_wc_status mirage_requester_local(struct mirage_qp *qp, const struct mirage_op *op,
					 const struct mirage_send_wqe *head, int *err);
bool mirage_requester_is_busy(const struct mirage_qp *qp);
void mirage_requester_drained(struct mirage_qp *qp);
enum mirage_engine_verdict mirage_requester_run(struct mirage_qp *qp);
void mirage_requester_forget_peer(struct mirage_qp *qp);
void mirage_requester_reset(struct mirage_qp *qp);

#endif

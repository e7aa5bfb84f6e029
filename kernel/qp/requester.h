/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The requester: one send work request after the other
 */
#ifndef MIRAGE_REQ_H
#define MIRAGE_REQ_H

#include "mem/cursor.h"
#include "qp/engine.h"
#include "qp/responder.h"
#include "queue/opcode.h"

struct qp;

/**
 * struct req - the work request under way
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
struct req {
	bool active;
	bool begun;
	bool executed;
	bool remote_miss;
	bool probed;
	const struct op *op;
	struct send_wqe wqe;
	struct resp_hdr hdr;
	struct bytes local;
	struct bytes result;
	u32 done;
	u32 msg;
	u32 psn;
	u8 rnr_left;
	u8 retry_left;
	u64 old;
	struct qp *peer;
	int addressed;
};

enum ib_wc_status req_check(const struct qp *qp, const struct op *op,
			    const struct send_wqe *wqe);
enum ib_wc_status req_local(struct qp *qp, const struct op *op,
			    const struct mirage_send_wqe *head, int *err);
bool req_busy(const struct qp *qp);
void req_drained(struct qp *qp);
enum engine_verdict req_run(struct qp *qp);
bool req_busy(const struct qp *qp);
void req_reset(struct qp *qp);

#endif

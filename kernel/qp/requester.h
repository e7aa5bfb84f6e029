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
 * @active: a work request is under way
 * @begun: the responder has begun it, as its message number @msg
 * @executed: the atomic was executed, and @old is the value that it found
 * @remote_miss: the missing page is the responder's
 * @op: the row of its opcode
 * @wqe: our copy of the work request
 * @hdr: the request for the responder
 * @local: the requester's own bytes
 * @result: a cursor over @old; for a multicast datagram, over the copy of its payload
 * @done: bytes moved so far
 * @msg: see @begun
 * @psn: PSN of its first packet, 24 bits
 * @probed: requester_probe() has looked for a missing page of the requester's own
 * @rnr_left: RNR retries that are left
 * @retry_left: retries after timeouts that are left
 * @old: see @executed
 * @peer: the QP that was the responder last, or NULL; a reference is held
 * @addressed: value of mirage_dev.addressed when @peer was found to be connected to us
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

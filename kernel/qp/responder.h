/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The responder: executes requests, whatever carries them
 */
#ifndef MIRAGE_RESPONDER_H
#define MIRAGE_RESPONDER_H

#include "mem/cursor.h"
#include "net/packet.h"
#include "queue/opcode.h"
#include "queue/wqe.h"

struct mirage_qp;

/**
 * struct mirage_request - a request, as a carrier has it for the responder
 * @op: the row of its opcode
 * @psn: PSN of its first packet
 * @packets: number of PSNs that it takes
 * @length: bytes of payload; 8 for an atomic
 * @access: rights that it needs, IB_ACCESS_*
 * @reach: bytes of the region that it names: @length, or more for a flush
 * @any: flush of the whole region, whatever @addr and @reach say
 * @rkey: of the RETH or AtomicETH
 * @addr: of the RETH or AtomicETH
 * @ex: the immediate, big endian, or the rkey to invalidate
 * @srqn: of the XRCETH
 * @solicited: the SE bit
 * @atomic: the kind of atomic operation
 * @compare_add: of the AtomicETH
 * @swap: of the AtomicETH
 */
struct mirage_request {
	const struct mirage_op *op;
	u32 psn;
	u32 packets;
	u32 length;
	int access;
	u32 reach;
	bool any;
	u32 rkey;
	u64 addr;
	u32 ex;
	u32 srqn;
	bool solicited;
	enum mirage_op_atomic atomic;
	u64 compare_add;
	u64 swap;
};

/* What becomes of a request; the NAKs are those of IBA table 58 (AETH syndromes). */
enum mirage_verdict {
	RESP_OK,
	RESP_GOES_ON,		/* bytes are left: make the next step at once */
	RESP_MISS,		/* a page is missing: make the same call again, later */
	RESP_SILENT,		/* dropped: the requester gets no answer */
	RESP_RNR,
	RESP_NAK_INVALID,
	RESP_NAK_ACCESS,
	RESP_NAK_OPERATIONAL,
};

/**
 * struct mirage_responder - the request under way; protected by the QP's lock
 * @busy: a request is under way
 * @have_wqe: a receive work request was taken for it
 * @established: IB_EVENT_COMM_EST was raised
 * @msg: counts the messages that were begun, so that a requester recognizes its own
 * @psn: expected PSN, 24 bits
 * @got: bytes of a write that have come so far, if it comes in pieces
 * @pd: the PD of its keys, compared by address only
 * @srqn: the number of the SRQ that @wqe is from, for an XRC target
 * @wqe: our copy of the receive work request
 * @bytes: the memory that its bytes go to, or come from
 */
struct mirage_responder {
	bool busy;
	bool have_wqe;
	bool established;
	u32 msg;
	u32 psn;
	u32 got;
	struct ib_pd *pd;
	u32 srqn;
	struct mirage_recv_copy wqe;
	struct mirage_cursor bytes;
};

/** mirage_responder_room - bytes that may still come of the send or write under way */
static inline u32 mirage_responder_room(const struct mirage_responder *resp,
					const struct mirage_request *hdr)
{
	return hdr->op->class == OP_SEND ? resp->wqe.length - hdr->length :
					   hdr->length - resp->got;
}

enum mirage_verdict mirage_responder_begin(struct mirage_qp *qp, const struct mirage_request *hdr);
enum mirage_verdict mirage_responder_atomic(struct mirage_qp *qp, const struct mirage_request *hdr,
					    u64 *old,
					    struct mirage_miss *miss);
enum mirage_verdict mirage_responder_piece(struct mirage_qp *qp, struct mirage_request *hdr,
					   u32 len, bool last);
enum mirage_verdict mirage_responder_again(struct mirage_qp *qp, const struct mirage_request *hdr,
					   struct mirage_cursor *b);
enum mirage_verdict mirage_responder_invalid(struct mirage_qp *qp);
enum mirage_verdict mirage_responder_end(struct mirage_qp *qp, const struct mirage_request *hdr);
enum mirage_verdict mirage_responder_fault_failed(struct mirage_qp *qp,
						  const struct mirage_request *hdr, int err);
void mirage_responder_fail_wqe(struct mirage_qp *qp, enum ib_wc_status status, int err);
void mirage_responder_wqe_failed(struct mirage_qp *qp, int err);
void mirage_responder_reset(struct mirage_qp *qp);

#endif

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
 * struct mirage_request - a request, as a carrier reads it from a header
 * @op: facts of its opcode
 * @psn: PSN of its first packet
 * @packets: PSNs it takes
 * @length: bytes of payload, 8 for an atomic
 * @access: rights it needs, IB_ACCESS_*
 * @reach: bytes of the region it names: @length, or more for a flush
 * @any: a flush of the region whatever @addr and @reach say
 * @rkey: RETH and AtomicETH
 * @addr: RETH and AtomicETH
 * @ex: the immediate, big endian, or the rkey to invalidate
 * @srqn: XRCETH
 * @solicited: the SE bit
 * @atomic: which
 * @compare_add: AtomicETH
 * @swap: AtomicETH
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
	RESP_GOES_ON,		/* bytes left: the next step, at once */
	RESP_MISS,		/* a page is missing: the same call again, later */
	RESP_SILENT,		/* dropped: the requester hears nothing */
	RESP_RNR,
	RESP_NAK_INVALID,
	RESP_NAK_ACCESS,
	RESP_NAK_OPERATIONAL,
};

/**
 * struct mirage_responder - the request under way; protected by the QP's lock
 * @busy: there is one
 * @have_wqe: a receive work request was taken for it
 * @established: IB_EVENT_COMM_EST was raised
 * @msg: counts messages begun, so that a requester can tell its own
 * @psn: expected PSN, 24 bits
 * @got: bytes of a write that have come, where they come in pieces
 * @pd: whose keys it takes, compared by address only
 * @srqn: of an XRC target: where @wqe is from
 * @wqe: the receive work request
 * @bytes: where its bytes go, or come from
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

/** mirage_responder_room - bytes that the send or write that was begun has still room for */
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

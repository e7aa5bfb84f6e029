/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The responder's side of a QP on the wire; protected by qp->lock
 */
#ifndef MIRAGE_WIRE_RESP_H
#define MIRAGE_WIRE_RESP_H

#include "mem/cursor.h"
#include "net/net.h"
#include "qp/responder.h"
#include "queue/opcode.h"

struct mirage_wire;

/* Number of atomics whose results are kept: as many as a peer may have outstanding. */
#define WIRE_ATOMICS	128

/**
 * struct mirage_wire_read - the READ that is being answered
 * @active: a READ is being answered
 * @again: it is a duplicate; @bytes is its source
 * @begun: its first response was sent
 * @psn: PSN of the next response
 * @left: bytes still to send
 * @bytes: the source of a duplicate; that of the responder may be in use
 */
struct mirage_wire_read {
	bool active;
	bool again;
	bool begun;
	u32 psn;
	u32 left;
	struct mirage_cursor bytes;
};

/**
 * struct mirage_wire_resp - the request message under way, and the answers still to be sent
 * @path: the way to the peer
 * @tx: answers of this round; empty when the lock is not held
 * @hdr: the message; the ->length of a SEND is what has come so far
 * @open: class of the message whose next packet is expected, or OP_NONE
 * @checked: the expected packet has passed its checks, and then missed a page
 * @checked_op: opcode of that packet
 * @checked_len: payload of that packet; when it comes again both must be the same
 * @skip: UC: the page of the held packet could not be brought in; drop the packet next time
 * @quiet: a NAK has told the peer which PSN is expected; send no other NAK until that comes
 * @ack: an ACK is to be sent at the end of the round
 * @nak: syndrome of the NAK that is to be sent at the end of the round, or 0
 * @nak_psn: PSN of that NAK
 * @msn: messages completed
 * @read: see above
 * @atomic: PSNs and results of the latest atomics
 * @atomics: number of atomics so far; new ones overwrite the oldest
 */
struct mirage_wire_resp {
	struct mirage_net_path path;
	struct mirage_net_tx tx;
	struct mirage_request hdr;
	enum mirage_op_class open;
	bool checked;
	u8 checked_op;
	u16 checked_len;
	bool skip;
	bool quiet;
	bool ack;
	u8 nak;
	u32 nak_psn;
	u32 msn;
	struct mirage_wire_read read;
	struct {
		u64 old;
		u32 psn;
	} atomic[WIRE_ATOMICS];
	u32 atomics;
};

int mirage_wire_resp_create(struct mirage_wire *wire, const struct ib_qp_attr *attr);
void mirage_wire_resp_destroy(struct mirage_wire *wire);

#endif

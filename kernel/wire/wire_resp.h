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

/* Results of atomics that are kept: as many as a peer may have outstanding. */
#define WIRE_ATOMICS	128

/**
 * struct mirage_wire_read - a READ that is being answered
 * @active: there is one
 * @again: it is a duplicate; its bytes are those of @bytes
 * @begun: its first response was sent
 * @psn: of the next response
 * @left: bytes still to send
 * @bytes: the source of a duplicate: the responder's own may be in use
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
 * struct mirage_wire_resp - the request message under way, and what is owed for it
 * @path: to the peer
 * @tx: answers of this round; empty when the lock is free
 * @hdr: the message; of a SEND, ->length is what has come so far
 * @open: what the message is that packets are still expected of, or OP_NONE
 * @checked: the expected packet was found right, and then held
 * @checked_op: its opcode, and
 * @checked_len: its payload: what comes in its place must be the same
 * @skip: UC: the packet that was held can not be had, and is dropped when it comes again
 * @quiet: the peer was told what is expected, and hears nothing else until it comes
 * @ack: an ACK is owed
 * @nak: the syndrome that is owed, or 0
 * @nak_psn: where
 * @msn: messages completed
 * @read: see above
 * @atomic: the latest atomics: PSN and what was found
 * @atomics: their number so far; the oldest ones are overwritten
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

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What each send opcode is, as data
 */
#ifndef MIRAGE_OPCODE_H
#define MIRAGE_OPCODE_H

#include <rdma/ib_verbs.h>

/* How a request uses the responder. */
enum op_class {
	OP_NONE,
	OP_SEND,	/* bytes into a receive work request */
	OP_WRITE,	/* bytes into a region */
	OP_READ,	/* bytes out of a region */
	OP_ATOMIC,	/* eight bytes of a region, exchanged */
};

/**
 * struct op - facts of one opcode
 * @class: how it uses the responder
 * @recv: it consumes a receive work request
 * @imm: it carries an immediate
 * @inv: it carries an rkey to invalidate
 * @inline_ok: its data may stand in the WQE
 * @local: rights needed of the requester's own buffers
 * @remote: rights needed of the responder's region, and of its QP
 * @wc: opcode of the requester's completion
 */
struct op {
	enum op_class class;
	bool recv;
	bool imm;
	bool inv;
	bool inline_ok;
	int local;
	int remote;
	enum ib_wc_opcode wc;
};

const struct op *op_of(u8 wr_opcode);

#endif

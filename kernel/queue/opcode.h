/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What each send opcode is, as data
 */
#ifndef MIRAGE_OPCODE_H
#define MIRAGE_OPCODE_H

#include <linux/nospec.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/ib_verbs.h>

#include "mirage-abi.h"

/* How a request uses the responder. */
enum mirage_op_class {
	OP_NONE,
	OP_SEND,	/* bytes into a receive work request */
	OP_WRITE,	/* bytes into a region */
	OP_READ,	/* bytes out of a region */
	OP_ATOMIC,	/* eight bytes of a region, exchanged */
	OP_FLUSH,	/* earlier writes to a region, made visible */
	OP_LOCAL,	/* not at all */
};

/* What a responder answers a request with, when all went well. */
enum mirage_op_answer {
	OP_ACK,			/* an ACK, which may stand for many requests */
	OP_ANSWER_BYTES,	/* READ responses with the bytes */
	OP_ANSWER_EMPTY,	/* one READ response without a byte */
	OP_ANSWER_WORD,		/* an atomic ACK, with what stood in the region */
};

/* What an opcode of class OP_ATOMIC does with the word. */
enum mirage_op_atomic {
	OP_CMP_SWAP,
	OP_FETCH_ADD,
};

/* Which transports have an opcode. */
enum mirage_op_transport {
	OP_RC	= 1 << 0,	/* XRC too */
	OP_UC	= 1 << 1,
	OP_UD	= 1 << 2,	/* GSI too */
	OP_ALL	= OP_RC | OP_UC | OP_UD,
};

/**
 * struct mirage_op - facts of one opcode
 * @class: how it uses the responder
 * @answer: what the responder answers it with
 * @transports: enum mirage_op_transport
 * @inline_ok: its data may stand in the WQE
 * @word: its payload is one aligned word of 8 bytes in the WQE, stored at once
 * @local: rights needed of the requester's own buffers
 * @remote: rights needed of the responder's region, and of its QP; those of a flush
 *	depend on its placement type
 * @wc: opcode of the requester's completion
 * @recv: that of the receive work request that it consumes; 0: none
 * @ex: what else it carries, as that completion says it: MIRAGE_WC_WITH_IMM,
 *	MIRAGE_WC_WITH_INV or 0
 * @atomic: what it does, if it is an atomic
 * @odp: IB_ODP_SUPPORT_*: the bit of the device's on-demand capabilities for it
 * @caps: IB_DEVICE_*: the device's capability for it
 */
struct mirage_op {
	enum mirage_op_class class;
	enum mirage_op_answer answer;
	u8 transports;
	bool inline_ok;
	bool word;
	int local;
	int remote;
	enum ib_wc_opcode wc;
	enum ib_wc_opcode recv;
	u32 ex;
	enum mirage_op_atomic atomic;
	u32 odp;
	u64 caps;
};

/* The provider's masks have room for so many. */
#define OP_COUNT		32

/* Of kernel users only: IB_WR_REG_MR. The last number, which uverbs gives out last. */
#define MIRAGE_WR_REG_MR	(OP_COUNT - 1)

extern const struct mirage_op mirage_ops[OP_COUNT];

u32 mirage_op_odp_caps(enum mirage_op_transport transport);
u64 mirage_op_device_caps(void);

/**
 * mirage_op_of - facts of a send opcode
 * @wr_opcode: enum ib_uverbs_wr_opcode, unchecked
 *
 * Return: NULL when no QP of this device has such an opcode.
 */
static inline const struct mirage_op *mirage_op_of(u8 wr_opcode)
{
	const struct mirage_op *op = &mirage_ops[array_index_nospec(wr_opcode, OP_COUNT)];

	return wr_opcode < OP_COUNT && op->class != OP_NONE ? op : NULL;
}

#endif

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* opcode.c: do the facts of each opcode agree? */
#include "kshim.h"
#include "queue/opcode.h"
#include "unit_test.h"

static void opcode__every_number(void)
{
	unsigned int n, known = 0;
	const struct mirage_op *op;

	for (n = 0; n < 256; n++) {
		op = mirage_op_of(n);
		if (!op)
			continue;
		known++;
		CHECK(op->class != OP_NONE);
		/* An answer with bytes needs a buffer that may be written to. */
		CHECK_EQ(op->class == OP_READ || op->class == OP_ATOMIC,
			 !!(op->local & IB_ACCESS_LOCAL_WRITE));
		CHECK_EQ(op->class == OP_READ, op->answer == OP_ANSWER_BYTES);
		CHECK_EQ(op->class == OP_ATOMIC, op->answer == OP_ANSWER_WORD);
		CHECK_EQ(op->class == OP_FLUSH || op->word, op->answer == OP_ANSWER_EMPTY);
		/* Only a reliable transport has answers beyond an ACK. */
		CHECK(op->answer == OP_ACK || op->transports == OP_RC);
		CHECK_EQ(op->class == OP_SEND, op->recv && !op->remote);
		CHECK(!op->ex || op->recv);
		CHECK(op->ex != MIRAGE_WC_WITH_INV || op->class == OP_SEND);
		CHECK(!op->inline_ok || op->class == OP_SEND || op->class == OP_WRITE);
	}
	CHECK_EQ(known, 13);
}

static void opcode__rights(void)
{
	CHECK_EQ(mirage_op_of(IB_UVERBS_WR_RDMA_WRITE)->remote, IB_ACCESS_REMOTE_WRITE);
	CHECK_EQ(mirage_op_of(IB_UVERBS_WR_RDMA_READ)->remote, IB_ACCESS_REMOTE_READ);
	CHECK_EQ(mirage_op_of(IB_UVERBS_WR_ATOMIC_CMP_AND_SWP)->remote, IB_ACCESS_REMOTE_ATOMIC);
	CHECK_EQ(mirage_op_of(IB_UVERBS_WR_ATOMIC_FETCH_AND_ADD)->remote, IB_ACCESS_REMOTE_ATOMIC);
	CHECK(!mirage_op_of(IB_UVERBS_WR_SEND)->remote);
	CHECK(!mirage_op_of(IB_UVERBS_WR_TSO));
}

/* The capabilities that devices have reported since before they were in the table. */
static void opcode__caps(void)
{
	u32 rc = IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_WRITE | IB_ODP_SUPPORT_READ |
		 IB_ODP_SUPPORT_ATOMIC | IB_ODP_SUPPORT_FLUSH | IB_ODP_SUPPORT_ATOMIC_WRITE;

	CHECK_EQ(mirage_op_odp_caps(OP_RC), rc);
	CHECK_EQ(mirage_op_odp_caps(OP_UC), IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_WRITE);
	CHECK_EQ(mirage_op_odp_caps(OP_UD), IB_ODP_SUPPORT_SEND);
	CHECK_EQ(mirage_op_device_caps(), IB_DEVICE_FLUSH_GLOBAL | IB_DEVICE_ATOMIC_WRITE);
}

const struct test_case opcode_cases[] = {
	{ "opcode__every_number", opcode__every_number, 0 },
	{ "opcode__rights", opcode__rights, 0 },
	{ "opcode__caps", opcode__caps, 0 },
};

const size_t opcode_count = ARRAY_SIZE(opcode_cases);

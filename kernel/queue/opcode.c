// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The table behind opcode.h (IBA volume 1, 9.2.1, 10.7.2.2 and annex A19)
 */
#include "queue/opcode.h"

const struct mirage_op mirage_ops[OP_COUNT] = {
	[IB_UVERBS_WR_RDMA_WRITE] = {
		.class = OP_WRITE, .transports = OP_RC | OP_UC,
		.inline_ok = true,
		.remote = IB_ACCESS_REMOTE_WRITE, .wc = IB_WC_RDMA_WRITE,
		.odp = IB_ODP_SUPPORT_WRITE,
	},
	[IB_UVERBS_WR_RDMA_WRITE_WITH_IMM] = {
		.class = OP_WRITE, .transports = OP_RC | OP_UC,
		.inline_ok = true,
		.remote = IB_ACCESS_REMOTE_WRITE, .wc = IB_WC_RDMA_WRITE,
		.recv = IB_WC_RECV_RDMA_WITH_IMM, .ex = MIRAGE_WC_WITH_IMM,
		.odp = IB_ODP_SUPPORT_WRITE,
	},
	[IB_UVERBS_WR_SEND] = {
		.class = OP_SEND, .transports = OP_ALL,
		.inline_ok = true,
		.wc = IB_WC_SEND, .recv = IB_WC_RECV,
		.odp = IB_ODP_SUPPORT_SEND,
	},
	[IB_UVERBS_WR_SEND_WITH_IMM] = {
		.class = OP_SEND, .transports = OP_ALL,
		.inline_ok = true,
		.wc = IB_WC_SEND, .recv = IB_WC_RECV, .ex = MIRAGE_WC_WITH_IMM,
		.odp = IB_ODP_SUPPORT_SEND,
	},
	[IB_UVERBS_WR_SEND_WITH_INV] = {
		.class = OP_SEND, .transports = OP_RC,
		.inline_ok = true,
		.wc = IB_WC_SEND, .recv = IB_WC_RECV, .ex = MIRAGE_WC_WITH_INV,
		.odp = IB_ODP_SUPPORT_SEND,
	},
	[IB_UVERBS_WR_RDMA_READ] = {
		.class = OP_READ, .transports = OP_RC, .answer = OP_ANSWER_BYTES,
		.local = IB_ACCESS_LOCAL_WRITE,
		.remote = IB_ACCESS_REMOTE_READ, .wc = IB_WC_RDMA_READ,
		.odp = IB_ODP_SUPPORT_READ,
	},
	[IB_UVERBS_WR_ATOMIC_CMP_AND_SWP] = {
		.class = OP_ATOMIC, .transports = OP_RC, .answer = OP_ANSWER_WORD,
		.local = IB_ACCESS_LOCAL_WRITE,
		.remote = IB_ACCESS_REMOTE_ATOMIC, .wc = IB_WC_COMP_SWAP,
		.atomic = OP_CMP_SWAP, .odp = IB_ODP_SUPPORT_ATOMIC,
	},
	[IB_UVERBS_WR_ATOMIC_FETCH_AND_ADD] = {
		.class = OP_ATOMIC, .transports = OP_RC, .answer = OP_ANSWER_WORD,
		.local = IB_ACCESS_LOCAL_WRITE,
		.remote = IB_ACCESS_REMOTE_ATOMIC, .wc = IB_WC_FETCH_ADD,
		.atomic = OP_FETCH_ADD, .odp = IB_ODP_SUPPORT_ATOMIC,
	},
	[IB_UVERBS_WR_FLUSH] = {
		.class = OP_FLUSH, .transports = OP_RC, .answer = OP_ANSWER_EMPTY,
		.wc = IB_WC_FLUSH,
		.odp = IB_ODP_SUPPORT_FLUSH, .caps = IB_DEVICE_FLUSH_GLOBAL,
	},
	[IB_UVERBS_WR_ATOMIC_WRITE] = {
		.class = OP_WRITE, .transports = OP_RC, .answer = OP_ANSWER_EMPTY,
		.inline_ok = true, .word = true,
		.remote = IB_ACCESS_REMOTE_WRITE, .wc = IB_WC_ATOMIC_WRITE,
		.odp = IB_ODP_SUPPORT_ATOMIC_WRITE, .caps = IB_DEVICE_ATOMIC_WRITE,
	},
	[IB_UVERBS_WR_LOCAL_INV] = {
		.class = OP_LOCAL, .transports = OP_RC | OP_UC, .wc = IB_WC_LOCAL_INV,
	},
	[IB_UVERBS_WR_BIND_MW] = {
		.class = OP_LOCAL, .transports = OP_RC | OP_UC, .wc = IB_WC_BIND_MW,
	},
	[MIRAGE_WR_REG_MR] = {
		.class = OP_LOCAL, .transports = OP_RC | OP_UC, .wc = IB_WC_REG_MR,
	},
};

/**
 * mirage_op_odp_caps - on-demand capabilities of a transport's opcodes
 * @transport: one of enum mirage_op_transport
 *
 * Any context.
 *
 * Return: IB_ODP_SUPPORT_* of requests; what the transport's receives can do
 * is for the caller to add.
 */
u32 mirage_op_odp_caps(enum mirage_op_transport transport)
{
	u32 caps = 0;
	int n;

	for (n = 0; n < OP_COUNT; n++)
		if (mirage_ops[n].transports & transport)
			caps |= mirage_ops[n].odp;
	return caps;
}

/**
 * mirage_op_device_caps - device capabilities that come with the opcodes
 *
 * Any context.
 *
 * Return: IB_DEVICE_*.
 */
u64 mirage_op_device_caps(void)
{
	u64 caps = 0;
	int n;

	for (n = 0; n < OP_COUNT; n++)
		caps |= mirage_ops[n].caps;
	return caps;
}

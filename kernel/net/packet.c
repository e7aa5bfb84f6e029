// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The table of BTH opcodes, and how headers are read and written (IBA volume 1, 9.2 to
 * 9.4, 14.2 for XRC, annex A19 for FLUSH and ATOMIC WRITE)
 *
 * The lower five bits of an opcode mean the same for every transport, so the table is
 * made of one list of kinds.
 */
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/unaligned.h>

#include "net/packet.h"

#define BTH_SOLICITED	0x80
/* MigReq: a path that never migrates is always in the state "migrated". */
#define BTH_MIGRATED	0x40
#define BTH_PAD_SHIFT	4
#define BTH_VERSION	0x0f
#define BTH_ACKREQ	0x80000000

#define EXT_LEN(ext)							\
	(((ext) & PKT_XRCETH ? 4 : 0) + ((ext) & PKT_DETH ? 8 : 0) +	\
	 ((ext) & PKT_FETH ? 4 : 0) + ((ext) & PKT_RETH ? 16 : 0) +	\
	 ((ext) & PKT_ATOMICETH ? 28 : 0) + ((ext) & PKT_AETH ? 4 : 0) + \
	 ((ext) & PKT_ATOMICACK ? 8 : 0) + ((ext) & PKT_IMMDT ? 4 : 0) + \
	 ((ext) & PKT_IETH ? 4 : 0))

#define HAS(exts)							\
	.valid = true, .ext = (exts), .len = PKT_BTH_LEN + EXT_LEN(exts)

#define OF_SEND(name)	.class = OP_SEND, .payload = true, .wr = IB_UVERBS_WR_##name
#define OF_WRITE(name)	.class = OP_WRITE, .payload = true, .wr = IB_UVERBS_WR_##name
#define OF_ATOMIC(name)	.class = OP_ATOMIC, .wr = IB_UVERBS_WR_ATOMIC_##name
#define OF_READ		.class = OP_READ, .wr = IB_UVERBS_WR_RDMA_READ
#define OF_FLUSH	.class = OP_FLUSH, .wr = IB_UVERBS_WR_FLUSH
#define ANSWER		.class = OP_NONE, .response = true
#define ANSWER_DATA	.class = OP_NONE, .response = true, .payload = true
#define FIRST		.first = true
#define LAST		.last = true
#define ONLY		.first = true, .last = true

/* The extension header that every request of a transport begins with. */
#define HEAD_RC		0
#define HEAD_UC		0
#define HEAD_UD		PKT_DETH
#define HEAD_XRC	PKT_XRCETH

#define SENDS_ONLY(t)									\
	[PKT_##t | PKT_SEND_ONLY] = { HAS(HEAD_##t), OF_SEND(SEND), ONLY },		\
	[PKT_##t | PKT_SEND_ONLY_WITH_IMM] = {						\
		HAS(HEAD_##t | PKT_IMMDT), OF_SEND(SEND_WITH_IMM), ONLY }

#define SENDS(t)									\
	[PKT_##t | PKT_SEND_FIRST] = { HAS(HEAD_##t), OF_SEND(SEND), FIRST },		\
	[PKT_##t | PKT_SEND_MIDDLE] = { HAS(HEAD_##t), OF_SEND(SEND) },			\
	[PKT_##t | PKT_SEND_LAST] = { HAS(HEAD_##t), OF_SEND(SEND), LAST },		\
	[PKT_##t | PKT_SEND_LAST_WITH_IMM] = {						\
		HAS(HEAD_##t | PKT_IMMDT), OF_SEND(SEND_WITH_IMM), LAST },		\
	SENDS_ONLY(t)

#define WRITES(t)									\
	[PKT_##t | PKT_WRITE_FIRST] = {							\
		HAS(HEAD_##t | PKT_RETH), OF_WRITE(RDMA_WRITE), FIRST },		\
	[PKT_##t | PKT_WRITE_MIDDLE] = { HAS(HEAD_##t), OF_WRITE(RDMA_WRITE) },		\
	[PKT_##t | PKT_WRITE_LAST] = { HAS(HEAD_##t), OF_WRITE(RDMA_WRITE), LAST },	\
	[PKT_##t | PKT_WRITE_LAST_WITH_IMM] = {						\
		HAS(HEAD_##t | PKT_IMMDT), OF_WRITE(RDMA_WRITE_WITH_IMM), LAST },	\
	[PKT_##t | PKT_WRITE_ONLY] = {							\
		HAS(HEAD_##t | PKT_RETH), OF_WRITE(RDMA_WRITE), ONLY },			\
	[PKT_##t | PKT_WRITE_ONLY_WITH_IMM] = {						\
		HAS(HEAD_##t | PKT_RETH | PKT_IMMDT), OF_WRITE(RDMA_WRITE_WITH_IMM), ONLY }

/* What only the reliable transports have. */
#define RELIABLES(t)									\
	[PKT_##t | PKT_SEND_LAST_WITH_INV] = {						\
		HAS(HEAD_##t | PKT_IETH), OF_SEND(SEND_WITH_INV), LAST },		\
	[PKT_##t | PKT_SEND_ONLY_WITH_INV] = {						\
		HAS(HEAD_##t | PKT_IETH), OF_SEND(SEND_WITH_INV), ONLY },		\
	[PKT_##t | PKT_READ_REQUEST] = { HAS(HEAD_##t | PKT_RETH), OF_READ, ONLY },	\
	[PKT_##t | PKT_COMPARE_SWAP] = {						\
		HAS(HEAD_##t | PKT_ATOMICETH), OF_ATOMIC(CMP_AND_SWP), ONLY },		\
	[PKT_##t | PKT_FETCH_ADD] = {							\
		HAS(HEAD_##t | PKT_ATOMICETH), OF_ATOMIC(FETCH_AND_ADD), ONLY },	\
	[PKT_##t | PKT_FLUSH] = {							\
		HAS(HEAD_##t | PKT_FETH | PKT_RETH), OF_FLUSH, ONLY },			\
	[PKT_##t | PKT_ATOMIC_WRITE] = {						\
		HAS(HEAD_##t | PKT_RETH), OF_WRITE(ATOMIC_WRITE), ONLY },		\
	[PKT_##t | PKT_READ_RESPONSE_FIRST] = { HAS(PKT_AETH), ANSWER_DATA, FIRST },	\
	[PKT_##t | PKT_READ_RESPONSE_MIDDLE] = { HAS(0), ANSWER_DATA },			\
	[PKT_##t | PKT_READ_RESPONSE_LAST] = { HAS(PKT_AETH), ANSWER_DATA, LAST },	\
	[PKT_##t | PKT_READ_RESPONSE_ONLY] = { HAS(PKT_AETH), ANSWER_DATA, ONLY },	\
	[PKT_##t | PKT_ACKNOWLEDGE] = { HAS(PKT_AETH), ANSWER, ONLY },			\
	[PKT_##t | PKT_ATOMIC_ACKNOWLEDGE] = {						\
		HAS(PKT_AETH | PKT_ATOMICACK), ANSWER, ONLY }

const struct mirage_pkt_op mirage_pkt_ops[256] = {
	SENDS(RC), WRITES(RC), RELIABLES(RC),
	SENDS(XRC), WRITES(XRC), RELIABLES(XRC),
	SENDS(UC), WRITES(UC),
	SENDS_ONLY(UD),
};

static_assert(PKT_BTH_LEN + EXT_LEN(PKT_XRCETH | PKT_ATOMICETH) <= PKT_HDR_MAX);
static_assert(PKT_BTH_LEN + EXT_LEN(PKT_XRCETH | PKT_FETH | PKT_RETH) <= PKT_HDR_MAX);
static_assert(PKT_BTH_LEN + EXT_LEN(PKT_XRCETH | PKT_RETH | PKT_IMMDT) <= PKT_HDR_MAX);

/* The kinds of a request's packets by place. What a row lacks is 0: PKT_SEND_FIRST. */
static const struct {
	u8 first;
	u8 middle;
	u8 last;
	u8 only;
} kinds[OP_COUNT] = {
	[IB_UVERBS_WR_RDMA_WRITE] = {
		.first = PKT_WRITE_FIRST, .middle = PKT_WRITE_MIDDLE,
		.last = PKT_WRITE_LAST, .only = PKT_WRITE_ONLY,
	},
	[IB_UVERBS_WR_RDMA_WRITE_WITH_IMM] = {
		.first = PKT_WRITE_FIRST, .middle = PKT_WRITE_MIDDLE,
		.last = PKT_WRITE_LAST_WITH_IMM, .only = PKT_WRITE_ONLY_WITH_IMM,
	},
	[IB_UVERBS_WR_SEND] = {
		.first = PKT_SEND_FIRST, .middle = PKT_SEND_MIDDLE,
		.last = PKT_SEND_LAST, .only = PKT_SEND_ONLY,
	},
	[IB_UVERBS_WR_SEND_WITH_IMM] = {
		.first = PKT_SEND_FIRST, .middle = PKT_SEND_MIDDLE,
		.last = PKT_SEND_LAST_WITH_IMM, .only = PKT_SEND_ONLY_WITH_IMM,
	},
	[IB_UVERBS_WR_SEND_WITH_INV] = {
		.first = PKT_SEND_FIRST, .middle = PKT_SEND_MIDDLE,
		.last = PKT_SEND_LAST_WITH_INV, .only = PKT_SEND_ONLY_WITH_INV,
	},
	[IB_UVERBS_WR_RDMA_READ].only = PKT_READ_REQUEST,
	[IB_UVERBS_WR_ATOMIC_CMP_AND_SWP].only = PKT_COMPARE_SWAP,
	[IB_UVERBS_WR_ATOMIC_FETCH_AND_ADD].only = PKT_FETCH_ADD,
	[IB_UVERBS_WR_FLUSH].only = PKT_FLUSH,
	[IB_UVERBS_WR_ATOMIC_WRITE].only = PKT_ATOMIC_WRITE,
};

u8 mirage_pkt_opcode(enum mirage_pkt_transport transport, u8 wr, bool first, bool last)
{
	const struct mirage_pkt_op *op;
	u8 opcode = transport;

	if (wr >= OP_COUNT)
		return PKT_NONE;
	wr = array_index_nospec(wr, OP_COUNT);
	if (first)
		opcode |= last ? kinds[wr].only : kinds[wr].first;
	else
		opcode |= last ? kinds[wr].last : kinds[wr].middle;

	op = &mirage_pkt_ops[opcode];
	if (!op->valid || op->class != mirage_ops[wr].class ||
	    op->first != first || op->last != last)
		return PKT_NONE;
	return opcode;
}

/* The extension headers of a packet that is long enough, in the order of enum mirage_pkt_ext. */
static void pkt_parse_ext(struct mirage_pkt *pkt, const u8 *p)
{
	u16 ext = pkt->op->ext;

	if (ext & PKT_XRCETH) {
		pkt->srqn = get_unaligned_be32(p) & PSN_MASK;
		p += 4;
	}
	if (ext & PKT_DETH) {
		pkt->qkey = get_unaligned_be32(p);
		pkt->src_qp = get_unaligned_be32(p + 4) & PSN_MASK;
		p += 8;
	}
	if (ext & PKT_FETH) {
		pkt->flush = get_unaligned_be32(p) & 0x3f;
		p += 4;
	}
	if (ext & (PKT_RETH | PKT_ATOMICETH)) {
		pkt->va = get_unaligned_be64(p);
		pkt->rkey = get_unaligned_be32(p + 8);
		p += 12;
	}
	if (ext & PKT_RETH) {
		pkt->dmalen = get_unaligned_be32(p);
		p += 4;
	}
	if (ext & PKT_ATOMICETH) {
		pkt->swap_add = get_unaligned_be64(p);
		pkt->compare = get_unaligned_be64(p + 8);
		p += 16;
	}
	if (ext & PKT_AETH) {
		pkt->syndrome = *p;
		pkt->msn = get_unaligned_be32(p) & PSN_MASK;
		p += 4;
	}
	if (ext & PKT_ATOMICACK) {
		pkt->orig = get_unaligned_be64(p);
		p += 8;
	}
	if (ext & PKT_IMMDT)
		memcpy(&pkt->ex, p, sizeof(pkt->ex));
	if (ext & PKT_IETH)
		pkt->ex = get_unaligned_be32(p);
}

int mirage_pkt_parse(struct mirage_pkt *pkt, const void *data, unsigned int len)
{
	const struct mirage_pkt_op *op;
	unsigned int overhead;
	const u8 *bth = data;
	u32 psn;

	if (len < PKT_BTH_LEN + PKT_ICRC_LEN)
		return -EINVAL;
	op = &mirage_pkt_ops[bth[0]];
	if (!op->valid || bth[1] & BTH_VERSION)
		return -EINVAL;

	psn = get_unaligned_be32(bth + 8);
	*pkt = (struct mirage_pkt) {
		.op = op,
		.opcode = bth[0],
		.solicited = bth[1] & BTH_SOLICITED,
		.ack = psn & BTH_ACKREQ,
		.pad = mirage_pkt_pad(bth),
		.pkey = get_unaligned_be16(bth + 2),
		.qpn = get_unaligned_be32(bth + 4) & PSN_MASK,
		.psn = psn & PSN_MASK,
	};

	overhead = op->len + pkt->pad + PKT_ICRC_LEN;
	if (len < overhead || len > U16_MAX || (len - overhead + pkt->pad) % 4)
		return -EINVAL;
	pkt->payload = len - overhead;
	if (!op->payload && (pkt->payload || pkt->pad))
		return -EINVAL;
	/* Pad fills up a payload: without one there is none. */
	if (!pkt->payload && pkt->pad)
		return -EINVAL;
	if (op->ext)
		pkt_parse_ext(pkt, bth + PKT_BTH_LEN);
	return 0;
}

static void pkt_build_ext(u8 *p, const struct mirage_pkt *pkt)
{
	u16 ext = pkt->op->ext;

	if (ext & PKT_XRCETH) {
		put_unaligned_be32(pkt->srqn & PSN_MASK, p);
		p += 4;
	}
	if (ext & PKT_DETH) {
		put_unaligned_be32(pkt->qkey, p);
		put_unaligned_be32(pkt->src_qp & PSN_MASK, p + 4);
		p += 8;
	}
	if (ext & PKT_FETH) {
		put_unaligned_be32(pkt->flush, p);
		p += 4;
	}
	if (ext & (PKT_RETH | PKT_ATOMICETH)) {
		put_unaligned_be64(pkt->va, p);
		put_unaligned_be32(pkt->rkey, p + 8);
		p += 12;
	}
	if (ext & PKT_RETH) {
		put_unaligned_be32(pkt->dmalen, p);
		p += 4;
	}
	if (ext & PKT_ATOMICETH) {
		put_unaligned_be64(pkt->swap_add, p);
		put_unaligned_be64(pkt->compare, p + 8);
		p += 16;
	}
	if (ext & PKT_AETH) {
		put_unaligned_be32((u32)pkt->syndrome << 24 | (pkt->msn & PSN_MASK), p);
		p += 4;
	}
	if (ext & PKT_ATOMICACK) {
		put_unaligned_be64(pkt->orig, p);
		p += 8;
	}
	if (ext & PKT_IMMDT)
		memcpy(p, &pkt->ex, sizeof(pkt->ex));
	if (ext & PKT_IETH)
		put_unaligned_be32(pkt->ex, p);
}

unsigned int mirage_pkt_build(void *to, struct mirage_pkt *pkt)
{
	u8 *bth = to;

	pkt->op = &mirage_pkt_ops[pkt->opcode];
	pkt->pad = -pkt->payload & 3;

	bth[0] = pkt->opcode;
	bth[1] = (pkt->solicited ? BTH_SOLICITED : 0) | BTH_MIGRATED |
		 pkt->pad << BTH_PAD_SHIFT;
	put_unaligned_be16(pkt->pkey, bth + 2);
	put_unaligned_be32(pkt->qpn & PSN_MASK, bth + 4);
	put_unaligned_be32((pkt->ack ? BTH_ACKREQ : 0) | (pkt->psn & PSN_MASK), bth + 8);
	pkt_build_ext(bth + PKT_BTH_LEN, pkt);
	return pkt->op->len;
}

void mirage_pkt_repeat(void *first, unsigned int len, unsigned int num)
{
	u32 psn = get_unaligned_be32(first + 8);
	u8 *bth = first;

	while (--num) {
		bth += len;
		psn = (psn & ~PSN_MASK) | ((psn + 1) & PSN_MASK);
		memcpy(bth, first, PKT_BTH_LEN + 4);
		put_unaligned_be32(psn, bth + 8);
	}
}

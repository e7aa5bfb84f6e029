/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * RoCEv2 packets: headers as values
 *
 * Pure: no skb, no lock, no device; tests/unit compiles it in userspace. A packet is
 * what stands in a UDP datagram: BTH, extension headers, payload, pad, ICRC
 * (IBA volume 1, chapter 9; annex A17 for the ICRC over IP).
 */
#ifndef MIRAGE_PACKET_H
#define MIRAGE_PACKET_H

#include <linux/string.h>
#include <linux/types.h>
#include <linux/unaligned.h>

#include "queue/opcode.h"

#define PKT_BTH_LEN	12
#define PKT_ICRC_LEN	4
/* BTH, XRCETH, RETH and immediate, or BTH, DETH and immediate, ... */
#define PKT_HDR_MAX	(PKT_BTH_LEN + 4 + 28 + 4)

/* Upper three bits of a BTH opcode. */
enum mirage_pkt_transport {
	PKT_RC	= 0x00,
	PKT_UC	= 0x20,
	PKT_UD	= 0x60,
	PKT_XRC	= 0xa0,
};

/* Lower five bits; not every transport has all of them. */
enum mirage_pkt_kind {
	PKT_SEND_FIRST			= 0x00,
	PKT_SEND_MIDDLE			= 0x01,
	PKT_SEND_LAST			= 0x02,
	PKT_SEND_LAST_WITH_IMM		= 0x03,
	PKT_SEND_ONLY			= 0x04,
	PKT_SEND_ONLY_WITH_IMM		= 0x05,
	PKT_WRITE_FIRST			= 0x06,
	PKT_WRITE_MIDDLE		= 0x07,
	PKT_WRITE_LAST			= 0x08,
	PKT_WRITE_LAST_WITH_IMM		= 0x09,
	PKT_WRITE_ONLY			= 0x0a,
	PKT_WRITE_ONLY_WITH_IMM		= 0x0b,
	PKT_READ_REQUEST		= 0x0c,
	PKT_READ_RESPONSE_FIRST		= 0x0d,
	PKT_READ_RESPONSE_MIDDLE	= 0x0e,
	PKT_READ_RESPONSE_LAST		= 0x0f,
	PKT_READ_RESPONSE_ONLY		= 0x10,
	PKT_ACKNOWLEDGE			= 0x11,
	PKT_ATOMIC_ACKNOWLEDGE		= 0x12,
	PKT_COMPARE_SWAP		= 0x13,
	PKT_FETCH_ADD			= 0x14,
	PKT_SEND_LAST_WITH_INV		= 0x16,
	PKT_SEND_ONLY_WITH_INV		= 0x17,
	PKT_FLUSH			= 0x1c,
	PKT_ATOMIC_WRITE		= 0x1d,
};

/* What mirage_pkt_opcode() returns where there is no such opcode. */
#define PKT_NONE	0xff

/* The two parts of a BTH opcode. */
#define PKT_KIND	0x1f
#define PKT_TRANSPORT	0xe0

/* Extension headers, in the order in which they follow the BTH. */
enum mirage_pkt_ext {
	PKT_XRCETH	= 1 << 0,	/* 4 bytes */
	PKT_DETH	= 1 << 1,	/* 8 */
	PKT_FETH	= 1 << 2,	/* 4 */
	PKT_RETH	= 1 << 3,	/* 16 */
	PKT_ATOMICETH	= 1 << 4,	/* 28 */
	PKT_AETH	= 1 << 5,	/* 4 */
	PKT_ATOMICACK	= 1 << 6,	/* 8 */
	PKT_IMMDT	= 1 << 7,	/* 4 */
	PKT_IETH	= 1 << 8,	/* 4 */
};

/**
 * struct mirage_pkt_op - facts of one BTH opcode
 * @valid: there is such an opcode
 * @ext: extension headers, enum mirage_pkt_ext
 * @len: of BTH and extension headers
 * @class: what kind of request it is (part) of, OP_NONE for a response
 * @response: it answers a request: for the requester's side
 * @first: it begins a message (an "only" begins and ends one)
 * @last: it ends one
 * @payload: it may have a payload
 * @wr: enum ib_uverbs_wr_opcode of the request that it ends, or begins; meaningless for
 *	a response
 */
struct mirage_pkt_op {
	bool valid;
	u16 ext;
	u8 len;
	enum mirage_op_class class;
	bool response;
	bool first;
	bool last;
	bool payload;
	u8 wr;
};

/**
 * struct mirage_pkt - a packet's headers
 * @op: facts of @opcode; set by mirage_pkt_parse() and mirage_pkt_build()
 * @opcode: BTH
 * @solicited: BTH SE
 * @ack: BTH AckReq
 * @pkey: BTH
 * @qpn: BTH, destination QP
 * @psn: BTH, 24 bits
 * @pad: BTH, bytes after the payload
 * @payload: its length without @pad
 * @va: RETH, AtomicETH
 * @rkey: RETH, AtomicETH
 * @dmalen: RETH
 * @swap_add: AtomicETH
 * @compare: AtomicETH
 * @syndrome: AETH
 * @msn: AETH, 24 bits
 * @orig: AtomicAckETH
 * @ex: ImmDt, big endian as it is, or the rkey of IETH
 * @qkey: DETH
 * @src_qp: DETH
 * @srqn: XRCETH
 * @flush: FETH: placement type in bits 0-3, selectivity in bits 4-5
 */
struct mirage_pkt {
	const struct mirage_pkt_op *op;
	u8 opcode;
	bool solicited;
	bool ack;
	u8 pad;
	u16 pkey;
	u16 payload;
	u32 qpn;
	u32 psn;
	u64 va;
	u32 rkey;
	u32 dmalen;
	u64 swap_add;
	u64 compare;
	u64 orig;
	u8 syndrome;
	u32 msn;
	u32 ex;
	u32 qkey;
	u32 src_qp;
	u32 srqn;
	u32 flush;
};

extern const struct mirage_pkt_op mirage_pkt_ops[256];

/* AETH syndromes (IBA 9.7.5.1.2): the kind in the upper three bits. */
#define AETH_KIND		0x60
#define AETH_ACK		0x00
#define AETH_RNR		0x20	/* timer in the lower five */
#define AETH_NAK		0x60	/* code in the lower five */
#define AETH_CREDITS_NONE	0x1f	/* "no end to end flow control" */
#define AETH_NAK_PSN		0x60
#define AETH_NAK_INVALID	0x61
#define AETH_NAK_ACCESS		0x62
#define AETH_NAK_OPERATIONAL	0x63

#define PSN_MASK	0xffffff

/** mirage_psn_cmp - how far @a is ahead of @b, modulo 2^24: negative when it is behind */
static inline s32 mirage_psn_cmp(u32 a, u32 b)
{
	return (s32)((a - b) << 8) >> 8;
}

/**
 * mirage_pkt_opcode - the BTH opcode of a part of a request
 * @transport: whose
 * @wr: enum ib_uverbs_wr_opcode
 * @first: it begins the message
 * @last: it ends it
 *
 * A request that is always one packet (READ, atomics, FLUSH) is both first and last.
 *
 * Return: the opcode; PKT_NONE when the transport has no such opcode.
 */
u8 mirage_pkt_opcode(enum mirage_pkt_transport transport, u8 wr, bool first, bool last);

/**
 * mirage_pkt_parse - read the headers of a packet
 * @pkt: filled
 * @data: from the BTH on
 * @len: bytes there, through the ICRC
 *
 * Fields of headers that the packet lacks are 0. Whoever knows the QP checks how long the
 * payload may be, or must be (of an ATOMIC WRITE, of a FIRST).
 *
 * Return: 0; -EINVAL: truncated, an unknown opcode or transport version, lengths
 * that contradict each other, a payload where the opcode has none.
 */
int mirage_pkt_parse(struct mirage_pkt *pkt, const void *data, unsigned int len);

/** mirage_pkt_ask - set AckReq in the headers of a packet, at its BTH */
static inline void mirage_pkt_ask(void *bth)
{
	((u8 *)bth)[8] |= 0x80;
}

/** mirage_pkt_pad - BTH's pad count of the packet at @data */
static inline unsigned int mirage_pkt_pad(const void *data)
{
	return ((const u8 *)data)[1] >> 4 & 3;
}

/**
 * mirage_pkt_repeat - copy headers to the packets behind, with consecutive PSNs
 * @first: the first, built; the others follow it
 * @len: bytes from one to the next
 * @num: packets, the first included
 *
 * Headers of up to PKT_BTH_LEN + 4 bytes. So many bytes are written, whatever their
 * length is: write the payloads after that.
 */
void mirage_pkt_repeat(void *first, unsigned int len, unsigned int num);

/**
 * mirage_pkt_follows - does a packet follow another within a message?
 * @prev: the one before, from its BTH on, without extension headers
 * @bth: the packet
 *
 * Return: whether its PSN is the next one and all else is equal, but for AckReq.
 */
static inline bool mirage_pkt_follows(const void *prev, const void *bth)
{
	u32 psn = get_unaligned_be32(prev + 8) + 1;

	return !memcmp(prev, bth, 8) &&
	       !((psn ^ get_unaligned_be32(bth + 8)) & PSN_MASK);
}

/** mirage_pkt_asks - AckReq of the packet at its BTH */
static inline bool mirage_pkt_asks(const void *bth)
{
	return ((const u8 *)bth)[8] & 0x80;
}

/**
 * mirage_pkt_build - write the headers of a packet
 * @to: where; room for PKT_HDR_MAX
 * @pkt: what; ->op and ->pad are set here, from ->opcode and ->payload
 *
 * ->opcode must be one of mirage_pkt_ops.
 *
 * Return: their length, the ->len of its mirage_pkt_ops.
 */
unsigned int mirage_pkt_build(void *to, struct mirage_pkt *pkt);

#endif

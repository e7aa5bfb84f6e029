// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* packet.c: every opcode, every length, and random bytes. */
#include "kshim.h"
#include "net/packet.h"
#include "unit_test.h"

/* Copy a packet to a heap block of its own, so that ASan sees reads beyond it. */
static u8 *block(const void *from, size_t len)
{
	u8 *p = malloc(len ? len : 1);

	assert(p);
	memcpy(p, from, len);
	return p;
}

static int parse_block(struct mirage_pkt *pkt, const void *from, size_t len)
{
	u8 *p = block(from, len);
	int err = mirage_pkt_parse(pkt, p, len);

	free(p);
	return err;
}

static struct mirage_pkt random_pkt(u8 opcode, uint64_t *seed)
{
	u16 ext = mirage_pkt_ops[opcode].ext;
	struct mirage_pkt pkt = {
		.opcode = opcode,
		.solicited = unit_random(seed) & 1,
		.ack = unit_random(seed) & 1,
		.pkey = unit_random(seed),
		.qpn = unit_random(seed) & PSN_MASK,
		.psn = unit_random(seed) & PSN_MASK,
	};

	if (mirage_pkt_ops[opcode].payload)
		pkt.payload = unit_random(seed) % 4097;
	if (ext & (PKT_RETH | PKT_ATOMICETH)) {
		pkt.va = unit_random(seed);
		pkt.rkey = unit_random(seed);
	}
	if (ext & PKT_RETH)
		pkt.dmalen = unit_random(seed);
	if (ext & PKT_ATOMICETH) {
		pkt.swap_add = unit_random(seed);
		pkt.compare = unit_random(seed);
	}
	if (ext & PKT_AETH) {
		pkt.syndrome = unit_random(seed);
		pkt.msn = unit_random(seed) & PSN_MASK;
	}
	if (ext & PKT_ATOMICACK)
		pkt.orig = unit_random(seed);
	if (ext & (PKT_IMMDT | PKT_IETH))
		pkt.ex = unit_random(seed);
	if (ext & PKT_DETH) {
		pkt.qkey = unit_random(seed);
		pkt.src_qp = unit_random(seed) & PSN_MASK;
	}
	if (ext & PKT_XRCETH)
		pkt.srqn = unit_random(seed) & PSN_MASK;
	if (ext & PKT_FETH)
		pkt.flush = unit_random(seed) & 0x3f;
	return pkt;
}

static void packet__table(void)
{
	unsigned int n, known = 0;
	const struct mirage_pkt_op *op;

	for (n = 0; n < 256; n++) {
		op = &mirage_pkt_ops[n];
		if (!op->valid)
			continue;
		known++;
		CHECK(op->len >= PKT_BTH_LEN && op->len <= PKT_HDR_MAX);
		CHECK_EQ(op->class == OP_NONE, op->response);
		CHECK_EQ(!!(op->ext & PKT_XRCETH), (n & 0xe0) == PKT_XRC && !op->response);
		CHECK_EQ(!!(op->ext & PKT_DETH), (n & 0xe0) == PKT_UD);
		/* The headers say what the request is, and what a completion of it has. */
		if (!op->response && op->last) {
			CHECK_EQ(!!(op->ext & PKT_IMMDT),
				 mirage_op_of(op->wr)->ex == MIRAGE_WC_WITH_IMM);
			CHECK_EQ(!!(op->ext & PKT_IETH),
				 mirage_op_of(op->wr)->ex == MIRAGE_WC_WITH_INV);
			CHECK_EQ(op->class, mirage_op_of(op->wr)->class);
		}
	}
	/* RC, XRC, UC, UD */
	CHECK_EQ(known, 25 + 25 + 12 + 2);
}

/* Where a request's packets are: each opcode is made by one request of mirage_pkt_opcode(). */
static void packet__opcode(void)
{
	static const enum mirage_pkt_transport transports[] = { PKT_RC, PKT_XRC, PKT_UC, PKT_UD };
	bool made[256] = { false };
	unsigned int t, wr, place, n;
	u8 opcode;

	for (t = 0; t < ARRAY_SIZE(transports); t++) {
		for (wr = 0; wr < 256; wr++) {
			for (place = 0; place < 4; place++) {
				opcode = mirage_pkt_opcode(transports[t], wr, place & 1, place & 2);
				if (opcode == PKT_NONE)
					continue;
				made[opcode] = true;
				CHECK(!mirage_pkt_ops[opcode].response);
				CHECK_EQ(opcode & 0xe0, transports[t]);
				CHECK_EQ(mirage_pkt_ops[opcode].first, place & 1);
				CHECK_EQ(mirage_pkt_ops[opcode].last, place >> 1);
				CHECK(!mirage_pkt_ops[opcode].last || mirage_pkt_ops[opcode].wr == wr);
				CHECK_EQ(mirage_pkt_ops[opcode].class, mirage_op_of(wr)->class);
			}
		}
	}
	for (n = 0; n < 256; n++)
		CHECK_EQ(made[n], mirage_pkt_ops[n].valid && !mirage_pkt_ops[n].response);
	CHECK_EQ(mirage_pkt_opcode(PKT_RC, IB_UVERBS_WR_RDMA_WRITE, true, true), 0x0a);
	CHECK_EQ(mirage_pkt_opcode(PKT_UC, IB_UVERBS_WR_RDMA_WRITE_WITH_IMM, false, true), 0x29);
	CHECK_EQ(mirage_pkt_opcode(PKT_UD, IB_UVERBS_WR_SEND_WITH_IMM, true, true), 0x65);
	CHECK_EQ(mirage_pkt_opcode(PKT_XRC, IB_UVERBS_WR_ATOMIC_WRITE, true, true), 0xbd);
	CHECK_EQ(mirage_pkt_opcode(PKT_UC, IB_UVERBS_WR_RDMA_READ, true, true), PKT_NONE);
	CHECK_EQ(mirage_pkt_opcode(PKT_RC, IB_UVERBS_WR_LOCAL_INV, true, true), PKT_NONE);
}

/* A WRITE with immediate, byte by byte as the specification has it. */
static void packet__bytes(void)
{
	static const u8 expected[] = {
		0x0b, 0xf0, 0x80, 0x01, 0x00, 0x12, 0x34, 0x56, 0x80, 0xff, 0xff, 0xfe,
		0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
		0xaa, 0xbb, 0xcc, 0xdd, 0x00, 0x00, 0x00, 0x05,
		0xde, 0xad, 0xbe, 0xef,
	};
	struct mirage_pkt pkt = {
		.opcode = 0x0b, .solicited = true, .ack = true, .pkey = 0x8001,
		.payload = 5, .qpn = 0x123456, .psn = 0xfffffe,
		.va = 0x0102030405060708, .rkey = 0xaabbccdd, .dmalen = 5,
		.ex = htobe32(0xdeadbeef),
	};
	u8 to[PKT_HDR_MAX];

	CHECK_EQ(mirage_pkt_build(to, &pkt), sizeof(expected));
	CHECK_EQ(pkt.pad, 3);
	CHECK(!memcmp(to, expected, sizeof(expected)));
}

static void packet__round_trip(void)
{
	u8 data[PKT_HDR_MAX + 4096 + 4 + PKT_ICRC_LEN] = { 0 };
	unsigned int n, round, len;
	struct mirage_pkt pkt, back;
	uint64_t seed = 1;
	u8 *to;

	for (n = 0; n < 256; n++) {
		for (round = 0; mirage_pkt_ops[n].valid && round < 200; round++) {
			pkt = random_pkt(n, &seed);
			to = malloc(mirage_pkt_ops[n].len);
			assert(to);
			len = mirage_pkt_build(to, &pkt);
			CHECK_EQ(len, mirage_pkt_ops[n].len);
			memcpy(data, to, len);
			free(to);
			len += pkt.payload + pkt.pad + PKT_ICRC_LEN;
			CHECK(!parse_block(&back, data, len));
			CHECK(!memcmp(&back, &pkt, sizeof(pkt)), "opcode 0x%02x", n);
		}
	}
}

/* Every shorter packet is refused, or its payload is shorter by whole words. */
static void packet__truncated(void)
{
	u8 data[PKT_HDR_MAX + 64 + PKT_ICRC_LEN];
	unsigned int n, len, full;
	struct mirage_pkt pkt, back;
	uint64_t seed = 2;
	int err;

	for (n = 0; n < 256; n++) {
		if (!mirage_pkt_ops[n].valid)
			continue;
		pkt = random_pkt(n, &seed);
		pkt.payload = mirage_pkt_ops[n].payload ? 61 : 0;
		full = mirage_pkt_build(data, &pkt) + pkt.payload + pkt.pad + PKT_ICRC_LEN;
		for (len = 0; len < full; len++) {
			err = parse_block(&back, data, len);
			if (!err) {
				CHECK_EQ((full - len) % 4, 0);
				CHECK_EQ(pkt.payload - back.payload, full - len);
				CHECK(back.payload);
			}
		}
		CHECK(!parse_block(&back, data, full));
		/* An opcode without payload has nothing after its headers. */
		CHECK_EQ(parse_block(&back, data, full + 4),
			 mirage_pkt_ops[n].payload ? 0 : -EINVAL);
		CHECK_EQ(parse_block(&back, data, full + 1), -EINVAL);
	}
}

static void packet__lies(void)
{
	u8 data[PKT_BTH_LEN + 8 + PKT_ICRC_LEN] = { PKT_SEND_ONLY };
	u8 *huge = calloc(1, 0x20000);
	struct mirage_pkt pkt;

	CHECK(!parse_block(&pkt, data, sizeof(data)));
	CHECK_EQ(pkt.payload, 8);
	data[1] = 0x01;			/* transport header version */
	CHECK_EQ(parse_block(&pkt, data, sizeof(data)), -EINVAL);
	data[1] = 0x30;			/* pad */
	CHECK(!parse_block(&pkt, data, sizeof(data)));
	CHECK_EQ(pkt.payload, 5);
	CHECK_EQ(parse_block(&pkt, data, PKT_BTH_LEN + PKT_ICRC_LEN), -EINVAL);
	CHECK_EQ(parse_block(&pkt, data, PKT_BTH_LEN + 2 + PKT_ICRC_LEN), -EINVAL);

	/* 16 bits of length do not wrap. */
	assert(huge);
	huge[0] = PKT_SEND_ONLY;
	CHECK_EQ(mirage_pkt_parse(&pkt, huge, 0x10000), -EINVAL);
	CHECK_EQ(mirage_pkt_parse(&pkt, huge, 0x10000 + 64), -EINVAL);
	free(huge);
}

static void packet__random(void)
{
	unsigned int round, i, len;
	uint64_t seed = 3, word;
	struct mirage_pkt pkt;
	u8 data[96];

	for (round = 0; round < 300000; round++) {
		len = unit_random(&seed) % (sizeof(data) + 1);
		for (i = 0; i < len; i++)
			data[i] = unit_random(&seed);
		word = unit_random(&seed);
		if (len > 1 && word & 1)
			data[1] &= 0xf0;
		if (parse_block(&pkt, data, len))
			continue;
		CHECK(mirage_pkt_ops[data[0]].valid);
		CHECK_EQ(pkt.op->len + pkt.payload + pkt.pad + PKT_ICRC_LEN, len);
	}
}

static void packet__psn(void)
{
	CHECK_EQ(mirage_psn_cmp(5, 3), 2);
	CHECK_EQ(mirage_psn_cmp(3, 5), -2);
	CHECK_EQ(mirage_psn_cmp(0, 0xffffff), 1);
	CHECK_EQ(mirage_psn_cmp(0xffffff, 0), -1);
	CHECK_EQ(mirage_psn_cmp(0x1000001, 0), 1);
	CHECK_EQ(mirage_psn_cmp(0x7fffff, 0), 0x7fffff);
	CHECK_EQ(mirage_psn_cmp(0x800000, 0), -0x800000);
}

/* A header made by repeating the first follows it; any other does not. */
static void packet__run(void)
{
	struct mirage_pkt pkt = {
		.opcode = PKT_RC | PKT_WRITE_MIDDLE, .pkey = 0xffff, .qpn = 0x123456,
		.psn = 0xfffffe, .payload = 256,
	};
	u8 data[4 * 272] = { 0 }, *bth;
	struct mirage_pkt got;
	int i, bit;

	mirage_pkt_build(data, &pkt);
	mirage_pkt_repeat(data, 272, 4);
	for (i = 0, bth = data; i < 4; i++, bth += 272) {
		CHECK_EQ(mirage_pkt_parse(&got, bth, 272), 0);
		CHECK_EQ(got.psn, (pkt.psn + i) & PSN_MASK);
		CHECK_EQ(got.opcode, pkt.opcode);
		CHECK_EQ(got.qpn, pkt.qpn);
		CHECK(!i || mirage_pkt_follows(bth - 272, bth));
		CHECK(!mirage_pkt_follows(bth, bth));
		CHECK(!mirage_pkt_asks(bth));
	}
	bth = data + 272;
	mirage_pkt_ask(bth);
	CHECK(mirage_pkt_asks(bth));
	CHECK(mirage_pkt_follows(data, bth) && mirage_pkt_follows(bth, bth + 272));
	/* AckReq and the reserved bits beside it do not matter. */
	for (bit = 0; bit < 8 * PKT_BTH_LEN; bit++) {
		bth[bit / 8] ^= 1 << bit % 8;
		CHECK_EQ(mirage_pkt_follows(data, bth), bit / 8 == 8);
		bth[bit / 8] ^= 1 << bit % 8;
	}
}

const struct test_case packet_cases[] = {
	{ "packet__table", packet__table, 0 },
	{ "packet__opcode", packet__opcode, 0 },
	{ "packet__bytes", packet__bytes, 0 },
	{ "packet__round_trip", packet__round_trip, 0 },
	{ "packet__truncated", packet__truncated, 0 },
	{ "packet__lies", packet__lies, 0 },
	{ "packet__random", packet__random, 0 },
	{ "packet__psn", packet__psn, 0 },
	{ "packet__run", packet__run, 0 },
};

const size_t packet_count = ARRAY_SIZE(packet_cases);

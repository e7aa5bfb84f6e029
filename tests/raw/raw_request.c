// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Right requests, and requests that are wrong whatever the state of the QP
 */
#include <stdlib.h>
#include <string.h>

#include "raw.h"

#define LEN	(64 * 1024)

static uint8_t data[LEN], back[1 << 20];

static void write_lengths(void)
{
	static const size_t lens[] = { 0, 1, 3, 8, 1023, 1024, 1025, 4096, 5001, LEN };
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, 2 * LEN, RC_ACCESS_ALL);
	struct raw_pkt pkt[LEN / RAW_MTU + 1];
	size_t i, n;

	for (i = 0; i < 2 * ARRAY_SIZE(lens); i++) {
		size_t len = lens[i / 2], off = 17 * i;

		rc_fill(data, len, i);
		memset(buf.addr, 0xee, buf.len);
		n = raw_write_pkts(r, pkt, data, len, &buf, off);
		if (i & 1)
			raw_gso(r, pkt, n);
		else
			raw_send(r, pkt, n);
		raw_expect(r, ACKNOWLEDGE, ACK, r->psn - 1);
		rc_verify(buf.addr + off, len, i, "written");
		CHECK_EQ(buf.addr[off + len], 0xee);
		CHECK(!off || buf.addr[off - 1] == 0xee);
	}
	raw_silence(r);
	rc_buf_free(&buf);
	raw_close(r);
}

static void send_lengths(void)
{
	static const size_t lens[] = { 0, 1, 1023, 1024, 1025, 5001, LEN };
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, 2 * LEN, RC_ACCESS_ALL);
	struct raw_pkt pkt[LEN / RAW_MTU + 1];
	size_t i, n;

	for (i = 0; i < 2 * ARRAY_SIZE(lens); i++) {
		size_t len = lens[i / 2];
		struct ibv_sge sge[3] = {
			rc_sge(&buf, 0, len / 3), rc_sge(&buf, len / 3, len - len / 3),
			rc_sge(&buf, len, 5),
		};
		struct ibv_wc wc;

		rc_fill(data, len, i);
		memset(buf.addr, 0xee, buf.len);
		rc_recv(&r->end, i, sge, 3);
		n = raw_send_pkts(r, pkt, data, len);
		if (i & 1)
			raw_gso(r, pkt, n);
		else
			raw_send(r, pkt, n);
		raw_expect(r, ACKNOWLEDGE, ACK, r->psn - 1);
		wc = rc_wc_ok(r->end.rcq);
		CHECK_EQ(wc.byte_len, len);
		CHECK_EQ(wc.wr_id, i);
		CHECK_EQ(wc.src_qp, RAW_QPN);
		rc_verify(buf.addr, len, i, "sent");
		CHECK_EQ(buf.addr[len], 0xee);
	}
	rc_buf_free(&buf);
	raw_close(r);
}

static void immediates(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	struct raw_pkt pkt[4];
	struct ibv_sge sge = rc_sge(&buf, 0, 100);
	struct ibv_wc wc;
	int i;

	for (i = 0; i < 4; i++) {
		size_t n, len = i & 1 ? 2000 : 50;
		bool send = i & 2;

		sge.length = 2000;
		rc_fill(data, len, i);
		rc_recv(&r->end, i, &sge, 1);
		if (send)
			n = raw_send_pkts(r, pkt, data, len);
		else
			n = raw_write_pkts(r, pkt, data, len, &buf, 4096);
		pkt[n - 1].opcode++;
		raw_u32(&pkt[n - 1], 0x11223344 + i);
		raw_send(r, pkt, n);
		raw_expect(r, ACKNOWLEDGE, ACK, r->psn - 1);
		wc = rc_wc_ok(r->end.rcq);
		CHECK_EQ(wc.opcode, send ? IBV_WC_RECV : IBV_WC_RECV_RDMA_WITH_IMM);
		CHECK_EQ(wc.byte_len, len);
		CHECK(wc.wc_flags & IBV_WC_WITH_IMM);
		CHECK_EQ(be32toh(wc.imm_data), 0x11223344 + i);
		rc_verify(buf.addr + (send ? 0 : 4096), len, i, "with immediate");
	}
	rc_buf_free(&buf);
	raw_close(r);
}

/* One super-packet of many messages: one ACK, for the last one. */
static void one_ack(void)
{
	struct raw *r = raw_open(NULL, 0xfffff0);
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	struct raw_pkt pkt[40];
	size_t i;

	rc_fill(data, LEN, 1);
	for (i = 0; i < 40; i++)
		raw_write_pkts(r, &pkt[i], data + i * 100, 100, &buf, i * 100);
	raw_gso(r, pkt, 40);
	raw_expect(r, ACKNOWLEDGE, ACK, 0xfffff0 + 39);
	raw_silence(r);
	rc_verify(buf.addr, 4000, 1, "forty messages");

	for (i = 0; i < 40; i++) {
		pkt[i].psn += 40;
		pkt[i].ack = false;
	}
	raw_gso(r, pkt, 40);
	raw_silence(r);
	rc_buf_free(&buf);
	raw_close(r);
}

static void read_lengths(void)
{
	static const size_t lens[] = { 0, 1, 7, 1024, 1025, 2048, 5001, LEN, 1 << 20 };
	struct raw *r = raw_open(NULL, 0xffff00);
	struct rc_buf buf = rc_buf(r->dev, 1 << 21, RC_ACCESS_ALL);
	size_t i;

	rc_fill(buf.addr, buf.len, 3);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		uint32_t psn = r->psn;
		struct raw_pkt pkt = raw_read_pkt(r, &buf, 11 * i, lens[i]);

		raw_send(r, &pkt, 1);
		memset(back, 0, sizeof(back));
		raw_read_answer(r, psn, back, lens[i]);
		CHECK(!memcmp(back, buf.addr + 11 * i, lens[i]), "(%zu bytes)", lens[i]);
	}
	raw_silence(r);
	rc_buf_free(&buf);
	raw_close(r);
}

static void atomics(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	uint64_t *word = (uint64_t *)buf.addr;
	struct raw_pkt pkt = { .opcode = FETCH_ADD, .psn = r->psn++ };
	struct raw_ans a;

	*word = 100;
	raw_atomic_eth(&pkt, (uintptr_t)word, buf.mr->rkey, 5, 0);
	raw_send(r, &pkt, 1);
	a = raw_recv(r);
	CHECK_EQ(a.opcode, ATOMIC_ACK);
	CHECK_EQ(a.psn, pkt.psn);
	CHECK_EQ(a.orig, 100);
	CHECK_EQ(*word, 105);

	pkt = (struct raw_pkt){ .opcode = COMPARE_SWAP, .psn = r->psn++ };
	raw_atomic_eth(&pkt, (uintptr_t)word, buf.mr->rkey, 7, 105);
	raw_send(r, &pkt, 1);
	a = raw_recv(r);
	CHECK_EQ(a.orig, 105);
	CHECK_EQ(*word, 7);

	pkt.psn = r->psn++;
	raw_send(r, &pkt, 1);
	a = raw_recv(r);
	CHECK_EQ(a.orig, 7);
	CHECK_EQ(*word, 7);

	pkt.psn = r->psn++;
	pkt.ext[7] += 4;
	raw_send(r, &pkt, 1);
	raw_expect(r, ACKNOWLEDGE, NAK_INVALID, pkt.psn);
	CHECK_EQ(rc_state(&r->end), IBV_QPS_ERR);
	rc_buf_free(&buf);
	raw_close(r);
}

/* The answer to both is a READ response without bytes (IBA annex A19). */
static void atomic_write_and_flush(void)
{
	struct raw *r = raw_open(&(struct rc_attr){ .access = RC_ACCESS_ALL |
				 IBV_ACCESS_FLUSH_GLOBAL }, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_pkt pkt = { .opcode = ATOMIC_WRITE, .psn = r->psn++,
			       .payload = "8 bytes", .len = 8 };
	struct rc_buf flushed;
	struct ibv_mr *mr;
	int i;

	raw_reth(&pkt, (uintptr_t)buf.addr + 16, buf.mr->rkey, 8);
	raw_send(r, &pkt, 1);
	raw_expect(r, READ_RESP_ONLY, ACK, pkt.psn);
	CHECK(!memcmp(buf.addr + 16, "8 bytes", 8));
	/* A duplicate is answered, not executed. */
	memset(buf.addr, 0, 64);
	raw_send(r, &pkt, 1);
	raw_expect(r, READ_RESP_ONLY, ACK, pkt.psn);
	CHECK_EQ(buf.addr[16], 0);

	mr = ibv_reg_mr(r->dev->pd, buf.addr, PAGE, RC_ACCESS_ALL | IBV_ACCESS_FLUSH_GLOBAL);
	if (!mr)
		test_skip("this kernel knows no flush");
	CHECK(!ibv_dereg_mr(mr));
	flushed = rc_buf(r->dev, PAGE, RC_ACCESS_ALL | IBV_ACCESS_FLUSH_GLOBAL);
	pkt = (struct raw_pkt){ .opcode = FLUSH, .psn = r->psn++ };
	raw_u32(&pkt, 1);
	raw_reth(&pkt, (uintptr_t)flushed.addr, flushed.mr->rkey, 100);
	for (i = 0; i < 2; i++) {
		raw_send(r, &pkt, 1);
		raw_expect(r, READ_RESP_ONLY, ACK, pkt.psn);
	}
	/* The whole region, whatever the rest says. */
	pkt = (struct raw_pkt){ .opcode = FLUSH, .psn = r->psn++ };
	raw_u32(&pkt, 1 | 1 << 4);
	raw_reth(&pkt, 0, flushed.mr->rkey, 0);
	raw_send(r, &pkt, 1);
	raw_expect(r, READ_RESP_ONLY, ACK, pkt.psn);
	/* A region that may not be flushed */
	pkt = (struct raw_pkt){ .opcode = FLUSH, .psn = r->psn++ };
	raw_u32(&pkt, 1);
	raw_reth(&pkt, (uintptr_t)buf.addr, buf.mr->rkey, 100);
	raw_send(r, &pkt, 1);
	raw_expect(r, ACKNOWLEDGE, NAK_ACCESS, pkt.psn);
	rc_buf_free(&flushed);
	rc_buf_free(&buf);
	raw_close(r);
}

/* Send a wrong request; the responder must answer with this syndrome. */
static void refused(struct raw *r, struct raw_pkt *pkt, size_t n, uint8_t syndrome)
{
	raw_send(r, pkt, n);
	raw_expect(r, ACKNOWLEDGE, syndrome, pkt[n - 1].psn);
	CHECK_EQ(rc_state(&r->end), IBV_QPS_ERR);
	/* A QP in error does not answer. */
	raw_send(r, pkt, n);
	raw_silence(r);
	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RESET), 0);
	raw_connect(r, RAW_PSN);
}

static void bad_ranges(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, 2 * PAGE, RC_ACCESS_ALL);
	struct rc_buf local = rc_buf(r->dev, PAGE, IBV_ACCESS_LOCAL_WRITE);
	struct ibv_pd *pd = ibv_alloc_pd(r->dev->ctx);
	struct rc_buf other = rc_buf_pd(pd, PAGE, RC_ACCESS_ALL);
	uint64_t va = (uintptr_t)buf.addr;
	const struct {
		uint64_t va;
		uint32_t rkey, len;
	} bad[] = {
		{ va, buf.mr->rkey ^ 0x100, 8 },
		{ va, buf.mr->rkey ^ 1, 8 },
		{ va, 0, 8 },
		{ va - 1, buf.mr->rkey, 8 },
		{ va + 2 * PAGE - 7, buf.mr->rkey, 8 },
		{ va + 2 * PAGE, buf.mr->rkey, 1 },
		{ ~0ull - 3, buf.mr->rkey, 8 },
		{ (uintptr_t)local.addr, local.mr->rkey, 8 },
		{ (uintptr_t)other.addr, other.mr->rkey, 8 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct raw_pkt w = { .opcode = WRITE_ONLY, .psn = RAW_PSN, .ack = true,
				     .payload = data, .len = bad[i].len };
		struct raw_pkt rd = { .opcode = READ_REQUEST, .psn = RAW_PSN };
		struct raw_pkt a = { .opcode = FETCH_ADD, .psn = RAW_PSN };

		raw_reth(&w, bad[i].va, bad[i].rkey, bad[i].len);
		refused(r, &w, 1, NAK_ACCESS);
		raw_reth(&rd, bad[i].va, bad[i].rkey, bad[i].len);
		refused(r, &rd, 1, NAK_ACCESS);
		raw_atomic_eth(&a, bad[i].va & ~7ull, bad[i].rkey, 1, 0);
		/* Aligned, that one is right. */
		if (bad[i].va != va + 2 * PAGE - 7)
			refused(r, &a, 1, NAK_ACCESS);
	}
	rc_buf_free(&other);
	CHECK_EQ(ibv_dealloc_pd(pd), 0);
	rc_buf_free(&local);
	rc_buf_free(&buf);
	raw_close(r);
}

/* Missing rights of the QP itself, and contradictory lengths. */
static void bad_requests(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, 4 * PAGE, RC_ACCESS_ALL);
	struct raw_pkt p[4], q;
	size_t n;

	n = raw_write_pkts(r, p, data, 3000, &buf, 0);
	CHECK_EQ(n, 3);
	q = p[1];
	q.psn = RAW_PSN;
	refused(r, &q, 1, NAK_INVALID);		/* a middle packet without a first */
	q = p[2];
	q.psn = RAW_PSN;
	refused(r, &q, 1, NAK_INVALID);		/* a last packet without a first */
	q = p[0];
	q.len = 1020;
	refused(r, &q, 1, NAK_INVALID);		/* a first packet that is too short */
	q = p[0];
	q.opcode = WRITE_ONLY;
	refused(r, &q, 1, NAK_INVALID);		/* fewer bytes than the RETH says */
	q = p[0];
	q.opcode = WRITE_ONLY;
	q.len = 3000;
	refused(r, &q, 1, NAK_INVALID);		/* longer than the path MTU */
	memset(q.ext + 12, 0xff, 4);
	q.opcode = READ_REQUEST;
	q.len = 0;
	refused(r, &q, 1, NAK_INVALID);		/* longer than a message may be */

	p[1].len = 1020;
	refused(r, p, 2, NAK_INVALID);		/* a middle packet that is too short */
	p[1].len = 1024;
	p[2].len = 900;
	refused(r, p, 3, NAK_INVALID);		/* the message ends too early */
	p[2].len = 1000;
	refused(r, p, 3, NAK_INVALID);		/* the message ends too late */
	p[2].len = 0;
	refused(r, p, 3, NAK_INVALID);		/* an empty last packet */
	q = p[0];
	q.psn++;
	p[1] = q;
	refused(r, p, 2, NAK_INVALID);		/* another message in the middle of one */
	p[1] = (struct raw_pkt){ .opcode = SEND_MIDDLE, .psn = RAW_PSN + 1,
				 .payload = data, .len = 1024 };
	refused(r, p, 2, NAK_INVALID);
	p[1] = (struct raw_pkt){ .opcode = READ_REQUEST, .psn = RAW_PSN + 1 };
	raw_reth(&p[1], (uintptr_t)buf.addr, buf.mr->rkey, 8);
	refused(r, p, 2, NAK_INVALID);
	rc_buf_free(&buf);
	raw_close(r);
}

static void no_rights(void)
{
	struct raw *r = raw_open(&(struct rc_attr){ .access = IBV_ACCESS_LOCAL_WRITE },
				 RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_pkt w = { .opcode = WRITE_ONLY, .psn = RAW_PSN, .payload = data, .len = 8 };
	struct raw_pkt rd = { .opcode = READ_REQUEST, .psn = RAW_PSN };
	struct raw_pkt a = { .opcode = FETCH_ADD, .psn = RAW_PSN };

	raw_reth(&w, (uintptr_t)buf.addr, buf.mr->rkey, 8);
	refused(r, &w, 1, NAK_INVALID);
	raw_reth(&rd, (uintptr_t)buf.addr, buf.mr->rkey, 8);
	refused(r, &rd, 1, NAK_INVALID);
	raw_atomic_eth(&a, (uintptr_t)buf.addr, buf.mr->rkey, 1, 0);
	refused(r, &a, 1, NAK_INVALID);
	rc_buf_free(&buf);
	raw_close(r);
}

/* A SEND too long for its receive fails at the packet that does not fit. */
static void send_too_long(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct ibv_sge sge = rc_sge(&buf, 0, 2000);
	struct raw_pkt pkt[3];

	memset(buf.addr, 0xee, PAGE);
	rc_recv(&r->end, 1, &sge, 1);
	rc_recv(&r->end, 2, &sge, 1);
	raw_send_pkts(r, pkt, data, 2001);
	raw_send(r, pkt, 2);
	raw_expect(r, ACKNOWLEDGE, NAK_INVALID, RAW_PSN + 1);
	rc_wc_status(r->end.rcq, IBV_WC_LOC_LEN_ERR);
	rc_wc_status(r->end.rcq, IBV_WC_WR_FLUSH_ERR);
	CHECK_EQ(buf.addr[2000], 0xee);
	CHECK_EQ(rc_state(&r->end), IBV_QPS_ERR);
	rc_buf_free(&buf);
	raw_close(r);
}

/* A packet that is not for this QP is dropped without an answer or an effect. */
static void strangers(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_pkt good, bad, some[3];
	uint8_t bytes[256];
	size_t len, i;

	raw_write_pkts(r, &good, data, 100, &buf, 0);
	bad = good;
	bad.pkey = 0x8001;
	raw_send(r, &bad, 1);
	bad = good;
	bad.qpn = r->end.qp->qp_num + 1;
	raw_send(r, &bad, 1);
	bad = good;
	bad.bad_icrc = true;
	raw_send(r, &bad, 1);
	for (i = 0x20; i < 0x100; i += 0x20) {		/* other transports */
		bad = good;
		bad.opcode |= i;
		raw_send(r, &bad, 1);
	}
	bad = good;
	bad.opcode = 0x15;				/* reserved */
	raw_send(r, &bad, 1);
	bad = good;
	bad.pad = 3;					/* the length is no multiple of 4 then */
	raw_send(r, &bad, 1);
	len = raw_build(r, &good, 0, bytes);
	for (i = 0; i < len; i++)			/* every truncation */
		raw_bytes(r, bytes, i);
	raw_silence(r);
	/* A limited member of our partition may talk to us. */
	good.pkey = 0x7fff;
	raw_send(r, &good, 1);
	raw_expect(r, ACKNOWLEDGE, ACK, RAW_PSN);
	/* In a super-packet with good ones they are dropped as well. */
	for (i = 0; i < 3; i++)
		raw_write_pkts(r, &some[i], data, 100, &buf, 0);
	some[1].pkey = 0x8001;
	raw_gso(r, some, 3);
	raw_expect(r, ACKNOWLEDGE, ACK, some[0].psn);
	raw_expect(r, ACKNOWLEDGE, NAK_PSN, some[1].psn);
	rc_buf_free(&buf);
	raw_close(r);
}

static const struct test_case cases[] = {
	{ "raw_write_lengths", write_lengths, 0 },
	{ "raw_send_lengths", send_lengths, 0 },
	{ "raw_immediates", immediates, 0 },
	{ "raw_one_ack", one_ack, 0 },
	{ "raw_read_lengths", read_lengths, 0 },
	{ "raw_atomics", atomics, 0 },
	{ "raw_atomic_write_and_flush", atomic_write_and_flush, 0 },
	{ "raw_bad_ranges", bad_ranges, 0 },
	{ "raw_bad_requests", bad_requests, 0 },
	{ "raw_no_rights", no_rights, 0 },
	{ "raw_send_too_long", send_too_long, 0 },
	{ "raw_strangers", strangers, 0 },
};

CASE_TABLE(raw_request_cases, cases);

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unreliable connections: a message that lost a packet is dropped, the next one counts,
 * and no answer is ever sent (IBA volume 1, 9.8.2)
 */
#include <string.h>
#include <sys/mman.h>

#include "raw.h"

#define UC	0x20u		/* of an opcode, beside that of RC */
#define LEN	5000u		/* five packets */
#define FIVE	5

static uint8_t data[LEN];

static struct raw *uc_open(void)
{
	struct rc_attr attr = { .type = IBV_QPT_UC };

	return raw_open(&attr, RAW_PSN);
}

static void as_uc(struct raw_pkt *pkt, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		pkt[i].opcode |= UC;
}

static void send_but(struct raw *r, struct raw_pkt *pkt, size_t n, size_t lost)
{
	size_t i;

	as_uc(pkt, n);
	for (i = 0; i < n; i++)
		if (i != lost)
			raw_send(r, &pkt[i], 1);
}

static void recv_slot(struct raw *r, const struct rc_buf *buf, uint64_t id)
{
	struct ibv_sge sge = rc_sge(buf, 0, LEN);

	rc_recv(&r->end, id, &sge, 1);
}

/* Single packets and super-packets, with AckReq or not: no answer comes. */
static void whole(void)
{
	struct raw *r = uc_open();
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	struct raw_pkt pkt[FIVE];
	size_t n;
	int i;

	for (i = 0; i < 4; i++) {
		memset(buf.addr, 0, LEN);
		rc_fill(data, LEN, i);
		recv_slot(r, &buf, i);
		n = raw_send_pkts(r, pkt, data, LEN);
		as_uc(pkt, n);
		if (i & 1)
			raw_gso(r, pkt, n);
		else
			raw_send(r, pkt, n);
		CHECK_EQ(rc_wc_ok(r->end.rcq).byte_len, LEN);
		rc_verify(buf.addr, LEN, i, "a UC send");
		rc_fill(data, LEN, i + 50);
		n = raw_write_pkts(r, pkt, data, LEN, &buf, 0);
		as_uc(pkt, n);
		raw_gso(r, pkt, n);
		raw_silence(r);
		rc_verify(buf.addr, LEN, i + 50, "a UC write");
	}
	rc_buf_free(&buf);
	raw_close(r);
}

/* Whichever packet is lost, nothing completes, and the next message gets the receive. */
static void broken_send(void)
{
	struct raw *r = uc_open();
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	struct raw_pkt pkt[FIVE];
	size_t lost, n;

	for (lost = 0; lost < FIVE; lost++) {
		recv_slot(r, &buf, lost);
		rc_fill(data, LEN, 90);
		n = raw_send_pkts(r, pkt, data, LEN);
		CHECK_EQ(n, FIVE);
		send_but(r, pkt, n, lost);
		rc_wc_none(r->end.rcq);
		rc_fill(data, LEN, lost);
		n = raw_send_pkts(r, pkt, data, LEN);
		send_but(r, pkt, n, n);
		CHECK_EQ(rc_wc_ok(r->end.rcq).wr_id, lost);
		rc_verify(buf.addr, LEN, lost, "the message after a broken one");
	}
	raw_silence(r);
	CHECK_EQ(rc_state(&r->end), IBV_QPS_RTS);
	rc_buf_free(&buf);
	raw_close(r);
}

/* No byte of a WRITE is written after a loss, and its immediate never completes. */
static void broken_write(void)
{
	struct raw *r = uc_open();
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	long long before = raw_stat(r, "out_of_sequence");
	struct raw_pkt pkt[FIVE];
	size_t lost, n, i;

	recv_slot(r, &buf, 1);
	for (lost = 0; lost < FIVE; lost++) {
		memset(buf.addr, 0x11, LEN);
		rc_fill(data, LEN, lost);
		n = raw_write_pkts(r, pkt, data, LEN, &buf, 0);
		pkt[n - 1].opcode = WRITE_LAST_IMM;
		raw_u32(&pkt[n - 1], 5);
		send_but(r, pkt, n, lost);
		rc_wc_none(r->end.rcq);
		rc_verify(buf.addr, lost * RAW_MTU, lost, "before the loss");
		for (i = lost * RAW_MTU; i < LEN; i++)
			CHECK_EQ(buf.addr[i], 0x11);
	}
	raw_silence(r);
	/* packets dropped after a loss of the first to the fourth: 4 + 3 + 2 + 1 */
	CHECK_EQ(raw_stat(r, "out_of_sequence") - before, 10);
	rc_buf_free(&buf);
	raw_close(r);
}

/* Whole messages may be lost, so the next one may begin with any PSN. */
static void gaps(void)
{
	static const uint32_t at[] = { RAW_PSN + 100, RAW_PSN + 0x7fffff, 0xfffffe, 3, RAW_PSN };
	struct raw *r = uc_open();
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	struct raw_pkt pkt[FIVE];
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		r->psn = at[i];
		rc_fill(data, LEN, i);
		recv_slot(r, &buf, i);
		n = raw_send_pkts(r, pkt, data, LEN);
		send_but(r, pkt, n, n);
		CHECK_EQ(rc_wc_ok(r->end.rcq).wr_id, i);
		rc_verify(buf.addr, LEN, i, "after a gap");
	}
	/* A packet that does not belong to the message ends it. */
	recv_slot(r, &buf, 9);
	n = raw_send_pkts(r, pkt, data, LEN);
	as_uc(pkt, n);
	raw_send(r, pkt, 2);
	rc_fill(data, LEN, 20);
	pkt[0].psn = pkt[2].psn;
	pkt[0].opcode = SEND_ONLY | UC;
	raw_send(r, pkt, 1);
	CHECK_EQ(rc_wc_ok(r->end.rcq).byte_len, RAW_MTU);
	rc_verify(buf.addr, RAW_MTU, 20, "the message that interrupts");
	raw_send(r, &pkt[3], 2);
	rc_wc_none(r->end.rcq);
	raw_silence(r);
	rc_buf_free(&buf);
	raw_close(r);
}

/* Without a receive, with a wrong key or of another transport: packets are only dropped. */
static void refused(void)
{
	struct raw *r = uc_open();
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	long long discards = raw_stat(r, "rx_discards");
	struct raw_pkt pkt[FIVE];
	size_t n;

	rc_fill(data, LEN, 1);
	n = raw_send_pkts(r, pkt, data, LEN);
	send_but(r, pkt, n, n);
	n = raw_write_pkts(r, pkt, data, LEN, &buf, 1);
	send_but(r, pkt, n, n);
	CHECK_EQ(raw_stat(r, "rx_discards") - discards, 0);
	recv_slot(r, &buf, 3);
	n = raw_send_pkts(r, pkt, data, LEN);
	raw_send(r, pkt, n);
	rc_wc_none(r->end.rcq);
	CHECK_EQ(raw_stat(r, "rx_discards") - discards, n);
	send_but(r, pkt, n, n);
	rc_wc_ok(r->end.rcq);
	rc_verify(buf.addr, LEN, 1, "after all that");
	raw_silence(r);
	CHECK_EQ(rc_state(&r->end), IBV_QPS_RTS);
	rc_buf_free(&buf);
	raw_close(r);
}

/* As requester: a request completes when it is sent, and asks for no answer. */
static void requester(void)
{
	static const uint8_t opcode[] = { WRITE_FIRST, WRITE_MIDDLE, WRITE_MIDDLE,
					  WRITE_MIDDLE, WRITE_LAST };
	struct raw *r = uc_open();
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	struct raw_req q;
	uint32_t i;

	rc_op(&r->end, IBV_WR_RDMA_WRITE, rc_sge(&buf, 0, LEN), &buf, 0);
	rc_wc_ok(r->end.scq);
	for (i = 0; i < FIVE; i++) {
		q = raw_take_opcode(r, opcode[i] | UC);
		CHECK_EQ(q.psn, (r->end.psn + i) & 0xffffff);
		CHECK(!q.ack);
	}
	raw_silence(r);
	rc_buf_free(&buf);
	raw_close(r);
}

/* A page that never comes costs its own message only. */
static void no_memory(void)
{
	struct raw *r = uc_open();
	struct rc_buf buf = rc_buf(r->dev, 16384, RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	struct raw_pkt pkt[FIVE];
	size_t n;

	CHECK_EQ(munmap(buf.addr + 8192, 8192), 0);
	rc_fill(data, LEN, 1);
	n = raw_write_pkts(r, pkt, data, 1000, &buf, 8192);
	as_uc(pkt, n);
	raw_send(r, pkt, n);
	raw_silence(r);
	n = raw_write_pkts(r, pkt, data, LEN, &buf, 0);
	as_uc(pkt, n);
	raw_send(r, pkt, n);
	raw_silence(r);
	rc_verify(buf.addr, LEN, 1, "a UC write behind one without a page");
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(buf.addr, 8192);
	raw_close(r);
}

static const struct test_case cases[] = {
	{ "raw_uc_no_memory", no_memory, 0 },
	{ "raw_uc_whole", whole, 0 },
	{ "raw_uc_broken_send", broken_send, 0 },
	{ "raw_uc_broken_write", broken_write, 0 },
	{ "raw_uc_gaps", gaps, 0 },
	{ "raw_uc_refused", refused, 0 },
	{ "raw_uc_requester", requester, 0 },
};

CASE_TABLE(raw_uc_cases, cases);

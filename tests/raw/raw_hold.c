// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages that are not there: nothing is dropped, nothing is asked for again, and
 * nobody else waits
 *
 * The pages are missing under a userfaultfd. This thread itself serves them, when the
 * case has checked what must happen before.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw.h"
#include "uffd.h"

#define LEN	(64 * 1024)
#define ODP_ALL	(RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND)
/* More than the 16 MiB that a direction holds. */
#define FLOOD	(20 << 20)

struct stage {
	struct raw *r, *other;
	struct rc_buf slow, pinned;
	int uffd;
	long long faults, sequence, overflow;
};

static uint8_t data[LEN], back[LEN];

static struct stage setup_as(const struct rc_attr *attr)
{
	struct stage s = { .r = raw_open(attr, RAW_PSN) };

	s.slow = rc_buf(s.r->dev, LEN, ODP_ALL);
	s.pinned = rc_buf(s.r->dev, LEN, RC_ACCESS_ALL);
	s.uffd = uffd_open_for_hmm();
	uffd_watch(s.uffd, s.slow.addr, LEN);
	s.other = raw_open_beside(s.r, 0x1000);
	s.sequence = raw_stat(s.r, "out_of_sequence");
	s.overflow = raw_stat(s.r, "hold_overflow");
	return s;
}

static struct stage setup(void)
{
	return setup_as(NULL);
}

static void teardown(struct stage *s)
{
	close(s->uffd);
	raw_close_beside(s->other);
	rc_buf_free(&s->slow);
	rc_buf_free(&s->pinned);
	raw_close(s->r);
}

/* Provide all pages at once, with the bytes of @data. */
static void serve(struct stage *s)
{
	uffd_copy(s->uffd, s->slow.addr, data, LEN);
}

/* Another QP does not wait. */
static void others_go_on(struct stage *s)
{
	struct raw_pkt pkt;
	int i;

	for (i = 0; i < 20; i++) {
		raw_write_pkts(s->other, &pkt, data, 100, &s->pinned, 0);
		raw_send(s->other, &pkt, 1);
		raw_expect(s->other, ACKNOWLEDGE, ACK, pkt.psn);
	}
	raw_silence(s->r);
}

static void no_retransmission(struct stage *s)
{
	raw_silence(s->r);
	CHECK_EQ(raw_stat(s->r, "out_of_sequence"), s->sequence);
	CHECK_EQ(raw_stat(s->r, "hold_overflow"), s->overflow);
}

static void cold_write(void)
{
	struct stage s = setup();
	struct raw_pkt pkt[64], next[3];
	static uint8_t want[20000];
	size_t n, i;

	rc_fill(data, LEN, 1);
	rc_fill(want, sizeof(want), 2);
	n = raw_write_pkts(s.r, pkt, want, 20000, &s.slow, 5000);
	for (i = 0; i < 3; i++)
		raw_write_pkts(s.r, &next[i], want + 50 * i, 50, &s.pinned, 1000 + 50 * i);
	raw_gso(s.r, pkt, n);
	uffd_next(s.uffd);
	raw_send(s.r, next, 3);
	others_go_on(&s);
	CHECK_EQ(s.pinned.addr[1000], 0);
	serve(&s);
	raw_expect(s.r, ACKNOWLEDGE, ACK, pkt[n - 1].psn);
	while (raw_recv(s.r).psn != next[2].psn)
		;
	rc_verify(s.slow.addr + 5000, 20000, 2, "written into late pages");
	rc_verify(s.slow.addr, 5000, 1, "before them");
	rc_verify(s.pinned.addr + 1000, 150, 2, "behind them");
	no_retransmission(&s);
	teardown(&s);
}

/*
 * Packets of two QPs in one skb, three of one and two of the other in turn: only those
 * whose page is missing wait for it.
 */
static void cold_mixed(void)
{
	struct stage s = setup();
	struct raw_pkt pkt[24];
	size_t i;

	rc_fill(data, LEN, 1);
	rc_fill(back, 2400, 2);
	for (i = 0; i < 24; i++) {
		struct raw *r = i % 5 < 3 ? s.r : s.other;

		raw_write_pkts(r, &pkt[i], back + 100 * i, 100,
			       i % 5 < 3 ? &s.slow : &s.pinned, 100 * i);
		pkt[i].qpn = r->end.qp->qp_num;
	}
	raw_gso(s.r, pkt, 24);
	uffd_next(s.uffd);
	while (raw_recv(s.r).psn != pkt[23].psn)
		;
	raw_silence(s.r);
	serve(&s);
	while (raw_recv(s.r).psn != pkt[22].psn)
		;
	for (i = 0; i < 24; i++) {
		const uint8_t *slow = i % 5 < 3 ? back : data;

		CHECK(!memcmp(s.slow.addr + 100 * i, slow + 100 * i, 100), "packet %zu", i);
		if (i % 5 >= 3)
			CHECK(!memcmp(s.pinned.addr + 100 * i, back + 100 * i, 100),
			      "packet %zu", i);
	}
	CHECK(!memcmp(s.slow.addr + 2400, data + 2400, LEN - 2400));
	no_retransmission(&s);
	teardown(&s);
}

static void cold_recv_buffer(void)
{
	struct stage s = setup();
	struct ibv_sge sge = rc_sge(&s.slow, 3, LEN - 3);
	static uint8_t want[LEN - 3];
	struct raw_pkt pkt[64];
	size_t n;

	rc_fill(want, sizeof(want), 3);
	rc_recv(&s.r->end, 1, &sge, 1);
	n = raw_send_pkts(s.r, pkt, want, sizeof(want));
	raw_gso(s.r, pkt, n);
	uffd_next(s.uffd);
	others_go_on(&s);
	rc_wc_none(s.r->end.rcq);
	serve(&s);
	raw_expect(s.r, ACKNOWLEDGE, ACK, pkt[n - 1].psn);
	rc_wc_ok(s.r->end.rcq);
	rc_verify(s.slow.addr + 3, sizeof(want), 3, "received into late pages");
	no_retransmission(&s);
	teardown(&s);
}

static void cold_read_source(void)
{
	struct stage s = setup();
	struct raw_pkt pkt = raw_read_pkt(s.r, &s.slow, 7, 50000), next;

	raw_write_pkts(s.r, &next, data, 8, &s.pinned, 0);
	raw_send(s.r, &pkt, 1);
	raw_send(s.r, &next, 1);
	uffd_next(s.uffd);
	others_go_on(&s);
	rc_fill(data, LEN, 4);
	serve(&s);
	raw_read_answer(s.r, RAW_PSN, back, 50000);
	CHECK(!memcmp(back, data + 7, 50000));
	raw_expect(s.r, ACKNOWLEDGE, ACK, next.psn);
	no_retransmission(&s);
	teardown(&s);
}

static void cold_atomic(void)
{
	struct stage s = setup();
	struct raw_pkt pkt = { .opcode = FETCH_ADD, .psn = s.r->psn++ };

	raw_atomic_eth(&pkt, (uintptr_t)s.slow.addr + 4096, s.slow.mr->rkey, 3, 0);
	raw_send(s.r, &pkt, 1);
	uffd_next(s.uffd);
	others_go_on(&s);
	memset(data, 0, LEN);
	data[4096] = 5;
	serve(&s);
	CHECK_EQ(raw_recv(s.r).orig, 5);
	CHECK_EQ(s.slow.addr[4096], 8);
	no_retransmission(&s);
	teardown(&s);
}

/* Packets beyond the bound are dropped, and requested as soon as there is room. */
static void flood(void)
{
	struct stage s = setup();
	struct raw_pkt pkt[60];
	uint32_t psn, asked;
	size_t sent, i;
	struct raw_ans a;

	rc_fill(data, LEN, 5);
	raw_write_pkts(s.r, pkt, data, 100, &s.slow, 0);
	raw_send(s.r, pkt, 1);
	uffd_next(s.uffd);
	for (sent = 0; sent < FLOOD; sent += 60 * 1000) {
		for (i = 0; i < 60; i++)
			raw_write_pkts(s.r, &pkt[i], data, 1000, &s.pinned, 0);
		raw_gso(s.r, pkt, 60);
	}
	raw_silence(s.r);
	CHECK(raw_stat(s.r, "hold_overflow") > s.overflow);
	others_go_on(&s);
	serve(&s);
	/* ACKs of held packets come first, then the NAK with the next PSN (an ACK as well). */
	psn = RAW_PSN;
	do {
		a = raw_recv(s.r);
		CHECK_EQ(a.opcode, ACKNOWLEDGE);
		if (a.syndrome == ACK)
			psn = a.psn;
	} while (a.syndrome == ACK);
	CHECK_EQ(a.syndrome, NAK_PSN);
	CHECK(a.psn > psn);
	CHECK(a.psn > RAW_PSN + 1 && a.psn < s.r->psn);
	raw_silence(s.r);
	asked = a.psn;
	s.r->psn = asked;
	raw_write_pkts(s.r, pkt, data, 1000, &s.pinned, 0);
	raw_send(s.r, pkt, 1);
	raw_expect(s.r, ACKNOWLEDGE, ACK, asked);
	teardown(&s);
}

/* If pages never come, the error is that of a bad range, at either side. */
static void no_memory(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, LEN, ODP_ALL);
	struct ibv_sge sge = rc_sge(&buf, 0, LEN);
	struct raw_pkt pkt[8], rd;
	size_t n;

	CHECK_EQ(munmap(buf.addr + 2 * PAGE, LEN - 2 * PAGE), 0);
	n = raw_write_pkts(r, pkt, data, 4000, &buf, PAGE + 2000);
	raw_send(r, pkt, n);
	raw_expect(r, ACKNOWLEDGE, NAK_ACCESS, RAW_PSN + 2);
	CHECK_EQ(rc_state(&r->end), IBV_QPS_ERR);

	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RESET), 0);
	raw_connect(r, RAW_PSN);
	rd = raw_read_pkt(r, &buf, 2 * PAGE, 4000);
	raw_send(r, &rd, 1);
	raw_expect(r, ACKNOWLEDGE, NAK_ACCESS, RAW_PSN);

	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RESET), 0);
	raw_connect(r, RAW_PSN);
	sge.addr += 2 * PAGE;
	rc_recv(&r->end, 1, &sge, 1);
	n = raw_send_pkts(r, pkt, data, 100);
	raw_send(r, pkt, n);
	raw_expect(r, ACKNOWLEDGE, NAK_OPERATIONAL, RAW_PSN);
	rc_wc_status(r->end.rcq, IBV_WC_LOC_PROT_ERR);

	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(buf.addr, 2 * PAGE);
	raw_close(r);
}

/* A WRITE is under way, and the source page of the one behind it is missing. */
static struct raw_req post_cold_source(struct stage *s)
{
	struct raw_req q;

	rc_op(&s->r->end, IBV_WR_RDMA_WRITE, rc_sge(&s->pinned, 0, 100), &s->pinned, 0);
	rc_op(&s->r->end, IBV_WR_RDMA_WRITE, rc_sge(&s->slow, PAGE, 3000), &s->slow, 0);
	q = raw_take_opcode(s->r, WRITE_ONLY);
	uffd_next(s->uffd);
	return q;
}

/* A missing source page does not keep earlier requests from being sent again. */
static void cold_source(void)
{
	struct rc_attr attr = { .timeout = 12 };
	struct stage s = setup_as(&attr);
	struct raw_req q = post_cold_source(&s);
	int i;

	raw_say(s.r, ACKNOWLEDGE, NAK_PSN, q.psn, NULL, 0);
	CHECK_EQ(raw_take_opcode(s.r, WRITE_ONLY).psn, q.psn);
	/* Now after a timeout. */
	for (i = 0; i < 2; i++)
		CHECK_EQ(raw_take_opcode(s.r, WRITE_ONLY).psn, q.psn);
	raw_say(s.r, ACKNOWLEDGE, ACK, q.psn, NULL, 0);
	rc_wc_ok(s.r->end.scq);
	while (raw_pending(s.r))
		CHECK_EQ(raw_take_opcode(s.r, WRITE_ONLY).psn, q.psn);
	rc_wc_none(s.r->end.scq);
	serve(&s);
	CHECK_EQ(raw_take_opcode(s.r, WRITE_FIRST).psn, (q.psn + 1) & 0xffffff);
	CHECK_EQ(raw_take_opcode(s.r, WRITE_MIDDLE).psn, (q.psn + 2) & 0xffffff);
	CHECK_EQ(raw_take_opcode(s.r, WRITE_LAST).psn, (q.psn + 3) & 0xffffff);
	raw_say(s.r, ACKNOWLEDGE, ACK, q.psn + 3, NULL, 0);
	rc_wc_ok(s.r->end.scq);
	teardown(&s);
}

/* A page that never comes is the error of the request that needs it, not of earlier ones. */
static void cold_source_gone(void)
{
	struct stage s = setup();
	struct uffdio_range all = { .start = (uintptr_t)s.slow.addr, .len = LEN };
	struct raw_req q = post_cold_source(&s);

	raw_say(s.r, ACKNOWLEDGE, NAK_PSN, q.psn, NULL, 0);
	CHECK_EQ(raw_take_opcode(s.r, WRITE_ONLY).psn, q.psn);
	CHECK_EQ(munmap(s.slow.addr, LEN), 0);
	CHECK_EQ(ioctl(s.uffd, UFFDIO_WAKE, &all), 0);
	raw_silence(s.r);
	rc_wc_none(s.r->end.scq);
	raw_say(s.r, ACKNOWLEDGE, ACK, q.psn, NULL, 0);
	rc_wc_ok(s.r->end.scq);
	rc_wc_status(s.r->end.scq, IBV_WC_LOC_PROT_ERR);
	teardown(&s);
}

/* A peer that does not answer is noticed even while a page is missing. */
static void cold_source_deaf_peer(void)
{
	struct rc_attr attr = { .timeout = 8, .retry_cnt = 2 };
	struct stage s = setup_as(&attr);

	post_cold_source(&s);
	rc_wc_status(s.r->end.scq, IBV_WC_RETRY_EXC_ERR);
	rc_wc_status(s.r->end.scq, IBV_WC_WR_FLUSH_ERR);
	teardown(&s);
}

/* Objects that are destroyed while packets are held go at once. */
static void ends_while_held(void)
{
	struct stage s = setup();
	struct raw_pkt pkt[64];
	size_t n;
	int i;

	for (i = 0; i < 3; i++) {
		n = raw_write_pkts(s.r, pkt, data, 20000, &s.slow, i * PAGE);
		raw_gso(s.r, pkt, n);
		if (!i)
			uffd_next(s.uffd);
		raw_silence(s.r);
		CHECK_EQ(rc_to_state(&s.r->end, i ? IBV_QPS_ERR : IBV_QPS_RESET), 0);
		if (i)
			CHECK_EQ(rc_to_state(&s.r->end, IBV_QPS_RESET), 0);
		raw_connect(s.r, RAW_PSN);
	}
	/* The region is deregistered: the held packet gets a NAK and does not wait for ever. */
	n = raw_write_pkts(s.r, pkt, data, 20000, &s.slow, 0);
	raw_gso(s.r, pkt, n);
	raw_silence(s.r);
	CHECK_EQ(ibv_dereg_mr(s.slow.mr), 0);
	raw_expect(s.r, ACKNOWLEDGE, NAK_ACCESS, RAW_PSN);
	s.slow.mr = ibv_reg_mr(s.r->dev->pd, s.slow.addr, LEN, ODP_ALL);
	CHECK(s.slow.mr);
	/* A QP is destroyed, and a process ends, with packets held. */
	n = raw_write_pkts(s.other, pkt, data, 20000, &s.slow, 0);
	raw_gso(s.other, pkt, n);
	raw_silence(s.other);
	raw_close_beside(s.other);
	s.other = raw_open_beside(s.r, 0x2000);
	n = raw_write_pkts(s.other, pkt, data, 20000, &s.slow, 0);
	raw_gso(s.other, pkt, n);
	raw_silence(s.other);
}

static const struct test_case cases[] = {
	{ "raw_cold_write", cold_write, 0 },
	{ "raw_cold_mixed", cold_mixed, 0 },
	{ "raw_cold_recv_buffer", cold_recv_buffer, 0 },
	{ "raw_cold_read_source", cold_read_source, 0 },
	{ "raw_cold_atomic", cold_atomic, 0 },
	{ "raw_flood", flood, 0 },
	{ "raw_no_memory", no_memory, 0 },
	{ "raw_cold_source", cold_source, 0 },
	{ "raw_cold_source_gone", cold_source_gone, 0 },
	{ "raw_cold_source_deaf_peer", cold_source_deaf_peer, 0 },
	{ "raw_ends_while_held", ends_while_held, 0 },
};

CASE_TABLE(raw_hold_cases, cases);

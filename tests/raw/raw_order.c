// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets out of order and duplicated; missing receive buffers
 */
#include <stdlib.h>
#include <string.h>

#include "raw.h"

#define LEN	(256 * 1024)

static uint8_t data[LEN], back[LEN];

/* A packet ahead gets one NAK with the expected PSN, then silence until that one comes. */
static void ahead(void)
{
	struct raw *r = raw_open(NULL, 0xfffffe);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	long long before = raw_stat(r, "out_of_sequence");
	struct raw_pkt pkt[5];
	int i;

	rc_fill(data, 500, 1);
	for (i = 0; i < 5; i++)
		raw_write_pkts(r, &pkt[i], data + 100 * i, 100, &buf, 100 * i);
	raw_send(r, &pkt[0], 1);
	raw_expect(r, ACKNOWLEDGE, ACK, 0xfffffe);
	raw_send(r, &pkt[2], 3);
	raw_expect(r, ACKNOWLEDGE, NAK_PSN, 0xffffff);
	raw_silence(r);
	CHECK_EQ(raw_stat(r, "out_of_sequence") - before, 3);
	raw_send(r, &pkt[1], 1);
	raw_expect(r, ACKNOWLEDGE, ACK, 0xffffff);
	/* Another loss gets another NAK. */
	raw_send(r, &pkt[3], 1);
	raw_expect(r, ACKNOWLEDGE, NAK_PSN, 0);
	raw_send(r, &pkt[2], 3);
	for (i = 2; i < 5; i++)
		raw_expect(r, ACKNOWLEDGE, ACK, pkt[i].psn);
	rc_verify(buf.addr, 500, 1, "in the end");
	rc_buf_free(&buf);
	raw_close(r);
}

/* A duplicate write is acknowledged with the latest PSN and not executed again. */
static void write_again(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, 4 * PAGE, RC_ACCESS_ALL);
	long long before = raw_stat(r, "duplicate_request");
	struct raw_pkt pkt[8];
	size_t n;

	rc_fill(data, 5000, 1);
	n = raw_write_pkts(r, pkt, data, 5000, &buf, 0);
	raw_write_pkts(r, &pkt[n], data, 10, &buf, 8000);
	raw_send(r, pkt, n + 1);
	raw_expect(r, ACKNOWLEDGE, ACK, RAW_PSN + n - 1);
	raw_expect(r, ACKNOWLEDGE, ACK, RAW_PSN + n);
	memset(buf.addr, 0, buf.len);
	raw_gso(r, pkt, n);
	do {
		raw_expect(r, ACKNOWLEDGE, ACK, RAW_PSN + n);
	} while (raw_pending(r));
	CHECK_EQ(buf.addr[0] | buf.addr[1500] | buf.addr[4999], 0);
	CHECK_EQ(raw_stat(r, "duplicate_request") - before, n);
	/* A duplicate in the middle of a message does not disturb it. */
	n = raw_write_pkts(r, pkt, data, 3000, &buf, 0);
	raw_send(r, pkt, 2);
	raw_send(r, pkt, 2);
	raw_expect(r, ACKNOWLEDGE, ACK, pkt[1].psn);
	raw_send(r, &pkt[2], 1);
	while (raw_recv(r).psn != pkt[2].psn)
		;
	rc_verify(buf.addr, 3000, 1, "through a duplicate");
	rc_buf_free(&buf);
	raw_close(r);
}

static void send_again(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct ibv_sge sge = rc_sge(&buf, 0, 100);
	struct raw_pkt pkt;

	rc_recv(&r->end, 1, &sge, 1);
	rc_recv(&r->end, 2, &sge, 1);
	raw_send_pkts(r, &pkt, data, 100);
	raw_send(r, &pkt, 1);
	raw_expect(r, ACKNOWLEDGE, ACK, RAW_PSN);
	rc_wc_ok(r->end.rcq);
	raw_send(r, &pkt, 1);
	raw_expect(r, ACKNOWLEDGE, ACK, RAW_PSN);
	rc_wc_none(r->end.rcq);
	rc_buf_free(&buf);
	raw_close(r);
}

/* A duplicate READ is executed again, whole or from some PSN on. */
static void read_again(void)
{
	struct raw *r = raw_open(NULL, 0xfffff0);
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL), gone;
	struct raw_pkt pkt = raw_read_pkt(r, &buf, 0, 10000), tail, part[3], w;
	size_t n;

	rc_fill(buf.addr, LEN, 1);
	raw_send(r, &pkt, 1);
	raw_read_answer(r, 0xfffff0, back, 10000);
	rc_verify(back, 10000, 1, "read");
	rc_fill(buf.addr, LEN, 2);
	raw_send(r, &pkt, 1);
	raw_read_answer(r, 0xfffff0, back, 10000);
	rc_verify(back, 10000, 2, "read again");
	tail = (struct raw_pkt){ .opcode = READ_REQUEST, .psn = 0xfffff4 };
	raw_reth(&tail, (uintptr_t)buf.addr + 4096, buf.mr->rkey, 10000 - 4096);
	raw_send(r, &tail, 1);
	raw_read_answer(r, 0xfffff4, back + 4096, 10000 - 4096);
	rc_verify(back, 10000, 2, "and its tail");

	/* The same while a write is under way, which it does not disturb. */
	rc_fill(data, 3000, 3);
	n = raw_write_pkts(r, part, data, 3000, &buf, 20000);
	raw_send(r, part, 2);
	raw_send(r, &pkt, 1);
	raw_read_answer(r, 0xfffff0, back, 10000);
	raw_send(r, &part[2], 1);
	raw_expect(r, ACKNOWLEDGE, ACK, part[n - 1].psn);
	rc_verify(buf.addr + 20000, 3000, 3, "the write");

	/* A READ beyond the executed PSNs is no duplicate, nor is one whose right has gone. */
	tail.psn = r->psn - 1;
	raw_send(r, &tail, 1);
	gone = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	pkt = raw_read_pkt(r, &gone, 0, 100);
	raw_send(r, &pkt, 1);
	raw_read_answer(r, pkt.psn, back, 100);
	rc_buf_free(&gone);
	raw_send(r, &pkt, 1);
	raw_silence(r);
	raw_write_pkts(r, &w, data, 4, &buf, 0);
	raw_send(r, &w, 1);
	raw_expect(r, ACKNOWLEDGE, ACK, w.psn);
	rc_buf_free(&buf);
	raw_close(r);
}

static struct raw_pkt fetch_add(struct raw *r, const struct rc_buf *buf, uint64_t add)
{
	struct raw_pkt pkt = { .opcode = FETCH_ADD, .psn = r->psn++ };

	raw_atomic_eth(&pkt, (uintptr_t)buf->addr, buf->mr->rkey, add, 0);
	return pkt;
}

/* A duplicate atomic gets its first answer again, as long as that is kept. */
static void atomic_again(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_pkt pkt[16], w;
	struct raw_ans a;
	int i, k;

	for (i = 0; i < 16; i++) {
		pkt[i] = fetch_add(r, &buf, 1000);
		raw_send(r, &pkt[i], 1);
		CHECK_EQ(raw_recv(r).orig, 1000 * i);
	}
	for (k = 0; k < 3; k++) {
		for (i = 15; i >= 0; i -= 3) {
			raw_send(r, &pkt[i], 1);
			a = raw_recv(r);
			CHECK_EQ(a.opcode, ATOMIC_ACK);
			CHECK_EQ(a.psn, pkt[i].psn);
			CHECK_EQ(a.orig, 1000 * i);
		}
	}
	CHECK_EQ(*(uint64_t *)buf.addr, 16000);
	/* A PSN where no atomic was. */
	raw_write_pkts(r, &w, data, 4, &buf, 100);
	raw_send(r, &w, 1);
	raw_expect(r, ACKNOWLEDGE, ACK, w.psn);
	pkt[0].psn = w.psn;
	raw_send(r, &pkt[0], 1);
	raw_silence(r);
	CHECK_EQ(*(uint64_t *)buf.addr, 16000);
	rc_buf_free(&buf);
	raw_close(r);
}

/* Without a receive: an RNR NAK with the timer; packets after it are dropped silently. */
static void not_ready(void)
{
	struct raw *r = raw_open(&(struct rc_attr){ .min_rnr_timer = 9 }, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, 2 * PAGE, RC_ACCESS_ALL);
	struct ibv_sge sge = rc_sge(&buf, 0, PAGE);
	long long before = raw_stat(r, "rnr_nak");
	struct raw_pkt pkt[4];
	size_t n;

	rc_fill(data, 2100, 1);
	n = raw_send_pkts(r, pkt, data, 2100);
	raw_send(r, pkt, n);
	raw_expect(r, ACKNOWLEDGE, RNR | 9, RAW_PSN);
	raw_silence(r);
	/* Still no receive: another RNR NAK. */
	raw_send(r, pkt, n);
	raw_expect(r, ACKNOWLEDGE, RNR | 9, RAW_PSN);
	raw_silence(r);
	CHECK_EQ(raw_stat(r, "rnr_nak") - before, 2);
	rc_recv(&r->end, 1, &sge, 1);
	raw_send(r, pkt, n);
	raw_expect(r, ACKNOWLEDGE, ACK, RAW_PSN + n - 1);
	rc_wc_ok(r->end.rcq);
	rc_verify(buf.addr, 2100, 1, "sent");

	/* A write with immediate needs the receive only at its end, and goes on from there. */
	n = raw_write_pkts(r, pkt, data, 2100, &buf, PAGE);
	pkt[n - 1].opcode++;
	raw_u32(&pkt[n - 1], 1);
	raw_send(r, pkt, n);
	raw_expect(r, ACKNOWLEDGE, RNR | 9, pkt[n - 1].psn);
	rc_recv(&r->end, 2, &sge, 1);
	raw_send(r, &pkt[n - 1], 1);
	raw_expect(r, ACKNOWLEDGE, ACK, pkt[n - 1].psn);
	rc_wc_ok(r->end.rcq);
	rc_verify(buf.addr + PAGE, 2100, 1, "written");
	rc_buf_free(&buf);
	raw_close(r);
}

/* Requests behind a long READ are executed after it, so it reads the bytes before them. */
static void behind_a_read(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, 8 * LEN, RC_ACCESS_ALL);
	static uint8_t all[8 * LEN];
	struct raw_pkt pkt[3];
	uint64_t word;

	rc_fill(buf.addr, buf.len, 1);
	memset(data, 0x55, 100);
	memcpy(&word, buf.addr, 8);
	pkt[0] = raw_read_pkt(r, &buf, 0, 8 * LEN);
	raw_write_pkts(r, &pkt[1], data, 100, &buf, 8 * LEN - 100);
	pkt[2] = fetch_add(r, &buf, 1);
	raw_send(r, pkt, 3);
	raw_read_answer(r, RAW_PSN, all, 8 * LEN);
	rc_verify(all, 8 * LEN, 1, "before the write");
	raw_expect(r, ACKNOWLEDGE, ACK, pkt[1].psn);
	CHECK_EQ(raw_recv(r).orig, word);
	CHECK(!memcmp(buf.addr + 8 * LEN - 100, data, 100));
	rc_buf_free(&buf);
	raw_close(r);
}

/*
 * Packets of different flows are merged in one skb, often enough that the device stops
 * asking for merged packets for a while. The right ones are taken, and all goes on.
 */
static void merged_wrongly(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	long long before = raw_stat(r, "rx_icrc_errors");
	struct raw_pkt pkt[LEN / RAW_MTU];
	size_t i, k, n;

	for (i = 0; i < 20; i++) {
		for (k = 0; k < 3; k++) {
			raw_write_pkts(r, &pkt[k], data, 100, &buf, 0);
			pkt[k].bad_icrc = k;
		}
		raw_gso(r, pkt, 3);
		raw_expect(r, ACKNOWLEDGE, ACK, pkt[0].psn);
		r->psn = pkt[1].psn;
	}
	CHECK_EQ(raw_stat(r, "rx_icrc_errors") - before, 40);
	rc_fill(data, 20000, 7);
	n = raw_write_pkts(r, pkt, data, 20000, &buf, 1);
	raw_gso(r, pkt, n);
	raw_expect(r, ACKNOWLEDGE, ACK, pkt[n - 1].psn);
	rc_verify(buf.addr + 1, 20000, 7, "after what was merged wrongly");
	rc_buf_free(&buf);
	raw_close(r);
}

/* One packet in the middle of a super-packet is lost or damaged; those before it count. */
static void lost_in_the_middle(bool damaged)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, 8 * PAGE, RC_ACCESS_ALL);
	struct raw_pkt pkt[20], rest[20];
	size_t n, before = 9 * RAW_MTU;

	rc_fill(data, 20000, damaged);
	n = raw_write_pkts(r, pkt, data, 20000, &buf, 3);
	memcpy(rest, &pkt[9], (n - 9) * sizeof(*pkt));
	if (damaged)
		pkt[9].bad_icrc = true;
	else
		memmove(&pkt[9], &pkt[10], (n - 10) * sizeof(*pkt));
	raw_gso(r, pkt, damaged ? n : n - 1);
	raw_expect(r, ACKNOWLEDGE, NAK_PSN, rest[0].psn);
	raw_silence(r);
	CHECK(!memcmp(buf.addr + 3, data, before));
	memset(data, 0, 20000);
	CHECK(!memcmp(buf.addr + 3 + before, data, 20000 - before));
	rc_fill(data, 20000, damaged);
	raw_gso(r, rest, n - 9);
	raw_expect(r, ACKNOWLEDGE, ACK, rest[n - 10].psn);
	rc_verify(buf.addr + 3, 20000, damaged, "in the end");
	rc_buf_free(&buf);
	raw_close(r);
}

static void middle_lost(void)
{
	lost_in_the_middle(false);
}

static void middle_damaged(void)
{
	lost_in_the_middle(true);
}

static const struct test_case cases[] = {
	{ "raw_ahead", ahead, 0 },
	{ "raw_write_again", write_again, 0 },
	{ "raw_send_again", send_again, 0 },
	{ "raw_read_again", read_again, 0 },
	{ "raw_atomic_again", atomic_again, 0 },
	{ "raw_not_ready", not_ready, 0 },
	{ "raw_behind_a_read", behind_a_read, 0 },
	{ "raw_middle_lost", middle_lost, 0 },
	{ "raw_middle_damaged", middle_damaged, 0 },
	{ "raw_merged_wrongly", merged_wrongly, 0 },
};

CASE_TABLE(raw_order_cases, cases);

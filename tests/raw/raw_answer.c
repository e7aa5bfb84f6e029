// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How a requester reacts to answers that are late, wrong or missing
 */
#include <string.h>

#include "raw.h"

#define LEN	(64 * 1024)
#define XRC	0xa0u		/* of an opcode, beside that of RC */

static uint8_t data[LEN];

static void say_orig(struct raw *r, uint32_t psn, uint64_t orig)
{
	struct raw_pkt pkt = { .opcode = ATOMIC_ACK, .psn = psn };

	raw_u32(&pkt, (uint32_t)ACK << 24);
	raw_u32(&pkt, orig >> 32);
	raw_u32(&pkt, orig);
	raw_send(r, &pkt, 1);
}

/* There is no far buffer: only the requests themselves matter. */
static void post(struct raw *r, enum ibv_wr_opcode op, const struct rc_buf *buf,
		 size_t len)
{
	rc_op(&r->end, op, rc_sge(buf, 0, len), buf, 0);
}

/* Answers to PSNs never sent or already answered, and answers of the wrong kind. */
static void unasked(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	long long before = raw_stat(r, "unexpected_responses");
	struct raw_req q;

	raw_say(r, ACKNOWLEDGE, ACK, r->end.psn, NULL, 0);
	post(r, IBV_WR_RDMA_WRITE, &buf, 100);
	q = raw_take_opcode(r, WRITE_ONLY);
	CHECK_EQ(q.psn, r->end.psn & 0xffffff);
	CHECK(q.ack, "nothing follows");
	raw_say(r, ACKNOWLEDGE, ACK, q.psn + 1, NULL, 0);
	raw_say(r, ACKNOWLEDGE, NAK_ACCESS, q.psn - 1, NULL, 0);
	raw_say(r, ACKNOWLEDGE, NAK_ACCESS, q.psn + 0x800000, NULL, 0);
	raw_say(r, READ_RESP_ONLY, ACK, q.psn, data, 100);
	say_orig(r, q.psn, 1);
	raw_say(r, XRC | ACKNOWLEDGE, ACK, q.psn, NULL, 0);
	rc_wc_none(r->end.scq);
	raw_silence(r);
	CHECK_EQ(raw_stat(r, "unexpected_responses") - before, 7);
	raw_say(r, ACKNOWLEDGE, ACK, q.psn, NULL, 0);
	rc_wc_ok(r->end.scq);
	raw_say(r, ACKNOWLEDGE, ACK, q.psn, NULL, 0);
	rc_wc_none(r->end.scq);
	rc_buf_free(&buf);
	raw_close(r);
}

/* One ACK acknowledges many requests, and a NAK those before it. */
static void cumulative(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	struct raw_req q = {};
	int i;

	for (i = 0; i < 5; i++)
		post(r, IBV_WR_SEND, &buf, 10);
	for (i = 0; i < 5; i++)
		q = raw_take_opcode(r, SEND_ONLY);
	raw_say(r, ACKNOWLEDGE, ACK, q.psn - 2, NULL, 0);
	for (i = 0; i < 3; i++)
		rc_wc_ok(r->end.scq);
	rc_wc_none(r->end.scq);
	raw_say(r, ACKNOWLEDGE, NAK_INVALID, q.psn, NULL, 0);
	rc_wc_ok(r->end.scq);
	rc_wc_status(r->end.scq, IBV_WC_REM_INV_REQ_ERR);
	rc_buf_free(&buf);
	raw_close(r);
}

/* After a NAK the requester sends again from that PSN, at once and nothing else. */
static void nak_sequence(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	long long before = raw_stat(r, "packet_seq_err");
	long long timeouts = raw_stat(r, "local_ack_timeout_err");
	struct raw_req q;
	int i;

	post(r, IBV_WR_RDMA_WRITE, &buf, 4000);
	q = raw_take_opcode(r, WRITE_FIRST);
	for (i = 0; i < 3; i++)
		raw_take(r);
	raw_say(r, ACKNOWLEDGE, NAK_PSN, q.psn + 2, NULL, 0);
	CHECK_EQ(raw_take_opcode(r, WRITE_MIDDLE).psn, (q.psn + 2) & 0xffffff);
	CHECK_EQ(raw_take_opcode(r, WRITE_LAST).psn, (q.psn + 3) & 0xffffff);
	raw_say(r, ACKNOWLEDGE, ACK, q.psn + 3, NULL, 0);
	rc_wc_ok(r->end.scq);
	raw_silence(r);
	CHECK_EQ(raw_stat(r, "packet_seq_err") - before, 1);
	CHECK_EQ(raw_stat(r, "local_ack_timeout_err"), timeouts);
	rc_buf_free(&buf);
	raw_close(r);
}

/* An unanswered request is sent once and retry_cnt times again. */
static void retries(void)
{
	struct rc_attr attr = { .timeout = 8, .retry_cnt = 2 };
	struct raw *r = raw_open(&attr, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_req q;
	int i;

	post(r, IBV_WR_RDMA_WRITE, &buf, 100);
	q = raw_take_opcode(r, WRITE_ONLY);
	for (i = 0; i < 2; i++)
		CHECK_EQ(raw_take_opcode(r, WRITE_ONLY).psn, q.psn);
	rc_wc_status(r->end.scq, IBV_WC_RETRY_EXC_ERR);
	raw_silence(r);
	rc_buf_free(&buf);
	raw_close(r);
}

static void rnr_retries(void)
{
	struct rc_attr attr = { .rnr_retry = 1 };
	struct raw *r = raw_open(&attr, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_req q;

	post(r, IBV_WR_SEND, &buf, 100);
	q = raw_take_opcode(r, SEND_ONLY);
	raw_say(r, ACKNOWLEDGE, RNR | 1, q.psn, NULL, 0);
	CHECK_EQ(raw_take_opcode(r, SEND_ONLY).psn, q.psn);
	raw_say(r, ACKNOWLEDGE, RNR | 1, q.psn, NULL, 0);
	rc_wc_status(r->end.scq, IBV_WC_RNR_RETRY_EXC_ERR);
	rc_buf_free(&buf);
	raw_close(r);
}

/* A missing response is requested again, together with those after it. */
static void read_lost(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	long long before = raw_stat(r, "implied_nak_seq_err");
	struct raw_req q, again;

	rc_fill(data, 3000, 1);
	post(r, IBV_WR_RDMA_READ, &buf, 3000);
	q = raw_take_opcode(r, READ_REQUEST);
	CHECK_EQ(q.dmalen, 3000);
	raw_say(r, READ_RESP_FIRST, ACK, q.psn, data, RAW_MTU);
	raw_say(r, READ_RESP_LAST, ACK, q.psn + 2, data + 2 * RAW_MTU, 3000 - 2 * RAW_MTU);
	again = raw_take_opcode(r, READ_REQUEST);
	CHECK_EQ(again.psn, (q.psn + 1) & 0xffffff);
	CHECK_EQ(again.va, q.va + RAW_MTU);
	CHECK_EQ(again.dmalen, 3000 - RAW_MTU);
	raw_say(r, READ_RESP_FIRST, ACK, q.psn + 1, data + RAW_MTU, RAW_MTU);
	rc_wc_none(r->end.scq);
	raw_say(r, READ_RESP_LAST, ACK, q.psn + 2, data + 2 * RAW_MTU, 3000 - 2 * RAW_MTU);
	rc_wc_ok(r->end.scq);
	rc_verify(buf.addr, 3000, 1, "a read with a response lost");
	raw_silence(r);
	CHECK_EQ(raw_stat(r, "implied_nak_seq_err") - before, 1);
	rc_buf_free(&buf);
	raw_close(r);
}

/* An acknowledgement completes no READ or atomic that it passes: their answers are lost. */
static void answer_passed(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_req q, w;

	post(r, IBV_WR_ATOMIC_FETCH_AND_ADD, &buf, 8);
	q = raw_take_opcode(r, FETCH_ADD);
	post(r, IBV_WR_RDMA_WRITE, &buf, 100);
	w = raw_take_opcode(r, WRITE_ONLY);
	raw_say(r, ACKNOWLEDGE, ACK, w.psn, NULL, 0);
	CHECK_EQ(raw_take_opcode(r, FETCH_ADD).psn, q.psn);
	CHECK_EQ(raw_take_opcode(r, WRITE_ONLY).psn, w.psn);
	rc_wc_none(r->end.scq);
	say_orig(r, q.psn, 0x1122334455667788);
	rc_wc_ok(r->end.scq);
	CHECK_EQ(*(uint64_t *)buf.addr, 0x1122334455667788);
	raw_say(r, ACKNOWLEDGE, ACK, w.psn, NULL, 0);
	rc_wc_ok(r->end.scq);
	rc_buf_free(&buf);
	raw_close(r);
}

static void read_wrong_length(void)
{
	static const size_t wrong[] = { 0, 99, 101, 1000 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct raw *r = raw_open(NULL, RAW_PSN);
		struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
		struct raw_req q;

		memset(buf.addr, 0x55, PAGE);
		post(r, IBV_WR_RDMA_READ, &buf, 100);
		q = raw_take_opcode(r, READ_REQUEST);
		raw_say(r, READ_RESP_ONLY, ACK, q.psn, data, wrong[i]);
		rc_wc_status(r->end.scq, IBV_WC_BAD_RESP_ERR);
		CHECK_EQ(buf.addr[0], 0x55);
		CHECK_EQ(buf.addr[100], 0x55);
		rc_buf_free(&buf);
		raw_close(r);
	}
}

static void nak_codes(void)
{
	static const struct {
		uint8_t syndrome;
		enum ibv_wc_status status;
	} nak[] = {
		{ NAK_INVALID, IBV_WC_REM_INV_REQ_ERR },
		{ NAK_ACCESS, IBV_WC_REM_ACCESS_ERR },
		{ NAK_OPERATIONAL, IBV_WC_REM_OP_ERR },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(nak); i++) {
		struct raw *r = raw_open(NULL, RAW_PSN);
		struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
		struct raw_req q;

		post(r, IBV_WR_RDMA_READ, &buf, 100);
		q = raw_take_opcode(r, READ_REQUEST);
		raw_say(r, ACKNOWLEDGE, nak[i].syndrome, q.psn, NULL, 0);
		rc_wc_status(r->end.scq, nak[i].status);
		CHECK_EQ(rc_state(&r->end), IBV_QPS_ERR);
		rc_buf_free(&buf);
		raw_close(r);
	}
}

static void post_fenced(struct raw *r, struct rc_buf *buf)
{
	struct ibv_sge sge = rc_sge(buf, 0, 100);
	struct ibv_send_wr wr = {
		.sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED | IBV_SEND_FENCE,
	};

	rc_post(&r->end, &wr);
}

/* A fenced request waits until the READs before it are answered. */
static void fence(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_req q;

	post(r, IBV_WR_RDMA_READ, &buf, 100);
	q = raw_take_opcode(r, READ_REQUEST);
	post_fenced(r, &buf);
	raw_silence(r);
	raw_say(r, READ_RESP_ONLY, ACK, q.psn, data, 100);
	CHECK_EQ(raw_take_opcode(r, SEND_ONLY).psn, (q.psn + 1) & 0xffffff);
	raw_say(r, ACKNOWLEDGE, ACK, q.psn + 1, NULL, 0);
	rc_wc_ok(r->end.scq);
	rc_wc_ok(r->end.scq);
	rc_buf_free(&buf);
	raw_close(r);
}

/* A drained queue does not start a request that waited for a fence until it resumes. */
static void drain(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_req q;

	post(r, IBV_WR_RDMA_READ, &buf, 100);
	q = raw_take_opcode(r, READ_REQUEST);
	post_fenced(r, &buf);
	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_SQD), 0);
	raw_say(r, READ_RESP_ONLY, ACK, q.psn, data, 100);
	rc_wc_ok(r->end.scq);
	raw_silence(r);
	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RTS), 0);
	CHECK_EQ(raw_take_opcode(r, SEND_ONLY).psn, (q.psn + 1) & 0xffffff);
	raw_say(r, ACKNOWLEDGE, ACK, q.psn + 1, NULL, 0);
	rc_wc_ok(r->end.scq);
	rc_buf_free(&buf);
	raw_close(r);
}

static const struct test_case cases[] = {
	{ "raw_answer_unasked", unasked, 0 },
	{ "raw_answer_cumulative", cumulative, 0 },
	{ "raw_answer_nak_sequence", nak_sequence, 0 },
	{ "raw_answer_none", retries, 0 },
	{ "raw_answer_rnr", rnr_retries, 0 },
	{ "raw_answer_read_lost", read_lost, 0 },
	{ "raw_answer_passed", answer_passed, 0 },
	{ "raw_answer_read_wrong_length", read_wrong_length, 0 },
	{ "raw_answer_nak_codes", nak_codes, 0 },
	{ "raw_answer_fence", fence, 0 },
	{ "raw_answer_drain", drain, 0 },
};

CASE_TABLE(raw_answer_cases, cases);

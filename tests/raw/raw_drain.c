// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Draining a send queue over the wire, and modifying the queue pair then
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "raw.h"

static uint8_t data[100];

static int to_sqd(struct raw *r, bool notify)
{
	struct ibv_qp_attr qa = { .qp_state = IBV_QPS_SQD, .en_sqd_async_notify = notify };

	return ibv_modify_qp(r->end.qp, &qa, IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY);
}

/* Give the peer another address while the queue is drained. */
static int readdress(struct raw *r, union ibv_gid to)
{
	struct ibv_qp_attr qa = {
		.qp_state = IBV_QPS_SQD,
		.ah_attr = {
			.is_global = 1, .port_num = 1,
			.grh = { .dgid = to, .sgid_index = r->dev->gid_index, .hop_limit = 9 },
		},
	};

	return ibv_modify_qp(r->end.qp, &qa, IBV_QP_STATE | IBV_QP_AV);
}

static bool drained(struct raw *r, int ms)
{
	struct pollfd pfd = { .fd = r->dev->ctx->async_fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1;
}

static struct raw_req write_one(struct raw *r, const struct rc_buf *buf)
{
	rc_op(&r->end, IBV_WR_RDMA_WRITE, rc_sge(buf, 0, sizeof(data)), buf, 0);
	return raw_take_opcode(r, WRITE_ONLY);
}

/* The queue is drained when the last answer has come, not before; one event says so. */
static void event(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	struct raw_req q[2];
	int i;

	for (i = 0; i < 2; i++)
		q[i] = write_one(r, &buf);
	CHECK_EQ(to_sqd(r, true), 0);
	raw_say(r, ACKNOWLEDGE, ACK, q[0].psn, NULL, 0);
	rc_wc_ok(r->end.scq);
	CHECK(!drained(r, 20), "one is not answered");
	CHECK_EQ(readdress(r, raw_gid(RAW_OTHER_IP)), EBUSY);
	raw_say(r, ACKNOWLEDGE, ACK, q[1].psn, NULL, 0);
	rc_wc_ok(r->end.scq);
	rc_async_wait(r->dev, IBV_EVENT_SQ_DRAINED, r->end.qp);
	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RTS), 0);
	CHECK_EQ(to_sqd(r, false), 0);
	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RTS), 0);
	CHECK(!drained(r, 20), "nobody asked");
	rc_buf_free(&buf);
	raw_close(r);
}

static void ask_and_answer(struct raw *r, const struct rc_buf *buf)
{
	struct raw_req q = write_one(r, buf);
	struct raw_pkt pkt;

	raw_say(r, ACKNOWLEDGE, ACK, q.psn, NULL, 0);
	rc_wc_ok(r->end.scq);
	raw_write_pkts(r, &pkt, data, sizeof(data), buf, 1000);
	raw_send(r, &pkt, 1);
	raw_expect(r, ACKNOWLEDGE, ACK, pkt.psn);
}

/*
 * The connection goes on with the peer at its new address, in both directions, and
 * takes nothing from the old one any more.
 */
static void address(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	struct rc_buf buf = rc_buf(r->dev, PAGE, RC_ACCESS_ALL);
	const char *old = r->ip;
	long long discards;
	struct raw_pkt pkt;

	ask_and_answer(r, &buf);
	CHECK_EQ(to_sqd(r, false), 0);
	CHECK_EQ(readdress(r, r->dev->gid), EINVAL);
	CHECK_EQ(readdress(r, raw_gid(RAW_OTHER_IP)), 0);
	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RTS), 0);

	discards = raw_stat(r, "rx_discards");
	raw_write_pkts(r, &pkt, data, sizeof(data), &buf, 0);
	raw_send(r, &pkt, 1);
	raw_silence(r);
	CHECK_EQ(raw_stat(r, "rx_discards") - discards, 1);

	raw_move(r, RAW_OTHER_IP);
	raw_send(r, &pkt, 1);
	raw_expect(r, ACKNOWLEDGE, ACK, pkt.psn);
	ask_and_answer(r, &buf);

	/* Move back; work posted meanwhile waits, and goes to the right address. */
	CHECK_EQ(to_sqd(r, false), 0);
	rc_op(&r->end, IBV_WR_RDMA_WRITE, rc_sge(&buf, 0, sizeof(data)), &buf, 0);
	raw_silence(r);
	CHECK_EQ(readdress(r, raw_gid(old)), 0);
	raw_move(r, old);
	CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RTS), 0);
	raw_say(r, ACKNOWLEDGE, ACK, raw_take_opcode(r, WRITE_ONLY).psn, NULL, 0);
	rc_wc_ok(r->end.scq);
	rc_buf_free(&buf);
	raw_close(r);
}

static const struct test_case cases[] = {
	{ "raw_drain_event", event, 0 },
	{ "raw_drain_address", address, 0 },
};

CASE_TABLE(raw_drain_cases, cases);

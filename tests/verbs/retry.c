// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Receiver not ready, and peers that do not answer. */
#include <errno.h>

#include "verbs_test.h"

static void post_send(struct rc_pair *p, uint64_t wr_id)
{
	struct ibv_send_wr wr = { .wr_id = wr_id, .opcode = IBV_WR_SEND,
				  .send_flags = IBV_SEND_SIGNALED };

	rc_post(&p->a, &wr);
}

static void rnr_exceeded(const struct rc_attr *attr)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, attr);

	post_send(p, 1);
	rc_wc_status(p->a.scq, IBV_WC_RNR_RETRY_EXC_ERR);
	CHECK_EQ(rc_state(&p->a), IBV_QPS_ERR);
	/* The receiver is not in error. */
	CHECK_EQ(rc_state(&p->b), IBV_QPS_RTS);
	rc_pair_destroy(p);
	rc_close(dev);
}

static void rnr_retry_0(void)
{
	rnr_exceeded(&(struct rc_attr){ .no_rnr_retry = true });
}

static void rnr_retry_3(void)
{
	double start = test_ticks();

	/* Timer code 20 is 10.24 ms: three retries take three times that. */
	rnr_exceeded(&(struct rc_attr){ .rnr_retry = 3, .min_rnr_timer = 20 });
	CHECK(test_waited(start, 3 * 0.01024), "the retries came too early");
}

/* Without a limit the sender waits as long as it takes, and keeps the order. */
static void rnr_then_success(void)
{
	struct rc_attr attr = { .rnr_retry = 7, .min_rnr_timer = 12 };
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, &attr);
	struct rc_pair *q = rc_pair_create(dev, NULL);
	int i;

	for (i = 0; i < 10; i++)
		post_send(p, i);
	/* Another pair works meanwhile. */
	for (i = 0; i < 50; i++) {
		rc_recv(&q->b, i, NULL, 0);
		post_send(q, i);
		rc_wc_ok(q->a.scq);
		rc_wc_ok(q->b.rcq);
	}
	rc_wc_none(p->a.scq);
	for (i = 0; i < 10; i++) {
		rc_recv(&p->b, 50 + i, NULL, 0);
		CHECK_EQ(rc_wc_ok(p->a.scq).wr_id, i);
		CHECK_EQ(rc_wc_ok(p->b.rcq).wr_id, 50 + i);
	}
	rc_pair_destroy(p);
	rc_pair_destroy(q);
	rc_close(dev);
}

/* WRITE_IMM needs a receive as well; READ and WRITE do not. */
static void rnr_write_imm(void)
{
	struct rc_attr attr = { .no_rnr_retry = true };
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, &attr);
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);

	rc_op(&p->a, IBV_WR_RDMA_WRITE, rc_sge(&buf, 0, 64), &buf, 64);
	rc_wc_ok(p->a.scq);
	rc_op(&p->a, IBV_WR_RDMA_READ, rc_sge(&buf, 0, 64), &buf, 64);
	rc_wc_ok(p->a.scq);
	rc_op(&p->a, IBV_WR_RDMA_WRITE_WITH_IMM, rc_sge(&buf, 0, 64), &buf, 64);
	rc_wc_status(p->a.scq, IBV_WC_RNR_RETRY_EXC_ERR);
	rc_buf_free(&buf);
	rc_pair_destroy(p);
	rc_close(dev);
}

/* A sender waiting for a receive does not disturb its own receiving side. */
static void rnr_reverse_direction(void)
{
	struct rc_attr attr = { .rnr_retry = 7, .min_rnr_timer = 12 };
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, &attr);
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED };
	int i;

	post_send(p, 1);
	for (i = 0; i < 20; i++) {
		rc_recv(&p->a, i, NULL, 0);
		rc_post(&p->b, &wr);
		rc_wc_ok(p->b.scq);
		rc_wc_ok(p->a.rcq);
	}
	rc_wc_none(p->a.scq);
	rc_recv(&p->b, 1, NULL, 0);
	rc_wc_ok(p->a.scq);
	rc_wc_ok(p->b.rcq);
	rc_pair_destroy(p);
	rc_close(dev);
}

/* A QPN that nobody has, then peers that exist and do not answer. */
static void retry_no_peer(void)
{
	struct rc_attr attr = { .timeout = 8, .retry_cnt = 1 };
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, &attr);

	CHECK_EQ(rc_to_state(&p->a, IBV_QPS_RESET), 0);
	CHECK_EQ(rc_to_init(dev, &p->a, &p->attr), 0);
	CHECK_EQ(rc_to_rtr(dev, &p->a, 0xfffff0, 1, &p->attr), 0);
	CHECK_EQ(rc_to_rts(&p->a, &p->attr), 0);
	post_send(p, 1);
	rc_wc_status(p->a.scq, IBV_WC_RETRY_EXC_ERR);
	CHECK_EQ(rc_state(&p->a), IBV_QPS_ERR);
	rc_pair_destroy(p);
	rc_close(dev);
}

static void retry_peer_state(enum ibv_qp_state state)
{
	struct rc_attr attr = { .timeout = 8, .retry_cnt = 1 };
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, &attr);
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);

	CHECK_EQ(rc_to_state(&p->b, state), 0);
	rc_op(&p->a, IBV_WR_RDMA_WRITE, rc_sge(&buf, 0, 64), &buf, 64);
	rc_wc_status(p->a.scq, IBV_WC_RETRY_EXC_ERR);
	rc_buf_free(&buf);
	rc_pair_destroy(p);
	rc_close(dev);
}

static void retry_peer_reset(void)
{
	retry_peer_state(IBV_QPS_RESET);
}

static void retry_peer_error(void)
{
	retry_peer_state(IBV_QPS_ERR);
}

/* The peer is connected to another QP: its remote QPN is not ours. */
static void retry_not_my_peer(void)
{
	struct rc_attr attr = { .timeout = 8, .retry_cnt = 1 };
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, &attr), *q = rc_pair_create(dev, &attr);
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);

	if (!rc_is_mirage(dev))
		test_skip("rxe looks at PSNs only");
	CHECK_EQ(rc_to_state(&p->a, IBV_QPS_RESET), 0);
	CHECK_EQ(rc_to_init(dev, &p->a, &p->attr), 0);
	CHECK_EQ(rc_to_rtr(dev, &p->a, q->b.qp->qp_num, q->b.psn, &p->attr), 0);
	p->a.psn = q->a.psn;
	CHECK_EQ(rc_to_rts(&p->a, &p->attr), 0);
	rc_fill(buf.addr, PAGE, 1);
	rc_op(&p->a, IBV_WR_RDMA_WRITE, rc_sge(&buf, 0, 64), &buf, 64);
	rc_wc_status(p->a.scq, IBV_WC_RETRY_EXC_ERR);
	rc_verify(buf.addr, PAGE, 1, "the target");
	/* The real pair still works. */
	rc_recv(&q->b, 1, NULL, 0);
	post_send(q, 2);
	rc_wc_ok(q->a.scq);
	rc_buf_free(&buf);
	rc_pair_destroy(p);
	rc_pair_destroy(q);
	rc_close(dev);
}

/* The peer is destroyed while requests are on their way to it. */
static void retry_peer_destroyed(void)
{
	struct rc_attr attr = { .timeout = 8, .retry_cnt = 1, .rnr_retry = 7 };
	struct rc_dev *dev = rc_open();
	struct rc_end end;
	struct rc_pair *p;
	struct ibv_wc wc;
	int i;

	for (i = 0; i < 10; i++) {
		p = rc_pair_create(dev, &attr);
		post_send(p, 1);
		post_send(p, 2);
		end = p->b;
		rc_end_destroy(&end);
		wc = rc_wc(p->a.scq);
		if (wc.status != IBV_WC_RETRY_EXC_ERR)
			test_fail("'%s' after the peer is gone", ibv_wc_status_str(wc.status));
		rc_wc_status(p->a.scq, IBV_WC_WR_FLUSH_ERR);
		rc_end_destroy(&p->a);
	}
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "rnr_retry_0", rnr_retry_0, 0 },
	{ "rnr_retry_3", rnr_retry_3, 0 },
	{ "rnr_then_success", rnr_then_success, 0 },
	{ "rnr_write_imm", rnr_write_imm, 0 },
	{ "rnr_reverse_direction", rnr_reverse_direction, 0 },
	{ "retry_no_peer", retry_no_peer, 0 },
	{ "retry_peer_reset", retry_peer_reset, 0 },
	{ "retry_peer_error", retry_peer_error, 0 },
	{ "retry_not_my_peer", retry_not_my_peer, 0 },
	{ "retry_peer_destroyed", retry_peer_destroyed, 0 },
};

CASE_TABLE(retry_cases, cases);

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Completion events and asynchronous events. */
#include <errno.h>
#include <string.h>

#include "verbs_test.h"

struct stage {
	struct rc_dev *dev;
	struct ibv_comp_channel *channel;
	struct rc_pair *p;
	struct rc_buf buf;
};

static struct stage setup(void)
{
	struct stage s = { .dev = rc_open() };
	struct rc_attr attr = {};

	s.channel = ibv_create_comp_channel(s.dev->ctx);
	CHECK(s.channel);
	attr.channel = s.channel;
	s.p = rc_pair_create(s.dev, &attr);
	s.buf = rc_buf(s.dev, 2 * PAGE, RC_ACCESS_ALL);
	return s;
}

static void teardown(struct stage *s)
{
	rc_pair_destroy(s->p);
	rc_buf_free(&s->buf);
	CHECK_EQ(ibv_destroy_comp_channel(s->channel), 0);
	rc_close(s->dev);
}

static void send_one(struct stage *s, int flags)
{
	struct ibv_sge to = rc_sge(&s->buf, PAGE, PAGE), from = rc_sge(&s->buf, 0, 100);
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &from, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED | flags };

	rc_recv(&s->p->b, 1, &to, 1);
	rc_post(&s->p->a, &wr);
	rc_wc_ok(s->p->a.scq);
}

static void event_armed(void)
{
	struct stage s = setup();
	int i;

	for (i = 0; i < 100; i++) {
		CHECK_EQ(ibv_req_notify_cq(s.p->b.rcq, 0), 0);
		send_one(&s, 0);
		rc_event_wait(s.channel, s.p->b.rcq);
		rc_wc_ok(s.p->b.rcq);
	}
	CHECK(!rc_event_pending(s.channel));
	teardown(&s);
}

/* One event for one arming, however many completions come. */
static void event_not_armed(void)
{
	struct stage s = setup();
	int i;

	for (i = 0; i < 5; i++)
		send_one(&s, 0);
	for (i = 0; i < 5; i++)
		rc_wc_ok(s.p->b.rcq);
	CHECK(!rc_event_pending(s.channel));
	CHECK_EQ(ibv_req_notify_cq(s.p->b.rcq, 0), 0);
	for (i = 0; i < 5; i++)
		send_one(&s, 0);
	for (i = 0; i < 5; i++)
		rc_wc_ok(s.p->b.rcq);
	rc_event_wait(s.channel, s.p->b.rcq);
	CHECK(!rc_event_pending(s.channel));
	teardown(&s);
}

static void event_solicited(void)
{
	struct stage s = setup();

	CHECK_EQ(ibv_req_notify_cq(s.p->b.rcq, 1), 0);
	send_one(&s, 0);
	rc_wc_ok(s.p->b.rcq);
	CHECK(!rc_event_pending(s.channel));
	send_one(&s, IBV_SEND_SOLICITED);
	rc_event_wait(s.channel, s.p->b.rcq);
	rc_wc_ok(s.p->b.rcq);
	/* An error completion wakes a solicited waiter too. */
	CHECK_EQ(ibv_req_notify_cq(s.p->b.rcq, 1), 0);
	rc_recv(&s.p->b, 1, NULL, 0);
	CHECK_EQ(rc_to_state(&s.p->b, IBV_QPS_ERR), 0);
	rc_event_wait(s.channel, s.p->b.rcq);
	rc_wc_status(s.p->b.rcq, IBV_WC_WR_FLUSH_ERR);
	/* Arming for any and then for solicited only still means any. */
	rc_pair_reset(s.p);
	CHECK_EQ(ibv_req_notify_cq(s.p->b.rcq, 0), 0);
	CHECK_EQ(ibv_req_notify_cq(s.p->b.rcq, 1), 0);
	send_one(&s, 0);
	rc_event_wait(s.channel, s.p->b.rcq);
	teardown(&s);
}

/* Arm, poll until empty, sleep: a completion that races with that is not lost. */
static void event_no_lost_wakeup(void)
{
	struct stage s = setup();
	struct ibv_sge to = rc_sge(&s.buf, PAGE, PAGE);
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND };
	struct ibv_wc wc;
	int i, got = 0;

	for (i = 0; i < 60; i++)
		rc_recv(&s.p->b, i, &to, 1);
	for (i = 0; i < 60; i++) {
		wr.send_flags = i == 59 ? IBV_SEND_SIGNALED : 0;
		rc_post(&s.p->a, &wr);
	}
	while (got < 60) {
		CHECK_EQ(ibv_req_notify_cq(s.p->b.rcq, 0), 0);
		if (ibv_poll_cq(s.p->b.rcq, 1, &wc) == 1) {
			got++;
			continue;
		}
		rc_event_wait(s.channel, s.p->b.rcq);
	}
	teardown(&s);
}

static void async_comm_est(void)
{
	struct stage s = setup();
	struct rc_pair *p = s.p;
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED };

	CHECK_EQ(rc_to_state(&p->a, IBV_QPS_RESET), 0);
	CHECK_EQ(rc_to_state(&p->b, IBV_QPS_RESET), 0);
	CHECK_EQ(rc_to_init(s.dev, &p->a, &p->attr), 0);
	CHECK_EQ(rc_to_init(s.dev, &p->b, &p->attr), 0);
	CHECK_EQ(rc_to_rtr(s.dev, &p->a, p->b.qp->qp_num, p->b.psn, &p->attr), 0);
	CHECK_EQ(rc_to_rtr(s.dev, &p->b, p->a.qp->qp_num, p->a.psn, &p->attr), 0);
	CHECK_EQ(rc_to_rts(&p->a, &p->attr), 0);
	rc_recv(&p->b, 1, NULL, 0);
	rc_recv(&p->b, 2, NULL, 0);
	rc_post(&p->a, &wr);
	rc_wc_ok(p->a.scq);
	rc_async_wait(s.dev, IBV_EVENT_COMM_EST, p->b.qp);
	CHECK_EQ(rc_to_rts(&p->b, &p->attr), 0);
	rc_post(&p->a, &wr);
	rc_wc_ok(p->a.scq);
	teardown(&s);
}

static void async_sq_drained(void)
{
	struct stage s = setup();
	struct ibv_qp_attr qa = { .qp_state = IBV_QPS_SQD, .en_sqd_async_notify = 1 };
	int i;

	for (i = 0; i < 5; i++)
		send_one(&s, 0);
	CHECK_EQ(ibv_modify_qp(s.p->a.qp, &qa, IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY), 0);
	rc_async_wait(s.dev, IBV_EVENT_SQ_DRAINED, s.p->a.qp);
	CHECK_EQ(ibv_query_qp(s.p->a.qp, &qa, IBV_QP_STATE,
			      &(struct ibv_qp_init_attr){}), 0);
	CHECK_EQ(qa.qp_state, IBV_QPS_SQD);
	CHECK_EQ(qa.sq_draining, 0);
	teardown(&s);
}

static void async_access_err(void)
{
	struct stage s = setup();
	struct ibv_sge sg = rc_sge(&s.buf, 0, 64);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg, .num_sge = 1 };

	wr.wr.rdma.rkey = s.buf.mr->rkey ^ 0x5a5a5a00;
	rc_post(&s.p->a, &wr);
	rc_wc_status(s.p->a.scq, IBV_WC_REM_ACCESS_ERR);
	rc_async_wait(s.dev, IBV_EVENT_QP_ACCESS_ERR, s.p->b.qp);
	teardown(&s);
}

static void async_req_err(void)
{
	struct stage s = setup();
	struct ibv_sge sg = rc_sge(&s.buf, 0, 8);
	struct ibv_send_wr wr = { .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .sg_list = &sg,
				  .num_sge = 1 };

	wr.wr.atomic.rkey = s.buf.mr->rkey;
	wr.wr.atomic.remote_addr = (uintptr_t)s.buf.addr + 1;
	rc_post(&s.p->a, &wr);
	rc_wc_status(s.p->a.scq, IBV_WC_REM_INV_REQ_ERR);
	rc_async_wait(s.dev, IBV_EVENT_QP_REQ_ERR, s.p->b.qp);
	teardown(&s);
}

static void async_cq_overflow(void)
{
	struct rc_attr attr = { .cqe = 1, .sig_all = true };
	struct rc_dev *dev = rc_open();
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE };
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr qa;
	struct rc_pair *p;
	struct rc_buf buf;
	int i, n;

	attr.cap.max_send_wr = 256;
	p = rc_pair_create(dev, &attr);
	buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	CHECK_EQ(ibv_query_qp(p->a.qp, &qa, IBV_QP_CAP, &init), 0);
	n = p->a.scq->cqe + 1;
	if (n > (int)qa.cap.max_send_wr)
		test_skip("the smallest CQ has %d entries", n - 1);
	wr.wr.rdma.remote_addr = (uintptr_t)buf.addr;
	wr.wr.rdma.rkey = buf.mr->rkey;
	for (i = 0; i < n; i++)
		rc_post(&p->a, &wr);
	rc_async_wait(dev, IBV_EVENT_CQ_ERR, p->a.scq);
	rc_buf_free(&buf);
	rc_pair_destroy(p);
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "event_armed", event_armed, 0 },
	{ "event_not_armed", event_not_armed, 0 },
	{ "event_solicited", event_solicited, 0 },
	{ "event_no_lost_wakeup", event_no_lost_wakeup, 0 },
	{ "async_comm_est", async_comm_est, 0 },
	{ "async_sq_drained", async_sq_drained, 0 },
	{ "async_access_err", async_access_err, 0 },
	{ "async_req_err", async_req_err, 0 },
	{ "async_cq_overflow", async_cq_overflow, 0 },
};

CASE_TABLE(events_cases, cases);

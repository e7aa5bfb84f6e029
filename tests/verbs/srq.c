// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Shared receive queues. */
#include <errno.h>
#include <string.h>

#include "verbs_test.h"

#define MSG	3000

struct stage {
	struct rc_dev *dev;
	struct ibv_srq *srq;
	struct rc_pair *p, *q;
	struct rc_buf src, dst;
};

static struct stage setup(unsigned int max_wr)
{
	/* The manual page says that srq_limit is ignored here. */
	struct ibv_srq_init_attr init = {
		.attr = { .max_wr = max_wr, .max_sge = 2, .srq_limit = UINT32_MAX },
	};
	struct stage s = { .dev = rc_open() };
	struct rc_attr attr = {};

	s.srq = ibv_create_srq(s.dev->pd, &init);
	if (!s.srq && errno == EOPNOTSUPP)
		test_skip("no SRQ");
	CHECK(s.srq, "(%s)", strerror(errno));
	CHECK(init.attr.max_wr >= max_wr && init.attr.max_sge >= 2);
	attr.srq = s.srq;
	s.p = rc_pair_create(s.dev, &attr);
	s.q = rc_pair_create(s.dev, &attr);
	s.src = rc_buf(s.dev, 64 * MSG, RC_ACCESS_ALL);
	s.dst = rc_buf(s.dev, 64 * MSG, RC_ACCESS_ALL);
	return s;
}

static void teardown(struct stage *s)
{
	rc_pair_destroy(s->p);
	rc_pair_destroy(s->q);
	CHECK_EQ(ibv_destroy_srq(s->srq), 0);
	rc_buf_free(&s->src);
	rc_buf_free(&s->dst);
	rc_close(s->dev);
}

static int srq_post(struct stage *s, uint64_t slot)
{
	struct ibv_sge sg = rc_sge(&s->dst, slot % 64 * MSG, MSG);
	struct ibv_recv_wr wr = { .wr_id = slot, .sg_list = &sg, .num_sge = 1 }, *bad;

	return ibv_post_srq_recv(s->srq, &wr, &bad);
}

/* Two QPs take receives from one queue in turn; each message is where its completion says. */
static void srq_shared(void)
{
	struct stage s = setup(64);
	struct rc_pair *pair;
	struct ibv_wc wc;
	uint64_t i;

	for (i = 0; i < 40; i++)
		CHECK_EQ(srq_post(&s, i), 0);
	for (i = 0; i < 200; i++) {
		pair = i % 3 ? s.p : s.q;
		rc_fill(s.src.addr, MSG, i);
		rc_op(&pair->a, IBV_WR_SEND, rc_sge(&s.src, 0, MSG), NULL, 0);
		rc_wc_ok(pair->a.scq);
		wc = rc_wc_ok(pair->b.rcq);
		CHECK_EQ(wc.wr_id, i);
		CHECK_EQ(wc.qp_num, pair->b.qp->qp_num);
		rc_verify(s.dst.addr + i % 64 * MSG, MSG, i, "through the SRQ");
		CHECK_EQ(srq_post(&s, i + 40), 0);
	}
	teardown(&s);
}

static void srq_full(void)
{
	struct stage s = setup(16);
	struct ibv_srq_attr attr;
	unsigned int i;

	CHECK_EQ(ibv_query_srq(s.srq, &attr), 0);
	for (i = 0; i < attr.max_wr; i++)
		CHECK_EQ(srq_post(&s, i), 0);
	CHECK_EQ(srq_post(&s, i), ENOMEM);
	teardown(&s);
}

static void srq_too_many_sges(void)
{
	struct stage s = setup(16);
	struct ibv_srq_attr attr;
	struct ibv_sge sg[64];
	struct ibv_recv_wr wr = { .sg_list = sg }, *bad;
	unsigned int i;

	CHECK_EQ(ibv_query_srq(s.srq, &attr), 0);
	CHECK(attr.max_sge < 64);
	for (i = 0; i < 64; i++)
		sg[i] = rc_sge(&s.dst, i, 1);
	wr.num_sge = attr.max_sge + 1;
	CHECK_EQ(ibv_post_srq_recv(s.srq, &wr, &bad), EINVAL);
	teardown(&s);
}

/* Armed at 5, the event comes once, when fewer than 5 receives are left. */
static void srq_limit(void)
{
	struct stage s = setup(16);
	struct ibv_srq_attr attr = { .srq_limit = 5 };
	struct ibv_sge from = rc_sge(&s.src, 0, 8);
	uint64_t i;

	for (i = 0; i < 10; i++)
		CHECK_EQ(srq_post(&s, i), 0);
	CHECK_EQ(ibv_modify_srq(s.srq, &attr, IBV_SRQ_LIMIT), 0);
	CHECK_EQ(ibv_query_srq(s.srq, &attr), 0);
	CHECK_EQ(attr.srq_limit, 5);
	for (i = 0; i < 8; i++) {
		rc_op(&s.p->a, IBV_WR_SEND, from, NULL, 0);
		rc_wc_ok(s.p->a.scq);
		rc_wc_ok(s.p->b.rcq);
	}
	rc_async_wait(s.dev, IBV_EVENT_SRQ_LIMIT_REACHED, s.srq);
	CHECK_EQ(ibv_query_srq(s.srq, &attr), 0);
	CHECK_EQ(attr.srq_limit, 0);
	teardown(&s);
}

static void srq_limit_too_large(void)
{
	struct stage s = setup(16);
	struct ibv_srq_attr attr, ask;

	CHECK_EQ(ibv_query_srq(s.srq, &attr), 0);
	ask = attr;
	ask.srq_limit = attr.max_wr + 1;
	CHECK_EQ(ibv_modify_srq(s.srq, &ask, IBV_SRQ_LIMIT), EINVAL);
	teardown(&s);
}

/* The queue grows with receives in it: none is lost, and there is room for more. */
static void srq_resize(void)
{
	struct stage s = setup(16);
	struct ibv_srq_attr attr, ask;
	struct ibv_sge from = rc_sge(&s.src, 0, 8);
	unsigned int i;

	if (!(s.dev->attr.orig_attr.device_cap_flags & IBV_DEVICE_SRQ_RESIZE))
		test_skip("no SRQ resize");
	CHECK_EQ(ibv_query_srq(s.srq, &attr), 0);
	for (i = 0; i < attr.max_wr; i++)
		CHECK_EQ(srq_post(&s, i), 0);
	ask = (struct ibv_srq_attr){ .max_wr = attr.max_wr * 2 };
	if ((int)ask.max_wr > s.dev->attr.orig_attr.max_srq_wr)
		test_skip("the smallest SRQ is the largest");
	CHECK_EQ(ibv_modify_srq(s.srq, &ask, IBV_SRQ_MAX_WR), 0);
	CHECK_EQ(ibv_query_srq(s.srq, &ask), 0);
	CHECK(ask.max_wr >= attr.max_wr * 2);
	for (; i < attr.max_wr * 2; i++)
		CHECK_EQ(srq_post(&s, i), 0);
	for (i = 0; i < attr.max_wr * 2; i++) {
		rc_op(&s.p->a, IBV_WR_SEND, from, NULL, 0);
		rc_wc_ok(s.p->a.scq);
		CHECK_EQ(rc_wc_ok(s.p->b.rcq).wr_id, i);
	}
	ask.max_wr = s.dev->attr.orig_attr.max_srq_wr + 1;
	CHECK(ibv_modify_srq(s.srq, &ask, IBV_SRQ_MAX_WR));
	teardown(&s);
}

/* Empty, then filled: a sender that waits finds the receive. */
static void srq_rnr(void)
{
	struct stage s = setup(16);
	struct ibv_sge from = rc_sge(&s.src, 0, MSG);
	int i;

	rc_fill(s.src.addr, MSG, 6);
	for (i = 0; i < 4; i++) {
		rc_op(&s.p->a, IBV_WR_SEND, from, NULL, 0);
		rc_op(&s.q->a, IBV_WR_SEND, from, NULL, 0);
	}
	for (i = 0; i < 8; i++)
		CHECK_EQ(srq_post(&s, i), 0);
	for (i = 0; i < 4; i++) {
		rc_wc_ok(s.p->a.scq);
		rc_wc_ok(s.q->a.scq);
		rc_wc_ok(s.p->b.rcq);
		rc_wc_ok(s.q->b.rcq);
	}
	rc_verify(s.dst.addr, MSG, 6, "after RNR");
	teardown(&s);
}

static void srq_last_wqe(void)
{
	struct stage s = setup(16);
	int i;

	for (i = 0; i < 3; i++)
		CHECK_EQ(srq_post(&s, i), 0);
	CHECK_EQ(rc_to_state(&s.p->b, IBV_QPS_ERR), 0);
	rc_async_wait(s.dev, IBV_EVENT_QP_LAST_WQE_REACHED, s.p->b.qp);
	/* The receives stay in the SRQ, for the other QP. */
	rc_wc_none(s.p->b.rcq);
	rc_op(&s.q->a, IBV_WR_SEND, rc_sge(&s.src, 0, 8), NULL, 0);
	rc_wc_ok(s.q->a.scq);
	CHECK_EQ(rc_wc_ok(s.q->b.rcq).wr_id, 0);
	teardown(&s);
}

static void srq_busy(void)
{
	struct stage s = setup(16);

	CHECK_EQ(ibv_destroy_srq(s.srq), EBUSY);
	teardown(&s);
}

/* Receives are checked against the PD of the SRQ, not of the QP that takes them. */
static void srq_other_pd(void)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 4, .max_sge = 1 } };
	struct rc_dev *dev = rc_open();
	struct ibv_pd *pd = ibv_alloc_pd(dev->ctx);
	struct rc_buf dst = rc_buf_pd(pd, PAGE, RC_ACCESS_ALL);
	struct rc_buf src = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct ibv_sge in = rc_sge(&dst, 0, PAGE);
	struct ibv_recv_wr wr = { .sg_list = &in, .num_sge = 1 }, *bad;
	struct ibv_srq *srq = ibv_create_srq(pd, &init);
	struct rc_attr attr = { .srq = srq };
	struct rc_pair *p;

	CHECK(srq);
	p = rc_pair_create(dev, &attr);
	CHECK_EQ(ibv_post_srq_recv(srq, &wr, &bad), 0);
	rc_fill(src.addr, PAGE, 1);
	rc_op(&p->a, IBV_WR_SEND, rc_sge(&src, 0, PAGE), NULL, 0);
	rc_wc_ok(p->a.scq);
	rc_wc_ok(p->b.rcq);
	rc_verify(dst.addr, PAGE, 1, "by the queue's PD");
	in = rc_sge(&src, 0, PAGE);
	CHECK_EQ(ibv_post_srq_recv(srq, &wr, &bad), 0);
	rc_op(&p->a, IBV_WR_SEND, rc_sge(&src, 0, PAGE), NULL, 0);
	rc_wc_status(p->a.scq, IBV_WC_REM_OP_ERR);
	rc_wc_status(p->b.rcq, IBV_WC_LOC_PROT_ERR);
	rc_pair_destroy(p);
	CHECK_EQ(ibv_destroy_srq(srq), 0);
	rc_buf_free(&src);
	rc_buf_free(&dst);
	CHECK_EQ(ibv_dealloc_pd(pd), 0);
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "srq_shared", srq_shared, 0 },
	{ "srq_full", srq_full, 0 },
	{ "srq_too_many_sges", srq_too_many_sges, 0 },
	{ "srq_limit", srq_limit, 0 },
	{ "srq_limit_too_large", srq_limit_too_large, 0 },
	{ "srq_resize", srq_resize, 0 },
	{ "srq_rnr", srq_rnr, 0 },
	{ "srq_last_wqe", srq_last_wqe, 0 },
	{ "srq_busy", srq_busy, 0 },
	{ "srq_other_pd", srq_other_pd, 0 },
};

CASE_TABLE(srq_cases, cases);

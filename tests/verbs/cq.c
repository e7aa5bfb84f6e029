// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* CQ resize, order and sharing. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "verbs_test.h"

struct stage {
	struct rc_dev *dev;
	struct rc_pair *p;
	struct rc_buf buf;
};

static struct stage setup(void)
{
	struct rc_attr attr = { .cqe = 64, .cap.max_send_wr = 256 };
	struct stage s = { .dev = rc_open() };

	s.p = rc_pair_create(s.dev, &attr);
	s.buf = rc_buf(s.dev, PAGE, RC_ACCESS_ALL);
	return s;
}

static void teardown(struct stage *s)
{
	rc_pair_destroy(s->p);
	rc_buf_free(&s->buf);
	rc_close(s->dev);
}

static void post_write(struct stage *s, uint64_t wr_id)
{
	struct ibv_sge sg = rc_sge(&s->buf, 0, 8);
	struct ibv_send_wr wr = { .wr_id = wr_id, .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg,
				  .num_sge = 1, .send_flags = IBV_SEND_SIGNALED };

	wr.wr.rdma.remote_addr = (uintptr_t)s->buf.addr + 64;
	wr.wr.rdma.rkey = s->buf.mr->rkey;
	rc_post(&s->p->a, &wr);
}

/* A completion at the other side means that all writes before it are done. */
static void settle(struct stage *s)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND };

	rc_recv(&s->p->b, 0, NULL, 0);
	rc_post(&s->p->a, &wr);
	rc_wc_ok(s->p->b.rcq);
}

static void cq_resize_keeps(void)
{
	static const int to[] = { 200, 40, 128, 33, 250 };
	struct stage s = setup();
	size_t i;
	int n, ret;

	for (i = 0; i < ARRAY_SIZE(to); i++) {
		for (n = 0; n < 30; n++)
			post_write(&s, n);
		settle(&s);
		for (n = 0; n < 7; n++)
			CHECK_EQ(rc_wc_ok(s.p->a.scq).wr_id, n);
		ret = ibv_resize_cq(s.p->a.scq, to[i]);
		if (ret == EOPNOTSUPP)
			test_skip("no CQ resize");
		CHECK_EQ(ret, 0);
		CHECK(s.p->a.scq->cqe >= to[i]);
		for (; n < 30; n++)
			CHECK_EQ(rc_wc_ok(s.p->a.scq).wr_id, n);
		rc_wc_none(s.p->a.scq);
	}
	teardown(&s);
}

static void cq_resize_refused(void)
{
	struct stage s = setup();
	int n;

	if (ibv_resize_cq(s.p->a.scq, 64) == EOPNOTSUPP)
		test_skip("no CQ resize");
	for (n = 0; n < 60; n++)
		post_write(&s, n);
	settle(&s);
	/* Sizes are rounded up to a power of two, but 8 never gives room for 60. */
	CHECK_EQ(ibv_resize_cq(s.p->a.scq, 8), EINVAL);
	CHECK_EQ(ibv_resize_cq(s.p->a.scq, s.dev->attr.orig_attr.max_cqe + 1), EINVAL);
	CHECK_EQ(ibv_resize_cq(s.p->a.scq, 0), EINVAL);
	for (n = 0; n < 60; n++)
		CHECK_EQ(rc_wc_ok(s.p->a.scq).wr_id, n);
	teardown(&s);
}

struct resizer {
	struct ibv_cq *cq;
	bool stop;
	unsigned int done;
};

static void *resize_loop(void *arg)
{
	struct resizer *r = arg;
	int size = 64;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		size = size == 500 ? 64 : 500;
		if (ibv_resize_cq(r->cq, size))
			test_fail("resize to %d under traffic: %s", size, strerror(errno));
		r->done++;
		sched_yield();
	}
	return NULL;
}

/* One thread resizes while another posts and polls: completions stay complete and in order. */
static void cq_resize_under_traffic(void)
{
	struct stage s = setup();
	struct resizer r = { .cq = s.p->a.scq };
	uint64_t posted = 0, polled = 0;
	pthread_t thread;

	if (ibv_resize_cq(s.p->a.scq, 64) == EOPNOTSUPP)
		test_skip("no CQ resize");
	pthread_create(&thread, NULL, resize_loop, &r);
	while (polled < 3000) {
		while (posted - polled < 16)
			post_write(&s, posted++);
		CHECK_EQ(rc_wc_ok(s.p->a.scq).wr_id, polled);
		polled++;
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(r.done > 0);
	while (polled < posted)
		CHECK_EQ(rc_wc_ok(s.p->a.scq).wr_id, polled++);
	teardown(&s);
}

/* Poll several at once, more than there are, and across the end of the ring. */
static void cq_poll_many(void)
{
	struct stage s = setup();
	struct ibv_wc wc[100];
	uint64_t next = 0;
	int round, n, i;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < 50; i++)
			post_write(&s, round * 50 + i);
		settle(&s);
		n = ibv_poll_cq(s.p->a.scq, 13, wc);
		CHECK_EQ(n, 13);
		n += ibv_poll_cq(s.p->a.scq, 87, wc + n);
		CHECK_EQ(n, 50);
		for (i = 0; i < n; i++) {
			CHECK_EQ(wc[i].wr_id, next++);
			CHECK_EQ(wc[i].status, IBV_WC_SUCCESS);
		}
		CHECK_EQ(ibv_poll_cq(s.p->a.scq, 10, wc), 0);
	}
	teardown(&s);
}

static void cq_busy(void)
{
	struct stage s = setup();

	CHECK_EQ(ibv_destroy_cq(s.p->a.scq), EBUSY);
	CHECK_EQ(ibv_dealloc_pd(s.dev->pd), EBUSY);
	teardown(&s);
}

struct poster {
	struct stage *s;
	struct rc_pair *p;
	unsigned int n;
};

static void *post_loop(void *arg)
{
	struct poster *po = arg;
	struct ibv_sge sg = rc_sge(&po->s->buf, 0, 8);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };
	int ret;

	wr.wr.rdma.remote_addr = (uintptr_t)po->s->buf.addr + 64;
	wr.wr.rdma.rkey = po->s->buf.mr->rkey;
	while (wr.wr_id < po->n) {
		ret = rc_try_post(&po->p->a, &wr);
		if (ret == ENOMEM) {
			sched_yield();
			continue;
		}
		CHECK_EQ(ret, 0);
		wr.wr_id++;
	}
	return NULL;
}

/* Two threads post to one QP and a third polls: none is lost, each thread's are in order. */
static void cq_two_posters(void)
{
	struct stage s = setup();
	struct poster po = { .s = &s, .p = s.p, .n = 1000 };
	uint64_t seen[1000] = {};
	pthread_t thread[2];
	unsigned int i;

	if (ibv_resize_cq(s.p->a.scq, 600))
		test_skip("no CQ resize");
	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, post_loop, &po);
	for (i = 0; i < 2000; i++)
		seen[rc_wc_ok(s.p->a.scq).wr_id % 1000]++;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 1000; i++)
		CHECK_EQ(seen[i], 2);
	rc_wc_none(s.p->a.scq);
	teardown(&s);
}

static const struct test_case cases[] = {
	{ "cq_resize_keeps", cq_resize_keeps, 0 },
	{ "cq_resize_refused", cq_resize_refused, 0 },
	{ "cq_resize_under_traffic", cq_resize_under_traffic, 0 },
	{ "cq_poll_many", cq_poll_many, 0 },
	{ "cq_busy", cq_busy, 0 },
	{ "cq_two_posters", cq_two_posters, 0 },
};

CASE_TABLE(cq_cases, cases);

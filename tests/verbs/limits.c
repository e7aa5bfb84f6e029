// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The device enforces the limits that it reports, and allows no less. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "verbs_test.h"

#define TURNOVER	64	/* objects given back and made again at the limit */
#define KERNELS_OWN	8	/* of each kind at most: the MAD layer's QPs, their CQs and PD */
#define MAPS		"/proc/sys/vm/max_map_count"

static struct ibv_qp *try_qp(struct rc_dev *dev, struct ibv_cq *cq, struct ibv_qp_cap cap)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC, .send_cq = cq, .recv_cq = cq, .cap = cap,
	};

	return ibv_create_qp(dev->pd, &init);
}

static void limit_qp_caps(void)
{
	struct rc_dev *dev = rc_open();
	struct ibv_device_attr *d = &dev->attr.orig_attr;
	struct ibv_cq *cq = ibv_create_cq(dev->ctx, 16, NULL, NULL, 0);
	struct ibv_qp_cap good[] = {
		{ .max_send_wr = d->max_qp_wr, .max_send_sge = 1 },
		{ .max_recv_wr = d->max_qp_wr, .max_recv_sge = 1 },
		{ .max_send_wr = 1, .max_send_sge = d->max_sge,
		  .max_recv_wr = 1, .max_recv_sge = d->max_sge },
		{ .max_send_wr = d->max_qp_wr, .max_send_sge = d->max_sge,
		  .max_recv_wr = d->max_qp_wr, .max_recv_sge = d->max_sge },
		{ .max_send_wr = 0 },
	};
	struct ibv_qp_cap bad[] = {
		{ .max_send_wr = d->max_qp_wr + 1, .max_send_sge = 1 },
		{ .max_recv_wr = d->max_qp_wr + 1, .max_recv_sge = 1 },
		{ .max_send_wr = 1, .max_send_sge = d->max_sge + 1 },
		{ .max_recv_wr = 1, .max_recv_sge = d->max_sge + 1 },
		{ .max_send_wr = 1, .max_send_sge = 1, .max_inline_data = 1u << 20 },
		{ .max_send_wr = UINT32_MAX, .max_send_sge = 1 },
		{ .max_recv_wr = 1, .max_recv_sge = UINT32_MAX },
	};
	struct ibv_qp *qp;
	size_t i;

	CHECK(cq);
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		qp = try_qp(dev, cq, good[i]);
		if (!qp)
			test_fail("good row %zu: %s", i, strerror(errno));
		CHECK_EQ(ibv_destroy_qp(qp), 0);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		qp = try_qp(dev, cq, bad[i]);
		if (qp || errno != EINVAL)
			test_fail("bad row %zu: %s", i, qp ? "created" : strerror(errno));
	}
	CHECK_EQ(ibv_destroy_cq(cq), 0);
	rc_close(dev);
}

static void limit_cqe(void)
{
	struct rc_dev *dev = rc_open();
	int max = dev->attr.orig_attr.max_cqe;
	struct ibv_cq *cq;

	cq = ibv_create_cq(dev->ctx, max, NULL, NULL, 0);
	CHECK(cq, "max_cqe: %s", strerror(errno));
	CHECK(cq->cqe >= max);
	CHECK_EQ(ibv_destroy_cq(cq), 0);
	CHECK(!ibv_create_cq(dev->ctx, max + 1, NULL, NULL, 0));
	CHECK_EQ(errno, EINVAL);
	CHECK(!ibv_create_cq(dev->ctx, 0, NULL, NULL, 0));
	CHECK_EQ(errno, EINVAL);
	CHECK(!ibv_create_cq(dev->ctx, 16, NULL, NULL, dev->ctx->num_comp_vectors));
	CHECK_EQ(errno, EINVAL);
	rc_close(dev);
}

static void limit_srq(void)
{
	struct rc_dev *dev = rc_open();
	struct ibv_device_attr *d = &dev->attr.orig_attr;
	struct ibv_srq_init_attr good = {
		.attr = { .max_wr = d->max_srq_wr, .max_sge = d->max_srq_sge },
	};
	struct ibv_srq_init_attr bad[] = {
		{ .attr = { .max_wr = d->max_srq_wr + 1, .max_sge = 1 } },
		{ .attr = { .max_wr = 1, .max_sge = d->max_srq_sge + 1 } },
		{ .attr = { .max_wr = UINT32_MAX, .max_sge = 1 } },
		{ .attr = { .max_wr = 0, .max_sge = 1 } },
	};
	struct ibv_srq *srq;
	size_t i;

	if (!d->max_srq)
		test_skip("no SRQ");
	srq = ibv_create_srq(dev->pd, &good);
	CHECK(srq, "(%s)", strerror(errno));
	CHECK_EQ(ibv_destroy_srq(srq), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		srq = ibv_create_srq(dev->pd, &bad[i]);
		if (srq || errno != EINVAL)
			test_fail("row %zu: %s", i, srq ? "created" : strerror(errno));
	}
	rc_close(dev);
}

struct maker {
	struct rc_dev *dev;
	struct ibv_cq *cq;
	void *buf;
};

static void *make_pd(struct maker *m)
{
	return ibv_alloc_pd(m->dev->ctx);
}

static int free_pd(void *o)
{
	return ibv_dealloc_pd(o);
}

static void *make_cq(struct maker *m)
{
	return ibv_create_cq(m->dev->ctx, 1, NULL, NULL, 0);
}

static int free_cq(void *o)
{
	return ibv_destroy_cq(o);
}

static void *make_qp(struct maker *m)
{
	return try_qp(m->dev, m->cq, (struct ibv_qp_cap){ .max_send_wr = 1, .max_recv_wr = 1,
							   .max_send_sge = 1, .max_recv_sge = 1 });
}

static int free_qp(void *o)
{
	return ibv_destroy_qp(o);
}

static void *make_srq(struct maker *m)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 1, .max_sge = 1 } };

	return ibv_create_srq(m->dev->pd, &init);
}

static int free_srq(void *o)
{
	return ibv_destroy_srq(o);
}

static void *make_mr(struct maker *m)
{
	return ibv_reg_mr(m->dev->pd, m->buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND);
}

static int free_mr(void *o)
{
	return ibv_dereg_mr(o);
}

static void *make_mw(struct maker *m)
{
	return ibv_alloc_mw(m->dev->pd, IBV_MW_TYPE_2);
}

static int free_mw(void *o)
{
	return ibv_dealloc_mw(o);
}

static void *make_ah(struct maker *m)
{
	struct ibv_ah_attr attr = {
		.is_global = 1, .port_num = 1,
		.grh = { .dgid = m->dev->gid, .sgid_index = m->dev->gid_index },
	};

	return ibv_create_ah(m->dev->pd, &attr);
}

static int free_ah(void *o)
{
	return ibv_destroy_ah(o);
}

struct kind {
	const char *what;
	int max;
	void *(*make)(struct maker *);
	int (*destroy)(void *);
};

/* Make objects from the n-th on until one is refused; returns how many there are. */
static int make_all(struct maker *m, const struct kind *k, void **made, int n)
{
	while (n <= k->max && (made[n] = k->make(m)))
		n++;
	if (n > k->max)
		test_fail("%s is %d, and there is one more", k->what, k->max);
	CHECK(errno == ENOMEM || errno == ENOSPC, "%s: %s", k->what, strerror(errno));
	return n;
}

/*
 * Make as many objects of one kind as are allowed; one more is refused. Those that are
 * destroyed can be made again, down to the last one, and no more.
 */
static void fill_kind(struct maker *m, const struct kind *k)
{
	void **made = calloc(k->max + 1, sizeof(*made));
	double start = test_now();
	int n, i;

	CHECK(made);
	n = make_all(m, k, made, 0);
	CHECK(n >= k->max - KERNELS_OWN, "%s: refused at %d of %d: %s", k->what, n, k->max,
	      strerror(errno));
	for (i = 1; i <= TURNOVER; i++)
		CHECK_EQ(k->destroy(made[n - i]), 0);
	CHECK_EQ(make_all(m, k, made, n - TURNOVER), n);
	for (i = 0; i < n; i++)
		CHECK_EQ(k->destroy(made[i]), 0);
	made[0] = k->make(m);
	CHECK(made[0], "%s: %s", k->what, strerror(errno));
	CHECK_EQ(k->destroy(made[0]), 0);
	free(made);
	test_note("%s %d: %d made, %.1f s", k->what, k->max, n, test_now() - start);
}

static void limit_objects(void)
{
	struct rc_dev *dev = rc_open();
	struct ibv_device_attr *d = &dev->attr.orig_attr;
	struct maker m = { .dev = dev, .cq = ibv_create_cq(dev->ctx, 16, NULL, NULL, 0),
			   .buf = aligned_alloc(PAGE, PAGE) };
	const struct kind kinds[] = {
		{ "max_pd", d->max_pd, make_pd, free_pd },
		{ "max_cq", d->max_cq, make_cq, free_cq },
		{ "max_qp", d->max_qp, make_qp, free_qp },
		{ "max_srq", d->max_srq, make_srq, free_srq },
		{ "max_mr", d->max_mr, make_mr, free_mr },
		{ "max_mw", d->max_mw, make_mw, free_mw },
		{ "max_ah", d->max_ah, make_ah, free_ah },
	};
	size_t i;

	if (!rc_is_mirage(dev))
		test_skip("another device's limits are not ours to prove");
	/* Each ring is a mapping of its own. */
	CHECK(test_put(MAPS, "1000000"), "(%s)", strerror(errno));
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		fill_kind(&m, &kinds[i]);
	CHECK_EQ(ibv_destroy_cq(m.cq), 0);
	free(m.buf);
	rc_close(dev);
}

static void limit_post_sge(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct ibv_qp_init_attr init;
	struct ibv_sge sg[256];
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = sg };
	struct ibv_qp_attr qa;
	unsigned int i;

	CHECK_EQ(ibv_query_qp(p->a.qp, &qa, IBV_QP_CAP, &init), 0);
	CHECK(qa.cap.max_send_sge < 255 && qa.cap.max_recv_sge < 255);
	for (i = 0; i < ARRAY_SIZE(sg); i++)
		sg[i] = rc_sge(&buf, i, 1);
	wr.num_sge = qa.cap.max_send_sge + 1;
	CHECK(rc_try_post(&p->a, &wr));
	CHECK_EQ(rc_try_recv(&p->a, 1, sg, qa.cap.max_recv_sge + 1), EINVAL);
	wr.num_sge = -1;
	CHECK(rc_try_post(&p->a, &wr));
	rc_buf_free(&buf);
	rc_pair_destroy(p);
	rc_close(dev);
}

/*
 * A receive is outstanding until its completion was polled, so an application that posts
 * until the queue is full does not overflow a CQ of the same size. (An earlier version
 * freed the slot when the device took the request.)
 */
static void limit_outstanding_recvs(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct ibv_sge sg = rc_sge(&buf, 0, 64);
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr qa;
	unsigned int i, n, round;

	CHECK_EQ(ibv_query_qp(p->b.qp, &qa, IBV_QP_CAP, &init), 0);
	for (n = 0; n < qa.cap.max_recv_wr; n++)
		CHECK_EQ(rc_try_recv(&p->b, n, &sg, 1), 0);
	for (round = 0; round < 3 * n; round++) {
		CHECK_EQ(rc_try_recv(&p->b, n, &sg, 1), ENOMEM);
		rc_op(&p->a, IBV_WR_SEND, sg, &buf, 0);
		rc_wc_ok(p->a.scq);
		/* All are executed and complete, but nobody has polled. */
		CHECK_EQ(rc_try_recv(&p->b, n, &sg, 1), ENOMEM);
		rc_wc_ok(p->b.rcq);
		CHECK_EQ(rc_try_recv(&p->b, n, &sg, 1), 0);
	}
	/* A flushed receive counts until it is polled, and RESET frees them all. */
	CHECK_EQ(rc_to_state(&p->b, IBV_QPS_ERR), 0);
	CHECK_EQ(rc_try_recv(&p->b, n, &sg, 1), ENOMEM);
	rc_wc_status(p->b.rcq, IBV_WC_WR_FLUSH_ERR);
	CHECK_EQ(rc_try_recv(&p->b, n, &sg, 1), 0);
	rc_pair_reset(p);
	for (i = 0; i < n; i++)
		CHECK_EQ(rc_try_recv(&p->b, n, &sg, 1), 0);
	CHECK_EQ(rc_try_recv(&p->b, n, &sg, 1), ENOMEM);
	rc_buf_free(&buf);
	rc_pair_destroy(p);
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "limit_qp_caps", limit_qp_caps, 0 },
	{ "limit_cqe", limit_cqe, 0 },
	{ "limit_srq", limit_srq, 0 },
	{ "limit_objects", limit_objects, 360 },
	{ "limit_post_sge", limit_post_sge, 0 },
	{ "limit_outstanding_recvs", limit_outstanding_recvs, 0 },
};

CASE_TABLE(limits_cases, cases);

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The provider's own promises: domains, stale CQEs, errors of posting. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "verbs_test.h"

#define SEC	1000000000ull

static struct ibv_pd *parent_of(struct ibv_context *ctx, struct ibv_pd *pd,
				struct ibv_td *td)
{
	struct ibv_parent_domain_init_attr attr = { .pd = pd, .td = td };

	return ibv_alloc_parent_domain(ctx, &attr);
}

static struct ibv_qp *make_qp(struct ibv_pd *pd, struct ibv_cq *cq, uint64_t send_ops)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = IBV_QPT_RC, .send_cq = cq, .recv_cq = cq, .pd = pd,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     (send_ops ? IBV_QP_INIT_ATTR_SEND_OPS_FLAGS : 0),
		.send_ops_flags = send_ops,
		.cap = { .max_send_wr = 16, .max_recv_wr = 16, .max_send_sge = 2,
			 .max_recv_sge = 2, .max_inline_data = 16 },
	};

	return ibv_create_qp_ex(pd->context, &init);
}

/* Connected to itself. */
static void connect(struct rc_dev *dev, struct ibv_qp *qp)
{
	struct rc_attr attr = { .timeout = 14, .retry_cnt = 7, .rnr_retry = 7, .rd_atomic = 1 };
	struct rc_end end = { .qp = qp };

	CHECK_EQ(rc_to_init(dev, &end, &attr), 0);
	CHECK_EQ(rc_to_rtr(dev, &end, qp->qp_num, 0, &attr), 0);
	CHECK_EQ(rc_to_rts(&end, &attr), 0);
}

static void write_one(struct ibv_qp *qp, struct rc_buf *buf, uint64_t wr_id)
{
	struct ibv_sge sg = rc_sge(buf, 0, 64);
	struct ibv_send_wr *bad, wr = {
		.wr_id = wr_id, .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg, .num_sge = 1,
		.send_flags = IBV_SEND_SIGNALED,
	};

	wr.wr.rdma.remote_addr = (uintptr_t)buf->addr + 2048;
	wr.wr.rdma.rkey = buf->mr->rkey;
	CHECK_EQ(ibv_post_send(qp, &wr, &bad), 0);
}

static void provider_domains(void)
{
	struct ibv_td_init_attr bad_td = { .comp_mask = 1 }, td_attr = {};
	struct ibv_parent_domain_init_attr bad = { .comp_mask = 1u << 20 };
	struct rc_dev *dev = rc_open();
	struct ibv_td *td = ibv_alloc_td(dev->ctx, &td_attr);
	struct ibv_pd *pd = ibv_alloc_pd(dev->ctx), *parent;
	struct ibv_cq *cq = ibv_create_cq(dev->ctx, 16, NULL, NULL, 0);
	struct rc_buf buf;
	struct ibv_qp *qp;
	int i;

	if (!td && errno == EOPNOTSUPP)
		test_skip("no thread domains");
	CHECK(td && pd && cq);
	CHECK(!ibv_alloc_td(dev->ctx, &bad_td));
	CHECK_EQ(errno, EOPNOTSUPP);
	CHECK(!parent_of(dev->ctx, NULL, td));
	CHECK_EQ(errno, EINVAL);
	bad.pd = pd;
	CHECK(!ibv_alloc_parent_domain(dev->ctx, &bad));
	CHECK_EQ(errno, EOPNOTSUPP);

	parent = parent_of(dev->ctx, pd, td);
	CHECK(parent);
	CHECK_EQ(ibv_dealloc_td(td), EBUSY);
	CHECK_EQ(ibv_dealloc_pd(pd), EBUSY);
	buf = rc_buf_pd(parent, PAGE, RC_ACCESS_ALL);
	qp = make_qp(parent, cq, 0);
	CHECK(qp);
	connect(dev, qp);
	rc_fill(buf.addr, 64, 1);
	for (i = 0; i < 100; i++) {
		write_one(qp, &buf, i);
		CHECK_EQ(rc_wc_ok(cq).wr_id, i);
	}
	rc_verify(buf.addr + 2048, 64, 1, "through a parent domain");
	CHECK_EQ(ibv_destroy_qp(qp), 0);
	rc_buf_free(&buf);
	CHECK_EQ(ibv_dealloc_pd(parent), 0);
	CHECK_EQ(ibv_dealloc_td(td), 0);
	CHECK_EQ(ibv_dealloc_pd(pd), 0);
	CHECK_EQ(ibv_destroy_cq(cq), 0);
	rc_close(dev);
}

static void refuse_cq(struct rc_dev *dev, struct ibv_cq_init_attr_ex attr)
{
	attr.cqe = 16;
	CHECK(!ibv_create_cq_ex(dev->ctx, &attr));
	CHECK_EQ(errno, EOPNOTSUPP);
}

static void provider_cq_flags(void)
{
	struct rc_dev *dev = rc_open();

	if (!rc_is_mirage(dev))
		test_skip("another device may have them");
	refuse_cq(dev, (struct ibv_cq_init_attr_ex){ .wc_flags = IBV_WC_EX_WITH_CVLAN });
	refuse_cq(dev, (struct ibv_cq_init_attr_ex){ .wc_flags = IBV_WC_EX_WITH_FLOW_TAG });
	refuse_cq(dev, (struct ibv_cq_init_attr_ex){ .wc_flags = IBV_WC_EX_WITH_TM_INFO });
	refuse_cq(dev, (struct ibv_cq_init_attr_ex){ .wc_flags = 1ull << 40 });
	refuse_cq(dev, (struct ibv_cq_init_attr_ex){ .comp_mask = 1u << 10 });
	refuse_cq(dev, (struct ibv_cq_init_attr_ex){
		.comp_mask = IBV_CQ_INIT_ATTR_MASK_FLAGS,
		.flags = IBV_CREATE_CQ_ATTR_IGNORE_OVERRUN });
	rc_close(dev);
}

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * SEC + ts.tv_nsec;
}

/* Both timestamps of a completion lie between before and after; single-threaded CQ. */
static void provider_clocks(void)
{
	struct ibv_cq_init_attr_ex ca = {
		.cqe = 16, .comp_mask = IBV_CQ_INIT_ATTR_MASK_FLAGS,
		.flags = IBV_CREATE_CQ_ATTR_SINGLE_THREADED,
		.wc_flags = IBV_WC_STANDARD_FLAGS | IBV_WC_EX_WITH_COMPLETION_TIMESTAMP |
			    IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK,
	};
	struct ibv_values_ex before = { .comp_mask = IBV_VALUES_MASK_RAW_CLOCK };
	struct ibv_values_ex after = before;
	struct ibv_poll_cq_attr pa = {};
	struct rc_dev *dev = rc_open();
	struct ibv_cq_ex *cq = ibv_create_cq_ex(dev->ctx, &ca);
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	uint64_t wall, stamp;
	struct ibv_qp *qp;
	double end;
	int i;

	if (!cq && errno == EOPNOTSUPP)
		test_skip("no such clocks");
	CHECK(cq);
	qp = make_qp(dev->pd, ibv_cq_ex_to_cq(cq), 0);
	CHECK(qp);
	connect(dev, qp);
	for (i = 0; i < 40; i++) {
		CHECK_EQ(ibv_query_rt_values_ex(dev->ctx, &before), 0);
		CHECK_EQ(before.comp_mask, IBV_VALUES_MASK_RAW_CLOCK);
		wall = now(CLOCK_REALTIME);
		write_one(qp, &buf, i);
		for (end = test_now() + 20; ibv_start_poll(cq, &pa); )
			CHECK(test_now() < end);
		CHECK_EQ(ibv_query_rt_values_ex(dev->ctx, &after), 0);
		CHECK_EQ(cq->wr_id, i);
		stamp = ibv_wc_read_completion_ts(cq);
		CHECK(stamp >= before.raw_clock.tv_sec * SEC + before.raw_clock.tv_nsec);
		CHECK(stamp <= after.raw_clock.tv_sec * SEC + after.raw_clock.tv_nsec);
		stamp = ibv_wc_read_completion_wallclock_ns(cq);
		CHECK(stamp >= wall && stamp <= now(CLOCK_REALTIME));
		CHECK_EQ(ibv_next_poll(cq), ENOENT);
		ibv_end_poll(cq);
	}
	CHECK_EQ(ibv_destroy_qp(qp), 0);
	CHECK_EQ(ibv_destroy_cq(ibv_cq_ex_to_cq(cq)), 0);
	rc_buf_free(&buf);
	rc_close(dev);
}

/* A QP that is destroyed, or reset, takes its completions with it, and no others. */
static void stale(bool destroy)
{
	struct rc_dev *dev = rc_open();
	struct ibv_cq *cq = ibv_create_cq(dev->ctx, 15, NULL, NULL, 0);
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct ibv_qp *keep = make_qp(dev->pd, cq, 0), *drop = NULL;
	struct rc_end end = { .qp = NULL };
	int round, i;

	if (!rc_is_mirage(dev))
		test_skip("others may leave them to the application");
	CHECK(cq && keep);
	connect(dev, keep);
	for (round = 0; round < 20; round++) {
		if (!drop)
			drop = make_qp(dev->pd, cq, 0);
		CHECK(drop);
		connect(dev, drop);
		for (i = 0; i < 15; i++)
			write_one(i % 3 == 1 ? keep : drop, &buf, i);
		for (i = 0; i < round % 4; i++)
			CHECK_EQ(rc_wc_ok(cq).wr_id, i);
		end.qp = drop;
		if (destroy) {
			CHECK_EQ(ibv_destroy_qp(drop), 0);
			drop = NULL;
		} else {
			CHECK_EQ(rc_to_state(&end, IBV_QPS_RESET), 0);
		}
		for (; i < 15; i++) {
			if (i % 3 == 1)
				CHECK_EQ(rc_wc_ok(cq).wr_id, i);
		}
		rc_wc_none(cq);
	}
	if (drop)
		CHECK_EQ(ibv_destroy_qp(drop), 0);
	CHECK_EQ(ibv_destroy_qp(keep), 0);
	CHECK_EQ(ibv_destroy_cq(cq), 0);
	rc_buf_free(&buf);
	rc_close(dev);
}

static void provider_stale_destroy(void)
{
	stale(true);
}

static void provider_stale_reset(void)
{
	stale(false);
}

#define CHURNERS	3
#define LIVES		60

struct churn {
	struct rc_dev *dev;
	struct ibv_cq *cq;
	struct rc_buf buf;
	unsigned int alive;
};

/* QPs that come, post and go with completions unpolled, all on one CQ. */
static void *churn_loop(void *arg)
{
	struct churn *c = arg;
	int life, i;

	for (life = 0; life < LIVES; life++) {
		struct ibv_qp *qp = make_qp(c->dev->pd, c->cq, 0);

		CHECK(qp, "(%s)", strerror(errno));
		connect(c->dev, qp);
		for (i = 0; i <= life % 12; i++)
			write_one(qp, &c->buf, qp->qp_num);
		CHECK_EQ(ibv_destroy_qp(qp), 0);
	}
	__atomic_fetch_sub(&c->alive, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *churn_resize(void *arg)
{
	struct churn *c = arg;
	int size = 512;

	while (__atomic_load_n(&c->alive, __ATOMIC_RELAXED)) {
		size = size == 512 ? 2000 : 512;
		CHECK_EQ(ibv_resize_cq(c->cq, size), 0);
		sched_yield();
	}
	return NULL;
}

/* Every completion belongs to a QP that existed; in the end none is left. */
static void provider_churn(void)
{
	struct churn c = { .dev = rc_open(), .alive = CHURNERS };
	pthread_t thread[CHURNERS + 1];
	struct ibv_wc wc[8];
	int i, n;

	if (!rc_is_mirage(c.dev))
		test_skip("others may leave completions behind");
	c.cq = ibv_create_cq(c.dev->ctx, 512, NULL, NULL, 0);
	c.buf = rc_buf(c.dev, PAGE, RC_ACCESS_ALL);
	CHECK(c.cq);
	for (i = 0; i < CHURNERS; i++)
		pthread_create(&thread[i], NULL, churn_loop, &c);
	pthread_create(&thread[i], NULL, churn_resize, &c);
	while (__atomic_load_n(&c.alive, __ATOMIC_RELAXED)) {
		n = ibv_poll_cq(c.cq, ARRAY_SIZE(wc), wc);
		for (i = 0; i < n; i++) {
			CHECK_EQ(wc[i].status, IBV_WC_SUCCESS);
			CHECK_EQ(wc[i].wr_id, wc[i].qp_num);
		}
		sched_yield();
	}
	for (i = 0; i <= CHURNERS; i++)
		pthread_join(thread[i], NULL);
	rc_wc_none(c.cq);
	CHECK_EQ(ibv_destroy_cq(c.cq), 0);
	rc_buf_free(&c.buf);
	rc_close(c.dev);
}

static int complete_after(struct ibv_qp_ex *qx, void (*post)(struct ibv_qp_ex *))
{
	ibv_wr_start(qx);
	qx->wr_id = 1;
	qx->wr_flags = IBV_SEND_SIGNALED;
	post(qx);
	return ibv_wr_complete(qx);
}

static void not_asked_for(struct ibv_qp_ex *qx)
{
	ibv_wr_send(qx);
	ibv_wr_set_sge_list(qx, 0, NULL);
	ibv_wr_rdma_read(qx, 1, 1);
	ibv_wr_set_sge(qx, 1, 1, 1);
}

static void no_request(struct ibv_qp_ex *qx)
{
	ibv_wr_set_sge(qx, 1, 1, 1);
}

static void too_many_sges(struct ibv_qp_ex *qx)
{
	static const struct ibv_sge sg[100];

	ibv_wr_send(qx);
	ibv_wr_set_sge_list(qx, 100, sg);
}

static void too_much_inline(struct ibv_qp_ex *qx)
{
	static char data[8192];

	ibv_wr_send(qx);
	ibv_wr_set_inline_data(qx, data, sizeof(data));
}

static void inline_wraps(struct ibv_qp_ex *qx)
{
	static char data[16];
	struct ibv_data_buf buf[] = { { data, 12 }, { data, (size_t)-4 } };

	ibv_wr_send(qx);
	ibv_wr_set_inline_data_list(qx, 2, buf);
}

static void nothing(struct ibv_qp_ex *qx)
{
	(void)qx;
}

static void provider_wr_errors(void)
{
	struct rc_dev *dev = rc_open();
	struct ibv_cq *cq = ibv_create_cq(dev->ctx, 64, NULL, NULL, 0);
	struct ibv_qp *plain = make_qp(dev->pd, cq, 0);
	struct ibv_qp *qp = make_qp(dev->pd, cq, IBV_QP_EX_WITH_SEND);
	struct ibv_qp_ex *qx;

	if (!rc_is_mirage(dev))
		test_skip("others check less");
	CHECK(plain && qp);
	CHECK(!ibv_qp_to_qp_ex(plain));
	CHECK(!make_qp(dev->pd, cq, IBV_QP_EX_WITH_TSO));
	CHECK_EQ(errno, EOPNOTSUPP);
	CHECK(!make_qp(dev->pd, cq, 1ull << 50));
	CHECK_EQ(errno, EOPNOTSUPP);

	qx = ibv_qp_to_qp_ex(qp);
	CHECK_EQ(complete_after(qx, nothing), EINVAL);
	connect(dev, qp);
	CHECK_EQ(complete_after(qx, nothing), 0);
	CHECK_EQ(complete_after(qx, not_asked_for), EINVAL);
	CHECK_EQ(complete_after(qx, no_request), EINVAL);
	CHECK_EQ(complete_after(qx, too_many_sges), EINVAL);
	CHECK_EQ(complete_after(qx, too_much_inline), EINVAL);
	CHECK_EQ(complete_after(qx, inline_wraps), EINVAL);
	rc_wc_none(cq);
	CHECK_EQ(ibv_destroy_qp(qp), 0);
	CHECK_EQ(ibv_destroy_qp(plain), 0);
	CHECK_EQ(ibv_destroy_cq(cq), 0);
	rc_close(dev);
}

/* The requests before the bad one are posted, and bad_wr names it. */
static void provider_bad_wr(void)
{
	struct rc_dev *dev = rc_open();
	struct ibv_cq *cq = ibv_create_cq(dev->ctx, 64, NULL, NULL, 0);
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct ibv_qp *qp = make_qp(dev->pd, cq, 0);
	struct ibv_sge sg = rc_sge(&buf, 0, 64);
	struct ibv_send_wr wr[4], *bad;
	static const struct {
		enum ibv_wr_opcode opcode;
		int num_sge;
		unsigned int flags;
	} row[] = {
		{ IBV_WR_RDMA_WRITE, 100, 0 }, { IBV_WR_RDMA_WRITE, -1, 0 },
		{ IBV_WR_TSO, 1, 0 }, { (enum ibv_wr_opcode)77, 1, 0 },
		{ IBV_WR_RDMA_WRITE, 1, 1u << 20 }, { IBV_WR_RDMA_READ, 1, IBV_SEND_INLINE },
	};
	size_t i, j;

	if (!rc_is_mirage(dev))
		test_skip("others check less");
	CHECK(qp);
	connect(dev, qp);
	for (i = 0; i < ARRAY_SIZE(row); i++) {
		for (j = 0; j < ARRAY_SIZE(wr); j++) {
			wr[j] = (struct ibv_send_wr){
				.wr_id = j, .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg,
				.num_sge = 1, .send_flags = IBV_SEND_SIGNALED,
				.next = j < ARRAY_SIZE(wr) - 1 ? &wr[j + 1] : NULL,
			};
			wr[j].wr.rdma.remote_addr = (uintptr_t)buf.addr + 512 * (j + 1);
			wr[j].wr.rdma.rkey = buf.mr->rkey;
		}
		wr[2].opcode = row[i].opcode;
		wr[2].num_sge = row[i].num_sge;
		wr[2].send_flags |= row[i].flags;
		bad = NULL;
		memset(buf.addr, 0, buf.len);
		rc_fill(buf.addr, 64, i);
		if (ibv_post_send(qp, wr, &bad) != EINVAL)
			test_fail("row %zu was not refused", i);
		CHECK(bad == &wr[2]);
		CHECK_EQ(rc_wc_ok(cq).wr_id, 0);
		CHECK_EQ(rc_wc_ok(cq).wr_id, 1);
		rc_wc_none(cq);
		rc_verify(buf.addr + 512, 64, i, "first write");
		rc_verify(buf.addr + 1024, 64, i, "second write");
		for (j = 1536; j < PAGE; j++)
			CHECK_EQ(buf.addr[j], 0);
	}
	CHECK_EQ(ibv_destroy_qp(qp), 0);
	CHECK_EQ(ibv_destroy_cq(cq), 0);
	rc_buf_free(&buf);
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "provider_domains", provider_domains, 0 },
	{ "provider_cq_flags", provider_cq_flags, 0 },
	{ "provider_clocks", provider_clocks, 0 },
	{ "provider_stale_destroy", provider_stale_destroy, 0 },
	{ "provider_stale_reset", provider_stale_reset, 0 },
	{ "provider_churn", provider_churn, 0 },
	{ "provider_wr_errors", provider_wr_errors, 0 },
	{ "provider_bad_wr", provider_bad_wr, 0 },
};

CASE_TABLE(provider_cases, cases);

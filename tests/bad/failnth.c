// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Every allocation of every control verb fails once
 *
 * The kernel's fault injection lets the Nth allocation of this thread fail, for
 * N = 1, 2, ... until the verb makes fewer than N. Each time the verb has to fail
 * cleanly or to succeed, and to work when it is tried again without a fault. On the
 * data path a failed allocation may not show at all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bad_test.h"

#define NTH_MAX		2000

struct kit {
	struct rc_dev *dev;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct rc_pair *p;
	struct rc_buf buf, odp;
};

static int nth_fd;

static void arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	CHECK_EQ(pwrite(nth_fd, text, len, 0), len);
}

/*
 * Disarm, and say whether the fault was injected since arm(). Copies to and from user
 * memory fail as well, so the fault may hit the read of that file.
 */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(nth_fd, text, sizeof(text) - 1, 0) < 0)
		return false;
	while (pwrite(nth_fd, "0", 1, 0) < 0)
		CHECK_EQ(errno, EFAULT);
	return atoi(text) == 0;
}

static struct kit setup(void)
{
	struct kit k;

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth_fd < 0)
		test_skip("this kernel injects no faults");
	if (!test_put("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"))
		test_skip("no failslab");
	test_put("/sys/kernel/debug/failslab/verbose", "0");
	test_put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	test_put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	test_put("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	test_put("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	test_put("/sys/kernel/debug/fail_usercopy/verbose", "0");
	k.dev = rc_open();
	k.cq = ibv_create_cq(k.dev->ctx, 64, NULL, NULL, 0);
	CHECK(k.cq);
	k.p = rc_pair_create(k.dev, NULL);
	k.buf = rc_buf(k.dev, 64 * PAGE, RC_ACCESS_ALL);
	k.odp = rc_buf(k.dev, 64 * PAGE, ODP_ALL);
	return k;
}

typedef void *(*make_fn)(struct kit *k);
typedef int (*destroy_fn)(void *object);

static void *make_pd(struct kit *k)
{
	return ibv_alloc_pd(k->dev->ctx);
}

static int destroy_pd(void *o)
{
	return ibv_dealloc_pd(o);
}

static void *make_context(struct kit *k)
{
	return ibv_open_device(k->dev->ctx->device);
}

static int destroy_context(void *o)
{
	return ibv_close_device(o);
}

static void *make_cq(struct kit *k)
{
	return ibv_create_cq(k->dev->ctx, 100, NULL, NULL, 0);
}

static int destroy_cq(void *o)
{
	return ibv_destroy_cq(o);
}

static void *make_channel(struct kit *k)
{
	return ibv_create_comp_channel(k->dev->ctx);
}

static int destroy_channel(void *o)
{
	return ibv_destroy_comp_channel(o);
}

static void *make_qp(struct kit *k)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC, .send_cq = k->cq, .recv_cq = k->cq,
		.cap = { .max_send_wr = 64, .max_recv_wr = 64, .max_send_sge = 4,
			 .max_recv_sge = 4 },
	};

	return ibv_create_qp(k->dev->pd, &init);
}

static int destroy_qp(void *o)
{
	return ibv_destroy_qp(o);
}

static void *make_srq(struct kit *k)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 64, .max_sge = 2 } };

	return ibv_create_srq(k->dev->pd, &init);
}

static int destroy_srq(void *o)
{
	return ibv_destroy_srq(o);
}

static void *make_mr(struct kit *k)
{
	return ibv_reg_mr(k->dev->pd, k->buf.addr, k->buf.len, RC_ACCESS_ALL);
}

static void *make_odp_mr(struct kit *k)
{
	return ibv_reg_mr(k->dev->pd, k->buf.addr, k->buf.len, ODP_ALL);
}

static void *make_implicit_mr(struct kit *k)
{
	return ibv_reg_mr(k->dev->pd, NULL, SIZE_MAX, ODP_ALL);
}

static int destroy_mr(void *o)
{
	return ibv_dereg_mr(o);
}

static void *make_mw(struct kit *k)
{
	return ibv_alloc_mw(k->dev->pd, IBV_MW_TYPE_2);
}

static int destroy_mw(void *o)
{
	return ibv_dealloc_mw(o);
}

static void *make_ah(struct kit *k)
{
	struct ibv_ah_attr attr = {
		.is_global = 1, .port_num = 1,
		.grh = { .dgid = k->dev->gid, .sgid_index = k->dev->gid_index },
	};

	return ibv_create_ah(k->dev->pd, &attr);
}

static int destroy_ah(void *o)
{
	return ibv_destroy_ah(o);
}

/* Create under a fault, destroy without; then create without, destroy under one. */
static unsigned int sweep_object(struct kit *k, const char *what, make_fn make,
				 destroy_fn destroy)
{
	unsigned int n, faults = 0;
	bool injected = true;
	void *o;
	int err;

	for (n = 1; injected && n < NTH_MAX; n++, faults++) {
		arm(n);
		o = make(k);
		err = errno;
		injected = disarm();
		if (!o && !injected)
			test_fail("%s failed without a fault: %s", what, strerror(err));
		if (o)
			CHECK_EQ(destroy(o), 0);
	}
	for (n = 1, injected = true; injected && n < NTH_MAX; n++, faults++) {
		o = make(k);
		CHECK(o, "%s after faults: %s", what, strerror(errno));
		arm(n);
		err = destroy(o);
		injected = disarm();
		if (err && !injected)
			test_fail("destroying %s: %s", what, strerror(err));
		/* It failed before it reached the object, or in copying the answer out. */
		if (err)
			err = destroy(o);
		CHECK(!err || err == ENOENT, "%s, destroyed again: %s", what, strerror(err));
	}
	return faults;
}

static void bad_failnth_objects(void)
{
	static const struct {
		const char *what;
		make_fn make;
		destroy_fn destroy;
	} kinds[] = {
		{ "pd", make_pd, destroy_pd }, { "cq", make_cq, destroy_cq },
		{ "channel", make_channel, destroy_channel },
		{ "qp", make_qp, destroy_qp }, { "srq", make_srq, destroy_srq },
		{ "mr", make_mr, destroy_mr }, { "odp mr", make_odp_mr, destroy_mr },
		{ "implicit mr", make_implicit_mr, destroy_mr },
		{ "mw", make_mw, destroy_mw }, { "ah", make_ah, destroy_ah },
		{ "context", make_context, destroy_context },
	};
	struct kit k = setup();
	unsigned int faults = 0;
	size_t i;
	void *o;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		o = kinds[i].make(&k);
		if (!o && errno == EOPNOTSUPP)
			continue;
		CHECK(o, "%s: %s", kinds[i].what, strerror(errno));
		CHECK_EQ(kinds[i].destroy(o), 0);
		faults += sweep_object(&k, kinds[i].what, kinds[i].make, kinds[i].destroy);
	}
	test_note("%u faults survived", faults);
}

static int do_connect(struct kit *k)
{
	struct rc_attr attr = k->p->attr;
	struct rc_end *a = &k->p->a;
	int err;

	err = rc_to_state(a, IBV_QPS_RESET);
	if (!err)
		err = rc_to_init(k->dev, a, &attr);
	if (!err)
		err = rc_to_rtr(k->dev, a, k->p->b.qp->qp_num, k->p->b.psn, &attr);
	return err ?: rc_to_rts(a, &attr);
}

static int do_error(struct kit *k)
{
	return rc_to_state(&k->p->a, IBV_QPS_ERR);
}

static int do_resize_cq(struct kit *k)
{
	static int size = 64;

	size = size == 64 ? 1000 : 64;
	return ibv_resize_cq(k->cq, size) ? errno : 0;
}

static int do_advise(struct kit *k)
{
	struct ibv_sge sge = rc_sge(&k->odp, 0, k->odp.len);

	madvise(k->odp.addr, k->odp.len, MADV_DONTNEED);
	return ibv_advise_mr(k->dev->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
			     IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1);
}

static int do_advise_async(struct kit *k)
{
	struct ibv_sge sge = rc_sge(&k->odp, 0, k->odp.len);

	return ibv_advise_mr(k->dev->pd, IBV_ADVISE_MR_ADVICE_PREFETCH, 0, &sge, 1);
}

static int do_query(struct kit *k)
{
	struct ibv_qp_init_attr init;
	struct ibv_device_attr_ex ex;
	struct ibv_port_attr port;
	struct ibv_qp_attr qa;
	int err = ibv_query_qp(k->p->a.qp, &qa, 0x1ffffff, &init);

	err = err ?: ibv_query_device_ex(k->dev->ctx, NULL, &ex);
	return err ?: ibv_query_port(k->dev->ctx, 1, &port);
}

static void bad_failnth_verbs(void)
{
	static const struct {
		const char *what;
		int (*run)(struct kit *k);
	} verbs[] = {
		{ "connect", do_connect }, { "error", do_error }, { "connect", do_connect },
		{ "resize", do_resize_cq }, { "advise", do_advise },
		{ "advise async", do_advise_async }, { "query", do_query },
	};
	unsigned int n, faults = 0;
	struct kit k = setup();
	bool injected;
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		err = verbs[i].run(&k);
		CHECK(!err, "%s: %s", verbs[i].what, strerror(err));
		injected = true;
		for (n = 1; injected && n < NTH_MAX; n++, faults++) {
			arm(n);
			err = verbs[i].run(&k);
			injected = disarm();
			if (err && !injected)
				test_fail("%s failed without a fault: %s", verbs[i].what,
					  strerror(err));
			err = verbs[i].run(&k);
			CHECK(!err, "%s after a fault: %s", verbs[i].what, strerror(err));
		}
	}
	test_note("%u faults survived", faults);
}

/* A cold page for which no memory is had comes late, but is never an error. */
static void bad_failnth_data(void)
{
	struct kit k = setup();
	struct ibv_sge sg = rc_sge(&k.buf, 0, k.odp.len);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };
	unsigned int n, faults = 0;
	bool injected = true;
	int err;

	if (!rc_is_mirage(k.dev))
		test_skip("rxe lets a QP die of a failed allocation");
	wr.wr.rdma.remote_addr = (uintptr_t)k.odp.addr;
	wr.wr.rdma.rkey = k.odp.mr->rkey;
	for (n = 1; injected && n < NTH_MAX; n++, faults++) {
		rc_fill(k.buf.addr, k.odp.len, n);
		CHECK_EQ(madvise(k.odp.addr, k.odp.len, MADV_DONTNEED), 0);
		arm(n);
		err = rc_try_post(&k.p->a, &wr);
		injected = disarm();
		if (err) {
			CHECK(injected, "(%s)", strerror(err));
			rc_pair_reset(k.p);
			continue;
		}
		rc_wc_ok(k.p->a.scq);
		rc_verify(k.odp.addr, k.odp.len, n, "written without memory");
	}
	test_note("%u faults survived", faults);
}

const struct test_case failnth_cases[] = {
	{ "bad_failnth_objects", bad_failnth_objects, 180 },
	{ "bad_failnth_verbs", bad_failnth_verbs, 180 },
	{ "bad_failnth_data", bad_failnth_data, 180 },
};

CASES(failnth);

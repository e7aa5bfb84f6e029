// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The right status at the right side for every error of protection and length. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "verbs_test.h"

#define LEN	8192

struct stage {
	struct rc_dev *dev;
	struct rc_pair *p;
	struct rc_buf src, dst;		/* all rights, of the QPs' PD */
	struct rc_buf ro, alien;	/* no rights; all rights, of another PD */
	struct ibv_pd *alien_pd;
	uint32_t stale;			/* key of a region that is gone */
};

static struct stage setup(const struct rc_attr *attr)
{
	struct stage s = { .dev = rc_open() };
	struct rc_buf gone;

	s.p = rc_pair_create(s.dev, attr);
	s.alien_pd = ibv_alloc_pd(s.dev->ctx);
	CHECK(s.alien_pd);
	s.src = rc_buf(s.dev, LEN, RC_ACCESS_ALL);
	s.dst = rc_buf(s.dev, LEN, RC_ACCESS_ALL);
	s.ro = rc_buf(s.dev, LEN, 0);
	s.alien = rc_buf_pd(s.alien_pd, LEN, RC_ACCESS_ALL);
	gone = rc_buf(s.dev, LEN, RC_ACCESS_ALL);
	s.stale = gone.mr->rkey;
	rc_buf_free(&gone);
	return s;
}

static void teardown(struct stage *s)
{
	rc_pair_destroy(s->p);
	rc_buf_free(&s->src);
	rc_buf_free(&s->dst);
	rc_buf_free(&s->ro);
	rc_buf_free(&s->alien);
	CHECK_EQ(ibv_dealloc_pd(s->alien_pd), 0);
	rc_close(s->dev);
}

/*
 * Post one bad request and check its status, that the sender is in error and that the
 * next request is flushed. The receiver may be in error too; connect the pair again.
 */
static void expect_sender(struct stage *s, const char *what, struct ibv_send_wr *wr,
			  enum ibv_wc_status status)
{
	struct ibv_sge one = rc_sge(&s->src, 0, 8);
	struct ibv_wc wc;

	wr->wr_id = 0xbad;
	wr->send_flags |= IBV_SEND_SIGNALED;
	rc_post(&s->p->a, wr);
	wc = rc_wc(s->p->a.scq);
	if (wc.status != status || wc.wr_id != 0xbad)
		test_fail("%s: '%s' (vendor %#x), expected '%s'", what,
			  ibv_wc_status_str(wc.status), wc.vendor_err,
			  ibv_wc_status_str(status));
	CHECK_EQ(rc_state(&s->p->a), IBV_QPS_ERR);
	rc_op(&s->p->a, IBV_WR_SEND, one, NULL, 0);
	rc_wc_status(s->p->a.scq, IBV_WC_WR_FLUSH_ERR);
}

static struct ibv_send_wr request(enum ibv_wr_opcode op, struct ibv_sge *sg,
				  uint64_t remote, uint32_t rkey)
{
	struct ibv_send_wr wr = { .opcode = op, .sg_list = sg, .num_sge = 1 };

	if (op == IBV_WR_ATOMIC_CMP_AND_SWP || op == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = remote;
		wr.wr.atomic.rkey = rkey;
	} else {
		wr.wr.rdma.remote_addr = remote;
		wr.wr.rdma.rkey = rkey;
	}
	return wr;
}

static void err_local(enum ibv_wr_opcode op)
{
	struct stage s = setup(NULL);
	struct ibv_sge good = rc_sge(&s.src, 0, 64), sg;
	struct ibv_send_wr wr = request(op, &sg, (uintptr_t)s.dst.addr, s.dst.mr->rkey);
	struct {
		const char *what;
		struct ibv_sge sg;
	} bad[] = {
		{ "a key never given", good }, { "a stale key", good },
		{ "a key of another PD", rc_sge(&s.alien, 0, 64) },
		{ "one byte past the end", rc_sge(&s.src, LEN - 63, 64) },
		{ "one byte before the start", good }, { "far away", good },
		{ "address and length wrap", good },
		{ "no local write", rc_sge(&s.ro, 0, 64) },
	};
	struct ibv_sge to = rc_sge(&s.dst, 0, LEN);
	size_t i;

	bad[0].sg.lkey = good.lkey ^ 0x5a5a5a00;
	bad[1].sg.lkey = s.stale;
	bad[4].sg.addr--;
	bad[5].sg.addr = 0x10000;
	bad[6].sg.addr = -32ull;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (i == 7 && op != IBV_WR_RDMA_READ)
			continue;
		sg = bad[i].sg;
		if (op == IBV_WR_SEND)
			rc_recv(&s.p->b, 1, &to, 1);
		expect_sender(&s, bad[i].what, &wr, IBV_WC_LOC_PROT_ERR);
		rc_pair_reset(s.p);
	}
	teardown(&s);
}

static void err_local_send(void)
{
	err_local(IBV_WR_SEND);
}

static void err_local_write(void)
{
	err_local(IBV_WR_RDMA_WRITE);
}

static void err_local_read(void)
{
	err_local(IBV_WR_RDMA_READ);
}

/* The second SGE is bad: the whole request fails, the receiver is left alone. */
static void err_local_second_sge(void)
{
	struct stage s = setup(NULL);
	struct ibv_sge sg[2] = { rc_sge(&s.src, 0, 64), rc_sge(&s.src, 64, 64) };
	struct ibv_send_wr wr = request(IBV_WR_RDMA_WRITE, sg, (uintptr_t)s.dst.addr,
					s.dst.mr->rkey);

	sg[1].lkey = s.stale;
	wr.num_sge = 2;
	expect_sender(&s, "second SGE", &wr, IBV_WC_LOC_PROT_ERR);
	CHECK_EQ(rc_state(&s.p->b), IBV_QPS_RTS);
	teardown(&s);
}

static void err_recv_buffer(void)
{
	struct stage s = setup(NULL);
	struct ibv_sge from = rc_sge(&s.src, 0, 64);
	struct ibv_send_wr wr = request(IBV_WR_SEND, &from, 0, 0);
	struct ibv_sge bad[] = {
		rc_sge(&s.ro, 0, 64), rc_sge(&s.dst, LEN - 63, 64), rc_sge(&s.alien, 0, 64),
		rc_sge(&s.dst, 0, 64),
	};
	size_t i;

	bad[3].lkey = s.stale;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		rc_recv(&s.p->b, 30 + i, &bad[i], 1);
		expect_sender(&s, "bad receive buffer", &wr, IBV_WC_REM_OP_ERR);
		CHECK_EQ(rc_wc_status(s.p->b.rcq, IBV_WC_LOC_PROT_ERR).wr_id, 30 + i);
		CHECK_EQ(rc_state(&s.p->b), IBV_QPS_ERR);
		rc_pair_reset(s.p);
	}
	teardown(&s);
}

static void err_remote(enum ibv_wr_opcode op)
{
	struct stage s = setup(NULL);
	uint32_t len = op == IBV_WR_ATOMIC_FETCH_AND_ADD ? 8 : 64;
	uint64_t at = (uintptr_t)s.dst.addr;
	struct ibv_sge sg = rc_sge(&s.src, 0, len);
	struct {
		const char *what;
		uint64_t addr;
		uint32_t rkey;
	} bad[] = {
		{ "a key never given", at, s.dst.mr->rkey ^ 0x5a5a5a00 },
		{ "the next key", at, s.dst.mr->rkey + 1 },
		{ "a stale key", at, s.stale },
		{ "a key of another PD", (uintptr_t)s.alien.addr, s.alien.mr->rkey },
		{ "no right", (uintptr_t)s.ro.addr, s.ro.mr->rkey },
		{ "past the end", at + LEN - len + 8, s.dst.mr->rkey },
		{ "before the start", at - 8, s.dst.mr->rkey },
		{ "wraps", -8ull, s.dst.mr->rkey },
	};
	struct ibv_send_wr wr;
	size_t i;

	rc_fill(s.dst.addr, LEN, 4);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* Keep the atomic aligned: otherwise that is the error. */
		if (len == 8 && !strcmp(bad[i].what, "past the end"))
			bad[i].addr = at + LEN;
		wr = request(op, &sg, bad[i].addr, bad[i].rkey);
		if (op == IBV_WR_RDMA_WRITE_WITH_IMM)
			rc_recv(&s.p->b, 1, NULL, 0);
		expect_sender(&s, bad[i].what, &wr, IBV_WC_REM_ACCESS_ERR);
		rc_pair_reset(s.p);
	}
	rc_verify(s.dst.addr, LEN, 4, "the target");
	teardown(&s);
}

static void err_remote_write(void)
{
	err_remote(IBV_WR_RDMA_WRITE);
}

static void err_remote_write_imm(void)
{
	err_remote(IBV_WR_RDMA_WRITE_WITH_IMM);
}

static void err_remote_read(void)
{
	err_remote(IBV_WR_RDMA_READ);
}

static void err_remote_atomic(void)
{
	err_remote(IBV_WR_ATOMIC_FETCH_AND_ADD);
}

/* Each right of a region counts separately. */
static void err_remote_rights(void)
{
	static const struct {
		enum ibv_wr_opcode op;
		int right;
	} ops[] = {
		{ IBV_WR_RDMA_WRITE, IBV_ACCESS_REMOTE_WRITE },
		{ IBV_WR_RDMA_READ, IBV_ACCESS_REMOTE_READ },
		{ IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_ACCESS_REMOTE_ATOMIC },
	};
	struct stage s = setup(NULL);
	struct ibv_sge sg = rc_sge(&s.src, 0, 8);
	struct ibv_send_wr wr;
	struct rc_buf buf;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		buf = rc_buf(s.dev, PAGE, RC_ACCESS_ALL & ~ops[i].right);
		wr = request(ops[i].op, &sg, (uintptr_t)buf.addr, buf.mr->rkey);
		expect_sender(&s, "all rights but this", &wr, IBV_WC_REM_ACCESS_ERR);
		rc_pair_reset(s.p);
		rc_buf_free(&buf);
		buf = rc_buf(s.dev, PAGE, IBV_ACCESS_LOCAL_WRITE | ops[i].right);
		wr = request(ops[i].op, &sg, (uintptr_t)buf.addr, buf.mr->rkey);
		wr.send_flags = IBV_SEND_SIGNALED;
		rc_post(&s.p->a, &wr);
		rc_wc_ok(s.p->a.scq);
		rc_buf_free(&buf);
	}
	teardown(&s);
}

/* A request that the QP's own rights do not allow is an invalid request. */
static void err_qp_rights(void)
{
	static const struct {
		enum ibv_wr_opcode op;
		int right;
	} ops[] = {
		{ IBV_WR_RDMA_WRITE, IBV_ACCESS_REMOTE_WRITE },
		{ IBV_WR_RDMA_READ, IBV_ACCESS_REMOTE_READ },
		{ IBV_WR_ATOMIC_CMP_AND_SWP, IBV_ACCESS_REMOTE_ATOMIC },
	};
	struct rc_attr attr = {};
	struct ibv_send_wr wr;
	struct ibv_sge sg;
	struct stage s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		attr.access = RC_ACCESS_ALL & ~ops[i].right;
		s = setup(&attr);
		sg = rc_sge(&s.src, 0, 8);
		wr = request(ops[i].op, &sg, (uintptr_t)s.dst.addr, s.dst.mr->rkey);
		expect_sender(&s, "a right that the QP lacks", &wr, IBV_WC_REM_INV_REQ_ERR);
		teardown(&s);
	}
}

static void err_atomic_unaligned(void)
{
	struct stage s = setup(NULL);
	struct ibv_sge sg = rc_sge(&s.src, 0, 8);
	struct ibv_send_wr wr;
	int off;

	for (off = 1; off < 8; off++) {
		wr = request(IBV_WR_ATOMIC_FETCH_AND_ADD, &sg, (uintptr_t)s.dst.addr + off,
			     s.dst.mr->rkey);
		expect_sender(&s, "unaligned", &wr, IBV_WC_REM_INV_REQ_ERR);
		rc_pair_reset(s.p);
	}
	teardown(&s);
}

static void err_recv_too_small(void)
{
	static const size_t sizes[] = { 65, 4096, LEN };
	struct stage s = setup(NULL);
	struct ibv_sge to = rc_sge(&s.dst, 0, 64), from;
	struct ibv_send_wr wr;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		rc_recv(&s.p->b, i, &to, 1);
		from = rc_sge(&s.src, 0, sizes[i]);
		wr = request(IBV_WR_SEND, &from, 0, 0);
		expect_sender(&s, "too long for the receive", &wr, IBV_WC_REM_INV_REQ_ERR);
		CHECK_EQ(rc_wc_status(s.p->b.rcq, IBV_WC_LOC_LEN_ERR).wr_id, i);
		rc_pair_reset(s.p);
	}
	teardown(&s);
}

/* A region cannot be invalidated by a peer, nor can a key that is none. */
static void err_send_inv(void)
{
	struct stage s = setup(NULL);
	struct ibv_sge sg = rc_sge(&s.src, 0, 8), to = rc_sge(&s.dst, 0, LEN);
	uint32_t keys[] = { s.dst.mr->rkey, s.stale, 0, s.alien.mr->rkey };
	struct ibv_send_wr wr;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		wr = request(IBV_WR_SEND_WITH_INV, &sg, 0, 0);
		wr.invalidate_rkey = keys[i];
		rc_recv(&s.p->b, 1, &to, 1);
		expect_sender(&s, "send with invalidate", &wr, IBV_WC_REM_ACCESS_ERR);
		rc_pair_reset(s.p);
	}
	/* The region is still there. */
	rc_op(&s.p->a, IBV_WR_RDMA_WRITE, sg, &s.dst, 0);
	rc_wc_ok(s.p->a.scq);
	teardown(&s);
}

/* The error of an unsignalled request is reported all the same. */
static void err_unsignalled(void)
{
	struct stage s = setup(NULL);
	struct ibv_sge sg = rc_sge(&s.src, 0, 8);
	struct ibv_send_wr wr = request(IBV_WR_RDMA_WRITE, &sg, (uintptr_t)s.dst.addr, s.stale);

	wr.wr_id = 3;
	rc_post(&s.p->a, &wr);
	CHECK_EQ(rc_wc_status(s.p->a.scq, IBV_WC_REM_ACCESS_ERR).wr_id, 3);
	teardown(&s);
}

/* Everything outstanding is flushed in order, and so is what is posted later. */
static void err_flush(void)
{
	struct rc_attr attr = { .rnr_retry = 7 };
	struct stage s = setup(&attr);
	struct ibv_sge sg = rc_sge(&s.src, 0, 8);
	struct ibv_send_wr wr = request(IBV_WR_SEND, &sg, 0, 0);
	int i;

	for (i = 0; i < 10; i++)
		rc_recv(&s.p->a, 100 + i, &sg, 1);
	for (i = 0; i < 10; i++) {
		wr.wr_id = i;
		wr.send_flags = i & 1 ? IBV_SEND_SIGNALED : 0;
		rc_post(&s.p->a, &wr);
	}
	CHECK_EQ(rc_to_state(&s.p->a, IBV_QPS_ERR), 0);
	for (i = 0; i < 10; i++)
		CHECK_EQ(rc_wc_status(s.p->a.scq, IBV_WC_WR_FLUSH_ERR).wr_id, i);
	for (i = 0; i < 10; i++)
		CHECK_EQ(rc_wc_status(s.p->a.rcq, IBV_WC_WR_FLUSH_ERR).wr_id, 100 + i);
	for (i = 0; i < 50; i++) {
		wr.wr_id = 200 + i;
		rc_post(&s.p->a, &wr);
		CHECK_EQ(rc_wc_status(s.p->a.scq, IBV_WC_WR_FLUSH_ERR).wr_id, 200 + i);
		rc_recv(&s.p->a, 300 + i, &sg, 1);
		CHECK_EQ(rc_wc_status(s.p->a.rcq, IBV_WC_WR_FLUSH_ERR).wr_id, 300 + i);
	}
	teardown(&s);
}

/* Requests before the bad one are delivered, those after it are not. */
static void err_in_the_middle(void)
{
	struct stage s = setup(NULL);
	struct ibv_sge to = rc_sge(&s.dst, 0, LEN), sg = rc_sge(&s.src, 0, 100);
	struct ibv_send_wr bad = request(IBV_WR_RDMA_WRITE, &sg, (uintptr_t)s.dst.addr, s.stale);
	struct ibv_send_wr wr = request(IBV_WR_SEND, &sg, 0, 0);
	int i;

	bad.wr_id = 4;
	wr.send_flags = IBV_SEND_SIGNALED;
	for (i = 0; i < 8; i++)
		rc_recv(&s.p->b, i, &to, 1);
	for (i = 0; i < 8; i++) {
		wr.wr_id = i;
		rc_post(&s.p->a, i == 4 ? &bad : &wr);
	}
	for (i = 0; i < 8; i++)
		CHECK_EQ(rc_wc_status(s.p->a.scq, i < 4 ? IBV_WC_SUCCESS :
				      i == 4 ? IBV_WC_REM_ACCESS_ERR :
				      IBV_WC_WR_FLUSH_ERR).wr_id, i);
	for (i = 0; i < 4; i++)
		CHECK_EQ(rc_wc_ok(s.p->b.rcq).wr_id, i);
	CHECK_EQ(rc_to_state(&s.p->b, IBV_QPS_ERR), 0);
	for (i = 4; i < 8; i++)
		CHECK_EQ(rc_wc_status(s.p->b.rcq, IBV_WC_WR_FLUSH_ERR).wr_id, i);
	teardown(&s);
}

/* A region is deregistered while the peer writes to it. */
static void err_dereg_under_traffic(void)
{
	struct stage s = setup(NULL);
	struct ibv_sge sg = rc_sge(&s.src, 0, LEN);
	struct ibv_send_wr wr;
	struct ibv_wc wc;
	struct rc_buf buf;
	int i, n;

	for (i = 0; i < 30; i++) {
		buf = rc_buf(s.dev, LEN, RC_ACCESS_ALL);
		wr = request(IBV_WR_RDMA_WRITE, &sg, (uintptr_t)buf.addr, buf.mr->rkey);
		wr.send_flags = IBV_SEND_SIGNALED;
		for (n = 0; n < 20; n++)
			rc_post(&s.p->a, &wr);
		rc_buf_free(&buf);
		for (n = 0; n < 20; n++) {
			wc = rc_wc(s.p->a.scq);
			CHECK(wc.status == IBV_WC_SUCCESS ||
			      wc.status == IBV_WC_REM_ACCESS_ERR ||
			      wc.status == IBV_WC_WR_FLUSH_ERR, "%s",
			      ibv_wc_status_str(wc.status));
		}
		rc_pair_reset(s.p);
	}
	teardown(&s);
}

static const struct test_case cases[] = {
	{ "err_local_send", err_local_send, 0 },
	{ "err_local_write", err_local_write, 0 },
	{ "err_local_read", err_local_read, 0 },
	{ "err_local_second_sge", err_local_second_sge, 0 },
	{ "err_recv_buffer", err_recv_buffer, 0 },
	{ "err_remote_write", err_remote_write, 0 },
	{ "err_remote_write_imm", err_remote_write_imm, 0 },
	{ "err_remote_read", err_remote_read, 0 },
	{ "err_remote_atomic", err_remote_atomic, 0 },
	{ "err_remote_rights", err_remote_rights, 0 },
	{ "err_qp_rights", err_qp_rights, 0 },
	{ "err_atomic_unaligned", err_atomic_unaligned, 0 },
	{ "err_recv_too_small", err_recv_too_small, 0 },
	{ "err_send_inv", err_send_inv, 0 },
	{ "err_unsignalled", err_unsignalled, 0 },
	{ "err_flush", err_flush, 0 },
	{ "err_in_the_middle", err_in_the_middle, 0 },
	{ "err_dereg_under_traffic", err_dereg_under_traffic, 0 },
};

CASE_TABLE(errors_cases, cases);

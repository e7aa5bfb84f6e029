// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Every operation through ibv_post_send: data, flags and order. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "verbs_test.h"

#define BIG	(1u << 20)

static const size_t sizes[] = {
	0, 1, 7, 8, 255, 1023, 1024, 1025, 2047, 4095, 4096, 4097, 8191, 65536, 65537, BIG,
};

struct bench {
	struct rc_dev *dev;
	struct rc_pair *p;
	struct rc_buf src, dst;
};

static struct bench setup(const struct rc_attr *attr)
{
	struct bench b = { .dev = rc_open() };

	b.p = rc_pair_create(b.dev, attr);
	b.src = rc_buf(b.dev, BIG + PAGE, RC_ACCESS_ALL);
	b.dst = rc_buf(b.dev, BIG + PAGE, RC_ACCESS_ALL);
	return b;
}

static void teardown(struct bench *b)
{
	rc_pair_destroy(b->p);
	rc_buf_free(&b->src);
	rc_buf_free(&b->dst);
	rc_close(b->dev);
}

/* Check the bytes that were moved, and that those around them are unchanged. */
static void prepare(struct bench *b, size_t off, size_t len, uint64_t seed)
{
	rc_fill(b->src.addr + off, len, seed);
	memset(b->dst.addr, 0xee, off + len + 64);
}

static void check_moved(struct bench *b, size_t off, size_t len, uint64_t seed)
{
	size_t i;

	rc_verify(b->dst.addr + off, len, seed, "data");
	for (i = 0; i < off; i++)
		CHECK_EQ(b->dst.addr[i], 0xee);
	for (i = off + len; i < off + len + 64; i++)
		CHECK_EQ(b->dst.addr[i], 0xee);
}

static void op_send(void)
{
	struct bench b = setup(NULL);
	struct ibv_sge sg;
	struct ibv_wc wc;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		prepare(&b, 3, sizes[i], i);
		sg = rc_sge(&b.dst, 3, BIG);
		rc_recv(&b.p->b, 40 + i, &sg, 1);
		rc_op(&b.p->a, IBV_WR_SEND, rc_sge(&b.src, 3, sizes[i]), NULL, 0);
		wc = rc_wc_ok(b.p->a.scq);
		CHECK_EQ(wc.opcode, IBV_WC_SEND);
		CHECK_EQ(wc.qp_num, b.p->a.qp->qp_num);
		wc = rc_wc_ok(b.p->b.rcq);
		CHECK_EQ(wc.opcode, IBV_WC_RECV);
		CHECK_EQ(wc.wr_id, 40 + i);
		CHECK_EQ(wc.byte_len, sizes[i]);
		CHECK_EQ(wc.wc_flags & IBV_WC_WITH_IMM, 0);
		CHECK_EQ(wc.qp_num, b.p->b.qp->qp_num);
		check_moved(&b, 3, sizes[i], i);
	}
	teardown(&b);
}

static void op_send_imm(void)
{
	struct bench b = setup(NULL);
	struct ibv_sge sg = rc_sge(&b.dst, 0, BIG), from = rc_sge(&b.src, 0, 5000);
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND_WITH_IMM, .sg_list = &from,
				  .num_sge = 1, .send_flags = IBV_SEND_SIGNALED,
				  .imm_data = htonl(0xdeadbeef) };
	struct ibv_wc wc;

	prepare(&b, 0, 5000, 9);
	rc_recv(&b.p->b, 1, &sg, 1);
	rc_post(&b.p->a, &wr);
	rc_wc_ok(b.p->a.scq);
	wc = rc_wc_ok(b.p->b.rcq);
	CHECK_EQ(wc.wc_flags & IBV_WC_WITH_IMM, IBV_WC_WITH_IMM);
	CHECK_EQ(ntohl(wc.imm_data), 0xdeadbeef);
	CHECK_EQ(wc.byte_len, 5000);
	check_moved(&b, 0, 5000, 9);
	teardown(&b);
}

static void op_write(void)
{
	struct bench b = setup(NULL);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		prepare(&b, 5, sizes[i], i);
		rc_op(&b.p->a, IBV_WR_RDMA_WRITE, rc_sge(&b.src, 5, sizes[i]), &b.dst, 5);
		CHECK_EQ(rc_wc_ok(b.p->a.scq).opcode, IBV_WC_RDMA_WRITE);
		check_moved(&b, 5, sizes[i], i);
	}
	rc_wc_none(b.p->b.rcq);
	teardown(&b);
}

static void op_write_imm(void)
{
	struct bench b = setup(NULL);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE_WITH_IMM, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };
	struct ibv_sge from;
	struct ibv_wc wc;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		prepare(&b, 1, sizes[i], i);
		from = rc_sge(&b.src, 1, sizes[i]);
		wr.sg_list = &from;
		wr.imm_data = htonl(i);
		wr.wr.rdma.remote_addr = (uintptr_t)b.dst.addr + 1;
		wr.wr.rdma.rkey = b.dst.mr->rkey;
		rc_recv(&b.p->b, i, NULL, 0);
		rc_post(&b.p->a, &wr);
		rc_wc_ok(b.p->a.scq);
		wc = rc_wc_ok(b.p->b.rcq);
		CHECK_EQ(wc.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
		CHECK_EQ(wc.byte_len, sizes[i]);
		CHECK_EQ(ntohl(wc.imm_data), i);
		check_moved(&b, 1, sizes[i], i);
	}
	teardown(&b);
}

static void op_read(void)
{
	struct bench b = setup(NULL);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		prepare(&b, 9, sizes[i], i);
		rc_op(&b.p->a, IBV_WR_RDMA_READ, rc_sge(&b.dst, 9, sizes[i]), &b.src, 9);
		CHECK_EQ(rc_wc_ok(b.p->a.scq).opcode, IBV_WC_RDMA_READ);
		check_moved(&b, 9, sizes[i], i);
	}
	teardown(&b);
}

/* Cut [0, len) of a buffer into n pieces of odd sizes. */
static void cut(const struct rc_buf *buf, size_t len, struct ibv_sge *sg, int n)
{
	size_t off = 0, piece;
	int i;

	for (i = 0; i < n; i++) {
		piece = i == n - 1 ? len - off : (len - off) / 2 | 1;
		sg[i] = rc_sge(buf, off, piece);
		off += piece;
	}
}

static void op_sge_lists(void)
{
	static const enum ibv_wr_opcode ops[] = {
		IBV_WR_SEND, IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ,
	};
	struct bench b = setup(NULL);
	struct ibv_sge from[4], to[4];
	struct ibv_send_wr wr = { .send_flags = IBV_SEND_SIGNALED, .sg_list = from };
	size_t i, len = 30011;
	int n;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		for (n = 1; n <= 4; n++) {
			prepare(&b, 0, len, n);
			wr.opcode = ops[i];
			wr.num_sge = n;
			wr.wr.rdma.rkey = b.dst.mr->rkey;
			wr.wr.rdma.remote_addr = (uintptr_t)b.dst.addr;
			cut(&b.src, len, from, n);
			cut(&b.dst, len, to, 5 - n);
			if (ops[i] == IBV_WR_SEND)
				rc_recv(&b.p->b, 1, to, 5 - n);
			if (ops[i] == IBV_WR_RDMA_READ) {
				wr.wr.rdma.rkey = b.src.mr->rkey;
				wr.wr.rdma.remote_addr = (uintptr_t)b.src.addr;
				cut(&b.dst, len, from, n);
			}
			rc_post(&b.p->a, &wr);
			rc_wc_ok(b.p->a.scq);
			if (ops[i] == IBV_WR_SEND)
				rc_wc_ok(b.p->b.rcq);
			check_moved(&b, 0, len, n);
		}
	}
	teardown(&b);
}

static void op_zero_sge(void)
{
	struct bench b = setup(NULL);
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED };

	rc_recv(&b.p->b, 1, NULL, 0);
	rc_post(&b.p->a, &wr);
	rc_wc_ok(b.p->a.scq);
	CHECK_EQ(rc_wc_ok(b.p->b.rcq).byte_len, 0);
	teardown(&b);
}

/* Inline data may be overwritten as soon as the post returns, and needs no lkey. */
static void op_inline(void)
{
	struct rc_attr attr = { .cap.max_inline_data = 64 };
	struct bench b = setup(&attr);
	uint8_t data[64];
	struct ibv_sge from = { .addr = (uintptr_t)data, .lkey = 0 };
	struct ibv_sge to = rc_sge(&b.dst, 0, 64);
	struct ibv_send_wr wr = { .sg_list = &from, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED | IBV_SEND_INLINE };
	unsigned int len;

	wr.wr.rdma.rkey = b.dst.mr->rkey;
	wr.wr.rdma.remote_addr = (uintptr_t)b.dst.addr;
	for (len = 0; len <= 64; len += 4) {
		from.length = len;
		memset(b.dst.addr, 0xee, 128);
		rc_fill(data, sizeof(data), len);
		wr.opcode = len & 4 ? IBV_WR_SEND : IBV_WR_RDMA_WRITE;
		if (wr.opcode == IBV_WR_SEND)
			rc_recv(&b.p->b, 1, &to, 1);
		rc_post(&b.p->a, &wr);
		memset(data, 0x55, sizeof(data));
		rc_wc_ok(b.p->a.scq);
		if (wr.opcode == IBV_WR_SEND)
			rc_wc_ok(b.p->b.rcq);
		check_moved(&b, 0, len, len);
	}
	teardown(&b);
}

static void op_inline_too_long(void)
{
	struct rc_attr attr = { .cap.max_inline_data = 16 };
	struct bench b = setup(&attr);
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr qa;
	struct ibv_sge from;
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &from, .num_sge = 1,
				  .send_flags = IBV_SEND_INLINE };

	CHECK_EQ(ibv_query_qp(b.p->a.qp, &qa, IBV_QP_CAP, &init), 0);
	CHECK(qa.cap.max_inline_data >= 16);
	from = rc_sge(&b.src, 0, qa.cap.max_inline_data + 1);
	CHECK(rc_try_post(&b.p->a, &wr));
	teardown(&b);
}

/* Only the signalled one of each batch completes, and the ring never fills. */
static void op_unsignalled(void)
{
	struct rc_attr attr = { .cap.max_send_wr = 16 };
	struct bench b = setup(&attr);
	struct ibv_sge from;
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = &from, .num_sge = 1 };
	struct ibv_wc wc;
	int i, round;

	rc_fill(b.src.addr, 16 * 100, 3);
	wr.wr.rdma.rkey = b.dst.mr->rkey;
	for (round = 0; round < 20; round++) {
		memset(b.dst.addr, 0, 16 * 100);
		for (i = 0; i < 16; i++) {
			from = rc_sge(&b.src, i * 100, 100);
			wr.wr_id = round * 16 + i;
			wr.wr.rdma.remote_addr = (uintptr_t)b.dst.addr + i * 100;
			wr.send_flags = i == 15 ? IBV_SEND_SIGNALED : 0;
			rc_post(&b.p->a, &wr);
		}
		wc = rc_wc_ok(b.p->a.scq);
		CHECK_EQ(wc.wr_id, round * 16 + 15);
		rc_wc_none(b.p->a.scq);
		rc_verify(b.dst.addr, 16 * 100, 3, "unsignalled writes");
	}
	teardown(&b);
}

static void op_sig_all(void)
{
	struct rc_attr attr = { .sig_all = true };
	struct bench b = setup(&attr);
	struct ibv_sge from = rc_sge(&b.src, 0, 8);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = &from, .num_sge = 1 };
	int i;

	wr.wr.rdma.rkey = b.dst.mr->rkey;
	wr.wr.rdma.remote_addr = (uintptr_t)b.dst.addr;
	for (i = 0; i < 8; i++) {
		wr.wr_id = i;
		rc_post(&b.p->a, &wr);
	}
	for (i = 0; i < 8; i++)
		CHECK_EQ(rc_wc_ok(b.p->a.scq).wr_id, i);
	teardown(&b);
}

/* A list longer than the queue stops at the first that does not fit. */
static void op_list_overflow(void)
{
	struct rc_attr attr = { .cap.max_send_wr = 8, .cap.max_recv_wr = 8 };
	struct bench b = setup(&attr);
	struct ibv_send_wr *wr, *bad = NULL;
	struct ibv_qp_init_attr init;
	struct ibv_recv_wr *rr, *rbad = NULL;
	struct ibv_qp_attr qa;
	unsigned int i, n, m;

	CHECK_EQ(ibv_query_qp(b.p->a.qp, &qa, IBV_QP_CAP, &init), 0);
	n = qa.cap.max_send_wr;
	m = qa.cap.max_recv_wr;
	rr = calloc(m + 1, sizeof(*rr));
	for (i = 0; i < m; i++)
		rr[i].next = &rr[i + 1];
	CHECK_EQ(ibv_post_recv(b.p->a.qp, rr, &rbad), ENOMEM);
	CHECK(rbad == &rr[m]);
	/*
	 * SENDs without a receive stay in the queue, so its slots stay taken; only the WQE that
	 * the device has already taken may free one.
	 */
	wr = calloc(2 * n, sizeof(*wr));
	for (i = 0; i < 2 * n; i++) {
		wr[i].opcode = IBV_WR_SEND;
		wr[i].next = i < 2 * n - 1 ? &wr[i + 1] : NULL;
	}
	CHECK_EQ(ibv_post_send(b.p->a.qp, wr, &bad), ENOMEM);
	CHECK(bad == &wr[n] || bad == &wr[n + 1]);
	free(wr);
	free(rr);
	teardown(&b);
}

/* A fenced SEND sends the bytes that the READ before it brought. */
static void op_fence(void)
{
	struct bench b = setup(NULL);
	struct rc_buf mid = rc_buf(b.dev, BIG, RC_ACCESS_ALL);
	struct ibv_sge to = rc_sge(&b.dst, 0, BIG), sg[2];
	struct ibv_send_wr wr[2] = {
		{ .opcode = IBV_WR_RDMA_READ, .sg_list = &sg[0], .num_sge = 1, .next = &wr[1] },
		{ .opcode = IBV_WR_SEND, .sg_list = &sg[1], .num_sge = 1,
		  .send_flags = IBV_SEND_FENCE | IBV_SEND_SIGNALED },
	};
	size_t len;
	int i;

	for (i = 0; i < 50; i++) {
		len = 1 + i * 997;
		prepare(&b, 0, len, i);
		sg[0] = rc_sge(&mid, 0, len);
		sg[1] = rc_sge(&mid, 0, len);
		wr[0].wr.rdma.remote_addr = (uintptr_t)b.src.addr;
		wr[0].wr.rdma.rkey = b.src.mr->rkey;
		rc_recv(&b.p->b, i, &to, 1);
		rc_post(&b.p->a, wr);
		rc_wc_ok(b.p->a.scq);
		rc_wc_ok(b.p->b.rcq);
		check_moved(&b, 0, len, i);
	}
	rc_buf_free(&mid);
	teardown(&b);
}

/* When a SEND has arrived, the WRITE before it is in memory. */
static void op_write_then_send(void)
{
	struct bench b = setup(NULL);
	struct ibv_sge sg = rc_sge(&b.src, 0, 20000);
	struct ibv_send_wr wr[2] = {
		{ .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg, .num_sge = 1, .next = &wr[1] },
		{ .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED },
	};
	int i;

	wr[0].wr.rdma.remote_addr = (uintptr_t)b.dst.addr;
	wr[0].wr.rdma.rkey = b.dst.mr->rkey;
	for (i = 0; i < 50; i++) {
		prepare(&b, 0, 20000, i);
		rc_recv(&b.p->b, i, NULL, 0);
		rc_post(&b.p->a, wr);
		rc_wc_ok(b.p->b.rcq);
		check_moved(&b, 0, 20000, i);
		rc_wc_ok(b.p->a.scq);
	}
	teardown(&b);
}

static void op_every_mtu(void)
{
	struct rc_attr attr = {};
	struct ibv_sge to;
	struct bench b;
	int mtu;

	for (mtu = IBV_MTU_256; mtu <= IBV_MTU_4096; mtu++) {
		attr.mtu = mtu;
		b = setup(NULL);
		if ((enum ibv_mtu)mtu > b.dev->port.active_mtu) {
			teardown(&b);
			break;
		}
		rc_pair_destroy(b.p);
		b.p = rc_pair_create(b.dev, &attr);
		prepare(&b, 2, 100003, mtu);
		to = rc_sge(&b.dst, 2, 100003);
		rc_recv(&b.p->b, 1, &to, 1);
		rc_op(&b.p->a, IBV_WR_SEND, rc_sge(&b.src, 2, 100003), NULL, 0);
		rc_wc_ok(b.p->b.rcq);
		check_moved(&b, 2, 100003, mtu);
		rc_wc_ok(b.p->a.scq);
		prepare(&b, 2, 100003, mtu + 10);
		rc_op(&b.p->b, IBV_WR_RDMA_READ, rc_sge(&b.dst, 2, 100003), &b.src, 2);
		rc_wc_ok(b.p->b.scq);
		check_moved(&b, 2, 100003, mtu + 10);
		teardown(&b);
	}
}

/* A QP connected to itself: both directions of the engine are its own. */
static void op_self_loop(void)
{
	struct bench b = setup(NULL);
	struct rc_attr *a = &b.p->attr;
	struct rc_end *e = &b.p->a;
	struct ibv_sge to = rc_sge(&b.dst, 0, 9000);
	int i;

	CHECK_EQ(rc_to_state(e, IBV_QPS_RESET), 0);
	CHECK_EQ(rc_to_init(b.dev, e, a), 0);
	CHECK_EQ(rc_to_rtr(b.dev, e, e->qp->qp_num, e->psn, a), 0);
	CHECK_EQ(rc_to_rts(e, a), 0);
	for (i = 0; i < 20; i++) {
		prepare(&b, 0, 9000, i);
		rc_recv(e, i, &to, 1);
		rc_op(e, IBV_WR_SEND, rc_sge(&b.src, 0, 9000), NULL, 0);
		rc_wc_ok(e->scq);
		rc_wc_ok(e->rcq);
		check_moved(&b, 0, 9000, i);
	}
	teardown(&b);
}

#define MANY	32

static void op_many_pairs(void)
{
	struct bench b = setup(NULL);
	struct rc_pair *p[MANY];
	int i, round;

	for (i = 0; i < MANY; i++)
		p[i] = rc_pair_create(b.dev, NULL);
	for (round = 0; round < 4; round++) {
		prepare(&b, 0, MANY * 3001, round);
		for (i = 0; i < MANY; i++)
			rc_op(&p[i]->a, IBV_WR_RDMA_WRITE,
			      rc_sge(&b.src, i * 3001, 3001), &b.dst, i * 3001);
		for (i = 0; i < MANY; i++)
			rc_wc_ok(p[i]->a.scq);
		check_moved(&b, 0, MANY * 3001, round);
	}
	for (i = 0; i < MANY; i++)
		rc_pair_destroy(p[i]);
	teardown(&b);
}

static const struct test_case cases[] = {
	{ "op_send", op_send, 0 },
	{ "op_send_imm", op_send_imm, 0 },
	{ "op_write", op_write, 0 },
	{ "op_write_imm", op_write_imm, 0 },
	{ "op_read", op_read, 0 },
	{ "op_sge_lists", op_sge_lists, 0 },
	{ "op_zero_sge", op_zero_sge, 0 },
	{ "op_inline", op_inline, 0 },
	{ "op_inline_too_long", op_inline_too_long, 0 },
	{ "op_unsignalled", op_unsignalled, 0 },
	{ "op_sig_all", op_sig_all, 0 },
	{ "op_list_overflow", op_list_overflow, 0 },
	{ "op_fence", op_fence, 0 },
	{ "op_write_then_send", op_write_then_send, 0 },
	{ "op_every_mtu", op_every_mtu, 0 },
	{ "op_self_loop", op_self_loop, 0 },
	{ "op_many_pairs", op_many_pairs, 0 },
};

CASE_TABLE(ops_cases, cases);

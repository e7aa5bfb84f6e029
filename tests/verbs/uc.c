// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unreliable connections: an error at the responder concerns neither the requester nor
 * any other message.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "verbs_test.h"

struct stage {
	struct rc_dev *dev;
	struct rc_pair *p;
	struct rc_buf src, dst;
};

static struct stage setup(void)
{
	struct rc_attr attr = { .type = IBV_QPT_UC };
	struct stage s = { .dev = rc_open() };

	s.p = rc_pair_create(s.dev, &attr);
	s.src = rc_buf(s.dev, 16 * PAGE, RC_ACCESS_ALL);
	s.dst = rc_buf(s.dev, 16 * PAGE, RC_ACCESS_ALL);
	return s;
}

static void teardown(struct stage *s)
{
	CHECK_EQ(rc_state(&s->p->a), IBV_QPS_RTS);
	CHECK_EQ(rc_state(&s->p->b), IBV_QPS_RTS);
	rc_pair_destroy(s->p);
	rc_buf_free(&s->src);
	rc_buf_free(&s->dst);
	rc_close(s->dev);
}

/* The requester always succeeds. */
static void put(struct stage *s, size_t len, uint64_t seed)
{
	rc_fill(s->src.addr, len, seed);
	rc_op(&s->p->a, IBV_WR_SEND, rc_sge(&s->src, 0, len), NULL, 0);
	rc_wc_ok(s->p->a.scq);
}

static void take(struct stage *s, uint64_t id, size_t len)
{
	struct ibv_sge sg = rc_sge(&s->dst, 0, len);

	rc_recv(&s->p->b, id, &sg, 1);
}

static void arrived(struct stage *s, uint64_t id, size_t len, uint64_t seed)
{
	struct ibv_wc wc = rc_wc_ok(s->p->b.rcq);

	CHECK_EQ(wc.wr_id, id);
	CHECK_EQ(wc.byte_len, len);
	rc_verify(s->dst.addr, len, seed, "a UC message");
}

static void data(void)
{
	static const size_t len[] = { 0, 1, 1023, 1024, 1025, PAGE, 10 * PAGE + 7 };
	struct stage s = setup();
	struct ibv_sge sg = rc_sge(&s.src, 0, 3000);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE_WITH_IMM, .sg_list = &sg, .num_sge = 1,
		.send_flags = IBV_SEND_SIGNALED, .imm_data = htonl(77),
		.wr.rdma = { .remote_addr = (uintptr_t)s.dst.addr + 5,
			     .rkey = s.dst.mr->rkey },
	};
	struct ibv_wc wc;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(len); i++) {
		take(&s, i, s.dst.len);
		put(&s, len[i], i);
		arrived(&s, i, len[i], i);
	}
	rc_fill(s.src.addr, 3000, 50);
	take(&s, 50, 0);
	rc_post(&s.p->a, &wr);
	rc_wc_ok(s.p->a.scq);
	wc = rc_wc_ok(s.p->b.rcq);
	CHECK_EQ(wc.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
	CHECK_EQ(ntohl(wc.imm_data), 77);
	rc_verify(s.dst.addr + 5, 3000, 50, "a UC write");
	teardown(&s);
}

/* Without a receive a message is lost; one that is too short stays for the next message. */
static void dropped(void)
{
	struct stage s = setup();

	put(&s, 5000, 1);
	rc_wc_none(s.p->b.rcq);
	take(&s, 2, 5000);
	rc_wc_none(s.p->b.rcq);
	put(&s, 5001, 2);
	rc_wc_none(s.p->b.rcq);
	put(&s, 5000, 3);
	arrived(&s, 2, 5000, 3);
	teardown(&s);
}

/* A wrong or invalidated key, or a range past the end: nothing is written. */
static void write_refused(void)
{
	struct stage s = setup();
	uint32_t rkey = s.dst.mr->rkey;
	struct ibv_sge sg = rc_sge(&s.src, 0, 5000);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg, .num_sge = 1,
		.send_flags = IBV_SEND_SIGNALED,
	};
	const struct {
		uint64_t addr;
		uint32_t rkey;
	} bad[] = {
		{ (uintptr_t)s.dst.addr, rkey ^ 0x100 },
		{ (uintptr_t)s.dst.addr + s.dst.len - 4999, rkey },
		{ (uintptr_t)s.dst.addr - 1, rkey },
	};
	size_t i;

	memset(s.dst.addr, 0x33, s.dst.len);
	rc_fill(s.src.addr, 5000, 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		wr.wr.rdma.remote_addr = bad[i].addr;
		wr.wr.rdma.rkey = bad[i].rkey;
		rc_post(&s.p->a, &wr);
		rc_wc_ok(s.p->a.scq);
	}
	for (i = 0; i < s.dst.len; i++)
		CHECK_EQ(s.dst.addr[i], 0x33);
	take(&s, 1, 5000);
	put(&s, 5000, 9);
	arrived(&s, 1, 5000, 9);
	teardown(&s);
}

/* UC has no operation that needs an answer; only the send queue is in error then. */
static void other_operations(void)
{
	static const enum ibv_wr_opcode op[] = {
		IBV_WR_RDMA_READ, IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WR_ATOMIC_CMP_AND_SWP,
	};
	struct stage s = setup();
	struct ibv_qp_attr qa = { .qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE };
	struct ibv_sge sg = rc_sge(&s.src, 0, 8);
	struct ibv_send_wr wr = { .sg_list = &sg, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(op); i++) {
		wr.opcode = op[i];
		wr.wr.rdma.remote_addr = (uintptr_t)s.dst.addr;
		wr.wr.rdma.rkey = s.dst.mr->rkey;
		if (rc_try_post(&s.p->a, &wr))
			continue;
		rc_wc_status(s.p->a.scq, IBV_WC_LOC_QP_OP_ERR);
		CHECK_EQ(rc_state(&s.p->a), IBV_QPS_SQE);
		CHECK_EQ(ibv_modify_qp(s.p->a.qp, &qa, IBV_QP_STATE | IBV_QP_CUR_STATE), 0);
	}
	take(&s, 1, 100);
	put(&s, 100, 4);
	arrived(&s, 1, 100, 4);
	teardown(&s);
}

/* The peer is gone, and the sender does not notice. */
static void nobody_there(void)
{
	struct stage s = setup();
	int i;

	CHECK_EQ(rc_to_state(&s.p->b, IBV_QPS_RESET), 0);
	for (i = 0; i < 10; i++)
		put(&s, 5000, i);
	rc_pair_reset(s.p);
	take(&s, 1, 5000);
	put(&s, 5000, 20);
	arrived(&s, 1, 5000, 20);
	teardown(&s);
}

static const struct test_case cases[] = {
	{ "uc_data", data, 0 },
	{ "uc_dropped", dropped, 0 },
	{ "uc_write_refused", write_refused, 0 },
	{ "uc_other_operations", other_operations, 0 },
	{ "uc_nobody_there", nobody_there, 0 },
};

CASE_TABLE(uc_cases, cases);

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* QP states: legal and illegal transitions, attributes in and out. */
#include <errno.h>
#include <string.h>

#include "verbs_test.h"

static const enum ibv_qp_state all_states[] = {
	IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS, IBV_QPS_SQD, IBV_QPS_ERR,
};

static bool legal(enum ibv_qp_state from, enum ibv_qp_state to)
{
	if (to == IBV_QPS_RESET)
		return true;
	if (to == IBV_QPS_ERR)
		return from != IBV_QPS_RESET;
	switch (from) {
	case IBV_QPS_RESET:
		return to == IBV_QPS_INIT;
	case IBV_QPS_INIT:
		return to == IBV_QPS_INIT || to == IBV_QPS_RTR;
	case IBV_QPS_RTR:
		return to == IBV_QPS_RTS;
	case IBV_QPS_RTS:
	case IBV_QPS_SQD:
		return to == IBV_QPS_RTS || to == IBV_QPS_SQD;
	default:
		return false;
	}
}

/* Bring an end from RESET into a state, connected to itself. */
static void bring_to(struct rc_dev *dev, struct rc_end *end, enum ibv_qp_state state)
{
	struct rc_attr a = { .timeout = 14, .retry_cnt = 7, .rnr_retry = 7, .rd_atomic = 1 };

	CHECK_EQ(rc_to_state(end, IBV_QPS_RESET), 0);
	if (state == IBV_QPS_RESET)
		return;
	CHECK_EQ(rc_to_init(dev, end, &a), 0);
	if (state == IBV_QPS_ERR)
		CHECK_EQ(rc_to_state(end, IBV_QPS_ERR), 0);
	if (state == IBV_QPS_INIT || state == IBV_QPS_ERR)
		return;
	CHECK_EQ(rc_to_rtr(dev, end, end->qp->qp_num, end->psn, &a), 0);
	if (state == IBV_QPS_RTR)
		return;
	CHECK_EQ(rc_to_rts(end, &a), 0);
	if (state == IBV_QPS_SQD)
		CHECK_EQ(rc_to_state(end, IBV_QPS_SQD), 0);
}

/* One transition with the attributes that it demands. */
static int transit(struct rc_dev *dev, struct rc_end *end, enum ibv_qp_state from,
		   enum ibv_qp_state to)
{
	struct rc_attr a = { .timeout = 14, .retry_cnt = 7, .rnr_retry = 7, .rd_atomic = 1 };

	if (to == IBV_QPS_INIT)
		return rc_to_init(dev, end, &a);
	if (to == IBV_QPS_RTR)
		return rc_to_rtr(dev, end, end->qp->qp_num, end->psn, &a);
	if (to == IBV_QPS_RTS && from == IBV_QPS_RTR)
		return rc_to_rts(end, &a);
	return rc_to_state(end, to);
}

static void each_transition(bool want_legal)
{
	struct rc_dev *dev = rc_open();
	enum ibv_qp_state from, to;
	struct rc_end end;
	size_t i, j;
	int ret;

	rc_end_create(dev, NULL, &end, NULL);
	for (i = 0; i < ARRAY_SIZE(all_states); i++) {
		for (j = 0; j < ARRAY_SIZE(all_states); j++) {
			from = all_states[i];
			to = all_states[j];
			if (legal(from, to) != want_legal)
				continue;
			bring_to(dev, &end, from);
			CHECK_EQ(rc_state(&end), from);
			ret = transit(dev, &end, from, to);
			if (want_legal && ret)
				test_fail("%d -> %d: %s", from, to, strerror(ret));
			if (!want_legal && ret != EINVAL)
				test_fail("%d -> %d: %s, expected EINVAL", from, to,
					  strerror(ret));
			CHECK_EQ(rc_state(&end), want_legal ? to : from);
		}
	}
	rc_end_destroy(&end);
	rc_close(dev);
}

static void state_legal(void)
{
	each_transition(true);
}

static void state_illegal(void)
{
	each_transition(false);
}

static void state_missing_attr(void)
{
	static const struct {
		enum ibv_qp_state from, to;
		int mask;
	} bad[] = {
		{ IBV_QPS_RESET, IBV_QPS_INIT, IBV_QP_PKEY_INDEX | IBV_QP_ACCESS_FLAGS },
		{ IBV_QPS_RESET, IBV_QPS_INIT, IBV_QP_PORT | IBV_QP_ACCESS_FLAGS },
		{ IBV_QPS_RESET, IBV_QPS_INIT, IBV_QP_PORT | IBV_QP_PKEY_INDEX },
		{ IBV_QPS_RESET, IBV_QPS_INIT, IBV_QP_PORT | IBV_QP_PKEY_INDEX |
		  IBV_QP_ACCESS_FLAGS | IBV_QP_SQ_PSN },
		{ IBV_QPS_INIT, IBV_QPS_RTR, 0 },
		{ IBV_QPS_INIT, IBV_QPS_RTR, IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
		  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC },
		{ IBV_QPS_RTR, IBV_QPS_RTS, 0 },
		{ IBV_QPS_RTR, IBV_QPS_RTS, IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
		  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC },
		{ IBV_QPS_RTS, IBV_QPS_RTS, IBV_QP_DEST_QPN },
	};
	struct ibv_qp_attr qa = { .port_num = 1, .path_mtu = IBV_MTU_1024 };
	struct rc_dev *dev = rc_open();
	struct rc_end end;
	size_t i;

	rc_end_create(dev, NULL, &end, NULL);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		bring_to(dev, &end, bad[i].from);
		qa.qp_state = bad[i].to;
		if (ibv_modify_qp(end.qp, &qa, IBV_QP_STATE | bad[i].mask) != EINVAL)
			test_fail("row %zu was not refused", i);
		CHECK_EQ(rc_state(&end), bad[i].from);
	}
	rc_end_destroy(&end);
	rc_close(dev);
}

static void try_rtr(struct rc_dev *dev, struct rc_end *end, const char *what,
		    void (*spoil)(struct ibv_qp_attr *, struct rc_dev *))
{
	struct ibv_qp_attr qa = {
		.qp_state = IBV_QPS_RTR, .path_mtu = dev->port.active_mtu,
		.dest_qp_num = end->qp->qp_num, .max_dest_rd_atomic = 1,
		.ah_attr = { .is_global = 1, .port_num = 1,
			     .grh = { .dgid = dev->gid, .sgid_index = dev->gid_index,
				      .hop_limit = 1 } },
	};
	int ret;

	bring_to(dev, end, IBV_QPS_INIT);
	spoil(&qa, dev);
	ret = ibv_modify_qp(end->qp, &qa, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
			    IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			    IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	if (!ret)
		test_fail("%s was accepted", what);
	CHECK_EQ(rc_state(end), IBV_QPS_INIT);
}

static void spoil_mtu(struct ibv_qp_attr *qa, struct rc_dev *dev)
{
	(void)dev;
	qa->path_mtu = 6;
}

static void spoil_gid_index(struct ibv_qp_attr *qa, struct rc_dev *dev)
{
	qa->ah_attr.grh.sgid_index = dev->port.gid_tbl_len;
}

static void spoil_rd_atomic(struct ibv_qp_attr *qa, struct rc_dev *dev)
{
	qa->max_dest_rd_atomic = dev->attr.orig_attr.max_qp_rd_atom + 1;
}

static void spoil_grh(struct ibv_qp_attr *qa, struct rc_dev *dev)
{
	(void)dev;
	qa->ah_attr.is_global = 0;
}

static void state_bad_value(void)
{
	struct ibv_qp_attr qa = { .qp_state = IBV_QPS_INIT, .port_num = 2 };
	struct rc_dev *dev = rc_open();
	struct rc_end end;

	rc_end_create(dev, NULL, &end, NULL);
	CHECK(ibv_modify_qp(end.qp, &qa, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			    IBV_QP_ACCESS_FLAGS));
	qa.port_num = 1;
	qa.pkey_index = dev->port.pkey_tbl_len;
	CHECK(ibv_modify_qp(end.qp, &qa, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			    IBV_QP_ACCESS_FLAGS));
	try_rtr(dev, &end, "path_mtu 6", spoil_mtu);
	try_rtr(dev, &end, "a GID index past the table", spoil_gid_index);
	try_rtr(dev, &end, "an address without a GRH", spoil_grh);
	if (dev->attr.orig_attr.max_qp_rd_atom < 255)
		try_rtr(dev, &end, "max_dest_rd_atomic past the limit", spoil_rd_atomic);
	rc_end_destroy(&end);
	rc_close(dev);
}

static void state_query(void)
{
	struct rc_attr attr = { .timeout = 12, .retry_cnt = 5, .rnr_retry = 3,
				.min_rnr_timer = 9, .mtu = IBV_MTU_512,
				.access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ };
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, &attr);
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr qa;

	CHECK_EQ(ibv_query_qp(p->a.qp, &qa, 0x1ffffff, &init), 0);
	CHECK_EQ(qa.qp_state, IBV_QPS_RTS);
	CHECK_EQ(qa.cur_qp_state, IBV_QPS_RTS);
	CHECK_EQ(qa.path_mtu, IBV_MTU_512);
	CHECK_EQ(qa.dest_qp_num, p->b.qp->qp_num);
	CHECK_EQ(qa.rq_psn, p->b.psn);
	CHECK_EQ(qa.sq_psn, p->a.psn);
	CHECK_EQ(qa.timeout, 12);
	CHECK_EQ(qa.retry_cnt, 5);
	CHECK_EQ(qa.rnr_retry, 3);
	CHECK_EQ(qa.min_rnr_timer, 9);
	CHECK_EQ(qa.port_num, 1);
	CHECK_EQ(qa.pkey_index, 0);
	CHECK_EQ(qa.max_rd_atomic, 1);
	CHECK_EQ(qa.max_dest_rd_atomic, 1);
	CHECK_EQ(qa.qp_access_flags & IBV_ACCESS_REMOTE_READ, IBV_ACCESS_REMOTE_READ);
	CHECK_EQ(qa.qp_access_flags & IBV_ACCESS_REMOTE_WRITE, 0);
	CHECK_EQ(qa.ah_attr.is_global, 1);
	CHECK_EQ(qa.ah_attr.port_num, 1);
	CHECK_EQ(qa.ah_attr.grh.sgid_index, dev->gid_index);
	CHECK(!memcmp(&qa.ah_attr.grh.dgid, &dev->gid, sizeof(dev->gid)));
	CHECK(init.cap.max_send_wr >= 64 && init.cap.max_recv_wr >= 64);
	CHECK(init.cap.max_send_sge >= 4 && init.cap.max_recv_sge >= 4);
	CHECK(init.send_cq == p->a.scq && init.recv_cq == p->a.rcq);
	CHECK_EQ(init.qp_type, IBV_QPT_RC);
	rc_pair_destroy(p);
	rc_close(dev);
}

static void send_check(struct rc_pair *p, struct rc_buf *src, struct rc_buf *dst,
		       uint64_t seed)
{
	struct ibv_sge sg = rc_sge(dst, 0, dst->len);

	rc_fill(src->addr, src->len, seed);
	rc_recv(&p->b, seed, &sg, 1);
	rc_op(&p->a, IBV_WR_SEND, rc_sge(src, 0, src->len), NULL, 0);
	rc_wc_ok(p->a.scq);
	CHECK_EQ(rc_wc_ok(p->b.rcq).wr_id, seed);
	rc_verify(dst->addr, dst->len, seed, "send");
}

/* A QP taken through RESET forgets what was posted and works again. */
static void state_reset_reuse(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf src = rc_buf(dev, 3 * PAGE, IBV_ACCESS_LOCAL_WRITE);
	struct rc_buf dst = rc_buf(dev, 3 * PAGE, IBV_ACCESS_LOCAL_WRITE);
	struct ibv_sge sg = rc_sge(&dst, 0, dst.len);
	int i;

	for (i = 0; i < 10; i++) {
		send_check(p, &src, &dst, 100 + i);
		rc_recv(&p->b, 7, &sg, 1);
		rc_recv(&p->b, 8, &sg, 1);
		rc_pair_reset(p);
	}
	send_check(p, &src, &dst, 200);
	rc_wc_none(p->b.rcq);
	rc_buf_free(&src);
	rc_buf_free(&dst);
	rc_pair_destroy(p);
	rc_close(dev);
}

/* In SQD earlier requests complete, and later ones wait for RTS. */
static void state_sqd_holds(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf src = rc_buf(dev, PAGE, IBV_ACCESS_LOCAL_WRITE);
	struct rc_buf dst = rc_buf(dev, PAGE, IBV_ACCESS_LOCAL_WRITE);
	struct ibv_sge sg = rc_sge(&dst, 0, dst.len), back = rc_sge(&src, 0, 64);

	rc_recv(&p->b, 1, &sg, 1);
	rc_recv(&p->a, 2, &back, 1);
	CHECK_EQ(rc_to_state(&p->a, IBV_QPS_SQD), 0);
	rc_fill(src.addr, src.len, 5);
	rc_op(&p->a, IBV_WR_SEND, rc_sge(&src, 0, src.len), NULL, 0);
	/* The other direction runs meanwhile, so the held one had time to run as well. */
	rc_op(&p->b, IBV_WR_SEND, rc_sge(&dst, 0, 0), NULL, 0);
	rc_wc_ok(p->b.scq);
	rc_wc_ok(p->a.rcq);
	rc_wc_none(p->a.scq);
	rc_wc_none(p->b.rcq);
	CHECK_EQ(rc_to_state(&p->a, IBV_QPS_RTS), 0);
	rc_wc_ok(p->a.scq);
	rc_wc_ok(p->b.rcq);
	rc_verify(dst.addr, dst.len, 5, "send after SQD");
	rc_buf_free(&src);
	rc_buf_free(&dst);
	rc_pair_destroy(p);
	rc_close(dev);
}

/* A SEND that waits for a receive delays the SQD event as well. */
static void state_sq_draining(void)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED };
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr qa;

	rc_post(&p->a, &wr);
	CHECK_EQ(rc_to_state(&p->a, IBV_QPS_SQD), 0);
	CHECK_EQ(ibv_query_qp(p->a.qp, &qa, IBV_QP_STATE, &init), 0);
	CHECK_EQ(qa.qp_state, IBV_QPS_SQD);
	CHECK(qa.sq_draining);
	rc_recv(&p->b, 1, NULL, 0);
	rc_wc_ok(p->a.scq);
	CHECK_EQ(ibv_query_qp(p->a.qp, &qa, IBV_QP_STATE, &init), 0);
	CHECK(!qa.sq_draining);
	rc_pair_destroy(p);
	rc_close(dev);
}

static void state_post_refused(void)
{
	static const enum ibv_qp_state no_send[] = { IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR };
	struct rc_dev *dev = rc_open();
	struct rc_buf buf = rc_buf(dev, PAGE, IBV_ACCESS_LOCAL_WRITE);
	struct ibv_sge sg = rc_sge(&buf, 0, 8);
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &sg, .num_sge = 1 };
	struct rc_end end;
	size_t i;

	rc_end_create(dev, NULL, &end, NULL);
	for (i = 0; i < ARRAY_SIZE(no_send); i++) {
		bring_to(dev, &end, no_send[i]);
		CHECK_EQ(rc_try_post(&end, &wr), EINVAL);
		CHECK_EQ(rc_try_recv(&end, 1, &sg, 1), no_send[i] == IBV_QPS_RESET ? EINVAL : 0);
	}
	rc_end_destroy(&end);
	rc_buf_free(&buf);
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "state_legal", state_legal, 0 },
	{ "state_illegal", state_illegal, 0 },
	{ "state_missing_attr", state_missing_attr, 0 },
	{ "state_bad_value", state_bad_value, 0 },
	{ "state_query", state_query, 0 },
	{ "state_reset_reuse", state_reset_reuse, 0 },
	{ "state_sqd_holds", state_sqd_holds, 0 },
	{ "state_sq_draining", state_sq_draining, 0 },
	{ "state_post_refused", state_post_refused, 0 },
};

CASE_TABLE(state_cases, cases);

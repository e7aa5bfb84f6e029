// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Datagrams: delivery, the GRH, and the reasons to drop one. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "datagram.h"
#include "verbs_test.h"

#define TCLASS	0x8c
#define HOPS	64	/* for RoCE the core takes that of the route, not the handle's */

struct stage {
	struct rc_dev *dev;
	struct dgram *a, *b;
	struct ibv_ah *ah;
	long long dropped, qkeys;
};

static struct stage setup(void)
{
	struct stage s = { .dev = rc_open() };

	s.a = dgram_create(s.dev, NULL);
	s.b = dgram_create(s.dev, NULL);
	s.ah = dgram_ah_self(s.a);
	s.dropped = rc_stat(s.dev, "ud_dropped");
	s.qkeys = rc_stat(s.dev, "qkey_violations");
	return s;
}

static void teardown(struct stage *s)
{
	CHECK_EQ(ibv_destroy_ah(s->ah), 0);
	dgram_destroy(s->a);
	dgram_destroy(s->b);
	rc_close(s->dev);
}

/* Check that n were dropped since setup(), none was delivered, and the sender succeeded. */
static void dropped(struct stage *s, int n)
{
	if (rc_is_mirage(s->dev))
		CHECK_EQ(rc_stat(s->dev, "ud_dropped") - s->dropped, n);
	rc_wc_none(s->b->rcq);
	rc_wc_ok(s->a->scq);
}

/* Every length up to the MTU is delivered; one byte more is refused. */
static void lengths(void)
{
	struct stage s = setup();
	uint32_t mtu = 128u << s.dev->port.active_mtu;
	const uint32_t len[] = { 0, 1, 3, 4, 5, 255, 256, 257, mtu - 1, mtu };
	struct ibv_qp_attr qa = { .qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE };
	struct ibv_qp_init_attr init;
	struct ibv_wc wc;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(len); i++) {
		dgram_recv(s.b, i, DGRAM_GRH + len[i]);
		dgram_send(s.a, s.ah, s.b->qp->qp_num, DGRAM_QKEY, len[i], i);
		rc_wc_ok(s.a->scq);
		wc = rc_wc_ok(s.b->rcq);
		CHECK_EQ(wc.wr_id, i);
		dgram_verify(s.b, &wc, len[i], i);
	}
	dgram_recv(s.b, 1, DGRAM_SLOT);
	dgram_send(s.a, s.ah, s.b->qp->qp_num, DGRAM_QKEY, mtu + 1, 1);
	rc_wc_status(s.a->scq, IBV_WC_LOC_LEN_ERR);
	rc_wc_none(s.b->rcq);
	/* Only the send queue is in error, and its owner brings it back. */
	CHECK_EQ(ibv_query_qp(s.a->qp, &qa, IBV_QP_STATE, &init), 0);
	CHECK_EQ(qa.qp_state, IBV_QPS_SQE);
	qa = (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE };
	CHECK_EQ(ibv_modify_qp(s.a->qp, &qa, IBV_QP_STATE | IBV_QP_CUR_STATE), 0);
	dgram_send(s.a, s.ah, s.b->qp->qp_num, DGRAM_QKEY, mtu, 2);
	rc_wc_ok(s.a->scq);
	wc = rc_wc_ok(s.b->rcq);
	dgram_verify(s.b, &wc, mtu, 2);
	teardown(&s);
}

static void wrong_qkey(void)
{
	struct stage s = setup();

	dgram_recv(s.b, 1, DGRAM_SLOT);
	dgram_send(s.a, s.ah, s.b->qp->qp_num, DGRAM_QKEY ^ 1, 100, 1);
	dropped(&s, 1);
	if (rc_is_mirage(s.dev))
		CHECK_EQ(rc_stat(s.dev, "qkey_violations") - s.qkeys, 1);
	/* The receive is still there for the next datagram. */
	dgram_send(s.a, s.ah, s.b->qp->qp_num, DGRAM_QKEY, 100, 2);
	rc_wc_ok(s.a->scq);
	CHECK_EQ(rc_wc_ok(s.b->rcq).wr_id, 1);
	rc_verify(s.b->in.addr + DGRAM_SLOT + DGRAM_GRH, 100, 2, "after a wrong Q_Key");
	teardown(&s);
}

/* A Q_Key with the highest bit set in a work request means that of the queue pair. */
static void privileged_qkey(void)
{
	struct stage s = setup();

	dgram_recv(s.b, 1, DGRAM_SLOT);
	dgram_send(s.a, s.ah, s.b->qp->qp_num, DGRAM_QKEY | 1u << 31, 100, 1);
	rc_wc_ok(s.a->scq);
	CHECK_EQ(rc_wc_ok(s.b->rcq).wr_id, 1);
	dgram_send(s.a, s.ah, s.b->qp->qp_num, 0x80000000, 100, 2);
	dropped(&s, 1);
	CHECK_EQ(ibv_modify_qp(s.b->qp, &(struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET },
			       IBV_QP_STATE), 0);
	dgram_to_rts(s.b, 0x77777777);
	dgram_recv(s.b, 2, DGRAM_SLOT);
	/* a's own is still DGRAM_QKEY: no bit of the request's Q_Key counts */
	dgram_send(s.a, s.ah, s.b->qp->qp_num, 0xf7777777, 100, 3);
	dropped(&s, 2);
	teardown(&s);
}

/* Without a receive, too long for it, or to nobody: the datagram is dropped silently. */
static void no_receive(void)
{
	struct stage s = setup();
	uint32_t qpn = s.b->qp->qp_num;

	dgram_send(s.a, s.ah, qpn, DGRAM_QKEY, 100, 1);
	dropped(&s, 1);
	dgram_recv(s.b, 1, DGRAM_GRH + 99);
	dgram_send(s.a, s.ah, qpn, DGRAM_QKEY, 100, 2);
	dropped(&s, 2);
	/* The receive was not used up by that. */
	dgram_send(s.a, s.ah, qpn, DGRAM_QKEY, 99, 3);
	rc_wc_ok(s.a->scq);
	CHECK_EQ(rc_wc_ok(s.b->rcq).wr_id, 1);
	dgram_recv(s.b, 2, DGRAM_GRH - 1);
	dgram_send(s.a, s.ah, qpn, DGRAM_QKEY, 0, 4);
	dropped(&s, 3);
	dgram_send(s.a, s.ah, 0xfffffe, DGRAM_QKEY, 0, 5);
	dropped(&s, 4);
	CHECK_EQ(ibv_modify_qp(s.b->qp, &(struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET },
			       IBV_QP_STATE), 0);
	dgram_send(s.a, s.ah, qpn, DGRAM_QKEY, 0, 6);
	dropped(&s, 5);
	dgram_to_rts(s.b, DGRAM_QKEY);
	dgram_passes(s.a, s.ah, s.b, 7);
	teardown(&s);
}

/* Only a UD queue pair takes a datagram. */
static void not_for_rc(void)
{
	struct stage s = setup();
	struct rc_pair *p = rc_pair_create(s.dev, NULL);
	struct ibv_sge sg = rc_sge(&s.b->in, 0, DGRAM_SLOT);

	rc_recv(&p->a, 1, &sg, 1);
	dgram_send(s.a, s.ah, p->a.qp->qp_num, DGRAM_QKEY, 100, 1);
	dropped(&s, 1);
	rc_wc_none(p->a.rcq);
	rc_pair_destroy(p);
	teardown(&s);
}

static void pieces(void)
{
	struct stage s = setup();
	struct ibv_sge in[4], out[3];
	struct ibv_recv_wr rwr = { .wr_id = 5, .sg_list = in, .num_sge = 4 }, *bad_recv;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND_WITH_IMM, .imm_data = htonl(0xfeedbeef),
		.send_flags = IBV_SEND_SIGNALED, .sg_list = out, .num_sge = 3,
		.wr.ud = { .ah = s.ah, .remote_qpn = s.b->qp->qp_num,
			   .remote_qkey = DGRAM_QKEY },
	}, *bad;
	static const size_t at[] = { 3, 5000, 9001, 20000 }, len[] = { 7, 40, 501, 300 };
	uint8_t got[900], *p = got;
	struct ibv_wc wc;
	int i;

	for (i = 0; i < 4; i++)
		in[i] = rc_sge(&s.b->in, at[i], len[i]);
	out[0] = rc_sge(&s.a->out, 0, 1);
	out[1] = rc_sge(&s.a->out, 1, 333);
	out[2] = rc_sge(&s.a->out, 334, 400);
	rc_fill(s.a->out.addr, 734, 9);
	CHECK_EQ(ibv_post_recv(s.b->qp, &rwr, &bad_recv), 0);
	CHECK_EQ(ibv_post_send(s.a->qp, &wr, &bad), 0);
	rc_wc_ok(s.a->scq);
	wc = rc_wc_ok(s.b->rcq);
	CHECK_EQ(wc.byte_len, DGRAM_GRH + 734);
	CHECK(wc.wc_flags & IBV_WC_WITH_IMM);
	CHECK_EQ(ntohl(wc.imm_data), 0xfeedbeef);
	for (i = 0; i < 4; p += len[i], i++)
		memcpy(p, s.b->in.addr + at[i], len[i]);
	rc_verify(got + DGRAM_GRH, 734, 9, "a datagram in pieces");
	teardown(&s);
}

/* --- the GRH ---------------------------------------------------------------- */

static int find_ipv6(struct rc_dev *dev, union ibv_gid *gid)
{
	double until = test_now() + 10;
	struct ibv_gid_entry entry;
	int i;

	/* The netdev's own address comes a moment after it was set up. */
	do {
		for (i = 0; i < dev->port.gid_tbl_len && i < 64; i++) {
			if (ibv_query_gid_ex(dev->ctx, 1, i, &entry, 0) ||
			    entry.gid_type != IBV_GID_TYPE_ROCE_V2 ||
			    IN6_IS_ADDR_V4MAPPED((struct in6_addr *)entry.gid.raw))
				continue;
			*gid = entry.gid;
			return i;
		}
		usleep(20000);
	} while (test_now() < until);
	test_fail("no IPv6 GID");
}

/* Send a datagram to ourselves by GID, with these fields; returns its GRH. */
static const uint8_t *grh_of(struct stage *s, const union ibv_gid *gid, int index,
			     uint32_t len)
{
	struct ibv_ah_attr attr = dgram_address(gid, index);
	struct ibv_ah *ah;
	struct ibv_wc wc;

	attr.grh.traffic_class = TCLASS;
	attr.grh.flow_label = 0xabcde;
	ah = dgram_ah(s->dev->pd, &attr);
	dgram_recv(s->b, 0, DGRAM_SLOT);
	dgram_send(s->a, ah, s->b->qp->qp_num, DGRAM_QKEY, len, 1);
	rc_wc_ok(s->a->scq);
	wc = rc_wc_ok(s->b->rcq);
	CHECK(wc.wc_flags & IBV_WC_GRH);
	CHECK_EQ(wc.src_qp, s->a->qp->qp_num);
	if (rc_is_mirage(s->dev))
		/* See enum mirage_wc_sl. */
		CHECK_EQ(wc.sl, IN6_IS_ADDR_V4MAPPED((struct in6_addr *)gid->raw) ? 10 : 9);
	dgram_verify(s->b, &wc, len, 1);
	CHECK_EQ(ibv_destroy_ah(ah), 0);
	return s->b->in.addr;
}

/* UDP, BTH, DETH, payload with its pad, ICRC. */
static uint32_t udp_len(uint32_t len)
{
	return 8 + 12 + 8 + (len + 3) / 4 * 4 + 4;
}

static void grh_ipv4(void)
{
	struct stage s = setup();
	const uint8_t *grh = grh_of(&s, &s.dev->gid, s.dev->gid_index, 101), *ip = grh + 20;
	uint32_t sum = 0;
	int i;

	/* The bytes in front of the IPv4 header are undefined; here they are 0. */
	if (rc_is_mirage(s.dev))
		for (i = 0; i < 20; i++)
			CHECK_EQ(grh[i], 0);
	CHECK_EQ(ip[0], 0x45);
	CHECK_EQ(ip[1], TCLASS);
	CHECK_EQ(ip[2] << 8 | ip[3], 20 + udp_len(101));
	CHECK_EQ(ip[8], HOPS);
	CHECK_EQ(ip[9], IPPROTO_UDP);
	CHECK(!memcmp(ip + 12, s.dev->gid.raw + 12, 4));
	CHECK(!memcmp(ip + 16, s.dev->gid.raw + 12, 4));
	for (i = 0; i < 20; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	CHECK_EQ((sum & 0xffff) + (sum >> 16), 0xffff);
	teardown(&s);
}

static void grh_ipv6(void)
{
	struct stage s = setup();
	union ibv_gid gid;
	int index = find_ipv6(s.dev, &gid);
	const uint8_t *grh = grh_of(&s, &gid, index, 102);

	CHECK_EQ(grh[0], 0x60 | TCLASS >> 4);
	CHECK_EQ((grh[1] << 16 | grh[2] << 8 | grh[3]) & 0xfffff, 0xabcde);
	CHECK_EQ(grh[1] >> 4, TCLASS & 15);
	CHECK_EQ(grh[4] << 8 | grh[5], udp_len(102));
	CHECK_EQ(grh[6], IPPROTO_UDP);
	CHECK_EQ(grh[7], HOPS);
	CHECK(!memcmp(grh + 8, &gid, 16));
	CHECK(!memcmp(grh + 24, &gid, 16));
	teardown(&s);
}

/* --- address handles -------------------------------------------------------- */

static void handle_refused(struct stage *s, struct ibv_ah_attr attr, const char *what)
{
	struct ibv_ah *ah = ibv_create_ah(s->dev->pd, &attr);

	CHECK(!ah, "(%s)", what);
}

static void bad_handles(void)
{
	struct stage s = setup();
	struct ibv_ah_attr good = dgram_address(&s.dev->gid, s.dev->gid_index), bad;

	bad = good;
	bad.is_global = 0;
	handle_refused(&s, bad, "no GRH");
	bad = good;
	bad.port_num = 2;
	handle_refused(&s, bad, "port 2");
	bad = good;
	bad.grh.sgid_index = s.dev->port.gid_tbl_len;
	handle_refused(&s, bad, "a GID index past the table");
	teardown(&s);
}

static void send_fails(struct stage *s, struct ibv_ah *ah)
{
	struct ibv_qp_attr qa = { .qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE };

	dgram_send(s->a, ah, s->b->qp->qp_num, DGRAM_QKEY, 10, 1);
	rc_wc_status(s->a->scq, IBV_WC_LOC_QP_OP_ERR);
	CHECK_EQ(ibv_modify_qp(s->a->qp, &qa, IBV_QP_STATE | IBV_QP_CUR_STATE), 0);
}

/* A handle works only in its protection domain. */
static void foreign_handle(void)
{
	struct stage s = setup();
	struct ibv_ah_attr attr = dgram_address(&s.dev->gid, s.dev->gid_index);
	struct ibv_pd *pd = ibv_alloc_pd(s.dev->ctx);
	struct ibv_ah *ah;

	if (!rc_is_mirage(s.dev))
		test_skip("a promise of mirage's");
	CHECK(pd);
	ah = dgram_ah(pd, &attr);
	send_fails(&s, ah);
	CHECK_EQ(ibv_destroy_ah(ah), 0);
	CHECK_EQ(ibv_dealloc_pd(pd), 0);
	dgram_passes(s.a, s.ah, s.b, 2);
	teardown(&s);
}

/* A number may be reused, and leads where its new handle says. */
static void handles_again(void)
{
	struct stage s = setup();
	struct ibv_ah_attr attr = dgram_address(&s.dev->gid, s.dev->gid_index);
	struct ibv_ah *ah;
	int i;

	for (i = 0; i < 1000; i++) {
		ah = dgram_ah(s.dev->pd, &attr);
		if (i % 100 == 0)
			dgram_passes(s.a, ah, s.b, i / 100);
		CHECK_EQ(ibv_destroy_ah(ah), 0);
	}
	dgram_passes(s.a, s.ah, s.b, 99);
	teardown(&s);
}

/* Operations that need a connection. */
static void other_operations(void)
{
	static const enum ibv_wr_opcode op[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ, IBV_WR_ATOMIC_FETCH_AND_ADD,
	};
	struct stage s = setup();
	struct ibv_sge sg = rc_sge(&s.a->out, 0, 8);
	struct ibv_qp_attr qa = { .qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE };
	struct ibv_send_wr wr = { .send_flags = IBV_SEND_SIGNALED, .sg_list = &sg,
				  .num_sge = 1 }, *bad;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(op); i++) {
		wr.opcode = op[i];
		if (ibv_post_send(s.a->qp, &wr, &bad))
			continue;
		rc_wc_status(s.a->scq, IBV_WC_LOC_QP_OP_ERR);
		CHECK_EQ(ibv_modify_qp(s.a->qp, &qa, IBV_QP_STATE | IBV_QP_CUR_STATE), 0);
	}
	dgram_passes(s.a, s.ah, s.b, 1);
	teardown(&s);
}

/* A datagram that is too long uses up a shared receive. */
static void shared_receives(void)
{
	struct rc_dev *dev = rc_open();
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 4, .max_sge = 1 } };
	struct ibv_srq *srq = ibv_create_srq(dev->pd, &init);
	struct dgram_attr attr = { .srq = srq };
	struct dgram *a, *b, *c;
	struct ibv_recv_wr wr, *bad;
	struct ibv_sge sg;
	struct ibv_ah *ah;
	struct ibv_wc wc;
	int i;

	if (!srq)
		test_skip("no SRQ");
	a = dgram_create(dev, NULL);
	b = dgram_create(dev, &attr);
	c = dgram_create(dev, &attr);
	ah = dgram_ah_self(a);
	for (i = 0; i < 4; i++) {
		sg = rc_sge(&b->in, i * DGRAM_SLOT, DGRAM_SLOT);
		wr = (struct ibv_recv_wr){ .wr_id = i, .sg_list = &sg, .num_sge = 1 };
		memset(b->in.addr + i * DGRAM_SLOT, 0x5a, DGRAM_SLOT);
		CHECK_EQ(ibv_post_srq_recv(srq, &wr, &bad), 0);
	}
	for (i = 0; i < 4; i++) {
		struct dgram *to = i & 1 ? c : b;

		dgram_send(a, ah, to->qp->qp_num, DGRAM_QKEY, 500, i);
		rc_wc_ok(a->scq);
		wc = rc_wc_ok(to->rcq);
		CHECK_EQ(wc.wr_id, i);
		dgram_verify(b, &wc, 500, i);
	}
	dgram_send(a, ah, b->qp->qp_num, DGRAM_QKEY, 500, 9);
	rc_wc_ok(a->scq);
	rc_wc_none(b->rcq);
	CHECK_EQ(ibv_destroy_ah(ah), 0);
	dgram_destroy(a);
	dgram_destroy(b);
	dgram_destroy(c);
	CHECK_EQ(ibv_destroy_srq(srq), 0);
	rc_close(dev);
}

/* More than any packet holds is refused, whatever the netdev's MTU. */
static void too_long(void)
{
	struct rc_dev *dev = rc_open();
	struct dgram *a = dgram_create(dev, NULL), *b = dgram_create(dev, NULL);
	struct rc_buf src = rc_buf(dev, 1 << 18, RC_ACCESS_ALL);
	struct rc_buf dst = rc_buf(dev, 1 << 18, RC_ACCESS_ALL);
	struct ibv_sge out = rc_sge(&src, 0, 200000), in = rc_sge(&dst, 0, 1 << 18);
	struct ibv_recv_wr rwr = { .sg_list = &in, .num_sge = 1 }, *bad_recv;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED,
		.sg_list = &out, .num_sge = 1,
		.wr.ud = { .ah = dgram_ah_self(a), .remote_qpn = b->qp->qp_num,
			   .remote_qkey = DGRAM_QKEY },
	}, *bad;

	CHECK_EQ(ibv_post_recv(b->qp, &rwr, &bad_recv), 0);
	CHECK_EQ(ibv_post_send(a->qp, &wr, &bad), 0);
	rc_wc_status(a->scq, IBV_WC_LOC_LEN_ERR);
	rc_wc_none(b->rcq);
	CHECK_EQ(ibv_destroy_ah(wr.wr.ud.ah), 0);
	rc_buf_free(&src);
	rc_buf_free(&dst);
	dgram_destroy(a);
	dgram_destroy(b);
	rc_close(dev);
}

/* The send queue can be brought back as soon as the failed completion is polled. */
static void back_from_error(void)
{
	struct rc_dev *dev = rc_open();
	struct dgram *a = dgram_create(dev, NULL);
	struct ibv_qp_attr back = { .qp_state = IBV_QPS_RTS, .cur_qp_state = IBV_QPS_SQE };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED,
		.wr.ud = { .ah = dgram_ah_self(a), .remote_qpn = a->qp->qp_num },
	}, *bad;
	struct ibv_sge sge = rc_sge(&a->in, 0, 64);
	int i;

	sge.lkey ^= 0x5a00;
	wr.sg_list = &sge;
	wr.num_sge = 1;
	for (i = 0; i < 100; i++) {
		CHECK_EQ(ibv_post_send(a->qp, &wr, &bad), 0);
		rc_wc_status(a->scq, IBV_WC_LOC_PROT_ERR);
		CHECK_EQ(ibv_modify_qp(a->qp, &back, IBV_QP_STATE | IBV_QP_CUR_STATE), 0);
	}
	CHECK_EQ(ibv_destroy_ah(wr.wr.ud.ah), 0);
	dgram_destroy(a);
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "ud_lengths", lengths, 0 },
	{ "ud_wrong_qkey", wrong_qkey, 0 },
	{ "ud_privileged_qkey", privileged_qkey, 0 },
	{ "ud_no_receive", no_receive, 0 },
	{ "ud_not_for_rc", not_for_rc, 0 },
	{ "ud_pieces", pieces, 0 },
	{ "ud_grh_ipv4", grh_ipv4, 0 },
	{ "ud_grh_ipv6", grh_ipv6, 0 },
	{ "ud_bad_handles", bad_handles, 0 },
	{ "ud_foreign_handle", foreign_handle, 0 },
	{ "ud_handles_again", handles_again, 0 },
	{ "ud_other_operations", other_operations, 0 },
	{ "ud_shared_receives", shared_receives, 0 },
	{ "ud_too_long", too_long, 0 },
	{ "ud_back_from_error", back_from_error, 0 },
};

CASE_TABLE(ud_cases, cases);

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Multicast groups of one device: joining, leaving and delivery. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datagram.h"
#include "verbs_test.h"

#define MCAST_QPN	0xffffffu
#define MEMBERS		4
#define HOPS		7

struct stage {
	struct rc_dev *dev;
	struct dgram *from, *d[MEMBERS];
	union ibv_gid group;
	struct ibv_ah *ah;
};

static union ibv_gid group_of(const char *text)
{
	union ibv_gid gid;

	CHECK_EQ(inet_pton(AF_INET6, text, gid.raw), 1);
	return gid;
}

static struct stage setup(uint32_t create_flags)
{
	struct dgram_attr attr = { .create_flags = create_flags };
	struct stage s = { .dev = rc_open(), .group = group_of("::ffff:239.9.8.7") };
	struct ibv_ah_attr to;
	int i;

	if (!rc_is_mirage(s.dev))
		test_skip("other devices take other addresses for IPv4 groups");
	s.from = dgram_create(s.dev, &attr);
	for (i = 0; i < MEMBERS; i++)
		s.d[i] = dgram_create(s.dev, NULL);
	to = dgram_address(&s.group, s.dev->gid_index);
	to.grh.hop_limit = HOPS;
	s.ah = dgram_ah(s.dev->pd, &to);
	return s;
}

static void teardown(struct stage *s)
{
	int i;

	CHECK_EQ(ibv_destroy_ah(s->ah), 0);
	dgram_destroy(s->from);
	for (i = 0; i < MEMBERS; i++)
		dgram_destroy(s->d[i]);
	rc_close(s->dev);
}

static void attach(struct stage *s, struct dgram *d)
{
	CHECK_EQ(ibv_attach_mcast(d->qp, &s->group, 0), 0);
}

static void detach(struct stage *s, struct dgram *d)
{
	CHECK_EQ(ibv_detach_mcast(d->qp, &s->group, 0), 0);
}

/* Send one datagram to the group: the members whose bits are in @to get it, no others. */
static void to_group(struct stage *s, unsigned int to, uint64_t seed)
{
	const uint8_t *grh;
	struct ibv_wc wc;
	int i;

	for (i = 0; i < MEMBERS; i++)
		dgram_recv(s->d[i], seed, DGRAM_SLOT);
	dgram_send(s->from, s->ah, MCAST_QPN, DGRAM_QKEY, 700, seed);
	rc_wc_ok(s->from->scq);
	for (i = 0; i < MEMBERS; i++) {
		if (!(to >> i & 1)) {
			rc_wc_none(s->d[i]->rcq);
			/* so that the next datagram gets the next receive */
			CHECK_EQ(ibv_modify_qp(s->d[i]->qp, &(struct ibv_qp_attr)
					       { .qp_state = IBV_QPS_RESET }, IBV_QP_STATE), 0);
			dgram_to_rts(s->d[i], DGRAM_QKEY);
			continue;
		}
		wc = rc_wc_ok(s->d[i]->rcq);
		CHECK_EQ(wc.wr_id, seed);
		CHECK(wc.wc_flags & IBV_WC_GRH);
		CHECK_EQ(wc.src_qp, s->from->qp->qp_num);
		dgram_verify(s->d[i], &wc, 700, seed);
		grh = s->d[i]->in.addr + seed % DGRAM_SLOTS * DGRAM_SLOT;
		CHECK(!memcmp(grh + DGRAM_GRH - 4, s->group.raw + 12, 4), "the group");
		CHECK_EQ(grh[DGRAM_GRH - 12], HOPS);
	}
}

/* Each member gets one, in whatever order members join and leave. */
static void delivery(void)
{
	struct stage s = setup(0);
	unsigned int members = 0;
	uint64_t random = 1;
	int i, n;

	to_group(&s, 0, 0);
	for (i = 1; i < 40; i++) {
		n = rc_random(&random) % MEMBERS;
		if (members >> n & 1)
			detach(&s, s.d[n]);
		else
			attach(&s, s.d[n]);
		members ^= 1u << n;
		to_group(&s, members, i);
	}
	for (n = 0; n < MEMBERS; n++)
		if (members >> n & 1)
			detach(&s, s.d[n]);
	to_group(&s, 0, 40);
	teardown(&s);
}

/* A member that cannot take a datagram (Q_Key, no receive, state) costs the others nothing. */
static void some_cannot(void)
{
	struct stage s = setup(0);
	long long keys = rc_stat(s.dev, "qkey_violations");
	struct ibv_wc wc;
	int i;

	for (i = 0; i < MEMBERS; i++) {
		CHECK_EQ(ibv_modify_qp(s.d[i]->qp, &(struct ibv_qp_attr)
				       { .qp_state = IBV_QPS_RESET }, IBV_QP_STATE), 0);
		if (i != 1)
			dgram_to_rts(s.d[i], i ? DGRAM_QKEY : DGRAM_QKEY + 1);
		attach(&s, s.d[i]);
	}
	dgram_recv(s.d[0], 0, DGRAM_SLOT);
	dgram_recv(s.d[3], 3, DGRAM_SLOT);
	dgram_send(s.from, s.ah, MCAST_QPN, DGRAM_QKEY, 50, 3);
	rc_wc_ok(s.from->scq);
	wc = rc_wc_ok(s.d[3]->rcq);
	dgram_verify(s.d[3], &wc, 50, 3);
	for (i = 0; i < 3; i++)
		rc_wc_none(s.d[i]->rcq);
	CHECK_EQ(rc_stat(s.dev, "qkey_violations") - keys, 1);
	for (i = 0; i < MEMBERS; i++)
		detach(&s, s.d[i]);
	teardown(&s);
}

/* A member gets its own datagrams, unless it was created not to. */
static void self(void)
{
	static const uint32_t flags[] = { 0, IBV_QP_CREATE_BLOCK_SELF_MCAST_LB };
	struct stage s;
	struct ibv_wc wc;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		s = setup(flags[i]);
		attach(&s, s.from);
		attach(&s, s.d[0]);
		dgram_recv(s.from, 1, DGRAM_SLOT);
		to_group(&s, 1, i);
		if (i) {
			rc_wc_none(s.from->rcq);
		} else {
			wc = rc_wc_ok(s.from->rcq);
			dgram_verify(s.from, &wc, 700, i);
		}
		detach(&s, s.from);
		detach(&s, s.d[0]);
		teardown(&s);
	}
}

/* Joining twice is joining once; only members leave; only UD QPs and group GIDs are taken. */
static void rules(void)
{
	struct stage s = setup(0);
	union ibv_gid other = group_of("::ffff:239.9.8.6"), v6 = group_of("ff15::1234");
	struct rc_pair *p = rc_pair_create(s.dev, NULL);

	CHECK_EQ(ibv_detach_mcast(s.d[0]->qp, &s.group, 0), EINVAL);
	attach(&s, s.d[0]);
	attach(&s, s.d[0]);
	to_group(&s, 1, 1);
	CHECK_EQ(ibv_detach_mcast(s.d[0]->qp, &other, 0), EINVAL);
	CHECK_EQ(ibv_detach_mcast(s.d[1]->qp, &s.group, 0), EINVAL);
	CHECK_EQ(ibv_attach_mcast(p->a.qp, &s.group, 0), EINVAL);
	CHECK_EQ(ibv_attach_mcast(s.d[0]->qp, &s.dev->gid, 0), EINVAL);
	/* A member of one group does not get the datagrams of another. */
	CHECK_EQ(ibv_attach_mcast(s.d[1]->qp, &other, 0), 0);
	CHECK_EQ(ibv_attach_mcast(s.d[2]->qp, &v6, 0), 0);
	to_group(&s, 1, 2);
	detach(&s, s.d[0]);
	CHECK_EQ(ibv_detach_mcast(s.d[0]->qp, &s.group, 0), EINVAL);
	CHECK_EQ(ibv_detach_mcast(s.d[1]->qp, &other, 0), 0);
	CHECK_EQ(ibv_detach_mcast(s.d[2]->qp, &v6, 0), 0);
	rc_pair_destroy(p);
	teardown(&s);
}

/* Destroying a queue pair, or the end of its process, ends its memberships. */
static void member_destroyed(void)
{
	struct stage s = setup(0);
	struct dgram *gone = dgram_create(s.dev, NULL);
	int ret;

	attach(&s, gone);
	attach(&s, s.d[2]);
	to_group(&s, 1 << 2, 1);
	/* The destroy verb says EBUSY for a member; the end of the process does not ask. */
	ret = ibv_destroy_qp(gone->qp);
	CHECK_EQ(ret, EBUSY);
	to_group(&s, 1 << 2, 2);
	detach(&s, gone);
	dgram_destroy(gone);
	to_group(&s, 1 << 2, 3);
}

static struct ibv_qp *bare_qp(struct rc_dev *dev, struct ibv_cq *cq)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_UD, .send_cq = cq, .recv_cq = cq,
		.cap = { .max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1,
			 .max_recv_sge = 1 },
	};
	struct ibv_qp *qp = ibv_create_qp(dev->pd, &init);

	CHECK(qp, "(%s)", strerror(errno));
	return qp;
}

/* A group takes as many members as the device reports, and no more until one leaves. */
static void member_limit(void)
{
	struct stage s = setup(0);
	int max = s.dev->attr.orig_attr.max_mcast_qp_attach, i;
	struct ibv_qp **qp = calloc(max + 1, sizeof(*qp));

	for (i = 0; i <= max; i++) {
		qp[i] = bare_qp(s.dev, s.from->scq);
		CHECK_EQ(ibv_attach_mcast(qp[i], &s.group, 0), i < max ? 0 : ENOMEM);
	}
	CHECK_EQ(ibv_detach_mcast(qp[7], &s.group, 0), 0);
	attach(&s, s.d[1]);
	to_group(&s, 2, 1);
	detach(&s, s.d[1]);
	for (i = 0; i <= max; i++) {
		if (i != 7 && i != max)
			CHECK_EQ(ibv_detach_mcast(qp[i], &s.group, 0), 0);
		CHECK_EQ(ibv_destroy_qp(qp[i]), 0);
	}
	free(qp);
	teardown(&s);
}

static union ibv_gid numbered(int i)
{
	union ibv_gid gid = group_of("::ffff:239.77.0.0");

	gid.raw[14] = i >> 8;
	gid.raw[15] = i;
	return gid;
}

/* Spread over several QPs, since the core keeps a list of groups for each. */
#define OWNERS	64

static int join_numbered(struct ibv_qp **qp, int i, bool in)
{
	union ibv_gid gid = numbered(i);

	return in ? ibv_attach_mcast(qp[i % OWNERS], &gid, 0) :
		    ibv_detach_mcast(qp[i % OWNERS], &gid, 0);
}

static void group_limit(void)
{
	struct stage s = setup(0);
	int max = s.dev->attr.orig_attr.max_mcast_grp, i;
	union ibv_gid gid = numbered(5);
	struct ibv_qp *qp[OWNERS];

	for (i = 0; i < OWNERS; i++)
		qp[i] = bare_qp(s.dev, s.from->scq);
	for (i = 0; i <= max; i++)
		CHECK_EQ(join_numbered(qp, i, true), i < max ? 0 : ENOMEM);
	/* Another member of an existing group adds no group. */
	CHECK_EQ(ibv_attach_mcast(s.d[1]->qp, &gid, 0), 0);
	CHECK_EQ(ibv_detach_mcast(s.d[1]->qp, &gid, 0), 0);
	CHECK_EQ(join_numbered(qp, 5, false), 0);
	attach(&s, s.d[0]);
	to_group(&s, 1, 1);
	detach(&s, s.d[0]);
	for (i = 0; i < max; i++)
		if (i != 5)
			CHECK_EQ(join_numbered(qp, i, false), 0);
	for (i = 0; i < OWNERS; i++)
		CHECK_EQ(ibv_destroy_qp(qp[i]), 0);
	teardown(&s);
}

static const struct test_case cases[] = {
	{ "mcast_delivery", delivery, 0 },
	{ "mcast_some_cannot", some_cannot, 0 },
	{ "mcast_self", self, 0 },
	{ "mcast_rules", rules, 0 },
	{ "mcast_member_destroyed", member_destroyed, 0 },
	{ "mcast_member_limit", member_limit, 0 },
	{ "mcast_group_limit", group_limit, 120 },
};

CASE_TABLE(mcast_cases, cases);

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * XRC: one initiator, and processes that share its target through a domain
 *
 * Two processes, each with a device context and an SRQ of its own, open the domain of
 * one file. They do what the test case tells them over a socket; the test case sends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verbs_test.h"

#define LEN	9000u
#define RETRY_TIMEOUT	12

enum say {
	SAY_SRQN,		/* -> the number of your SRQ */
	SAY_MAKE_QP,		/* connect a target to arg[0], PSN arg[1] -> its number */
	SAY_OPEN_QP,		/* open the target with the number arg[0] -> errno */
	SAY_DROP_QP,
	SAY_POST,		/* a receive with wr_id arg[0] */
	SAY_EXPECT,		/* a message with wr_id arg[0], seed arg[1] */
	SAY_NOTHING,		/* wait until one has come */
	SAY_CLOSE,		/* the domain, in use -> errno */
	SAY_BYE,
};

struct order {
	enum say say;
	uint64_t arg[2];
};

/* A process at the receiving side. */
struct sharer {
	pid_t pid;
	int fd;
};

struct xrc {
	struct rc_dev *dev;
	struct ibv_xrcd *xrcd;
	struct ibv_cq *cq;
	struct ibv_srq *srq;
	struct ibv_qp *target;
	struct rc_buf buf;
};

static struct ibv_xrcd *open_domain(struct rc_dev *dev, int fd)
{
	struct ibv_xrcd_init_attr init = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = fd, .oflags = O_CREAT,
	};
	struct ibv_xrcd *xrcd = ibv_open_xrcd(dev->ctx, &init);

	CHECK(xrcd, "(%s)", strerror(errno));
	return xrcd;
}

static struct ibv_srq *make_srq(struct rc_dev *dev, struct ibv_xrcd *xrcd,
				struct ibv_cq *cq)
{
	struct ibv_srq_init_attr_ex init = {
		.attr = { .max_wr = 16, .max_sge = 2 }, .srq_type = IBV_SRQT_XRC,
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD |
			     IBV_SRQ_INIT_ATTR_XRCD | IBV_SRQ_INIT_ATTR_CQ,
		.pd = dev->pd, .xrcd = xrcd, .cq = cq,
	};
	struct ibv_srq *srq = ibv_create_srq_ex(dev->ctx, &init);

	CHECK(srq, "(%s)", strerror(errno));
	return srq;
}

static uint32_t srqn_of(struct ibv_srq *srq)
{
	uint32_t n;

	CHECK_EQ(ibv_get_srq_num(srq, &n), 0);
	return n;
}

/* A QP of either kind as an end: the transitions are those of RC. */
static void connect_end(struct rc_dev *dev, struct ibv_qp *qp, uint32_t dest, uint32_t psn,
			bool initiator)
{
	struct rc_end end = { .qp = qp, .psn = psn };
	struct rc_attr attr = { .timeout = RETRY_TIMEOUT, .retry_cnt = 2, .rnr_retry = 7,
				.rd_atomic = 1 };

	CHECK_EQ(rc_to_init(dev, &end, &attr), 0);
	CHECK_EQ(rc_to_rtr(dev, &end, dest, psn, &attr), 0);
	if (initiator)
		CHECK_EQ(rc_to_rts(&end, &attr), 0);
}

/* --- a sharer --------------------------------------------------------------- */

static struct ibv_qp *make_target(struct xrc *x, uint32_t dest, uint32_t psn)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = IBV_QPT_XRC_RECV, .comp_mask = IBV_QP_INIT_ATTR_XRCD,
		.xrcd = x->xrcd,
	};
	struct ibv_qp *qp = ibv_create_qp_ex(x->dev->ctx, &init);

	CHECK(qp, "(%s)", strerror(errno));
	connect_end(x->dev, qp, dest, psn, false);
	return qp;
}

static uint64_t open_target(struct xrc *x, uint32_t qpn)
{
	struct ibv_qp_open_attr attr = {
		.comp_mask = IBV_QP_OPEN_ATTR_NUM | IBV_QP_OPEN_ATTR_XRCD |
			     IBV_QP_OPEN_ATTR_TYPE,
		.qp_num = qpn, .xrcd = x->xrcd, .qp_type = IBV_QPT_XRC_RECV,
	};

	x->target = ibv_open_qp(x->dev->ctx, &attr);
	return x->target ? 0 : errno;
}

static void post(struct xrc *x, uint64_t id)
{
	struct ibv_sge sg = rc_sge(&x->buf, 0, LEN);
	struct ibv_recv_wr wr = { .wr_id = id, .sg_list = &sg, .num_sge = 1 }, *bad;

	memset(x->buf.addr, 0, LEN);
	CHECK_EQ(ibv_post_srq_recv(x->srq, &wr, &bad), 0);
}

static void expect(struct xrc *x, uint64_t id, uint64_t seed)
{
	struct ibv_wc wc = rc_wc_ok(x->cq);

	CHECK_EQ(wc.wr_id, id);
	CHECK_EQ(wc.byte_len, LEN);
	rc_verify(x->buf.addr, LEN, seed, "through an XRC SRQ");
}

static uint64_t obey(struct xrc *x, const struct order *o)
{
	switch (o->say) {
	case SAY_SRQN:
		return srqn_of(x->srq);
	case SAY_MAKE_QP:
		x->target = make_target(x, o->arg[0], o->arg[1]);
		return x->target->qp_num;
	case SAY_OPEN_QP:
		return open_target(x, o->arg[0]);
	case SAY_DROP_QP:
		CHECK_EQ(ibv_destroy_qp(x->target), 0);
		break;
	case SAY_POST:
		post(x, o->arg[0]);
		break;
	case SAY_EXPECT:
		expect(x, o->arg[0], o->arg[1]);
		break;
	case SAY_NOTHING:
		rc_wc_none(x->cq);
		break;
	case SAY_CLOSE:
		return ibv_close_xrcd(x->xrcd);
	case SAY_BYE:
		break;
	}
	return 0;
}

static void serve(int fd, const char *file)
{
	int domain = open(file, O_RDONLY);
	struct xrc x = { .dev = rc_open() };
	struct order o;
	uint64_t ret;

	CHECK(domain >= 0);
	x.xrcd = open_domain(x.dev, domain);
	x.cq = ibv_create_cq(x.dev->ctx, 16, NULL, NULL, 0);
	CHECK(x.cq);
	x.srq = make_srq(x.dev, x.xrcd, x.cq);
	x.buf = rc_buf(x.dev, LEN, RC_ACCESS_ALL);
	do {
		if (read(fd, &o, sizeof(o)) != sizeof(o))
			exit(1);
		ret = obey(&x, &o);
		CHECK_EQ(write(fd, &ret, sizeof(ret)), sizeof(ret));
	} while (o.say != SAY_BYE);
	/* The end of the process cleans up the rest. */
	_exit(0);
}

/* --- the test case ---------------------------------------------------------- */

struct stage {
	char file[32];
	struct sharer b, c;
	struct rc_dev *dev;
	struct rc_end a;
	struct rc_buf src;
};

static struct sharer start(const char *file)
{
	struct sharer s;
	int fd[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	s.pid = fork();
	CHECK(s.pid >= 0);
	if (!s.pid) {
		close(fd[0]);
		serve(fd[1], file);
	}
	close(fd[1]);
	s.fd = fd[0];
	return s;
}

static uint64_t tell(struct sharer *s, enum say say, uint64_t arg0, uint64_t arg1)
{
	struct order o = { .say = say, .arg = { arg0, arg1 } };
	uint64_t ret;

	CHECK_EQ(write(s->fd, &o, sizeof(o)), sizeof(o));
	CHECK(read(s->fd, &ret, sizeof(ret)) == sizeof(ret), "a sharer has failed");
	return ret;
}

static void stop(struct sharer *s)
{
	int status;

	tell(s, SAY_BYE, 0, 0);
	CHECK_EQ(waitpid(s->pid, &status, 0), s->pid);
	CHECK_EQ(status, 0);
	close(s->fd);
}

static struct ibv_qp *make_initiator(struct stage *s)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = IBV_QPT_XRC_SEND, .comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = s->dev->pd, .send_cq = s->a.scq,
		.cap = { .max_send_wr = 16, .max_send_sge = 2 },
	};
	struct ibv_qp *qp = ibv_create_qp_ex(s->dev->ctx, &init);

	CHECK(qp, "(%s)", strerror(errno));
	return qp;
}

/* Fork before the device is opened, so that the children do not inherit it. */
static struct stage setup(void)
{
	struct stage s = { .file = "/tmp/mirage-xrc-XXXXXX" };
	struct rc_dev *dev = rc_open();
	bool xrc = dev->attr.orig_attr.device_cap_flags & IBV_DEVICE_XRC;
	int fd;

	rc_close(dev);
	if (!xrc)
		test_skip("no XRC");
	fd = mkstemp(s.file);
	CHECK(fd >= 0);
	close(fd);
	s.b = start(s.file);
	s.c = start(s.file);
	s.dev = rc_open();
	s.a.scq = ibv_create_cq(s.dev->ctx, 16, NULL, NULL, 0);
	CHECK(s.a.scq);
	s.a.psn = 0xfffffe;
	s.a.qp = make_initiator(&s);
	s.src = rc_buf(s.dev, LEN, RC_ACCESS_ALL);
	return s;
}

/* B makes the target; returns its number. */
static uint32_t join(struct stage *s)
{
	uint32_t qpn = tell(&s->b, SAY_MAKE_QP, s->a.qp->qp_num, s->a.psn);

	connect_end(s->dev, s->a.qp, qpn, s->a.psn, true);
	return qpn;
}

static void teardown(struct stage *s)
{
	CHECK_EQ(ibv_destroy_qp(s->a.qp), 0);
	CHECK_EQ(ibv_destroy_cq(s->a.scq), 0);
	rc_buf_free(&s->src);
	rc_close(s->dev);
	unlink(s->file);
}

static void send_to(struct stage *s, uint32_t srqn, uint64_t seed)
{
	struct ibv_sge sg = rc_sge(&s->src, 0, LEN);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED, .sg_list = &sg,
		.num_sge = 1, .qp_type.xrc.remote_srqn = srqn,
	};

	rc_fill(s->src.addr, LEN, seed);
	rc_post(&s->a, &wr);
}

/* Send to a sharer's SRQ, by its number. */
static void passes(struct stage *s, struct sharer *to, uint64_t seed)
{
	uint32_t srqn = tell(to, SAY_SRQN, 0, 0);

	tell(to, SAY_POST, seed, 0);
	send_to(s, srqn, seed);
	rc_wc_ok(s->a.scq);
	tell(to, SAY_EXPECT, seed, seed);
}

/* One target, two processes with an SRQ each: every message goes to the SRQ that it names. */
static void shared(void)
{
	struct stage s = setup();
	int i;

	join(&s);
	for (i = 0; i < 20; i++) {
		passes(&s, i % 3 ? &s.b : &s.c, i);
		tell(i % 3 ? &s.c : &s.b, SAY_NOTHING, 0, 0);
	}
	/* A domain that is in use is not closed. */
	CHECK_EQ(tell(&s.c, SAY_CLOSE, 0, 0), EBUSY);
	stop(&s.b);
	stop(&s.c);
	teardown(&s);
}

/* The target lives as long as a process has it open, even without the one that made it. */
static void outlives_maker(void)
{
	struct stage s = setup();
	uint32_t qpn = join(&s), srqn;

	passes(&s, &s.c, 1);
	CHECK_EQ(tell(&s.c, SAY_OPEN_QP, qpn, 0), 0);
	tell(&s.b, SAY_DROP_QP, 0, 0);
	passes(&s, &s.c, 2);
	passes(&s, &s.b, 3);
	srqn = tell(&s.b, SAY_SRQN, 0, 0);
	stop(&s.b);
	passes(&s, &s.c, 4);
	/* B's SRQ went with B: a request for it is invalid and puts the target in error. */
	send_to(&s, srqn, 5);
	rc_wc_status(s.a.scq, IBV_WC_REM_INV_REQ_ERR);
	stop(&s.c);
	teardown(&s);
}

/* Nobody has it open any more, so it is gone and its number is free. */
static void last_one_leaves(void)
{
	struct stage s = setup();
	uint32_t qpn = join(&s), srqn = tell(&s.c, SAY_SRQN, 0, 0);

	CHECK_EQ(tell(&s.c, SAY_OPEN_QP, qpn, 0), 0);
	tell(&s.b, SAY_DROP_QP, 0, 0);
	tell(&s.c, SAY_DROP_QP, 0, 0);
	CHECK(tell(&s.b, SAY_OPEN_QP, qpn, 0));
	tell(&s.c, SAY_POST, 1, 0);
	send_to(&s, srqn, 1);
	rc_wc_status(s.a.scq, IBV_WC_RETRY_EXC_ERR);
	tell(&s.c, SAY_NOTHING, 0, 0);
	stop(&s.b);
	stop(&s.c);
	teardown(&s);
}

/* SRQs of another domain or without one, and numbers that no SRQ has. */
static void wrong_srq(void)
{
	struct stage s = setup();
	struct ibv_srq_init_attr plain = { .attr = { .max_wr = 4, .max_sge = 1 } };
	struct ibv_srq *other, *usual = ibv_create_srq(s.dev->pd, &plain);
	struct ibv_xrcd *xrcd = open_domain(s.dev, -1);
	struct rc_attr attr = { .srq = usual };
	struct rc_pair *p;
	uint32_t bad[2];
	size_t i;

	CHECK(usual);
	p = rc_pair_create(s.dev, &attr);
	other = make_srq(s.dev, xrcd, s.a.scq);
	bad[0] = srqn_of(other);
	bad[1] = 0xfffffe;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		join(&s);
		passes(&s, &s.c, i);
		send_to(&s, bad[i], 7);
		rc_wc_status(s.a.scq, IBV_WC_REM_INV_REQ_ERR);
		rc_wc_none(s.a.scq);
		CHECK_EQ(rc_to_state(&s.a, IBV_QPS_RESET), 0);
		tell(&s.b, SAY_DROP_QP, 0, 0);
	}
	CHECK_EQ(ibv_destroy_srq(other), 0);
	CHECK_EQ(ibv_close_xrcd(xrcd), 0);
	rc_pair_destroy(p);
	CHECK_EQ(ibv_destroy_srq(usual), 0);
	stop(&s.b);
	stop(&s.c);
	teardown(&s);
}

/* A target has no queues: nothing can be posted to it, and only its domain can open it. */
static void no_queues(void)
{
	struct rc_dev *dev = rc_open();
	struct xrc x = { .dev = dev }, y = { .dev = dev };
	struct ibv_recv_wr rwr = {}, *bad_recv;
	struct ibv_send_wr wr = {}, *bad;
	struct ibv_qp *target;

	if (!(dev->attr.orig_attr.device_cap_flags & IBV_DEVICE_XRC))
		test_skip("no XRC");
	x.xrcd = open_domain(dev, -1);
	y.xrcd = open_domain(dev, -1);
	target = make_target(&x, 0x1234, 0);
	CHECK(ibv_post_recv(target, &rwr, &bad_recv));
	CHECK(ibv_post_send(target, &wr, &bad));
	CHECK(open_target(&y, target->qp_num));
	CHECK_EQ(open_target(&x, target->qp_num), 0);
	CHECK_EQ(ibv_post_send(x.target, &wr, &bad), EINVAL);
	CHECK(bad == &wr);
	CHECK_EQ(ibv_close_xrcd(x.xrcd), EBUSY);
	CHECK_EQ(ibv_destroy_qp(x.target), 0);
	CHECK_EQ(ibv_destroy_qp(target), 0);
	CHECK_EQ(ibv_close_xrcd(x.xrcd), 0);
	CHECK_EQ(ibv_close_xrcd(y.xrcd), 0);
	rc_close(dev);
}

/* A target that is made with an SRQ still takes from the named ones, and holds no reference. */
static void given_srq(void)
{
	struct rc_dev *dev = rc_open();
	struct ibv_cq *cq = ibv_create_cq(dev->ctx, 16, NULL, NULL, 0);
	struct xrc x = { .dev = dev, .cq = cq, .xrcd = open_domain(dev, -1) };
	struct ibv_srq *other = make_srq(dev, x.xrcd, cq);
	struct ibv_qp_init_attr_ex tgt = {
		.qp_type = IBV_QPT_XRC_RECV, .comp_mask = IBV_QP_INIT_ATTR_XRCD,
		.xrcd = x.xrcd, .srq = other,
	};
	struct ibv_qp_init_attr_ex ini = {
		.qp_type = IBV_QPT_XRC_SEND, .comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = dev->pd, .send_cq = ibv_create_cq(dev->ctx, 16, NULL, NULL, 0),
		.cap = { .max_send_wr = 16, .max_send_sge = 2 },
	};
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED, .num_sge = 1,
	};
	struct rc_end end = { .scq = ini.send_cq };
	struct ibv_sge sge;
	int i;

	x.srq = make_srq(dev, x.xrcd, cq);
	x.buf = rc_buf(dev, LEN, RC_ACCESS_ALL);
	x.target = ibv_create_qp_ex(dev->ctx, &tgt);
	if (!x.target)
		test_skip("refused");
	end.qp = ibv_create_qp_ex(dev->ctx, &ini);
	CHECK(end.qp);
	connect_end(dev, x.target, end.qp->qp_num, 0, false);
	connect_end(dev, end.qp, x.target->qp_num, 0, true);
	wr.qp_type.xrc.remote_srqn = srqn_of(x.srq);
	sge = rc_sge(&x.buf, 0, 100);
	wr.sg_list = &sge;
	for (i = 0; i < 2; i++) {
		struct ibv_srq *srq = x.srq;

		if (!i) {
			x.srq = other;
			post(&x, 0xa);
			x.srq = srq;
		}
		post(&x, 0xb);
		rc_post(&end, &wr);
		rc_wc_ok(end.scq);
		CHECK_EQ(rc_wc_ok(cq).wr_id, 0xb);
		if (!i)
			CHECK_EQ(ibv_destroy_srq(other), 0);
	}
	CHECK_EQ(ibv_destroy_qp(end.qp), 0);
	CHECK_EQ(ibv_destroy_qp(x.target), 0);
	CHECK_EQ(ibv_destroy_srq(x.srq), 0);
	rc_buf_free(&x.buf);
	CHECK_EQ(ibv_close_xrcd(x.xrcd), 0);
	CHECK_EQ(ibv_destroy_cq(ini.send_cq), 0);
	CHECK_EQ(ibv_destroy_cq(cq), 0);
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "xrc_shared", shared, 0 },
	{ "xrc_outlives_maker", outlives_maker, 0 },
	{ "xrc_last_one_leaves", last_one_leaves, 0 },
	{ "xrc_wrong_srq", wrong_srq, 0 },
	{ "xrc_no_queues", no_queues, 0 },
	{ "xrc_given_srq", given_srq, 0 },
};

CASE_TABLE(xrc_cases, cases);

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Queues of kernel users: posting from every context, shared receive queues, completions
 * by every means that the core has, draining, resizing
 */
#include <linux/bottom_half.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>

#include "kverbs.h"

#define ROUNDS		300
#define MSG		1500
#define WAIT		msecs_to_jiffies(20000)
/* The bytes that a softirq may move for one user before it leaves the rest to others. */
#define SOFTIRQ_MAX	SZ_1M
/* At most so many receives become of KV_WR that were asked for. */
#define SRQ_MAX		(2 * KV_WR)

static struct ib_sge sge_of(const struct kv_end *e, u32 off, u32 len)
{
	return (struct ib_sge) {
		.addr = kv_addr(e->buf + off), .length = len, .lkey = e->pd->local_dma_lkey,
	};
}

static int send_msg(struct kv_end *e, struct ib_cqe *cqe, u32 off, u32 len)
{
	struct ib_sge sge = sge_of(e, off, len);
	struct ib_send_wr wr = {
		.opcode = IB_WR_SEND, .sg_list = &sge, .num_sge = 1, .wr_cqe = cqe,
		.send_flags = IB_SEND_SIGNALED,
	};

	return ib_post_send(e->qp, &wr, NULL);
}

/* Two that answer each other, each from its completion handler. */
struct pong {
	struct kv_run *r;
	struct kv_pair p;
	struct ib_cqe sent, got_a, got_b;
	struct completion over;
	enum ib_poll_context ctx;
	int rounds;
	bool wrong, astray;
};

static int pong_recv(struct kv_end *e, struct ib_cqe *cqe)
{
	struct ib_sge sge = sge_of(e, 0, MSG);
	struct ib_recv_wr wr = { .wr_cqe = cqe, .sg_list = &sge, .num_sge = 1 };

	return ib_post_recv(e->qp, &wr, NULL);
}

static void pong_end(struct pong *g, bool wrong)
{
	g->wrong |= wrong;
	complete(&g->over);
}

static void pong_sent(struct ib_cq *cq, struct ib_wc *wc)
{
	struct pong *g = container_of(wc->wr_cqe, struct pong, sent);

	if (wc->status != IB_WC_SUCCESS)
		pong_end(g, true);
}

static void pong_got(struct pong *g, struct kv_end *e, struct ib_wc *wc)
{
	if (g->ctx == IB_POLL_SOFTIRQ && !in_serving_softirq())
		g->astray = true;
	if (wc->status != IB_WC_SUCCESS || wc->byte_len != MSG ||
	    !kv_same(e->buf, MSG, g->rounds)) {
		pong_end(g, true);
		return;
	}
	if (++g->rounds == ROUNDS) {
		pong_end(g, false);
		return;
	}
	kv_fill(e->buf + SZ_32K, MSG, g->rounds);
	if (pong_recv(e, wc->wr_cqe) || send_msg(e, &g->sent, SZ_32K, MSG))
		pong_end(g, true);
}

static void pong_got_a(struct ib_cq *cq, struct ib_wc *wc)
{
	struct pong *g = container_of(wc->wr_cqe, struct pong, got_a);

	pong_got(g, &g->p.a, wc);
}

static void pong_got_b(struct ib_cq *cq, struct ib_wc *wc)
{
	struct pong *g = container_of(wc->wr_cqe, struct pong, got_b);

	pong_got(g, &g->p.b, wc);
}

static void play(struct pong *g)
{
	struct kv_run *r = g->r;
	struct kv_end *a = &g->p.a;

	KV_CHECK(r, !pong_recv(a, &g->got_a) && !pong_recv(&g->p.b, &g->got_b));
	kv_fill(a->buf + SZ_32K, MSG, 0);
	KV_CHECK(r, !send_msg(a, &g->sent, SZ_32K, MSG));
	KV_CHECK(r, wait_for_completion_timeout(&g->over, WAIT));
	KV_CHECK(r, !g->wrong);
	KV_CHECK(r, !g->astray);
	KV_CHECK(r, g->rounds == ROUNDS);
	/* The receive that is left is flushed into this frame. */
	g->rounds = ROUNDS - 1;
	ib_drain_qp(a->qp);
	ib_drain_qp(g->p.b.qp);
}

static void handlers(struct kv_run *r, enum ib_poll_context ctx)
{
	struct pong g = {
		.r = r, .ctx = ctx, .sent.done = pong_sent, .got_a.done = pong_got_a,
		.got_b.done = pong_got_b,
	};

	init_completion(&g.over);
	if (!kv_pair_open(r, &g.p, ctx, false))
		return;
	play(&g);
	kv_pair_close(&g.p);
}

static void handlers_softirq(struct kv_run *r)
{
	handlers(r, IB_POLL_SOFTIRQ);
}

static void handlers_workqueue(struct kv_run *r)
{
	handlers(r, IB_POLL_WORKQUEUE);
	handlers(r, IB_POLL_UNBOUND_WORKQUEUE);
}

/* With IRQs off nothing moves and no handler is called; the queue has its limit. */
static void post_irqs_off(struct kv_run *r)
{
	static struct kv_op ops[KV_WR + 1];
	unsigned long flags;
	struct kv_pair p;
	int i, n = 0;

	if (!kv_pair_open(r, &p, IB_POLL_SOFTIRQ, false))
		return;
	for (i = 0; i < KV_WR; i++)
		KV_CHECK(r, !kv_recv(&p.b, &ops[i], kv_addr(p.b.buf + i * 64), 64));
	KV_CHECK(r, kv_recv(&p.b, &ops[KV_WR], kv_addr(p.b.buf), 64) == -ENOMEM);
	for (i = 0; i < KV_WR; i++)
		kv_op_init(&ops[i]);
	kv_fill(p.a.buf, KV_WR * 64, 5);
	local_irq_save(flags);
	while (n <= KV_WR && !send_msg(&p.a, &ops[n % KV_WR].cqe, n % KV_WR * 64, 64))
		n++;
	KV_CHECK(r, n == KV_WR);
	KV_CHECK(r, !memchr_inv(p.b.buf, 0, KV_BUF));
	local_irq_restore(flags);
	/* Twice each: the send and the receive. */
	for (i = 0; i < 2 * KV_WR; i++)
		if (!KV_CHECK(r, kv_op_wait(&p.a, &ops[i % KV_WR])))
			break;
	KV_CHECK(r, kv_same(p.b.buf, KV_WR * 64, 5));
	ib_drain_qp(p.a.qp);
	ib_drain_qp(p.b.qp);
	kv_pair_close(&p);
}

/* Long writes, posted where they are executed in a softirq. */
struct burst {
	struct ib_cqe cqe;
	struct completion over;
	atomic_t in_softirq, ended, failed;
};

static void burst_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct burst *b = container_of(wc->wr_cqe, struct burst, cqe);

	if (wc->status != IB_WC_SUCCESS)
		atomic_inc(&b->failed);
	if (atomic_inc_return(&b->ended) == KV_WR)
		complete(&b->over);
}

/* Of a CQ that nobody polls: where each completion was posted. */
static void burst_event(struct ib_cq *cq, void *context)
{
	struct burst *b = context;

	if (in_serving_softirq())
		atomic_inc(&b->in_softirq);
	ib_req_notify_cq(cq, IB_CQ_NEXT_COMP);
}

static void burst_post(struct kv_run *r, struct kv_pair *p, struct burst *b)
{
	struct ib_sge sge = sge_of(&p->a, 0, KV_BUF);
	static struct ib_rdma_wr wr[KV_WR];
	int i;

	for (i = 0; i < KV_WR; i++)
		wr[i] = (struct ib_rdma_wr) {
			.wr.opcode = IB_WR_RDMA_WRITE, .wr.sg_list = &sge, .wr.num_sge = 1,
			.wr.wr_cqe = &b->cqe, .wr.send_flags = IB_SEND_SIGNALED,
			.wr.next = i + 1 < KV_WR ? &wr[i + 1].wr : NULL,
			.remote_addr = kv_addr(p->b.buf), .rkey = p->b.pd->unsafe_global_rkey,
		};
	local_bh_disable();
	KV_CHECK(r, !ib_post_send(p->a.qp, &wr[0].wr, NULL));
	KV_CHECK(r, !atomic_read(&b->in_softirq));
	local_bh_enable();
}

/* Its work is shared out: the softirq has its part, a worker goes on with the rest. */
static void softirq_budget(struct kv_run *r)
{
	struct burst b = { .cqe.done = burst_done };
	unsigned long end = jiffies + WAIT;
	struct kv_pair p;

	init_completion(&b.over);
	if (!kv_pair_open(r, &p, IB_POLL_DIRECT, false))
		return;
	p.a.cq->comp_handler = burst_event;
	p.a.cq->cq_context = &b;
	ib_req_notify_cq(p.a.cq, IB_CQ_NEXT_COMP);
	kv_fill(p.a.buf, KV_BUF, 77);
	burst_post(r, &p, &b);
	while (!try_wait_for_completion(&b.over) && time_before(jiffies, end)) {
		ib_process_cq_direct(p.a.cq, -1);
		usleep_range(20, 100);
	}
	KV_CHECK(r, atomic_read(&b.ended) == KV_WR && !atomic_read(&b.failed));
	KV_CHECK(r, kv_same(p.b.buf, KV_BUF, 77));
	if (r->dev[0] == r->dev[1]) {
		KV_CHECK(r, atomic_read(&b.in_softirq));
		KV_CHECK(r, atomic_read(&b.in_softirq) <= SOFTIRQ_MAX / KV_BUF);
	}
	ib_drain_qp(p.a.qp);
	kv_pair_close(&p);
}

static void srq_event(struct ib_event *event, void *context)
{
	if (event->event == IB_EVENT_SRQ_LIMIT_REACHED)
		complete(context);
}

/* Receives that the sender has to wait for come from the queue that all share. */
static void srq_use(struct kv_run *r)
{
	static struct kv_op recv[SRQ_MAX + 1], sent[4];
	struct completion limit;
	struct ib_srq_attr attr;
	struct kv_pair p;
	int i, n = 0;

	if (!kv_pair_open(r, &p, IB_POLL_DIRECT, true))
		return;
	init_completion(&limit);
	p.b.srq->event_handler = srq_event;
	p.b.srq->srq_context = &limit;
	kv_fill(p.a.buf, 4 * MSG, 3);
	for (i = 0; i < 4; i++) {
		kv_op_init(&sent[i]);
		KV_CHECK(r, !send_msg(&p.a, &sent[i].cqe, i * MSG, MSG));
	}
	for (i = 0; i < 4; i++)
		KV_CHECK(r, !kv_recv(&p.b, &recv[i], kv_addr(p.b.buf + i * MSG), MSG));
	for (i = 0; i < 4; i++) {
		KV_CHECK(r, kv_op_wait(&p.a, &sent[i]) && sent[i].wc.status == IB_WC_SUCCESS);
		KV_CHECK(r, kv_op_wait(&p.b, &recv[i]) && recv[i].wc.byte_len == MSG);
	}
	KV_CHECK(r, kv_same(p.b.buf, 4 * MSG, 3));

	KV_CHECK(r, !ib_query_srq(p.b.srq, &attr) && attr.max_wr <= SRQ_MAX);
	while (n <= SRQ_MAX && !kv_recv(&p.b, &recv[n], kv_addr(p.b.buf), MSG))
		n++;
	KV_CHECK(r, n == attr.max_wr);
	attr.srq_limit = n - 1;
	KV_CHECK(r, !ib_modify_srq(p.b.srq, &attr, IB_SRQ_LIMIT));
	KV_CHECK(r, !try_wait_for_completion(&limit));
	for (i = 0; i < 2; i++) {
		kv_op_init(&sent[i]);
		KV_CHECK(r, !send_msg(&p.a, &sent[i].cqe, 0, MSG));
		KV_CHECK(r, kv_op_wait(&p.a, &sent[i]) && kv_op_wait(&p.b, &recv[i]));
	}
	KV_CHECK(r, wait_for_completion_timeout(&limit, WAIT));
	ib_drain_qp(p.a.qp);
	ib_drain_qp(p.b.qp);
	kv_pair_close(&p);
}

static int recv_list(struct kv_end *e, const struct ib_recv_wr *wr,
		     const struct ib_recv_wr **bad)
{
	return e->srq ? ib_post_srq_recv(e->srq, wr, bad) : ib_post_recv(e->qp, wr, bad);
}

/* Two receives, and two of which the second has too many SGEs. */
static void bad_recv(struct kv_run *r, struct kv_end *e, struct kv_op *op)
{
	struct ib_sge sge[2] = { sge_of(e, 0, MSG), sge_of(e, MSG, MSG) };
	const struct ib_recv_wr mark = { }, *bad = &mark;
	struct ib_recv_wr wr[2] = {
		{ .next = &wr[1], .wr_cqe = &op[0].cqe, .sg_list = &sge[0], .num_sge = 1 },
		{ .wr_cqe = &op[1].cqe, .sg_list = &sge[1], .num_sge = 1 },
	};

	KV_CHECK(r, !recv_list(e, wr, &bad));
	KV_CHECK(r, bad == &mark);
	sge[0] = sge_of(e, 2 * MSG, MSG);
	wr[0].wr_cqe = &op[2].cqe;
	wr[1].num_sge = KV_WR;
	KV_CHECK(r, recv_list(e, wr, &bad) == -EINVAL);
	KV_CHECK(r, bad == &wr[1]);
}

static void bad_send(struct kv_run *r, struct kv_end *e, struct kv_op *op)
{
	struct ib_sge sge[2] = { sge_of(e, SZ_32K, MSG), sge_of(e, SZ_32K + MSG, MSG) };
	const struct ib_send_wr mark = { }, *bad = &mark;
	struct ib_send_wr wr[2] = {
		{ .next = &wr[1], .wr_cqe = &op[0].cqe, .sg_list = &sge[0], .num_sge = 1,
		  .opcode = IB_WR_SEND, .send_flags = IB_SEND_SIGNALED },
		{ .wr_cqe = &op[1].cqe, .sg_list = &sge[1], .num_sge = 1,
		  .opcode = IB_WR_SEND, .send_flags = IB_SEND_SIGNALED },
	};

	KV_CHECK(r, !ib_post_send(e->qp, wr, &bad));
	KV_CHECK(r, bad == &mark);
	sge[0] = sge_of(e, SZ_32K + 2 * MSG, MSG);
	wr[0].wr_cqe = &op[2].cqe;
	wr[1].num_sge = KV_WR;
	KV_CHECK(r, ib_post_send(e->qp, wr, &bad) == -EINVAL);
	KV_CHECK(r, bad == &wr[1]);
}

/* What stands before the one that was refused has been posted. */
static void bad_wr_one_way(struct kv_run *r, struct kv_end *from, struct kv_end *to, u32 seed)
{
	static struct kv_op sent[3], recv[3];
	int i;

	for (i = 0; i < 3; i++) {
		kv_op_init(&sent[i]);
		kv_op_init(&recv[i]);
	}
	kv_fill(from->buf + SZ_32K, 3 * MSG, seed);
	bad_recv(r, to, recv);
	bad_send(r, from, sent);
	for (i = 0; i < 3; i++) {
		if (!KV_CHECK(r, kv_op_wait(from, &sent[i]) && kv_op_wait(to, &recv[i])))
			return;
		KV_CHECK(r, sent[i].wc.status == IB_WC_SUCCESS);
		KV_CHECK(r, recv[i].wc.status == IB_WC_SUCCESS && recv[i].wc.byte_len == MSG);
	}
	KV_CHECK(r, kv_same(to->buf, 3 * MSG, seed));
}

static void bad_wr_in_reset(struct kv_run *r, struct kv_end *e)
{
	const struct ib_send_wr send = { .opcode = IB_WR_SEND }, *bad_send = NULL;
	const struct ib_recv_wr recv = { }, *bad_recv = NULL;
	struct ib_qp_attr attr = { .qp_state = IB_QPS_RESET };

	KV_CHECK(r, !ib_modify_qp(e->qp, &attr, IB_QP_STATE));
	KV_CHECK(r, ib_post_send(e->qp, &send, &bad_send) == -EINVAL && bad_send == &send);
	KV_CHECK(r, ib_post_recv(e->qp, &recv, &bad_recv) == -EINVAL && bad_recv == &recv);
}

/* The verbs say which work request they refused, and touch nothing when they refuse none. */
static void bad_wr(struct kv_run *r)
{
	struct kv_pair p;

	if (!kv_pair_open(r, &p, IB_POLL_DIRECT, true))
		return;
	bad_wr_one_way(r, &p.a, &p.b, 11);
	bad_wr_one_way(r, &p.b, &p.a, 12);
	ib_drain_qp(p.a.qp);
	ib_drain_qp(p.b.qp);
	bad_wr_in_reset(r, &p.a);
	kv_pair_close(&p);
}

static bool flushed(const struct kv_op *op)
{
	return op->wc.status == IB_WC_WR_FLUSH_ERR;
}

/* When it returns every work request has ended. */
static void drain(struct kv_run *r, enum ib_poll_context ctx)
{
	static struct kv_op recv[KV_WR / 2], sent[KV_WR / 2];
	struct kv_pair p;
	int i;

	if (!kv_pair_open(r, &p, ctx, false))
		return;
	for (i = 0; i < KV_WR / 2; i++)
		KV_CHECK(r, !kv_recv(&p.b, &recv[i], kv_addr(p.b.buf), MSG));
	/* Nobody has room for these. */
	for (i = 0; i < KV_WR / 2; i++) {
		kv_op_init(&sent[i]);
		KV_CHECK(r, !send_msg(&p.b, &sent[i].cqe, 0, MSG));
	}
	ib_drain_qp(p.b.qp);
	for (i = 0; i < KV_WR / 2; i++) {
		KV_CHECK(r, try_wait_for_completion(&recv[i].done) && flushed(&recv[i]));
		KV_CHECK(r, try_wait_for_completion(&sent[i].done) && flushed(&sent[i]));
	}
	KV_CHECK(r, !kv_recv(&p.b, &recv[0], kv_addr(p.b.buf), MSG));
	KV_CHECK(r, kv_op_wait(&p.b, &recv[0]) && flushed(&recv[0]));
	kv_pair_close(&p);
}

static void drain_qp(struct kv_run *r)
{
	drain(r, IB_POLL_DIRECT);
	drain(r, IB_POLL_WORKQUEUE);
	drain(r, IB_POLL_SOFTIRQ);
}

/* The newest core resizes the CQs of processes only. */
static void cq_resize(struct kv_run *r)
{
#ifndef HAVE_RESIZE_USER_CQ
	static struct kv_op ops[KV_WR];
	struct kv_pair p;
	int i;

	if (!kv_pair_open(r, &p, IB_POLL_DIRECT, false))
		return;
	for (i = 0; i < KV_WR; i++)
		KV_CHECK(r, !kv_recv(&p.a, &ops[i], kv_addr(p.a.buf), MSG));
	/* All of them are flushed into the CQ, and stay there. */
	ib_modify_qp(p.a.qp, &(struct ib_qp_attr) { .qp_state = IB_QPS_ERR }, IB_QP_STATE);
	KV_CHECK(r, ib_resize_cq(p.a.cq, KV_WR / 2) == -EINVAL);
	KV_CHECK(r, !ib_resize_cq(p.a.cq, 8 * KV_WR));
	KV_CHECK(r, p.a.cq->cqe >= 8 * KV_WR);
	KV_CHECK(r, !ib_resize_cq(p.a.cq, KV_WR));
	for (i = 0; i < KV_WR; i++)
		KV_CHECK(r, kv_op_wait(&p.a, &ops[i]) && flushed(&ops[i]));
	kv_pair_close(&p);
#endif
}

const struct kv_case kv_queue_cases[] = {
	{ "handlers_softirq", handlers_softirq },
	{ "handlers_workqueue", handlers_workqueue },
	{ "post_irqs_off", post_irqs_off },
	{ "softirq_budget", softirq_budget },
	{ "srq", srq_use },
	{ "bad_wr", bad_wr },
	{ "drain_qp", drain_qp },
	{ "cq_resize", cq_resize },
	{ }
};

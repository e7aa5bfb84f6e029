// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench_ud - cost of one datagram when LIST of them share a doorbell
 *
 * As bench_bw's SEND, between two UD QPs. The time runs from the doorbell to the poll
 * of the last completion of either side.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define QKEY		0x11111111
#define GRH		40
#define DEFAULT_SIZE	64
#define DOORBELLS	8

struct work {
	struct bench_list list;
	struct bench_recvs recvs;
	size_t size, slot;
	unsigned char *src, *dst;
};

static void end_open(struct bench *b, struct bench_end *e)
{
	struct ibv_qp_init_attr init = {
		.cap = {
			.max_send_wr = 2 * LIST, .max_recv_wr = 2 * LIST,
			.max_send_sge = 1, .max_recv_sge = 1,
		},
		.qp_type = IBV_QPT_UD,
	};
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qkey = QKEY,
	};

	e->channel = NULL;
	e->send_cq = ibv_create_cq(b->ctx, 2 * LIST, NULL, NULL, 0);
	e->recv_cq = ibv_create_cq(b->ctx, 2 * LIST, NULL, NULL, 0);
	init.send_cq = e->send_cq;
	init.recv_cq = e->recv_cq;
	e->qp = e->send_cq && e->recv_cq ? ibv_create_qp(b->pd, &init) : NULL;
	if (!e->qp)
		die("%s: UD QP: %m", b->device);
	if (ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
					IBV_QP_QKEY))
		die("%s: UD QP to INIT: %m", b->device);
	attr.qp_state = IBV_QPS_RTR;
	if (ibv_modify_qp(e->qp, &attr, IBV_QP_STATE))
		die("%s: UD QP to RTR: %m", b->device);
	attr.qp_state = IBV_QPS_RTS;
	if (ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN))
		die("%s: UD QP to RTS: %m", b->device);
}

static struct ibv_ah *create_ah(struct bench *b)
{
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = 1,
		.grh = {
			.dgid = bench_far(b)->gid,
			.sgid_index = b->gid_index,
			.hop_limit = 64,
		},
	};
	struct ibv_ah *ah = ibv_create_ah(b->pd, &attr);

	if (!ah)
		die("%s: AH: %m", b->device);
	return ah;
}

static void run_doorbell(struct bench_pair *pair, struct work *w)
{
	bench_recvs_post(&pair->far, &w->recvs);
	bench_list_post(&pair->near, &w->list);
	bench_poll(pair->near.send_cq, 1);
	bench_poll(pair->far.recv_cq, LIST);
}

static bool arrived(const struct work *w)
{
	bool ok = true;

	for (unsigned int i = 0; i < LIST; i++)
		ok &= !memcmp(w->dst + i * w->slot + GRH, w->src + i * w->size, w->size);
	return ok;
}

static void measure(struct bench *b, struct bench_pair *pair, struct work *w)
{
	double ns[b->samples];
	bool ok = true;

	run_doorbell(pair, w);
	for (unsigned int s = 0; s < b->samples; s++) {
		uint64_t start;

		memset(w->dst, 0, LIST * w->slot);
		start = now_ns();
		for (unsigned int i = 0; i < DOORBELLS; i++)
			run_doorbell(pair, w);
		ns[s] = (double)(now_ns() - start) / (DOORBELLS * LIST);
		ok &= arrived(w);
	}
	bench_result(b, "bw_ud", w->size, median(ns, b->samples), "ns", ok);
}

int main(int argc, char **argv)
{
	struct ibv_mr *src_mr, *dst_mr;
	struct bench_pair pair;
	static struct work w;
	struct bench_op op;
	struct ibv_ah *ah;
	struct bench b;

	bench_options(&b, argc, argv);
	bench_open(&b);
	if (!bench_mode_supported(&b))
		return 2;
	w.size = b.only_size ? b.only_size : DEFAULT_SIZE;
	w.slot = w.size + GRH;
	w.src = bench_map(LIST * w.slot);
	w.dst = bench_map(LIST * w.slot);
	pattern_fill(w.src, LIST * w.size, 3);
	src_mr = bench_reg(&b, w.src, LIST * w.slot);
	dst_mr = bench_reg(bench_far(&b), w.dst, LIST * w.slot);
	end_open(&b, &pair.near);
	end_open(bench_far(&b), &pair.far);
	ah = create_ah(&b);

	op = (struct bench_op) {
		.opcode = IBV_WR_SEND, .size = w.size, .local = w.src, .lkey = src_mr->lkey,
	};
	bench_list_make(&w.list, &op, NULL, LIST);
	for (unsigned int i = 0; i < LIST; i++) {
		w.list.wr[i].wr.ud.ah = ah;
		w.list.wr[i].wr.ud.remote_qpn = pair.far.qp->qp_num;
		w.list.wr[i].wr.ud.remote_qkey = QKEY;
	}
	bench_recvs_make(&w.recvs, w.dst, dst_mr->lkey, w.slot, LIST);
	measure(&b, &pair, &w);

	ibv_destroy_ah(ah);
	bench_end_close(&pair.near);
	bench_end_close(&pair.far);
	bench_dereg(&b, src_mr);
	bench_dereg(bench_far(&b), dst_mr);
	bench_close(&b);
	return bench_status(&b);
}

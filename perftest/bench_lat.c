// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench_lat - from post to completion, one message at a time
 *
 * One process, two connected QPs (see bench_bw.c). A SEND is complete when both
 * the send and the receive completion are polled. Each sample times BATCH
 * messages, so that reading the clock is no part of the figure.
 */
#include <stdio.h>

#include "bench.h"

#define BATCH		64
#define DEFAULT_SIZE	8

struct work {
	struct bench_list list;
	struct bench_recvs recvs;
	size_t last;			/* index of the last word of a message */
	volatile uint64_t *src, *dst;
	bool send;
};

/* False when the last word that arrived is not the one that was sent. */
static bool run_one(struct bench_pair *pair, struct work *w, uint64_t value)
{
	w->src[w->last] = value;
	if (w->send)
		bench_recvs_post(&pair->far, &w->recvs);
	bench_list_post(&pair->near, &w->list);
	bench_poll(pair->near.send_cq, 1);
	if (w->send)
		bench_poll(pair->far.recv_cq, 1);
	return w->dst[w->last] == value;
}

static void measure(struct bench *b, struct bench_pair *pair, struct work *w, const char *name,
		    size_t size)
{
	unsigned int n = b->samples < 5 ? 5 : b->samples;
	uint64_t start, value = 1;
	double ns[n];
	bool ok;

	ok = run_one(pair, w, value++);
	for (unsigned int s = 0; s < n; s++) {
		start = now_ns();
		for (unsigned int i = 0; i < BATCH; i++)
			ok &= run_one(pair, w, value++);
		ns[s] = (double)(now_ns() - start) / BATCH;
	}
	bench_result(b, name, size, median(ns, n), "ns", ok);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *op, *name;
		enum ibv_wr_opcode opcode;
	} operations[] = {
		{ "write",	"lat_write",	IBV_WR_RDMA_WRITE },
		{ "send",	"lat_send",	IBV_WR_SEND },
		{ "read",	"lat_read",	IBV_WR_RDMA_READ },
	};
	struct ibv_mr *src_mr, *dst_mr, *far_src, *far_dst;
	struct bench_pair pair;
	static struct work w;
	struct bench_op op;
	struct bench b;
	size_t room;

	bench_options(&b, argc, argv);
	op.size = b.only_size ? b.only_size : DEFAULT_SIZE;
	if (op.size % sizeof(*w.src))
		die("size %zu is not a multiple of 8", op.size);
	w.last = op.size / sizeof(*w.src) - 1;
	room = (op.size + PAGE - 1) & ~(PAGE - 1);
	bench_open(&b);
	if (!bench_mode_supported(&b))
		return 2;
	bench_pair_open(&b, &pair);
	w.src = bench_map(room);
	w.dst = bench_map(room);
	src_mr = bench_reg(&b, (void *)w.src, room);
	dst_mr = bench_reg(&b, (void *)w.dst, room);
	far_src = b.peer ? bench_reg(b.peer, (void *)w.src, room) : src_mr;
	far_dst = b.peer ? bench_reg(b.peer, (void *)w.dst, room) : dst_mr;
	bench_recvs_make(&w.recvs, (void *)w.dst, far_dst->lkey, op.size, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(operations); i++) {
		bool read = operations[i].opcode == IBV_WR_RDMA_READ;

		if (!bench_wanted(&b, operations[i].op, 0))
			continue;
		w.send = operations[i].opcode == IBV_WR_SEND;
		op.opcode = operations[i].opcode;
		op.local = (void *)(read ? w.dst : w.src);
		op.lkey = read ? dst_mr->lkey : src_mr->lkey;
		op.remote = (void *)(read ? w.src : w.dst);
		op.rkey = read ? far_src->rkey : far_dst->rkey;
		bench_list_make(&w.list, &op, NULL, 1);
		measure(&b, &pair, &w, operations[i].name, op.size);
	}
	if (b.peer) {
		bench_dereg(b.peer, far_src);
		bench_dereg(b.peer, far_dst);
	}
	bench_dereg(&b, src_mr);
	bench_dereg(&b, dst_mr);
	bench_pair_close(&pair);
	bench_close(&b);
	return bench_status(&b);
}

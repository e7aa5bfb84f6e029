// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench_bw - cost of one message when LIST of them share a doorbell
 *
 * One process, two connected QPs: nobody else competes for the CPU, so the figure
 * means the same under --icount, where there is one. The time runs from the
 * doorbell to the poll of the last completion (of the receives also, for SEND).
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

static const struct {
	const char *name;
	enum ibv_wr_opcode opcode;
} operations[] = {
	{ "write",	IBV_WR_RDMA_WRITE },
	{ "read",	IBV_WR_RDMA_READ },
	{ "send",	IBV_WR_SEND },
};

static const struct {
	size_t size;
	unsigned int doorbells;		/* of one sample */
} sizes[] = {
	{ 64,		8 },
	{ 4 * KIB,	4 },
	{ 64 * KIB,	1 },
	{ 1 * MIB,	1 },
};

struct work {
	struct bench_op op;
	struct bench_list list;
	struct bench_recvs recvs;
	size_t total;			/* bytes of one doorbell */
	void *src, *dst;
};

static void run_doorbell(struct bench_pair *pair, struct work *w)
{
	bool send = w->op.opcode == IBV_WR_SEND;

	if (send)
		bench_recvs_post(&pair->far, &w->recvs);
	bench_list_post(&pair->near, &w->list);
	bench_poll(pair->near.send_cq, 1);
	if (send)
		bench_poll(pair->far.recv_cq, LIST);
}

/* A buffer's regions: one when both ends are of one device. */
struct keys {
	struct ibv_mr *near, *far;
};

static struct keys reg(struct bench *b, void *p, size_t size)
{
	struct keys k = { .near = bench_reg(b, p, size) };

	k.far = b->peer ? bench_reg(b->peer, p, size) : k.near;
	return k;
}

static void dereg(struct bench *b, struct keys k)
{
	if (b->peer)
		bench_dereg(b->peer, k.far);
	bench_dereg(b, k.near);
}

static void set_up(struct work *w, enum ibv_wr_opcode opcode, size_t size,
		   const struct keys *src, const struct keys *dst)
{
	bool read = opcode == IBV_WR_RDMA_READ;

	w->total = size * LIST;
	w->op.opcode = opcode;
	w->op.size = size;
	w->op.local = read ? w->dst : w->src;
	w->op.lkey = (read ? dst : src)->near->lkey;
	w->op.remote = read ? w->src : w->dst;
	w->op.rkey = (read ? src : dst)->far->rkey;
	bench_list_make(&w->list, &w->op, NULL, LIST);
	bench_recvs_make(&w->recvs, w->dst, dst->far->lkey, size, LIST);
}

static double sample(struct bench_pair *pair, struct work *w, unsigned int doorbells)
{
	uint64_t start = now_ns();

	for (unsigned int i = 0; i < doorbells; i++)
		run_doorbell(pair, w);
	return (double)(now_ns() - start) / (doorbells * LIST);
}

static void measure(struct bench *b, struct bench_pair *pair, struct work *w, const char *name,
		    unsigned int doorbells)
{
	double ns[b->samples], middle;
	char label[32];
	bool ok = true;

	run_doorbell(pair, w);
	for (unsigned int i = 0; i < b->samples; i++) {
		pattern_invert(w->dst, w->src, w->total);
		ns[i] = sample(pair, w, doorbells);
		ok &= !memcmp(w->dst, w->src, w->total);
	}
	middle = median(ns, b->samples);
	snprintf(label, sizeof(label), "bw_%s", name);
	bench_result(b, label, w->op.size, middle, "ns", ok);
	snprintf(label, sizeof(label), "rate_%s", name);
	bench_result(b, label, w->op.size, w->op.size / middle * 1e9 / MIB, "MiB/s", ok);
}

int main(int argc, char **argv)
{
	const size_t room = MIB * LIST;
	struct keys src_keys, dst_keys;
	static struct work w;
	struct bench_pair pair;
	struct bench b;

	bench_options(&b, argc, argv);
	bench_open(&b);
	if (!bench_mode_supported(&b))
		return 2;
	bench_pair_open(&b, &pair);
	w.src = bench_map(room);
	w.dst = bench_map(room);
	src_keys = reg(&b, w.src, room);
	dst_keys = reg(&b, w.dst, room);
	pattern_fill(w.src, room, 1);
	for (unsigned int o = 0; o < ARRAY_SIZE(operations); o++) {
		for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
			if (!bench_wanted(&b, operations[o].name, sizes[s].size))
				continue;
			set_up(&w, operations[o].opcode, sizes[s].size, &src_keys, &dst_keys);
			measure(&b, &pair, &w, operations[o].name, sizes[s].doorbells);
		}
	}
	dereg(&b, src_keys);
	dereg(&b, dst_keys);
	bench_pair_close(&pair);
	bench_close(&b);
	return bench_status(&b);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "transfer.h"

struct op {
	enum ibv_wr_opcode opcode;
	size_t source_off[MAX_PIECES], target_off[MAX_PIECES];
	size_t source_len[MAX_PIECES], target_len[MAX_PIECES];
	int source_pieces, target_pieces;
	size_t len;
	uint64_t compare_add, swap;
};

static size_t below(struct transfer *t, size_t n)
{
	return n ? rc_random(&t->random) % n : 0;
}

/* Sizes at and next to the limits of packets, pages and huge pages. */
static size_t random_len(struct transfer *t)
{
	static const size_t edges[] = {
		0, 1, 8, 256, 512, 1024, 2048, 4096, 8192, 65536, 1 << 20, 2 << 20,
	};
	size_t len;

	switch (below(t, 8)) {
	case 0 ... 2:
		len = edges[below(t, ARRAY_SIZE(edges))] + below(t, 5);
		len = len > 2 ? len - 2 : len;
		break;
	case 3 ... 5:
		len = below(t, 3 * PAGE);
		break;
	case 6:
		len = below(t, 64 * PAGE);
		break;
	default:
		len = below(t, t->max_len);
	}
	return len < t->max_len ? len : t->max_len;
}

/* Cut a length into pieces that lie one after the other, with gaps, from *at on. */
static int cut_target(struct transfer *t, struct op *op, size_t *at, int max_pieces)
{
	size_t left = op->len;
	int n = 1 + below(t, max_pieces), i;

	for (i = 0; i < n; i++) {
		*at += below(t, i ? 300 : 2 * PAGE);
		op->target_off[i] = *at;
		op->target_len[i] = i == n - 1 ? left : below(t, left + 1);
		left -= op->target_len[i];
		*at += op->target_len[i];
	}
	return n;
}

static int cut_source(struct transfer *t, struct op *op, int max_pieces)
{
	size_t left = op->len;
	int n = 1 + below(t, max_pieces), i;

	for (i = 0; i < n; i++) {
		op->source_len[i] = i == n - 1 ? left : below(t, left + 1);
		op->source_off[i] = below(t, t->source->len - op->source_len[i] + 1);
		left -= op->source_len[i];
	}
	return n;
}

/* Plan one operation whose target lies at or after *at; false when it is full. */
static bool plan(struct transfer *t, struct op *op, size_t *at)
{
	static const enum ibv_wr_opcode opcodes[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM,
		IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_RDMA_READ, IBV_WR_RDMA_READ,
		IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WR_ATOMIC_CMP_AND_SWP,
	};
	size_t misalign;

	op->opcode = opcodes[below(t, ARRAY_SIZE(opcodes))];
	if (op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD ||
	    op->opcode == IBV_WR_ATOMIC_CMP_AND_SWP) {
		/* The first piece is the word, the second is where its old value goes. */
		*at += below(t, 2 * PAGE);
		misalign = (uintptr_t)(t->target->base + *at) % 8;
		op->target_off[0] = *at + (8 - misalign) % 8;
		op->target_off[1] = op->target_off[0] + 8 + below(t, PAGE);
		op->target_len[0] = op->target_len[1] = op->len = 8;
		*at = op->target_off[1] + 8;
		op->compare_add = rc_random(&t->random);
		op->swap = rc_random(&t->random);
		return *at <= t->target->len;
	}
	op->len = random_len(t);
	op->target_pieces = cut_target(t, op, at,
				       op->opcode == IBV_WR_RDMA_WRITE ||
				       op->opcode == IBV_WR_RDMA_WRITE_WITH_IMM ? 1 : MAX_PIECES);
	op->source_pieces = cut_source(t, op, op->opcode == IBV_WR_RDMA_READ ? 1 : MAX_PIECES);
	return *at <= t->target->len;
}

static int sges(struct region *r, const size_t *off, const size_t *len, int n,
		struct ibv_sge *sg)
{
	int i;

	for (i = 0; i < n; i++)
		sg[i] = region_sge(r, off[i], len[i]);
	return n;
}

static bool needs_recv(const struct op *op)
{
	return op->opcode == IBV_WR_SEND || op->opcode == IBV_WR_SEND_WITH_IMM ||
	       op->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
}

static void post_recv(struct transfer *t, struct op *op, struct rc_pair *p, uint64_t id)
{
	struct ibv_sge sg[MAX_PIECES];
	int n = 0;

	if (op->opcode != IBV_WR_RDMA_WRITE_WITH_IMM)
		n = sges(t->target, op->target_off, op->target_len, op->target_pieces, sg);
	rc_recv(&p->b, id, sg, n);
}

static void post(struct transfer *t, struct op *op, struct rc_pair *p, uint64_t id)
{
	struct ibv_sge sg[MAX_PIECES], remote;
	struct ibv_send_wr wr = { .wr_id = id, .opcode = op->opcode, .sg_list = sg,
				  .send_flags = IBV_SEND_SIGNALED, .imm_data = id };

	switch (op->opcode) {
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		sg[0] = region_sge(t->target, op->target_off[1], 8);
		wr.num_sge = 1;
		wr.wr.atomic.remote_addr = region_sge(t->target, op->target_off[0], 8).addr;
		wr.wr.atomic.rkey = t->target->mr->rkey;
		wr.wr.atomic.compare_add = op->compare_add;
		wr.wr.atomic.swap = op->swap;
		break;
	case IBV_WR_RDMA_READ:
		wr.num_sge = sges(t->target, op->target_off, op->target_len,
				  op->target_pieces, sg);
		remote = region_sge(t->source, op->source_off[0], 0);
		wr.wr.rdma.remote_addr = remote.addr;
		wr.wr.rdma.rkey = t->source->mr->rkey;
		break;
	default:
		wr.num_sge = sges(t->source, op->source_off, op->source_len,
				  op->source_pieces, sg);
		remote = region_sge(t->target, op->target_off[0], 0);
		wr.wr.rdma.remote_addr = remote.addr;
		wr.wr.rdma.rkey = t->target->mr->rkey;
	}
	if (needs_recv(op))
		post_recv(t, op, p, id);
	rc_post(&p->a, &wr);
}

static void shadow_atomic(struct transfer *t, struct op *op)
{
	uint8_t *word = t->target->shadow + op->target_off[0];
	uint64_t old, new;

	memcpy(&old, word, 8);
	if (op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD)
		new = old + op->compare_add;
	else
		new = old == op->compare_add ? op->swap : old;
	memcpy(word, &new, 8);
	memcpy(t->target->shadow + op->target_off[1], &old, 8);
}

/* Do to the shadow what the operation does to the region. */
static void shadow_op(struct transfer *t, struct op *op)
{
	size_t n, so = 0, to = 0;
	int s = 0, d = 0;

	if (op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD ||
	    op->opcode == IBV_WR_ATOMIC_CMP_AND_SWP) {
		shadow_atomic(t, op);
		return;
	}
	while (s < op->source_pieces && d < op->target_pieces) {
		n = op->source_len[s] - so;
		if (n > op->target_len[d] - to)
			n = op->target_len[d] - to;
		memcpy(t->target->shadow + op->target_off[d] + to,
		       t->source->shadow + op->source_off[s] + so, n);
		so += n;
		to += n;
		if (so == op->source_len[s]) {
			s++;
			so = 0;
		} else {
			d++;
			to = 0;
		}
	}
}

/* Half of the swaps find the value that they compare with. */
static void aim_swap(struct transfer *t, struct op *op)
{
	if (op->opcode == IBV_WR_ATOMIC_CMP_AND_SWP && below(t, 2))
		memcpy(&op->compare_add, t->target->shadow + op->target_off[0], 8);
}

static void complete(struct transfer *t, struct op *op, struct rc_pair *p, uint64_t id)
{
	struct ibv_wc wc = rc_wc(p->a.scq);

	if (wc.status != IBV_WC_SUCCESS)
		test_fail("%s: opcode %d, %zu bytes at %zu from %zu: '%s' (vendor %d)", t->what,
			  op->opcode, op->len, op->target_off[0], op->source_off[0],
			  ibv_wc_status_str(wc.status), wc.vendor_err);
	CHECK_EQ(wc.wr_id, id);
	if (!needs_recv(op))
		return;
	wc = rc_wc_ok(p->b.rcq);
	CHECK_EQ(wc.wr_id, id);
	CHECK_EQ(wc.byte_len, op->len);
	if (op->opcode != IBV_WR_SEND)
		CHECK_EQ(wc.imm_data, id);
}

static void check_op(struct transfer *t, struct op *op, size_t from, size_t to)
{
	char what[256];

	snprintf(what, sizeof(what), "%s op %llu: opcode %d len %zu", t->what,
		 (unsigned long long)t->ops, op->opcode, op->len);
	region_check(t->target, from, to - from, what);
	t->bytes += op->len;
	t->ops++;
}

/*
 * Read some of the target through the device. A page that it faults in for reading (a
 * zero page, a page shared with a child) must not be written to in place later.
 */
static void read_back(struct transfer *t)
{
	struct rc_pair *p = t->pair[0];
	size_t len = 1 + below(t, READ_BACK), off = below(t, t->target->len - len + 1);
	struct ibv_sge to = rc_sge(&t->back, 0, len), from = region_sge(t->target, off, 0);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_READ, .sg_list = &to, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };

	wr.wr.rdma.remote_addr = from.addr;
	wr.wr.rdma.rkey = t->target->mr->rkey;
	rc_post(&p->a, &wr);
	rc_wc_ok(p->a.scq);
	if (memcmp(t->back.addr, t->target->shadow + off, len))
		test_fail("%s: %zu bytes read back at %zu of the target are not what it holds",
			  t->what, len, off);
	t->bytes += len;
}

void transfer_batch(struct transfer *t)
{
	size_t at = 0, start, end[BATCH + 1] = { 0 };
	int n = 0, i, want = 1 + below(t, BATCH);
	struct op op[BATCH];

	pthread_mutex_lock(t->cpu);
	start = below(t, t->source->len);
	region_refill(t->source, start, below(t, t->source->len - start), rc_random(&t->random));
	pthread_mutex_unlock(t->cpu);
	if (below(t, 2))
		read_back(t);
	at = below(t, t->target->len / 2);
	end[0] = at > PAGE ? at - PAGE : 0;
	while (n < want && plan(t, &op[n], &at))
		end[++n] = at;
	for (i = 0; i < n; i++)
		aim_swap(t, &op[i]);
	for (i = 0; i < n; i++)
		post(t, &op[i], t->pair[i & 1], i);
	for (i = 0; i < n; i++) {
		complete(t, &op[i], t->pair[i & 1], i);
		shadow_op(t, &op[i]);
	}
	for (i = 0; i < n; i++)
		check_op(t, &op[i], end[i], end[i + 1]);
	if (end[n] + PAGE < t->target->len)
		region_check(t->target, end[n], PAGE, t->what);
}

void transfer_check_all(struct transfer *t)
{
	region_check(t->source, 0, t->source->len, t->what);
	region_check(t->target, 0, t->target->len, t->what);
}

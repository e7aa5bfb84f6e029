// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench_reg - registration and deregistration
 *
 * Registration is measured by size: over memory that nobody has touched (odp), or over
 * memory that is all there (pinned, so that only the registration counts). Deregistration
 * is measured with k pages resident in the device's table: in a region of just that size,
 * and in one of 1 TiB.
 *
 * One region stays registered all the time: the first one of a process also
 * pays for the mirror of its address space (reg_first).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define TURNS	16		/* of one sample */

static const size_t odp_sizes[] = { 4 * KIB, 1 * MIB, 1 * GIB, 1 * TIB };
static const size_t pinned_sizes[] = { 4 * KIB, 1 * MIB, 64 * MIB };
static const unsigned int resident[] = { 1, 64, 512, 4096 };

static uint64_t time_reg(struct bench *b, void *p, size_t size, struct ibv_mr **mr)
{
	uint64_t start = now_ns();

	*mr = bench_reg_try(b, p, size);
	return now_ns() - start;
}

static uint64_t time_dereg(struct bench *b, struct ibv_mr *mr)
{
	uint64_t start = now_ns();

	bench_dereg(b, mr);
	return now_ns() - start;
}

static void measure_size(struct bench *b, size_t size)
{
	unsigned int n = b->samples * TURNS;
	double reg[n], dereg[n];
	struct ibv_mr *mr;
	void *p;

	p = bench_map(size);
	if (b->mode == MODE_PINNED)
		memset(p, 1, size);
	for (unsigned int i = 0; i < n; i++) {
		reg[i] = time_reg(b, p, size, &mr);
		if (!mr) {
			fprintf(stderr, "%s: %s region of %zu bytes: %s\n",
				program_invocation_short_name, b->device, size, strerror(errno));
			bench_unmap(p, size);
			return;
		}
		dereg[i] = time_dereg(b, mr);
	}
	bench_unmap(p, size);
	bench_result(b, "reg", size, median(reg, n), "ns", true);
	bench_result(b, "dereg", size, median(dereg, n), "ns", true);
}

/* WRITEs out of one warm page make every page of [p, p + size) resident. */
static bool fill(struct bench_pair *pair, struct bench_op *op, void *p, size_t size, uint32_t rkey)
{
	struct bench_list list;

	op->rkey = rkey;
	for (size_t at = 0; at < size; at += PAGE) {
		op->remote = (char *)p + at;
		bench_list_make(&list, op, NULL, 1);
		bench_list_post(&pair->near, &list);
		bench_poll(pair->near.send_cq, 1);
	}
	for (size_t at = 0; at < size; at += PAGE)
		if (memcmp((char *)p + at, op->local, PAGE))
			return false;
	return true;
}

static void measure_resident(struct bench *b, struct bench_pair *pair, struct bench_op *op,
			     const char *name, unsigned int pages, size_t region)
{
	double dereg[b->samples];
	struct ibv_mr *mr;
	bool ok = true;
	void *p;

	for (unsigned int i = 0; i < b->samples; i++) {
		p = bench_map_small(region);
		mr = bench_reg_try(b, p, region);
		if (!mr) {
			bench_unmap(p, region);
			return;
		}
		ok &= fill(pair, op, p, pages * PAGE, mr->rkey);
		dereg[i] = time_dereg(b, mr);
		bench_unmap(p, region);
	}
	bench_result(b, name, pages * PAGE, median(dereg, b->samples), "ns", ok);
}

static void measure_all_resident(struct bench *b)
{
	struct bench_pair pair;
	struct bench_op op = { .opcode = IBV_WR_RDMA_WRITE, .size = PAGE };
	struct ibv_mr *src_mr;
	void *src;

	bench_pair_open(b, &pair);
	src = bench_map(PAGE);
	pattern_fill(src, PAGE, 3);
	src_mr = bench_reg_pinned(b, src, PAGE);
	op.local = src;
	op.lkey = src_mr->lkey;
	for (unsigned int i = 0; i < ARRAY_SIZE(resident); i++) {
		measure_resident(b, &pair, &op, "dereg_resident", resident[i],
				 resident[i] * PAGE);
		measure_resident(b, &pair, &op, "dereg_resident_1tib", resident[i], TIB);
	}
	bench_dereg(b, src_mr);
	bench_pair_close(&pair);
}

int main(int argc, char **argv)
{
	const size_t *sizes;
	struct ibv_mr *anchor_mr;
	unsigned int count;
	struct bench b;
	uint64_t first;
	void *anchor;

	bench_options(&b, argc, argv);
	bench_open(&b);
	if (!bench_mode_supported(&b))
		return 2;
	anchor = bench_map(PAGE);
	first = time_reg(&b, anchor, PAGE, &anchor_mr);
	if (!anchor_mr)
		die("%s: registration: %s", b.device, strerror(errno));
	bench_result(&b, "reg_first", PAGE, first, "ns", true);

	sizes = b.mode == MODE_PINNED ? pinned_sizes : odp_sizes;
	count = b.mode == MODE_PINNED ? ARRAY_SIZE(pinned_sizes) : ARRAY_SIZE(odp_sizes);
	for (unsigned int i = 0; b.mode != MODE_IMPLICIT && i < count; i++)
		if (bench_wanted(&b, "reg", sizes[i]))
			measure_size(&b, sizes[i]);
	if (b.mode == MODE_ODP && bench_wanted(&b, "dereg_resident", 0))
		measure_all_resident(&b);
	bench_dereg(&b, anchor_mr);
	bench_close(&b);
	return bench_status(&b);
}

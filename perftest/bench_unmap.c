// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench_unmap - what taking pages away costs, with and without a region over them
 *
 * The memory is always written by the CPU first. The mode column says what else
 * there is:
 *
 *	bare		nothing: the device is not open
 *	none		no ODP region in this process; the device is open, so that the
 *			process has the same other mappings as in the modes below
 *	odp, implicit	a region over the memory, every page of it in the device's
 *			table (faulted through it)
 *	elsewhere	the region over other memory
 *
 * Figures are per page, of 4 KiB pages.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define BULK	(16 * MIB)
#define EACH	(8 * MIB)		/* one by one: long enough for a few ticks of the clock */
#define OP_SIZE	(1 * MIB)

struct device {
	struct bench_pair pair;
	struct bench_op op;
	struct ibv_mr *src_mr;
};

/*
 * The memory is below all other mappings. Taking pages away looks its place among them
 * up each time, and this way that costs the same in every mode and run.
 */
static char *map_lowest(size_t size)
{
	void *at = (void *)(4UL << 30);
	char *p = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		       MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != at)
		die("mmap of %zu bytes at %p: %s", size, at, strerror(errno));
	/* EINVAL: this kernel has no huge pages, which is as good */
	if (madvise(p, size, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise(MADV_NOHUGEPAGE): %s", strerror(errno));
	return p;
}

static void take_away(char *p, size_t size, size_t step, bool unmap)
{
	for (char *at = p; at < p + size; at += step)
		if (unmap ? munmap(at, step) : madvise(at, step, MADV_DONTNEED))
			die("%s: %s", unmap ? "munmap" : "madvise", strerror(errno));
}

/* WRITEs over the whole of it, so that the device holds every page. */
static bool fault_through(struct device *d, char *p, size_t size, uint32_t rkey)
{
	struct bench_list list;

	d->op.rkey = rkey;
	for (size_t at = 0; at < size; at += OP_SIZE) {
		d->op.remote = p + at;
		bench_list_make(&list, &d->op, NULL, 1);
		bench_list_post(&d->pair.near, &list);
		bench_poll(d->pair.near.send_cq, 1);
	}
	for (size_t at = 0; at < size; at += OP_SIZE)
		if (memcmp(p + at, d->op.local, OP_SIZE))
			return false;
	return true;
}

static double sample(struct bench *b, struct device *d, bool over, size_t size, size_t step,
		     bool unmap, bool *ok)
{
	struct ibv_mr *mr = NULL;
	uint64_t start, took;
	char *p;

	p = map_lowest(size);
	memset(p, 1, size);
	if (over) {
		mr = bench_reg(b, p, size);
		*ok &= fault_through(d, p, size, mr->rkey);
	}
	start = now_ns();
	take_away(p, size, step, unmap);
	took = now_ns() - start;
	if (mr)
		bench_dereg(b, mr);
	if (!unmap)
		bench_unmap(p, size);
	return (double)took / (size / PAGE);
}

static void measure(struct bench *b, struct device *d, const char *mode, bool over)
{
	static const struct {
		const char *name;
		size_t size, step;
		bool unmap;
	} cases[] = {
		{ "munmap_bulk",	BULK, BULK, true },
		{ "dontneed_bulk",	BULK, BULK, false },
		{ "munmap_each",	EACH, PAGE, true },
		{ "dontneed_each",	EACH, PAGE, false },
	};
	double ns[b->samples];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		bool ok = true;

		if (!bench_wanted(b, cases[i].name, 0))
			continue;
		for (unsigned int s = 0; s < b->samples; s++)
			ns[s] = sample(b, d, over, cases[i].size, cases[i].step,
				       cases[i].unmap, &ok);
		bench_result_mode(b, cases[i].name, mode, cases[i].step,
				  median(ns, b->samples), "ns", ok);
	}
}

static void device_open(struct bench *b, struct device *d)
{
	void *src = bench_map(OP_SIZE);

	bench_pair_open(b, &d->pair);
	pattern_fill(src, OP_SIZE, 5);
	d->src_mr = bench_reg_pinned(b, src, OP_SIZE);
	d->op = (struct bench_op) {
		.opcode = IBV_WR_RDMA_WRITE,
		.size = OP_SIZE,
		.local = src,
		.lkey = d->src_mr->lkey,
	};
}

static void device_close(struct bench *b, struct device *d)
{
	bench_dereg(b, d->src_mr);
	bench_pair_close(&d->pair);
}

static void measure_elsewhere(struct bench *b, struct device *d)
{
	void *elsewhere = bench_map_small(OP_SIZE);
	struct ibv_mr *mr = bench_reg(b, elsewhere, OP_SIZE);

	if (!fault_through(d, elsewhere, OP_SIZE, mr->rkey))
		b->wrong = true;
	measure(b, d, "elsewhere", false);
	bench_dereg(b, mr);
	bench_unmap(elsewhere, OP_SIZE);
}

int main(int argc, char **argv)
{
	struct device d;
	struct bench b;

	bench_options(&b, argc, argv);
	measure(&b, NULL, "bare", false);
	if (!b.device)
		return 0;
	bench_open(&b);
	if (!bench_mode_supported(&b))
		return 2;
	device_open(&b, &d);
	measure(&b, &d, "none", false);
	measure(&b, &d, bench_mode_name(&b), true);
	if (b.mode == MODE_ODP)
		measure_elsewhere(&b, &d);
	device_close(&b, &d);
	bench_close(&b);
	return bench_status(&b);
}

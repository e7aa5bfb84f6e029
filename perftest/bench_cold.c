// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench_cold - what a page costs when it is not there yet
 *
 * Two mappings of one sort: the CPU touches the first one, page by page; RDMA
 * touches the second one, which is registered as the mode says (odp, implicit),
 * twice: cold and warm. Then both are dropped (MADV_DONTNEED) and touched once
 * more, now that their page tables exist. The price of a cold page is the cold
 * cost less the warm cost; its measure is the CPU's own touch.
 *
 * The other end of every transfer is warm pinned memory, so that one page an
 * operation means one fault an operation. Lines of one case, each per page (or
 * per 2 MiB in the huge case): NAME_cold, NAME_warm, NAME_touch (CPU),
 * NAME_refault, NAME_retouch (CPU).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

/* Which end of the transfer is cold. */
enum kind {
	WRITE_INTO,		/* the target of a WRITE */
	WRITE_OUT_OF,		/* the source of a WRITE: no page of its own yet */
	READ_FROM,		/* the source of a READ */
};

struct cold_case {
	const char *name;
	enum kind kind;
	size_t size;		/* of one operation */
	size_t total;
	unsigned int list;	/* operations of one doorbell */
	bool shuffled;
	bool huge;
};

static const struct cold_case cases[] = {
	{ "page",		WRITE_INTO,	4 * KIB,	2 * MIB, 1, false, false },
	{ "page_random",	WRITE_INTO,	4 * KIB,	2 * MIB, 1, true, false },
	{ "page_list",		WRITE_INTO,	4 * KIB,	2 * MIB, LIST, false, false },
	{ "large",		WRITE_INTO,	64 * KIB,	4 * MIB, 1, false, false },
	{ "large",		WRITE_INTO,	1 * MIB,	4 * MIB, 1, false, false },
	{ "huge",		WRITE_INTO,	2 * MIB,	16 * MIB, 1, false, true },
	{ "source",		WRITE_OUT_OF,	4 * KIB,	2 * MIB, 1, false, false },
	{ "source",		WRITE_OUT_OF,	64 * KIB,	4 * MIB, 1, false, false },
	{ "read",		READ_FROM,	4 * KIB,	2 * MIB, 1, false, false },
	{ "read",		READ_FROM,	64 * KIB,	4 * MIB, 1, false, false },
};

struct figures {
	double cold, warm, touch, refault, retouch;
	bool ok;
};

/* The state of one sample. */
struct run {
	const struct cold_case *c;
	struct bench_pair *pair;
	struct bench_op op;
	unsigned int *order;
	unsigned int count;		/* of operations */
	unsigned char *cold, *other;
	double units;			/* pages, or huge pages */
};

static void *map_for(const struct cold_case *c)
{
	void *p;

	if (!c->huge)
		return bench_map_small(c->total);
	p = bench_map(c->total);
	if (madvise(p, c->total, MADV_HUGEPAGE))
		die("madvise(MADV_HUGEPAGE): %s", strerror(errno));
	return p;
}

static bool have_huge_pages(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
	char line[64] = "[never]";
	bool have;

	have = f && fgets(line, sizeof(line), f) && !strstr(line, "[never]");
	if (f)
		fclose(f);
	return have;
}

static unsigned int *make_order(unsigned int count, bool shuffled)
{
	unsigned int *order = malloc(count * sizeof(*order));
	uint64_t x = 88172645463325252ULL;

	if (!order)
		die("out of memory");
	for (unsigned int i = 0; i < count; i++)
		order[i] = i;
	for (unsigned int i = count; shuffled && --i > 0; ) {
		unsigned int j, swap;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		j = x % (i + 1);
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	return order;
}

/* The CPU reads or writes, as the transfer does, and in the same order. */
static double time_touch(const struct run *r, volatile unsigned char *p)
{
	unsigned int pages = r->c->size / PAGE;
	uint64_t start = now_ns();

	for (unsigned int i = 0; i < r->count; i++) {
		volatile unsigned char *at = p + r->order[i] * r->c->size;

		for (unsigned int j = 0; j < pages; j++, at += PAGE) {
			if (r->c->kind == WRITE_INTO)
				*at = 1;
			else
				(void)*at;
		}
	}
	return (now_ns() - start) / r->units;
}

static double time_transfer(const struct run *r)
{
	struct bench_list list;
	uint64_t start = now_ns();

	for (unsigned int i = 0; i < r->count; i += r->c->list) {
		bench_list_make(&list, &r->op, r->order + i, r->c->list);
		bench_list_post(&r->pair->near, &list);
		bench_poll(r->pair->near.send_cq, 1);
	}
	return (now_ns() - start) / r->units;
}

/* A transfer into the cold side brings the pattern; one out of it must bring zeros. */
static void prepare(const struct run *r)
{
	if (r->c->kind == WRITE_INTO)
		pattern_fill(r->other, r->c->total, 7);
	else
		memset(r->other, 0xa5, r->c->total);
}

static bool check(const struct run *r)
{
	if (r->c->kind == WRITE_INTO)
		return !memcmp(r->cold, r->other, r->c->total);
	for (size_t i = 0; i < r->c->total; i++)
		if (r->other[i])
			return false;
	return true;
}

static void drop(void *p, size_t size)
{
	if (madvise(p, size, MADV_DONTNEED))
		die("madvise(MADV_DONTNEED): %s", strerror(errno));
}

static struct figures take_sample(const struct run *r)
{
	unsigned char *cpu = map_for(r->c);
	size_t total = r->c->total;
	struct figures f;

	prepare(r);
	f.touch = time_touch(r, cpu);
	f.cold = time_transfer(r);
	f.ok = check(r);

	if (r->c->kind == WRITE_INTO)
		pattern_invert(r->cold, r->other, total);
	else
		prepare(r);
	f.warm = time_transfer(r);
	f.ok &= check(r);

	drop(cpu, total);
	drop(r->cold, total);
	prepare(r);
	f.retouch = time_touch(r, cpu);
	f.refault = time_transfer(r);
	f.ok &= check(r);
	bench_unmap(cpu, total);
	return f;
}

static struct figures sample(struct bench *b, struct run *r)
{
	const struct cold_case *c = r->c;
	struct ibv_mr *cold_mr, *other_mr;
	bool cold_is_local = c->kind == WRITE_OUT_OF;
	struct bench *cold_end = cold_is_local ? b : bench_far(b);
	struct bench *other_end = cold_is_local ? bench_far(b) : b;
	struct figures f;

	r->other = bench_map(c->total);
	memset(r->other, 1, c->total);
	other_mr = bench_reg_pinned(other_end, r->other, c->total);
	r->cold = map_for(c);
	cold_mr = bench_reg(cold_end, r->cold, c->total);
	r->op = (struct bench_op) {
		.opcode = c->kind == READ_FROM ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
		.size = c->size,
		.local = cold_is_local ? r->cold : r->other,
		.lkey = cold_is_local ? cold_mr->lkey : other_mr->lkey,
		.remote = cold_is_local ? r->other : r->cold,
		.rkey = cold_is_local ? other_mr->rkey : cold_mr->rkey,
	};
	f = take_sample(r);
	bench_dereg(cold_end, cold_mr);
	bench_dereg(other_end, other_mr);
	bench_unmap(r->cold, c->total);
	bench_unmap(r->other, c->total);
	return f;
}

static void print_median(struct bench *b, const struct cold_case *c, const char *what,
			 double *values, bool ok)
{
	char name[48];

	snprintf(name, sizeof(name), "%s_%s", c->name, what);
	bench_result(b, name, c->size, median(values, b->samples), "ns", ok);
}

static void measure(struct bench *b, struct bench_pair *pair, const struct cold_case *c)
{
	unsigned int n = b->samples;
	double cold[n], warm[n], touch[n], refault[n], retouch[n];
	struct run r = {
		.c = c,
		.pair = pair,
		.count = c->total / c->size,
		.units = (double)c->total / (c->huge ? 2 * MIB : PAGE),
	};
	bool ok = true;

	r.order = make_order(r.count, c->shuffled);
	for (unsigned int i = 0; i < n; i++) {
		struct figures f = sample(b, &r);

		cold[i] = f.cold;
		warm[i] = f.warm;
		touch[i] = f.touch;
		refault[i] = f.refault;
		retouch[i] = f.retouch;
		ok &= f.ok;
	}
	free(r.order);
	print_median(b, c, "cold", cold, ok);
	print_median(b, c, "warm", warm, ok);
	print_median(b, c, "touch", touch, ok);
	print_median(b, c, "refault", refault, ok);
	print_median(b, c, "retouch", retouch, ok);
}

int main(int argc, char **argv)
{
	struct bench_pair pair;
	struct bench b;

	bench_options(&b, argc, argv);
	if (b.mode == MODE_PINNED)
		die("a pinned page is never cold: -m odp or -m implicit");
	bench_open(&b);
	if (!bench_mode_supported(&b))
		return 2;
	bench_pair_open(&b, &pair);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!bench_wanted(&b, cases[i].name, cases[i].size))
			continue;
		if (cases[i].huge && !have_huge_pages())
			continue;
		measure(&b, &pair, &cases[i]);
	}
	bench_pair_close(&pair);
	bench_close(&b);
	return bench_status(&b);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "merge.h"

#define KSM		"/sys/kernel/mm/ksm/"
#define MERGE_SECONDS	60

bool ksm_on(void)
{
	return test_put(KSM "pages_to_scan", "1000\n") && test_put(KSM "run", "1\n");
}

void ksm_off(void)
{
	/* 2: unmerge, and stop. */
	test_put(KSM "run", "2\n");
	test_put(KSM "run", "0\n");
}

/* The pages that KSM has saved so far. */
static long sharing(void)
{
	FILE *f = fopen(KSM "pages_sharing", "r");
	long n = -1;

	if (f) {
		CHECK_EQ(fscanf(f, "%ld", &n), 1);
		fclose(f);
	}
	return n;
}

static void move(struct rc_pair *p, enum ibv_wr_opcode op, struct rc_buf *buf,
		 struct region *r, size_t off, size_t len)
{
	struct ibv_sge at = region_sge(r, off, len), sg = rc_sge(buf, off, len);
	struct ibv_send_wr wr = { .opcode = op, .sg_list = &sg, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };

	wr.wr.rdma.remote_addr = at.addr;
	wr.wr.rdma.rkey = r->mr->rkey;
	rc_post(&p->a, &wr);
	rc_wc_ok(p->a.scq);
}

static void read_all(struct rc_pair *p, struct rc_buf *buf, struct region *r,
		     const char *what)
{
	memset(buf->addr, 0x5a, r->len);
	move(p, IBV_WR_RDMA_READ, buf, r, 0, r->len);
	if (memcmp(buf->addr, r->shadow, r->len))
		test_fail("%s: a READ of %s gives other bytes", what,
			  odp_kind_names[r->odp]);
	region_check(r, 0, r->len, what);
}

/* Wait until most of the region's pages are one; then stop ksmd, so that it merges no more. */
static void wait_merged(struct region *r)
{
	double until = test_now() + MERGE_SECONDS;
	long before = sharing(), want = before + r->len / PAGE * 3 / 4;

	CHECK_EQ(madvise(r->map, REGION_SIZE, MADV_MERGEABLE), 0);
	while (sharing() < want) {
		if (test_now() > until)
			test_fail("KSM merged %ld pages of %zu", sharing() - before,
				  r->len / PAGE);
		sched_yield();
	}
	CHECK(test_put(KSM "run", "0\n"));
}

/*
 * Write a piece of every other page, and sometimes one across the end of a page. Most of
 * the pages are merged: a byte that was written to the shared page would show in all.
 */
static uint64_t write_some(struct rc_pair *p, struct rc_buf *buf, struct region *r,
			   uint64_t *random)
{
	uint64_t bytes = 0;
	size_t off, len;

	for (off = 0; off + 3 * PAGE < r->len; off += 2 * PAGE) {
		size_t at = off + rc_random(random) % PAGE;

		len = 1 + rc_random(random) % 64;
		rc_fill((uint8_t *)buf->addr + at, len, rc_random(random));
		memcpy(r->shadow + at, (uint8_t *)buf->addr + at, len);
		move(p, IBV_WR_RDMA_WRITE, buf, r, at, len);
		bytes += len;
	}
	return bytes;
}

void merge_pages(struct rc_dev *dev, enum odp_kind odp, uint64_t seed, uint64_t *bytes)
{
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf buf = rc_buf(dev, REGION_SIZE, RC_ACCESS_ALL);
	uint64_t random = seed;
	struct region *r = region_create(dev, odp, BACK_ANON, &random);

	madvise(r->map, REGION_SIZE, MADV_NOHUGEPAGE);
	/* Fill the region with one byte, and have the device map every page for writing. */
	region_refill(r, 0, r->len, 0xa4);
	memcpy(buf.addr, r->shadow, r->len);
	move(p, IBV_WR_RDMA_WRITE, &buf, r, 0, r->len);

	wait_merged(r);
	read_all(p, &buf, r, "merged");
	*bytes += write_some(p, &buf, r, &random);
	region_check(r, 0, r->len, "merged and written");
	read_all(p, &buf, r, "merged and written");
	*bytes += 2 * r->len;

	CHECK_EQ(madvise(r->map, REGION_SIZE, MADV_UNMERGEABLE), 0);
	read_all(p, &buf, r, "unmerged");
	region_destroy(r);
	rc_buf_free(&buf);
	rc_pair_destroy(p);
}

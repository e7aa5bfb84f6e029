// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Objects of another process: keys, queues, rings, advice. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bad_test.h"

struct offer {
	uint64_t addr;
	uint32_t rkey, lkey, qpn;
};

static void owner(int out, int in)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf buf = rc_buf(dev, PAGE, ODP_ALL);
	struct offer offer = { (uintptr_t)buf.addr, buf.mr->rkey, buf.mr->lkey,
			       p->a.qp->qp_num };
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rc_fill(buf.addr, PAGE, 1);
	CHECK_EQ(write(out, &offer, sizeof(offer)), sizeof(offer));
	if (read(in, &c, 1) != 1)
		_exit(3);
	rc_verify(buf.addr, PAGE, 1, "the owner's memory");
	rc_wc_none(p->a.scq);
	_exit(0);
}

/* Another process' region: through its rkey, its lkey, its QP, advice on it. */
static void bad_other_process(void)
{
	int offered[2], done[2], status;
	struct rc_dev *dev;
	struct rc_pair *p;
	struct rc_buf mine;
	struct offer offer;
	struct ibv_sge sg;
	pid_t pid;

	CHECK(!pipe(offered) && !pipe(done));
	pid = fork();
	if (!pid)
		owner(offered[1], done[0]);
	dev = rc_open();
	p = rc_pair_create(dev, NULL);
	mine = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	CHECK_EQ(read(offered[0], &offer, sizeof(offer)), sizeof(offer));
	sg = rc_sge(&mine, 0, 64);
	rc_op(&p->a, IBV_WR_RDMA_WRITE, sg, &(struct rc_buf){
		.addr = (void *)(uintptr_t)offer.addr,
		.mr = &(struct ibv_mr){ .rkey = offer.rkey } }, 0);
	rc_wc_status(p->a.scq, IBV_WC_REM_ACCESS_ERR);
	rc_pair_reset(p);
	sg = (struct ibv_sge){ .addr = offer.addr, .length = 64, .lkey = offer.lkey };
	rc_op(&p->a, IBV_WR_RDMA_WRITE, sg, &mine, 0);
	rc_wc_status(p->a.scq, IBV_WC_LOC_PROT_ERR);
	CHECK(ibv_advise_mr(dev->pd, IBV_ADVISE_MR_ADVICE_PREFETCH,
			    IBV_ADVISE_MR_FLAG_FLUSH, &sg, 1));
	CHECK_EQ(kick(dev->ctx, offer.qpn, MIRAGE_DOORBELL_SQ), ENOENT);
	CHECK_EQ(kick(dev->ctx, offer.qpn, MIRAGE_DOORBELL_RQ), ENOENT);
	CHECK_EQ(write(done[1], "x", 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	rc_buf_free(&mine);
	rc_pair_destroy(p);
	rc_close(dev);
}

/*
 * A device that was open before a fork: the child has the file and the rings, but
 * not the address space that on-demand regions follow. Nothing may end up in the
 * child's pages, and its death changes nothing for the parent.
 */
static void bad_use_after_fork(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf odp = rc_buf(dev, 4 * PAGE, ODP_ALL);
	struct rc_buf src = rc_buf(dev, 4 * PAGE, RC_ACCESS_ALL);
	struct ibv_mr *mr;
	int status;
	pid_t pid;

	rc_fill(odp.addr, 4 * PAGE, 1);
	rc_fill(src.addr, 4 * PAGE, 2);
	pid = fork();
	if (!pid) {
		/* A post through inherited rings must not run for the child. */
		mr = ibv_reg_mr(dev->pd, odp.addr, PAGE, ODP_ALL);
		kick(dev->ctx, p->a.qp->qp_num, MIRAGE_DOORBELL_SQ);
		if (mr)
			ibv_dereg_mr(mr);
		rc_verify(odp.addr, 4 * PAGE, 1, "the child's pages");
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	rc_op(&p->a, IBV_WR_RDMA_WRITE, rc_sge(&src, 0, 4 * PAGE), &odp, 0);
	rc_wc_ok(p->a.scq);
	rc_verify(odp.addr, 4 * PAGE, 2, "the parent's pages");
	rc_buf_free(&odp);
	rc_buf_free(&src);
	rc_pair_destroy(p);
	rc_close(dev);
}

/* Keys cannot be guessed: a number next to a good key is no key. */
static void bad_guessed_keys(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_buf buf[16];
	uint32_t delta, first = 0;
	unsigned int same = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	for (i = 1; i < ARRAY_SIZE(buf); i++) {
		delta = buf[i].mr->rkey - buf[i - 1].mr->rkey;
		if (i == 1)
			first = delta;
		same += delta == first;
	}
	CHECK(same < ARRAY_SIZE(buf) / 2, "rkeys come in steps of %u", first);
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		rc_buf_free(&buf[i]);
	rc_close(dev);
}

static void try_map(int fd, off_t offset, size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, flags, fd, offset);

	if (p != MAP_FAILED)
		test_fail("offset %#llx, %zu bytes, prot %d, flags %d was mapped",
			  (unsigned long long)offset, len, prot, flags);
}

/* mmap of offsets that the kernel has not given out, or with other sizes and rights. */
static void bad_mmap(void)
{
	struct rc_dev *dev = rc_open();
	int fd = dev->ctx->cmd_fd, rw = PROT_READ | PROT_WRITE;
	struct ring_map maps[64];
	uint64_t random = test_options.seed;
	struct rc_pair *p;
	size_t n, i;
	void *addr;

	/* Without a ring there is no offset to map. */
	for (i = 0; i < 64; i++)
		try_map(fd, i * PAGE, PAGE, rw, MAP_SHARED);
	p = rc_pair_create(dev, NULL);
	n = ring_maps(maps, ARRAY_SIZE(maps));
	CHECK(n >= 4);
	for (i = 0; i < 2000; i++)
		try_map(fd, (rc_random(&random) >> (1 + i % 40)) & ~(PAGE - 1) & INT64_MAX,
			(1ull << 33) + PAGE, rw, MAP_SHARED);
	for (i = 0; i < 256; i++) {
		try_map(fd, i * PAGE, 1ull << 32, rw, MAP_SHARED);
		try_map(fd, i * PAGE, PAGE / 2 + (1 << 30), PROT_READ, MAP_SHARED);
		/* A ring cannot be mapped executable or private. */
		try_map(fd, i * PAGE, PAGE, rw | PROT_EXEC, MAP_SHARED);
		try_map(fd, i * PAGE, PAGE, rw, MAP_PRIVATE);
	}
	for (i = 0; i < n; i++) {
		CHECK(mprotect(maps[i].addr, maps[i].len, rw | PROT_EXEC), "made executable");
		addr = mremap(maps[i].addr, maps[i].len, maps[i].len + 16 * PAGE,
			      MREMAP_MAYMOVE);
		CHECK(addr == MAP_FAILED, "a ring was mapped beyond its end");
	}
	/* The process unmaps rings behind the provider's back; the kernel has its own mapping. */
	rc_pair_destroy(p);
	p = rc_pair_create(dev, NULL);
	n = ring_maps(maps, ARRAY_SIZE(maps));
	for (i = 0; i < n; i++)
		CHECK(mmap(maps[i].addr, maps[i].len, rw,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == maps[i].addr);
	rc_pair_destroy(p);
	rc_close(dev);
}

/* The rings outlive their queues for as long as somebody maps them. */
static void bad_ring_after_destroy(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct ring_map maps[64];
	size_t n = ring_maps(maps, ARRAY_SIZE(maps)), i;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	rc_pair_destroy(p);
	rc_close(dev);
	/* The child still has its mappings; ours went with the objects. */
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	for (i = 0; i < n; i++)
		CHECK(!maps[i].len || maps[i].addr);
}

const struct test_case foreign_cases[] = {
	{ "bad_other_process", bad_other_process, 0 },
	{ "bad_use_after_fork", bad_use_after_fork, 0 },
	{ "bad_guessed_keys", bad_guessed_keys, 0 },
	{ "bad_mmap", bad_mmap, 0 },
	{ "bad_ring_after_destroy", bad_ring_after_destroy, 0 },
};

CASES(foreign);

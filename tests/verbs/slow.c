// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A page that does not come, or comes late, stalls the one QP direction that
 * needs it.
 *
 * The page is missing under a userfaultfd that this thread itself serves later: if a
 * system call waited for the page, the case would never end.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "swap.h"
#include "uffd.h"
#include "verbs_test.h"

#define PAGES	8
#define LONG	1024	/* pages of a message that is read ahead */
#define MANY	40	/* faults of one process at a time */
#define WORKERS	16	/* that a process can keep from others: kernel/mem/odp_mm.c */
#define ODP_ALL	(RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND)

struct stage {
	struct rc_dev *dev;
	struct rc_pair *p, *other;
	struct rc_buf pinned, slow;
	int uffd;
};

static struct stage setup(void)
{
	struct stage s = { .dev = rc_open() };

	if (!(s.dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT))
		test_skip("no ODP");
	if (!rc_is_mirage(s.dev))
		test_skip("rxe faults in the caller's context");
	s.uffd = uffd_open_for_hmm();
	s.p = rc_pair_create(s.dev, NULL);
	s.other = rc_pair_create(s.dev, NULL);
	s.pinned = rc_buf(s.dev, PAGES * PAGE, RC_ACCESS_ALL);
	s.slow = rc_buf(s.dev, PAGES * PAGE, ODP_ALL);
	uffd_watch(s.uffd, s.slow.addr, s.slow.len);
	return s;
}

static void teardown(struct stage *s)
{
	close(s->uffd);
	rc_pair_destroy(s->p);
	rc_pair_destroy(s->other);
	rc_buf_free(&s->pinned);
	rc_buf_free(&s->slow);
	rc_close(s->dev);
}

static void serve(struct stage *s, uint64_t seed)
{
	static uint8_t content[PAGES * PAGE] __attribute__((aligned(4096)));

	rc_fill(content, sizeof(content), seed);
	uffd_copy(s->uffd, s->slow.addr, content, sizeof(content));
}

/* Everything that does not need the page goes on: another QP, the way back. */
static void others_go_on(struct stage *s)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED };
	int i;

	for (i = 0; i < 20; i++) {
		rc_recv(&s->other->b, 1, NULL, 0);
		rc_post(&s->other->a, &wr);
		rc_wc_ok(s->other->a.scq);
		rc_wc_ok(s->other->b.rcq);
		rc_recv(&s->p->a, 1, NULL, 0);
		rc_post(&s->p->b, &wr);
		rc_wc_ok(s->p->b.scq);
		rc_wc_ok(s->p->a.rcq);
	}
	rc_wc_none(s->p->a.scq);
}

static void slow_write_target(void)
{
	struct stage s = setup();

	rc_fill(s.pinned.addr, 100, 1);
	rc_op(&s.p->a, IBV_WR_RDMA_WRITE, rc_sge(&s.pinned, 0, 100), &s.slow, 2 * PAGE + 9);
	uffd_next(s.uffd);
	others_go_on(&s);
	serve(&s, 2);
	rc_wc_ok(s.p->a.scq);
	rc_verify(s.slow.addr + 2 * PAGE + 9, 100, 1, "written into the late page");
	rc_verify(s.slow.addr, 2 * PAGE + 8, 2, "before it");
	teardown(&s);
}

static void slow_read_target(void)
{
	struct stage s = setup();

	rc_op(&s.p->a, IBV_WR_RDMA_READ, rc_sge(&s.pinned, 0, PAGES * PAGE), &s.slow, 0);
	uffd_next(s.uffd);
	others_go_on(&s);
	serve(&s, 3);
	rc_wc_ok(s.p->a.scq);
	rc_verify(s.pinned.addr, PAGES * PAGE, 3, "read from late pages");
	teardown(&s);
}

static void slow_send_source(void)
{
	struct stage s = setup();
	struct ibv_sge to = rc_sge(&s.pinned, 0, PAGES * PAGE);

	rc_recv(&s.p->b, 1, &to, 1);
	rc_op(&s.p->a, IBV_WR_SEND, rc_sge(&s.slow, 0, PAGES * PAGE), NULL, 0);
	uffd_next(s.uffd);
	others_go_on(&s);
	rc_wc_none(s.p->b.rcq);
	serve(&s, 4);
	rc_wc_ok(s.p->a.scq);
	rc_wc_ok(s.p->b.rcq);
	rc_verify(s.pinned.addr, PAGES * PAGE, 4, "sent from late pages");
	teardown(&s);
}

static void slow_recv_buffer(void)
{
	struct stage s = setup();
	struct ibv_sge to = rc_sge(&s.slow, 5, PAGE);

	rc_fill(s.pinned.addr, PAGE, 5);
	rc_recv(&s.p->b, 1, &to, 1);
	rc_op(&s.p->a, IBV_WR_SEND, rc_sge(&s.pinned, 0, PAGE), NULL, 0);
	uffd_next(s.uffd);
	others_go_on(&s);
	rc_wc_none(s.p->b.rcq);
	serve(&s, 6);
	rc_wc_ok(s.p->a.scq);
	rc_wc_ok(s.p->b.rcq);
	rc_verify(s.slow.addr + 5, PAGE, 5, "received into late pages");
	teardown(&s);
}

/*
 * A long message is read ahead as a whole: while its first target page is missing, every
 * source page is requested, up to the last one.
 */
static void slow_read_ahead(void)
{
	struct stage s = setup();
	struct rc_buf from = rc_buf(s.dev, LONG * PAGE, ODP_ALL);
	struct rc_buf to = rc_buf(s.dev, LONG * PAGE, ODP_ALL);
	uint8_t *content = aligned_alloc(PAGE, LONG * PAGE), *at;
	size_t served = 0;

	CHECK(content);
	rc_fill(content, LONG * PAGE, 8);
	uffd_watch(s.uffd, from.addr, from.len);
	uffd_watch(s.uffd, to.addr, to.len);
	rc_op(&s.p->a, IBV_WR_RDMA_WRITE, rc_sge(&from, 0, LONG * PAGE), &to, 0);
	while (served < LONG * PAGE) {
		at = uffd_next(s.uffd);
		if (at == from.addr + served) {
			uffd_copy(s.uffd, at, content + served, PAGES * PAGE);
			served += PAGES * PAGE;
		} else {
			/* A fault may come again if its worker had not seen the first answer. */
			CHECK(at == to.addr || at < from.addr + served);
		}
	}
	rc_wc_none(s.p->a.scq);
	uffd_copy(s.uffd, to.addr, content, LONG * PAGE);
	rc_wc_ok(s.p->a.scq);
	rc_verify(to.addr, LONG * PAGE, 8, "written from pages read ahead");
	free(content);
	rc_buf_free(&from);
	rc_buf_free(&to);
	teardown(&s);
}

static void serve_one(struct stage *s, unsigned int page)
{
	uffd_zero(s->uffd, s->slow.addr + page * PAGE, PAGE);
}

/* Connect the QP again as rc_pair_create() did, with the PSN that the peer expects. */
static void peer_again(struct stage *s, uint32_t psn)
{
	CHECK_EQ(rc_to_state(&s->p->b, IBV_QPS_RESET), 0);
	CHECK_EQ(rc_to_init(s->dev, &s->p->b, &s->p->attr), 0);
	CHECK_EQ(rc_to_rtr(s->dev, &s->p->b, s->p->a.qp->qp_num, psn & 0xffffff,
			   &s->p->attr), 0);
}

/*
 * The peer is reset when half of an atomic's result has been stored: the atomic is
 * executed once, and its result is complete. (Seen to fail without bytes_rewind(&req->result) in
 * restart(), kernel/direct/direct.c: the last four bytes are not the value's.)
 */
static void slow_atomic_peer_reset(void)
{
	struct stage s = setup();
	struct ibv_sge result = rc_sge(&s.slow, PAGE - 4, 8);
	struct ibv_send_wr wr = { .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .sg_list = &result,
				  .num_sge = 1, .send_flags = IBV_SEND_SIGNALED };
	uint64_t value = 0x8877665544332211ull, word;

	serve_one(&s, 0);
	rc_op(&s.p->a, IBV_WR_RDMA_READ, rc_sge(&s.slow, 0, 64), &s.pinned, 0);
	rc_wc_ok(s.p->a.scq);
	memcpy(s.pinned.addr, &value, 8);
	wr.wr.atomic.remote_addr = (uintptr_t)s.pinned.addr;
	wr.wr.atomic.rkey = s.pinned.mr->rkey;
	wr.wr.atomic.compare_add = 1;
	rc_post(&s.p->a, &wr);
	uffd_next(s.uffd);
	CHECK(!memcmp(s.slow.addr + PAGE - 4, &value, 4), "the first half is not there yet");
	peer_again(&s, s.p->a.psn + 1);
	serve_one(&s, 1);
	rc_wc_ok(s.p->a.scq);
	memcpy(&word, s.slow.addr + PAGE - 4, 8);
	CHECK_EQ(word, value);
	memcpy(&word, s.pinned.addr, 8);
	CHECK_EQ(word, value + 1);
	teardown(&s);
}

/* Another process has a fault of its own served. */
static void elsewhere(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		struct stage s = setup();

		rc_fill(s.pinned.addr, 100, 9);
		rc_op(&s.p->a, IBV_WR_RDMA_WRITE, rc_sge(&s.pinned, 0, 100), &s.slow, 0);
		uffd_next(s.uffd);
		serve(&s, 10);
		rc_wc_ok(s.p->a.scq);
		rc_verify(s.slow.addr, 100, 9, "of the other process");
		teardown(&s);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* However many faults of a process wait, they occupy only a few workers. */
static void slow_many(void)
{
	struct stage s = setup();
	struct pollfd pfd = { .fd = s.uffd, .events = POLLIN };
	struct rc_buf slow = rc_buf(s.dev, MANY * PAGE, ODP_ALL);
	uint8_t *content = aligned_alloc(PAGE, MANY * PAGE);
	struct rc_pair *p[MANY];
	int i;

	CHECK(content);
	uffd_watch(s.uffd, slow.addr, slow.len);
	rc_fill(s.pinned.addr, 100, 11);
	for (i = 0; i < MANY; i++) {
		p[i] = rc_pair_create(s.dev, NULL);
		rc_op(&p[i]->a, IBV_WR_RDMA_WRITE, rc_sge(&s.pinned, 0, 100), &slow, i * PAGE);
	}
	for (i = 0; i < WORKERS; i++)
		uffd_next(s.uffd);
	/* If more could run, they would have faulted before this later one was served. */
	elsewhere();
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	others_go_on(&s);

	rc_fill(content, MANY * PAGE, 12);
	uffd_copy(s.uffd, slow.addr, content, MANY * PAGE);
	for (i = 0; i < MANY; i++) {
		rc_wc_ok(p[i]->a.scq);
		rc_verify(slow.addr + i * PAGE, 100, 11, "after its turn");
		rc_pair_destroy(p[i]);
	}
	free(content);
	rc_buf_free(&slow);
	teardown(&s);
}

/* A QP can be destroyed while a fault waits. */
static void slow_then_destroy(void)
{
	struct stage s = setup();
	struct rc_end gone;

	rc_op(&s.p->a, IBV_WR_RDMA_WRITE, rc_sge(&s.pinned, 0, 100), &s.slow, 0);
	uffd_next(s.uffd);
	CHECK_EQ(rc_to_state(&s.p->a, IBV_QPS_ERR), 0);
	serve(&s, 7);
	rc_wc(s.p->a.scq);
	gone = s.p->b;
	rc_end_destroy(&gone);
	rc_end_destroy(&s.p->a);
	s.p = rc_pair_create(s.dev, NULL);
	teardown(&s);
}

/* The process ends while a fault waits for it, and nothing may hang. */
static void slow_then_exit(void)
{
	struct stage s = setup();

	rc_op(&s.p->a, IBV_WR_RDMA_WRITE, rc_sge(&s.pinned, 0, 100), &s.slow, 0);
	uffd_next(s.uffd);
}

static long swapped_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmSwap: %ld", &kib);
	fclose(f);
	return kib;
}

/* Pages written out to swap are read in again by the device's access. */
static void slow_swap(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_buf mem, out;
	struct rc_pair *p;
	unsigned int i, n = 256;
	long swapped = 0;

	if (!(dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT))
		test_skip("no ODP");
	if (!rc_is_mirage(dev))
		test_skip("rxe moves wrong bytes over ODP");
	if (!swap_on(32 << 20))
		test_skip("no swap can be set up here");
	p = rc_pair_create(dev, NULL);
	mem = rc_buf(dev, n * PAGE, ODP_ALL);
	out = rc_buf(dev, n * PAGE, RC_ACCESS_ALL);
	for (i = 0; i < 4; i++) {
		rc_fill(mem.addr, n * PAGE, i);
		CHECK_EQ(madvise(mem.addr, n * PAGE, MADV_PAGEOUT), 0);
		swapped += swapped_kib();
		rc_op(&p->a, i & 1 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
		      i & 1 ? rc_sge(&out, 0, n * PAGE) : rc_sge(&mem, 0, n * PAGE),
		      i & 1 ? &mem : &out, 0);
		rc_wc_ok(p->a.scq);
		rc_verify(out.addr, n * PAGE, i, "through swap");
	}
	test_note("%ld KiB came back from swap", swapped);
	CHECK(swapped > 0, "nothing was swapped out");
	rc_buf_free(&mem);
	rc_buf_free(&out);
	rc_pair_destroy(p);
	rc_close(dev);
	swap_off();
}

static const struct test_case cases[] = {
	{ "slow_write_target", slow_write_target, 0 },
	{ "slow_read_target", slow_read_target, 0 },
	{ "slow_send_source", slow_send_source, 0 },
	{ "slow_recv_buffer", slow_recv_buffer, 0 },
	{ "slow_read_ahead", slow_read_ahead, 0 },
	{ "slow_atomic_peer_reset", slow_atomic_peer_reset, 0 },
	{ "slow_many", slow_many, 0 },
	{ "slow_then_destroy", slow_then_destroy, 0 },
	{ "slow_then_exit", slow_then_exit, 0 },
	{ "slow_swap", slow_swap, 0 },
};

CASE_TABLE(slow_cases, cases);

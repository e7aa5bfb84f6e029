// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Rings scribbled over while the kernel reads them
 *
 * Three ways: noise over every byte of every ring, well-formed work requests
 * with values at the edges, and indices that jump. The process that does so may lose
 * anything by it, and its provider may crash; so it is a child here. The case passes
 * when the child can be ended.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bad_test.h"

#define MAX_RINGS	32
#define DEEP		16384	/* receives of a ring */
#define FLUSHES		50

struct scribbler {
	struct ring_map maps[MAX_RINGS];
	size_t n;
	uint64_t random;
	uint32_t lkey;
	uint64_t addr;
	unsigned int posted;
	bool stop;
	void (*scribble)(struct scribbler *s, struct ring_map *ring);
	pthread_t thread;
};

static void noise(struct scribbler *s, struct ring_map *ring)
{
	size_t at = rc_random(&s->random) % (ring->len / 8);

	((volatile uint64_t *)ring->addr)[at] = rc_random(&s->random);
}

static uint32_t edge(struct scribbler *s)
{
	static const uint32_t edges[] = {
		0, 1, 4, 5, 8, 31, 32, 33, 255, 4096, 65535, 1u << 20, 1u << 31, UINT32_MAX,
	};

	return edges[rc_random(&s->random) % ARRAY_SIZE(edges)];
}

/* Write a send WQE to some slot of a ring that may be a send queue. */
static void plausible(struct scribbler *s, struct ring_map *ring)
{
	size_t room = (ring->len - sizeof(struct mirage_ring_hdr)) / 64;
	struct mirage_send_wqe wqe = {
		.wr_id = s->random, .opcode = rc_random(&s->random) % 20,
		.flags = rc_random(&s->random), .num_sge = edge(s), .inline_len = edge(s),
		.remote_addr = s->addr + edge(s), .ex = edge(s),
		.rkey = rc_random(&s->random) & 1 ? s->lkey : edge(s),
		.compare_add = edge(s), .swap = (uint64_t)edge(s) << 32 | s->lkey,
	};
	struct mirage_sge sge = { .addr = s->addr + edge(s), .length = edge(s),
				  .lkey = s->lkey };
	size_t at = rc_random(&s->random) % room;
	uint8_t *slot = ring->addr + sizeof(struct mirage_ring_hdr) + at * 64;

	memcpy(slot, &wqe, sizeof(wqe));
	if (at + 1 < room)
		memcpy(slot + 64, &sge, sizeof(sge));
}

/* Write the process' index, and the words that only the kernel may write. */
static void indices(struct scribbler *s, struct ring_map *ring)
{
	volatile struct mirage_ring_hdr *hdr = (void *)ring->addr;

	switch (rc_random(&s->random) % 5) {
	case 0:
		hdr->prod += rc_random(&s->random) % 70;
		break;
	case 1:
		hdr->prod = rc_random(&s->random);
		break;
	case 2:
		hdr->cons = rc_random(&s->random);
		break;
	case 3:
		hdr->cons_flags = rc_random(&s->random);
		break;
	default:
		hdr->prod = hdr->cons + rc_random(&s->random) % 3;
	}
}

static void everything(struct scribbler *s, struct ring_map *ring)
{
	static void (*const ways[])(struct scribbler *, struct ring_map *) = {
		noise, plausible, indices,
	};

	ways[rc_random(&s->random) % ARRAY_SIZE(ways)](s, ring);
}

static void *scribble_loop(void *arg)
{
	struct scribbler *s = arg;
	unsigned int i;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		for (i = 0; i < 200; i++)
			s->scribble(s, &s->maps[rc_random(&s->random) % s->n]);
		sched_yield();
	}
	return NULL;
}

static void kick_all(struct rc_dev *dev, struct rc_pair *p, struct ibv_srq *srq,
		     uint64_t *random)
{
	struct rc_end *end = rc_random(random) & 1 ? &p->a : &p->b;
	uint32_t srqn = 0;

	kick(dev->ctx, end->qp->qp_num, rc_random(random) % 2);
	if (!ibv_get_srq_num(srq, &srqn))
		kick(dev->ctx, srqn, MIRAGE_DOORBELL_SRQ);
}

/* Post a few good work requests to any ring, as a provider does. */
static void post_raw(struct scribbler *s, uint64_t *random)
{
	struct ring_map *ring = &s->maps[rc_random(random) % s->n];
	volatile struct mirage_ring_hdr *hdr = (void *)ring->addr;
	unsigned int i;

	for (i = 0; i < 8; i++)
		plausible(s, ring);
	hdr->prod = hdr->cons + rc_random(random) % 8;
}

static void scribble_and_use(void (*scribble)(struct scribbler *, struct ring_map *))
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 64, .max_sge = 2 } };
	struct rc_attr attr = { .timeout = 8, .retry_cnt = 1, .rnr_retry = 1 };
	double until = test_now() + bad_seconds();
	struct rc_dev *dev = rc_open();
	struct scribbler s = { .random = test_options.seed, .scribble = scribble };
	uint64_t random = test_options.seed + 1;
	struct rc_pair *p, *with_srq;
	struct ibv_srq *srq;
	struct rc_buf buf;

	srq = ibv_create_srq(dev->pd, &init);
	CHECK(srq);
	p = rc_pair_create(dev, &attr);
	attr.srq = srq;
	with_srq = rc_pair_create(dev, &attr);
	buf = rc_buf(dev, 64 * PAGE, ODP_ALL);
	s.addr = (uintptr_t)buf.addr;
	s.lkey = buf.mr->lkey;
	s.n = ring_maps(s.maps, MAX_RINGS);
	CHECK(s.n > 0);
	pthread_create(&s.thread, NULL, scribble_loop, &s);
	while (test_now() < until) {
		post_raw(&s, &random);
		kick_all(dev, p, srq, &random);
		kick_all(dev, with_srq, srq, &random);
		/* The provider may crash on what it finds in its CQs, so poll rarely. */
		if (rc_random(&random) % 64 == 0) {
			random_op(&p->a, &buf, &random);
			random_op(&with_srq->b, &buf, &random);
			drain(p->a.scq);
			drain(with_srq->b.rcq);
		}
		if (rc_random(&random) % 256 == 0) {
			rc_to_state(&p->a, IBV_QPS_ERR);
			rc_pair_reset(p);
			rc_pair_reset(with_srq);
		}
		if (rc_random(&random) % 16 == 0)
			madvise(buf.addr, buf.len, MADV_DONTNEED);
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(s.thread, NULL);
	/* The objects can be destroyed in order whatever the rings hold. */
	CHECK_EQ(ibv_destroy_qp(p->a.qp), 0);
	CHECK_EQ(ibv_destroy_qp(p->b.qp), 0);
	CHECK_EQ(ibv_destroy_qp(with_srq->a.qp), 0);
	CHECK_EQ(ibv_destroy_qp(with_srq->b.qp), 0);
	CHECK_EQ(ibv_destroy_srq(srq), 0);
	rc_buf_free(&buf);
}

static void scribbled(void (*scribble)(struct scribbler *, struct ring_map *))
{
	double until = test_now() + bad_seconds() + 5;
	unsigned int children = 0;
	int status;
	pid_t pid;

	/* If a child dies early, there is time for another. */
	while (!children || test_now() + 6 < until) {
		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			test_options.seed += children;
			scribble_and_use(scribble);
			_exit(0);
		}
		children++;
		while (waitpid(pid, &status, WNOHANG) == 0) {
			if (test_now() > until)
				kill(pid, SIGKILL);
			usleep(10000);
		}
	}
	test_note("%u children", children);
}

static void bad_ring_noise(void)
{
	scribbled(noise);
}

static void bad_ring_plausible(void)
{
	scribbled(plausible);
}

static void bad_ring_indices(void)
{
	scribbled(indices);
}

static void bad_ring_everything(void)
{
	scribbled(everything);
}

/* A thread keeps posting while the kernel flushes, always ahead of it. */
static void *post_for_ever(void *arg)
{
	struct scribbler *s = arg;
	size_t i;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		for (i = 0; i < s->n; i++) {
			volatile struct mirage_ring_hdr *hdr = (void *)s->maps[i].addr;

			hdr->prod = hdr->cons + DEEP / 2;
		}
		__atomic_add_fetch(&s->posted, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static bool is_recv_ring(const struct ring_map *map)
{
	/* The stride that the provider asks for: a header and one SGE. */
	return map->len == DEEP * 32 + PAGE;
}

/* A flush runs with softirqs off, so it may take only what is there when it begins. */
static void bad_ring_flush(void)
{
	struct rc_attr attr = { .cap = { .max_send_wr = 1, .max_recv_wr = DEEP,
					 .max_send_sge = 1, .max_recv_sge = 1 } };
	struct scribbler s = {};
	uint32_t most = 0;
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, &attr);
	struct ring_map maps[MAX_RINGS];
	size_t i, n = ring_maps(maps, MAX_RINGS);
	int round;

	for (i = 0; i < n; i++)
		if (is_recv_ring(&maps[i]))
			s.maps[s.n++] = maps[i];
	CHECK_EQ(s.n, 2);
	CHECK_EQ(pthread_create(&s.thread, NULL, post_for_ever, &s), 0);
	for (round = 0; round < FLUSHES; round++) {
		unsigned int posted = __atomic_load_n(&s.posted, __ATOMIC_RELAXED);

		while (__atomic_load_n(&s.posted, __ATOMIC_RELAXED) == posted)
			sched_yield();
		rc_to_state(&p->a, IBV_QPS_ERR);
		rc_to_state(&p->b, IBV_QPS_ERR);
		for (i = 0; i < s.n; i++) {
			struct mirage_ring_hdr *hdr = (void *)s.maps[i].addr;
			uint32_t cons = __atomic_load_n(&hdr->cons, __ATOMIC_RELAXED);

			most = cons > most ? cons : most;
		}
		rc_pair_reset(p);
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	CHECK_EQ(pthread_join(s.thread, NULL), 0);
	CHECK(most >= DEEP / 2, "(%u flushed)", most);
	CHECK(most <= 2 * DEEP, "(%u flushed, of %u)", most, DEEP);
	rc_pair_destroy(p);
	rc_close(dev);
}

const struct test_case ring_cases[] = {
	{ "bad_ring_noise", bad_ring_noise, 0 },
	{ "bad_ring_plausible", bad_ring_plausible, 0 },
	{ "bad_ring_indices", bad_ring_indices, 0 },
	{ "bad_ring_everything", bad_ring_everything, 0 },
	{ "bad_ring_flush", bad_ring_flush, 0 },
};

CASES(ring);

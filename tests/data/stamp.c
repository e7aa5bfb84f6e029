// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stamp.h"

#define WINDOW		64	/* pages that the device sees */
#define QUARANTINE	64	/* replaced slots that are watched before they are used again */
#define SLOTS		(WINDOW + QUARANTINE + 1)
#define WORDS		(PAGE / 8)

struct window {
	uint8_t *map;			/* the device's view: WINDOW pages */
	uint64_t *file;			/* every slot, for the CPU */
	int fd;
	struct ibv_mr *mr;
	uint64_t delta;
	unsigned int slot_of[WINDOW];	/* the replacer's alone */
	uint64_t oldest[WINDOW];	/* generation that may still be seen */
	uint64_t newest[WINDOW];	/* generation that may be seen already */
	unsigned int retired[QUARANTINE];	/* slots, a ring */
	uint64_t *snapshot;		/* what each retired slot held when it went */
	uint64_t replaced;
	uint64_t random;
	bool writing;			/* slots are watched for late writes */
	bool stop;
	pthread_t thread;
};

static uint64_t *slot(struct window *w, unsigned int n)
{
	return w->file + n * WORDS;
}

static void fill_slot(struct window *w, unsigned int n, uint64_t word)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		slot(w, n)[i] = word;
}

static void map_slot(struct window *w, unsigned int page, unsigned int n)
{
	uint8_t *at = w->map + page * PAGE, *second;

	if (rc_random(&w->random) & 1) {
		CHECK(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->fd,
			   n * PAGE) == at, "(%s)", strerror(errno));
		return;
	}
	second = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, n * PAGE);
	CHECK(second != MAP_FAILED);
	CHECK(mremap(second, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
}

/* A slot leaves quarantine: it must hold what it held when it was replaced. */
static void release(struct window *w, unsigned int at)
{
	if (w->writing && w->replaced >= QUARANTINE &&
	    memcmp(slot(w, w->retired[at]), w->snapshot + at * WORDS, PAGE))
		test_fail("a page was written to after another had been mapped in its place");
}

static void replace_one(struct window *w, unsigned int page)
{
	unsigned int at = w->replaced % QUARANTINE, fresh, old = w->slot_of[page];
	uint64_t generation = w->replaced + 1;

	release(w, at);
	fresh = w->retired[at];
	fill_slot(w, fresh, (uint64_t)page << 48 | generation);
	__atomic_store_n(&w->newest[page], generation, __ATOMIC_SEQ_CST);
	map_slot(w, page, fresh);
	__atomic_store_n(&w->oldest[page], generation, __ATOMIC_SEQ_CST);
	w->slot_of[page] = fresh;
	w->retired[at] = old;
	if (w->writing)
		memcpy(w->snapshot + at * WORDS, slot(w, old), PAGE);
	w->replaced++;
}

static void *replace_loop(void *arg)
{
	struct window *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		replace_one(w, rc_random(&w->random) % WINDOW);
		if (rc_random(&w->random) % 4 == 0)
			madvise(w->map, WINDOW * PAGE, MADV_PAGEOUT);
		sched_yield();
	}
	return NULL;
}

static void window_start(struct window *w, struct rc_dev *dev, enum odp_kind odp,
			 uint64_t seed, bool writing)
{
	int access = RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND;
	unsigned int i;

	*w = (struct window){ .random = seed, .writing = writing };
	w->fd = memfd_create("stamp", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(w->fd, SLOTS * PAGE), 0);
	w->file = mmap(NULL, SLOTS * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	w->map = mmap(NULL, WINDOW * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	w->snapshot = calloc(QUARANTINE, PAGE);
	CHECK(w->file != MAP_FAILED && w->map != MAP_FAILED && w->snapshot);
	for (i = 0; i < WINDOW; i++) {
		w->slot_of[i] = i;
		fill_slot(w, i, (uint64_t)i << 48);
	}
	for (i = 0; i < QUARANTINE; i++)
		w->retired[i] = WINDOW + i;
	if (odp == ODP_IMPLICIT) {
		w->mr = ibv_reg_mr(dev->pd, NULL, SIZE_MAX, access);
	} else {
		w->delta = odp == ODP_IOVA ? (seed % (1ull << 30)) * PAGE - (uintptr_t)w->map : 0;
		w->mr = ibv_reg_mr_iova(dev->pd, w->map, WINDOW * PAGE,
					(uintptr_t)w->map + w->delta, access);
	}
	CHECK(w->mr, "(%s)", strerror(errno));
	CHECK_EQ(pthread_create(&w->thread, NULL, replace_loop, w), 0);
}

static void window_stop(struct window *w)
{
	unsigned int i;

	__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
	pthread_join(w->thread, NULL);
	for (i = 0; i < QUARANTINE; i++)
		release(w, i);
	CHECK_EQ(ibv_dereg_mr(w->mr), 0);
	munmap(w->file, SLOTS * PAGE);
	munmap(w->map, WINDOW * PAGE);
	free(w->snapshot);
	close(w->fd);
}

static void post_one(struct rc_pair *p, struct window *w, enum ibv_wr_opcode op,
		     struct ibv_sge sg, size_t off)
{
	struct ibv_send_wr wr = { .opcode = op, .sg_list = &sg, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };

	wr.wr.rdma.remote_addr = (uintptr_t)w->map + off + w->delta;
	wr.wr.rdma.rkey = w->mr->rkey;
	rc_post(&p->a, &wr);
	rc_wc_ok(p->a.scq);
}

static void check_words(struct window *w, const uint64_t *got, size_t off, size_t len,
			const uint64_t *oldest)
{
	uint64_t newest, generation;
	size_t i, page;

	for (i = 0; i < len / 8; i++) {
		page = (off + i * 8) / PAGE;
		newest = __atomic_load_n(&w->newest[page], __ATOMIC_SEQ_CST);
		generation = got[i] & ((1ull << 48) - 1);
		if (got[i] >> 48 != page)
			test_fail("page %zu gave the bytes of page %llu", page,
				  (unsigned long long)(got[i] >> 48));
		if (generation < oldest[page] || generation > newest)
			test_fail("page %zu gave generation %llu: only %llu to %llu were mapped",
				  page, (unsigned long long)generation,
				  (unsigned long long)oldest[page], (unsigned long long)newest);
	}
}

void stamp_read(struct rc_dev *dev, enum odp_kind odp, uint64_t seed, double until,
		uint64_t *bytes)
{
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf out = rc_buf(dev, WINDOW * PAGE, RC_ACCESS_ALL);
	uint64_t oldest[WINDOW], random = seed + 1;
	struct window w;
	size_t off, len, i;

	window_start(&w, dev, odp, seed, false);
	do {
		off = rc_random(&random) % (WINDOW * WORDS) * 8;
		len = 8 + rc_random(&random) % (WINDOW * PAGE - off) / 8 * 8;
		if (len > WINDOW * PAGE - off)
			len = WINDOW * PAGE - off;
		for (i = 0; i < WINDOW; i++)
			oldest[i] = __atomic_load_n(&w.oldest[i], __ATOMIC_SEQ_CST);
		post_one(p, &w, IBV_WR_RDMA_READ, rc_sge(&out, 0, len), off);
		check_words(&w, (uint64_t *)out.addr, off, len, oldest);
		*bytes += len;
	} while (test_now() < until);
	window_stop(&w);
	CHECK(w.replaced > 0);
	rc_buf_free(&out);
	rc_pair_destroy(p);
}

void stamp_write(struct rc_dev *dev, enum odp_kind odp, uint64_t seed, double until,
		 uint64_t *bytes)
{
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf in = rc_buf(dev, WINDOW * PAGE, RC_ACCESS_ALL);
	uint64_t random = seed + 1;
	struct window w;
	size_t off, len;

	window_start(&w, dev, odp, seed, true);
	do {
		off = rc_random(&random) % (WINDOW * PAGE);
		len = 1 + rc_random(&random) % (WINDOW * PAGE - off);
		rc_fill(in.addr, len, random);
		post_one(p, &w, IBV_WR_RDMA_WRITE, rc_sge(&in, 0, len), off);
		*bytes += len;
	} while (test_now() < until);
	window_stop(&w);
	/* Once nobody replaces pages, the last write must be complete. */
	window_start(&w, dev, odp, seed, true);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	pthread_join(w.thread, NULL);
	rc_fill(in.addr, WINDOW * PAGE, seed);
	post_one(p, &w, IBV_WR_RDMA_WRITE, rc_sge(&in, 0, WINDOW * PAGE), 0);
	rc_verify(w.map, WINDOW * PAGE, seed, "written when all is quiet");
	CHECK_EQ(pthread_create(&w.thread, NULL, replace_loop, &w), 0);
	window_stop(&w);
	rc_buf_free(&in);
	rc_pair_destroy(p);
}

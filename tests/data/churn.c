// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "churn.h"

#define MADV_COLLAPSE_	25	/* some headers do not have it */

struct range {
	struct region *r;
	uint8_t *addr;
	size_t len;
};

static struct range pick(struct churn *c)
{
	struct range g;
	size_t page, n, total = REGION_SIZE / PAGE;

	g.r = rc_random(&c->random) & 1 ? c->source : c->target;
	page = rc_random(&c->random) % total;
	n = 1 + rc_random(&c->random) % 64;
	if (n > total - page)
		n = total - page;
	g.addr = g.r->map + page * PAGE;
	g.len = n * PAGE;
	return g;
}

static bool advise(struct range *g, int advice)
{
	return !madvise(g->addr, g->len, advice);
}

static bool do_pageout(struct churn *c, struct range *g)
{
	(void)c;
	return advise(g, MADV_PAGEOUT);
}

static bool do_cold(struct churn *c, struct range *g)
{
	(void)c;
	return advise(g, MADV_COLD);
}

static bool do_merge(struct churn *c, struct range *g)
{
	return advise(g, rc_random(&c->random) % 4 ? MADV_MERGEABLE : MADV_UNMERGEABLE);
}

static bool do_huge(struct churn *c, struct range *g)
{
	static const int advices[] = { MADV_HUGEPAGE, MADV_COLLAPSE_, MADV_NOHUGEPAGE };

	return advise(g, advices[rc_random(&c->random) % 3]);
}

static bool do_sync(struct churn *c, struct range *g)
{
	(void)c;
	return !msync(g->addr, g->len, MS_ASYNC);
}

/* Locked memory cannot be dropped, so lock none while pages are replaced. */
static bool do_lock(struct churn *c, struct range *g)
{
	bool ok;

	pthread_mutex_lock(&c->cpu);
	ok = !mlock(g->addr, g->len);
	if (ok)
		munlock(g->addr, g->len);
	pthread_mutex_unlock(&c->cpu);
	return ok;
}

/* Nobody may write meanwhile: the mutex stops the CPU, and the device only reads the source. */
static bool do_protect(struct churn *c, struct range *g)
{
	int i;

	if (g->r != c->source)
		return false;
	pthread_mutex_lock(&c->cpu);
	if (mprotect(g->addr, g->len, PROT_READ)) {
		pthread_mutex_unlock(&c->cpu);
		return false;
	}
	for (i = 0; i < 5; i++)
		sched_yield();
	CHECK_EQ(mprotect(g->addr, g->len, PROT_READ | PROT_WRITE), 0);
	pthread_mutex_unlock(&c->cpu);
	return true;
}

/* The same page of the same file again: unmapped and mapped in one step. */
static bool do_remap(struct churn *c, struct range *g)
{
	void *p;

	if (!region_is_shared(g->r) || region_is_pinned(g->r))
		return false;
	pthread_mutex_lock(&c->cpu);
	p = mmap(g->addr, g->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, g->r->fd,
		 g->addr - g->r->map);
	pthread_mutex_unlock(&c->cpu);
	CHECK(p == g->addr, "(%s)", strerror(errno));
	return true;
}

/* A second mapping of the page is moved over the first. */
static bool do_move(struct churn *c, struct range *g)
{
	uint8_t *second, *p;

	if (!region_is_shared(g->r) || region_is_pinned(g->r))
		return false;
	pthread_mutex_lock(&c->cpu);
	second = mmap(NULL, g->len, PROT_READ | PROT_WRITE, MAP_SHARED, g->r->fd,
		      g->addr - g->r->map);
	CHECK(second != MAP_FAILED);
	p = mremap(second, g->len, g->len, MREMAP_MAYMOVE | MREMAP_FIXED, g->addr);
	pthread_mutex_unlock(&c->cpu);
	CHECK(p == g->addr, "(%s)", strerror(errno));
	return true;
}

/* The child writes to its own copies; the parent's pages must not change. */
static bool do_fork(struct churn *c, struct range *g)
{
	bool may_write = !region_is_shared(g->r);
	volatile uint8_t sink;
	int status;
	size_t i;
	pid_t pid;

	if (rc_random(&c->random) % 8)
		return false;
	pid = fork();
	if (pid < 0)
		return false;
	if (!pid) {
		for (i = 0; i < g->len; i += PAGE) {
			if (may_write)
				g->addr[i] = 0xdd;
			else
				sink = g->addr[i];
		}
		(void)sink;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return true;
}

/* Write protects every page of the process. */
static bool do_clear_refs(struct churn *c, struct range *g)
{
	(void)g;
	return rc_random(&c->random) % 8 == 0 && test_put("/proc/self/clear_refs", "4\n");
}

static bool do_compact(struct churn *c, struct range *g)
{
	(void)g;
	return rc_random(&c->random) % 64 == 0 && test_put("/proc/sys/vm/compact_memory", "1\n");
}

static void *churn_loop(void *arg)
{
	static bool (*const ops[])(struct churn *, struct range *) = {
		do_pageout, do_pageout, do_cold, do_merge, do_huge, do_sync, do_lock,
		do_protect, do_remap, do_move, do_fork, do_clear_refs, do_compact,
	};
	struct churn *c = arg;
	struct range g;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		g = pick(c);
		c->done += ops[rc_random(&c->random) % ARRAY_SIZE(ops)](c, &g);
		sched_yield();
	}
	return NULL;
}

void churn_start(struct churn *c, struct region *source, struct region *target,
		 uint64_t seed)
{
	*c = (struct churn){ .source = source, .target = target, .random = seed };
	pthread_mutex_init(&c->cpu, NULL);
	CHECK_EQ(pthread_create(&c->thread, NULL, churn_loop, c), 0);
}

void churn_stop(struct churn *c)
{
	__atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
	pthread_join(c->thread, NULL);
}

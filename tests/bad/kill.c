// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Processes that are killed at any moment, whatever they do. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bad_test.h"

/* Everything that can be done to a device, over and over. */
static void busy(uint64_t seed)
{
	struct rc_attr attr = { .timeout = 10, .retry_cnt = 2, .rnr_retry = 2 };
	struct ibv_sge sge;
	struct rc_dev *dev;
	struct rc_pair *p;
	struct rc_buf buf;
	struct ibv_mr *implicit;
	int i;

	for (;;) {
		dev = rc_open();
		p = rc_pair_create(dev, &attr);
		buf = rc_buf(dev, 256 * PAGE, seed & 1 ? ODP_ALL : RC_ACCESS_ALL);
		implicit = ibv_reg_mr(dev->pd, NULL, SIZE_MAX, ODP_ALL);
		sge = rc_sge(&buf, 0, buf.len);
		for (i = 0; i < 20; i++) {
			random_op(&p->a, &buf, &seed);
			random_op(&p->b, &buf, &seed);
			rc_op(&p->a, IBV_WR_RDMA_WRITE, rc_sge(&buf, 0, buf.len / 2), &buf,
			      buf.len / 2);
			ibv_advise_mr(dev->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, &sge, 1);
			madvise(buf.addr, buf.len, rc_random(&seed) & 1 ? MADV_DONTNEED :
				MADV_PAGEOUT);
			drain(p->a.scq);
			drain(p->b.scq);
			rc_pair_reset(p);
		}
		if (implicit)
			ibv_dereg_mr(implicit);
		rc_buf_free(&buf);
		rc_pair_destroy(p);
		rc_close(dev);
	}
}

static void *other_thread(void *arg)
{
	busy((uintptr_t)arg);
	return NULL;
}

static void kill_one(uint64_t *random, bool threads)
{
	uint64_t seed = rc_random(random);
	pthread_t thread;
	int status;
	pid_t pid;

	pid = fork();
	CHECK(pid >= 0, "(%s)", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (threads)
			pthread_create(&thread, NULL, other_thread, (void *)(uintptr_t)seed);
		busy(seed + 1);
	}
	/* This sleep picks a random moment; it does not wait for anything. */
	usleep(rc_random(random) % 30000);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status))
		test_fail("a busy process ended by itself (%#x)", status);
}

static void killed(bool threads)
{
	double until = test_now() + 2 * bad_seconds();
	uint64_t random = test_options.seed;
	unsigned int n = 0;

	for (; test_now() < until; n++)
		kill_one(&random, threads);
	test_note("killed %u processes", n);
	CHECK(n > 0);
}

static void bad_kill(void)
{
	killed(false);
}

static void bad_kill_threads(void)
{
	killed(true);
}

/* The process closes the device with everything in use, and the kernel cleans up. */
static void bad_close_in_use(void)
{
	uint64_t random = test_options.seed;
	struct rc_dev *dev;
	struct rc_pair *p;
	struct rc_buf buf;
	int i, n;

	for (n = 0; n < 20; n++) {
		dev = rc_open();
		p = rc_pair_create(dev, NULL);
		buf = rc_buf(dev, 64 * PAGE, ODP_ALL);
		for (i = 0; i < 30; i++)
			random_op(&p->a, &buf, &random);
		close(dev->ctx->cmd_fd);
		close(dev->ctx->async_fd);
	}
}

const struct test_case kill_cases[] = {
	{ "bad_kill", bad_kill, 0 },
	{ "bad_kill_threads", bad_kill_threads, 0 },
	{ "bad_close_in_use", bad_close_in_use, 0 },
};

CASES(kill);

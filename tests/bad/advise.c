// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Advice about addresses without memory: one call can name terabytes of them
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bad_test.h"

#define GIB		(1ul << 30)
#define HOLES		(8 * GIB)
#define HOLES_COST	4096	/* KiB; a table for that much address space has 16,384 and more */
#define SGES		2000	/* of 4 GiB each: the better part of a minute */
#define IN_THE_CALL	0.05	/* s of CPU time */
#define DEATH		3	/* s, of a process that is killed in it */

static struct rc_dev *open_odp(void)
{
	struct rc_dev *dev = rc_open();

	if (!(dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT_IMPLICIT))
		test_skip("no implicit regions");
	return dev;
}

static struct ibv_mr *implicit(struct rc_dev *dev)
{
	struct ibv_mr *mr = ibv_reg_mr(dev->pd, NULL, SIZE_MAX, ODP_ALL);

	CHECK(mr, "(%s)", strerror(errno));
	return mr;
}

static int advise(struct rc_dev *dev, enum ibv_advise_mr_advice advice, struct ibv_mr *mr,
		  uint64_t addr, uint32_t len)
{
	struct ibv_sge sge = { .addr = addr, .length = len, .lkey = mr->lkey };

	return ibv_advise_mr(dev->pd, advice, IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1);
}

static uint8_t *holes(size_t len)
{
	uint8_t *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* An implicit region has every address; its table has those that a process can map. */
static void bad_advise_beyond(void)
{
	static const enum ibv_advise_mr_advice advices[] = {
		IBV_ADVISE_MR_ADVICE_PREFETCH, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
		IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
	};
	static const uint64_t addrs[] = {
		/* the last pages of a process with four levels of page tables, and five */
		0x7fffffffe000, 0x7ffffffff000, 0xffffffffffe000, 0xfffffffffff000,
		0x8000000000000000, 0xfff0000000000000, UINT64_MAX - 2 * PAGE + 1,
	};
	struct rc_dev *dev = open_odp();
	struct ibv_mr *mr = implicit(dev);
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(addrs); i++) {
		for (j = 0; j < ARRAY_SIZE(advices); j++) {
			int err = advise(dev, advices[j], mr, addrs[i], 2 * PAGE);

			/* Advice about a hole is allowed. */
			if (!err && i < 2 && j == 2)
				continue;
			CHECK(err == EFAULT || err == EINVAL, "(advice %d of %#llx: %d)",
			      advices[j], (unsigned long long)addrs[i], err);
		}
	}
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	rc_close(dev);
}

static long unreclaimable(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = -1;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SUnreclaim: %ld", &kib) == 1)
			break;
	fclose(f);
	CHECK(kib >= 0);
	return kib;
}

/* Advice about missing memory costs the kernel no memory. */
static void bad_advise_holes(void)
{
	struct rc_dev *dev = open_odp();
	struct ibv_mr *mr = implicit(dev);
	uint8_t *p = holes(HOLES);
	long before = unreclaimable(), more;
	size_t at;

	for (at = 0; at < HOLES; at += GIB)
		CHECK_EQ(advise(dev, IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT, mr,
				(uintptr_t)p + at, GIB), 0);
	more = unreclaimable() - before;
	CHECK(more < HOLES_COST, "(%ld KiB for holes)", more);
	CHECK_EQ(munmap(p, HOLES), 0);
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	rc_close(dev);
}

static void advise_for_minutes(uint8_t *p)
{
	struct rc_dev *dev = open_odp();
	struct ibv_mr *mr = implicit(dev);
	static struct ibv_sge sge[SGES];
	int i;

	for (i = 0; i < SGES; i++)
		sge[i] = (struct ibv_sge){ .addr = (uintptr_t)p, .length = 4 * GIB - PAGE,
					   .lkey = mr->lkey };
	ibv_advise_mr(dev->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
		      IBV_ADVISE_MR_FLAG_FLUSH, sge, SGES);
}

static double cpu_time(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	CHECK_EQ(clock_getcpuclockid(pid, &clock), 0);
	CHECK_EQ(clock_gettime(clock, &ts), 0);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* SIGKILL ends the process in the middle of the call. */
static void bad_advise_killed(void)
{
	uint8_t *p = holes(4 * GIB);
	double start, began;
	int ready[2], status;
	char c = 0;
	pid_t pid;

	rc_close(open_odp());
	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(ready[1], &c, 1) == 1)
			advise_for_minutes(p);
		_exit(1);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	for (start = cpu_time(pid); cpu_time(pid) < start + IN_THE_CALL;)
		usleep(1000);
	began = test_ticks();
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status), "(it ended by itself)");
	CHECK(!test_waited(began, DEATH));
}

const struct test_case advise_cases[] = {
	{ "bad_advise_beyond", bad_advise_beyond, 0 },
	{ "bad_advise_holes", bad_advise_holes, 0 },
	{ "bad_advise_killed", bad_advise_killed, 0 },
};

CASES(advise);

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Address spaces that die. The device is opened here and registered by a child, so
 * that it can be looked at when the child is gone.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "uffd.h"

#define RW	(PROT_READ | PROT_WRITE)
#define PAGES	4

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

struct victim {
	char *mem;	/* at the same place in parent and child */
	int fd;
	int ready;	/* the child says so here */
	pid_t pid;
};

/* A child that mirrors mem, does what it is told, and waits to be killed. */
static struct victim victim(void (*does)(struct victim *v))
{
	struct victim v = { .mem = memory(PAGES, RW), .fd = device_open() };
	int pipes[2];
	char c;

	CHECK_EQ(pipe(pipes), 0);
	v.pid = fork();
	if (!v.pid) {
		v.ready = pipes[1];
		CHECK_EQ(device_register(v.fd, 0, UINT64_MAX, v.mem, PAGES * PAGE), 0);
		fill(v.mem, PAGES, 1);
		CHECK_EQ(populate(v.fd, v.mem, PAGES * PAGE, MT_WRITE | MT_BLOCK), PAGES);
		if (does)
			does(&v);
		CHECK_EQ(write(v.ready, "r", 1), 1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	CHECK_EQ(read(pipes[0], &c, 1), 1);
	close(pipes[0]);
	return v;
}

static void kill_victim(struct victim *v)
{
	int status;

	CHECK_EQ(kill(v->pid, SIGKILL), 0);
	CHECK_EQ(waitpid(v->pid, &status, 0), v->pid);
	CHECK(WIFSIGNALED(status));
}

static void check_dead(struct victim *v)
{
	char c;

	CHECK_EQ(device_counters(v->fd).releases, 1);
	CHECK_EQ(device_read(v->fd, v->mem, &c, 1), -ENOENT);
	CHECK_EQ(range_register(v->fd, v->mem, PAGE, 0), -ESRCH);
	CHECK_EQ(device_counters(v->fd).ranges, 0);
	CHECK_EQ(populate(v->fd, v->mem, PAGE, MT_BLOCK), -ESRCH);
}

static void dead__release_and_no_new_ranges(void)
{
	struct victim v = victim(NULL);
	uint64_t invalidations;

	check_device(v.fd, v.mem, PAGES, 1);
	kill_victim(&v);
	invalidations = device_counters(v.fd).invalidations;
	check_dead(&v);
	/* No callback follows release(). */
	CHECK_EQ(flight_start(v.fd, v.mem, PAGE, 0), 0);
	CHECK_EQ(flight_end(v.fd, v.mem, PAGE, 0), 0);
	CHECK_EQ(device_counters(v.fd).invalidations, invalidations);
	CHECK_EQ(device_simple(v.fd, MT_UNREGISTER), 0);
}

static void dead__no_new_mirrors(void)
{
	struct mt_arg arg = { .end = UINT64_MAX, .flags = MT_SAME_MM };
	struct victim v = victim(NULL);

	kill_victim(&v);
	CHECK_EQ(device_simple(v.fd, MT_UNREGISTER), 0);
	CHECK_EQ(device_call(v.fd, MT_REGISTER, &arg), -ESRCH);
}

static void dead__range_outlives_it(void)
{
	struct victim v = victim(NULL);

	CHECK_EQ(range_register(v.fd, v.mem, PAGES * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(v.fd, 0), 0);
	CHECK_EQ(range_fault(v.fd, MT_BLOCK, NULL), PAGES);
	kill_victim(&v);
	CHECK_EQ(range_valid(v.fd), 0);
	CHECK_EQ(range_commit(v.fd), 0);
	CHECK_EQ(range_wait(v.fd, 10000), -ESRCH);
	CHECK_EQ(range_snapshot(v.fd, NULL), -ESRCH);
	CHECK_EQ(range_fault(v.fd, 0, NULL), -ESRCH);
	CHECK_EQ(range_fault(v.fd, MT_BLOCK, NULL), -ESRCH);
	CHECK_EQ(range_unregister(v.fd), 0);
	check_dead(&v);
}

/* Another's address space can be faulted, from here and without its help. */
static void dead__not_yet(void)
{
	struct victim v = victim(NULL);

	CHECK_EQ(device_simple(v.fd, MT_UNREGISTER), 0);
	CHECK_EQ(kill(v.pid, SIGSTOP), 0);
	struct mt_arg arg = {
		.end = UINT64_MAX, .flags = MT_SAME_MM,
		.table_start = (uintptr_t)v.mem, .table_end = (uintptr_t)v.mem + PAGES * PAGE,
	};
	CHECK_EQ(device_call(v.fd, MT_REGISTER, &arg), 0);
	CHECK_EQ(populate(v.fd, v.mem, PAGES * PAGE, MT_WRITE), PAGES);
	check_device(v.fd, v.mem, PAGES, 1);
	kill_victim(&v);
	check_dead(&v);
}

static void dead__while_a_worker_waits(void)
{
	struct mt_arg arg = { .flags = MT_WAIT, .timeout_ms = 1000000 };
	struct victim v = victim(NULL);

	CHECK_EQ(range_register(v.fd, v.mem, PAGE, 0), 0);
	CHECK_EQ(flight_start(v.fd, v.mem, PAGE, 0), 0);
	CHECK_EQ(device_call(v.fd, MT_ASYNC, &arg), 0);
	CHECK_EQ(device_simple(v.fd, MT_WAITERS), 0);
	kill_victim(&v);
	CHECK_EQ(device_simple(v.fd, MT_ASYNC_RESULT), -ESRCH);
	CHECK_EQ(range_unregister(v.fd), 0);
	check_dead(&v);
}

static void fault_and_never_answer(struct victim *v)
{
	struct mt_arg arg = { .flags = MT_BLOCK };
	int uffd;

	CHECK_EQ(madvise(v->mem, PAGES * PAGE, MADV_DONTNEED), 0);
	uffd = uffd_open();
	uffd_watch(uffd, v->mem, PAGES * PAGE);
	CHECK_EQ(range_register(v->fd, v->mem, PAGES * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(v->fd, 0), 0);
	CHECK_EQ(device_call(v->fd, MT_ASYNC, &arg), 0);
	CHECK_EQ(uffd_next(uffd) == v->mem, 1);
}

static void dead__while_a_fault_waits(void)
{
	struct victim v = victim(fault_and_never_answer);

	kill_victim(&v);
	/* Its userfaultfd is closed, so the fault ends, one way or the other. */
	device_simple(v.fd, MT_ASYNC_RESULT);
	/* It held the address space until then. */
	while (!device_counters(v.fd).releases)
		sched_yield();
	CHECK_EQ(range_valid(v.fd), 0);
	CHECK_EQ(range_unregister(v.fd), 0);
	check_dead(&v);
}

static void stop_in_the_kernel(struct victim *v)
{
	CHECK_EQ(write(v->ready, "r", 1), 1);
	device_simple(v->fd, MT_STOP);
}

/* The OOM reaper's way: an invalidation that must not block, and does not fail. */
static void dead__reaped(void)
{
	struct victim v = victim(stop_in_the_kernel);
	uint64_t before;
	long err;
	int pidfd;
	char c;

	CHECK_EQ(device_simple(v.fd, MT_STOPPED), 0);
	pidfd = syscall(SYS_pidfd_open, v.pid, 0);
	CHECK(pidfd >= 0);
	before = device_counters(v.fd).invalidations;
	CHECK_EQ(device_read(v.fd, v.mem, &c, 1), 0);
	CHECK_EQ(kill(v.pid, SIGKILL), 0);
	do
		err = syscall(SYS_process_mrelease, pidfd, 0) ? -errno : 0;
	while (err == -EAGAIN);
	if (err == -ENOSYS) {
		device_simple(v.fd, MT_RESUME);
		test_skip("no process_mrelease()");
	}
	CHECK_EQ(err, 0);
	CHECK(device_counters(v.fd).invalidations > before);
	CHECK_EQ(device_counters(v.fd).releases, 0);
	CHECK_EQ(device_read(v.fd, v.mem, &c, 1), -ENOENT);
	/* What was reaped is never handed out again as if it were there. */
	CHECK(populate(v.fd, v.mem, PAGE, MT_BLOCK) < 0);
	CHECK_EQ(device_simple(v.fd, MT_RESUME), 0);
	CHECK_EQ(waitpid(v.pid, NULL, 0), v.pid);
	check_dead(&v);
}

#define CASE(f)	{ .name = #f, .run = f }

const struct test_case dead_cases[] = {
	CASE(dead__release_and_no_new_ranges),
	CASE(dead__no_new_mirrors),
	CASE(dead__range_outlives_it),
	CASE(dead__not_yet),
	CASE(dead__while_a_worker_waits),
	CASE(dead__while_a_fault_waits),
	CASE(dead__reaped),
};
const size_t dead_count = ARRAY_SIZE(dead_cases);

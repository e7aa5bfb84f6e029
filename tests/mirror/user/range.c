// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Ranges, waits and flights, step by step. Invalidations are held open by hand, so
 * nothing here depends on timing.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define RW	(PROT_READ | PROT_WRITE)

static void register__empty_is_refused(void)
{
	char *mem = memory(2, RW);
	int fd = device_open();

	CHECK_EQ(device_register(fd, 0, 0, mem, PAGE), -EINVAL);
	CHECK_EQ(device_register(fd, 4096, 4096, mem, PAGE), -EINVAL);
	CHECK_EQ(device_register(fd, 8192, 4096, mem, PAGE), -EINVAL);
	CHECK_EQ(device_register(fd, 0, UINT64_MAX, mem, PAGE), 0);
}

static void register__many_on_one_mm(void)
{
	char *mem = memory(8, RW);
	int fd[8];

	for (int i = 0; i < 8; i++)
		fd[i] = device_over(mem + i * PAGE, PAGE);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(populate(fd[i], mem + i * PAGE, PAGE, MT_WRITE), 1);
	CHECK_EQ(madvise(mem + 2 * PAGE, 3 * PAGE, MADV_DONTNEED), 0);
	for (int i = 0; i < 8; i++) {
		char c;

		CHECK_EQ(device_counters(fd[i]).invalidations, i >= 2 && i < 5);
		CHECK_EQ(device_read(fd[i], mem + i * PAGE, &c, 1),
			 i >= 2 && i < 5 ? -ENOENT : 0);
	}
	for (int i = 0; i < 7; i++)
		CHECK_EQ(device_simple(fd[i], MT_UNREGISTER), 0);
	/* Who is left alone is told as before. */
	CHECK_EQ(madvise(mem, 7 * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(device_counters(fd[7]).invalidations, 0);
	CHECK_EQ(madvise(mem, 8 * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(device_counters(fd[7]).invalidations, 1);
	CHECK_EQ(device_simple(fd[7], MT_UNREGISTER), 0);
	/* The one notifier they shared is gone, and can be had again. */
	CHECK_EQ(device_register(fd[0], 0, UINT64_MAX, mem, PAGE), 0);
}

static void range__rounds_outward(void)
{
	char *mem = memory(4, RW);
	struct mt_arg arg = {
		.start = (uintptr_t)mem + PAGE - 1, .end = (uintptr_t)mem + 2 * PAGE + 1,
	};
	int fd = device_over(mem, 4 * PAGE);

	CHECK_EQ(device_call(fd, MT_RANGE_REGISTER, &arg), 0);
	CHECK_EQ(arg.start, (uintptr_t)mem);
	CHECK_EQ(arg.end, (uintptr_t)mem + 3 * PAGE);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_fault(fd, 0, NULL), 3);
}

static void range__last_partial_page_counts(void)
{
	char *mem = memory(4, RW);
	int fd = device_over(mem, 4 * PAGE);

	CHECK_EQ(range_register(fd, mem + 100, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_valid(fd), 1);
	CHECK_EQ(flight_start(fd, mem + PAGE, PAGE, 0), 0);
	CHECK_EQ(range_valid(fd), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(flight_end(fd, mem + PAGE, PAGE, 0), 0);
}

static void range__wrap_is_refused(void)
{
	static const struct { uint64_t start, end; } bad[] = {
		{ 0, 0 },
		{ 4096, 0 },
		{ 4096, 4096 },
		{ 8192, 4096 },
		{ UINT64_MAX - 4095, UINT64_MAX },
		{ UINT64_MAX, UINT64_MAX },
		{ 0, UINT64_MAX },
		{ UINT64_MAX - 10000, 0 },
	};
	char *mem = memory(1, RW);
	int fd = device_over_all(mem, PAGE);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct mt_arg arg = { .start = bad[i].start, .end = bad[i].end };

		CHECK_EQ(device_call(fd, MT_RANGE_REGISTER, &arg), -EINVAL);
	}
	CHECK_EQ(device_counters(fd).ranges, 0);
}

static void range__outside_of_the_mirror(void)
{
	char *mem = memory(4, RW);
	int fd = device_over(mem + PAGE, 2 * PAGE);

	CHECK_EQ(range_register(fd, mem, PAGE, 0), -EINVAL);
	CHECK_EQ(range_register(fd, mem, 2 * PAGE, 0), -EINVAL);
	CHECK_EQ(range_register(fd, mem + 2 * PAGE, 2 * PAGE, 0), -EINVAL);
	CHECK_EQ(range_register(fd, mem + 3 * PAGE, PAGE, 0), -EINVAL);
	CHECK_EQ(range_register(fd, mem + PAGE, 2 * PAGE, 0), 0);
}

static void range__in_a_flight(void)
{
	char *mem = memory(2, RW);
	int fd = device_over(mem, 2 * PAGE);

	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_register(fd, mem, 2 * PAGE, 0), 0);
	CHECK_EQ(range_valid(fd), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(range_valid(fd), 0);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_valid(fd), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_valid(fd), 1);
}

/* A flight that began when nobody had a mirror where it is. */
static void mirror__in_a_flight(void)
{
	char *mem = memory(4, RW);
	int other = device_over(mem, PAGE);
	int fd;

	CHECK_EQ(flight_start(other, mem + 2 * PAGE, PAGE, 0), 0);
	fd = device_over(mem + 2 * PAGE, PAGE);
	CHECK_EQ(range_register(fd, mem + 2 * PAGE, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(flight_end(other, mem + 2 * PAGE, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
}

static void wait__times_out(void)
{
	char *mem = memory(1, RW);
	int fd = device_over(mem, PAGE);
	double before;

	CHECK_EQ(range_register(fd, mem, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	before = test_ticks();
	CHECK_EQ(range_wait(fd, 500), -ETIMEDOUT);
	CHECK(test_waited(before, 0.5));
	/* That the wait failed takes nothing away from what the caller registered. */
	CHECK_EQ(device_counters(fd).ranges, 1);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_fault(fd, MT_BLOCK, NULL), 1);
	CHECK_EQ(range_unregister(fd), 0);
	CHECK_EQ(device_counters(fd).ranges, 0);
	/* Giving up is one of the ways to be done with it. */
	CHECK_EQ(range_register(fd, mem, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(range_unregister(fd), 0);
	CHECK_EQ(device_counters(fd).ranges, 0);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
}

/* The loop as a whole: it gives up, and leaves no range behind. */
static void wait__timeout_leaves_no_range(void)
{
	char *mem = memory(1, RW);
	int fd = device_over(mem, PAGE);
	unsigned int busy = 0;

	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(populate_at_once(fd, mem, PAGE, MT_BLOCK, &busy), -ETIMEDOUT);
	CHECK_EQ(device_counters(fd).ranges, 0);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(populate_at_once(fd, mem, PAGE, MT_BLOCK, &busy), 1);
	CHECK_EQ(device_counters(fd).ranges, 0);
}

static void wait__wakes_at_the_end(void)
{
	struct mt_arg arg = { .flags = MT_WAIT, .timeout_ms = 50000 };
	char *mem = memory(2, RW);
	int fd = device_over(mem, 2 * PAGE);

	CHECK_EQ(range_register(fd, mem, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, 2 * PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(device_call(fd, MT_ASYNC, &arg), 0);
	CHECK_EQ(device_simple(fd, MT_WAITERS), 0);
	CHECK_EQ(flight_end(fd, mem, 2 * PAGE, 0), 0);
	/* The other one is still there. */
	CHECK_EQ(device_simple(fd, MT_WAITERS), 0);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(device_simple(fd, MT_ASYNC_RESULT), 0);
	CHECK_EQ(range_valid(fd), 1);
}

static void wait__is_killed(void)
{
	char *mem = memory(1, RW);
	int fd = device_over(mem, PAGE), status;
	pid_t pid;

	CHECK_EQ(range_register(fd, mem, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	pid = fork();
	if (!pid) {
		range_wait(fd, 1000000);
		_exit(0);
	}
	CHECK_EQ(device_simple(fd, MT_WAITERS), 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(device_counters(fd).last_wait, -EINTR);
	CHECK_EQ(device_counters(fd).ranges, 1);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
}

static void flight__elsewhere_is_nothing(void)
{
	char *mem = memory(8, RW);
	int fd = device_over_all(mem, 8 * PAGE);

	CHECK_EQ(range_register(fd, mem + 3 * PAGE, 2 * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(flight_start(fd, mem, 2 * PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem + 6 * PAGE, 2 * PAGE, 0), 0);
	/* Neither what was sampled before nor what comes now minds them. */
	CHECK_EQ(range_valid(fd), 1);
	CHECK_EQ(range_unregister(fd), 0);
	CHECK_EQ(range_register(fd, mem + 3 * PAGE, 2 * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_fault(fd, 0, NULL), 2);
	CHECK_EQ(range_commit(fd), 1);
	CHECK_EQ(flight_end(fd, mem, 2 * PAGE, 0), 0);
	CHECK_EQ(flight_end(fd, mem + 6 * PAGE, 2 * PAGE, 0), 0);
	CHECK_EQ(range_valid(fd), 1);
}

/* end is exclusive: a flight that touches the range does not overlap it. */
static void flight__adjacent_is_elsewhere(void)
{
	char *mem = memory(6, RW);
	int fd = device_over(mem, 6 * PAGE);

	CHECK_EQ(range_register(fd, mem + 2 * PAGE, 2 * PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(flight_start(fd, mem + PAGE, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem + 4 * PAGE, PAGE, 0), 0);
	CHECK_EQ(range_valid(fd), 1);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(flight_end(fd, mem + PAGE, PAGE, 0), 0);
	CHECK_EQ(flight_end(fd, mem + 4 * PAGE, PAGE, 0), 0);
}

static void flight__one_page_in_is_overlap(void)
{
	char *mem = memory(6, RW);
	int fd = device_over(mem, 6 * PAGE);

	for (int i = 2; i < 4; i++) {
		CHECK_EQ(range_register(fd, mem + 2 * PAGE, 2 * PAGE, 0), 0);
		CHECK_EQ(range_wait(fd, 0), 0);
		CHECK_EQ(flight_start(fd, mem + i * PAGE, PAGE, 0), 0);
		CHECK_EQ(range_valid(fd), 0);
		CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
		CHECK_EQ(flight_end(fd, mem + i * PAGE, PAGE, 0), 0);
		CHECK_EQ(range_unregister(fd), 0);
	}
}

static void flight__equal_ones(void)
{
	char *mem = memory(4, RW);
	int fd = device_over(mem, 4 * PAGE);

	CHECK_EQ(range_register(fd, mem, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
}

/* Each end is that of its own start. */
static void flight__nested_ones(void)
{
	char *mem = memory(4, RW);
	int fd = device_over(mem, 4 * PAGE);

	CHECK_EQ(range_register(fd, mem + PAGE, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, 4 * PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(flight_start(fd, mem + 3 * PAGE, PAGE, 0), 0);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(flight_end(fd, mem + 3 * PAGE, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(flight_end(fd, mem, 4 * PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
}

/* More than there are slots: waits are longer than they must be, but right. */
static void flight__more_than_slots(void)
{
	char *mem = memory(202, RW);
	int fd = device_over_all(mem, 202 * PAGE);

	for (int i = 0; i < 100; i++)
		CHECK_EQ(flight_start(fd, mem + 2 * i * PAGE, PAGE, 0), 0);
	CHECK_EQ(range_register(fd, mem + 200 * PAGE, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(flight_end(fd, mem + 2 * i * PAGE, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	/* And as good as new. */
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(flight_start(fd, mem + 200 * PAGE, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), -ETIMEDOUT);
	CHECK_EQ(flight_end(fd, mem + 200 * PAGE, PAGE, 0), 0);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
}

/* The OOM reaper's: never refused, so nothing of it is left behind. */
static void flight__nonblockable(void)
{
	char *mem = memory(1, RW), c;
	int fd = device_over(mem, PAGE);

	CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE), 1);
	CHECK_EQ(range_register(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(flight_start(fd, mem, PAGE, MT_NONBLOCK), 0);
	CHECK_EQ(range_valid(fd), 0);
	CHECK_EQ(device_read(fd, mem, &c, 1), -ENOENT);
	CHECK_EQ(flight_end(fd, mem, PAGE, MT_NONBLOCK), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
}

static void flight__tells_whole_pages(void)
{
	char *mem = memory(4, RW), c;
	int fd = device_over(mem, 4 * PAGE);
	struct mt_counters counters;

	CHECK_EQ(populate(fd, mem, 4 * PAGE, MT_WRITE), 4);
	CHECK_EQ(flight_start(fd, mem + 2 * PAGE - 1, 2, 0), 0);
	counters = device_counters(fd);
	CHECK_EQ(counters.last_start, (uintptr_t)mem + PAGE);
	CHECK_EQ(counters.last_end, (uintptr_t)mem + 3 * PAGE);
	CHECK_EQ(device_read(fd, mem, &c, 1), 0);
	CHECK_EQ(device_read(fd, mem + PAGE, &c, 1), -ENOENT);
	CHECK_EQ(device_read(fd, mem + 2 * PAGE, &c, 1), -ENOENT);
	CHECK_EQ(device_read(fd, mem + 3 * PAGE, &c, 1), 0);
	CHECK_EQ(flight_end(fd, mem + 2 * PAGE - 1, 2, 0), 0);
}

static void valid__not_before_the_wait(void)
{
	char *mem = memory(1, RW);
	int fd = device_over(mem, PAGE);

	CHECK_EQ(range_register(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_valid(fd), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_valid(fd), 1);
}

/* A whole invalidation between the fault and the commit. */
static void valid__sees_what_has_passed(void)
{
	char *mem = memory(1, RW), c;
	int fd = device_over(mem, PAGE);

	CHECK_EQ(range_register(fd, mem, PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_fault(fd, 0, NULL), 1);
	CHECK_EQ(flight_start(fd, mem, PAGE, 0), 0);
	CHECK_EQ(flight_end(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_valid(fd), 0);
	CHECK_EQ(range_commit(fd), 0);
	CHECK_EQ(device_read(fd, mem, &c, 1), -ENOENT);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_fault(fd, 0, NULL), 1);
	CHECK_EQ(range_commit(fd), 1);
	CHECK_EQ(device_read(fd, mem, &c, 1), 0);
}

/* The same with the memory really gone. */
static void valid__sees_dontneed(void)
{
	char *mem = memory(1, RW), c;
	int fd = device_over(mem, PAGE);

	fill(mem, 1, 1);
	CHECK_EQ(range_register(fd, mem, PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_fault(fd, 0, NULL), 1);
	CHECK_EQ(madvise(mem, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(range_commit(fd), 0);
	CHECK_EQ(device_read(fd, mem, &c, 1), -ENOENT);
}

#define CASE(f)	{ .name = #f, .run = f }

const struct test_case range_cases[] = {
	CASE(register__empty_is_refused),
	CASE(register__many_on_one_mm),
	CASE(range__rounds_outward),
	CASE(range__last_partial_page_counts),
	CASE(range__wrap_is_refused),
	CASE(range__outside_of_the_mirror),
	CASE(range__in_a_flight),
	CASE(mirror__in_a_flight),
	CASE(wait__times_out),
	CASE(wait__timeout_leaves_no_range),
	CASE(wait__wakes_at_the_end),
	CASE(wait__is_killed),
	CASE(flight__elsewhere_is_nothing),
	CASE(flight__adjacent_is_elsewhere),
	CASE(flight__one_page_in_is_overlap),
	CASE(flight__equal_ones),
	CASE(flight__nested_ones),
	CASE(flight__more_than_slots),
	CASE(flight__nonblockable),
	CASE(flight__tells_whole_pages),
	CASE(valid__not_before_the_wait),
	CASE(valid__sees_what_has_passed),
	CASE(valid__sees_dontneed),
};
const size_t range_count = ARRAY_SIZE(range_cases);

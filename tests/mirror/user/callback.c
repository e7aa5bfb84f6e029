// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What takes memory away from a process, one way a case: the device has lost it when
 * the system call returns, and sees the new state when it asks again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define RW	(PROT_READ | PROT_WRITE)
#define PAGES	8

/* Four pages in the middle, all of it in the device's table. */
struct stage {
	char *mem;
	char *middle;
	int memfd;
	int fd;
	uint64_t before;	/* invalidations */
};

static struct stage prepare(bool shared)
{
	struct stage s;

	s.mem = shared ? shared_memory(PAGES, &s.memfd) : memory(PAGES, RW);
	s.middle = s.mem + 2 * PAGE;
	s.fd = device_over(s.mem, PAGES * PAGE);
	fill(s.mem, PAGES, 1);
	CHECK_EQ(populate(s.fd, s.mem, PAGES * PAGE, MT_WRITE | MT_BLOCK), PAGES);
	check_device(s.fd, s.mem, PAGES, 1);
	s.before = device_counters(s.fd).invalidations;
	return s;
}

/* The middle has left the table, the rest has not if the call named the middle. */
static void check_lost(struct stage *s, bool rest_stays)
{
	char c;

	CHECK(device_counters(s->fd).invalidations > s->before);
	for (int i = 0; i < PAGES; i++) {
		bool middle = i >= 2 && i < 6;
		long err = device_read(s->fd, s->mem + i * PAGE, &c, 1);

		if (middle)
			CHECK_EQ(err, -ENOENT);
		else if (rest_stays)
			CHECK_EQ(err, 0);
	}
}

static void check_middle_is_zero(struct stage *s)
{
	static const char zero[4 * PAGE];
	char copy[4 * PAGE];

	CHECK_EQ(populate(s->fd, s->middle, sizeof(copy), MT_BLOCK), 4);
	CHECK_EQ(device_read(s->fd, s->middle, copy, sizeof(copy)), 0);
	CHECK(!memcmp(copy, zero, sizeof(copy)));
}

static void lost_by__munmap(void)
{
	struct stage s = prepare(false);

	CHECK_EQ(munmap(s.middle, 4 * PAGE), 0);
	check_lost(&s, true);
	CHECK_EQ(populate(s.fd, s.middle, PAGE, MT_BLOCK), -EFAULT);
}

static void lost_by__mmap_over_it(void)
{
	struct stage s = prepare(false);

	CHECK(mmap(s.middle, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0) == s.middle);
	check_lost(&s, true);
	check_middle_is_zero(&s);
}

static void lost_by__dontneed(void)
{
	struct stage s = prepare(false);

	CHECK_EQ(madvise(s.middle, 4 * PAGE, MADV_DONTNEED), 0);
	check_lost(&s, true);
	check_middle_is_zero(&s);
}

static void lost_by__madv_free(void)
{
	struct stage s = prepare(false);

	CHECK_EQ(madvise(s.middle, 4 * PAGE, MADV_FREE), 0);
	check_lost(&s, true);
	CHECK_EQ(populate(s.fd, s.mem, PAGES * PAGE, MT_WRITE | MT_BLOCK), PAGES);
}

static void lost_by__mprotect(void)
{
	struct stage s = prepare(false);
	char c = 0;

	CHECK_EQ(mprotect(s.middle, 4 * PAGE, PROT_READ), 0);
	check_lost(&s, true);
	CHECK_EQ(populate(s.fd, s.middle, 4 * PAGE, MT_BLOCK), 4);
	CHECK_EQ(device_write(s.fd, s.middle, &c, 1), -EACCES);
	check_device(s.fd, s.mem, PAGES, 1);
}

/* Both places: where it goes from, and what it goes over. */
static void lost_by__mremap(void)
{
	struct stage s = prepare(false);
	char *to = memory(4, RW);
	int fd = device_over(to, 4 * PAGE);
	char c;

	fill(to, 4, 9);
	CHECK_EQ(populate(fd, to, 4 * PAGE, MT_WRITE | MT_BLOCK), 4);
	CHECK(mremap(s.middle, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	      to);
	check_lost(&s, true);
	CHECK_EQ(device_read(fd, to, &c, 1), -ENOENT);
	CHECK_EQ(populate(fd, to, 4 * PAGE, MT_BLOCK), 4);
	CHECK_EQ(populate(s.fd, s.middle, PAGE, MT_BLOCK), -EFAULT);
	/* The pages moved with what was in them. */
	for (int i = 0; i < 4; i++) {
		char a[PAGE];

		CHECK_EQ(device_read(fd, to + i * PAGE, a, PAGE), 0);
		CHECK(!memcmp(a, to + i * PAGE, PAGE));
	}
	fill(to, 4, 3);
	check_device(fd, to, 4, 3);
}

/* The parent's pages turn read-only: what the device writes then is not the child's. */
static void lost_by__fork(void)
{
	struct stage s = prepare(false);
	char pattern[4 * PAGE], c = 0;
	int pipes[2], status;
	pid_t pid;

	CHECK_EQ(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		close(pipes[1]);
		if (read(pipes[0], &c, 1) != 0)
			_exit(2);
		check_filled(s.mem, PAGES, 1);
		_exit(0);
	}
	check_lost(&s, false);
	CHECK_EQ(populate(s.fd, s.middle, 4 * PAGE, MT_BLOCK), 4);
	CHECK_EQ(device_write(s.fd, s.middle, &c, 1), -EACCES);
	CHECK_EQ(populate(s.fd, s.middle, 4 * PAGE, MT_WRITE | MT_BLOCK), 4);
	fill(pattern, 4, 2);
	CHECK_EQ(device_write(s.fd, s.middle, pattern, sizeof(pattern)), 0);
	check_filled(s.middle, 4, 2);
	close(pipes[0]);
	close(pipes[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void lost_by__pageout(void)
{
	struct stage s;

	need_swap();
	s = prepare(false);
	page_out(s.middle, 4);
	check_lost(&s, true);
	CHECK_EQ(populate(s.fd, s.middle, 4 * PAGE, MT_BLOCK), 4);
	check_device(s.fd, s.mem, PAGES, 1);
}

static void lost_by__truncate(void)
{
	struct stage s = prepare(true);

	CHECK_EQ(ftruncate(s.memfd, 2 * PAGE), 0);
	check_lost(&s, false);
	CHECK_EQ(populate(s.fd, s.middle, PAGE, MT_BLOCK), -EFAULT);
	check_device(s.fd, s.mem, 2, 1);
	CHECK_EQ(ftruncate(s.memfd, PAGES * PAGE), 0);
	check_middle_is_zero(&s);
}

static void lost_by__punch_hole(void)
{
	struct stage s = prepare(true);

	CHECK_EQ(fallocate(s.memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   2 * PAGE, 4 * PAGE), 0);
	check_lost(&s, true);
	check_middle_is_zero(&s);
}

#define CASE(f)	{ .name = #f, .run = f }

const struct test_case callback_cases[] = {
	CASE(lost_by__munmap),
	CASE(lost_by__mmap_over_it),
	CASE(lost_by__dontneed),
	CASE(lost_by__madv_free),
	CASE(lost_by__mprotect),
	CASE(lost_by__mremap),
	CASE(lost_by__fork),
	CASE(lost_by__pageout),
	CASE(lost_by__truncate),
	CASE(lost_by__punch_hole),
};
const size_t callback_count = ARRAY_SIZE(callback_cases);

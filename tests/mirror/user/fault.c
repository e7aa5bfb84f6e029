// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Snapshots and faults: every kind of memory, and every answer. What the device
 * then reads and writes is compared byte for byte with what the CPU sees.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "uffd.h"

#define RW	(PROT_READ | PROT_WRITE)

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB	(21 << 26)
#endif

/*
 * The device writes, the CPU reads; the CPU writes, the device reads. The kernel may
 * take what is large enough for a huge page away at any time, to make one of it.
 */
static void both_ways(int fd, void *mem, size_t pages)
{
	void *pattern = malloc(pages * PAGE), *copy = malloc(pages * PAGE);
	long err;

	CHECK(pattern && copy);
	fill(pattern, pages, 7);
	while ((err = device_write(fd, mem, pattern, pages * PAGE)) == -ENOENT)
		CHECK_EQ(populate(fd, mem, pages * PAGE, MT_WRITE | MT_BLOCK), pages);
	CHECK_EQ(err, 0);
	check_filled(mem, pages, 7);
	fill(mem, pages, 8);
	while ((err = device_read(fd, mem, copy, pages * PAGE)) == -ENOENT)
		CHECK_EQ(populate(fd, mem, pages * PAGE, MT_WRITE | MT_BLOCK), pages);
	CHECK_EQ(err, 0);
	check_filled(copy, pages, 8);
	free(pattern);
	free(copy);
}

static void first_touch(unsigned int flags, size_t pages)
{
	char *mem = memory(pages, RW);
	int fd = device_over(mem, pages * PAGE);

	CHECK_EQ(populate(fd, mem, pages * PAGE, MT_WRITE | flags), pages);
	both_ways(fd, mem, pages);
}

static void fault__first_touch(void)
{
	first_touch(MT_BLOCK, 1);
	first_touch(MT_BLOCK, 600);
}

static void fault__first_touch_nowait(void)
{
	first_touch(0, 1);
	first_touch(0, 600);
}

static void fault__some_are_there(void)
{
	char *mem = memory(64, RW);
	int fd = device_over(mem, 64 * PAGE);

	for (int i = 0; i < 64; i += 3)
		mem[i * PAGE] = 1;
	CHECK_EQ(populate(fd, mem, 64 * PAGE, MT_WRITE), 64);
	both_ways(fd, mem, 64);
}

/* Untouched memory that is only read is zero, and stays read-only. */
static void fault__read(void)
{
	for (unsigned int flags = 0; flags <= MT_BLOCK; flags += MT_BLOCK) {
		char *mem = memory(2, RW), copy[2 * PAGE];
		int fd = device_over(mem, 2 * PAGE);

		CHECK_EQ(populate(fd, mem, 2 * PAGE, flags), 2);
		CHECK_EQ(device_read(fd, mem, copy, sizeof(copy)), 0);
		for (size_t i = 0; i < sizeof(copy); i++)
			CHECK_EQ(copy[i], 0);
		CHECK_EQ(device_write(fd, mem, copy, 1), -EACCES);
		CHECK_EQ(populate(fd, mem, 2 * PAGE, flags | MT_WRITE), 2);
		both_ways(fd, mem, 2);
		close(fd);
	}
}

static void fault__several_vmas(void)
{
	char *mem = memory(6, RW);
	int fd = device_over(mem, 6 * PAGE);
	int memfd;
	char *shared = shared_memory(2, &memfd);

	/* private, shared, private with another protection */
	CHECK(mmap(mem + 2 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, memfd, 0) !=
	      MAP_FAILED);
	CHECK_EQ(mprotect(mem + 4 * PAGE, 2 * PAGE, RW | PROT_EXEC), 0);
	CHECK_EQ(populate(fd, mem, 6 * PAGE, MT_WRITE | MT_BLOCK), 6);
	both_ways(fd, mem, 6);
	CHECK(!memcmp(shared, mem + 2 * PAGE, 2 * PAGE));
	/* and again without blocking, all of it being there */
	CHECK_EQ(populate(fd, mem, 6 * PAGE, MT_WRITE), 6);
}

static void fault__hole_in_the_middle(void)
{
	char *mem = memory(5, RW);
	int fd = device_over(mem, 5 * PAGE);
	uint32_t pages[5];

	fill(mem, 5, 1);
	CHECK_EQ(munmap(mem + 2 * PAGE, PAGE), 0);
	CHECK_EQ(range_register(fd, mem, 5 * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_fault(fd, MT_BLOCK, NULL), -EFAULT);
	CHECK_EQ(range_fault(fd, 0, NULL), -EFAULT);
	CHECK_EQ(range_snapshot(fd, pages), 4);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(pages[i], i == 2 ? 0 : MT_PAGE_VALID | MT_PAGE_WRITE);
	CHECK_EQ(range_commit(fd), 1);
	check_device(fd, mem, 2, 1);
	CHECK_EQ(range_unregister(fd), 0);
	/* What is beside the hole can be had. */
	CHECK_EQ(populate(fd, mem, 2 * PAGE, MT_WRITE), 2);
	CHECK_EQ(populate(fd, mem + 3 * PAGE, 2 * PAGE, MT_WRITE), 2);
	CHECK_EQ(populate(fd, mem + 2 * PAGE, PAGE, 0), -EFAULT);
}

static void fault__read_only(void)
{
	char *mem = memory(3, RW), c = 0;
	int fd = device_over(mem, 3 * PAGE);
	uint32_t pages[3];

	fill(mem, 3, 1);
	CHECK_EQ(mprotect(mem, 3 * PAGE, PROT_READ), 0);
	for (unsigned int flags = 0; flags <= MT_BLOCK; flags += MT_BLOCK) {
		CHECK_EQ(populate(fd, mem, 3 * PAGE, MT_WRITE | flags), -EPERM);
		CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE | flags), -EPERM);
		CHECK_EQ(populate(fd, mem, 3 * PAGE, flags), 3);
		check_device(fd, mem, 3, 1);
		CHECK_EQ(device_write(fd, mem, &c, 1), -EACCES);
	}
	CHECK_EQ(range_register(fd, mem, 3 * PAGE, 0), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_snapshot(fd, pages), 3);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pages[i], MT_PAGE_VALID);
}

static void fault__no_access(void)
{
	char *mem = memory(1, RW);
	int fd = device_over(mem, PAGE);

	fill(mem, 1, 1);
	CHECK_EQ(mprotect(mem, PAGE, PROT_NONE), 0);
	for (unsigned int flags = 0; flags <= MT_BLOCK; flags += MT_BLOCK) {
		CHECK_EQ(populate(fd, mem, PAGE, flags), -EFAULT);
		CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE | flags), -EFAULT);
	}
}

/* A mapping that is not of pages. */
static void fault__no_memory(void)
{
	unsigned long start = 0, end;
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "r");
	int fd;

	CHECK(maps);
	while (!start && fgets(line, sizeof(line), maps))
		if (!strstr(line, "[vvar") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			start = 0;
	fclose(maps);
	if (!start)
		test_skip("no [vvar]");
	fd = device_over((void *)start, end - start);
	CHECK_EQ(populate(fd, (void *)start, PAGE, MT_BLOCK), -EFAULT);
	/* Only a fault that may block has to find out. */
	CHECK_EQ(populate(fd, (void *)start, PAGE, 0), -EAGAIN);
}

static void snapshot__faults_nothing(void)
{
	char *mem = memory(4, RW);
	int fd = device_over(mem, 4 * PAGE);
	uint32_t pages[4];

	mem[PAGE] = 1;
	CHECK_EQ(range_register(fd, mem, 4 * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	for (int pass = 0; pass < 2; pass++) {
		CHECK_EQ(range_snapshot(fd, pages), 1);
		for (int i = 0; i < 4; i++)
			CHECK_EQ(pages[i], i == 1 ? MT_PAGE_VALID | MT_PAGE_WRITE : 0);
	}
	CHECK_EQ(range_valid(fd), 1);
}

/* Every outcome of these leaves mmap_lock as it was: free. */
static void fault__leaves_mmap_lock_free(void)
{
	char *mem = memory(4, RW);
	int fd = device_over(mem, 4 * PAGE), memfd;
	char *shared = shared_memory(1, &memfd);
	int shared_fd = device_over(shared, PAGE);

	CHECK_EQ(mprotect(mem + 3 * PAGE, PAGE, PROT_READ), 0);
	CHECK_EQ(munmap(mem + PAGE, PAGE), 0);
	CHECK_EQ(device_simple(fd, MT_MMAP_FREE), 1);
	for (int page = 0; page < 4; page++) {
		CHECK_EQ(range_register(fd, mem + page * PAGE, PAGE, MT_WRITE), 0);
		for (unsigned int flags = 0; flags <= MT_BLOCK; flags += MT_BLOCK) {
			range_wait(fd, 0);
			range_fault(fd, flags, NULL);
			CHECK_EQ(device_simple(fd, MT_MMAP_FREE), 1);
			range_snapshot(fd, NULL);
			CHECK_EQ(device_simple(fd, MT_MMAP_FREE), 1);
			CHECK_EQ(flight_start(fd, mem + page * PAGE, PAGE, 0), 0);
			range_fault(fd, flags, NULL);
			CHECK_EQ(device_simple(fd, MT_MMAP_FREE), 1);
			range_snapshot(fd, NULL);
			CHECK_EQ(device_simple(fd, MT_MMAP_FREE), 1);
			CHECK_EQ(flight_end(fd, mem + page * PAGE, PAGE, 0), 0);
		}
		CHECK_EQ(range_unregister(fd), 0);
	}
	CHECK_EQ(populate(shared_fd, shared, PAGE, 0), -EAGAIN);
	CHECK_EQ(device_simple(fd, MT_MMAP_FREE), 1);
}

static void fault__busy_in_a_flight(void)
{
	char *mem = memory(2, RW);
	int fd = device_over(mem, 2 * PAGE);

	CHECK_EQ(range_register(fd, mem, 2 * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(flight_start(fd, mem + PAGE, PAGE, 0), 0);
	CHECK_EQ(range_fault(fd, MT_BLOCK, NULL), -EBUSY);
	CHECK_EQ(range_fault(fd, 0, NULL), -EBUSY);
	CHECK_EQ(range_snapshot(fd, NULL), -EBUSY);
	CHECK_EQ(flight_end(fd, mem + PAGE, PAGE, 0), 0);
	CHECK_EQ(range_snapshot(fd, NULL), -EBUSY);
	CHECK_EQ(range_fault(fd, MT_BLOCK, NULL), -EBUSY);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_fault(fd, MT_BLOCK, NULL), 2);
}

/*
 * Copy on write invalidates the range that the fault is for. Without blocking that
 * is no reason to fail.
 */
static void fault__copy_on_write(void)
{
	for (int pages = 1; pages <= 8; pages += 7) {
		char *mem = memory(pages, RW);
		int fd = device_over(mem, pages * PAGE), status, pipes[2];
		unsigned int busy = 0;
		pid_t pid;
		char c = 0;

		fill(mem, pages, 3);
		CHECK_EQ(pipe(pipes), 0);
		pid = fork();
		if (!pid) {
			close(pipes[1]);
			if (read(pipes[0], &c, 1) != 0)
				_exit(2);
			check_filled(mem, pages, 3);
			_exit(0);
		}
		CHECK_EQ(populate_at_once(fd, mem, pages * PAGE, MT_WRITE, &busy), pages);
		CHECK_EQ(busy, 0);
		both_ways(fd, mem, pages);
		close(pipes[0]);
		close(pipes[1]);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		close(fd);
	}
}

static void fault__shared_memory(void)
{
	int memfd;
	char *mem = shared_memory(4, &memfd);
	int fd = device_over(mem, 4 * PAGE);

	/* shmem may have to read swap, so nothing is promised without blocking */
	CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE), -EAGAIN);
	CHECK_EQ(populate(fd, mem, 4 * PAGE, MT_WRITE), -EAGAIN);
	CHECK_EQ(populate(fd, mem, 4 * PAGE, MT_WRITE | MT_BLOCK), 4);
	both_ways(fd, mem, 4);
	CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE), 1);
	CHECK_EQ(populate(fd, mem, 4 * PAGE, MT_WRITE), 4);
}

/* Never -EAGAIN turned into success, nor I/O without leave. */
static void fault__swapped_out(void)
{
	char *mem = memory(16, RW);
	long there;
	int fd;

	need_swap();
	fd = device_over(mem, 16 * PAGE);
	fill(mem, 16, 5);
	page_out(mem, 16);
	/* What is still in the swap cache takes no I/O. */
	there = populate(fd, mem, 16 * PAGE, MT_WRITE);
	if (there != -EAGAIN)
		CHECK_EQ(there, 16);
	CHECK_EQ(populate(fd, mem, 16 * PAGE, MT_BLOCK), 16);
	check_device(fd, mem, 16, 5);
	page_out(mem, 16);
	CHECK_EQ(populate(fd, mem, 16 * PAGE, MT_BLOCK | MT_WRITE), 16);
	both_ways(fd, mem, 16);
}

static void fault__mmap_lock_is_taken(void)
{
	char *mem = memory(1, RW);
	int fd = device_over(mem, PAGE);

	CHECK_EQ(range_register(fd, mem, PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(device_simple(fd, MT_FAULT_LOCKED), -EAGAIN);
	CHECK_EQ(device_simple(fd, MT_MMAP_FREE), 1);
	CHECK_EQ(range_fault(fd, 0, NULL), 1);
}

static void fault__userfaultfd_nowait(void)
{
	char *mem = memory(2, RW);
	int fd = device_over(mem, 2 * PAGE);

	uffd_watch(uffd_open(), mem, 2 * PAGE);
	CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE), -EAGAIN);
	CHECK_EQ(populate(fd, mem, 2 * PAGE, 0), -EAGAIN);
	CHECK_EQ(device_simple(fd, MT_MMAP_FREE), 1);
}

static void fault__userfaultfd(void)
{
	struct mt_arg arg = { .flags = MT_BLOCK };
	char *mem = memory(2, RW), *content = memory(2, RW);
	int fd = device_over(mem, 2 * PAGE);
	int uffd = uffd_open();

	uffd_watch(uffd, mem, 2 * PAGE);
	fill(content, 2, 9);
	CHECK_EQ(range_register(fd, mem, 2 * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(device_call(fd, MT_ASYNC, &arg), 0);
	for (int i = 0; i < 2; i++) {
		char *addr = uffd_next(uffd);

		/* The fault waits, and mmap_lock is free while it does. */
		CHECK_EQ(addr - mem, i * PAGE);
		uffd_copy(uffd, addr, content + i * PAGE, PAGE);
	}
	CHECK_EQ(device_simple(fd, MT_ASYNC_RESULT), 2);
	CHECK_EQ(range_commit(fd), 1);
	check_device(fd, mem, 2, 9);
}

/* A mapping of 2 MiB, aligned; the order that the CPU maps it with. */
static void check_order(char *mem, unsigned int order)
{
	int fd = device_over(mem, 512 * PAGE);
	uint32_t pages[512];

	CHECK_EQ(populate(fd, mem, 512 * PAGE, MT_WRITE | MT_BLOCK), 512);
	both_ways(fd, mem, 512);
	CHECK_EQ(range_register(fd, mem, 512 * PAGE, MT_WRITE), 0);
	CHECK_EQ(range_wait(fd, 0), 0);
	CHECK_EQ(range_snapshot(fd, pages), 512);
	for (int i = 0; i < 512; i++) {
		CHECK_EQ(pages[i] & 0xff, MT_PAGE_VALID | MT_PAGE_WRITE);
		CHECK_EQ(MT_PAGE_ORDER(pages[i]), order);
	}
	CHECK_EQ(range_unregister(fd), 0);
	/* one page of it, from the middle */
	CHECK_EQ(populate(fd, mem + 77 * PAGE, PAGE, MT_WRITE), 1);
	close(fd);
}

static void fault__small_pages_have_order_0(void)
{
	char *mem = memory(1024, RW);

	madvise(mem, 1024 * PAGE, MADV_NOHUGEPAGE);
	check_order(mem, 0);
}

static void fault__thp(void)
{
	size_t huge = 512 * PAGE;
	char *mem = memory(1024, RW);

	mem = (char *)(((uintptr_t)mem + huge - 1) & ~(huge - 1));
	if (madvise(mem, huge, MADV_HUGEPAGE))
		test_skip("no THP");
	mem[0] = 1;
	check_order(mem, 9);
	/* Split, it is small pages. */
	CHECK_EQ(mprotect(mem, PAGE, PROT_READ), 0);
	CHECK_EQ(mprotect(mem, PAGE, RW), 0);
	check_order(mem, 0);
	/* Untouched, a fault that may not block makes one too. */
	CHECK_EQ(madvise(mem, huge, MADV_DONTNEED), 0);
	int fd = device_over(mem, huge);

	CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE), 1);
	both_ways(fd, mem, 1);
}

static void fault__hugetlb(void)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");
	char *mem;

	if (!f)
		test_skip("no hugetlb");
	fprintf(f, "4\n");
	fclose(f);
	mem = mmap(NULL, 512 * PAGE, RW,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	if (mem == MAP_FAILED)
		test_skip("no huge page: %s", strerror(errno));
	int fd = device_over(mem, 512 * PAGE);

	CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE), -EAGAIN);
	check_order(mem, 9);
	CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE | MT_BLOCK), 1);
	CHECK_EQ(madvise(mem, 512 * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(device_read(fd, mem, &(char){ 0 }, 1), -ENOENT);
}

#define CASE(f)	{ .name = #f, .run = f }

const struct test_case fault_cases[] = {
	CASE(fault__first_touch),
	CASE(fault__first_touch_nowait),
	CASE(fault__some_are_there),
	CASE(fault__read),
	CASE(fault__several_vmas),
	CASE(fault__hole_in_the_middle),
	CASE(fault__read_only),
	CASE(fault__no_access),
	CASE(fault__no_memory),
	CASE(snapshot__faults_nothing),
	CASE(fault__leaves_mmap_lock_free),
	CASE(fault__busy_in_a_flight),
	CASE(fault__copy_on_write),
	CASE(fault__shared_memory),
	CASE(fault__swapped_out),
	CASE(fault__mmap_lock_is_taken),
	CASE(fault__userfaultfd_nowait),
	CASE(fault__userfaultfd),
	CASE(fault__small_pages_have_order_0),
	CASE(fault__thp),
	CASE(fault__hugetlb),
};
const size_t fault_count = ARRAY_SIZE(fault_cases);

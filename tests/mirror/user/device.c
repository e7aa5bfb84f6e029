// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <unistd.h>

#include "device.h"

#define SWAP	"/dev/swapdisk"

int device_open(void)
{
	int fd = open("/dev/mirror_test", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		test_fail("/dev/mirror_test: %s", strerror(errno));
	return fd;
}

long device_call(int fd, unsigned long call, struct mt_arg *arg)
{
	int ret = ioctl(fd, call, arg);

	return ret < 0 ? -errno : ret;
}

long device_simple(int fd, unsigned long call)
{
	struct mt_arg arg = { 0 };

	return device_call(fd, call, &arg);
}

long device_register(int fd, uint64_t start, uint64_t end, void *mem, size_t len)
{
	struct mt_arg arg = {
		.start = start, .end = end,
		.table_start = (uintptr_t)mem, .table_end = (uintptr_t)mem + len,
	};

	return device_call(fd, MT_REGISTER, &arg);
}

int device_over(void *mem, size_t len)
{
	int fd = device_open();

	CHECK_EQ(device_register(fd, (uintptr_t)mem, (uintptr_t)mem + len, mem, len), 0);
	return fd;
}

int device_over_all(void *mem, size_t len)
{
	int fd = device_open();

	CHECK_EQ(device_register(fd, 0, UINT64_MAX, mem, len), 0);
	return fd;
}

struct mt_counters device_counters(int fd)
{
	struct mt_counters counters;
	struct mt_arg arg = { .buf = (uintptr_t)&counters };

	CHECK_EQ(device_call(fd, MT_COUNTERS, &arg), 0);
	return counters;
}

static long addressed(int fd, unsigned long call, const void *start, size_t len,
		      unsigned int flags)
{
	struct mt_arg arg = {
		.start = (uintptr_t)start, .end = (uintptr_t)start + len, .flags = flags,
	};

	return device_call(fd, call, &arg);
}

long range_register(int fd, void *start, size_t len, unsigned int flags)
{
	return addressed(fd, MT_RANGE_REGISTER, start, len, flags);
}

long range_wait(int fd, unsigned int timeout_ms)
{
	struct mt_arg arg = { .timeout_ms = timeout_ms };

	return device_call(fd, MT_RANGE_WAIT, &arg);
}

long range_snapshot(int fd, uint32_t *pages)
{
	struct mt_arg arg = { .buf = (uintptr_t)pages };

	return device_call(fd, MT_RANGE_SNAPSHOT, &arg);
}

long range_fault(int fd, unsigned int flags, uint32_t *pages)
{
	struct mt_arg arg = { .buf = (uintptr_t)pages, .flags = flags };

	return device_call(fd, MT_RANGE_FAULT, &arg);
}

long range_valid(int fd)
{
	return device_simple(fd, MT_RANGE_VALID);
}

long range_commit(int fd)
{
	return device_simple(fd, MT_RANGE_COMMIT);
}

long range_unregister(int fd)
{
	return device_simple(fd, MT_RANGE_UNREGISTER);
}

long populate(int fd, void *start, size_t len, unsigned int flags)
{
	struct mt_arg arg = {
		.start = (uintptr_t)start, .end = (uintptr_t)start + len,
		.flags = flags, .timeout_ms = 10000, .tries = 1000000,
	};

	return device_call(fd, MT_POPULATE, &arg);
}

long populate_at_once(int fd, void *start, size_t len, unsigned int flags,
		      unsigned int *busy)
{
	struct mt_arg arg = {
		.start = (uintptr_t)start, .end = (uintptr_t)start + len,
		.flags = flags, .tries = 1,
	};
	long ret = device_call(fd, MT_POPULATE, &arg);

	*busy += arg.busy;
	return ret;
}

long device_read(int fd, const void *addr, void *buf, size_t len)
{
	struct mt_arg arg = { .start = (uintptr_t)addr, .buf = (uintptr_t)buf, .len = len };

	return device_call(fd, MT_READ, &arg);
}

long device_write(int fd, void *addr, const void *buf, size_t len)
{
	struct mt_arg arg = { .start = (uintptr_t)addr, .buf = (uintptr_t)buf, .len = len };

	return device_call(fd, MT_WRITE_TO, &arg);
}

long flight_start(int fd, void *start, size_t len, unsigned int flags)
{
	return addressed(fd, MT_INV_START, start, len, flags);
}

long flight_end(int fd, void *start, size_t len, unsigned int flags)
{
	return addressed(fd, MT_INV_END, start, len, flags);
}

static void *between_holes(size_t pages, int prot, int flags, int fd)
{
	char *p = mmap(NULL, (pages + 2) * PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED, "(%s)", strerror(errno));
	munmap(p, PAGE);
	munmap(p + (pages + 1) * PAGE, PAGE);
	p = mmap(p + PAGE, pages * PAGE, prot, flags | MAP_FIXED, fd, 0);
	CHECK(p != MAP_FAILED, "(%s)", strerror(errno));
	return p;
}

void *memory(size_t pages, int prot)
{
	return between_holes(pages, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

void *shared_memory(size_t pages, int *memfd)
{
	*memfd = memfd_create("mirror_test", MFD_CLOEXEC);
	CHECK(*memfd >= 0, "(%s)", strerror(errno));
	CHECK_EQ(ftruncate(*memfd, pages * PAGE), 0);
	return between_holes(pages, PROT_READ | PROT_WRITE, MAP_SHARED, *memfd);
}

static uint32_t word(unsigned int seed, size_t i)
{
	return (i + 1) * 2654435761u ^ seed * 40503u;
}

void fill(void *mem, size_t pages, unsigned int seed)
{
	uint32_t *p = mem;

	for (size_t i = 0; i < pages * PAGE / sizeof(*p); i++)
		p[i] = word(seed, i);
}

void check_filled(const void *mem, size_t pages, unsigned int seed)
{
	const uint32_t *p = mem;

	for (size_t i = 0; i < pages * PAGE / sizeof(*p); i++)
		if (p[i] != word(seed, i))
			test_fail("byte %zu: %#x, expected %#x", i * sizeof(*p), p[i],
				  word(seed, i));
}

void check_device(int fd, void *mem, size_t pages, unsigned int seed)
{
	void *copy = malloc(pages * PAGE);

	CHECK(copy);
	CHECK_EQ(device_read(fd, mem, copy, pages * PAGE), 0);
	check_filled(copy, pages, seed);
	free(copy);
}

void need_swap(void)
{
	if (access(SWAP, F_OK))
		test_skip("no " SWAP);
	if (system("mkswap -q " SWAP " >/dev/null 2>&1; swapon " SWAP " 2>/dev/null") &&
	    system("grep -q ^/dev /proc/swaps"))
		test_skip("cannot swap to " SWAP);
}

void page_out(void *mem, size_t pages)
{
	uint32_t *pfns = calloc(pages, sizeof(*pfns));
	int fd = device_over(mem, pages * PAGE);
	long there = pages;

	/* Pages that were just touched stay on a per-CPU list for a while. */
	for (int i = 0; i < 1000 && there; i++) {
		CHECK_EQ(madvise(mem, pages * PAGE, MADV_PAGEOUT), 0);
		CHECK_EQ(range_register(fd, mem, pages * PAGE, 0), 0);
		CHECK_EQ(range_wait(fd, 10000), 0);
		there = range_snapshot(fd, pfns);
		CHECK_EQ(range_unregister(fd), 0);
	}
	if (there)
		test_skip("%ld of %zu pages were not paged out", there, pages);
	free(pfns);
	close(fd);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mirror_test --cost: what mirror adds to the system calls of the process, and what
 * a page costs the device. Under tests/vm/run --icount a nanosecond is an instruction.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ROUNDS	10000
#define PAGES	2048

static double per_round(double before)
{
	return (test_now() - before) * 1e9 / ROUNDS;
}

static double cost_of_dontneed(char *mem)
{
	double before = test_now();

	for (int i = 0; i < ROUNDS; i++) {
		*(volatile char *)mem = 1;
		madvise(mem, PAGE, MADV_DONTNEED);
	}
	return per_round(before);
}

void cost_of_callbacks(void)
{
	char *mem = memory(4, RW);
	double none, elsewhere, over;
	int fd;

	cost_of_dontneed(mem);
	none = cost_of_dontneed(mem);
	fd = device_over(mem + 2 * PAGE, PAGE);
	elsewhere = cost_of_dontneed(mem);
	close(fd);
	fd = device_over(mem, PAGE);
	over = cost_of_dontneed(mem);
	close(fd);
	printf("touch and MADV_DONTNEED of a page: %.0f ns\n", none);
	printf("  a mirror elsewhere in the mm adds %.0f ns\n", elsewhere - none);
	printf("  a mirror over the page adds %.0f ns\n", over - none);
}

/* Calls of populate() over fresh memory, per page. */
static double cost_of_populate(size_t pages, unsigned int flags, bool touched)
{
	char *mem = memory(PAGES, RW);
	int fd = device_over(mem, PAGES * PAGE);
	double before, after;

	madvise(mem, PAGES * PAGE, MADV_NOHUGEPAGE);
	if (touched)
		fill(mem, PAGES, 1);
	before = test_now();
	for (size_t i = 0; i < PAGES; i += pages)
		CHECK_EQ(populate(fd, mem + i * PAGE, pages * PAGE, MT_WRITE | flags), pages);
	after = test_now();
	close(fd);
	munmap(mem, PAGES * PAGE);
	return (after - before) * 1e9 / PAGES;
}

static double cost_of_touch(void)
{
	char *mem = memory(PAGES, RW);
	double before, after;

	madvise(mem, PAGES * PAGE, MADV_NOHUGEPAGE);
	before = test_now();
	for (size_t i = 0; i < PAGES; i++)
		*(volatile char *)(mem + i * PAGE) = 1;
	after = test_now();
	munmap(mem, PAGES * PAGE);
	return (after - before) * 1e9 / PAGES;
}

static double cost_of_call(void)
{
	int fd = device_open();
	double before = test_now();

	for (int i = 0; i < ROUNDS; i++)
		device_simple(fd, MT_MMAP_FREE);
	close(fd);
	return per_round(before);
}

void cost_of_faults(void)
{
	static const size_t sizes[] = { 1, 16, 512 };

	cost_of_touch();
	printf("first touch by the CPU: %.0f ns a page\n", cost_of_touch());
	printf("an ioctl that does nothing: %.0f ns\n", cost_of_call());
	printf("the whole loop by ioctl, ns a page:\n");
	printf("%8s %12s %12s %12s %12s\n", "pages", "cold nowait", "cold block",
	       "warm nowait", "warm block");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		printf("%8zu %12.0f %12.0f %12.0f %12.0f\n", sizes[i],
		       cost_of_populate(sizes[i], 0, false),
		       cost_of_populate(sizes[i], MT_BLOCK, false),
		       cost_of_populate(sizes[i], 0, true),
		       cost_of_populate(sizes[i], MT_BLOCK, true));
}

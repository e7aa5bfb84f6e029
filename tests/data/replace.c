// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "replace.h"

/* In the shadow the part of [map + off, map + off + len) that is in the region becomes zeros. */
static void shadow_zero(struct region *r, size_t off, size_t len)
{
	size_t lead = r->base - r->map, from, to;

	from = off > lead ? off - lead : 0;
	to = off + len > lead ? off + len - lead : 0;
	if (to > r->len)
		to = r->len;
	if (from < to)
		memset(r->shadow + from, 0, to - from);
}

static void drop(struct region *r, size_t off, size_t len)
{
	if (!madvise(r->map + off, len, MADV_DONTNEED))
		shadow_zero(r, off, len);
}

static void map_anew(struct region *r, size_t off, size_t len)
{
	int flags = MAP_PRIVATE | MAP_FIXED | (r->fd < 0 ? MAP_ANONYMOUS : 0);

	CHECK_EQ(munmap(r->map + off, len), 0);
	CHECK(mmap(r->map + off, len, r->prot, flags, r->fd, r->fd < 0 ? 0 : off) ==
	      r->map + off, "(%s)", strerror(errno));
	shadow_zero(r, off, len);
}

/* MADV_FREE leaves the old bytes or zeros; only the bytes written next count. */
static void free_and_fill(struct region *r, size_t off, size_t len, uint64_t seed)
{
	size_t lead = r->base - r->map;

	if (off < lead || off - lead + len > r->len)
		return;
	madvise(r->map + off, len, MADV_FREE);
	region_refill(r, off - lead, len, seed);
}

static void punch(struct region *r, size_t off, size_t len)
{
	if (!fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len))
		shadow_zero(r, off, len);
}

static void truncate_and_grow(struct region *r, size_t off)
{
	CHECK_EQ(ftruncate(r->fd, off), 0);
	CHECK_EQ(ftruncate(r->fd, REGION_SIZE), 0);
	shadow_zero(r, off, REGION_SIZE - off);
}

/* As another process would: write to the file by system call, not through the mapping. */
static void write_file(struct region *r, size_t off, size_t len, uint64_t seed)
{
	size_t lead = r->base - r->map;
	uint8_t *bytes;

	if (off < lead || off - lead + len > r->len)
		return;
	bytes = r->shadow + off - lead;
	rc_fill(bytes, len, seed);
	CHECK_EQ(pwrite(r->fd, bytes, len, off), len);
}

static void another_file(struct region *r, struct grave *grave)
{
	int fd = memfd_create("data_test", MFD_CLOEXEC), old = r->fd;

	if (grave->map)
		return;
	CHECK_EQ(ftruncate(fd, REGION_SIZE), 0);
	grave->map = mmap(NULL, REGION_SIZE, PROT_READ, MAP_SHARED, old, 0);
	CHECK(grave->map != MAP_FAILED);
	CHECK(mmap(r->map, REGION_SIZE, r->prot, MAP_SHARED | MAP_FIXED, fd, 0) == r->map);
	grave->copy = malloc(REGION_SIZE);
	memcpy(grave->copy, grave->map, REGION_SIZE);
	close(old);
	r->fd = fd;
	shadow_zero(r, 0, REGION_SIZE);
}

void grave_check(struct grave *grave, const char *what)
{
	size_t i;

	if (!grave->map)
		return;
	for (i = 0; i < REGION_SIZE; i++) {
		if (grave->map[i] != grave->copy[i])
			test_fail("%s: byte %zu of a file that is no longer mapped changed "
				  "from %02x to %02x", what, i, grave->copy[i], grave->map[i]);
	}
	munmap(grave->map, REGION_SIZE);
	free(grave->copy);
	grave->map = NULL;
}

void replace_pages(struct region *r, uint64_t *random, struct grave *grave)
{
	size_t step = r->backing == BACK_HUGETLB ? HUGE : PAGE, total = REGION_SIZE / step;
	size_t page = rc_random(random) % total, n = 1 + rc_random(random) % 128;
	size_t off = page * step, len = (n < total - page ? n : total - page) * step;
	unsigned int how = rc_random(random) % 4;
	uint64_t seed = rc_random(random);

	if (r->backing == BACK_HUGETLB) {
		drop(r, off, len);
	} else if (!region_is_shared(r)) {
		if (how == 0)
			map_anew(r, off, len);
		else if (how == 1 && r->fd < 0)
			free_and_fill(r, off, len, seed);
		else
			drop(r, off, len);
	} else if (how == 0) {
		punch(r, off, len);
	} else if (how == 1) {
		write_file(r, off, len, seed);
	} else if (how == 2) {
		truncate_and_grow(r, off);
	} else if (r->backing == BACK_SHMEM) {
		another_file(r, grave);
	}
}

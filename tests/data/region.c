// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "region.h"

const char *const odp_kind_names[ODP_KINDS] = {
	[ODP_PINNED] = "pinned", [ODP_EXPLICIT] = "explicit",
	[ODP_IMPLICIT] = "implicit", [ODP_IOVA] = "iova",
};

const char *const backing_names[BACKINGS] = {
	[BACK_ANON] = "anon", [BACK_SHMEM] = "shmem", [BACK_FILE] = "file",
	[BACK_PRIVATE_FILE] = "private-file", [BACK_THP] = "thp", [BACK_HUGETLB] = "hugetlb",
};

static int temp_file(void)
{
	char name[] = "/var/tmp/data_test-XXXXXX";
	int fd = mkstemp(name);

	CHECK(fd >= 0, "(%s)", strerror(errno));
	unlink(name);
	return fd;
}

/* A 2 MiB aligned address range, so that THP and hugetlb fit. */
static void *reserve(size_t len)
{
	uint8_t *p = mmap(NULL, len + HUGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t at;

	CHECK(p != MAP_FAILED);
	at = ((uintptr_t)p + HUGE - 1) & ~(HUGE - 1);
	munmap(p, at - (uintptr_t)p);
	munmap((void *)(at + len), (uintptr_t)p + HUGE - at);
	return (void *)at;
}

static bool map_region(struct region *r)
{
	int flags = MAP_FIXED;

	r->fd = -1;
	switch (r->backing) {
	case BACK_SHMEM:
		r->fd = memfd_create("data_test", MFD_CLOEXEC);
		flags |= MAP_SHARED;
		break;
	case BACK_FILE:
		r->fd = temp_file();
		flags |= MAP_SHARED;
		break;
	case BACK_PRIVATE_FILE:
		r->fd = temp_file();
		flags |= MAP_PRIVATE;
		break;
	case BACK_HUGETLB:
		flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
		break;
	default:
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	}
	if (r->fd >= 0)
		CHECK_EQ(ftruncate(r->fd, REGION_SIZE), 0);
	r->map = reserve(REGION_SIZE);
	if (mmap(r->map, REGION_SIZE, r->prot, flags, r->fd, 0) == MAP_FAILED) {
		munmap(r->map, REGION_SIZE);
		return false;
	}
	if (r->backing == BACK_THP)
		madvise(r->map, REGION_SIZE, MADV_HUGEPAGE);
	return true;
}

/* The kernel refuses to pin file pages for long: writeback could not track them. */
static bool can_register(const struct region *r)
{
	return !(region_is_pinned(r) && r->backing == BACK_FILE);
}

static void register_region(struct rc_dev *dev, struct region *r, uint64_t *random)
{
	int access = RC_ACCESS_ALL | (region_is_pinned(r) ? 0 : IBV_ACCESS_ON_DEMAND);

	if (r->odp == ODP_IMPLICIT) {
		r->mr = ibv_reg_mr(dev->pd, NULL, SIZE_MAX, access);
	} else if (r->odp == ODP_IOVA) {
		/* The iova has other page numbers and the same offset in its page. */
		r->delta = (rc_random(random) % (1ull << 40)) * PAGE - (uintptr_t)r->map;
		r->mr = ibv_reg_mr_iova(dev->pd, r->base, r->len,
					(uintptr_t)r->base + r->delta, access);
	} else {
		r->mr = ibv_reg_mr(dev->pd, r->base, r->len, access);
	}
	CHECK(r->mr, "register %s %s: %s", odp_kind_names[r->odp], backing_names[r->backing],
	      strerror(errno));
}

struct region *region_create(struct rc_dev *dev, enum odp_kind odp, enum backing backing,
			     uint64_t *random)
{
	struct region *r = calloc(1, sizeof(*r));

	r->odp = odp;
	r->backing = backing;
	r->prot = PROT_READ | PROT_WRITE;
	if (!can_register(r) || !map_region(r)) {
		free(r);
		return NULL;
	}
	r->base = r->map + rc_random(random) % PAGE;
	r->len = REGION_SIZE - (r->base - r->map) - rc_random(random) % PAGE;
	r->shadow = calloc(1, r->len);
	register_region(dev, r, random);
	return r;
}

void region_destroy(struct region *r)
{
	CHECK_EQ(ibv_dereg_mr(r->mr), 0);
	munmap(r->map, REGION_SIZE);
	if (r->fd >= 0)
		close(r->fd);
	free(r->shadow);
	free(r);
}

void region_refill(struct region *r, size_t off, size_t len, uint64_t seed)
{
	/* Every fourth fill repeats one byte, which gives KSM pages to merge. */
	if (seed % 4)
		rc_fill(r->shadow + off, len, seed);
	else
		memset(r->shadow + off, seed >> 2, len);
	memcpy(r->base + off, r->shadow + off, len);
}

static size_t differing(struct region *r, size_t off, size_t len)
{
	size_t i, n = 0;

	for (i = off; i < off + len; i++)
		n += r->base[i] != r->shadow[i];
	return n;
}

void region_check(struct region *r, size_t off, size_t len, const char *what)
{
	size_t i, in_page;
	uint8_t *page;

	if (!memcmp(r->base + off, r->shadow + off, len))
		return;
	for (i = off; i < off + len; i++) {
		if (r->base[i] != r->shadow[i])
			break;
	}
	page = (uint8_t *)((uintptr_t)(r->base + i) & ~(PAGE - 1));
	in_page = page + PAGE - (r->base + i);
	if (in_page > r->len - i)
		in_page = r->len - i;
	test_fail("%s: %s %s: byte %zu (page %zu + %zu) is %02x, expected %02x; "
		  "%zu wrong in this page, %zu in all", what,
		  odp_kind_names[r->odp], backing_names[r->backing], i,
		  (size_t)(page - r->map) / PAGE, (size_t)(r->base + i - page),
		  r->base[i], r->shadow[i], differing(r, i, in_page),
		  differing(r, 0, r->len));
}

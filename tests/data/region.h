/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * region.h - memory under test: how it is backed, registered, and what it holds
 *
 * Every region has a shadow: what its bytes have to be. The CPU and the device
 * change the region, the test changes the shadow, and the two are compared.
 */
#ifndef DATA_REGION_H
#define DATA_REGION_H

#include "rc.h"

#define PAGE		4096ul
#define HUGE		(2ul << 20)
#define REGION_SIZE	(4ul << 20)

enum odp_kind { ODP_PINNED, ODP_EXPLICIT, ODP_IMPLICIT, ODP_IOVA, ODP_KINDS };

enum backing {
	BACK_ANON, BACK_SHMEM, BACK_FILE, BACK_PRIVATE_FILE, BACK_THP, BACK_HUGETLB,
	BACKINGS
};

extern const char *const odp_kind_names[ODP_KINDS];
extern const char *const backing_names[BACKINGS];

struct region {
	enum odp_kind odp;
	enum backing backing;
	uint8_t *map;		/* the mapping, page (or huge page) aligned */
	uint8_t *base;		/* the region: starts anywhere in the first page */
	size_t len;
	uint8_t *shadow;	/* what base[0..len) has to hold */
	int fd;			/* of the file or shmem behind it, or -1 */
	int prot;
	struct ibv_mr *mr;
	uint64_t delta;		/* address on the wire = address in the process + delta */
};

/*
 * region_create() - map, fill with zero bytes and register with all rights; NULL where
 * this backing is not available (no huge pages).
 */
struct region *region_create(struct rc_dev *dev, enum odp_kind odp, enum backing backing,
			     uint64_t *random);
void region_destroy(struct region *r);

static inline struct ibv_sge region_sge(struct region *r, size_t off, size_t len)
{
	return (struct ibv_sge){ .addr = (uintptr_t)r->base + off + r->delta,
				 .length = len, .lkey = r->mr->lkey };
}

/* Fill [off, off+len) of the region and its shadow with bytes of this seed. */
void region_refill(struct region *r, size_t off, size_t len, uint64_t seed);

/* Compare a range with the shadow; @what names the operation in the message. */
void region_check(struct region *r, size_t off, size_t len, const char *what);

static inline bool region_is_shared(const struct region *r)
{
	return r->backing == BACK_SHMEM || r->backing == BACK_FILE;
}

static inline bool region_is_pinned(const struct region *r)
{
	return r->odp == ODP_PINNED;
}

#endif

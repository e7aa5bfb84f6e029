/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The NIC's translation table: iova -> page, for every kind of region
 */
#ifndef MIRAGE_MTT_H
#define MIRAGE_MTT_H

#include <linux/bits.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "queue/opcode.h"

#define MTT_CHUNK_SHIFT		21
#define MTT_CHUNK_SIZE		BIT(MTT_CHUNK_SHIFT)
#define MTT_CHUNK_PAGES		(MTT_CHUNK_SIZE >> PAGE_SHIFT)

/* For big regions, so that they are as fast as small ones. */
#define MTT_HINTS		8

struct mirage_mtt_chunk;

/*
 * A lock of the table is held for at most this many bytes of copying (a cache
 * of 64 KiB turns over in some 5 us).
 */
#define MTT_COPY_MAX		SZ_64K

/**
 * struct mirage_mtt - the table of one region
 * @root: the chunks, by number: a tree of nodes, or the chunk itself where there can
 *	be only one; read under RCU
 * @shift: bits of a chunk's number that the nodes below the root tell apart
 * @base: @first >> MTT_CHUNK_SHIFT, chunk number 0
 * @span: number of the last chunk
 * @first: first iova of the region
 * @last: last iova of the region, inclusive, so far as there can be memory
 * @idle: 1 + number of the chunk that was emptied last; 0 for none
 * @owned: whoever fills the table marks pages dirty itself
 * @atomic: it is filled, killed and freed where nothing may sleep
 * @dead: set by mirage_mtt_kill(); a commit looks at it under the chunk's lock
 * @walks: counts walks of the tree, roughly
 * @hint: chunks by the low bits of their number: what a walk would find, or NULL;
 *	set under the chunk's lock while it lives, cleared before it is freed
 */
struct mirage_mtt {
	void *root;
	unsigned int shift;
	unsigned long base;
	unsigned long span;
	u64 first;
	u64 last;
	unsigned long idle;
	bool owned;
	bool atomic;
	bool dead;
	unsigned int walks;
	struct mirage_mtt_chunk *hint[MTT_HINTS];
};

/* Which side of a copy was not there. */
enum mirage_mtt_miss {
	MTT_MISS_NONE,
	MTT_MISS_SRC,
	MTT_MISS_DST,
};

/**
 * struct mirage_mtt_rows - kernel memory in equal pieces, as the payloads of packets are
 * @at: where each begins
 * @shift: of their length
 */
struct mirage_mtt_rows {
	void *const *at;
	u32 shift;
};

void mirage_mtt_init(struct mirage_mtt *mtt, u64 first, u64 last, bool owned);
void mirage_mtt_kill(struct mirage_mtt *mtt);
void mirage_mtt_destroy(struct mirage_mtt *mtt);

size_t mirage_mtt_copy(struct mirage_mtt *dst, u64 daddr, struct mirage_mtt *src, u64 saddr,
		       size_t len, enum mirage_mtt_miss *miss);
size_t mirage_mtt_write(struct mirage_mtt *dst, u64 daddr, const void *buf, size_t len);
size_t mirage_mtt_read(struct mirage_mtt *src, u64 saddr, void *buf, size_t len);
size_t mirage_mtt_move_rows(struct mirage_mtt *mtt, u64 addr, const struct mirage_mtt_rows *rows,
			    size_t off,
			    size_t len, bool write);
int mirage_mtt_atomic(struct mirage_mtt *mtt, u64 addr, enum mirage_op_atomic op,
		      u64 compare_add,
		      u64 swap, u64 *old);

bool mirage_mtt_present(struct mirage_mtt *mtt, u64 addr, size_t len, bool write);
int mirage_mtt_commit(struct mirage_mtt *mtt, u64 iova, unsigned long npages,
		      const unsigned long *pfns, bool (*valid)(void *arg), void *arg);
unsigned long mirage_mtt_zap(struct mirage_mtt *mtt, u64 first, u64 last);

/**
 * mirage_mtt_chunk_left - bytes from an address to the end of its chunk
 * @addr: the iova
 *
 * Return: that many bytes, at least 1.
 */
static inline u64 mirage_mtt_chunk_left(u64 addr)
{
	return MTT_CHUNK_SIZE - (addr & (MTT_CHUNK_SIZE - 1));
}

#endif

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

/* The table remembers so many chunks, to find them without a walk of the tree. */
#define MTT_HINTS		8

struct mirage_mtt_chunk;

/* At most so many bytes are copied in one hold of a chunk's lock; they take some 5 us. */
#define MTT_COPY_MAX		SZ_64K

/**
 * struct mirage_mtt - the table of one region
 * @root: root of the tree that finds a chunk by its number; or the chunk itself if @span is 0;
 *	read under RCU
 * @shift: how many low bits of a chunk's number select slots in nodes below the root
 * @base: @first >> MTT_CHUNK_SHIFT, which is chunk number 0
 * @span: number of the last chunk
 * @first: first iova of the region
 * @last: last iova of the region, inclusive; or the last that can have memory, if that is lower
 * @idle: 1 + number of the chunk that was emptied last; 0 for none
 * @owned: whoever fills the table marks pages dirty itself
 * @atomic: the table is filled, killed and freed where nothing may sleep
 * @dead: set by mirage_mtt_kill(); a commit reads it under the chunk's lock
 * @walks: counts walks of the tree, roughly
 * @hint: recently used chunks, at the low bits of their number, or NULL; set under the lock
 *	of the chunk while it is not dead, cleared before it is freed
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

/* Which side of a copy misses a page. */
enum mirage_mtt_miss {
	MTT_MISS_NONE,
	MTT_MISS_SRC,
	MTT_MISS_DST,
};

/**
 * struct mirage_mtt_rows - pieces of kernel memory of one length, such as payloads of packets
 * @at: the address of each piece
 * @shift: the length of a piece is 1 << @shift
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
 * mirage_mtt_chunk_left - count the bytes from an address to the end of its chunk
 * @addr: the iova
 *
 * Return: 1 to MTT_CHUNK_SIZE.
 */
static inline u64 mirage_mtt_chunk_left(u64 addr)
{
	return MTT_CHUNK_SIZE - (addr & (MTT_CHUNK_SIZE - 1));
}

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The inside of the translation table, for who fills it (mtt.c), who copies through
 * it (mtt_copy.c) and who takes pages away from it (odp.c)
 */
#ifndef MIRAGE_MTT_CHUNK_H
#define MIRAGE_MTT_CHUNK_H

#include <linux/bits.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#include "mem/copy.h"
#include "mem/mtt.h"

/* Flags of an entry, below the address of its page. */
#define MTT_VALID	BIT(0)
#define MTT_WRITE	BIT(1)
#define MTT_DIRTIED	BIT(2)

/* Only the root may have more slots than a node below it; it has as few as will do. */
#define MTT_NODE_SHIFT	9
#define MTT_NODE_SLOTS	BIT(MTT_NODE_SHIFT)
#define MTT_ROOT_SHIFT	11
#define MTT_ROOT_SLOTS	BIT(MTT_ROOT_SHIFT)

static_assert(!IS_ENABLED(CONFIG_HIGHMEM));

/**
 * struct mirage_mtt_node - one node of the tree that leads to the chunks
 * @rcu: frees it after the last walk
 * @words: has a bit for each word of @used that is not 0, so that nobody looks at the others;
 *	good for 4,096 slots
 * @used: a bit for each slot that was ever filled; set before the slot is filled for the first
 *	time, and never cleared
 * @slot: nodes of the next level, or chunks in a node of the lowest level
 *
 * Nodes are only added while the table lives.
 */
struct mirage_mtt_node {
	struct rcu_head rcu;
	unsigned long words;
	DECLARE_BITMAP(used, MTT_ROOT_SLOTS);
	void *slot[];
};

/**
 * struct mirage_mtt_chunk - the entries for 2 MiB of a region
 * @lock: protects all that is not constant; taken with softirqs off
 * @dead: the chunk is empty for ever, and on its way out of the table
 * @first: which of the 512 pages has the first entry
 * @count: number of entries; 0 in a chunk that was made for one huge entry, and in a dead one
 * @resident: number of valid ones among @entries
 * @huge: one entry for all of the 2 MiB, or 0
 * @entries: one for each of the pages from @first on
 * @index: the chunk's number in the table; constant
 * @rcu: frees it after the last one who found it
 */
struct mirage_mtt_chunk {
	spinlock_t lock;		/* everything but index and rcu */
	bool dead;
	u16 first;
	u16 count;
	u16 resident;
	unsigned long huge;
	unsigned long *entries;
	unsigned long index;
	struct rcu_head rcu;
};

static inline unsigned long mtt_index(const struct mirage_mtt *mtt, u64 addr)
{
	return (addr >> MTT_CHUNK_SHIFT) - mtt->base;
}

static inline unsigned int mtt_page_of(u64 addr)
{
	return (addr & (MTT_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
}

struct mirage_mtt_chunk *mirage_mtt_walk(struct mirage_mtt *mtt, unsigned long index);

/* The chunk with a number, or NULL; there is none above mtt->span. Softirqs off. */
static __always_inline struct mirage_mtt_chunk *mtt_find(struct mirage_mtt *mtt,
							 unsigned long index)
{
	struct mirage_mtt_chunk *chunk = READ_ONCE(mtt->hint[index % MTT_HINTS]);

	if (likely(chunk && chunk->index == index))
		return chunk;
	if (unlikely(index > mtt->span))
		return NULL;
	return mtt->span ? mirage_mtt_walk(mtt, index) : READ_ONCE(mtt->root);
}

/* The chunk of an address, or NULL. Softirqs off. */
static __always_inline struct mirage_mtt_chunk *mtt_find_addr(struct mirage_mtt *mtt, u64 addr)
{
	return mtt_find(mtt, mtt_index(mtt, addr));
}

/* The entry for addr, and how many bytes it is good for from there. */
static __always_inline unsigned long *mtt_entry(struct mirage_mtt_chunk *chunk, u64 addr,
						size_t *run)
	__must_hold(&chunk->lock)
{
	unsigned int i;

	if (unlikely(chunk->huge)) {
		*run = mirage_mtt_chunk_left(addr);
		return &chunk->huge;
	}
	i = mtt_page_of(addr) - chunk->first;
	if (unlikely(i >= chunk->count))
		return NULL;
	*run = PAGE_SIZE - offset_in_page(addr);
	return &chunk->entries[i];
}

/**
 * mirage_mtt_zap_page - take one page out of a chunk, if that is all there is to do
 * @chunk: where it is; softirqs off, its lock not held
 * @addr: iova in it; may lie outside the region
 *
 * One page at a time is how memory goes as a rule, and every step of this counts for
 * the process it goes from: that is why it is here.
 *
 * Return: whether it was there, and is not any more. If not, see mirage_mtt_zap(), which knows
 * of huge entries and empty chunks as well.
 */
static __always_inline bool mirage_mtt_zap_page(struct mirage_mtt_chunk *chunk, u64 addr)
{
	unsigned int i;

	spin_lock(&chunk->lock);
	i = mtt_page_of(addr) - chunk->first;
	/* Beside a huge entry there are no others, or only empty ones. */
	if (unlikely(i >= chunk->count || !chunk->entries[i] || chunk->resident == 1)) {
		spin_unlock(&chunk->lock);
		return false;
	}
	chunk->entries[i] = 0;
	chunk->resident--;
	spin_unlock(&chunk->lock);
	return true;
}

void mirage_mtt_dirty(struct mirage_mtt_chunk *chunk, unsigned long *entry);

/*
 * The page of an address, if its entry has a flag, and how many bytes it is good for
 * from there. The pointer is only good under the chunk's lock.
 */
static __always_inline void *mtt_map(struct mirage_mtt_chunk *chunk, u64 addr,
				     unsigned long flag, size_t *run)
	__must_hold(&chunk->lock)
{
	unsigned long *entry = &chunk->huge;
	size_t size = MTT_CHUNK_SIZE, offset;

	if (!*entry) {
		unsigned int i = mtt_page_of(addr) - chunk->first;

		if (unlikely(i >= chunk->count))
			return NULL;
		entry = &chunk->entries[i];
		size = PAGE_SIZE;
	}
	if (unlikely(!(*entry & flag)))
		return NULL;
	if (flag == MTT_WRITE && unlikely(!(*entry & MTT_DIRTIED)))
		mirage_mtt_dirty(chunk, entry);
	offset = addr & (size - 1);
	*run = size - offset;
	return (void *)((*entry & PAGE_MASK) + offset);
}

/* For reading: NULL when there is no page. */
static __always_inline void *mtt_source(struct mirage_mtt_chunk *chunk, u64 addr, size_t *run)
	__must_hold(&chunk->lock)
{
	return mtt_map(chunk, addr, MTT_VALID, run);
}

/* For writing: NULL when there is no page, or none to write to. */
static __always_inline void *mtt_target(struct mirage_mtt_chunk *chunk, u64 addr, size_t *run)
	__must_hold(&chunk->lock)
{
	return mtt_map(chunk, addr, MTT_WRITE, run);
}

static __always_inline void mtt_lock_pair(struct mirage_mtt_chunk *a, struct mirage_mtt_chunk *b)
{
	if (a > b)
		swap(a, b);
	spin_lock(&a->lock);
	if (a != b)
		spin_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
	else
		__acquire(&b->lock);
}

static __always_inline void mtt_unlock_pair(struct mirage_mtt_chunk *a, struct mirage_mtt_chunk *b)
{
	spin_unlock(&a->lock);
	if (a != b)
		spin_unlock(&b->lock);
	else
		__release(&b->lock);
}

/**
 * mirage_mtt_copy_small - mirage_mtt_copy() of what is in one page of either side, as small
 *	messages are
 * @dst: as mirage_mtt_copy()
 * @daddr: as mirage_mtt_copy()
 * @src: as mirage_mtt_copy()
 * @saddr: as mirage_mtt_copy()
 * @len: bytes, not 0; the caller has checked both ranges against their regions
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: whether all of it was copied. If not, nothing was, and mirage_mtt_copy() knows why.
 */
static __always_inline bool mirage_mtt_copy_small(struct mirage_mtt *dst, u64 daddr,
						  struct mirage_mtt *src,
						  u64 saddr, size_t len)
{
	struct mirage_mtt_chunk *s = mtt_find_addr(src, saddr);
	struct mirage_mtt_chunk *d = mtt_find_addr(dst, daddr);
	bool copied = false;
	void *from, *to;
	size_t run;

	lockdep_assert_in_softirq();
	if (unlikely(!s) || unlikely(!d))
		return false;
	mtt_lock_pair(d, s);
	from = mtt_source(s, saddr, &run);
	if (unlikely(!from || len > run))
		goto unlock;
	to = mtt_target(d, daddr, &run);
	if (unlikely(!to || len > run))
		goto unlock;
	mirage_copy(to, from, len);
	copied = true;
unlock:
	mtt_unlock_pair(d, s);
	return copied;
}

/**
 * mirage_mtt_read_small - mirage_mtt_read() of what is in one page, as packets mostly are
 * @src: as mirage_mtt_read()
 * @saddr: as mirage_mtt_read()
 * @buf: as mirage_mtt_read()
 * @len: bytes, not 0; the caller has checked the range
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: whether all of it was copied. If not, nothing was, and mirage_mtt_read() knows why.
 */
static __always_inline bool mirage_mtt_read_small(struct mirage_mtt *src, u64 saddr, void *buf,
						  size_t len)
{
	struct mirage_mtt_chunk *chunk = mtt_find_addr(src, saddr);
	bool copied = false;
	void *from;
	size_t run;

	lockdep_assert_in_softirq();
	if (unlikely(!chunk))
		return false;
	spin_lock(&chunk->lock);
	from = mtt_source(chunk, saddr, &run);
	if (likely(from && len <= run)) {
		mirage_copy(buf, from, len);
		copied = true;
	}
	spin_unlock(&chunk->lock);
	return copied;
}

/**
 * mirage_mtt_write_small - mirage_mtt_write() of a head and a body into one page
 * @dst: as mirage_mtt_write()
 * @daddr: as mirage_mtt_write()
 * @head: what comes first
 * @head_len: bytes of that, may be 0
 * @buf: what comes after it
 * @len: bytes of that, may be 0; the caller has checked the range of both
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: whether all of it was copied. If not, nothing was, and mirage_mtt_write() knows why.
 */
static __always_inline bool mirage_mtt_write_small(struct mirage_mtt *dst, u64 daddr,
						   const void *head,
						   size_t head_len, const void *buf, size_t len)
{
	struct mirage_mtt_chunk *chunk = mtt_find_addr(dst, daddr);
	bool copied = false;
	size_t run;
	void *to;

	lockdep_assert_in_softirq();
	if (unlikely(!chunk))
		return false;
	spin_lock(&chunk->lock);
	to = mtt_target(chunk, daddr, &run);
	if (likely(to && head_len + len <= run)) {
		if (head_len)
			mirage_copy(to, head, head_len);
		if (len)
			mirage_copy(to + head_len, buf, len);
		copied = true;
	}
	spin_unlock(&chunk->lock);
	return copied;
}

#endif

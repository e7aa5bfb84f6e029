/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The inside of the translation table: for mtt.c, which fills it, mtt_copy.c, which copies
 * through it, and odp.c, which takes pages out of it
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

/* A node has MTT_NODE_SLOTS slots; the root as many as needed, up to MTT_ROOT_SLOTS. */
#define MTT_NODE_SHIFT	9
#define MTT_NODE_SLOTS	BIT(MTT_NODE_SHIFT)
#define MTT_ROOT_SHIFT	11
#define MTT_ROOT_SLOTS	BIT(MTT_ROOT_SHIFT)

static_assert(!IS_ENABLED(CONFIG_HIGHMEM));

/**
 * struct mirage_mtt_node - a node of the tree that leads to the chunks
 * @rcu: to free it, with the table
 * @words: a bit for each word of @used that is not 0, so that a search skips the others;
 *	its 64 bits are enough for 4,096 slots
 * @used: a bit for each slot; it is set before the slot is filled for the first time, and
 *	never cleared
 * @slot: nodes, or chunks in a node of the lowest level; NULL is empty
 *
 * Nodes are added while the table lives; none is removed before the table is destroyed.
 */
struct mirage_mtt_node {
	struct rcu_head rcu;
	unsigned long words;
	DECLARE_BITMAP(used, MTT_ROOT_SLOTS);
	void *slot[];
};

/**
 * struct mirage_mtt_chunk - the entries of 2 MiB of a region
 * @lock: protects the members below, up to @entries
 * @dead: the chunk is empty for good, and is being taken out of the tree
 * @first: number of the page of @entries[0]; pages are counted from the start of the 2 MiB
 * @count: number of @entries in use; 0 if the chunk was made for a huge entry, or is dead
 * @resident: how many of @entries are valid
 * @huge: one entry for all of the 2 MiB, or 0
 * @entries: an entry per page; 0 if the page is missing
 * @index: the chunk's number; constant
 * @rcu: to free it
 */
struct mirage_mtt_chunk {
	spinlock_t lock;		/* see above */
	bool dead;
	u16 first;
	u16 count;
	u16 resident;
	unsigned long huge;
	unsigned long *entries;
	unsigned long index;
	struct rcu_head rcu;
};

/**
 * mtt_index - number of the chunk of an address
 * @mtt: the table
 * @addr: the iova
 *
 * Return: the number; above @mtt->span if the region has no such chunk.
 */
static inline unsigned long mtt_index(const struct mirage_mtt *mtt, u64 addr)
{
	return (addr >> MTT_CHUNK_SHIFT) - mtt->base;
}

/**
 * mtt_page_of - number of the page of an address in its chunk
 * @addr: the iova
 *
 * Return: 0 to MTT_CHUNK_PAGES - 1.
 */
static inline unsigned int mtt_page_of(u64 addr)
{
	return (addr & (MTT_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
}

struct mirage_mtt_chunk *mirage_mtt_walk(struct mirage_mtt *mtt, unsigned long index);

/**
 * mtt_find - find a chunk by its number
 * @mtt: the table
 * @index: the number
 *
 * Softirqs off.
 *
 * Return: the chunk, which may be dead; or NULL, always so above @mtt->span.
 */
static inline struct mirage_mtt_chunk *mtt_find(struct mirage_mtt *mtt, unsigned long index)
{
	struct mirage_mtt_chunk *chunk = READ_ONCE(mtt->hint[index % MTT_HINTS]);

	if (likely(chunk && chunk->index == index))
		return chunk;
	if (unlikely(index > mtt->span))
		return NULL;
	return mtt->span ? mirage_mtt_walk(mtt, index) : READ_ONCE(mtt->root);
}

/**
 * mtt_find_addr - find the chunk of an address
 * @mtt: the table
 * @addr: the iova
 *
 * Softirqs off.
 *
 * Return: as mtt_find().
 */
static inline struct mirage_mtt_chunk *mtt_find_addr(struct mirage_mtt *mtt, u64 addr)
{
	return mtt_find(mtt, mtt_index(mtt, addr));
}

/**
 * mtt_entry - find the entry of an address
 * @chunk: the address's chunk, locked
 * @addr: the iova
 * @run: set to the number of bytes from @addr on that the entry is for
 *
 * Return: the entry, which may be 0; or NULL if the chunk has none for this address, and @run
 * is not set.
 */
static inline unsigned long *mtt_entry(struct mirage_mtt_chunk *chunk, u64 addr, size_t *run)
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
 * mirage_mtt_zap_page - take one page out of a chunk that has others
 * @chunk: the chunk, its lock not held
 * @addr: an iova in the page; may lie outside the region
 *
 * Softirqs off. Most invalidations are of one page, and the process waits for each. It saves
 * 5.9 % of an madvise(MADV_DONTNEED) of one page (bench_unmap, dontneed_each).
 *
 * Return: true if the page was in the table and has been taken out. If false, nothing has
 * changed, and the caller calls mirage_mtt_zap(), which also handles a huge entry, and a chunk
 * that becomes empty.
 */
static inline bool mirage_mtt_zap_page(struct mirage_mtt_chunk *chunk, u64 addr)
{
	unsigned int i;

	spin_lock(&chunk->lock);
	i = mtt_page_of(addr) - chunk->first;
	/* In a chunk with a huge entry every entry of a page is 0, if it has any. */
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

/**
 * mtt_map - find the memory of an address, if its entry has a flag
 * @chunk: the address's chunk, locked
 * @addr: the iova
 * @flag: MTT_VALID to read; MTT_WRITE to write, which marks the page dirty
 * @run: set to the number of bytes that are contiguous from there on
 *
 * Return: the address in the direct map, valid while the lock is held; or NULL, and @run is
 * not set.
 */
static inline void *mtt_map(struct mirage_mtt_chunk *chunk, u64 addr, unsigned long flag,
			    size_t *run)
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

/**
 * mtt_source - find the memory of an address, to read it
 * @chunk: as mtt_map()
 * @addr: as mtt_map()
 * @run: as mtt_map()
 *
 * Return: as mtt_map(). NULL if the page is missing.
 */
static inline void *mtt_source(struct mirage_mtt_chunk *chunk, u64 addr, size_t *run)
	__must_hold(&chunk->lock)
{
	return mtt_map(chunk, addr, MTT_VALID, run);
}

/**
 * mtt_target - find the memory of an address, to write to it
 * @chunk: as mtt_map()
 * @addr: as mtt_map()
 * @run: as mtt_map()
 *
 * Return: as mtt_map(). NULL if the page is missing, or may only be read.
 */
static inline void *mtt_target(struct mirage_mtt_chunk *chunk, u64 addr, size_t *run)
	__must_hold(&chunk->lock)
{
	return mtt_map(chunk, addr, MTT_WRITE, run);
}

/* Locks two chunks, which may be the same, in the order of their addresses. */
static inline void mtt_lock_pair(struct mirage_mtt_chunk *a, struct mirage_mtt_chunk *b)
{
	if (a > b)
		swap(a, b);
	spin_lock(&a->lock);
	if (a != b)
		spin_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
	else
		__acquire(&b->lock);
}

static inline void mtt_unlock_pair(struct mirage_mtt_chunk *a, struct mirage_mtt_chunk *b)
{
	spin_unlock(&a->lock);
	if (a != b)
		spin_unlock(&b->lock);
	else
		__release(&b->lock);
}

/**
 * mirage_mtt_copy_small - mirage_mtt_copy() of bytes that are in one page on either side
 * @dst: as mirage_mtt_copy()
 * @daddr: as mirage_mtt_copy()
 * @src: as mirage_mtt_copy()
 * @saddr: as mirage_mtt_copy()
 * @len: bytes, not 0; the caller has checked both ranges against their regions
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: true if all bytes were copied. If false, none was, and mirage_mtt_copy() tells why.
 */
static inline bool mirage_mtt_copy_small(struct mirage_mtt *dst, u64 daddr, struct mirage_mtt *src,
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
 * mirage_mtt_read_small - mirage_mtt_read() of bytes that are in one page
 * @src: as mirage_mtt_read()
 * @saddr: as mirage_mtt_read()
 * @buf: as mirage_mtt_read()
 * @len: bytes, not 0; the caller has checked the range
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: true if all bytes were copied. If false, none was: mirage_mtt_read() copies those
 * that are there.
 */
static inline bool mirage_mtt_read_small(struct mirage_mtt *src, u64 saddr, void *buf, size_t len)
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
 * @head: the head, which goes to @daddr
 * @head_len: bytes of the head, may be 0
 * @buf: the body, which goes behind the head
 * @len: bytes of the body, may be 0; the caller has checked the range of both together
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: true if all bytes were copied. If false, none was: mirage_mtt_write() copies those
 * whose pages are there.
 */
static inline bool mirage_mtt_write_small(struct mirage_mtt *dst, u64 daddr, const void *head,
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

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The NIC's translation table: commit, zap, and the life of its chunks and nodes
 *
 * The table knows neither queue pairs nor address spaces. A backend (pin.c, odp.c) commits
 * pages to it, engines copy through it, and a zap takes pages out of it. A copy that meets a
 * missing page stops there and returns how far it came; its caller raises the fault.
 *
 * The table is sparse: one chunk per 2 MiB of iova, made by the first commit to it.
 * A shallow tree leads to it in a few loads: no level for a region of 2 MiB, one up to
 * 4 GiB, two up to 2 TiB, three for a 47-bit address space.
 * A chunk holds either one entry for all of it, where the pages are physically
 * contiguous and aligned alike, or an entry per page, for as many pages as the
 * region has there: so a small region has a small table. An entry is the address of
 * the page in the kernel's direct map (there is no highmem on 64-bit machines)
 * and flags below PAGE_SHIFT.
 *
 * Locking
 * -------
 *
 * The entries of a chunk are protected by its own spinlock, taken with softirqs off,
 * because the wire carrier copies in softirq context. The holder of the lock may use the
 * pages it finds: a zap waits for the lock, and the kernel changes the CPU's page tables
 * only after the zap. So the page can be neither freed nor reused meanwhile.
 *
 *	copy					munmap
 *						invalidate: lock chunk (waits)
 *	lock chunk, look up, copy, unlock
 *						clear, unlock
 *	lock chunk: not there			change page tables, free pages
 *
 * A copy between two regions holds the locks of two chunks, and moves at most MTT_COPY_MAX
 * bytes under them. The whole order of locks, and its reason: base/device.h.
 *
 * The tree is changed by cmpxchg, and chunks are found in it with softirqs off,
 * which is an RCU read side. A chunk is made dead before it is erased from the tree. A copy
 * that found it earlier finds no page in it, and a commit makes another chunk. Whoever makes
 * a chunk dead frees it.
 *
 * The tree's nodes stay for the life of the table. The root has 8 bytes a slot, at most
 * 16 KiB. Where the root's slots are not chunks, there are also 4 KiB of slots for each GiB
 * of addresses that was ever used. A few words in front of the slots tell which of them are
 * used; with these words such a node takes 8 KiB of slab, and the largest root 32 KiB.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/bottom_half.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "mem/mtt.h"
#include "mem/mtt_chunk.h"
#include "mirror.h"

#define MTT_CHUNK_ORDER	(MTT_CHUNK_SHIFT - PAGE_SHIFT)

static void mtt_chunk_free(struct mirage_mtt_chunk *chunk)
{
	kfree(chunk->entries);
	kfree(chunk);
}

static void mtt_chunk_free_rcu(struct rcu_head *rcu)
{
	mtt_chunk_free(container_of(rcu, struct mirage_mtt_chunk, rcu));
}

static gfp_t mtt_gfp(const struct mirage_mtt *mtt)
{
	return mtt->atomic ? GFP_ATOMIC | __GFP_NOWARN : GFP_KERNEL_ACCOUNT;
}

static struct mirage_mtt_chunk *mtt_chunk_alloc(const struct mirage_mtt *mtt, unsigned long index,
						bool huge)
{
	u64 start = (u64)(mtt->base + index) << MTT_CHUNK_SHIFT;
	u64 end = start + (MTT_CHUNK_SIZE - 1);
	struct mirage_mtt_chunk *chunk;

	chunk = kzalloc_obj(*chunk, mtt_gfp(mtt));
	if (!chunk)
		return NULL;
	spin_lock_init(&chunk->lock);
	chunk->index = index;
	if (huge)
		return chunk;
	chunk->first = mtt_page_of(max(start, mtt->first));
	chunk->count = mtt_page_of(min(end, mtt->last)) - chunk->first + 1;
	chunk->entries = kcalloc(chunk->count, sizeof(*chunk->entries), mtt_gfp(mtt));
	if (!chunk->entries) {
		kfree(chunk);
		return NULL;
	}
	return chunk;
}

/* Makes a chunk dead. The caller calls mtt_chunk_drop() after it has dropped the lock. */
static void mtt_chunk_die(struct mirage_mtt_chunk *chunk)
	__must_hold(&chunk->lock)
{
	lockdep_assert_held(&chunk->lock);
	chunk->dead = true;
	chunk->count = 0;
	chunk->resident = 0;
	chunk->huge = 0;
}

/* The slot of a chunk, or NULL if a node on the way has not been made yet. */
static void **mtt_slot(struct mirage_mtt *mtt, unsigned long index)
{
	struct mirage_mtt_node *node = READ_ONCE(mtt->root);
	unsigned int shift = mtt->shift;
	void **slot;

	if (!mtt->span)
		return &mtt->root;
	if (!node)
		return NULL;
	slot = &node->slot[index >> shift];
	while (shift) {
		node = READ_ONCE(*slot);
		if (!node)
			return NULL;
		shift -= MTT_NODE_SHIFT;
		slot = &node->slot[(index >> shift) % MTT_NODE_SLOTS];
	}
	return slot;
}

/* Empties the slot of a chunk. Allocates nothing, so this may run under reclaim. */
static void mtt_chunk_erase(struct mirage_mtt *mtt, unsigned long index,
			    struct mirage_mtt_chunk *chunk)
{
	cmpxchg(mtt_slot(mtt, index), chunk, NULL);
}

/**
 * mirage_mtt_walk - mtt_find() without a hint, in a table that has a tree
 * @mtt: the table, whose @span is not 0
 * @index: the chunk's number, at most @mtt->span
 *
 * Softirqs off. Chunks that share a hint would overwrite it all the time, so only one walk
 * in 16 sets it.
 *
 * Return: as mtt_find().
 */
struct mirage_mtt_chunk *mirage_mtt_walk(struct mirage_mtt *mtt, unsigned long index)
{
	const struct mirage_mtt_node *root = READ_ONCE(mtt->root);
	unsigned int shift = mtt->shift;
	struct mirage_mtt_chunk *chunk;
	void *p;

	if (unlikely(!root))
		return NULL;
	p = READ_ONCE(root->slot[index >> shift]);
	while (shift && p) {
		const struct mirage_mtt_node *node = p;

		shift -= MTT_NODE_SHIFT;
		p = READ_ONCE(node->slot[(index >> shift) % MTT_NODE_SLOTS]);
	}
	chunk = p;
	WRITE_ONCE(mtt->walks, READ_ONCE(mtt->walks) + 1);
	if (chunk && mtt->walks % 16 == 1) {
		spin_lock(&chunk->lock);
		if (!chunk->dead)
			WRITE_ONCE(mtt->hint[index % MTT_HINTS], chunk);
		spin_unlock(&chunk->lock);
	}
	return chunk;
}

/* The first slot from i on that was ever used, or size if there is none. */
static unsigned int mtt_used(const struct mirage_mtt_node *node, unsigned int i,
			     unsigned int size)
{
	unsigned int word = i / BITS_PER_LONG;
	unsigned long bits = READ_ONCE(node->used[word]) >> (i % BITS_PER_LONG);

	if (bits)
		return i + __ffs(bits);
	bits = READ_ONCE(node->words) & (~1UL << word);
	if (!bits)
		return size;
	word = __ffs(bits);
	return word * BITS_PER_LONG + __ffs(READ_ONCE(node->used[word]));
}

/*
 * Finds the first used slot from chunk number *index on, in a node of 1 << bits slots for
 * 1 << shift chunks each. Returns what is in the slot, and moves *index on to the slot's first
 * chunk, unless it is within the slot already. If the slot is empty, *index moves past it; if
 * there is no used slot, past the node; and NULL is returned. Always inline: 1.3 % of the
 * deregistration of a region of 1 TiB (bench_reg, dereg_resident_1tib).
 */
static __always_inline void *mtt_seek(const struct mirage_mtt_node *node, unsigned int bits,
				      unsigned int shift, unsigned long *index)
{
	unsigned int size = BIT(bits), i = (*index >> shift) & (size - 1);
	unsigned int next = mtt_used(node, i, size);
	void *p = NULL;

	if (next < size) {
		p = READ_ONCE(node->slot[next]);
		next += !p;
	}
	if (next != i)
		*index = ((*index >> shift) + next - i) << shift;
	return p;
}

/* The first chunk from number *index to last, or NULL; *index is set to its number. */
static struct mirage_mtt_chunk *mtt_next(const struct mirage_mtt *mtt, unsigned long *index,
					 unsigned long last)
{
	void *root = READ_ONCE(mtt->root);

	if (!root || !mtt->span)
		return *index <= last ? root : NULL;
	while (*index <= last) {
		unsigned int shift = mtt->shift;
		void *p = mtt_seek(root, MTT_ROOT_SHIFT, shift, index);

		while (shift && p) {
			shift -= MTT_NODE_SHIFT;
			p = mtt_seek(p, MTT_NODE_SHIFT, shift, index);
		}
		if (p)
			return *index <= last ? p : NULL;
	}
	return NULL;
}

static void mtt_chunk_drop(struct mirage_mtt *mtt, unsigned long index,
			   struct mirage_mtt_chunk *chunk)
{
	mtt_chunk_erase(mtt, index, chunk);
	/* The chunk is dead, so nobody makes it a hint again. */
	cmpxchg(&mtt->hint[index % MTT_HINTS], chunk, NULL);
	call_rcu(&chunk->rcu, mtt_chunk_free_rcu);
}

/* Takes a chunk out of the table and frees it; with empty_only, only if it has no page. */
static void mtt_chunk_reap(struct mirage_mtt *mtt, unsigned long index, bool empty_only)
{
	struct mirage_mtt_chunk *chunk;
	bool drop = false;

	local_bh_disable();
	chunk = mtt_find(mtt, index);
	if (chunk) {
		spin_lock(&chunk->lock);
		drop = !chunk->dead &&
		       !(empty_only && (chunk->resident || chunk->huge));
		if (drop)
			mtt_chunk_die(chunk);
		spin_unlock(&chunk->lock);
	}
	local_bh_enable();
	if (drop)
		mtt_chunk_drop(mtt, index, chunk);
}

/**
 * mirage_mtt_init - initialize a table; it is empty
 * @mtt: the table
 * @first: first iova of the region
 * @last: last iova of the region, inclusive
 * @owned: the owner of the pages marks them dirty, so that the table need not
 */
void mirage_mtt_init(struct mirage_mtt *mtt, u64 first, u64 last, bool owned)
{
	*mtt = (struct mirage_mtt) {
		.first = first,
		.last = last,
		.base = first >> MTT_CHUNK_SHIFT,
		.owned = owned,
	};
	mtt->span = mtt_index(mtt, last);
	while (mtt->span >> mtt->shift >= MTT_ROOT_SLOTS)
		mtt->shift += MTT_NODE_SHIFT;
}

/**
 * mirage_mtt_kill - empty a table for good
 * @mtt: the table
 *
 * When this returns, copies under way are over, no byte moves through the table, and no
 * commit succeeds any more. So the pages can be released without a wait for those who still
 * have a reference on the region. Process context, may sleep; if @mtt->atomic, any context
 * but hardirq. The time it takes grows with the number of chunks.
 */
void mirage_mtt_kill(struct mirage_mtt *mtt)
{
	unsigned long index = 0;

	WRITE_ONCE(mtt->dead, true);
	/*
	 * Pairs with the cmpxchg of mtt_chunk_insert(): a chunk inserted earlier is
	 * found below; a commit that inserts one later sees mtt->dead.
	 */
	smp_mb();

	while (mtt_next(mtt, &index, mtt->span)) {
		mtt_chunk_reap(mtt, index++, false);
		if (!mtt->atomic)
			cond_resched();
	}
}

static void mtt_free_nodes(struct mirage_mtt_node *node, unsigned int shift)
{
	unsigned int word, bit;

	if (!node)
		return;
	if (shift)
		for_each_set_bit(word, &node->words, BITS_PER_LONG)
			for_each_set_bit(bit, &node->used[word], BITS_PER_LONG)
				mtt_free_nodes(node->slot[word * BITS_PER_LONG + bit],
					       shift - MTT_NODE_SHIFT);
	/* A copy may be walking through the node, under RCU. */
	kfree_rcu(node, rcu);
}

/**
 * mirage_mtt_destroy - free the nodes of a table
 * @mtt: the table, without chunks, and no longer used by anybody else
 */
void mirage_mtt_destroy(struct mirage_mtt *mtt)
{
	/* There is no chunk: a commit to a dead table takes its chunk out again. */
	if (mtt->span)
		mtt_free_nodes(mtt->root, mtt->shift);
}

static unsigned long mtt_entry_of(const struct mirage_mtt *mtt, struct page *page, bool write)
{
	unsigned long entry = (unsigned long)page_address(page) | MTT_VALID;

	if (write)
		entry |= MTT_WRITE;
	if (write && mtt->owned)
		entry |= MTT_DIRTIED;
	return entry;
}

/* Tells whether pfn is of a huge page whose 2 MiB are aligned like the chunk of iova. */
static bool mtt_huge_fits(u64 iova, unsigned long pfn)
{
	return mirror_pfn_valid(pfn) && mirror_pfn_order(pfn) >= MTT_CHUNK_ORDER &&
	       (page_to_pfn(mirror_pfn_page(pfn)) & (MTT_CHUNK_PAGES - 1)) ==
	       mtt_page_of(iova);
}

/* Sets an entry. If the page stays the same, MTT_DIRTIED is kept. */
static void mtt_set(unsigned long *slot, unsigned long entry)
{
	if (((*slot ^ entry) & PAGE_MASK) == 0)
		entry |= *slot & MTT_DIRTIED;
	*slot = entry;
}

static void mtt_commit_huge(struct mirage_mtt *mtt, struct mirage_mtt_chunk *chunk, u64 iova,
			    unsigned long pfn)
	__must_hold(&chunk->lock)
{
	struct page *page = mirror_pfn_page(pfn) - mtt_page_of(iova);

	lockdep_assert_held(&chunk->lock);
	if (chunk->resident)
		memset(chunk->entries, 0, chunk->count * sizeof(*chunk->entries));
	chunk->resident = 0;
	mtt_set(&chunk->huge, mtt_entry_of(mtt, page, mirror_pfn_writable(pfn)));
}

static void mtt_commit_pages(struct mirage_mtt *mtt, struct mirage_mtt_chunk *chunk, u64 iova,
			     unsigned long npages, const unsigned long *pfns)
	__must_hold(&chunk->lock)
{
	unsigned long *slot = &chunk->entries[mtt_page_of(iova) - chunk->first];

	lockdep_assert_held(&chunk->lock);
	chunk->huge = 0;
	for (; npages; npages--, slot++, pfns++) {
		if (!mirror_pfn_valid(*pfns))
			continue;
		chunk->resident += !*slot;
		mtt_set(slot, mtt_entry_of(mtt, mirror_pfn_page(*pfns),
					   mirror_pfn_writable(*pfns)));
	}
}

/* Commits to a chunk. Returns -EAGAIN if the caller has to replace it by another chunk. */
static int mtt_chunk_commit(struct mirage_mtt *mtt, struct mirage_mtt_chunk *chunk, u64 iova,
			    unsigned long npages, const unsigned long *pfns,
			    bool (*valid)(void *arg), void *arg, bool *drop)
	__must_hold(&chunk->lock)
{
	unsigned int i = mtt_page_of(iova) - chunk->first;

	lockdep_assert_held(&chunk->lock);
	if (READ_ONCE(mtt->dead)) {
		*drop = !chunk->dead;
		mtt_chunk_die(chunk);
		return -ESRCH;
	}
	if (chunk->dead)
		return -EAGAIN;
	if (valid && !valid(arg))
		return -EBUSY;
	WRITE_ONCE(mtt->hint[chunk->index % MTT_HINTS], chunk);
	if (mtt_huge_fits(iova, pfns[0])) {
		mtt_commit_huge(mtt, chunk, iova, pfns[0]);
		return 0;
	}
	if (!chunk->count) {
		mtt_chunk_die(chunk);
		*drop = true;
		return -EAGAIN;
	}
	if (WARN_ON_ONCE(i >= chunk->count || npages > chunk->count - i))
		return -EINVAL;
	mtt_commit_pages(mtt, chunk, iova, npages, pfns);
	return 0;
}

/* Slot i of the node in *slot. If there is no node, makes one with size slots. */
static void **mtt_node_slot(struct mirage_mtt *mtt, void **slot, unsigned long size,
			    unsigned int i)
{
	struct mirage_mtt_node *node = READ_ONCE(*slot);

	if (!node) {
		struct mirage_mtt_node *fresh = kzalloc(struct_size(fresh, slot, size),
							mtt_gfp(mtt));

		if (!fresh)
			return NULL;
		node = cmpxchg(slot, NULL, fresh);
		if (node)
			kfree(fresh);
		else
			node = fresh;
	}
	set_bit(i, node->used);
	/* mtt_used() depends on it: if a bit of words is seen, so is one in its word of used. */
	smp_mb__after_atomic();
	set_bit(i / BITS_PER_LONG, &node->words);
	return &node->slot[i];
}

/* As mtt_slot(), but makes the nodes on the way. Returns NULL if there is no memory. */
static void **mtt_slot_make(struct mirage_mtt *mtt, unsigned long index)
{
	unsigned int shift = mtt->shift;
	void **slot = &mtt->root;

	if (!mtt->span)
		return slot;
	slot = mtt_node_slot(mtt, slot, (mtt->span >> shift) + 1, index >> shift);
	while (slot && shift) {
		shift -= MTT_NODE_SHIFT;
		slot = mtt_node_slot(mtt, slot, MTT_NODE_SLOTS,
				     (index >> shift) % MTT_NODE_SLOTS);
	}
	return slot;
}

static int mtt_chunk_insert(struct mirage_mtt *mtt, unsigned long index, bool huge)
{
	struct mirage_mtt_chunk *chunk;
	void **slot;

	/* The root has no slot for such a chunk. */
	if (WARN_ON_ONCE(index > mtt->span))
		return -EINVAL;
	chunk = mtt_chunk_alloc(mtt, index, huge);
	slot = mtt_slot_make(mtt, index);
	if (!chunk || !slot) {
		if (chunk)
			mtt_chunk_free(chunk);
		return -ENOMEM;
	}
	/*
	 * If somebody else has inserted a chunk, theirs is used. The cmpxchg is also a full
	 * barrier before the commit calls valid(): an invalidation that found no chunk was
	 * counted before, and valid() sees that.
	 */
	if (cmpxchg(slot, NULL, chunk))
		mtt_chunk_free(chunk);
	return 0;
}

static bool mtt_chunk_empty(const struct mirage_mtt_chunk *chunk)
{
	return !chunk->resident && !chunk->huge;
}

/*
 * Notes that a chunk is empty. It is likely to be filled again soon, so it stays until another
 * chunk is emptied: a table keeps at most one empty chunk. Softirqs off.
 */
static void mtt_note_idle(struct mirage_mtt *mtt, unsigned long index)
{
	unsigned long last;

	if (READ_ONCE(mtt->idle) == index + 1)
		return;
	last = xchg(&mtt->idle, index + 1);
	if (last && last != index + 1)
		mtt_chunk_reap(mtt, last - 1, true);
}

/**
 * mirage_mtt_commit - put pages into the table
 * @mtt: the table
 * @iova: any address in the first page
 * @npages: number of pages; they do not go beyond the region, nor beyond the chunk
 * @pfns: one for each page, as in struct mirror_range; invalid ones are left out
 * @valid: tells whether the pages may still be used, called under the chunk's lock; or NULL
 * @arg: passed to @valid
 *
 * If the first page is part of a huge page whose 2 MiB are aligned like the chunk, all of the
 * chunk is committed. Process context, may sleep for memory; if @mtt->atomic, any context but
 * hardirq.
 *
 * Return: 0; -EBUSY if @valid returned false; -ESRCH after mirage_mtt_kill(); -ENOMEM.
 */
int mirage_mtt_commit(struct mirage_mtt *mtt, u64 iova, unsigned long npages,
		      const unsigned long *pfns, bool (*valid)(void *arg), void *arg)
{
	unsigned long index = mtt_index(mtt, iova);
	int err;

	do {
		struct mirage_mtt_chunk *chunk;
		bool drop = false;

		err = -EAGAIN;
		local_bh_disable();
		chunk = mtt_find(mtt, index);
		if (likely(chunk)) {
			spin_lock(&chunk->lock);
			err = mtt_chunk_commit(mtt, chunk, iova, npages, pfns,
					       valid, arg, &drop);
			spin_unlock(&chunk->lock);
			/* The chunk may have been made for this commit, and be empty still. */
			if (unlikely(err == -EBUSY) && mtt_chunk_empty(chunk))
				mtt_note_idle(mtt, index);
			/* Whoever made it dead erases it, too, but perhaps much later. */
			if (unlikely(err == -EAGAIN))
				mtt_chunk_erase(mtt, index, chunk);
			if (unlikely(drop))
				mtt_chunk_drop(mtt, index, chunk);
		}
		local_bh_enable();
		if (unlikely(err == -EAGAIN))
			err = mtt_chunk_insert(mtt, index, mtt_huge_fits(iova, pfns[0])) ?:
			      -EAGAIN;
	} while (err == -EAGAIN);
	return err;
}

/* Takes pages lo to hi of the chunk out of it. Returns how many were there. */
static unsigned long mtt_chunk_clear(struct mirage_mtt_chunk *chunk, int lo, int hi)
	__must_hold(&chunk->lock)
{
	unsigned long *entries = chunk->entries, n = 0;
	int i, end;

	lockdep_assert_held(&chunk->lock);
	/*
	 * All of a huge entry goes: to split it would take memory, and as a rule the kernel
	 * splits its own huge page as well.
	 */
	if (unlikely(chunk->huge)) {
		chunk->huge = 0;
		return MTT_CHUNK_PAGES;
	}
	i = max(lo - chunk->first, 0);
	end = min(hi + 1 - chunk->first, (int)chunk->count);
	for (; i < end; i++) {
		n += !!entries[i];
		entries[i] = 0;
	}
	chunk->resident -= n;
	return n;
}

static unsigned long mtt_zap_chunk(struct mirage_mtt *mtt, unsigned long index,
				   struct mirage_mtt_chunk *chunk, int lo, int hi)
{
	unsigned long n = 0;
	bool emptied;

	spin_lock(&chunk->lock);
	if (!mtt_chunk_empty(chunk))
		n = mtt_chunk_clear(chunk, lo, hi);
	emptied = n && mtt_chunk_empty(chunk);
	spin_unlock(&chunk->lock);
	if (unlikely(emptied))
		mtt_note_idle(mtt, index);
	return n;
}

/**
 * mirage_mtt_zap - take pages out of the table
 * @mtt: the table
 * @first: first iova
 * @last: last iova, inclusive; both may lie outside the region
 *
 * A page that shares only a byte with the range is taken out, too; so is all of a huge entry.
 * When this returns, no byte moves through the old entries any more. Never sleeps nor
 * allocates. Task context, softirqs off, no lock of the table held. The time it takes grows
 * with the number of chunks in the range.
 *
 * Return: how many pages were taken out.
 */
unsigned long mirage_mtt_zap(struct mirage_mtt *mtt, u64 first, u64 last)
{
	unsigned long start, end, index, n = 0;
	struct mirage_mtt_chunk *chunk;

	lockdep_assert_in_softirq();
	first = max(first, mtt->first & PAGE_MASK);
	last = min(last, mtt->last | ~PAGE_MASK);
	if (first > last)
		return 0;
	start = mtt_index(mtt, first);
	end = mtt_index(mtt, last);
	for (index = start; (chunk = mtt_next(mtt, &index, end)); index++)
		n += mtt_zap_chunk(mtt, index, chunk,
				   index == start ? mtt_page_of(first) : 0,
				   index == end ? mtt_page_of(last) :
						  MTT_CHUNK_PAGES - 1);
	return n;
}

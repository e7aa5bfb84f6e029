// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The NIC's translation table: lookup, copy, atomic, commit, zap
 *
 * Knows neither queue pairs nor address spaces. A backend (pin.c, odp.c) commits
 * pages to it, engines copy through it, and a zap takes pages away. An engine that
 * finds no page stops there and says so: whose business that is, others know.
 *
 * The table is sparse: one chunk per 2 MiB of iova, made by the first commit to it.
 * A chunk holds either one entry for all of it, where the pages are physically
 * contiguous and aligned alike, or an entry per page, for as many pages as the
 * region has there: so a small region has a small table. An entry is the address of
 * the page in the kernel's direct map (there is no highmem on 64-bit machines)
 * and flags below PAGE_SHIFT.
 *
 * Locking (of all the memory side)
 * --------------------------------
 *
 * What is in a chunk is protected by its own spinlock, taken with softirqs off,
 * because the wire carrier copies in softirq context. The holder of the lock may
 * use the pages it finds: a zap has to wait for it, and the page tables of the CPU
 * change after that, so the page can be neither freed nor reused meanwhile.
 *
 *	copy					munmap
 *						invalidate: lock chunk (waits)
 *	lock chunk, look up, copy, unlock
 *						clear, unlock
 *	lock chunk: not there			change page tables, free pages
 *
 * A copy holds the locks of two chunks, the one at the lower address first, and
 * moves at most MTT_COPY_MAX bytes under them. Order:
 *
 *	mmap_lock, reclaim, i_mmap_rwsem, page locks	(mm)
 *	  -> mirror_mm.lock				(mirror.c, over callbacks)
 *	    -> odp.lock					(odp.c, a region's faults)
 *	    -> mtt.chunks.xa_lock			(insert and erase only)
 *	    -> mtt_chunk.lock -> mtt_chunk.lock of a higher address
 *	a queue pair's locks
 *	  -> odp.lock, mtt_chunk.lock
 *
 * Chunks are found under RCU; softirqs off is an RCU read side. A chunk is dead
 * before it is erased: whoever found it earlier finds nothing in it, and whoever
 * wants to commit to it makes another. Whoever sets dead erases and frees.
 *
 * Dirty pages
 * -----------
 *
 * The device's writes leave no trace in the CPU's page tables, and the entry may
 * have been committed from a writable but clean PTE: of swapped-in or MADV_FREE'd
 * anonymous memory, of shmem read but never written. Reclaim would drop such a page
 * with the data in it. So the first write through an entry sets PG_dirty. That is
 * all dirty_folio() of anonymous memory, swap cache and shmem does; those of
 * filesystems take locks that must not be taken here (they are not softirq-safe),
 * and need not be called: filesystems that write back have every PTE made
 * read-only, which invalidates, when they clean a page, and see the page fault
 * that makes it writable again. So a writable mapping of theirs is of a dirty page.
 */
#include <linux/bottom_half.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "copy.h"
#include "mirror.h"
#include "mtt.h"

#define MTT_VALID	BIT(0)
#define MTT_WRITE	BIT(1)
#define MTT_DIRTIED	BIT(2)

#define MTT_CHUNK_ORDER	(MTT_CHUNK_SHIFT - PAGE_SHIFT)

static_assert(!IS_ENABLED(CONFIG_HIGHMEM));

/*
 * 2 MiB of a region. The entries are for pages first to first + count - 1 of the
 * 512; a chunk that was made for one whole entry has none, and a dead one neither.
 */
struct mtt_chunk {
	spinlock_t lock;		/* everything below */
	bool dead;
	u16 first;
	u16 count;
	u16 resident;			/* valid ones of entries */
	unsigned long whole;		/* one entry for all of it, or 0 */
	unsigned long *entries;
	struct rcu_head rcu;
};

static unsigned long mtt_index(const struct mtt *mtt, u64 addr)
{
	return (addr >> MTT_CHUNK_SHIFT) - mtt->base;
}

static unsigned int mtt_page_of(u64 addr)
{
	return (addr & (MTT_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
}

static void mtt_chunk_free(struct mtt_chunk *chunk)
{
	kfree(chunk->entries);
	kfree(chunk);
}

static void mtt_chunk_free_rcu(struct rcu_head *rcu)
{
	mtt_chunk_free(container_of(rcu, struct mtt_chunk, rcu));
}

static struct mtt_chunk *mtt_chunk_alloc(const struct mtt *mtt, unsigned long index,
					 bool whole)
{
	u64 start = (u64)(mtt->base + index) << MTT_CHUNK_SHIFT;
	u64 end = start + (MTT_CHUNK_SIZE - 1);
	struct mtt_chunk *chunk;

	chunk = kzalloc_obj(*chunk);
	if (!chunk)
		return NULL;
	spin_lock_init(&chunk->lock);
	if (whole)
		return chunk;
	chunk->first = mtt_page_of(max(start, mtt->first));
	chunk->count = mtt_page_of(min(end, mtt->last)) - chunk->first + 1;
	chunk->entries = kcalloc(chunk->count, sizeof(*chunk->entries), GFP_KERNEL);
	if (!chunk->entries) {
		kfree(chunk);
		return NULL;
	}
	return chunk;
}

/* Whoever makes a chunk dead calls mtt_chunk_drop() once the lock is free again. */
static void mtt_chunk_die(struct mtt_chunk *chunk)
	__must_hold(&chunk->lock)
{
	lockdep_assert_held(&chunk->lock);
	chunk->dead = true;
	chunk->count = 0;
	chunk->resident = 0;
	chunk->whole = 0;
}

/* Storing NULL allocates nothing, so this may run under reclaim. */
static void mtt_chunk_erase(struct mtt *mtt, unsigned long index,
			    struct mtt_chunk *chunk)
{
	xa_cmpxchg(&mtt->chunks, index, chunk, NULL, 0);
}

static void mtt_chunk_drop(struct mtt *mtt, unsigned long index,
			   struct mtt_chunk *chunk)
{
	mtt_chunk_erase(mtt, index, chunk);
	call_rcu(&chunk->rcu, mtt_chunk_free_rcu);
}

/* Take a chunk out of the table, or only if nothing is in it. */
static void mtt_chunk_reap(struct mtt *mtt, unsigned long index, bool empty_only)
{
	struct mtt_chunk *chunk;
	bool drop = false;

	local_bh_disable();
	chunk = xa_load(&mtt->chunks, index);
	if (chunk) {
		spin_lock(&chunk->lock);
		drop = !chunk->dead &&
		       !(empty_only && (chunk->resident || chunk->whole));
		if (drop)
			mtt_chunk_die(chunk);
		spin_unlock(&chunk->lock);
	}
	local_bh_enable();
	if (drop)
		mtt_chunk_drop(mtt, index, chunk);
}

/**
 * mtt_init - an empty table
 * @mtt: the table
 * @first: first iova of the region
 * @last: last iova of the region, inclusive
 * @owned: the pages' owner will mark them dirty, the table need not
 */
void mtt_init(struct mtt *mtt, u64 first, u64 last, bool owned)
{
	xa_init(&mtt->chunks);
	mtt->first = first;
	mtt->last = last;
	mtt->base = first >> MTT_CHUNK_SHIFT;
	mtt->idle = 0;
	mtt->owned = owned;
	mtt->dead = false;
}

/**
 * mtt_kill - from here on no byte moves through the table
 * @mtt: the table
 *
 * Copies under way are over when this returns, and no commit succeeds any more,
 * so the pages can be let go without waiting for whoever still has a reference on
 * the region. Process context; may sleep. Time grows with the chunks there are.
 */
void mtt_kill(struct mtt *mtt)
{
	unsigned long index;
	void *chunk;

	/*
	 * A chunk inserted before this critical section is found below; whoever
	 * inserts one after it sees dead when it comes to commit.
	 */
	xa_lock(&mtt->chunks);
	mtt->dead = true;
	xa_unlock(&mtt->chunks);

	xa_for_each(&mtt->chunks, index, chunk) {
		mtt_chunk_reap(mtt, index, false);
		cond_resched();
	}
}

/**
 * mtt_destroy - free what is left
 * @mtt: a table after mtt_kill(), that nobody else knows any more
 */
void mtt_destroy(struct mtt *mtt)
{
	struct mtt_chunk *chunk;
	unsigned long index;

	xa_for_each(&mtt->chunks, index, chunk)
		mtt_chunk_free(chunk);
	xa_destroy(&mtt->chunks);
}

/* The entry for addr, and how many bytes it is good for from there. */
static __always_inline unsigned long *mtt_entry(struct mtt_chunk *chunk, u64 addr,
						size_t *run)
{
	unsigned int i;

	if (unlikely(chunk->whole)) {
		*run = mtt_chunk_left(addr);
		return &chunk->whole;
	}
	i = mtt_page_of(addr) - chunk->first;
	if (unlikely(i >= chunk->count))
		return NULL;
	*run = PAGE_SIZE - offset_in_page(addr);
	return &chunk->entries[i];
}

/* The address to copy from or to; only good under the chunk's lock. */
static __always_inline void *mtt_map(struct mtt_chunk *chunk, unsigned long entry,
				     u64 addr)
{
	unsigned long mask = unlikely(chunk->whole) ? MTT_CHUNK_SIZE - 1 : ~PAGE_MASK;

	return (void *)((entry & PAGE_MASK) + (addr & mask));
}

static noinline void mtt_dirty(unsigned long *entry)
{
	struct folio *folio = virt_to_folio((void *)(*entry & PAGE_MASK));

	if (folio_test_anon(folio) || folio_test_swapbacked(folio))
		folio_set_dirty(folio);
	*entry |= MTT_DIRTIED;
}

/* For reading: NULL when there is no page. */
static __always_inline void *mtt_source(struct mtt_chunk *chunk, u64 addr, size_t *run)
	__must_hold(&chunk->lock)
{
	unsigned long *entry = mtt_entry(chunk, addr, run);

	if (unlikely(!entry || !(*entry & MTT_VALID)))
		return NULL;
	return mtt_map(chunk, *entry, addr);
}

/* For writing: NULL when there is no page, or none to write to. */
static __always_inline void *mtt_target(struct mtt_chunk *chunk, u64 addr, size_t *run)
	__must_hold(&chunk->lock)
{
	unsigned long *entry = mtt_entry(chunk, addr, run);

	if (unlikely(!entry || !(*entry & MTT_WRITE)))
		return NULL;
	if (unlikely(!(*entry & MTT_DIRTIED)))
		mtt_dirty(entry);
	return mtt_map(chunk, *entry, addr);
}

static __always_inline struct mtt_chunk *mtt_find(struct mtt *mtt, u64 addr)
{
	return xa_load(&mtt->chunks, mtt_index(mtt, addr));
}

static __always_inline void mtt_lock_pair(struct mtt_chunk *a, struct mtt_chunk *b)
{
	if (a > b)
		swap(a, b);
	spin_lock(&a->lock);
	if (a != b)
		spin_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
}

static __always_inline void mtt_unlock_pair(struct mtt_chunk *a, struct mtt_chunk *b)
{
	spin_unlock(&a->lock);
	if (a != b)
		spin_unlock(&b->lock);
}

static __always_inline size_t mtt_copy_locked(struct mtt_chunk *dst, u64 daddr,
					      struct mtt_chunk *src, u64 saddr,
					      size_t len, enum mtt_miss *miss)
{
	size_t done = 0;

	while (done < len) {
		size_t srun, drun;
		void *from, *to;

		from = mtt_source(src, saddr + done, &srun);
		if (unlikely(!from)) {
			*miss = MTT_MISS_SRC;
			break;
		}
		to = mtt_target(dst, daddr + done, &drun);
		if (unlikely(!to)) {
			*miss = MTT_MISS_DST;
			break;
		}
		srun = min3(srun, drun, len - done);
		mirage_copy(to, from, srun);
		done += srun;
	}
	return done;
}

/* As much as one hold of the locks allows. */
static __always_inline size_t mtt_copy_some(struct mtt *dst, u64 daddr, struct mtt *src,
					    u64 saddr, size_t len, enum mtt_miss *miss)
{
	struct mtt_chunk *d, *s;
	size_t done = 0;

	len = min_t(u64, mtt_chunk_left(daddr), min(len, (size_t)MTT_COPY_MAX));
	len = min_t(u64, mtt_chunk_left(saddr), len);
	local_bh_disable();
	s = mtt_find(src, saddr);
	d = mtt_find(dst, daddr);
	if (likely(s && d)) {
		mtt_lock_pair(d, s);
		done = mtt_copy_locked(d, daddr, s, saddr, len, miss);
		mtt_unlock_pair(d, s);
	} else {
		*miss = s ? MTT_MISS_DST : MTT_MISS_SRC;
	}
	local_bh_enable();
	return done;
}

/**
 * mtt_copy - copy from one region to another, or within one
 * @dst: table of the region written to
 * @daddr: iova in it
 * @src: table of the region read from
 * @saddr: iova in it
 * @len: bytes; the caller has checked both ranges against their regions
 * @miss: which side ended the copy early, or MTT_MISS_NONE
 *
 * Any context but hardirq, no lock of the table held. In order, so that what was
 * not copied is a tail.
 *
 * Return: bytes copied. Less than @len: the next byte of the side that @miss tells
 * is not in the table, or only for reading where it has to be written.
 */
size_t mtt_copy(struct mtt *dst, u64 daddr, struct mtt *src, u64 saddr,
		size_t len, enum mtt_miss *miss)
{
	size_t done = 0;

	*miss = MTT_MISS_NONE;
	while (done < len && *miss == MTT_MISS_NONE)
		done += mtt_copy_some(dst, daddr + done, src, saddr + done,
				      len - done, miss);
	return done;
}

/* As much as one hold of the lock allows, between a region and kernel memory. */
static __always_inline size_t mtt_move_some(struct mtt *mtt, u64 addr, void *buf,
					    size_t len, bool write, bool *there)
{
	struct mtt_chunk *chunk;
	size_t done = 0;

	len = min_t(u64, mtt_chunk_left(addr), min(len, (size_t)MTT_COPY_MAX));
	local_bh_disable();
	chunk = mtt_find(mtt, addr);
	*there = chunk;
	if (likely(chunk)) {
		spin_lock(&chunk->lock);
		while (done < len) {
			size_t run;
			void *at = write ? mtt_target(chunk, addr + done, &run) :
					   mtt_source(chunk, addr + done, &run);

			*there = at;
			if (unlikely(!at))
				break;
			run = min(run, len - done);
			if (write)
				mirage_copy(at, buf + done, run);
			else
				mirage_copy(buf + done, at, run);
			done += run;
		}
		spin_unlock(&chunk->lock);
	}
	local_bh_enable();
	return done;
}

/**
 * mtt_write - copy from kernel memory to a region
 * @dst: its table
 * @daddr: iova in it
 * @buf: the bytes
 * @len: their number; the caller has checked the range
 *
 * Any context but hardirq, no lock of the table held.
 *
 * Return: bytes copied; less than @len: the next is not there to be written.
 */
size_t mtt_write(struct mtt *dst, u64 daddr, const void *buf, size_t len)
{
	bool there = true;
	size_t done = 0;

	while (done < len && there)
		done += mtt_move_some(dst, daddr + done, (void *)buf + done,
				      len - done, true, &there);
	return done;
}

/**
 * mtt_read - copy from a region to kernel memory
 * @src: its table
 * @saddr: iova in it
 * @buf: where to
 * @len: bytes; the caller has checked the range
 *
 * Any context but hardirq, no lock of the table held.
 *
 * Return: bytes copied; less than @len: the next is not there.
 */
size_t mtt_read(struct mtt *src, u64 saddr, void *buf, size_t len)
{
	bool there = true;
	size_t done = 0;

	while (done < len && there)
		done += mtt_move_some(src, saddr + done, buf + done, len - done,
				      false, &there);
	return done;
}

/**
 * mtt_atomic - compare and swap, or fetch and add, 8 bytes in host order
 * @mtt: the region's table
 * @addr: iova, a multiple of 8; the caller has checked the range
 * @op: which
 * @compare_add: what to compare with, or to add
 * @swap: what to store if equal
 * @old: what was there before
 *
 * Atomic against the CPUs too. Any context but hardirq, no lock of the table held.
 *
 * Return: 0; -EAGAIN if the page is not there to be written; -EINVAL if @addr is
 * not aligned.
 */
int mtt_atomic(struct mtt *mtt, u64 addr, enum mtt_atomic_op op, u64 compare_add,
	       u64 swap, u64 *old)
{
	struct mtt_chunk *chunk;
	void *target = NULL;
	size_t run;

	if (addr & (sizeof(u64) - 1))
		return -EINVAL;
	local_bh_disable();
	chunk = mtt_find(mtt, addr);
	if (chunk) {
		spin_lock(&chunk->lock);
		target = mtt_target(chunk, addr, &run);
		if (target && op == MTT_CMP_SWAP)
			*old = cmpxchg64((u64 *)target, compare_add, swap);
		else if (target)
			*old = atomic64_fetch_add(compare_add, (atomic64_t *)target);
		spin_unlock(&chunk->lock);
	}
	local_bh_enable();
	return target ? 0 : -EAGAIN;
}

static bool mtt_chunk_present(struct mtt_chunk *chunk, u64 addr, u64 end,
			      unsigned long flag)
	__must_hold(&chunk->lock)
{
	lockdep_assert_held(&chunk->lock);
	while (addr < end) {
		size_t run;
		unsigned long *entry = mtt_entry(chunk, addr, &run);

		if (!entry || !(*entry & flag))
			return false;
		addr += run;
	}
	return true;
}

/**
 * mtt_present - is all of a range in the table?
 * @mtt: the table
 * @addr: first iova
 * @len: bytes; the caller has checked the range
 * @write: for writing
 *
 * Any context but hardirq. The answer may be out of date when it arrives.
 */
bool mtt_present(struct mtt *mtt, u64 addr, size_t len, bool write)
{
	unsigned long flag = write ? MTT_WRITE : MTT_VALID;
	bool present = true;

	while (len && present) {
		size_t n = min_t(u64, len, mtt_chunk_left(addr));
		struct mtt_chunk *chunk;

		local_bh_disable();
		chunk = mtt_find(mtt, addr);
		present = chunk;
		if (chunk) {
			spin_lock(&chunk->lock);
			present = mtt_chunk_present(chunk, addr, addr + n, flag);
			spin_unlock(&chunk->lock);
		}
		local_bh_enable();
		addr += n;
		len -= n;
	}
	return present;
}

static unsigned long mtt_entry_of(const struct mtt *mtt, struct page *page, bool write)
{
	unsigned long entry = (unsigned long)page_address(page) | MTT_VALID;

	if (write)
		entry |= MTT_WRITE;
	if (write && mtt->owned)
		entry |= MTT_DIRTIED;
	return entry;
}

/* Does a page stand for 2 MiB that are aligned like the chunk of its iova? */
static bool mtt_whole_fits(u64 iova, unsigned long pfn)
{
	return mirror_pfn_valid(pfn) && mirror_pfn_order(pfn) >= MTT_CHUNK_ORDER &&
	       (page_to_pfn(mirror_pfn_page(pfn)) & (MTT_CHUNK_PAGES - 1)) ==
	       mtt_page_of(iova);
}

/* Reading and writing the same page: a write that was noted stays noted. */
static void mtt_set(unsigned long *slot, unsigned long entry)
{
	if (((*slot ^ entry) & PAGE_MASK) == 0)
		entry |= *slot & MTT_DIRTIED;
	*slot = entry;
}

static void mtt_commit_whole(struct mtt *mtt, struct mtt_chunk *chunk, u64 iova,
			     unsigned long pfn)
	__must_hold(&chunk->lock)
{
	struct page *page = mirror_pfn_page(pfn) - mtt_page_of(iova);

	lockdep_assert_held(&chunk->lock);
	if (chunk->resident)
		memset(chunk->entries, 0, chunk->count * sizeof(*chunk->entries));
	chunk->resident = 0;
	mtt_set(&chunk->whole, mtt_entry_of(mtt, page, mirror_pfn_writable(pfn)));
}

static void mtt_commit_pages(struct mtt *mtt, struct mtt_chunk *chunk, u64 iova,
			     unsigned long npages, const unsigned long *pfns)
	__must_hold(&chunk->lock)
{
	unsigned long *slot = &chunk->entries[mtt_page_of(iova) - chunk->first];

	lockdep_assert_held(&chunk->lock);
	chunk->whole = 0;
	for (; npages; npages--, slot++, pfns++) {
		if (!mirror_pfn_valid(*pfns))
			continue;
		chunk->resident += !*slot;
		mtt_set(slot, mtt_entry_of(mtt, mirror_pfn_page(*pfns),
					   mirror_pfn_writable(*pfns)));
	}
}

/* -EAGAIN: the chunk can not take these entries, there has to be another. */
static int mtt_chunk_commit(struct mtt *mtt, struct mtt_chunk *chunk, u64 iova,
			    unsigned long npages, const unsigned long *pfns,
			    bool (*valid)(void *arg), void *arg, bool *drop)
	__must_hold(&chunk->lock)
{
	unsigned int i = mtt_page_of(iova) - chunk->first;

	lockdep_assert_held(&chunk->lock);
	if (mtt->dead)
		return -ESRCH;
	if (chunk->dead)
		return -EAGAIN;
	if (valid && !valid(arg))
		return -EBUSY;
	if (mtt_whole_fits(iova, pfns[0])) {
		mtt_commit_whole(mtt, chunk, iova, pfns[0]);
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

static int mtt_chunk_insert(struct mtt *mtt, unsigned long index, bool whole)
{
	struct mtt_chunk *chunk = mtt_chunk_alloc(mtt, index, whole);
	int err;

	if (!chunk)
		return -ENOMEM;
	err = xa_insert(&mtt->chunks, index, chunk, GFP_KERNEL);
	if (err)
		mtt_chunk_free(chunk);
	/* Somebody else's is as good. */
	return err == -EBUSY ? 0 : err;
}

/**
 * mtt_commit - put pages into the table
 * @mtt: the table
 * @iova: of the first page; any address in it
 * @npages: their number; not beyond the region, nor across a chunk's end
 * @pfns: one for each, as struct mirror_range has them; invalid ones are left out
 * @valid: asked under the chunk's lock whether the pages are still right; or NULL
 * @arg: for @valid
 *
 * Where the first page stands for 2 MiB that are aligned like the chunk, all of the
 * chunk is committed. Process context; sleeps for memory.
 *
 * Return: 0; -EBUSY if @valid said no; -ESRCH after mtt_kill(); -ENOMEM.
 */
int mtt_commit(struct mtt *mtt, u64 iova, unsigned long npages,
	       const unsigned long *pfns, bool (*valid)(void *arg), void *arg)
{
	unsigned long index = mtt_index(mtt, iova);
	bool whole = mtt_whole_fits(iova, pfns[0]);
	int err;

	do {
		struct mtt_chunk *chunk;
		bool drop = false;

		err = -EAGAIN;
		local_bh_disable();
		chunk = mtt_find(mtt, iova);
		if (likely(chunk)) {
			spin_lock(&chunk->lock);
			err = mtt_chunk_commit(mtt, chunk, iova, npages, pfns,
					       valid, arg, &drop);
			spin_unlock(&chunk->lock);
			/* Not left to whoever made it dead, for that may take time. */
			if (unlikely(err == -EAGAIN))
				mtt_chunk_erase(mtt, index, chunk);
			if (unlikely(drop))
				mtt_chunk_drop(mtt, index, chunk);
		}
		local_bh_enable();
		if (unlikely(err == -EAGAIN))
			err = mtt_chunk_insert(mtt, index, whole) ?: -EAGAIN;
	} while (err == -EAGAIN);
	return err;
}

/* Pages lo to hi of the 512. Returns how many were there. */
static unsigned long mtt_chunk_clear(struct mtt_chunk *chunk, unsigned int lo,
				     unsigned int hi)
	__must_hold(&chunk->lock)
{
	unsigned long n = 0;
	unsigned int i, end;

	lockdep_assert_held(&chunk->lock);
	/* Splitting it would have to allocate, and the CPU splits its own as a rule. */
	if (chunk->whole) {
		chunk->whole = 0;
		return MTT_CHUNK_PAGES;
	}
	if (!chunk->resident)
		return 0;
	end = min_t(unsigned int, hi + 1, chunk->first + chunk->count);
	for (i = max_t(unsigned int, lo, chunk->first); i < end; i++) {
		unsigned long *slot = &chunk->entries[i - chunk->first];

		n += !!*slot;
		*slot = 0;
	}
	chunk->resident -= n;
	return n;
}

static bool mtt_chunk_empty(const struct mtt_chunk *chunk)
{
	return !chunk->resident && !chunk->whole;
}

/*
 * A chunk just emptied is likely to be filled again soon, so it stays until another
 * is emptied. So there is at most one empty chunk to a table.
 */
static void mtt_note_idle(struct mtt *mtt, unsigned long index)
{
	unsigned long last;

	if (READ_ONCE(mtt->idle) == index + 1)
		return;
	last = xchg(&mtt->idle, index + 1);
	if (last && last != index + 1)
		mtt_chunk_reap(mtt, last - 1, true);
}

static unsigned long mtt_zap_chunk(struct mtt *mtt, unsigned long index,
				   struct mtt_chunk *chunk, unsigned int lo,
				   unsigned int hi)
{
	unsigned long n;
	bool empty;

	spin_lock_bh(&chunk->lock);
	n = mtt_chunk_clear(chunk, lo, hi);
	empty = mtt_chunk_empty(chunk);
	spin_unlock_bh(&chunk->lock);
	if (n && empty)
		mtt_note_idle(mtt, index);
	return n;
}

/**
 * mtt_zap - take pages out of the table
 * @mtt: the table
 * @first: first iova
 * @last: last iova, inclusive; both may lie outside the region
 *
 * Page by page: a page that only shares a byte with the range goes too. No byte
 * goes through the old entries when this returns. Never sleeps nor allocates; any
 * context but hardirq and softirq. Time grows with the chunks there are in the
 * range.
 *
 * Return: pages that were there.
 */
unsigned long mtt_zap(struct mtt *mtt, u64 first, u64 last)
{
	unsigned long start, end, index, n = 0;
	struct mtt_chunk *chunk;

	first = max(first, mtt->first & PAGE_MASK);
	last = min(last, mtt->last | ~PAGE_MASK);
	if (first > last)
		return 0;
	start = mtt_index(mtt, first);
	end = mtt_index(mtt, last);

	rcu_read_lock();
	if (likely(start == end)) {
		chunk = xa_load(&mtt->chunks, start);
		if (chunk)
			n = mtt_zap_chunk(mtt, start, chunk, mtt_page_of(first),
					  mtt_page_of(last));
	} else {
		xa_for_each_range(&mtt->chunks, index, chunk, start, end)
			n += mtt_zap_chunk(mtt, index, chunk,
					   index == start ? mtt_page_of(first) : 0,
					   index == end ? mtt_page_of(last) :
							  MTT_CHUNK_PAGES - 1);
	}
	rcu_read_unlock();
	return n;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Copies through the translation table
 *
 * Locking is described in mtt.c.
 *
 * Dirty pages
 * -----------
 *
 * The device's writes leave no trace in the CPU's page tables, and the entry may have been
 * committed from a PTE that is writable but clean: of anonymous memory that was swapped in or
 * given to MADV_FREE, or of shmem that was read but never written. Reclaim would drop such a
 * page with the data in it. So the first write through an entry sets PG_dirty. For anonymous
 * memory, the swap cache and shmem, dirty_folio() does no more than that.
 *
 * The dirty_folio() of a filesystem takes locks that are not softirq-safe, so it must not be
 * called here. It need not be called either. A filesystem that writes back makes every PTE of a
 * page read-only when it cleans the page, and that invalidates our entry. The page fault that
 * makes the PTE writable again tells the filesystem. So while a PTE of such a filesystem's page
 * is writable, the page is dirty.
 */
#include <linux/bottom_half.h>
#include <linux/lockdep.h>
#include <linux/page-flags.h>

#include "mem/copy.h"
#include "mem/mtt.h"
#include "mem/mtt_chunk.h"

/**
 * mirage_mtt_dirty - mark a page dirty, at the first write through its entry
 * @chunk: the entry's chunk, locked
 * @entry: the entry, which then has MTT_DIRTIED
 */
void mirage_mtt_dirty(struct mirage_mtt_chunk *chunk, unsigned long *entry)
	__must_hold(&chunk->lock)
{
	struct folio *folio = virt_to_folio((void *)(*entry & PAGE_MASK));

	lockdep_assert_held(&chunk->lock);
	if (folio_test_anon(folio) || folio_test_swapbacked(folio))
		folio_set_dirty(folio);
	*entry |= MTT_DIRTIED;
}

static size_t mtt_copy_locked(struct mirage_mtt_chunk *dst, u64 daddr, struct mirage_mtt_chunk *src,
			      u64 saddr, size_t len, enum mirage_mtt_miss *miss)
	__must_hold(&dst->lock)
	__must_hold(&src->lock)
{
	size_t done = 0;

	lockdep_assert_held(&dst->lock);
	lockdep_assert_held(&src->lock);
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

/* Copies as many bytes as one hold of the two locks allows. */
static size_t mtt_copy_some(struct mirage_mtt *dst, u64 daddr, struct mirage_mtt *src, u64 saddr,
			    size_t len, enum mirage_mtt_miss *miss)
{
	struct mirage_mtt_chunk *d, *s;
	size_t done = 0;

	len = min_t(size_t, mirage_mtt_chunk_left(daddr), len);
	len = min_t(size_t, mirage_mtt_chunk_left(saddr), len);
	len = min_t(size_t, len, MTT_COPY_MAX);
	s = mtt_find_addr(src, saddr);
	d = mtt_find_addr(dst, daddr);
	if (likely(s && d)) {
		mtt_lock_pair(d, s);
		done = mtt_copy_locked(d, daddr, s, saddr, len, miss);
		mtt_unlock_pair(d, s);
	} else {
		*miss = s ? MTT_MISS_DST : MTT_MISS_SRC;
	}
	return done;
}

/**
 * mirage_mtt_copy - copy from one region to another, or within one
 * @dst: table of the region written to
 * @daddr: iova in it
 * @src: table of the region read from
 * @saddr: iova in it
 * @len: bytes; the caller has checked both ranges against their regions
 * @miss: set to the side that ended the copy early, or to MTT_MISS_NONE
 *
 * Softirqs off, no lock of the table held. The bytes are copied in order, so those that were
 * not copied are the last ones.
 *
 * Return: bytes copied. If fewer than @len, the page of the next byte is missing on the side
 * that @miss names, or may only be read where it has to be written.
 */
size_t mirage_mtt_copy(struct mirage_mtt *dst, u64 daddr, struct mirage_mtt *src, u64 saddr,
		       size_t len, enum mirage_mtt_miss *miss)
{
	size_t done = 0;

	lockdep_assert_in_softirq();
	*miss = MTT_MISS_NONE;
	while (done < len && *miss == MTT_MISS_NONE)
		done += mtt_copy_some(dst, daddr + done, src, saddr + done,
				      len - done, miss);
	return done;
}

/*
 * Copies between a region and kernel memory as many bytes as one hold of the lock allows.
 * *there is set to false if a page is missing. Always inline: 1.3 % of a datagram of 64 B within
 * the device (bench_ud).
 */
static __always_inline size_t mtt_move_some(struct mirage_mtt *mtt, u64 addr, void *buf, size_t len,
					    bool write, bool *there)
{
	struct mirage_mtt_chunk *chunk;
	size_t done = 0;

	len = min_t(size_t, mirage_mtt_chunk_left(addr), len);
	len = min_t(size_t, len, MTT_COPY_MAX);
	chunk = mtt_find_addr(mtt, addr);
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
	return done;
}

/**
 * mirage_mtt_write - copy from kernel memory to a region
 * @dst: table of the region
 * @daddr: iova in it
 * @buf: the bytes
 * @len: number of bytes; the caller has checked the range
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: bytes copied. If fewer than @len, the page of the next byte is missing, or may only
 * be read.
 */
size_t mirage_mtt_write(struct mirage_mtt *dst, u64 daddr, const void *buf, size_t len)
{
	bool there = true;
	size_t done = 0;

	lockdep_assert_in_softirq();
	while (done < len && there)
		done += mtt_move_some(dst, daddr + done, (void *)buf + done,
				      len - done, true, &there);
	return done;
}

/**
 * mirage_mtt_read - copy from a region to kernel memory
 * @src: table of the region
 * @saddr: iova in it
 * @buf: the destination
 * @len: number of bytes; the caller has checked the range
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: bytes copied. If fewer than @len, the page of the next byte is missing.
 */
size_t mirage_mtt_read(struct mirage_mtt *src, u64 saddr, void *buf, size_t len)
{
	bool there = true;
	size_t done = 0;

	lockdep_assert_in_softirq();
	while (done < len && there)
		done += mtt_move_some(src, saddr + done, buf + done, len - done,
				      false, &there);
	return done;
}

/* Copies to or from a part of a page of the region. off is as in mirage_mtt_move_rows(). */
static void mtt_rows_copy(const struct mirage_mtt_rows *rows, size_t off, void *page, size_t len,
			  bool write)
{
	void *const *row = &rows->at[off >> rows->shift];
	size_t in = off & (BIT(rows->shift) - 1), n;

	for (; len; len -= n, page += n, row++, in = 0) {
		n = min_t(size_t, len, BIT(rows->shift) - in);
		if (write)
			mirage_copy(page, *row + in, n);
		else
			mirage_copy(*row + in, page, n);
	}
}

/* Copies as many bytes as one hold of the lock allows. */
static size_t mtt_rows_some(struct mirage_mtt *mtt, u64 addr, const struct mirage_mtt_rows *rows,
			    size_t off,
			    size_t len, bool write)
{
	struct mirage_mtt_chunk *chunk = mtt_find_addr(mtt, addr);
	size_t done = 0, run;
	void *at;

	if (unlikely(!chunk))
		return 0;
	spin_lock(&chunk->lock);
	for (; done < len; done += run) {
		at = write ? mtt_target(chunk, addr + done, &run) :
			     mtt_source(chunk, addr + done, &run);
		if (unlikely(!at))
			break;
		run = min(run, len - done);
		mtt_rows_copy(rows, off + done, at, run, write);
	}
	spin_unlock(&chunk->lock);
	return done;
}

/**
 * mirage_mtt_move_rows - copy between a region and equal pieces of kernel memory
 * @mtt: table of the region
 * @addr: iova in it
 * @rows: the pieces
 * @off: how many bytes at the start of the pieces are skipped
 * @len: number of bytes; the caller has checked the range
 * @write: true to copy to the region, false to copy from it
 *
 * Softirqs off, no lock of the table held.
 *
 * Return: as mirage_mtt_write() or mirage_mtt_read().
 */
size_t mirage_mtt_move_rows(struct mirage_mtt *mtt, u64 addr, const struct mirage_mtt_rows *rows,
			    size_t off,
			    size_t len, bool write)
{
	size_t done = 0, want, n;

	lockdep_assert_in_softirq();
	do {
		want = min3(len - done, (size_t)mirage_mtt_chunk_left(addr + done),
			    (size_t)MTT_COPY_MAX);
		n = mtt_rows_some(mtt, addr + done, rows, off + done, want, write);
		done += n;
	} while (n == want && done < len);
	return done;
}

/**
 * mirage_mtt_atomic - compare and swap, or fetch and add, 8 bytes in host order
 * @mtt: table of the region
 * @addr: iova, a multiple of 8; the caller has checked the range
 * @op: which of the two
 * @compare_add: the value to compare with, or to add
 * @swap: the value to store if the comparison succeeds
 * @old: set to the value before the operation
 *
 * The operation is atomic for the CPUs, too. Softirqs off, no lock of the table held.
 *
 * Return: 0; -EAGAIN if the page is missing, or may only be read; -EINVAL if @addr is not
 * aligned.
 */
int mirage_mtt_atomic(struct mirage_mtt *mtt, u64 addr, enum mirage_op_atomic op,
		      u64 compare_add,
		      u64 swap, u64 *old)
{
	struct mirage_mtt_chunk *chunk;
	void *target = NULL;
	size_t run;

	lockdep_assert_in_softirq();
	if (addr & (sizeof(u64) - 1))
		return -EINVAL;
	chunk = mtt_find_addr(mtt, addr);
	if (chunk) {
		spin_lock(&chunk->lock);
		target = mtt_target(chunk, addr, &run);
		if (target && op == OP_CMP_SWAP)
			*old = cmpxchg64((u64 *)target, compare_add, swap);
		else if (target)
			*old = atomic64_fetch_add(compare_add, (atomic64_t *)target);
		spin_unlock(&chunk->lock);
	}
	return target ? 0 : -EAGAIN;
}

static bool mtt_chunk_present(struct mirage_mtt_chunk *chunk, u64 addr, size_t len,
			      unsigned long flag)
	__must_hold(&chunk->lock)
{
	size_t done = 0, run;

	lockdep_assert_held(&chunk->lock);
	while (done < len) {
		unsigned long *entry = mtt_entry(chunk, addr + done, &run);

		if (!entry || !(*entry & flag))
			return false;
		done += run;
	}
	return true;
}

/**
 * mirage_mtt_present - tell whether a table has every page of a range
 * @mtt: the table
 * @addr: first iova
 * @len: number of bytes; the caller has checked the range
 * @write: true if the pages have to be writable
 *
 * Any context but hardirq. The answer may be out of date by the time the caller gets it.
 *
 * Return: true if no page is missing; always true for a @len of 0.
 */
bool mirage_mtt_present(struct mirage_mtt *mtt, u64 addr, size_t len, bool write)
{
	unsigned long flag = write ? MTT_WRITE : MTT_VALID;
	bool present = true;

	while (len && present) {
		size_t n = min_t(u64, len, mirage_mtt_chunk_left(addr));
		struct mirage_mtt_chunk *chunk;

		local_bh_disable();
		chunk = mtt_find_addr(mtt, addr);
		present = chunk;
		if (chunk) {
			spin_lock(&chunk->lock);
			present = mtt_chunk_present(chunk, addr, n, flag);
			spin_unlock(&chunk->lock);
		}
		local_bh_enable();
		addr += n;
		len -= n;
	}
	return present;
}

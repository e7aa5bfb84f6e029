/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Where the bytes of one side of a message are
 *
 * The one form in which requester, responder and carriers hand each other data:
 * a list of pieces of regions, or a buffer of the kernel's, with a position.
 */
#ifndef MIRAGE_BYTES_H
#define MIRAGE_BYTES_H

#include "base/device.h"
#include "mem/mr.h"
#include "mem/mtt_chunk.h"
#include "queue/wqe.h"

/**
 * struct seg - a piece of one region
 * @mr: the region; a reference is held
 * @addr: its first byte, an iova
 * @len: its length, not 0
 */
struct seg {
	struct mirage_mr *mr;
	u64 addr;
	u32 len;
};

/**
 * struct bytes - a byte sequence with a position
 * @buf: the bytes themselves, or NULL: they are in @seg
 * @num: pieces in @seg
 * @cur: the piece the position is in
 * @off: bytes of that piece, or of @buf, that are done
 * @whole: length of the only piece, until the position moves; may be 0 at any time
 * @window: the key of the window that they were found by, or 0
 * @seg: the pieces
 * @found: with @window: how they were found, and the window while it is entered
 */
struct bytes {
	void *buf;
	u32 num;
	u32 cur;
	u32 off;
	u32 whole;
	u32 window;
	struct seg seg[MIRAGE_MAX_SGE];
	struct {
		struct mirage_dev *dev;
		struct ib_pd *pd;
		u32 qpn;
		int access;
		struct mw *mw;
	} found;
};

/**
 * struct miss - what has to be brought in before a move goes on
 * @mr: the region; a reference is held for the holder of this
 * @iova: the first missing byte
 * @len: bytes of the message from there on in this region
 * @write: they are going to be written
 */
struct miss {
	struct mirage_mr *mr;
	u64 iova;
	u64 len;
	bool write;
};

/** miss_set - fill a miss, with a reference on its region */
static inline void miss_set(struct miss *miss, struct mirage_mr *mr, u64 iova, u64 len,
			    bool write)
{
	kref_get(&mr->ref);
	*miss = (struct miss) { .mr = mr, .iova = iova, .len = len, .write = write };
}

int bytes_from_list(struct bytes *b, struct mirage_dev *dev, struct ib_pd *pd,
		    const struct mirage_sge *sge, u32 num, int access);
int bytes_from_window(struct bytes *b, struct mirage_dev *dev, struct ib_pd *pd,
		      u32 qpn, u32 key, u64 addr, u32 len, int access);
void bytes_release_rest(struct bytes *b, u32 num);
bool bytes_enter_window(struct bytes *b);
void bytes_leave_window(struct bytes *b);
bool bytes_missing(const struct bytes *b, struct miss *miss);
u32 bytes_move(struct bytes *to, struct bytes *from, u32 left, struct miss *miss);
bool bytes_read(struct bytes *from, void *buf, u32 len, u32 left, struct miss *miss);
bool bytes_write(struct bytes *to, const void *buf, u32 len, u32 left,
		 struct miss *miss);
u32 bytes_move_rows(struct bytes *b, const struct mtt_rows *rows, u32 num, u32 left,
		    bool write, struct miss *miss);
void bytes_seek(struct bytes *b, u32 to);

/** bytes_rewind - back to the first byte */
static inline void bytes_rewind(struct bytes *b)
{
	b->cur = 0;
	b->off = 0;
}

/**
 * bytes_from_buf - bytes in memory of the kernel's, or in a ring
 * @b: filled; needs no release
 * @buf: the bytes; at least as many as will be moved
 */
static inline void bytes_from_buf(struct bytes *b, const void *buf)
{
	b->buf = (void *)buf;
	b->num = 0;
	b->whole = 0;
	b->window = 0;
	bytes_rewind(b);
}

/* One piece of one region; the reference on it is ours. */
static __always_inline void bytes_from_mr(struct bytes *b, struct mirage_mr *mr, u64 addr,
					  u32 len)
{
	b->buf = NULL;
	b->num = 1;
	b->whole = len;
	b->window = 0;
	bytes_rewind(b);
	b->seg[0] = (struct seg) { .mr = mr, .addr = addr, .len = len };
}

/**
 * bytes_from_sges - the bytes that a validated SGE list names
 * @b: filled; released by bytes_release() even after a failure
 * @dev: the device
 * @pd: PD the keys must belong to
 * @sge: the list; empty SGEs are skipped with whatever key they have
 * @num: its length, at most MIRAGE_MAX_SGE
 * @access: rights needed, IB_ACCESS_*, 0 to read
 *
 * Any context. Return: 0, or the errno of mr_lookup().
 */
static __always_inline int bytes_from_sges(struct bytes *b, struct mirage_dev *dev,
					   struct ib_pd *pd, const struct mirage_sge *sge,
					   u32 num, int access)
{
	if (likely(num == 1 && sge->length)) {
		struct mirage_mr *mr = mr_lookup(&dev->mrs, pd, sge->lkey, sge->addr,
						 sge->length, access);

		if (!IS_ERR(mr)) {
			bytes_from_mr(b, mr, sge->addr, sge->length);
			return 0;
		}
	}
	return bytes_from_list(b, dev, pd, sge, num, access);
}

/**
 * bytes_from_region - the bytes that a remote key names
 * @b: filled; released by bytes_release()
 * @dev: the device
 * @pd: PD the key must belong to
 * @qpn: the responder's QP: a window of type 2 is good through one QP only
 * @key: the rkey
 * @addr: first byte
 * @len: length; nothing is looked at when it is 0 (IBA 9.7.4.1.6)
 * @access: rights needed, IB_ACCESS_*
 *
 * Any context. Return: 0, or the errno of mirage_rkey_get().
 */
static __always_inline int bytes_from_region(struct bytes *b, struct mirage_dev *dev,
					     struct ib_pd *pd, u32 qpn, u32 key, u64 addr,
					     u32 len, int access)
{
	if (likely(len)) {
		struct mirage_mr *mr = mr_lookup(&dev->mrs, pd, key, addr, len, access);

		if (!IS_ERR(mr)) {
			bytes_from_mr(b, mr, addr, len);
			return 0;
		}
	}
	return bytes_from_window(b, dev, pd, qpn, key, addr, len, access);
}

/* What a small message, tried once, gains without references. */
#define BYTES_BORROW_MAX	512

/**
 * bytes_borrow - one piece without a reference on its region
 * @b: filled if so
 * @dev: the device
 * @pd: PD the key must belong to
 * @sge: the piece, not empty
 * @access: rights needed, IB_ACCESS_*, 0 to read
 *
 * BHs off, and the bytes are forgotten or filled anew before they are on again. All
 * that can be done with them is bytes_move_small() and bytes_read_small().
 *
 * Return: whether there is such a region.
 */
static __always_inline bool bytes_borrow(struct bytes *b, struct mirage_dev *dev,
					 struct ib_pd *pd, const struct mirage_sge *sge,
					 int access)
{
	struct mirage_mr *mr = mr_find(&dev->mrs, pd, sge->lkey, sge->addr, sge->length,
				       access);

	lockdep_assert_in_softirq();
	if (IS_ERR(mr) || unlikely(mr->dma))
		return false;
	bytes_from_mr(b, mr, sge->addr, sge->length);
	/* No piece to release. */
	b->num = 0;
	return true;
}

/** bytes_borrowed - are these bytes_borrow()'s? */
static __always_inline bool bytes_borrowed(const struct bytes *b)
{
	return !b->num && b->whole;
}

/**
 * bytes_enter - before bytes move that a remote key named
 * @b: the bytes
 *
 * BHs are off until bytes_leave(), which is soon: the owner of a window waits for it.
 *
 * Return: false: the window was invalidated or is another one now.
 */
static __always_inline bool bytes_enter(struct bytes *b)
{
	return likely(!b->window) || bytes_enter_window(b);
}

/** bytes_leave - the end of what bytes_enter() began */
static __always_inline void bytes_leave(struct bytes *b)
{
	if (unlikely(b->window))
		bytes_leave_window(b);
}

/** bytes_release - drop the references on regions; the sequence is empty then */
static __always_inline void bytes_release(struct bytes *b)
{
	u32 num = b->num;

	b->buf = NULL;
	b->num = 0;
	b->whole = 0;
	if (unlikely(num > 1))
		bytes_release_rest(b, num);
	if (num)
		mirage_mr_put(b->seg[0].mr);
}

/**
 * bytes_move_small - copy all of a small message at once
 * @to: where the bytes go
 * @from: where they come from
 * @left: bytes of the message still to move
 *
 * BHs are off. Return: whether it was that small, and there; if not, see bytes_move().
 */
static __always_inline bool bytes_move_small(struct bytes *to, struct bytes *from, u32 left)
{
	return left - 1 < PAGE_SIZE && left <= to->whole && left <= from->whole &&
	       likely(mtt_copy_small(&to->seg[0].mr->mtt, to->seg[0].addr,
				     &from->seg[0].mr->mtt, from->seg[0].addr, left));
}

/**
 * bytes_read_small - copy all of a small message out at once
 * @from: the message; the position stays
 * @buf: where to
 * @len: its bytes
 *
 * BHs are off. Return: whether it was that small, and there; if not, see bytes_read().
 */
static __always_inline bool bytes_read_small(struct bytes *from, void *buf, u32 len)
{
	return len - 1 < PAGE_SIZE && len <= from->whole &&
	       likely(mtt_read_small(&from->seg[0].mr->mtt, from->seg[0].addr, buf, len));
}

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Where the bytes of one side of a message are
 *
 * The one form in which requester, responder and carriers hand each other data:
 * a list of pieces of regions, or a buffer of the kernel's, with a position.
 */
#ifndef MIRAGE_CURSOR_H
#define MIRAGE_CURSOR_H

#include "base/device.h"
#include "mem/mr.h"
#include "mem/mtt_chunk.h"
#include "mirage-abi.h"

/**
 * struct mirage_piece - a piece of one region
 * @mr: the region; a reference is held
 * @addr: its first byte, an iova
 * @len: its length, not 0
 */
struct mirage_piece {
	struct mirage_mr *mr;
	u64 addr;
	u32 len;
};

/**
 * struct mirage_cursor - a byte sequence with a position
 * @buf: the bytes themselves, or NULL: they are in @seg
 * @num: pieces in @seg
 * @cur: the piece the position is in
 * @off: bytes of that piece, or of @buf, that are done
 * @single: length of the only piece, until the position moves; may be 0 at any time
 * @window: the key of the window that they were found by, or 0
 * @seg: the pieces
 * @found: with @window: how they were found, and the window while it is entered
 */
struct mirage_cursor {
	void *buf;
	u32 num;
	u32 cur;
	u32 off;
	u32 single;
	u32 window;
	struct mirage_piece seg[MIRAGE_MAX_SGE];
	struct {
		struct mirage_dev *dev;
		struct ib_pd *pd;
		u32 qpn;
		int access;
		struct mirage_mw *mw;
	} found;
};

/**
 * struct mirage_miss - what has to be brought in before a move goes on
 * @mr: the region; a reference is held for the holder of this
 * @iova: the first missing byte
 * @len: bytes of the message from there on in this region
 * @write: they are going to be written
 */
struct mirage_miss {
	struct mirage_mr *mr;
	u64 iova;
	u64 len;
	bool write;
};

/**
 * mirage_miss_set - fill a miss
 * @miss: the miss
 * @mr: the region; a reference is taken
 * @iova: as in struct mirage_miss
 * @len: as in struct mirage_miss
 * @write: as in struct mirage_miss
 */
static inline void mirage_miss_set(struct mirage_miss *miss, struct mirage_mr *mr, u64 iova,
				   u64 len, bool write)
{
	kref_get(&mr->ref);
	*miss = (struct mirage_miss) { .mr = mr, .iova = iova, .len = len, .write = write };
}

int mirage_cursor_open_list(struct mirage_cursor *b, struct mirage_dev *dev, struct ib_pd *pd,
			    const struct mirage_sge *sge, u32 num, int access);
int mirage_cursor_open_window(struct mirage_cursor *b, struct mirage_dev *dev, struct ib_pd *pd,
			      u32 qpn, u32 key, u64 addr, u32 len, int access);
void mirage_cursor_release_rest(struct mirage_cursor *b, u32 num);
bool mirage_cursor_enter_window(struct mirage_cursor *b);
void mirage_cursor_leave_window(struct mirage_cursor *b);
bool mirage_cursor_find_missing(const struct mirage_cursor *b, struct mirage_miss *miss);
u32 mirage_cursor_move(struct mirage_cursor *to, struct mirage_cursor *from, u32 left,
		       struct mirage_miss *miss);
bool mirage_cursor_read(struct mirage_cursor *from, void *buf, u32 len, u32 left,
			struct mirage_miss *miss);
bool mirage_cursor_write(struct mirage_cursor *to, const void *buf, u32 len, u32 left,
			 struct mirage_miss *miss);
u32 mirage_cursor_move_rows(struct mirage_cursor *b, const struct mirage_mtt_rows *rows, u32 num,
			    u32 left,
			    bool write, struct mirage_miss *miss);
void mirage_cursor_seek(struct mirage_cursor *b, u32 to);

/** mirage_cursor_rewind - back to the first byte */
static inline void mirage_cursor_rewind(struct mirage_cursor *b)
{
	b->cur = 0;
	b->off = 0;
}

/**
 * mirage_cursor_open_buf - bytes in memory of the kernel's, or in a ring
 * @b: filled; needs no release
 * @buf: the bytes; at least as many as will be moved
 */
static inline void mirage_cursor_open_buf(struct mirage_cursor *b, const void *buf)
{
	b->buf = (void *)buf;
	b->num = 0;
	b->single = 0;
	b->window = 0;
	mirage_cursor_rewind(b);
}

/* One piece of one region; the reference on it is ours. */
static __always_inline void mirage_cursor_open_mr(struct mirage_cursor *b, struct mirage_mr *mr,
						  u64 addr,
						  u32 len)
{
	b->buf = NULL;
	b->num = 1;
	b->single = len;
	b->window = 0;
	mirage_cursor_rewind(b);
	b->seg[0] = (struct mirage_piece) { .mr = mr, .addr = addr, .len = len };
}

/**
 * mirage_cursor_open_sges - the bytes that a validated SGE list names
 * @b: filled; released by mirage_cursor_release() even after a failure
 * @dev: the device
 * @pd: PD the keys must belong to
 * @sge: the list; empty SGEs are skipped with whatever key they have
 * @num: its length, at most MIRAGE_MAX_SGE
 * @access: rights needed, IB_ACCESS_*, 0 to read
 *
 * Any context.
 *
 * Return: 0, or the errno of mirage_mr_lookup().
 */
static __always_inline int mirage_cursor_open_sges(struct mirage_cursor *b, struct mirage_dev *dev,
						   struct ib_pd *pd, const struct mirage_sge *sge,
						   u32 num, int access)
{
	if (likely(num == 1 && sge->length)) {
		struct mirage_mr *mr = mirage_mr_lookup(&dev->mrs, pd, sge->lkey, sge->addr,
							sge->length, access);

		if (!IS_ERR(mr)) {
			mirage_cursor_open_mr(b, mr, sge->addr, sge->length);
			return 0;
		}
	}
	return mirage_cursor_open_list(b, dev, pd, sge, num, access);
}

/**
 * mirage_cursor_open_remote - the bytes that a remote key names
 * @b: filled; released by mirage_cursor_release()
 * @dev: the device
 * @pd: PD the key must belong to
 * @qpn: the responder's QP: a window of type 2 is good through one QP only
 * @key: the rkey
 * @addr: first byte
 * @len: length; nothing is looked at when it is 0 (IBA 9.7.4.1.6)
 * @access: rights needed, IB_ACCESS_*
 *
 * Any context.
 *
 * Return: 0, or the errno of mirage_rkey_get().
 */
static __always_inline int mirage_cursor_open_remote(struct mirage_cursor *b,
						     struct mirage_dev *dev,
						     struct ib_pd *pd, u32 qpn, u32 key, u64 addr,
						     u32 len, int access)
{
	if (likely(len)) {
		struct mirage_mr *mr = mirage_mr_lookup(&dev->mrs, pd, key, addr, len, access);

		if (!IS_ERR(mr)) {
			mirage_cursor_open_mr(b, mr, addr, len);
			return 0;
		}
	}
	return mirage_cursor_open_window(b, dev, pd, qpn, key, addr, len, access);
}

/* What a small message, tried once, gains without references. */
#define MIRAGE_CURSOR_BORROW_MAX	512

/**
 * mirage_cursor_borrow - one piece without a reference on its region
 * @b: filled if so
 * @dev: the device
 * @pd: PD the key must belong to
 * @sge: the piece, not empty
 * @access: rights needed, IB_ACCESS_*, 0 to read
 *
 * BHs off, and the bytes are forgotten or filled anew before they are on again. All
 * that can be done with them is mirage_cursor_move_small() and mirage_cursor_read_small().
 *
 * Return: whether there is such a region.
 */
static __always_inline bool mirage_cursor_borrow(struct mirage_cursor *b, struct mirage_dev *dev,
						 struct ib_pd *pd, const struct mirage_sge *sge,
						 int access)
{
	struct mirage_mr *mr = mirage_mr_find(&dev->mrs, pd, sge->lkey, sge->addr, sge->length,
					      access);

	lockdep_assert_in_softirq();
	if (IS_ERR(mr) || unlikely(mr->dma))
		return false;
	mirage_cursor_open_mr(b, mr, sge->addr, sge->length);
	/* No piece to release. */
	b->num = 0;
	return true;
}

/** mirage_cursor_is_borrowed - are these mirage_cursor_borrow()'s? */
static __always_inline bool mirage_cursor_is_borrowed(const struct mirage_cursor *b)
{
	return !b->num && b->single;
}

/** mirage_cursor_is_open - is there anything to release? */
static __always_inline bool mirage_cursor_is_open(const struct mirage_cursor *b)
{
	return b->num || b->buf;
}

/**
 * mirage_cursor_enter - before bytes move that a remote key named
 * @b: the bytes
 *
 * BHs are off until mirage_cursor_leave(), which is soon: the owner of a window waits for it.
 *
 * Return: false: the window was invalidated or is another one now.
 */
static __always_inline bool mirage_cursor_enter(struct mirage_cursor *b)
{
	return likely(!b->window) || mirage_cursor_enter_window(b);
}

/** mirage_cursor_leave - the end of what mirage_cursor_enter() began */
static __always_inline void mirage_cursor_leave(struct mirage_cursor *b)
{
	if (unlikely(b->window))
		mirage_cursor_leave_window(b);
}

/** mirage_cursor_release - drop the references on regions; the sequence is empty then */
static __always_inline void mirage_cursor_release(struct mirage_cursor *b)
{
	u32 num = b->num;

	b->buf = NULL;
	b->num = 0;
	b->single = 0;
	if (unlikely(num > 1))
		mirage_cursor_release_rest(b, num);
	if (num)
		mirage_mr_put(b->seg[0].mr);
}

/**
 * mirage_cursor_move_small - copy all of a small message at once
 * @to: where the bytes go
 * @from: where they come from
 * @left: bytes of the message still to move
 *
 * BHs are off.
 *
 * Return: whether it was that small, and there; if not, see mirage_cursor_move().
 */
static __always_inline bool mirage_cursor_move_small(struct mirage_cursor *to,
						     struct mirage_cursor *from, u32 left)
{
	return left - 1 < PAGE_SIZE && left <= to->single && left <= from->single &&
	       likely(mirage_mtt_copy_small(&to->seg[0].mr->mtt, to->seg[0].addr,
					    &from->seg[0].mr->mtt, from->seg[0].addr, left));
}

/**
 * mirage_cursor_read_small - copy all of a small message out at once
 * @from: the message; the position stays
 * @buf: where to
 * @len: its bytes
 *
 * BHs are off.
 *
 * Return: whether it was that small, and there; if not, see mirage_cursor_read().
 */
static __always_inline bool mirage_cursor_read_small(struct mirage_cursor *from, void *buf, u32 len)
{
	return len - 1 < PAGE_SIZE && len <= from->single &&
	       likely(mirage_mtt_read_small(&from->seg[0].mr->mtt, from->seg[0].addr, buf, len));
}

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A cursor: the bytes of one side of a message, and a position in them
 *
 * Requester, responder and carriers pass data to each other in this form alone. The bytes are a
 * list of pieces of regions, or a kernel buffer.
 */
#ifndef MIRAGE_CURSOR_H
#define MIRAGE_CURSOR_H

#include "base/device.h"
#include "mem/mr.h"
#include "mem/mtt_chunk.h"
#include "mirage-abi.h"

/**
 * struct mirage_piece - a piece of one region
 * @mr: the region; with a reference, unless the cursor is borrowed
 * @addr: its first byte, an iova
 * @len: its length, not 0
 */
struct mirage_piece {
	struct mirage_mr *mr;
	u64 addr;
	u32 len;
};

/**
 * struct mirage_cursor - a sequence of bytes, and a position in it
 * @buf: the kernel buffer with the bytes, or NULL if they are in @seg
 * @num: number of pieces in @seg; 0 if the cursor is borrowed
 * @cur: index of the piece that the position is in
 * @off: offset of the position in that piece, or in @buf
 * @single: length of the only piece until the position moves, or 0: then small messages take the
 *	general way, which is always right
 * @window: key of the window through which the region was found, or 0
 * @seg: the pieces
 * @found: if @window is not 0: the arguments of the lookup, and the window while it is entered
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
 * struct mirage_miss - bytes that have to be in the table before a move goes on
 * @mr: the region; whoever has the miss owns a reference on it
 * @iova: the first of the bytes
 * @len: number of bytes, to the end of the message or of its piece of this region
 * @write: true if the bytes are going to be written
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

/** mirage_cursor_rewind - move the position of @b to the first byte */
static inline void mirage_cursor_rewind(struct mirage_cursor *b)
{
	b->cur = 0;
	b->off = 0;
}

/**
 * mirage_cursor_open_buf - open a cursor on a kernel buffer, or on part of a ring
 * @b: the cursor; needs no release
 * @buf: the buffer, with at least as many bytes as will be moved
 */
static inline void mirage_cursor_open_buf(struct mirage_cursor *b, const void *buf)
{
	b->buf = (void *)buf;
	b->num = 0;
	b->single = 0;
	b->window = 0;
	mirage_cursor_rewind(b);
}

/**
 * mirage_cursor_open_mr - open a cursor on one piece of one region
 * @b: the cursor
 * @mr: the region; the caller's reference passes to the cursor
 * @addr: first byte, an iova
 * @len: number of bytes, not 0
 */
static inline void mirage_cursor_open_mr(struct mirage_cursor *b, struct mirage_mr *mr, u64 addr,
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
 * mirage_cursor_open_sges - open a cursor on the bytes that a validated SGE list names
 * @b: the cursor; released by mirage_cursor_release(), after a failure too
 * @dev: the device
 * @pd: PD that the keys must belong to
 * @sge: the list; empty SGEs are skipped, whatever their key
 * @num: number of SGEs, at most MIRAGE_MAX_SGE
 * @access: rights needed, IB_ACCESS_*; 0 to read
 *
 * Any context but hardirq.
 *
 * Return: 0, or the errno of mirage_mr_lookup().
 */
static inline int mirage_cursor_open_sges(struct mirage_cursor *b, struct mirage_dev *dev,
					  struct ib_pd *pd, const struct mirage_sge *sge, u32 num,
					  int access)
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
 * mirage_cursor_open_remote - open a cursor on the bytes that a remote key names
 * @b: the cursor; released by mirage_cursor_release()
 * @dev: the device
 * @pd: PD that the key must belong to
 * @qpn: number of the responder's QP: a window of type 2 is valid for one QP only
 * @key: the rkey
 * @addr: first byte
 * @len: number of bytes; if it is 0, nothing else is checked (IBA 9.7.4.1.6)
 * @access: rights needed, IB_ACCESS_*
 *
 * Any context but hardirq.
 *
 * Return: 0, or the errno of mirage_rkey_get().
 */
static inline int mirage_cursor_open_remote(struct mirage_cursor *b, struct mirage_dev *dev,
					    struct ib_pd *pd, u32 qpn, u32 key, u64 addr, u32 len,
					    int access)
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

/* Up to so many bytes, a message that is tried once gains from a borrowed cursor. */
#define MIRAGE_CURSOR_BORROW_MAX	512

/**
 * mirage_cursor_borrow - open a cursor on one piece, without a reference on its region
 * @b: the cursor; opened if true is returned
 * @dev: the device
 * @pd: PD that the key must belong to
 * @sge: the piece, not empty
 * @access: rights needed, IB_ACCESS_*; 0 to read
 *
 * BHs are off. Before they are on again, the caller gives the cursor up or opens it anew. A
 * borrowed cursor is good only for mirage_cursor_move_small() and mirage_cursor_read_small().
 * It saves 4.2 % of a 64 B WRITE, 32 a doorbell, and 1.2 % of an 8 B WRITE (perftest/bench).
 *
 * Return: true if the key names a suitable region; a DMA region is not suitable.
 */
static inline bool mirage_cursor_borrow(struct mirage_cursor *b, struct mirage_dev *dev,
					struct ib_pd *pd, const struct mirage_sge *sge, int access)
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

/**
 * mirage_cursor_is_borrowed - tell whether a cursor was opened by mirage_cursor_borrow()
 * @b: the cursor, whose position has not moved
 *
 * Return: true if so.
 */
static inline bool mirage_cursor_is_borrowed(const struct mirage_cursor *b)
{
	return !b->num && b->single;
}

/**
 * mirage_cursor_is_open - tell whether a cursor has a buffer, or references on regions
 * @b: the cursor
 *
 * Return: true if so; false for a borrowed cursor.
 */
static inline bool mirage_cursor_is_open(const struct mirage_cursor *b)
{
	return b->num || b->buf;
}

/**
 * mirage_cursor_enter - keep the window valid while bytes move that a remote key named
 * @b: the cursor
 *
 * BHs are off until mirage_cursor_leave(). The caller keeps that time short: whoever invalidates
 * the window waits for it.
 *
 * Return: true if bytes may move, always so without a window; false if the window was
 * invalidated, or leads to other bytes now.
 */
static inline bool mirage_cursor_enter(struct mirage_cursor *b)
{
	return likely(!b->window) || mirage_cursor_enter_window(b);
}

/** mirage_cursor_leave - let go of the window that mirage_cursor_enter() of @b kept valid */
static inline void mirage_cursor_leave(struct mirage_cursor *b)
{
	if (unlikely(b->window))
		mirage_cursor_leave_window(b);
}

/** mirage_cursor_release - drop the references of @b on regions; @b is empty afterwards */
static inline void mirage_cursor_release(struct mirage_cursor *b)
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
 * @to: cursor of the destination
 * @from: cursor of the source
 * @left: bytes of the message still to move
 *
 * BHs are off. Neither position moves. Without it an 8 B WRITE costs 6 % more, and a 64 B WRITE,
 * 32 a doorbell, 20 % (perftest/bench).
 *
 * Return: true if all bytes were copied. If false, none was: the message is too long, or not
 * contiguous in memory, or a page is missing. See mirage_cursor_move().
 */
static inline bool mirage_cursor_move_small(struct mirage_cursor *to, struct mirage_cursor *from,
					    u32 left)
{
	return left - 1 < PAGE_SIZE && left <= to->single && left <= from->single &&
	       likely(mirage_mtt_copy_small(&to->seg[0].mr->mtt, to->seg[0].addr,
					    &from->seg[0].mr->mtt, from->seg[0].addr, left));
}

/**
 * mirage_cursor_read_small - copy all of a small message out at once
 * @from: cursor of the message; the position does not move
 * @buf: the destination
 * @len: number of bytes of the message
 *
 * BHs are off. Without it and the other small copies of a packet, an 8 B WRITE over the wire costs
 * 1.2 % more (perftest/wire).
 *
 * Return: true if all bytes were copied. If false, none was: the message is too long, or not
 * contiguous in memory, or a page is missing. See mirage_cursor_read().
 */
static inline bool mirage_cursor_read_small(struct mirage_cursor *from, void *buf, u32 len)
{
	return len - 1 < PAGE_SIZE && len <= from->single &&
	       likely(mirage_mtt_read_small(&from->seg[0].mr->mtt, from->seg[0].addr, buf, len));
}

#endif

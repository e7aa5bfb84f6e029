// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Moving bytes from one side of a message to the other
 *
 * No function here sleeps or raises a fault. A missing page ends the move, and the miss is
 * returned to the engine or carrier, which waits for the page.
 */
#include "base/device.h"
#include "mem/cursor.h"
#include "mem/mw.h"

/**
 * mirage_cursor_open_list - mirage_cursor_open_sges() of a list of any length
 * @b: as mirage_cursor_open_sges()
 * @dev: the device
 * @pd: as mirage_cursor_open_sges()
 * @sge: as mirage_cursor_open_sges()
 * @num: as mirage_cursor_open_sges()
 * @access: as mirage_cursor_open_sges()
 *
 * Any context but hardirq.
 *
 * Return: as mirage_cursor_open_sges().
 */
int mirage_cursor_open_list(struct mirage_cursor *b, struct mirage_dev *dev, struct ib_pd *pd,
			    const struct mirage_sge *sge, u32 num, int access)
{
	struct mirage_piece *seg = b->seg;
	int err = 0;

	mirage_cursor_open_buf(b, NULL);
	for (; num; num--, sge++) {
		struct mirage_mr *mr;

		if (unlikely(!sge->length))
			continue;
		mr = mirage_mr_lookup(&dev->mrs, pd, sge->lkey, sge->addr, sge->length, access);
		if (IS_ERR(mr)) {
			err = PTR_ERR(mr);
			break;
		}
		*seg++ = (struct mirage_piece) { .mr = mr, .addr = sge->addr, .len = sge->length };
		b->num++;
	}
	return err;
}

/**
 * mirage_cursor_open_window - mirage_cursor_open_remote() of any key and any length
 * @b: as mirage_cursor_open_remote()
 * @dev: the device
 * @pd: as mirage_cursor_open_remote()
 * @qpn: as mirage_cursor_open_remote()
 * @key: the rkey, of a region or a window
 * @addr: first byte
 * @len: number of bytes, may be 0
 * @access: as mirage_cursor_open_remote()
 *
 * Any context but hardirq.
 *
 * Return: as mirage_cursor_open_remote().
 */
int mirage_cursor_open_window(struct mirage_cursor *b, struct mirage_dev *dev, struct ib_pd *pd,
			      u32 qpn, u32 key, u64 addr, u32 len, int access)
{
	struct mirage_mr *mr;

	mirage_cursor_open_buf(b, NULL);
	if (!len)
		return 0;
	mr = mirage_rkey_get(dev, pd, qpn, key, addr, len, access);
	if (IS_ERR(mr))
		return PTR_ERR(mr);
	mirage_cursor_open_mr(b, mr, addr, len);
	if (mr->key == key)
		return 0;
	b->window = key;
	b->found.dev = dev;
	b->found.pd = pd;
	b->found.qpn = qpn;
	b->found.access = access;
	return 0;
}

/**
 * mirage_cursor_enter_window - mirage_cursor_enter() of a cursor that has a window
 * @b: the cursor
 *
 * BHs off.
 *
 * Return: as mirage_cursor_enter().
 */
bool mirage_cursor_enter_window(struct mirage_cursor *b)
{
	const struct mirage_piece *seg = &b->seg[0];

	b->found.mw = mirage_mw_enter(b->found.dev, b->found.pd, b->found.qpn, b->window,
				      seg->addr, seg->len, b->found.access, seg->mr->key);
	return b->found.mw;
}

/** mirage_cursor_leave_window - mirage_cursor_leave() of @b, which has a window */
void mirage_cursor_leave_window(struct mirage_cursor *b)
{
	mirage_mw_leave(b->found.mw);
}

/** mirage_cursor_release_rest - drop the references of all but the first of @b's @num pieces */
void mirage_cursor_release_rest(struct mirage_cursor *b, u32 num)
{
	while (--num)
		mirage_mr_put(b->seg[num].mr);
}

static void cursor_advance(struct mirage_cursor *b, u32 n)
{
	b->single = 0;
	b->off += n;
	if (!b->buf && b->off == b->seg[b->cur].len) {
		b->cur++;
		b->off = 0;
	}
}

static u32 cursor_piece_left(const struct mirage_cursor *b, u32 left)
{
	return b->buf ? left : min(left, b->seg[b->cur].len - b->off);
}

static void cursor_missed(struct mirage_cursor *b, u32 left, bool write, struct mirage_miss *miss)
{
	struct mirage_piece *seg = &b->seg[b->cur];

	mirage_miss_set(miss, seg->mr, seg->addr + b->off, cursor_piece_left(b, left), write);
}

/**
 * mirage_cursor_find_missing - find the first piece to read that has a missing page
 * @b: the cursor
 * @miss: set to all of that piece if there is one; then the caller puts @miss->mr
 *
 * Any context but hardirq. The answer may be out of date by the time the caller gets it.
 *
 * Return: true if there is such a piece.
 */
bool mirage_cursor_find_missing(const struct mirage_cursor *b, struct mirage_miss *miss)
{
	u32 i;

	for (i = 0; i < b->num; i++) {
		const struct mirage_piece *seg = &b->seg[i];

		if (mirage_mtt_present(&seg->mr->mtt, seg->addr, seg->len, false))
			continue;
		mirage_miss_set(miss, seg->mr, seg->addr, seg->len, false);
		return true;
	}
	return false;
}

/**
 * mirage_cursor_move - copy up to MTT_COPY_MAX bytes of a message, or up to a missing page
 * @to: cursor of the destination; not a kernel buffer if @from is one
 * @from: cursor of the source
 * @left: bytes of the message still to move, not more than either side has
 * @miss: filled if a page is missing; then the caller puts @miss->mr
 *
 * BHs are off. Both positions move on by the number of bytes copied.
 *
 * Return: bytes copied. If fewer than min(@left, MTT_COPY_MAX), a page is missing.
 */
u32 mirage_cursor_move(struct mirage_cursor *to, struct mirage_cursor *from, u32 left,
		       struct mirage_miss *miss)
{
	u32 moved = 0, max = min_t(u32, left, MTT_COPY_MAX);

	lockdep_assert_in_softirq();
	while (moved < max) {
		enum mirage_mtt_miss side = MTT_MISS_NONE;
		u32 want = cursor_piece_left(to, cursor_piece_left(from, max - moved)), n;
		struct mirage_piece *dst = &to->seg[to->cur];
		struct mirage_piece *src = &from->seg[from->cur];

		if (from->buf) {
			n = mirage_mtt_write(&dst->mr->mtt, dst->addr + to->off,
					     from->buf + from->off, want);
			if (n < want)
				side = MTT_MISS_DST;
		} else if (to->buf) {
			n = mirage_mtt_read(&src->mr->mtt, src->addr + from->off,
					    to->buf + to->off, want);
			if (n < want)
				side = MTT_MISS_SRC;
		} else {
			n = mirage_mtt_copy(&dst->mr->mtt, dst->addr + to->off,
					    &src->mr->mtt, src->addr + from->off, want,
					    &side);
		}

		if (n) {
			cursor_advance(to, n);
			cursor_advance(from, n);
			moved += n;
		}
		if (side != MTT_MISS_NONE) {
			cursor_missed(side == MTT_MISS_DST ? to : from, left - moved,
				      side == MTT_MISS_DST, miss);
			break;
		}
	}
	return moved;
}

/* The piece that the position is in, if it has @len more bytes and @len is not 0; or NULL. */
static const struct mirage_piece *cursor_piece_of(const struct mirage_cursor *b, u32 len)
{
	const struct mirage_piece *seg = &b->seg[b->cur];

	return len && b->cur < b->num && len <= seg->len - b->off ? seg : NULL;
}

/*
 * Copies to or from kernel memory. If a page is missing, fills @miss, puts the position back to
 * where it was, and returns false.
 */
static noinline bool cursor_move_packet(struct mirage_cursor *b, void *buf, u32 len, u32 left,
					bool write,
					struct mirage_miss *miss)
{
	u32 cur = b->cur, off = b->off, done = 0;

	while (done < len) {
		u32 want = cursor_piece_left(b, len - done), n;
		struct mirage_piece *seg = &b->seg[b->cur];
		u64 addr = seg->addr + b->off;

		if (write)
			n = mirage_mtt_write(&seg->mr->mtt, addr, buf + done, want);
		else
			n = mirage_mtt_read(&seg->mr->mtt, addr, buf + done, want);
		if (n)
			cursor_advance(b, n);
		done += n;
		if (unlikely(n < want)) {
			cursor_missed(b, left - done, write, miss);
			b->cur = cur;
			b->off = off;
			return false;
		}
	}
	return true;
}

/**
 * mirage_cursor_read - copy a packet's worth out of a message
 * @from: cursor of the message; the position moves on, unless a page is missing
 * @buf: the destination
 * @len: number of bytes
 * @left: bytes of the message from the position on, at least @len
 * @miss: filled if a page is missing; then the caller puts @miss->mr
 *
 * BHs are off.
 *
 * Return: true if all bytes were copied; false if a page is missing: some of @buf may have been
 * written.
 */
bool mirage_cursor_read(struct mirage_cursor *from, void *buf, u32 len, u32 left,
			struct mirage_miss *miss)
{
	const struct mirage_piece *seg;

	lockdep_assert_in_softirq();
	if (unlikely(from->buf)) {
		memcpy(buf, from->buf + from->off, len);
		cursor_advance(from, len);
		return true;
	}
	seg = cursor_piece_of(from, len);
	if (unlikely(!seg || !mirage_mtt_read_small(&seg->mr->mtt, seg->addr + from->off, buf,
						    len)))
		return cursor_move_packet(from, buf, len, left, false, miss);
	cursor_advance(from, len);
	return true;
}

/**
 * mirage_cursor_write - copy a packet's worth into a message
 * @to: cursor of the message, in regions; as in mirage_cursor_read()
 * @buf: the bytes
 * @len: number of bytes
 * @left: as in mirage_cursor_read()
 * @miss: as in mirage_cursor_read()
 *
 * BHs are off.
 *
 * Return: true if all bytes were copied; false if a page is missing: some bytes may have been
 * copied.
 */
bool mirage_cursor_write(struct mirage_cursor *to, const void *buf, u32 len, u32 left,
			 struct mirage_miss *miss)
{
	const struct mirage_piece *seg = cursor_piece_of(to, len);

	lockdep_assert_in_softirq();
	if (unlikely(!seg || !mirage_mtt_write_small(&seg->mr->mtt, seg->addr + to->off, NULL, 0,
						     buf, len)))
		return cursor_move_packet(to, (void *)buf, len, left, true, miss);
	cursor_advance(to, len);
	return true;
}

static void cursor_step_back(struct mirage_cursor *b, u32 n)
{
	while (n > b->off) {
		n -= b->off;
		b->off = b->seg[--b->cur].len;
	}
	b->off -= n;
}

/**
 * mirage_cursor_move_rows - copy the payloads of several packets at once
 * @b: cursor of the message, in regions
 * @rows: the payloads
 * @num: number of packets
 * @left: bytes of the message from the position on, at least as many as in @rows
 * @write: true to copy to the message, false to copy from it
 * @miss: filled if a page is missing, then the caller puts @miss->mr; or NULL
 *
 * BHs are off. The position moves on by the packets that were copied whole.
 *
 * Return: number of packets copied whole. If fewer than @num, a page of the next one is missing,
 * and some of its bytes may have been copied.
 */
u32 mirage_cursor_move_rows(struct mirage_cursor *b, const struct mirage_mtt_rows *rows, u32 num,
			    u32 left,
			    bool write, struct mirage_miss *miss)
{
	u32 len = num << rows->shift, done = 0;

	lockdep_assert_in_softirq();
	while (done < len) {
		u32 want = cursor_piece_left(b, len - done), n;
		struct mirage_piece *seg = &b->seg[b->cur];

		n = mirage_mtt_move_rows(&seg->mr->mtt, seg->addr + b->off, rows, done, want,
					 write);
		if (n)
			cursor_advance(b, n);
		done += n;
		if (likely(n == want))
			continue;
		if (miss)
			cursor_missed(b, left - done, write, miss);
		cursor_step_back(b, done & (BIT(rows->shift) - 1));
		break;
	}
	return done >> rows->shift;
}

/**
 * mirage_cursor_seek - set the position
 * @b: the cursor
 * @to: offset from the first byte; not beyond the end
 */
void mirage_cursor_seek(struct mirage_cursor *b, u32 to)
{
	mirage_cursor_rewind(b);
	b->single = 0;
	while (!b->buf && b->cur < b->num && to >= b->seg[b->cur].len)
		to -= b->seg[b->cur++].len;
	b->off = to;
}

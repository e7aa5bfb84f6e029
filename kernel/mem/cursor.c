// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Moving bytes from where they are to where they go
 *
 * The only caller of the table's copies. Neither side sleeps, faults or knows why
 * it moves: a page that is not there ends the move, and what is missing is handed
 * back for the engine to wait for.
 */
#include "base/device.h"
#include "mem/cursor.h"
#include "mem/mw.h"

/* bytes_from_sges() of any list. */
int bytes_from_list(struct bytes *b, struct mirage_dev *dev, struct ib_pd *pd,
		    const struct mirage_sge *sge, u32 num, int access)
{
	struct seg *seg = b->seg;
	int err = 0;

	bytes_from_buf(b, NULL);
	for (; num; num--, sge++) {
		struct mirage_mr *mr;

		if (unlikely(!sge->length))
			continue;
		mr = mr_lookup(&dev->mrs, pd, sge->lkey, sge->addr, sge->length, access);
		if (IS_ERR(mr)) {
			err = PTR_ERR(mr);
			break;
		}
		*seg++ = (struct seg) { .mr = mr, .addr = sge->addr, .len = sge->length };
		b->num++;
	}
	return err;
}

/* bytes_from_region() of any key and length. */
int bytes_from_window(struct bytes *b, struct mirage_dev *dev, struct ib_pd *pd,
		      u32 qpn, u32 key, u64 addr, u32 len, int access)
{
	struct mirage_mr *mr;

	bytes_from_buf(b, NULL);
	if (!len)
		return 0;
	mr = mirage_rkey_get(dev, pd, qpn, key, addr, len, access);
	if (IS_ERR(mr))
		return PTR_ERR(mr);
	bytes_from_mr(b, mr, addr, len);
	if (mr->key == key)
		return 0;
	b->window = key;
	b->found.dev = dev;
	b->found.pd = pd;
	b->found.qpn = qpn;
	b->found.access = access;
	return 0;
}

/* bytes_enter() of what a window led to. */
bool bytes_enter_window(struct bytes *b)
{
	const struct seg *seg = &b->seg[0];

	b->found.mw = mw_enter(b->found.dev, b->found.pd, b->found.qpn, b->window,
			       seg->addr, seg->len, b->found.access, seg->mr->key);
	return b->found.mw;
}

/* bytes_leave() of that. */
void bytes_leave_window(struct bytes *b)
{
	mw_leave(b->found.mw);
}

/* bytes_release() of all but the first of some pieces. */
void bytes_release_rest(struct bytes *b, u32 num)
{
	while (--num)
		mirage_mr_put(b->seg[num].mr);
}

static void advance(struct bytes *b, u32 n)
{
	b->whole = 0;
	b->off += n;
	if (!b->buf && b->off == b->seg[b->cur].len) {
		b->cur++;
		b->off = 0;
	}
}

static u32 piece_left(const struct bytes *b, u32 left)
{
	return b->buf ? left : min(left, b->seg[b->cur].len - b->off);
}

static void missed(struct bytes *b, u32 left, bool write, struct miss *miss)
{
	struct seg *seg = &b->seg[b->cur];

	miss_set(miss, seg->mr, seg->addr + b->off, piece_left(b, left), write);
}

/**
 * bytes_missing - is there anything to read that is not in the table?
 * @b: the bytes
 * @miss: filled if so; the caller puts @miss->mr
 *
 * Any context. The answer may be out of date when it arrives.
 */
bool bytes_missing(const struct bytes *b, struct miss *miss)
{
	u32 i;

	for (i = 0; i < b->num; i++) {
		const struct seg *seg = &b->seg[i];

		if (mtt_present(&seg->mr->mtt, seg->addr, seg->len, false))
			continue;
		miss_set(miss, seg->mr, seg->addr, seg->len, false);
		return true;
	}
	return false;
}

/**
 * bytes_move - copy as much of a message as is there, up to MTT_COPY_MAX
 * @to: where the bytes go; a list of regions unless @from is one
 * @from: where they come from
 * @left: bytes of the message still to move, not more than either side has
 * @miss: filled when the move ends early; the caller puts @miss->mr
 *
 * BHs are off. Both positions move on by what was copied.
 *
 * Return: bytes copied. Less than min(@left, MTT_COPY_MAX): see @miss.
 */
u32 bytes_move(struct bytes *to, struct bytes *from, u32 left, struct miss *miss)
{
	u32 moved = 0, max = min_t(u32, left, MTT_COPY_MAX);

	while (moved < max) {
		enum mtt_miss side = MTT_MISS_NONE;
		u32 want = piece_left(to, piece_left(from, max - moved)), n;
		struct seg *dst = &to->seg[to->cur];
		struct seg *src = &from->seg[from->cur];

		if (from->buf) {
			n = mtt_write(&dst->mr->mtt, dst->addr + to->off,
				      from->buf + from->off, want);
			if (n < want)
				side = MTT_MISS_DST;
		} else if (to->buf) {
			n = mtt_read(&src->mr->mtt, src->addr + from->off,
				     to->buf + to->off, want);
			if (n < want)
				side = MTT_MISS_SRC;
		} else {
			n = mtt_copy(&dst->mr->mtt, dst->addr + to->off,
				     &src->mr->mtt, src->addr + from->off, want,
				     &side);
		}

		if (n) {
			advance(to, n);
			advance(from, n);
			moved += n;
		}
		if (side != MTT_MISS_NONE) {
			missed(side == MTT_MISS_DST ? to : from, left - moved,
			       side == MTT_MISS_DST, miss);
			break;
		}
	}
	return moved;
}

/* The piece under the position, if @len bytes of it are left; NULL otherwise. */
static const struct seg *piece_of(const struct bytes *b, u32 len)
{
	const struct seg *seg = &b->seg[b->cur];

	return len && b->cur < b->num && len <= seg->len - b->off ? seg : NULL;
}

/* To or from kernel memory: all of it, or the position stays. */
static noinline bool move_packet(struct bytes *b, void *buf, u32 len, u32 left, bool write,
				 struct miss *miss)
{
	u32 cur = b->cur, off = b->off, done = 0;

	while (done < len) {
		u32 want = piece_left(b, len - done), n;
		struct seg *seg = &b->seg[b->cur];
		u64 addr = seg->addr + b->off;

		if (write)
			n = mtt_write(&seg->mr->mtt, addr, buf + done, want);
		else
			n = mtt_read(&seg->mr->mtt, addr, buf + done, want);
		if (n)
			advance(b, n);
		done += n;
		if (unlikely(n < want)) {
			missed(b, left - done, write, miss);
			b->cur = cur;
			b->off = off;
			return false;
		}
	}
	return true;
}

/**
 * bytes_read - copy a packet's worth out of a message
 * @from: the message; the position moves on, or stays when something is missing
 * @buf: where to
 * @len: bytes
 * @left: bytes of the message from the position on, at least @len
 * @miss: filled on a miss; the caller puts @miss->mr
 *
 * BHs are off. Return: false: a page is missing, and @buf is partly written.
 */
bool bytes_read(struct bytes *from, void *buf, u32 len, u32 left, struct miss *miss)
{
	const struct seg *seg;

	if (unlikely(from->buf)) {
		memcpy(buf, from->buf + from->off, len);
		advance(from, len);
		return true;
	}
	seg = piece_of(from, len);
	if (unlikely(!seg || !mtt_read_small(&seg->mr->mtt, seg->addr + from->off, buf, len)))
		return move_packet(from, buf, len, left, false, miss);
	advance(from, len);
	return true;
}

/**
 * bytes_write - copy a packet's worth into a message
 * @to: the message, in regions; as in bytes_read()
 * @buf: the bytes
 * @len: their number
 * @left: as in bytes_read()
 * @miss: as in bytes_read()
 *
 * BHs are off. Return: false: a page is missing, and some of the bytes may be there.
 */
bool bytes_write(struct bytes *to, const void *buf, u32 len, u32 left,
		 struct miss *miss)
{
	const struct seg *seg = piece_of(to, len);

	if (unlikely(!seg || !mtt_write_small(&seg->mr->mtt, seg->addr + to->off, NULL, 0,
					      buf, len)))
		return move_packet(to, (void *)buf, len, left, true, miss);
	advance(to, len);
	return true;
}

static void back(struct bytes *b, u32 n)
{
	while (n > b->off) {
		n -= b->off;
		b->off = b->seg[--b->cur].len;
	}
	b->off -= n;
}

/**
 * bytes_move_rows - copy several packets' worth at once
 * @b: the message, in regions
 * @rows: the packets' payloads
 * @num: their number
 * @left: bytes of the message from the position on, at least as many as in @rows
 * @write: to the message, or from it
 * @miss: filled on a miss, the caller puts @miss->mr; NULL: nobody wants to know
 *
 * BHs are off. The position moves on by the packets that were copied. Return: their
 * number; of one that misses a page some bytes may be there.
 */
u32 bytes_move_rows(struct bytes *b, const struct mtt_rows *rows, u32 num, u32 left,
		    bool write, struct miss *miss)
{
	u32 len = num << rows->shift, done = 0;

	while (done < len) {
		u32 want = piece_left(b, len - done), n;
		struct seg *seg = &b->seg[b->cur];

		n = mtt_move_rows(&seg->mr->mtt, seg->addr + b->off, rows, done, want, write);
		if (n)
			advance(b, n);
		done += n;
		if (likely(n == want))
			continue;
		if (miss)
			missed(b, left - done, write, miss);
		back(b, done & (BIT(rows->shift) - 1));
		break;
	}
	return done >> rows->shift;
}

/**
 * bytes_seek - move the position
 * @b: the bytes
 * @to: bytes from the first one; not beyond the end
 */
void bytes_seek(struct bytes *b, u32 to)
{
	bytes_rewind(b);
	b->whole = 0;
	while (!b->buf && b->cur < b->num && to >= b->seg[b->cur].len)
		to -= b->seg[b->cur++].len;
	b->off = to;
}

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Where the bytes of one side of a message are
 *
 * The one form in which requester, responder and carriers hand each other data:
 * a list of pieces of regions, or a buffer of the kernel's, with a position.
 */
#ifndef MIRAGE_BYTES_H
#define MIRAGE_BYTES_H

#include "mr.h"
#include "wqe.h"

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
 * @seg: the pieces
 */
struct bytes {
	void *buf;
	u32 num;
	u32 cur;
	u32 off;
	struct seg seg[MIRAGE_MAX_SGE];
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

int bytes_from_sges(struct bytes *b, struct mirage_dev *dev, struct ib_pd *pd,
		    const struct mirage_sge *sge, u32 num, int access);
int bytes_from_region(struct bytes *b, struct mirage_dev *dev, struct ib_pd *pd,
		      u32 qpn, u32 key, u64 addr, u32 len, int access);
bool bytes_missing(const struct bytes *b, struct miss *miss);
u32 bytes_move(struct bytes *to, struct bytes *from, u32 left, struct miss *miss);
bool bytes_read(struct bytes *from, void *buf, u32 len, u32 left, struct miss *miss);
bool bytes_write(struct bytes *to, const void *buf, u32 len, u32 left,
		 struct miss *miss);
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
	bytes_rewind(b);
}

/** bytes_release - drop the references on regions; the sequence is empty then */
static inline void bytes_release(struct bytes *b)
{
	while (b->num)
		mirage_mr_put(b->seg[--b->num].mr);
	b->buf = NULL;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * memcpy for pages that a process can see
 *
 * mirage_copy() differs from memcpy() in two ways. It stores the last bytes last, because
 * processes poll for them, and string instructions may store in any order. And on x86 it always
 * uses rep movsq. On a CPU with fast strings that is as fast as rep movsb; for a CPU without
 * them the kernel's memcpy() is an unrolled loop of four times the instructions.
 */
#ifndef MIRAGE_COPY_H
#define MIRAGE_COPY_H

#include <linux/kasan-checks.h>
#include <linux/string.h>
#include <linux/types.h>

/* To start a string instruction costs more than to move up to so many bytes by hand. */
#define MIRAGE_COPY_SMALL	64

#ifdef CONFIG_X86_64
static inline void mirage_copy_words(void *dst, const void *src, size_t words)
{
	asm volatile("rep movsq"
		     : "+D" (dst), "+S" (src), "+c" (words) : : "memory");
}
#else
static inline void mirage_copy_words(void *dst, const void *src, size_t words)
{
	memcpy(dst, src, words * sizeof(u64));
}
#endif

static inline void mirage_copy_8(void *dst, const void *src)
{
	__builtin_memcpy(dst, src, sizeof(u64));
}

static inline void mirage_copy_4(void *dst, const void *src)
{
	__builtin_memcpy(dst, src, sizeof(u32));
}

/* Copies fewer than 8 bytes; from 4 bytes on by two moves, which overlap. */
static inline void mirage_copy_bytes(u8 *dst, const u8 *src, size_t len)
{
	if (len >= sizeof(u32)) {
		mirage_copy_4(dst, src);
		barrier();
		mirage_copy_4(dst + len - sizeof(u32), src + len - sizeof(u32));
		return;
	}
	while (len--)
		*dst++ = *src++;
}

static inline void mirage_copy_16(void *dst, const void *src)
{
	mirage_copy_8(dst, src);
	mirage_copy_8(dst + 8, src + 8);
}

/*
 * Copies all but the last 8 of 8 to MIRAGE_COPY_SMALL bytes. Some bytes may be moved twice: that
 * is faster than to count the rest.
 */
static inline void mirage_copy_small(void *dst, const void *src, size_t len)
{
	if (len > 32) {
		mirage_copy_16(dst, src);
		mirage_copy_16(dst + 16, src + 16);
		mirage_copy_16(dst + len - 32, src + len - 32);
		mirage_copy_8(dst + len - 16, src + len - 16);
	} else if (len > 16) {
		mirage_copy_16(dst, src);
		mirage_copy_8(dst + len - 16, src + len - 16);
	} else if (len > 8) {
		mirage_copy_8(dst, src);
	}
}

/**
 * mirage_copy - copy between pages that processes can read and write meanwhile
 * @dst: the destination; if it overlaps @src, the result is undefined
 * @src: the source
 * @len: number of bytes
 *
 * Any context. A byte of @src that changes meanwhile is copied as it was or as it is then. The
 * last byte of @dst is stored last. Eight bytes are a single store. There is no check for
 * KCSAN: such races are the processes' own.
 */
static inline void mirage_copy(void *dst, const void *src, size_t len)
{
	if (unlikely(len < sizeof(u64))) {
		mirage_copy_bytes(dst, src, len);
		return;
	}
	if (len <= MIRAGE_COPY_SMALL) {
		mirage_copy_small(dst, src, len);
	} else {
		kasan_check_read(src, len);
		kasan_check_write(dst, len);
		/* All but the last 1 to 8 bytes. */
		mirage_copy_words(dst, src, (len - 1) / sizeof(u64));
	}
	/* The last bytes are stored last, for processes that poll for them. */
	smp_wmb();
	mirage_copy_8(dst + len - sizeof(u64), src + len - sizeof(u64));
}

#endif

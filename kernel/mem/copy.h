/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * memcpy for pages that a process can see
 *
 * Two things set it apart. The last bytes are stored last, because processes poll
 * for them, and string instructions may store in any order. And on x86 it is
 * always rep movsq: where the CPU has fast strings that is as fast as rep movsb,
 * where it has none the kernel's memcpy() is an unrolled loop of four times the
 * instructions.
 */
#ifndef MIRAGE_COPY_H
#define MIRAGE_COPY_H

#include <linux/kasan-checks.h>
#include <linux/string.h>
#include <linux/types.h>

/* The start of a string instruction costs more than moving this much by hand. */
#define MIRAGE_COPY_SMALL	64

#ifdef CONFIG_X86_64
static __always_inline void mirage_copy_words(void *dst, const void *src, size_t words)
{
	asm volatile("rep movsq"
		     : "+D" (dst), "+S" (src), "+c" (words) : : "memory");
}
#else
static __always_inline void mirage_copy_words(void *dst, const void *src, size_t words)
{
	memcpy(dst, src, words * sizeof(u64));
}
#endif

static __always_inline void mirage_copy_8(void *dst, const void *src)
{
	__builtin_memcpy(dst, src, sizeof(u64));
}

static __always_inline void mirage_copy_4(void *dst, const void *src)
{
	__builtin_memcpy(dst, src, sizeof(u32));
}

/* Less than a word: two moves that overlap where the length is odd. */
static __always_inline void mirage_copy_bytes(u8 *dst, const u8 *src, size_t len)
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

static __always_inline void mirage_copy_16(void *dst, const void *src)
{
	mirage_copy_8(dst, src);
	mirage_copy_8(dst + 8, src + 8);
}

/*
 * All but the last 8 of up to MIRAGE_COPY_SMALL bytes: what does not come out even
 * is moved twice rather than counted.
 */
static __always_inline void mirage_copy_small(void *dst, const void *src, size_t len)
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
 * @dst: where to; must not overlap @src, or what arrives is undefined
 * @src: where from
 * @len: bytes
 *
 * Any context. What changes in @src meanwhile arrives or does not, and what
 * arrives last in @dst is its last byte. Eight bytes are one store. KCSAN is not
 * told: such races are the processes' own.
 */
static __always_inline void mirage_copy(void *dst, const void *src, size_t len)
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
	/* The last bytes last, for whoever polls for them. */
	smp_wmb();
	mirage_copy_8(dst + len - sizeof(u64), src + len - sizeof(u64));
}

#endif

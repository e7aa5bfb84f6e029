// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* copy.h: every length at every alignment, and no byte beyond. */
#include "kshim.h"
#include "mem/copy.h"
#include "unit_test.h"

#define GUARD	16
#define SPAN	(4096 + 64)

static void check_one(const u8 *src, u8 *dst, size_t so, size_t to, size_t len)
{
	size_t i;

	memset(dst, 0xee, SPAN + 2 * GUARD);
	mirage_copy(dst + GUARD + to, src + so, len);
	for (i = 0; i < GUARD + to; i++)
		CHECK_EQ(dst[i], 0xee);
	CHECK(!memcmp(dst + GUARD + to, src + so, len), "len %zu from %zu to %zu", len, so, to);
	for (i = GUARD + to + len; i < GUARD + to + len + GUARD; i++)
		CHECK_EQ(dst[i], 0xee);
}

static void copy__every_length(void)
{
	u8 *src = malloc(SPAN), *dst = malloc(SPAN + 2 * GUARD);
	u64 random = 7;
	size_t i, len, so, to;

	for (i = 0; i < SPAN; i++)
		src[i] = unit_random(&random);
	for (len = 0; len <= 200; len++) {
		for (so = 0; so < 9; so++) {
			for (to = 0; to < 9; to++)
				check_one(src, dst, so, to, len);
		}
	}
	for (len = 200; len <= 4096; len += 61)
		check_one(src, dst, len % 17, len % 13, len);
	free(src);
	free(dst);
}

/* The buffers end where the copy ends, so that ASan sees one byte more. */
static void copy__exact_buffers(void)
{
	size_t len;
	u8 *src, *dst;

	for (len = 1; len < 300; len++) {
		src = malloc(len);
		dst = malloc(len);
		memset(src, len, len);
		mirage_copy(dst, src, len);
		CHECK(!memcmp(src, dst, len));
		free(src);
		free(dst);
	}
}

const struct test_case copy_cases[] = {
	{ "copy__every_length", copy__every_length, 0 },
	{ "copy__exact_buffers", copy__exact_buffers, 0 },
};

const size_t copy_count = ARRAY_SIZE(copy_cases);

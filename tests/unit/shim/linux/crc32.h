/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Bit by bit, as the polynomial is written. */
#ifndef SHIM_CRC32_H
#define SHIM_CRC32_H

#include "kshim.h"

static inline u32 crc32_le(u32 crc, const void *data, size_t len)
{
	const u8 *p = data;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

#endif

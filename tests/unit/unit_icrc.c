// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * icrc.c: against figures of another implementation
 *
 * zlib.crc32() of Python over the masked packet, written out by hand:
 *	8 * ff, IP header with ff in TOS (traffic class, flow label), TTL (hop limit)
 *	and header checksum, UDP header with ffff as checksum, BTH with ff in byte 4
 */
#include "net/icrc.h"
#include "kshim.h"
#include "net/packet.h"
#include "unit_test.h"

static const struct mirage_icrc_flow v4 = {
	.saddr = { 10, 0, 0, 1 }, .daddr = { 10, 0, 0, 2 },
};

static u32 figure(struct mirage_icrc_flow flow, u16 sport, u16 frag, u16 id, const u8 *data,
		  size_t len)
{
	u8 own[12 + 4096 + 4];
	u32 seed, icrc, sealed;

	mirage_icrc_init();
	flow.sport = htobe16(sport);
	flow.dport = htobe16(4791);
	flow.frag = htobe16(frag);
	seed = mirage_icrc_seed(&flow, len);
	icrc = mirage_icrc_of(seed, id, data, len);

	/* Compute it as the sender does. */
	memcpy(own, data, len);
	mirage_icrc_put(seed, id, own, len);
	memcpy(&sealed, own + len - 4, 4);
	CHECK_EQ(le32toh(sealed), icrc);
	CHECK(!memcmp(own, data, len - 4));
	return icrc;
}

static void icrc__v4(void)
{
	u8 data[12 + 16 + 4];
	int i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = i;
	CHECK_EQ(figure(v4, 49321, 0x4000, 0x1234, data, sizeof(data)), 0xe453a181);
}

static void icrc__v6(void)
{
	const struct mirage_icrc_flow flow = {
		.v6 = true,
		.saddr = { 0xfe, 0x80, [15] = 1 },
		.daddr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 },
	};
	u8 data[12 + 16 + 4];
	int i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = i;
	CHECK_EQ(figure(flow, 65535, 0, 0, data, sizeof(data)), 0x4b9bffdd);
}

static void icrc__long(void)
{
	const struct mirage_icrc_flow flow = {
		.saddr = { 192, 168, 7, 9 }, .daddr = { 192, 168, 7, 10 },
	};
	u8 data[12 + 4096 + 4];
	int i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 7;
	CHECK_EQ(figure(flow, 0xc000, 0, 0xffff, data, sizeof(data)), 0xae39c136);
}

/* Tables, crc32_le() and bit by bit all give the same CRC. */
static void icrc__every_length(void)
{
	u8 data[12 + 128 + 4], masked[12 + 128];
	u32 crc, seed;
	size_t len, i;

	mirage_icrc_init();
	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 37 + 11;
	for (len = 12; len <= 12 + 128; len += 4) {
		seed = mirage_icrc_seed(&v4, len + 4);
		memcpy(masked, data, len);
		masked[4] = 0xff;
		crc = seed;
		for (i = 0; i < 8 * len; i++) {
			crc ^= masked[i / 8] >> i % 8 & 1;
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		}
		CHECK_EQ(mirage_icrc_of(seed, 0, data, len + 4), ~crc);
	}
}

/* Each bit counts, except those that routers change and the ICRC itself. */
static void icrc__every_bit(void)
{
	u8 data[12 + 8 + 4] = { 0 };
	const u32 good = figure(v4, 50000, 0, 1, data, sizeof(data));
	int bit;

	for (bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] ^= 1 << bit % 8;
		CHECK_EQ(figure(v4, 50000, 0, 1, data, sizeof(data)) == good,
			 bit / 8 == 4 || bit / 8 >= 12 + 8);
		data[bit / 8] ^= 1 << bit % 8;
	}
	CHECK(figure(v4, 50000, 0, 2, data, sizeof(data)) != good);
	CHECK(figure(v4, 50001, 0, 1, data, sizeof(data)) != good);
	CHECK(figure(v4, 50000, 0x4000, 1, data, sizeof(data)) != good);
}

const struct test_case icrc_cases[] = {
	{ "icrc__v4", icrc__v4, 0 },
	{ "icrc__v6", icrc__v6, 0 },
	{ "icrc__long", icrc__long, 0 },
	{ "icrc__every_length", icrc__every_length, 0 },
	{ "icrc__every_bit", icrc__every_bit, 0 },
};

const size_t icrc_count = ARRAY_SIZE(icrc_cases);

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The invariant CRC of RoCEv2 packets (IBA volume 1, annex A17.3.3 and 7.8.1)
 *
 * Pure but for crc32_le(); tests/unit compiles it in userspace.
 */
#ifndef MIRAGE_ICRC_H
#define MIRAGE_ICRC_H

#include <linux/types.h>

/**
 * struct mirage_icrc_flow - what the ICRCs of all packets of one flow have in common
 * @v6: IP version
 * @saddr: source; an IPv4 address in the first four bytes
 * @daddr: destination
 * @sport: UDP source port
 * @dport: UDP destination port
 * @frag: IPv4: flags and fragment offset
 */
struct mirage_icrc_flow {
	bool v6;
	u8 saddr[16];
	u8 daddr[16];
	__be16 sport;
	__be16 dport;
	__be16 frag;
};

/**
 * mirage_icrc_seed - the CRC's state in front of the BTH
 * @flow: whose packet; there are no IP options and no extension headers
 * @len: UDP payload, from the BTH through the ICRC
 *
 * All equally long packets of a flow have the same seed, so callers keep it.
 *
 * Return: the state for an IPv4 identification of 0.
 */
u32 mirage_icrc_seed(const struct mirage_icrc_flow *flow, u16 len);

/**
 * mirage_icrc_of - the ICRC of a packet
 * @seed: from mirage_icrc_seed()
 * @id: IPv4 identification, host order; 0 for IPv6
 * @data: the packet from the BTH on; the place of the ICRC is not read
 * @len: bytes of @data, ICRC included; a multiple of four, at least BTH and ICRC
 *
 * Return: the ICRC, to be stored with put_unaligned_le32().
 */
u32 mirage_icrc_of(u32 seed, u16 id, const void *data, u16 len);

/**
 * mirage_icrc_put - compute the ICRC of a packet and store it in its place
 * @seed: as above
 * @id: as above
 * @data: as above
 * @len: as above
 */
void mirage_icrc_put(u32 seed, u16 id, void *data, u16 len);

/** mirage_icrc_init - fill the tables; once, before the functions above are called */
void mirage_icrc_init(void);

#endif

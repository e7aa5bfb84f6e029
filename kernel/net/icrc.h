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
 * The same for all packets of a flow that are equally long: worth keeping.
 * Return: the state for an IPv4 identification of 0.
 */
u32 mirage_icrc_seed(const struct mirage_icrc_flow *flow, u16 len);

/**
 * mirage_icrc_of - the ICRC of a packet
 * @seed: of mirage_icrc_seed()
 * @id: IPv4 identification, host order; 0 for IPv6
 * @data: from the BTH on; what stands in the ICRC's own place is not read
 * @len: of that, through the ICRC; at least BTH and ICRC, a multiple of four
 *
 * Return: what goes there with put_unaligned_le32().
 */
u32 mirage_icrc_of(u32 seed, u16 id, const void *data, u16 len);

/**
 * mirage_icrc_put - the same of a packet of our own, and to its place
 * @seed: as above
 * @id: as above
 * @data: as above
 * @len: as above
 */
void mirage_icrc_put(u32 seed, u16 id, void *data, u16 len);

/** mirage_icrc_init - before any of these */
void mirage_icrc_init(void);

#endif

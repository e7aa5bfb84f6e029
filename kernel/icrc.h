/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The invariant CRC of RoCEv2 packets (IBA volume 1, annex A17.4.3 and 7.8.1)
 */
#ifndef MIRAGE_ICRC_H
#define MIRAGE_ICRC_H

#include <linux/types.h>

/**
 * struct icrc_flow - what of a packet's IP and UDP headers the ICRC covers
 * @v6: IP version
 * @saddr: source; an IPv4 address in the first four bytes
 * @daddr: destination
 * @sport: UDP source port
 * @dport: UDP destination port
 * @protocol: next header, after which nothing but UDP may come
 * @flags: IPv4: flags and fragment offset, network order
 */
struct icrc_flow {
	bool v6;
	u8 saddr[16];
	u8 daddr[16];
	__be16 sport;
	__be16 dport;
	__be16 flags;
};

/**
 * icrc_seed - the CRC's state before the BTH
 * @flow: whose packet
 * @id: IPv4 identification, host order; 0 for IPv6
 * @len: UDP payload: BTH through ICRC
 *
 * Return: the state for icrc_finish().
 */
u32 icrc_seed(const struct icrc_flow *flow, u16 id, u16 len);

/**
 * icrc_finish - the CRC of a packet
 * @seed: of icrc_seed()
 * @data: from the BTH on; the masked fields are masked here
 * @len: up to the ICRC
 *
 * Return: what stands in the packet, to be stored with put_unaligned_le32().
 */
__le32 icrc_finish(u32 seed, const void *data, unsigned int len);

#endif

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A CRC32 over the packet from eight bytes in front of the IP header on, with ones in
 * every field that a router may change.
 */
#include <linux/crc32.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include "icrc.h"
#include "packet.h"

#define ONES_LEN	8	/* in the place of an InfiniBand local route header */
#define V4_LEN		20
#define V6_LEN		40
#define UDP_LEN		8
#define PROTOCOL_UDP	17

/* BTH: FECN, BECN and reserved bits */
#define BTH_VARIANT	4

static u8 *put_v4(u8 *p, const struct icrc_flow *flow, u16 id, u16 udp_len)
{
	p[0] = 0x45;
	p[1] = 0xff;			/* type of service */
	put_unaligned_be16(V4_LEN + udp_len, p + 2);
	put_unaligned_be16(id, p + 4);
	memcpy(p + 6, &flow->frag, 2);
	p[8] = 0xff;			/* time to live */
	p[9] = PROTOCOL_UDP;
	memset(p + 10, 0xff, 2);	/* header checksum */
	memcpy(p + 12, flow->saddr, 4);
	memcpy(p + 16, flow->daddr, 4);
	return p + V4_LEN;
}

static u8 *put_v6(u8 *p, const struct icrc_flow *flow, u16 udp_len)
{
	p[0] = 0x6f;			/* traffic class and flow label */
	memset(p + 1, 0xff, 3);
	put_unaligned_be16(udp_len, p + 4);
	p[6] = PROTOCOL_UDP;
	p[7] = 0xff;			/* hop limit */
	memcpy(p + 8, flow->saddr, 16);
	memcpy(p + 24, flow->daddr, 16);
	return p + V6_LEN;
}

u32 icrc_packet(const struct icrc_flow *flow, u16 id, const void *data, u16 len)
{
	u8 head[ONES_LEN + V6_LEN + UDP_LEN + PKT_BTH_LEN];
	u16 udp_len = UDP_LEN + len;
	u8 *p = head + ONES_LEN;
	u32 crc;

	memset(head, 0xff, ONES_LEN);
	p = flow->v6 ? put_v6(p, flow, udp_len) : put_v4(p, flow, id, udp_len);
	memcpy(p, &flow->sport, 2);
	memcpy(p + 2, &flow->dport, 2);
	put_unaligned_be16(udp_len, p + 4);
	memset(p + 6, 0xff, 2);		/* checksum */
	p += UDP_LEN;
	memcpy(p, data, PKT_BTH_LEN);
	p[BTH_VARIANT] = 0xff;
	p += PKT_BTH_LEN;

	crc = crc32_le(~0u, head, p - head);
	return ~crc32_le(crc, data + PKT_BTH_LEN, len - PKT_BTH_LEN - PKT_ICRC_LEN);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * One packet after another out of a received skb
 *
 * A super-packet has one IP header for all of its packets, but the ICRC of each covers an
 * IPv4 identification of its own. Whoever cuts an skb into packets counts the identification
 * up from the first, and GRO merges packets that count up. GRO also merges packets with
 * "don't fragment" and equal identifications, which some NICs send. The ICRC of the second
 * packet tells which of the two it was. If it fits neither, GRO has merged packets that do
 * not belong together.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/percpu.h>
#include <linux/unaligned.h>
#include <net/ipv6.h>

#include "base/device.h"
#include "net/net.h"

/* The longest packet there is: UDP payload. */
#define SEG_MAX		(PKT_HDR_MAX + 4096 + PKT_ICRC_LEN)

/* Where a packet is copied to that is not in one piece. */
struct net_bounce {
	u8 data[SEG_MAX];
};

/* Seeds that a CPU remembers: making one costs more than the ICRC of a small packet. */
#define SEEDS		32

struct net_seed {
	struct mirage_icrc_flow flow;
	u32 seed;
	u16 len;
};

struct net_seeds {
	struct net_seed slot[SEEDS];
};

/* Allocated, because all modules together have 8 KiB of static per-CPU data. */
static struct net_bounce __percpu *net_bounce __read_mostly;
static struct net_seeds __percpu *net_seeds __read_mostly;

/** mirage_net_rx_init - before the first packet. Return: 0 or -ENOMEM */
int mirage_net_rx_init(void)
{
	net_bounce = alloc_percpu(struct net_bounce);
	net_seeds = alloc_percpu(struct net_seeds);
	if (net_bounce && net_seeds)
		return 0;
	mirage_net_rx_exit();
	return -ENOMEM;
}

/** mirage_net_rx_exit - after the last packet */
void mirage_net_rx_exit(void)
{
	free_percpu(net_seeds);
	free_percpu(net_bounce);
}

static bool net_rx_is_v4(const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IP);
}

static u32 net_rx_seg_len(const struct sk_buff *skb, u32 off)
{
	u32 size = skb_shinfo(skb)->gso_size;
	u32 left = skb->len - off;

	return size ? min(size, left) : left;
}

u32 mirage_net_next(const struct sk_buff *skb, u32 off)
{
	off += net_rx_seg_len(skb, off);
	return off < skb->len ? off : 0;
}

/* The bytes at an offset, and how many of them are in one piece; or NULL. */
static const void *net_rx_piece_own(const struct sk_buff *skb, u32 off, u32 *len)
{
	const struct skb_shared_info *info = skb_shinfo(skb);
	u32 size = skb_headlen(skb);
	const skb_frag_t *frag;

	if (off < size) {
		*len = size - off;
		return skb->data + off;
	}
	for (frag = info->frags; frag < info->frags + info->nr_frags; frag++) {
		off -= size;
		size = skb_frag_size(frag);
		if (off < size) {
			const void *p = skb_frag_address_safe(frag);

			*len = size - off;
			return p ? p + off : NULL;
		}
	}
	return NULL;
}

/* The same, also in the frag list, where GRO puts what has no room in the first skb. */
static const void *net_rx_piece_at(const struct sk_buff *skb, u32 off, u32 *len)
{
	const void *p = net_rx_piece_own(skb, off, len);
	const struct sk_buff *frag;

	if (p || !skb_has_frag_list(skb))
		return p;
	off -= skb_pagelen(skb);
	skb_walk_frags(skb, frag) {
		if (off < frag->len)
			return net_rx_piece_own(frag, off, len);
		off -= frag->len;
	}
	return NULL;
}

/* So many bytes at an offset; NULL when they are in more than one piece, or not there. */
static const void *net_rx_in_place(const struct sk_buff *skb, u32 off, u32 len)
{
	u32 there;
	const void *p = net_rx_piece_at(skb, off, &there);

	return p && len <= there ? p : NULL;
}

static const void *net_rx_contiguous(const struct sk_buff *skb, u32 off, u32 len)
{
	const void *p = net_rx_in_place(skb, off, len);
	void *bounce;

	if (p)
		return p;
	bounce = this_cpu_ptr(net_bounce)->data;
	return skb_copy_bits(skb, off, bounce, len) ? NULL : bounce;
}

static void net_rx_flow_of(const struct sk_buff *skb, struct mirage_icrc_flow *flow)
{
	const struct udphdr *udp = udp_hdr(skb);

	flow->sport = udp->source;
	flow->dport = udp->dest;
	flow->v6 = !net_rx_is_v4(skb);
	if (flow->v6) {
		memcpy(flow->saddr, &ipv6_hdr(skb)->saddr, sizeof(flow->saddr));
		memcpy(flow->daddr, &ipv6_hdr(skb)->daddr, sizeof(flow->daddr));
	} else {
		memcpy(flow->saddr, &ip_hdr(skb)->saddr, sizeof(struct in_addr));
		memcpy(flow->daddr, &ip_hdr(skb)->daddr, sizeof(struct in_addr));
		flow->frag = ip_hdr(skb)->frag_off;
	}
}

static bool net_rx_is_v4_flow(const struct mirage_icrc_flow *flow, const struct iphdr *ip)
{
	return !flow->v6 && flow->frag == ip->frag_off &&
	       !memcmp(flow->saddr, &ip->saddr, sizeof(ip->saddr)) &&
	       !memcmp(flow->daddr, &ip->daddr, sizeof(ip->daddr));
}

static bool net_rx_is_v6_flow(const struct mirage_icrc_flow *flow, const struct ipv6hdr *ip)
{
	return flow->v6 && !memcmp(flow->saddr, &ip->saddr, sizeof(ip->saddr)) &&
	       !memcmp(flow->daddr, &ip->daddr, sizeof(ip->daddr));
}

/* The seed of the skb's flow for packets of that length: remembered, or made anew. */
static u32 net_rx_recent_seed(const struct sk_buff *skb, u16 len)
{
	const struct udphdr *udp = udp_hdr(skb);
	u32 hash = ntohs(udp->source) ^ len / 4;
	struct net_seed *s = &this_cpu_ptr(net_seeds)->slot[hash % SEEDS];

	if (s->len != len || s->flow.sport != udp->source || s->flow.dport != udp->dest ||
	    !(net_rx_is_v4(skb) ? net_rx_is_v4_flow(&s->flow, ip_hdr(skb)) :
				  net_rx_is_v6_flow(&s->flow, ipv6_hdr(skb)))) {
		net_rx_flow_of(skb, &s->flow);
		s->seed = mirage_icrc_seed(&s->flow, len);
		s->len = len;
	}
	return s->seed;
}

/* The same, remembered with the skb. */
static u32 net_rx_seed_of(struct sk_buff *skb, u32 len)
{
	struct mirage_net_cb *cb = mirage_net_cb(skb);

	if (cb->seed_len != len) {
		cb->seed = net_rx_recent_seed(skb, len);
		cb->seed_len = len;
	}
	return cb->seed;
}

/* The IPv4 identification of the packet at an offset; 0 for IPv6. */
static u16 net_rx_id_of(struct sk_buff *skb, u32 off)
{
	u16 id;

	if (!net_rx_is_v4(skb))
		return 0;
	id = ntohs(ip_hdr(skb)->id);
	return off && !mirage_net_cb(skb)->fixed_id ? id + off / skb_shinfo(skb)->gso_size : id;
}

static bool net_rx_icrc_ok(struct sk_buff *skb, u32 off, const void *data, u32 len)
{
	u32 icrc = get_unaligned_le32(data + len - PKT_ICRC_LEN);
	u32 seed = net_rx_seed_of(skb, len);
	struct mirage_net_cb *cb = mirage_net_cb(skb);

	if (mirage_icrc_of(seed, net_rx_id_of(skb, off), data, len) == icrc)
		return true;
	if (!off || !net_rx_is_v4(skb))
		return false;
	if (cb->fixed_id || mirage_icrc_of(seed, net_rx_id_of(skb, 0), data, len) != icrc) {
		mirage_net_merged_wrongly(cb->dev);
		return false;
	}
	cb->fixed_id = true;
	return true;
}

int mirage_net_segment(struct sk_buff *skb, u32 off, struct mirage_net_seg *seg)
{
	struct mirage_dev *dev = mirage_net_cb(skb)->dev;
	u32 len = net_rx_seg_len(skb, off);
	const void *data = NULL;

	lockdep_assert_in_softirq();
	seg->next = mirage_net_next(skb, off);
	if (len <= SEG_MAX)
		data = net_rx_contiguous(skb, off, len);
	if (!data || mirage_pkt_parse(&seg->pkt, data, len)) {
		mirage_stat_inc(dev, MIRAGE_STAT_RX_MALFORMED);
		return -EINVAL;
	}
	if (!net_rx_icrc_ok(skb, off, data, len)) {
		mirage_stat_inc(dev, MIRAGE_STAT_RX_ICRC_ERRORS);
		return -EBADMSG;
	}
	seg->payload = data + seg->pkt.op->len;
	return 0;
}

bool mirage_net_batch_find(const struct sk_buff *skb, u32 off, struct mirage_net_batch *batch)
{
	u32 size = skb_shinfo(skb)->gso_size, max, there;
	const u8 *p;

	lockdep_assert_in_softirq();
	if (!size)
		return false;
	batch->len = size;
	batch->num = 0;
	max = min_t(u32, MIRAGE_NET_BATCH_MAX, MIRAGE_NET_BATCH_BYTES / size);
	while (batch->num < max) {
		p = net_rx_piece_at(skb, off, &there);
		if (!p || there < size)
			break;
		for (; there >= size && batch->num < max; there -= size, off += size, p += size)
			batch->at[batch->num++] = p;
	}
	return batch->num > 1 && !mirage_pkt_parse(&batch->pkt, batch->at[0], size);
}

u32 mirage_net_batch_check(struct sk_buff *skb, u32 off, const struct mirage_net_batch *batch,
			   u32 num, bool *ack)
{
	u16 id = net_rx_id_of(skb, off), step = net_rx_is_v4(skb) && !mirage_net_cb(skb)->fixed_id;
	u32 len = batch->len, seed = net_rx_seed_of(skb, len), i;

	lockdep_assert_in_softirq();
	for (i = 0; i < num; i++, id += step) {
		const u8 *data = batch->at[i];

		if (i && !mirage_pkt_follows(batch->at[i - 1], data))
			break;
		if (mirage_icrc_of(seed, id, data,
				   len) != get_unaligned_le32(data + len - PKT_ICRC_LEN))
			break;
		*ack |= mirage_pkt_asks(data);
	}
	return i;
}

/* A few bytes: in place as a rule, otherwise copied to buf. */
static const void *net_rx_peek(const struct sk_buff *skb, u32 off, u32 len, void *buf)
{
	const void *p = net_rx_in_place(skb, off, len);

	return p ? p : skb_header_pointer(skb, off, len, buf);
}

bool mirage_net_peek_bth(const struct sk_buff *skb, u32 off, u8 *opcode, u32 *qpn)
{
	__be32 buf[2];
	const u8 *bth = net_rx_peek(skb, off, sizeof(buf), buf);

	if (!bth)
		return false;
	*opcode = bth[0];
	*qpn = get_unaligned_be32(bth + 4) & 0xffffff;
	return true;
}

/* How many of @num packets in a row come before the first for another QP or direction. */
static u32 net_rx_skip_row(const u8 *bth, u32 len, u32 num, u32 qpn, bool response)
{
	u8 good = 0;
	u32 i;

	for (i = 0; i < num; i++, bth += len) {
		if ((get_unaligned_be32(bth + 4) & 0xffffff) != qpn)
			break;
		/* As a rule all of them have the same opcode. */
		if (i && bth[0] == good)
			continue;
		good = bth[0];
		if (mirage_pkt_ops[good].response != response)
			break;
	}
	return i;
}

u32 mirage_net_skip(const struct sk_buff *skb, u32 off, u32 qpn, bool response)
{
	for (off = mirage_net_next(skb, off); off && off < skb->len;) {
		u32 len = net_rx_seg_len(skb, off), there = 0, num = 0, same;
		const u8 *bth = net_rx_piece_at(skb, off, &there);
		__be32 buf[2];

		if (bth && len >= sizeof(buf))
			num = there / len;
		if (!num) {
			bth = skb_header_pointer(skb, off, sizeof(buf), buf);
			if (!bth)
				return off;
			num = 1;
		}
		same = net_rx_skip_row(bth, len, num, qpn, response);
		off += same * len;
		if (same < num)
			return off;
	}
	return 0;
}

bool mirage_net_is_multicast(const struct sk_buff *skb)
{
	return net_rx_is_v4(skb) ? ipv4_is_multicast(ip_hdr(skb)->daddr) :
				   ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr);
}

bool mirage_net_same_peer(const struct sk_buff *skb, const struct mirage_net_path *path)
{
	const struct mirage_icrc_flow *flow = &path->flow;

	if (net_rx_is_v4(skb) == flow->v6)
		return false;
	if (flow->v6)
		return !memcmp(&ipv6_hdr(skb)->saddr, flow->daddr, sizeof(struct in6_addr)) &&
		       !memcmp(&ipv6_hdr(skb)->daddr, flow->saddr, sizeof(struct in6_addr));
	return !memcmp(&ip_hdr(skb)->saddr, flow->daddr, sizeof(struct in_addr)) &&
	       !memcmp(&ip_hdr(skb)->daddr, flow->saddr, sizeof(struct in_addr));
}

enum rdma_network_type mirage_net_grh(const struct sk_buff *skb, void *grh)
{
	if (!net_rx_is_v4(skb)) {
		memcpy(grh, ipv6_hdr(skb), sizeof(struct ipv6hdr));
		return RDMA_NETWORK_IPV6;
	}
	memset(grh, 0, sizeof(struct ib_grh) - sizeof(struct iphdr));
	memcpy(grh + sizeof(struct ib_grh) - sizeof(struct iphdr), ip_hdr(skb),
	       sizeof(struct iphdr));
	return RDMA_NETWORK_IPV4;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * One packet after another out of a received skb
 *
 * A super-packet has one IP header for all of its packets, but the ICRC of each covers
 * its own IPv4 identification. Who segments counts up from the first, and GRO merges
 * what counts up; it also merges what stays the same where "don't fragment" is set, as
 * some NICs have it. Which of the two, the second packet's ICRC tells. Where it is
 * neither, GRO merged what it should not have.
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

/* For a packet that does not stand in one piece. */
struct net_bounce {
	u8 data[SEG_MAX];
};

/* Seeds of this CPU's latest packets: making one costs more than a small packet's ICRC. */
#define SEEDS		32

struct net_seed {
	struct icrc_flow flow;
	u32 seed;
	u16 len;
};

struct net_seeds {
	struct net_seed slot[SEEDS];
};

/* Not static: all modules together have 8 KiB of that. */
static struct net_bounce __percpu *net_bounce __read_mostly;
static struct net_seeds __percpu *net_seeds __read_mostly;

/** net_rx_init - before the first packet. Return: 0 or -ENOMEM */
int net_rx_init(void)
{
	net_bounce = alloc_percpu(struct net_bounce);
	net_seeds = alloc_percpu(struct net_seeds);
	if (net_bounce && net_seeds)
		return 0;
	net_rx_exit();
	return -ENOMEM;
}

/** net_rx_exit - after the last packet */
void net_rx_exit(void)
{
	free_percpu(net_seeds);
	free_percpu(net_bounce);
}

static bool is_v4(const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IP);
}

static u32 seg_len(const struct sk_buff *skb, u32 off)
{
	u32 size = skb_shinfo(skb)->gso_size;
	u32 left = skb->len - off;

	return size ? min(size, left) : left;
}

u32 net_next(const struct sk_buff *skb, u32 off)
{
	off += seg_len(skb, off);
	return off < skb->len ? off : 0;
}

/* What stands there in one piece, and how long that is; or NULL. */
static const void *piece_own(const struct sk_buff *skb, u32 off, u32 *len)
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

/* The same, in the skbs that GRO hung on when it had no more room, too. */
static const void *piece_at(const struct sk_buff *skb, u32 off, u32 *len)
{
	const void *p = piece_own(skb, off, len);
	const struct sk_buff *frag;

	if (p || !skb_has_frag_list(skb))
		return p;
	off -= skb_pagelen(skb);
	skb_walk_frags(skb, frag) {
		if (off < frag->len)
			return piece_own(frag, off, len);
		off -= frag->len;
	}
	return NULL;
}

/* NULL when they stand in more than one piece, or are not there. */
static const void *in_place(const struct sk_buff *skb, u32 off, u32 len)
{
	u32 there;
	const void *p = piece_at(skb, off, &there);

	return p && len <= there ? p : NULL;
}

static const void *contiguous(const struct sk_buff *skb, u32 off, u32 len)
{
	const void *p = in_place(skb, off, len);
	void *bounce;

	if (p)
		return p;
	bounce = this_cpu_ptr(net_bounce)->data;
	return skb_copy_bits(skb, off, bounce, len) ? NULL : bounce;
}

static void flow_of(const struct sk_buff *skb, struct icrc_flow *flow)
{
	const struct udphdr *udp = udp_hdr(skb);

	flow->sport = udp->source;
	flow->dport = udp->dest;
	flow->v6 = !is_v4(skb);
	if (flow->v6) {
		memcpy(flow->saddr, &ipv6_hdr(skb)->saddr, sizeof(flow->saddr));
		memcpy(flow->daddr, &ipv6_hdr(skb)->daddr, sizeof(flow->daddr));
	} else {
		memcpy(flow->saddr, &ip_hdr(skb)->saddr, sizeof(struct in_addr));
		memcpy(flow->daddr, &ip_hdr(skb)->daddr, sizeof(struct in_addr));
		flow->frag = ip_hdr(skb)->frag_off;
	}
}

static bool is_v4_flow(const struct icrc_flow *flow, const struct iphdr *ip)
{
	return !flow->v6 && flow->frag == ip->frag_off &&
	       !memcmp(flow->saddr, &ip->saddr, sizeof(ip->saddr)) &&
	       !memcmp(flow->daddr, &ip->daddr, sizeof(ip->daddr));
}

static bool is_v6_flow(const struct icrc_flow *flow, const struct ipv6hdr *ip)
{
	return flow->v6 && !memcmp(flow->saddr, &ip->saddr, sizeof(ip->saddr)) &&
	       !memcmp(flow->daddr, &ip->daddr, sizeof(ip->daddr));
}

/* That of the flow, if this CPU has not forgotten it. */
static u32 recent_seed(const struct sk_buff *skb, u16 len)
{
	const struct udphdr *udp = udp_hdr(skb);
	u32 hash = ntohs(udp->source) ^ len / 4;
	struct net_seed *s = &this_cpu_ptr(net_seeds)->slot[hash % SEEDS];

	if (s->len != len || s->flow.sport != udp->source || s->flow.dport != udp->dest ||
	    !(is_v4(skb) ? is_v4_flow(&s->flow, ip_hdr(skb)) :
			   is_v6_flow(&s->flow, ipv6_hdr(skb)))) {
		flow_of(skb, &s->flow);
		s->seed = icrc_seed(&s->flow, len);
		s->len = len;
	}
	return s->seed;
}

/* The CRC's state in front of a packet of that length. */
static u32 seed_of(struct sk_buff *skb, u32 len)
{
	struct net_cb *cb = net_cb(skb);

	if (cb->seed_len != len) {
		cb->seed = recent_seed(skb, len);
		cb->seed_len = len;
	}
	return cb->seed;
}

/* The IPv4 identification of the packet at an offset; 0 for IPv6. */
static u16 id_of(struct sk_buff *skb, u32 off)
{
	u16 id;

	if (!is_v4(skb))
		return 0;
	id = ntohs(ip_hdr(skb)->id);
	return off && !net_cb(skb)->fixed_id ? id + off / skb_shinfo(skb)->gso_size : id;
}

static bool icrc_ok(struct sk_buff *skb, u32 off, const void *data, u32 len)
{
	u32 icrc = get_unaligned_le32(data + len - PKT_ICRC_LEN);
	u32 seed = seed_of(skb, len);
	struct net_cb *cb = net_cb(skb);

	if (icrc_of(seed, id_of(skb, off), data, len) == icrc)
		return true;
	if (!off || !is_v4(skb))
		return false;
	if (cb->fixed_id || icrc_of(seed, id_of(skb, 0), data, len) != icrc) {
		net_merged_wrongly(cb->dev);
		return false;
	}
	cb->fixed_id = true;
	return true;
}

int net_segment(struct sk_buff *skb, u32 off, struct net_seg *seg)
{
	struct mirage_dev *dev = net_cb(skb)->dev;
	u32 len = seg_len(skb, off);
	const void *data = NULL;

	seg->next = net_next(skb, off);
	if (len <= SEG_MAX)
		data = contiguous(skb, off, len);
	if (!data || pkt_parse(&seg->pkt, data, len)) {
		mirage_stat_inc(dev, MIRAGE_STAT_RX_MALFORMED);
		return -EINVAL;
	}
	if (!icrc_ok(skb, off, data, len)) {
		mirage_stat_inc(dev, MIRAGE_STAT_RX_ICRC_ERRORS);
		return -EBADMSG;
	}
	seg->payload = data + seg->pkt.op->len;
	return 0;
}

bool net_run_find(const struct sk_buff *skb, u32 off, struct net_run *run)
{
	u32 size = skb_shinfo(skb)->gso_size, max, there;
	const u8 *p;

	if (!size)
		return false;
	run->len = size;
	run->num = 0;
	max = min_t(u32, NET_RUN_MAX, NET_RUN_BYTES / size);
	while (run->num < max) {
		p = piece_at(skb, off, &there);
		if (!p || there < size)
			break;
		for (; there >= size && run->num < max; there -= size, off += size, p += size)
			run->at[run->num++] = p;
	}
	return run->num > 1 && !pkt_parse(&run->pkt, run->at[0], size);
}

u32 net_run_check(struct sk_buff *skb, u32 off, const struct net_run *run, u32 num,
		  bool *ack)
{
	u16 id = id_of(skb, off), step = is_v4(skb) && !net_cb(skb)->fixed_id;
	u32 len = run->len, seed = seed_of(skb, len), i;

	for (i = 0; i < num; i++, id += step) {
		const u8 *data = run->at[i];

		if (i && !pkt_follows(run->at[i - 1], data))
			break;
		if (icrc_of(seed, id, data, len) != get_unaligned_le32(data + len - PKT_ICRC_LEN))
			break;
		*ack |= pkt_asks(data);
	}
	return i;
}

/* A few bytes, most often where they stand. */
static const void *peek(const struct sk_buff *skb, u32 off, u32 len, void *buf)
{
	const void *p = in_place(skb, off, len);

	return p ? p : skb_header_pointer(skb, off, len, buf);
}

bool net_peek_bth(const struct sk_buff *skb, u32 off, u8 *opcode, u32 *qpn)
{
	__be32 buf[2];
	const u8 *bth = peek(skb, off, sizeof(buf), buf);

	if (!bth)
		return false;
	*opcode = bth[0];
	*qpn = get_unaligned_be32(bth + 4) & 0xffffff;
	return true;
}

/* Packets, of @num that stand in a row, up to the first for another QP or direction. */
static u32 skip_row(const u8 *bth, u32 len, u32 num, u32 qpn, bool response)
{
	u8 good = 0;
	u32 i;

	for (i = 0; i < num; i++, bth += len) {
		if ((get_unaligned_be32(bth + 4) & 0xffffff) != qpn)
			break;
		/* As a rule it is one opcode all along. */
		if (i && bth[0] == good)
			continue;
		good = bth[0];
		if (pkt_ops[good].response != response)
			break;
	}
	return i;
}

u32 net_skip(const struct sk_buff *skb, u32 off, u32 qpn, bool response)
{
	for (off = net_next(skb, off); off && off < skb->len;) {
		u32 len = seg_len(skb, off), there = 0, num = 0, same;
		const u8 *bth = piece_at(skb, off, &there);
		__be32 buf[2];

		if (bth && len >= sizeof(buf))
			num = there / len;
		if (!num) {
			bth = skb_header_pointer(skb, off, sizeof(buf), buf);
			if (!bth)
				return off;
			num = 1;
		}
		same = skip_row(bth, len, num, qpn, response);
		off += same * len;
		if (same < num)
			return off;
	}
	return 0;
}

bool net_is_multicast(const struct sk_buff *skb)
{
	return is_v4(skb) ? ipv4_is_multicast(ip_hdr(skb)->daddr) :
			    ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr);
}

bool net_same_peer(const struct sk_buff *skb, const struct net_path *path)
{
	const struct icrc_flow *flow = &path->flow;

	if (is_v4(skb) == flow->v6)
		return false;
	if (flow->v6)
		return !memcmp(&ipv6_hdr(skb)->saddr, flow->daddr, sizeof(struct in6_addr)) &&
		       !memcmp(&ipv6_hdr(skb)->daddr, flow->saddr, sizeof(struct in6_addr));
	return !memcmp(&ip_hdr(skb)->saddr, flow->daddr, sizeof(struct in_addr)) &&
	       !memcmp(&ip_hdr(skb)->daddr, flow->saddr, sizeof(struct in_addr));
}

enum rdma_network_type net_grh(const struct sk_buff *skb, void *grh)
{
	if (!is_v4(skb)) {
		memcpy(grh, ipv6_hdr(skb), sizeof(struct ipv6hdr));
		return RDMA_NETWORK_IPV6;
	}
	memset(grh, 0, sizeof(struct ib_grh) - sizeof(struct iphdr));
	memcpy(grh + sizeof(struct ib_grh) - sizeof(struct iphdr), ip_hdr(skb),
	       sizeof(struct iphdr));
	return RDMA_NETWORK_IPV4;
}

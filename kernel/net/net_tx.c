// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Paths, and super-packets on them
 *
 * Senders write packets in place: small ones into the skb's own room, others into pages of
 * 32 KiB, each packet in one piece. Every CPU keeps some of these pages. A page is free
 * again as soon as the last skb that refers to it is freed; a new page costs its zeroing.
 * The ICRC of a packet is computed as soon as the packet is complete, while it is in the
 * cache. It covers the IPv4 identification, so each path counts its own: any value will do,
 * because our packets are never fragmented.
 */
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/unaligned.h>
#include <net/addrconf.h>
#include <net/inet_ecn.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>
#include <rdma/ib_cache.h>

#include "base/device.h"
#include "net/net.h"

#define HEADROOM	(LL_MAX_HEADER + sizeof(struct ipv6hdr) + sizeof(struct udphdr))

/* Longer packets go to pages. With HEADROOM so many bytes fill a small skb. */
#define LINEAR_MAX	192

/* What the GSO of the oldest kernel and the GRO of every kernel take as one skb. */
#define SEGS_MAX	64U
#define BYTES_MAX	(U16_MAX - sizeof(struct iphdr) - sizeof(struct udphdr))

#define TTL_DEFAULT	64

/* Pages that a CPU keeps at most: a peer that misses a page holds packets for long. */
#define POOL_PAGES	48

/**
 * struct net_pool - where a CPU writes packets
 * @frag: pages, and how far each is used
 * @cur: index of the page that is written to
 */
struct net_pool {
	struct page_frag frag[POOL_PAGES];
	unsigned int cur;
};

/* No page of the reserves: the pool would keep it, and the receiving socket drops it. */
#define POOL_GFP	(GFP_ATOMIC | __GFP_NOMEMALLOC | __GFP_NOWARN)

static struct net_pool __percpu *net_pool __read_mostly;

int mirage_net_path_init(struct mirage_net_path *path, struct mirage_dev *dev,
			 const struct rdma_ah_attr *ah, u32 qpn, u32 peer)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(ah);
	const struct in6_addr *saddr, *daddr = (const void *)&grh->dgid;
	struct mirage_icrc_flow *flow = &path->flow;
	const struct net_device *netdev;
	struct net *net;

	if (!grh->sgid_attr)
		return -EINVAL;
	saddr = (const void *)&grh->sgid_attr->gid;
	if (ipv6_addr_v4mapped(saddr) != ipv6_addr_v4mapped(daddr))
		return -EINVAL;
	/* The namespace may be ending: its devices go a moment later. */
	net = maybe_get_net(dev_net(dev->netdev));
	if (!net)
		return -ENETDOWN;

	*path = (struct mirage_net_path) {
		.dev = dev,
		.net = net,
		.host = mirage_net_host_of(net),
		.oif = dev->netdev->ifindex,
		.label = cpu_to_be32(grh->flow_label & IB_GRH_FLOWLABEL_MASK),
		.id = get_random_u32(),
		.tos = grh->traffic_class,
		.ttl = grh->hop_limit ? : TTL_DEFAULT,
	};
	rcu_read_lock();
	netdev = rdma_read_gid_attr_ndev_rcu(grh->sgid_attr);
	if (!IS_ERR(netdev))
		path->oif = netdev->ifindex;
	rcu_read_unlock();

	flow->v6 = !ipv6_addr_v4mapped(saddr);
	flow->sport = htons(rdma_get_udp_sport(grh->flow_label, qpn, peer));
	flow->dport = htons(ROCE_V2_UDP_DPORT);
	if (flow->v6) {
		memcpy(flow->saddr, saddr, sizeof(flow->saddr));
		memcpy(flow->daddr, daddr, sizeof(flow->daddr));
	} else {
		flow->frag = htons(IP_DF);
		memcpy(flow->saddr, &saddr->s6_addr32[3], sizeof(struct in_addr));
		memcpy(flow->daddr, &daddr->s6_addr32[3], sizeof(struct in_addr));
	}
	return 0;
}

void mirage_net_path_release(struct mirage_net_path *path)
{
	dst_release(path->dst);
	if (path->net)
		put_net(path->net);
	*path = (struct mirage_net_path) { };
}

static __be32 net_tx_v4_addr(const u8 *addr)
{
	__be32 v4;

	memcpy(&v4, addr, sizeof(v4));
	return v4;
}

/* The route to an address of this host, even of another netdev, goes through lo. */
static struct dst_entry *net_tx_route4(const struct mirage_net_path *path)
{
	const struct mirage_icrc_flow *flow = &path->flow;
	__be32 daddr = net_tx_v4_addr(flow->daddr);
	bool local = inet_addr_type(path->net, daddr) == RTN_LOCAL;
	struct flowi4 fl4 = { };
	struct rtable *rt;

	flowi4_init_output(&fl4, local ? 0 : path->oif, 0, path->tos & ~INET_ECN_MASK,
			   RT_SCOPE_UNIVERSE, IPPROTO_UDP, 0, daddr,
			   net_tx_v4_addr(flow->saddr), flow->dport, flow->sport,
			   sock_net_uid(path->net, NULL));
	rt = ip_route_output_flow(path->net, &fl4, NULL);
	return IS_ERR(rt) ? NULL : &rt->dst;
}

static struct dst_entry *net_tx_route6(const struct mirage_net_path *path)
{
	const struct mirage_icrc_flow *flow = &path->flow;
	const struct in6_addr *daddr = (const void *)flow->daddr;
	struct flowi6 fl6 = {
		.flowi6_oif = path->oif,
		.flowi6_proto = IPPROTO_UDP,
		.flowi6_uid = sock_net_uid(path->net, NULL),
		.flowlabel = ip6_make_flowinfo(path->tos, path->label),
		.fl6_sport = flow->sport,
		.fl6_dport = flow->dport,
	};
	struct dst_entry *dst;

	memcpy(&fl6.saddr, flow->saddr, sizeof(fl6.saddr));
	fl6.daddr = *daddr;
	if (!(ipv6_addr_type(daddr) & IPV6_ADDR_LINKLOCAL) &&
	    ipv6_chk_addr(path->net, daddr, NULL, 0))
		fl6.flowi6_oif = 0;
	dst = ip6_dst_lookup_flow(path->net, NULL, &fl6, NULL);
	return IS_ERR(dst) ? NULL : dst;
}

static struct dst_entry *net_tx_route(struct mirage_net_path *path)
{
	if (path->dst && dst_check(path->dst, path->cookie))
		return path->dst;

	dst_release(path->dst);
	path->dst = path->flow.v6 ? net_tx_route6(path) : net_tx_route4(path);
	if (path->dst && path->flow.v6)
		path->cookie = rt6_get_cookie(dst_rt6_info(path->dst));
	return path->dst;
}

static void net_tx_put_udp(struct sk_buff *skb, const struct mirage_icrc_flow *flow)
{
	struct udphdr *udp = skb_push(skb, sizeof(*udp));

	skb_reset_transport_header(skb);
	udp->source = flow->sport;
	udp->dest = flow->dport;
	udp->len = htons(skb->len);

	/* The sum of the pseudo header; the NIC, GSO or software adds the rest. */
	if (flow->v6)
		udp->check = ~csum_ipv6_magic((const struct in6_addr *)flow->saddr,
					      (const struct in6_addr *)flow->daddr,
					      skb->len, IPPROTO_UDP, 0);
	else
		udp->check = ~csum_tcpudp_magic(net_tx_v4_addr(flow->saddr),
						net_tx_v4_addr(flow->daddr),
						skb->len, IPPROTO_UDP, 0);
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct udphdr, check);
}

/* ip_local_out() fills in length and checksum. */
static void net_tx_put_v4(struct sk_buff *skb, const struct mirage_net_path *path, u16 id)
{
	struct iphdr *ip = skb_push(skb, sizeof(*ip));

	skb_reset_network_header(skb);
	skb->protocol = htons(ETH_P_IP);
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = path->tos;
	ip->id = htons(id);
	ip->frag_off = path->flow.frag;
	ip->ttl = path->ttl;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = net_tx_v4_addr(path->flow.saddr);
	ip->daddr = net_tx_v4_addr(path->flow.daddr);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
}

static void net_tx_put_v6(struct sk_buff *skb, const struct mirage_net_path *path)
{
	struct ipv6hdr *ip = skb_push(skb, sizeof(*ip));

	skb_reset_network_header(skb);
	skb->protocol = htons(ETH_P_IPV6);
	ip6_flow_hdr(ip, path->tos, path->label);
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = path->ttl;
	memcpy(&ip->saddr, path->flow.saddr, sizeof(ip->saddr));
	memcpy(&ip->daddr, path->flow.daddr, sizeof(ip->daddr));
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
}

static void net_tx_put_headers(const struct mirage_net_tx *tx)
{
	struct mirage_net_path *path = tx->path;
	struct sk_buff *skb = tx->skb;

	net_tx_put_udp(skb, &path->flow);
	if (path->flow.v6)
		net_tx_put_v6(skb, path);
	else
		net_tx_put_v4(skb, path, tx->id);
	skb->priority = rt_tos2priority(path->tos);

	if (tx->segs > 1) {
		skb_shinfo(skb)->gso_size = tx->gso_size;
		skb_shinfo(skb)->gso_segs = tx->segs;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
	}
}

static bool net_tx_transmit(struct mirage_net_tx *tx)
{
	struct mirage_net_path *path = tx->path;
	struct sk_buff *skb = tx->skb;
	struct sock *sk = tx->sk;
	struct dst_entry *dst;

	dst = sk ? net_tx_route(path) : NULL;
	if (!dst)
		return false;
	net_tx_put_headers(tx);
	/* The path keeps the route. Whoever queues the skb takes a reference of its own. */
	skb_dst_set_noref(skb, dst);
	skb_set_owner_w(skb, sk);
	if (path->flow.v6)
		ip6_local_out(path->net, sk, skb);
	else
		ip_local_out(path->net, sk, skb);
	return true;
}

void mirage_net_tx_send(struct mirage_net_tx *tx)
{
	struct mirage_net_path *path = tx->path;

	lockdep_assert_in_softirq();
	path->id += tx->segs;
	if (net_tx_transmit(tx)) {
		mirage_stat_add(path->dev, MIRAGE_STAT_TX_PACKETS, tx->segs);
		mirage_stat_add(path->dev, MIRAGE_STAT_TX_BYTES, tx->bytes);
		if (tx->segs > 1)
			mirage_stat_inc(path->dev, MIRAGE_STAT_TX_SUPER_PACKETS);
	} else {
		mirage_stat_add(path->dev, MIRAGE_STAT_TX_DROPPED, tx->segs);
		kfree_skb(tx->skb);
	}
	tx->skb = NULL;
}

static struct page_frag *net_tx_pool_frag(void)
{
	struct net_pool *pool = this_cpu_ptr(net_pool);

	return &pool->frag[pool->cur];
}

/* The first page that nobody else refers to: the lower ones were used most recently. */
static struct page_frag *net_tx_pool_next(void)
{
	struct net_pool *pool = this_cpu_ptr(net_pool);
	unsigned int i;

	for (i = 0; i < POOL_PAGES; i++)
		if (!pool->frag[i].page || page_ref_count(pool->frag[i].page) == 1)
			break;
	/* All are in use: replace the oldest. */
	pool->cur = i < POOL_PAGES ? i : (pool->cur + 1) % POOL_PAGES;
	return &pool->frag[pool->cur];
}

static void net_tx_frag_drop(struct page_frag *frag)
{
	if (frag->page)
		put_page(frag->page);
	*frag = (struct page_frag) { };
}

/* No large page was to be had, and a single page is too small: take what just suffices. */
static bool net_tx_frag_small(struct page_frag *frag, u32 len)
{
	unsigned int order = get_order(len);

	net_tx_frag_drop(frag);
	frag->page = alloc_pages(POOL_GFP | __GFP_COMP, order);
	frag->size = frag->page ? PAGE_SIZE << order : 0;
	return frag->page;
}

static bool net_tx_refill(u32 len)
{
	struct page_frag *frag = net_tx_pool_frag();

	if (frag->size - frag->offset >= len)
		return true;
	frag = net_tx_pool_next();
	/* It is left from when no larger one was to be had. */
	if (unlikely(frag->size < len))
		net_tx_frag_drop(frag);
	if (skb_page_frag_refill(len, frag, POOL_GFP) && frag->size - frag->offset >= len)
		return true;
	return net_tx_frag_small(frag, len);
}

static void *net_tx_room_in_frag(struct mirage_net_tx *tx, u32 len, u32 num)
{
	struct skb_shared_info *info = skb_shinfo(tx->skb);
	struct page_frag *frag;

	if (!net_tx_refill(len))
		return NULL;
	frag = net_tx_pool_frag();
	if (info->nr_frags == MAX_SKB_FRAGS &&
	    !skb_can_coalesce(tx->skb, info->nr_frags, frag->page, frag->offset))
		return NULL;
	tx->in_frag = true;
	tx->num = min(num, (frag->size - frag->offset) / len);
	return page_address(frag->page) + frag->offset;
}

static void *net_tx_room(struct mirage_net_tx *tx, u32 len, u32 num)
{
	if (skb_is_nonlinear(tx->skb) || skb_tailroom(tx->skb) < len)
		return net_tx_room_in_frag(tx, len, num);
	tx->in_frag = false;
	tx->num = 1;
	return skb_tail_pointer(tx->skb);
}

/*
 * The skb's own room is a piece of this CPU's page, too, which costs a fraction of an
 * allocation.
 */
static bool net_tx_new_skb(struct mirage_net_tx *tx, u32 linear)
{
	u32 size = SKB_DATA_ALIGN(HEADROOM + linear) +
		   SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	struct page_frag *frag = net_tx_pool_frag();

	tx->skb = NULL;
	frag->offset = ALIGN(frag->offset, SMP_CACHE_BYTES);
	if (!net_tx_refill(size))
		return false;
	frag = net_tx_pool_frag();
	tx->skb = napi_build_skb(page_address(frag->page) + frag->offset, size);
	if (!tx->skb)
		return false;
	get_page(frag->page);
	frag->offset += size;
	skb_reserve(tx->skb, HEADROOM);
	return true;
}

/* Do the queues below hold more of our packets than they should have to? */
static bool net_tx_is_clogged(const struct sock *sk)
{
	return sk && sk_wmem_alloc_get(sk) > READ_ONCE(sk->sk_sndbuf);
}

static void *net_tx_begin(struct mirage_net_tx *tx, struct mirage_net_path *path, u32 len, u32 num,
			  u32 more)
{
	u32 linear = len + more <= LINEAR_MAX ? len + more : 0;
	void *segment;

	*tx = (struct mirage_net_tx) {
		.path = path,
		/* Only an open device keeps the sockets of its namespace. */
		.sk = READ_ONCE(path->dev->net_host) ?
		      mirage_net_sock(path->host, path->flow.v6) : NULL,
		.gso_size = len,
		.id = path->id,
	};
	if (net_tx_is_clogged(tx->sk) || !net_tx_new_skb(tx, linear))
		return NULL;
	segment = net_tx_room(tx, len, num);
	if (segment)
		return segment;

	kfree_skb(tx->skb);
	return net_tx_new_skb(tx, len) ? net_tx_room(tx, len, num) : NULL;
}

/* How many more packets of a length the super-packet takes. */
static u32 net_tx_fits(const struct mirage_net_tx *tx, const struct mirage_net_path *path, u32 len)
{
	if (tx->path != path || path->single || tx->closed || len > tx->gso_size)
		return 0;
	if (len < tx->gso_size)
		return tx->segs < SEGS_MAX && tx->bytes + len <= BYTES_MAX;
	return min_t(u32, SEGS_MAX - tx->segs, (BYTES_MAX - tx->bytes) / len);
}

void *mirage_net_tx_batch(struct mirage_net_tx *tx, struct mirage_net_path *path, u32 len, u32 num,
			  u32 more)
{
	u32 fit = tx->skb ? net_tx_fits(tx, path, len) : 0;
	void *segment = NULL;

	lockdep_assert_in_softirq();
	if (fit)
		segment = net_tx_room(tx, len, min(num, fit));
	if (!segment) {
		mirage_net_tx_flush(tx);
		num = path->single ? 1 : min3(num, SEGS_MAX, (u32)(BYTES_MAX / len));
		segment = net_tx_begin(tx, path, len, num, more);
	}
	tx->segment = segment;
	tx->seg_len = len;
	return segment;
}

static void net_tx_add_frag(struct sk_buff *skb, u32 len)
{
	struct page_frag *frag = net_tx_pool_frag();
	int i = skb_shinfo(skb)->nr_frags;

	if (skb_can_coalesce(skb, i, frag->page, frag->offset)) {
		skb_frag_size_add(&skb_shinfo(skb)->frags[i - 1], len);
	} else {
		get_page(frag->page);
		skb_fill_page_desc(skb, i, frag->page, frag->offset, len);
	}
	frag->offset += len;
	skb->len += len;
	skb->data_len += len;
	skb->truesize += len;
}

static void net_tx_append(struct mirage_net_tx *tx)
{
	u32 len = tx->num * tx->seg_len;

	if (tx->in_frag)
		net_tx_add_frag(tx->skb, len);
	else
		skb_put(tx->skb, len);
	tx->segs += tx->num;
	tx->bytes += len;
	tx->closed = tx->seg_len < tx->gso_size;
	tx->last = tx->segment + len - tx->seg_len;
	tx->last_len = tx->seg_len;
}

void mirage_net_tx_seal(struct mirage_net_tx *tx)
{
	u16 id = tx->id + tx->segs - tx->reopened, len = tx->seg_len;
	unsigned int pad = mirage_pkt_pad(tx->segment);
	struct mirage_net_path *path = tx->path;
	void *segment = tx->segment;
	u32 i;

	lockdep_assert_in_softirq();
	if (pad)
		memset(segment + len - PKT_ICRC_LEN - pad, 0, pad);
	if (path->seed_len != len) {
		path->seed = mirage_icrc_seed(&path->flow, len);
		path->seed_len = len;
	}
	for (i = 0; i < tx->num; i++, segment += len)
		mirage_icrc_put(path->seed, path->flow.v6 ? 0 : id + i, segment, len);
	if (!tx->reopened)
		net_tx_append(tx);
	tx->reopened = false;
	tx->segment = NULL;
}

void *mirage_net_tx_reopen(struct mirage_net_tx *tx)
{
	lockdep_assert_in_softirq();
	if (!tx->skb)
		return NULL;
	tx->reopened = true;
	tx->num = 1;
	tx->segment = tx->last;
	tx->seg_len = tx->last_len;
	return tx->segment;
}

void mirage_net_tx_cancel(struct mirage_net_tx *tx)
{
	lockdep_assert_in_softirq();
	tx->segment = NULL;
	if (tx->segs)
		return;
	kfree_skb(tx->skb);
	tx->skb = NULL;
}

/** mirage_net_tx_init - before the first packet. Return: 0 or -ENOMEM */
int mirage_net_tx_init(void)
{
	net_pool = alloc_percpu(struct net_pool);
	return net_pool ? 0 : -ENOMEM;
}

/** mirage_net_tx_exit - give the pages back */
void mirage_net_tx_exit(void)
{
	struct net_pool *pool;
	int cpu, i;

	for_each_possible_cpu(cpu) {
		pool = per_cpu_ptr(net_pool, cpu);
		for (i = 0; i < POOL_PAGES; i++) {
			if (pool->frag[i].page)
				put_page(pool->frag[i].page);
		}
	}
	free_percpu(net_pool);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mirage_bare.ko - the bare pair: what moving messages as RoCE does costs at least
 *
 * Two kernel UDP sockets, joined by whatever their namespaces are, and no protocol to
 * speak of: the sender copies a message into UDP GSO super-packets and puts a CRC32 in
 * each packet, the receiver checks it, copies the payload to its place and answers the
 * last packet of a message. Its copies are those of mirage.ko (copy.h). No queue pair, no key, no translation, no completion.
 *
 *	exec 3</run/netns/A 4</run/netns/B
 *	echo "3 4 10.0.0.1 10.0.0.2 MTU SIZE" >/sys/kernel/debug/mirage_bare
 *	cat /sys/kernel/debug/mirage_bare	BENCH bare bare pinned SIZE NS ns ok|wrong
 *
 * The figure is the time of one of BATCH messages, as that of perftest/bench_bw. One run
 * at a time; everything is released at its end.
 */
#include <linux/crc32.h>
#include <linux/debugfs.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/sockptr.h>
#include <linux/udp.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>
#include <net/route.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>

#include "mem/copy.h"

#define BATCH		32
#define WINDOW		SZ_4M
#define PORT		4791
#define HEADROOM	(LL_MAX_HEADER + sizeof(struct iphdr) + sizeof(struct udphdr))
#define SEGS_MAX	64
#define BYTES_MAX	(U16_MAX - sizeof(struct iphdr) - sizeof(struct udphdr))
#define CRC_LEN		4

/* In front of every packet's payload; as long as a BTH. */
struct head {
	__be32 offset;		/* of the payload, in all messages' bytes */
	__be32 len;		/* of the payload */
	__be32 last;		/* of its message: to be answered; an answer has no payload */
};

/* One side. */
struct end {
	struct wire_burst *run;
	struct net *net;
	struct socket *sock;
	struct page_frag frag;
	struct rtable *rt;
	__be32 addr;
	u16 id;
	bool busy;
};

struct wire_burst {
	struct end tx;
	struct end rx;
	u32 mtu;
	u32 size;
	u8 *src;
	u8 *dst;
	u32 acked;		/* messages */
	u32 wrong;		/* packets */
};

static DEFINE_MUTEX(mutex);
static char result[96] = "no run yet\n";
static struct dentry *file;

static void send_skb(struct end *from, const struct end *to, struct sk_buff *skb,
		     u32 gso_size, u32 segs)
{
	struct udphdr *udp = skb_push(skb, sizeof(*udp));
	struct iphdr *ip;

	skb_reset_transport_header(skb);
	udp->source = htons(PORT);
	udp->dest = htons(PORT);
	udp->len = htons(skb->len);
	udp->check = ~csum_tcpudp_magic(from->addr, to->addr, skb->len, IPPROTO_UDP, 0);
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct udphdr, check);

	ip = skb_push(skb, sizeof(*ip));
	skb_reset_network_header(skb);
	skb->protocol = htons(ETH_P_IP);
	*ip = (struct iphdr) {
		.version = 4, .ihl = 5, .id = htons(from->id), .frag_off = htons(IP_DF),
		.ttl = 64, .protocol = IPPROTO_UDP, .saddr = from->addr, .daddr = to->addr,
	};
	from->id += segs;
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	if (segs > 1) {
		skb_shinfo(skb)->gso_size = gso_size;
		skb_shinfo(skb)->gso_segs = segs;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
	}
	skb_dst_set_noref(skb, &from->rt->dst);
	ip_local_out(from->net, from->sock->sk, skb);
}

static struct sk_buff *new_skb(u32 linear)
{
	struct sk_buff *skb = alloc_skb(HEADROOM + linear, GFP_ATOMIC);

	if (skb)
		skb_reserve(skb, HEADROOM);
	return skb;
}

static void seal(u8 *p, u32 len)
{
	put_unaligned_le32(~crc32_le(~0u, p, len), p + len);
}

static void answer(struct wire_burst *run)
{
	struct sk_buff *skb = new_skb(sizeof(struct head) + CRC_LEN);
	u8 *p;

	if (!skb)
		return;
	p = skb_put_zero(skb, sizeof(struct head) + CRC_LEN);
	seal(p, sizeof(struct head));
	send_skb(&run->rx, &run->tx, skb, 0, 1);
}

static u8 *add_room(struct end *from, struct sk_buff *skb, u32 len)
{
	struct page_frag *frag = &from->frag;
	int i = skb_shinfo(skb)->nr_frags;
	u8 *p;

	if (!skb_page_frag_refill(len, frag, GFP_ATOMIC) || frag->size - frag->offset < len)
		return NULL;
	p = page_address(frag->page) + frag->offset;
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
	return p;
}

/* As much of a message as one super-packet takes; how much that was. */
static u32 send_some(struct wire_burst *run, u32 at, u32 end)
{
	u32 seg = sizeof(struct head) + run->mtu + CRC_LEN, segs = 0, start = at;
	struct sk_buff *skb = new_skb(0);
	u32 len;
	u8 *p;

	while (skb && at < end && segs < SEGS_MAX && (segs + 1) * seg <= BYTES_MAX) {
		len = min(run->mtu, end - at);
		p = add_room(&run->tx, skb, sizeof(struct head) + len + CRC_LEN);
		if (!p)
			break;
		*(struct head *)p = (struct head) {
			.offset = cpu_to_be32(at), .len = cpu_to_be32(len),
			.last = cpu_to_be32(at + len == end),
		};
		mirage_copy(p + sizeof(struct head), run->src + at, len);
		seal(p, sizeof(struct head) + len);
		at += len;
		segs++;
	}
	if (segs)
		send_skb(&run->tx, &run->rx, skb, seg, segs);
	else
		kfree_skb(skb);
	return at - start;
}

static const u8 *data_at(const struct sk_buff *skb, u32 off, u32 len)
{
	const skb_frag_t *frag;
	int i;

	if (off + len <= skb_headlen(skb))
		return skb->data + off;
	off -= skb_headlen(skb);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		frag = &skb_shinfo(skb)->frags[i];
		if (off < skb_frag_size(frag))
			return off + len <= skb_frag_size(frag) ?
			       (u8 *)skb_frag_address(frag) + off : NULL;
		off -= skb_frag_size(frag);
	}
	return NULL;
}

static bool take(struct wire_burst *run, const u8 *p, u32 len)
{
	const struct head *h = (const void *)p;
	u32 at, bytes;

	if (len < sizeof(*h) + CRC_LEN)
		return false;
	len -= CRC_LEN;
	if (get_unaligned_le32(p + len) != ~crc32_le(~0u, p, len))
		return false;
	at = be32_to_cpu(h->offset);
	bytes = be32_to_cpu(h->len);
	if (!bytes) {
		run->acked++;
		return true;
	}
	if (bytes != len - sizeof(*h) || at > BATCH * run->size - bytes)
		return false;
	mirage_copy(run->dst + at, p + sizeof(*h), bytes);
	if (h->last)
		answer(run);
	return true;
}

static void take_skb(struct wire_burst *run, struct sk_buff *skb)
{
	u32 size = skb_shinfo(skb)->gso_size ? : skb->len, off, len;
	const u8 *p;

	for (off = 0; off < skb->len; off += size) {
		len = min(size, skb->len - off);
		p = data_at(skb, off, len);
		if (!p || !take(run, p, len))
			run->wrong++;
	}
	consume_skb(skb);
}

/* One CPU at a time is enough for a benchmark of one stream. */
static void data_ready(struct sock *sk)
{
	struct sk_buff *skb;
	struct end *end;
	int err;

	rcu_read_lock();
	end = rcu_dereference_sk_user_data(sk);
	if (end && !xchg(&end->busy, true)) {
		while ((skb = skb_recv_udp(sk, MSG_DONTWAIT, &err)))
			take_skb(end->run, skb);
		end->busy = false;
	}
	rcu_read_unlock();
}

static int end_open(struct wire_burst *run, struct end *end, __be32 peer)
{
	struct udp_port_cfg cfg = {
		.family = AF_INET, .local_udp_port = htons(PORT), .local_ip.s_addr = end->addr,
	};
	struct flowi4 fl4 = { };
	int err, on = 1;

	flowi4_init_output(&fl4, 0, 0, 0, RT_SCOPE_UNIVERSE, IPPROTO_UDP, 0, peer, end->addr,
			   htons(PORT), htons(PORT), GLOBAL_ROOT_UID);
	end->rt = ip_route_output_flow(end->net, &fl4, NULL);
	if (IS_ERR(end->rt))
		return PTR_ERR(end->rt);
	err = udp_sock_create(end->net, &cfg, &end->sock);
	if (err) {
		ip_rt_put(end->rt);
		return err;
	}
	end->run = run;
	WRITE_ONCE(end->sock->sk->sk_rcvbuf, SZ_32M);
	end->sock->ops->setsockopt(end->sock, SOL_UDP, UDP_GRO, KERNEL_SOCKPTR(&on),
				   sizeof(on));
	rcu_assign_sk_user_data(end->sock->sk, end);
	WRITE_ONCE(end->sock->sk->sk_data_ready, data_ready);
	return 0;
}

static void end_close(struct end *end)
{
	rcu_assign_sk_user_data(end->sock->sk, NULL);
	kernel_sock_shutdown(end->sock, SHUT_RDWR);
	sock_release(end->sock);
	synchronize_net();
	ip_rt_put(end->rt);
	if (end->frag.page)
		put_page(end->frag.page);
}

/* Softirqs run where they are let on again: mostly the answers are there by then. */
static bool wait_for(struct wire_burst *run, u32 acked)
{
	unsigned long end = jiffies + 5 * HZ;

	while (READ_ONCE(run->acked) < acked) {
		if (time_after(jiffies, end))
			return false;
		cond_resched();
	}
	return true;
}

static bool send_batch(struct wire_burst *run)
{
	u32 window = max(WINDOW / run->size, 1u), sent, at, n;

	run->acked = 0;
	for (sent = 0; sent < BATCH; sent++) {
		if (sent >= window && !wait_for(run, sent + 1 - window))
			return false;
		for (at = 0; at < run->size; at += n) {
			local_bh_disable();
			n = send_some(run, sent * run->size + at, (sent + 1) * run->size);
			local_bh_enable();
			if (!n)
				return false;
		}
	}
	return wait_for(run, BATCH);
}

static int measure(struct wire_burst *run)
{
	size_t total = (size_t)BATCH * run->size;
	u64 start;
	bool ok;

	get_random_bytes(run->src, min_t(size_t, total, SZ_1M));
	ok = send_batch(run);
	memset(run->dst, 0, total);
	start = ktime_get_ns();
	ok &= send_batch(run);
	start = ktime_get_ns() - start;
	ok &= !run->wrong && !memcmp(run->src, run->dst, total);
	snprintf(result, sizeof(result), "BENCH bare bare pinned %u %llu ns %s\n", run->size,
		 start / BATCH, ok ? "ok" : "wrong");
	return 0;
}

static int run_pair(struct wire_burst *run)
{
	int err = -ENOMEM;

	run->src = vzalloc((size_t)BATCH * run->size);
	run->dst = vzalloc((size_t)BATCH * run->size);
	if (!run->src || !run->dst)
		goto free;
	err = end_open(run, &run->tx, run->rx.addr);
	if (err)
		goto free;
	err = end_open(run, &run->rx, run->tx.addr);
	if (err)
		goto close_tx;
	err = measure(run);
	end_close(&run->rx);
close_tx:
	end_close(&run->tx);
free:
	vfree(run->src);
	vfree(run->dst);
	return err;
}

static int parse_and_run(const char *text)
{
	struct wire_burst *run = kzalloc_obj(*run);
	char tx[16], rx[16];
	int fd[2], err = -EINVAL;

	if (!run)
		return -ENOMEM;
	if (sscanf(text, "%d %d %15s %15s %u %u", &fd[0], &fd[1], tx, rx, &run->mtu,
		   &run->size) != 6 ||
	    !in4_pton(tx, -1, (u8 *)&run->tx.addr, -1, NULL) ||
	    !in4_pton(rx, -1, (u8 *)&run->rx.addr, -1, NULL) ||
	    run->mtu < 256 || run->mtu > 4096 || !run->size || run->size > SZ_16M)
		goto free;
	run->tx.net = get_net_ns_by_fd(fd[0]);
	err = PTR_ERR_OR_ZERO(run->tx.net);
	if (err)
		goto free;
	run->rx.net = get_net_ns_by_fd(fd[1]);
	err = PTR_ERR_OR_ZERO(run->rx.net);
	if (err)
		goto put_tx;
	err = run_pair(run);
	put_net(run->rx.net);
put_tx:
	put_net(run->tx.net);
free:
	kfree(run);
	return err;
}

static ssize_t bare_write(struct file *f, const char __user *buf, size_t len, loff_t *pos)
{
	char text[96] = "";
	int err;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, len))
		return -EFAULT;
	mutex_lock(&mutex);
	err = parse_and_run(text);
	mutex_unlock(&mutex);
	return err ? : len;
}

static ssize_t bare_read(struct file *f, char __user *buf, size_t len, loff_t *pos)
{
	ssize_t n;

	mutex_lock(&mutex);
	n = simple_read_from_buffer(buf, len, pos, result, strlen(result));
	mutex_unlock(&mutex);
	return n;
}

static const struct file_operations bare_fops = {
	.owner = THIS_MODULE,
	.read = bare_read,
	.write = bare_write,
};

static int __init bare_init(void)
{
	file = debugfs_create_file("mirage_bare", 0600, NULL, NULL, &bare_fops);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit bare_exit(void)
{
	debugfs_remove(file);
}

module_init(bare_init);
module_exit(bare_exit);

MODULE_DESCRIPTION("The bare pair, a benchmark's limit");
MODULE_LICENSE("Dual BSD/GPL");

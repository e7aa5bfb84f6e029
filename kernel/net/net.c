// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The sockets, a pair for each network namespace, and which device a packet is for
 *
 * A UDP socket that is no tunnel (no encap_rcv) and allows GRO gets super-packets whole:
 * those of a local sender, and those that GRO merged. Its sk_data_ready() takes them out as
 * soon as they arrive, in softirq, because handing a packet to a worker costs more than
 * handling it. Only one CPU at a time takes packets out of a socket. The kernel keeps the
 * order of a flow up to there, and go-back-N depends on that order.
 *
 * Nothing here verifies the UDP checksum: the ICRC covers more and is stronger.
 *
 * Locking: net_mutex protects hosts, their sockets and lists of devices; the data path
 * reads these under RCU. The order: base/device.h.
 */
#include <linux/if_vlan.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/rculist.h>
#include <linux/sockptr.h>
#include <net/ipv6.h>
#include <net/netns/generic.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>
#include <rdma/ib_cache.h>

#include "base/device.h"
#include "net/net.h"

/* Packets leave a socket at once, unless something keeps a CPU from its softirqs. */
#define NET_RCVBUF	SZ_32M
/* Truesize of what a slow transmit queue may hold, for all QPs of a namespace. */
#define NET_SNDBUF	SZ_32M

/* After so many wrong packets in merged skbs within a second, GRO is off for a minute. */
#define GRO_FAILURES	16
#define GRO_PAUSE	(60 * HZ)

/* Skbs at a time: after them other softirqs, and tasks, get the CPU. */
#define DRAIN_MAX	64

/**
 * struct net_inlet - where packets of one IP version come in
 * @host: the host it belongs to
 * @sock: the socket
 * @pending: calls of sk_data_ready() that nobody has acted on; above 0, one CPU drains
 * @more: drains on after DRAIN_MAX skbs
 */
struct net_inlet {
	struct mirage_net_host *host;
	struct socket *sock;
	atomic_t pending;
	struct tasklet_struct more;
};

/**
 * struct mirage_net_host - what a network namespace has
 * @net: the namespace
 * @devs: devices that called mirage_net_open()
 * @only: the device, if @devs has no other
 * @inlet: IPv4's and IPv6's; NULL while the sockets are closed
 * @gro_off: GRO must not merge, because it merged packets that do not belong together
 * @gro_failures: wrong packets since @gro_since. No lock protects these three: they may be
 *	slightly wrong
 * @gro_since: in jiffies: when the count began, or when @gro_off was set
 * @dead: the namespace ends
 */
struct mirage_net_host {
	struct net *net;
	struct list_head devs;
	struct mirage_dev __rcu *only;
	struct net_inlet __rcu *inlet[2];
	bool gro_off;
	unsigned int gro_failures;
	unsigned long gro_since;
	bool dead;
};

/* The device that this CPU found last; valid until net_generation moves. */
struct net_found {
	struct mirage_net_host *host;
	struct mirage_dev *dev;
	union ib_gid gid;
	int generation;
};

static DEFINE_MUTEX(net_mutex);
static unsigned int net_id __read_mostly;
static atomic_t net_generation = ATOMIC_INIT(1);
static DEFINE_PER_CPU(struct net_found, net_found);

static void net_destination(const struct sk_buff *skb, union ib_gid *gid)
{
	if (skb->protocol == htons(ETH_P_IP))
		ipv6_addr_set_v4mapped(ip_hdr(skb)->daddr, (struct in6_addr *)gid);
	else
		memcpy(gid, &ipv6_hdr(skb)->daddr, sizeof(*gid));
}

static struct mirage_dev *net_dev_by_gid(struct mirage_net_host *host, const union ib_gid *gid)
{
	const struct ib_gid_attr *attr;
	struct mirage_dev *dev;

	list_for_each_entry_rcu(dev, &host->devs, net_entry) {
		attr = rdma_find_gid_by_port(&dev->ibdev, gid,
					     IB_GID_TYPE_ROCE_UDP_ENCAP, 1, NULL);
		if (IS_ERR(attr))
			continue;
		rdma_put_gid_attr(attr);
		return dev;
	}
	return NULL;
}

static struct mirage_dev *net_dev_by_address(struct mirage_net_host *host,
					     const struct sk_buff *skb)
{
	struct net_found *found = this_cpu_ptr(&net_found);
	int generation = atomic_read_acquire(&net_generation);
	struct mirage_dev *dev;
	union ib_gid gid;

	net_destination(skb, &gid);
	if (found->generation == generation && found->host == host &&
	    !memcmp(&found->gid, &gid, sizeof(gid)))
		return found->dev;

	dev = net_dev_by_gid(host, &gid);
	if (dev)
		*found = (struct net_found) {
			.host = host, .dev = dev, .gid = gid, .generation = generation,
		};
	return dev;
}

/* A packet to a group is for the device over the netdev, or over the one below its VLAN. */
static struct mirage_dev *net_dev_by_netdev(struct mirage_net_host *host, const struct sk_buff *skb)
{
	struct net_device *netdev = dev_get_by_index_rcu(host->net, skb->skb_iif);
	struct mirage_dev *dev;

	if (!netdev)
		return NULL;
	if (is_vlan_dev(netdev))
		netdev = vlan_dev_real_dev(netdev);
	list_for_each_entry_rcu(dev, &host->devs, net_entry)
		if (dev->netdev == netdev)
			return dev;
	return NULL;
}

/* A single device gets everything: its QPs compare the addresses with their paths. */
static struct mirage_dev *net_dev_of(struct mirage_net_host *host, const struct sk_buff *skb)
{
	struct mirage_dev *dev;

	if (mirage_net_is_multicast(skb))
		return net_dev_by_netdev(host, skb);
	dev = rcu_dereference(host->only);
	return dev ? dev : net_dev_by_address(host, skb);
}

/* The ICRC knows neither IP options nor extension headers. */
static bool net_headers_ok(const struct sk_buff *skb)
{
	return skb_network_header_len(skb) ==
	       (skb->protocol == htons(ETH_P_IP) ? sizeof(struct iphdr) :
						   sizeof(struct ipv6hdr));
}

static void net_count_rx(struct mirage_dev *dev, const struct sk_buff *skb)
{
	unsigned int size = skb_shinfo(skb)->gso_size;

	mirage_stat_add(dev, MIRAGE_STAT_RX_BYTES, skb->len);
	if (size && skb->len > size) {
		mirage_stat_add(dev, MIRAGE_STAT_RX_PACKETS, DIV_ROUND_UP(skb->len, size));
		mirage_stat_inc(dev, MIRAGE_STAT_RX_SUPER_PACKETS);
	} else {
		mirage_stat_inc(dev, MIRAGE_STAT_RX_PACKETS);
	}
}

/* Super-packets of a local sender are not affected. */
static void net_gro_switch(struct mirage_net_host *host, bool on)
{
	struct net_inlet *inlet;
	int v6;

	WRITE_ONCE(host->gro_off, !on);
	host->gro_failures = 0;
	host->gro_since = jiffies;
	for (v6 = 0; v6 < 2; v6++) {
		inlet = rcu_dereference(host->inlet[v6]);
		if (inlet)
			udp_assign_bit(GRO_ENABLED, inlet->sock->sk, on);
	}
}

void mirage_net_merged_wrongly(struct mirage_dev *dev)
{
	struct mirage_net_host *host;

	lockdep_assert_in_softirq();
	rcu_read_lock();
	host = READ_ONCE(dev->net_host);
	if (host && !host->gro_off) {
		if (time_after(jiffies, host->gro_since + HZ)) {
			host->gro_since = jiffies;
			host->gro_failures = 0;
		}
		if (++host->gro_failures >= GRO_FAILURES)
			net_gro_switch(host, false);
	}
	rcu_read_unlock();
}

static void net_receive(struct mirage_net_host *host, struct sk_buff *skb)
{
	struct mirage_dev *dev = net_dev_of(host, skb);

	if (unlikely(READ_ONCE(host->gro_off)) &&
	    time_after(jiffies, host->gro_since + GRO_PAUSE))
		net_gro_switch(host, true);
	if (!dev) {
		kfree_skb(skb);
		return;
	}
	net_count_rx(dev, skb);
	if (!net_headers_ok(skb)) {
		mirage_stat_inc(dev, MIRAGE_STAT_RX_MALFORMED);
		kfree_skb(skb);
		return;
	}
	skb_dst_drop(skb);
	skb->dev = NULL;
	*mirage_net_cb(skb) = (struct mirage_net_cb) { .dev = dev };
	dev->upcalls->packets(dev, skb);
}

/* Looking costs less than trying to take an skb that is not there. */
static bool net_is_empty(struct sock *sk)
{
	return skb_queue_empty_lockless(&udp_sk(sk)->reader_queue) &&
	       skb_queue_empty_lockless(&sk->sk_receive_queue);
}

/* In softirq, by the CPU that raised @pending from 0. */
static void net_drain(struct net_inlet *inlet, struct sock *sk)
{
	int err, calls = 1, left = DRAIN_MAX;
	struct sk_buff *skb;

	lockdep_assert_in_softirq();
	do {
		while (!net_is_empty(sk) && (skb = skb_recv_udp(sk, MSG_DONTWAIT, &err))) {
			net_receive(inlet->host, skb);
			/* Other CPUs may bring more than this one can handle. */
			if (unlikely(!--left)) {
				tasklet_schedule(&inlet->more);
				return;
			}
		}
		calls = atomic_sub_return(calls, &inlet->pending);
	} while (calls);
}

static void net_drain_more(struct tasklet_struct *t)
{
	struct net_inlet *inlet = container_of(t, struct net_inlet, more);
	struct sock *sk = inlet->sock->sk;

	rcu_read_lock();
	if (rcu_dereference_sk_user_data(sk))
		net_drain(inlet, sk);
	rcu_read_unlock();
}

static void net_data_ready(struct sock *sk)
{
	struct net_inlet *inlet;

	rcu_read_lock();
	inlet = rcu_dereference_sk_user_data(sk);
	/* Another CPU that drains takes this packet, too. */
	if (inlet && !atomic_fetch_inc(&inlet->pending))
		net_drain(inlet, sk);
	rcu_read_unlock();
}

static void net_tune_socket(struct socket *sock)
{
	struct sock *sk = sock->sk;
	int on = 1;

	lock_sock(sk);
	sk->sk_userlocks |= SOCK_RCVBUF_LOCK | SOCK_SNDBUF_LOCK;
	WRITE_ONCE(sk->sk_rcvbuf, NET_RCVBUF);
	WRITE_ONCE(sk->sk_sndbuf, NET_SNDBUF);
#ifdef CONFIG_NET_RX_BUSY_POLL
	/* skb_recv_udp() would poll in softirq. */
	WRITE_ONCE(sk->sk_ll_usec, 0);
#endif
	release_sock(sk);
	/* The socket accepts UDP_L4 super-packets then, and GRO merges for it. */
	if (sock->ops->setsockopt(sock, SOL_UDP, UDP_GRO, KERNEL_SOCKPTR(&on), sizeof(on)))
		pr_notice_once("mirage: no GRO on UDP sockets\n");
}

static struct net_inlet *net_inlet_open(struct mirage_net_host *host, bool v6)
{
	struct udp_port_cfg cfg = {
		.family = v6 ? AF_INET6 : AF_INET,
		.local_udp_port = htons(ROCE_V2_UDP_DPORT),
		.ipv6_v6only = v6,
	};
	struct net_inlet *inlet;
	int err;

	inlet = kzalloc_obj(*inlet);
	if (!inlet)
		return ERR_PTR(-ENOMEM);
	inlet->host = host;
	tasklet_setup(&inlet->more, net_drain_more);
	err = udp_sock_create(host->net, &cfg, &inlet->sock);
	if (err) {
		kfree(inlet);
		return ERR_PTR(err);
	}
	net_tune_socket(inlet->sock);
	rcu_assign_sk_user_data(inlet->sock->sk, inlet);
	WRITE_ONCE(inlet->sock->sk->sk_data_ready, net_data_ready);
	return inlet;
}

static void net_inlets_close(struct mirage_net_host *host)
	__must_hold(&net_mutex)
{
	struct net_inlet *inlet[2];
	int v6;

	lockdep_assert_held(&net_mutex);
	for (v6 = 0; v6 < 2; v6++) {
		inlet[v6] = rcu_replace_pointer(host->inlet[v6], NULL,
						lockdep_is_held(&net_mutex));
		if (!inlet[v6])
			continue;
		rcu_assign_sk_user_data(inlet[v6]->sock->sk, NULL);
		kernel_sock_shutdown(inlet[v6]->sock, SHUT_RDWR);
	}
	/* After that nobody uses an inlet that was found by its socket or its host. */
	synchronize_net();
	for (v6 = 0; v6 < 2; v6++) {
		if (!inlet[v6])
			continue;
		tasklet_kill(&inlet[v6]->more);
		sock_release(inlet[v6]->sock);
		kfree(inlet[v6]);
	}
}

/* A host without IPv6 has IPv4's socket alone. */
static int net_inlets_open(struct mirage_net_host *host)
	__must_hold(&net_mutex)
{
	struct net_inlet *inlet;

	lockdep_assert_held(&net_mutex);
	if (rcu_access_pointer(host->inlet[0]))
		return 0;
	inlet = net_inlet_open(host, false);
	if (IS_ERR(inlet))
		return PTR_ERR(inlet);
	rcu_assign_pointer(host->inlet[0], inlet);

	inlet = net_inlet_open(host, true);
	if (!IS_ERR(inlet)) {
		rcu_assign_pointer(host->inlet[1], inlet);
	} else if (PTR_ERR(inlet) != -EAFNOSUPPORT && PTR_ERR(inlet) != -EPFNOSUPPORT) {
		net_inlets_close(host);
		return PTR_ERR(inlet);
	}
	return 0;
}

static void net_devs_changed(struct mirage_net_host *host)
	__must_hold(&net_mutex)
{
	struct list_head *devs = &host->devs;

	lockdep_assert_held(&net_mutex);
	rcu_assign_pointer(host->only, list_is_singular(devs) ?
			   list_first_entry(devs, struct mirage_dev, net_entry) : NULL);
	atomic_inc(&net_generation);
}

static int net_open_locked(struct mirage_dev *dev)
	__must_hold(&net_mutex)
{
	struct mirage_net_host *host = net_generic(dev_net(dev->netdev), net_id);
	int err;

	lockdep_assert_held(&net_mutex);
	if (dev->net_host)
		return 0;
	if (host->dead)
		return -ENETDOWN;
	err = net_inlets_open(host);
	if (err == -EADDRINUSE && !dev->net_refused) {
		dev->net_refused = true;
		dev_notice(&dev->ibdev.dev,
			   "UDP port %d of this network namespace is taken: no traffic but within the device; unload rdma_rxe, or put the two in two namespaces\n",
			   ROCE_V2_UDP_DPORT);
	}
	if (err)
		return err;
	WRITE_ONCE(dev->net_host, host);
	list_add_tail_rcu(&dev->net_entry, &host->devs);
	net_devs_changed(host);
	return 0;
}

int mirage_net_open(struct mirage_dev *dev)
{
	int err;

	mutex_lock(&net_mutex);
	err = net_open_locked(dev);
	mutex_unlock(&net_mutex);
	return err;
}

static void net_close_locked(struct mirage_dev *dev)
	__must_hold(&net_mutex)
{
	struct mirage_net_host *host = dev->net_host;

	lockdep_assert_held(&net_mutex);
	if (!host)
		return;
	WRITE_ONCE(dev->net_host, NULL);
	list_del_rcu(&dev->net_entry);
	net_devs_changed(host);
	if (list_empty(&host->devs))
		net_inlets_close(host);
	else
		synchronize_net();
}

void mirage_net_close(struct mirage_dev *dev)
{
	mutex_lock(&net_mutex);
	net_close_locked(dev);
	mutex_unlock(&net_mutex);
}

void mirage_net_addresses_changed(struct mirage_dev *dev)
{
	atomic_inc(&net_generation);
}

struct mirage_net_host *mirage_net_host_of(struct net *net)
{
	return net_generic(net, net_id);
}

struct sock *mirage_net_sock(const struct mirage_net_host *host, bool v6)
{
	struct net_inlet *inlet = rcu_dereference_bh(host->inlet[v6]);

	return inlet ? inlet->sock->sk : NULL;
}

static int __net_init net_host_init(struct net *net)
{
	struct mirage_net_host *host = net_generic(net, net_id);

	host->net = net;
	INIT_LIST_HEAD(&host->devs);
	return 0;
}

/* A device may be left whose netdev has gone back to the initial namespace. */
static void __net_exit net_host_exit(struct net *net)
{
	struct mirage_net_host *host = net_generic(net, net_id);
	struct mirage_dev *dev, *next;

	mutex_lock(&net_mutex);
	host->dead = true;
	list_for_each_entry_safe(dev, next, &host->devs, net_entry)
		net_close_locked(dev);
	mutex_unlock(&net_mutex);
}

static struct pernet_operations net_host_ops = {
	.init = net_host_init,
	.exit = net_host_exit,
	.id = &net_id,
	.size = sizeof(struct mirage_net_host),
};

/** mirage_net_init - before the first device. Return: 0 or -ENOMEM */
int mirage_net_init(void)
{
	int err;

	mirage_icrc_init();
	err = mirage_net_rx_init();
	if (err)
		return err;
	err = mirage_net_tx_init();
	if (err)
		goto exit_rx;
	err = register_pernet_subsys(&net_host_ops);
	if (err)
		goto exit_tx;
	return 0;

exit_tx:
	mirage_net_tx_exit();
exit_rx:
	mirage_net_rx_exit();
	return err;
}

/** mirage_net_exit - after the last device */
void mirage_net_exit(void)
{
	unregister_pernet_subsys(&net_host_ops);
	mirage_net_tx_exit();
	mirage_net_rx_exit();
}

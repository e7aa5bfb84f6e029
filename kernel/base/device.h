/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The device: what all rooms share, and how lower rooms call higher ones
 */
#ifndef MIRAGE_BASE_DEVICE_H
#define MIRAGE_BASE_DEVICE_H

#include <linux/netdevice.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/ib_verbs.h>

#include "base/limits.h"
#include "base/stats.h"
#include "base/tables.h"

struct mirage_carrier;
struct mirage_dev;
struct mirage_net_host;
struct mirage_net_seg;
struct mirage_qp;
struct sk_buff;

/**
 * struct mirage_upcalls - what rooms ask of rooms that they may not know
 *
 * Those are higher ones, or another carrier. The table is the same for all devices and is
 * set before the device is registered.
 */
struct mirage_upcalls {
	/**
	 * @packets: net/ hands over a received skb, which from here on is the callee's
	 *
	 * Softirq, under rcu_read_lock(), no locks held. The skb stands at its first packet
	 * and has a struct mirage_net_cb. Nothing is called for @dev any more when
	 * mirage_net_close() has returned.
	 */
	void (*packets)(struct mirage_dev *dev, struct sk_buff *skb);
	/**
	 * @datagram: wire/ has met a datagram among the packets of an skb
	 *
	 * Softirq, under rcu_read_lock(), no locks held. @seg is the packet, checked; what is
	 * in there afterwards means nothing. Returns the offset of the next packet to look
	 * at, or 0.
	 */
	u32 (*datagram)(struct mirage_dev *dev, struct sk_buff *skb, struct mirage_net_seg *seg);
	/**
	 * @cqe_qp: queue/ asks for the core's object of the QP that a CQE names
	 *
	 * Any context but hardirq, IRQs may be off, under rcu_read_lock() and the CQ's
	 * poll_lock. Returns NULL when the QP was destroyed.
	 */
	struct ib_qp *(*cqe_qp)(struct mirage_dev *dev, u32 qpn);
	/**
	 * @srq_posted: a kernel user has posted to an SRQ that was found empty
	 *
	 * A worker of dev->wq, no locks held. The SRQ's request for a doorbell has been taken
	 * back; whoever waits for a receive from the SRQ of number @srqn has to try again.
	 */
	void (*srq_posted)(struct mirage_dev *dev, u32 srqn);
};

/**
 * struct mirage_dev - one device over one netdev
 * @ibdev: the core's object
 * @upcalls: to rooms that the caller may not know; constant
 * @netdev: the netdev; a reference is held until the device is gone
 * @tracker: of that reference
 * @port_state: the last one that processes were told of
 * @carriers: the ways to a peer, in the order in which QPs ask them; ends with one that
 *	suits every QP
 * @qps: QPN -> struct mirage_qp; read under RCU
 * @recent_qp: the last QP created of those whose numbers meet here; read under RCU
 * @next_qpn: where the search for a free QPN starts; lock of @qps
 * @mrs: what lkeys and rkeys name; read under RCU
 * @mws: windows of type 2
 * @srqs: SRQN -> struct mirage_srq, to be used under its lock alone
 * @next_srqn: where the search for a free SRQN starts; lock of @srqs
 * @ahs: number -> struct mirage_av; read under RCU
 * @mcast: multicast groups
 * @wq: unbound; engines go on here when nobody else runs them
 * @stats: counters, one set per CPU
 * @net_host: where packets come in, once mirage_net_open() was called; of net.c
 * @net_entry: in the list there; read under RCU
 * @net_refused: it was said that the UDP port is taken
 * @addressed: moves on whenever a QP's addresses change, under the QP's lock
 * @num_pd: live PDs, and so on, for the limits
 * @num_cq: live CQs
 * @num_ah: live address handles
 * @num_qp: live QPs
 * @num_mr: live regions
 * @num_srq: live SRQs
 * @num_xrcd: live XRC domains
 */
struct mirage_dev {
	struct ib_device ibdev;
	const struct mirage_upcalls *upcalls;
	struct net_device *netdev;
	netdevice_tracker tracker;
	enum ib_port_state port_state;
	const struct mirage_carrier *const *carriers;
	struct xarray qps;
	struct mirage_qp *recent_qp[MIRAGE_RECENT_QPS];
	u32 next_qpn;
	struct mirage_key_table mrs;
	struct mirage_mw_table mws;
	struct xarray srqs;
	u32 next_srqn;
	struct xarray ahs;
	struct mirage_mcast_table mcast;
	struct workqueue_struct *wq;
	struct mirage_stats __percpu *stats;
	struct mirage_net_host *net_host;
	struct list_head net_entry;
	bool net_refused;
	atomic_t addressed;
	atomic_t num_pd;
	atomic_t num_cq;
	atomic_t num_ah;
	atomic_t num_qp;
	atomic_t num_mr;
	atomic_t num_srq;
	atomic_t num_xrcd;
};

static inline struct mirage_dev *to_mdev(struct ib_device *ibdev)
{
	return container_of(ibdev, struct mirage_dev, ibdev);
}

/**
 * mirage_limit_get - count one more object of a kind
 * @count: a counter of the device
 * @max: its limit, MIRAGE_MAX_*
 *
 * Any context.
 *
 * Return: false when the limit is reached already.
 */
static inline bool mirage_limit_get(atomic_t *count, int max)
{
	return atomic_add_unless(count, 1, max);
}

/** mirage_limit_put - an object that mirage_limit_get() counted is gone; any context */
static inline void mirage_limit_put(atomic_t *count)
{
	atomic_dec(count);
}

#endif

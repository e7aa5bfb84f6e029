/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The device and its limits
 */
#ifndef MIRAGE_DEVICE_H
#define MIRAGE_DEVICE_H

#include <linux/netdevice.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/ib_verbs.h>

#include "base/stats.h"
#include "mem/mr.h"
#include "mem/mw.h"
#include "queue/wqe.h"
#include "ud/mcast.h"

#define MIRAGE_RDMA_DRIVER	((enum rdma_driver_id)MIRAGE_DRIVER_ID)

#define MIRAGE_MAX_QP		65536
#define MIRAGE_MAX_CQ		65536
#define MIRAGE_MAX_MR		65536
#define MIRAGE_MAX_PD		65536
#define MIRAGE_MAX_AH		65536
#define MIRAGE_MAX_SRQ		65536
#define MIRAGE_MAX_XRCD		65536
#define MIRAGE_MAX_CQE		262144
#define MIRAGE_MAX_RD_ATOMIC	128

struct mirage_carrier;
struct mirage_net_host;
struct mirage_qp;

/* QPs that are found without a walk. */
#define MIRAGE_RECENT_QPS	256

/**
 * struct mirage_dev - one device over one netdev
 * @ibdev: the core's object
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

struct mirage_dev *mirage_device_create(struct net_device *netdev);
enum ib_mtu mirage_device_mtu(const struct mirage_dev *dev);

/* Counts one more object of a kind; false when its limit is reached. */
static inline bool mirage_limit_get(atomic_t *count, int max)
{
	return atomic_add_unless(count, 1, max);
}

static inline void mirage_limit_put(atomic_t *count)
{
	atomic_dec(count);
}

#endif

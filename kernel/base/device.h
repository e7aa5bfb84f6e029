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

/**
 * DOC: Locking strategy
 *
 * Every lock of mirage.ko stands here, outermost first. The mirror has one more of its
 * own (kernel/mirror/mirror.c), which appears here by its place.
 *
 * Data moves where the doorbell or the packet is handled, so every lock on that way is a
 * spinlock taken with softirqs off, and none of them is held over a wait. Whoever misses a
 * page raises a fault, notes that it is parked, and drops its lock. The end of the fault
 * takes that lock again to wake it (qp/park.c), with no other lock held; what runs on then
 * begins without locks.
 *
 * In task context, may be held over sleeping::
 *
 *	newlink_mutex			one device per netdev (link.c)
 *	  -> RTNL
 *	  -> mirage_qp.mutex		registering a device creates the GSI QP
 *	mirage_qp.mutex			one modify or query of a QP
 *	  -> net_mutex			sockets, and which devices they serve (net.c)
 *	    -> the sockets' locks
 *	  -> the spinlocks below
 *	mirage_mcast_table.mutex	changes of the multicast groups
 *	  -> RTNL			to join and to leave
 *
 * Spinlocks of task context alone; softirqs do not take them::
 *
 *	mirage_mw_table.lock -> mirage_mw.lock
 *	mirage_dev.qps.xa_lock, odp_mms_lock	nothing inside, in nothing but mutexes
 *
 * Spinlocks with softirqs off::
 *
 *	mirage_qp.lock | mirage_wire_req.lock | mirage_engine.lock
 *	  -> mirage_dev.srqs.xa_lock		keeps an XRC SRQ, which has no reference
 *	    -> mirage_srq.lock
 *	    -> mirage_cq.lock
 *	  -> mirage_srq.lock
 *	  -> mirage_cq.lock
 *	    -> mirage_cq.poll_lock [I]		a kernel user's CQ is resized
 *	  -> mirage_mw.lock			read, while bytes move through a window
 *	    -> mirage_mtt_chunk.lock
 *	  -> mirage_mtt_chunk.lock -> that of a chunk at a higher address
 *	  -> mirage_odp.lock -> mirage_odp_mm.lock	a fault is raised
 *	  -> fastreg.lock [I]
 *
 *	mmap_lock, reclaim, i_mmap_rwsem, anon_vma lock, page locks	(the kernel's)
 *	  -> mirror_mm.lock			over ops->invalidate() and ops->release()
 *	    -> mirage_mtt_chunk.lock
 *
 * (Inside mirage_engine.lock is only what raising a fault takes: mirage_odp.lock, or a
 * chunk's lock for a DMA region. mirage_wire_req.lock has neither SRQs nor windows inside.)
 *
 * Spinlocks with IRQs off, marked [I] above too, because kernel users call with their own
 * such locks held; nothing else of ours is inside::
 *
 *	mirage_qp.post_lock -> fastreg.lock	an IB_WR_REG_MR is posted
 *	mirage_srq.post_lock
 *	mirage_cq.poll_lock
 *	mirage_dev.ahs.xa_lock
 *
 * Why this order:
 *
 * - A QP has two sides. mirage_qp.lock is the responder's and the state's,
 *   mirage_wire_req.lock the requester's on the wire; mirage_engine.lock says who runs the
 *   send queue. Nobody holds two of these, of one QP or of two: on the direct carrier the
 *   requester takes its peer's lock and needs none of its own, because its engine has one
 *   runner at a time, who owns the send queue.
 * - The table of pages is where the two worlds meet: a QP that copies and an mmu notifier
 *   that takes pages away. So a chunk's lock is the innermost of both, nothing is
 *   allocated under it (a notifier may run under reclaim), and nothing else that a
 *   notifier takes is taken on the way of a message. mirror_mm.lock is never taken inside
 *   a QP's lock, nor inside odp.lock.
 * - Two chunks are locked in the order of their addresses, since two messages may go
 *   between the same two chunks in both directions.
 * - A window is invalidated under a writer's lock while those who move bytes through it
 *   read: no byte moves after the invalidation. A QP's lock is outside, because an
 *   invalidation may come as a message. A window is created, destroyed or ended with its
 *   QP in task context, so the list of windows needs no softirqs off.
 * - Packets of an answer are sent under mirage_qp.lock (and under mirage_mw.lock, for a
 *   READ through a window), so the locks of the network's transmit path are inside. A
 *   packet never comes back to us there: the kernel queues it for the receiving softirq,
 *   which runs when softirqs are on again.
 * - A user's event and completion handlers run under mirage_qp.lock or
 *   mirage_wire_req.lock; those of XRC SRQs under mirage_dev.srqs.xa_lock, too. They may
 *   post and poll: both take locks of the innermost kind alone, and what is posted in
 *   atomic context runs later, in a tasklet.
 *
 * Read without a lock, under RCU: the table of keys, the table of QPs and recent_qp, the
 * wire of a QP, address vectors, the members of groups, chunks and the nodes of a table,
 * the devices and sockets of a namespace. What is found may be on its way out: its state
 * is looked at under its lock, or its reference is taken by kref_get_unless_zero().
 */

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
 * @port_state: the state that processes were told of last
 * @carriers: the ways to a peer, in the order in which QPs ask them; ends with one that
 *	suits every QP
 * @qps: QPN -> struct mirage_qp; read under RCU
 * @recent_qp: by the low bits of its number, the QP that was created last; read under RCU
 * @next_qpn: where the search for a free QPN starts; lock of @qps
 * @mrs: table of lkeys and rkeys; read under RCU
 * @mws: windows of type 2
 * @srqs: SRQN -> struct mirage_srq; what is found is used under the lock of the table
 * @next_srqn: where the search for a free SRQN starts; lock of @srqs
 * @ahs: number -> struct mirage_av; read under RCU
 * @mcast: multicast groups
 * @wq: unbound workqueue; engines run on here when nobody else runs them
 * @stats: counters, one set per CPU
 * @net_host: the sockets that receive for it, once mirage_net_open() was called; of net.c
 * @net_entry: in the list there; read under RCU
 * @net_refused: the notice that the UDP port is taken was logged
 * @addressed: counts changes of the addresses of QPs; written under the QP's lock
 * @num_pd: live PDs; this and the following are for the limits
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

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Queue pairs
 *
 * The core owns struct ib_qp and frees it as soon as destroy returns, while peers
 * on the same device may still look the QP up: what they touch is struct mirage_qp, with
 * a life of its own.
 */
#ifndef MIRAGE_QP_H
#define MIRAGE_QP_H

#include <linux/interrupt.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <rdma/ib_verbs.h>

#include "base/device.h"
#include "qp/engine.h"
#include "qp/requester.h"
#include "qp/responder.h"
#include "queue/cq.h"
#include "queue/srq.h"

struct mirage_carrier;

/**
 * struct mirage_ibqp - the core's handle
 * @ibqp: the core's object
 * @qp: ours
 */
struct mirage_ibqp {
	struct ib_qp ibqp;
	struct mirage_qp *qp;
};

/**
 * struct mirage_qp - one queue pair
 *
 * Locking: base/device.h. @mutex: one modify or query at a time, and one destroy, which
 * the core allows alone. @lock, with softirqs off, protects what is named below and the
 * responder. It is the one lock of a peer that a requester takes; no two QPs' locks are
 * ever held together.
 *
 * @ref: the core's handle has one, so has everybody who found it in dev->qps
 * @rcu: lookups are lockless
 * @dev: the device
 * @post_lock: kernel users: prod of @sq and @rq; IRQs off; only fastreg.lock is inside
 * @send_doorbell_rung: kernel users: bit 0: @send_doorbell is scheduled, with a reference
 * @send_doorbell: kernel users: sends were posted where they could not be executed
 * @recv_doorbell: kernel users: the same of receives; holds a reference while queued
 * @ibqp: the core's handle; valid while @state is not IB_QPS_RESET, under @lock,
 *	and for the requester while it runs
 * @type: what kind
 * @peer_type: what kind it can be connected to
 * @transport: the opcodes that it has
 * @uctx: whose it is; NULL: the kernel's, or that of an XRC domain
 * @pd: whose keys it takes; NULL for an XRC target
 * @xrcd: of an XRC target, compared by address only
 * @qpn: its number
 * @scq: completions of sends
 * @rcq: completions of receives
 * @srq: or NULL; followed under @lock and only while @state is not IB_QPS_RESET
 * @srqn: its number
 * @sig_all: every send completes visibly
 * @mute_mcast: what it sends to its own multicast groups does not come back to it
 * @cap: as created
 * @mutex: one modify or query at a time
 * @lock: see above
 * @state: written under @lock; by a modify under @mutex too; the requester reads it without
 * @attr: as modified; written under @mutex and @lock
 * @sgid: our address; @lock
 * @dgid: the peer's address; @lock
 * @rq: the receive ring, unless there is an SRQ; @lock
 * @rnr_peer: the peer waits for a receive work request; @lock
 * @rnr_srqn: in the SRQ of that number, for an XRC target; @lock
 * @sqd_notify: IB_EVENT_SQ_DRAINED is owed; @lock
 * @resp: the responder; @lock
 * @carrier: how its requests get to the peer; written under @mutex
 * @carried: the carrier's own; written under @mutex, followed under RCU, freed with the QP
 * @sq: the send ring; of the requester
 * @req: of the requester
 * @engine: decides who is the requester
 */
struct mirage_qp {
	struct kref ref;
	struct rcu_head rcu;
	struct mirage_dev *dev;
	struct ib_qp *ibqp;
	enum ib_qp_type type;
	enum ib_qp_type peer_type;
	enum mirage_op_transport transport;
	struct ib_ucontext *uctx;
	struct ib_pd *pd;
	struct ib_xrcd *xrcd;
	u32 qpn;
	struct mirage_cq *scq;
	struct mirage_cq *rcq;
	struct mirage_srq *srq;
	u32 srqn;
	bool sig_all;
	bool mute_mcast;
	struct ib_qp_cap cap;

	struct mutex mutex;		/* one modify or query at a time */
	spinlock_t lock;		/* state to resp, see above */
	enum ib_qp_state state;
	struct ib_qp_attr attr;
	union ib_gid sgid;
	union ib_gid dgid;
	struct mirage_ring rq;
	bool rnr_peer;
	u32 rnr_srqn;
	bool sqd_notify;
	struct mirage_responder resp;
	const struct mirage_carrier *carrier;
	void *carried;

	spinlock_t post_lock;		/* see above */
	unsigned long send_doorbell_rung;
	struct tasklet_struct send_doorbell;
	struct work_struct recv_doorbell;

	struct mirage_ring sq ____cacheline_aligned;
	struct mirage_requester req;
	struct mirage_engine engine;
};

static inline struct mirage_qp *to_mqp(struct ib_qp *ibqp)
{
	return container_of(ibqp, struct mirage_ibqp, ibqp)->qp;
}

/** mirage_qp_recv_pd - whose keys a receive work request has; not for an XRC target */
static inline struct ib_pd *mirage_qp_recv_pd(const struct mirage_qp *qp)
{
	return unlikely(qp->srq) ? qp->srq->ibsrq.pd : qp->pd;
}

/**
 * mirage_qp_pop_recv - take a receive work request for what comes next
 * @qp: the QP; its lock is held
 *
 * Return: 0: it is in qp->resp.wqe; -ENOENT: there is none; -ENXIO: the domain of an XRC
 * target has no such SRQ; anything else is for mirage_responder_wqe_failed().
 */
static __always_inline int mirage_qp_pop_recv(struct mirage_qp *qp)
{
	struct mirage_recv_copy *wqe = &qp->resp.wqe;
	int ret;

	lockdep_assert_held(&qp->lock);
	if (likely(qp->rq.hdr))
		ret = mirage_wqe_pop_recv(&qp->rq, wqe);
	else if (qp->srq)
		ret = mirage_srq_pop(qp->srq, wqe);
	else
		ret = mirage_xsrq_pop(qp->dev, qp->xrcd, qp->resp.srqn, wqe);
	if (likely(!ret))
		qp->resp.have_wqe = true;
	return ret;
}

/** mirage_qp_flushes - is what stands in the send queue to be flushed? */
static inline bool mirage_qp_flushes(const struct mirage_qp *qp)
{
	/* In error, or that of its send queue alone. */
	return READ_ONCE(qp->state) >= IB_QPS_SQE;
}

/** mirage_qp_packets - what its packets' opcodes begin with */
static inline enum mirage_pkt_transport mirage_qp_packets(const struct mirage_qp *qp)
{
	if (qp->type == IB_QPT_XRC_INI || qp->type == IB_QPT_XRC_TGT)
		return PKT_XRC;
	return qp->type == IB_QPT_UC ? PKT_UC : PKT_RC;
}

/**
 * mirage_qp_find - find a QP by its number
 * @dev: the device
 * @qpn: the number, of whatever origin
 *
 * Under RCU.
 *
 * Return: the QP, or NULL. As mirage_qp_get(), but without a reference.
 */
static __always_inline struct mirage_qp *mirage_qp_find(struct mirage_dev *dev, u32 qpn)
{
	struct mirage_qp *qp = READ_ONCE(dev->recent_qp[qpn % MIRAGE_RECENT_QPS]);

	return likely(qp && qp->qpn == qpn) ? qp : xa_load(&dev->qps, qpn);
}

struct mirage_qp *mirage_qp_get(struct mirage_dev *dev, u32 qpn);
void mirage_qp_put(struct mirage_qp *qp);
void mirage_qp_send_doorbell(struct mirage_qp *qp);
void mirage_qp_recv_doorbell(struct mirage_qp *qp);
void mirage_qp_recv_doorbell_later(struct mirage_qp *qp);
void mirage_qp_srq_posted(struct mirage_dev *dev, u32 srqn);
struct ib_qp *mirage_qp_of_cqe(struct mirage_dev *dev, u32 qpn);
void mirage_qp_event(struct mirage_qp *qp, enum ib_event_type type);
void mirage_qp_silence(struct mirage_qp *qp);
void mirage_qp_error_locked(struct mirage_qp *qp, enum ib_event_type event);
void mirage_qp_error(struct mirage_qp *qp, enum ib_event_type event);
void mirage_qp_send_error(struct mirage_qp *qp);

int mirage_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *attr,
		     struct ib_udata *udata);
int mirage_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		     struct ib_udata *udata);
int mirage_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		    struct ib_qp_init_attr *init);
int mirage_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata);

#endif

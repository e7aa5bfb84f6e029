/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Queue pairs
 *
 * The core owns struct ib_qp and frees it as soon as destroy_qp returns. Peers on the same
 * device may have found the QP just before. So what they find is struct mirage_qp, which has
 * a reference count of its own.
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
 * struct mirage_ibqp - the core's object of a QP
 * @ibqp: the part that the core knows
 * @qp: the QP
 */
struct mirage_ibqp {
	struct ib_qp ibqp;
	struct mirage_qp *qp;
};

/**
 * struct mirage_qp - one queue pair
 *
 * Locking: base/device.h. @mutex serializes modify and query; the core sees to it that destroy
 * is alone. @lock, with softirqs off, protects the fields that name it below. It is the only
 * lock of its peer that a requester takes. Nobody ever holds the locks of two QPs together.
 *
 * @ref: the core's object has a reference, so has everybody who found the QP in dev->qps
 * @rcu: look-ups take no lock
 * @dev: the device
 * @post_lock: kernel users: protects prod of @sq and @rq; IRQs off; only fastreg.lock is inside
 * @send_doorbell_rung: kernel users: bit 0 is set while @send_doorbell is scheduled, which then
 *	has a reference
 * @send_doorbell: kernel users: executes sends that were posted in atomic context
 * @recv_doorbell: kernel users: the same for receives; has a reference while queued
 * @ibqp: the core's object; valid under @lock while @state is not IB_QPS_RESET, and for the
 *	runner
 * @type: the type of the QP
 * @peer_type: the type of the QPs that it can be connected to
 * @transport: says which opcodes it takes
 * @uctx: the context of the process that owns it; NULL for a kernel user's, and for an XRC target
 * @pd: the PD of its keys; NULL for an XRC target
 * @xrcd: the domain of an XRC target, compared by address only
 * @qpn: its number
 * @scq: gets the completions of sends
 * @rcq: gets the completions of receives
 * @srq: or NULL; followed only under @lock and while @state is not IB_QPS_RESET
 * @srqn: the number of @srq
 * @sig_all: every send work request generates a completion
 * @mute_mcast: what it sends to its own multicast groups does not come back to it
 * @cap: the capacities, as created
 * @mutex: serializes modify and query
 * @lock: see above
 * @state: written under @lock, and by modify under @mutex, too; the requester reads it without
 * @attr: the attributes, as modified; written under @mutex and @lock
 * @sgid: our address; @lock
 * @dgid: the peer's address; @lock
 * @rq: the receive ring, unless there is an SRQ; @lock
 * @rnr_peer: an RNR NAK has told the peer to wait for a receive work request; @lock
 * @rnr_srqn: the number of the SRQ which lacked it, for an XRC target; @lock
 * @sqd_notify: IB_EVENT_SQ_DRAINED has to be raised when the send queue is drained; @lock
 * @resp: the responder; @lock
 * @carrier: the way of its requests to the peer; written under @mutex
 * @carried: the carrier's data; written under @mutex, followed under RCU
 * @sq: the send ring; owned by the runner
 * @req: the requester; owned by the runner
 * @engine: decides who is the runner
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
	spinlock_t lock;		/* state to resp */
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

	spinlock_t post_lock;		/* prod of sq and rq, of kernel users */
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

/** mirage_qp_recv_pd - the PD of the keys in a receive work request; not for an XRC target */
static inline struct ib_pd *mirage_qp_recv_pd(const struct mirage_qp *qp)
{
	return unlikely(qp->srq) ? qp->srq->ibsrq.pd : qp->pd;
}

/**
 * mirage_qp_pop_recv - take the oldest receive work request
 * @qp: the QP; its lock is held
 *
 * Return: 0 if it is in qp->resp.wqe; -ENOENT if there is none; -ENXIO if the domain of an XRC
 * target has no such SRQ; any other error is for mirage_responder_wqe_failed().
 */
static inline int mirage_qp_pop_recv(struct mirage_qp *qp)
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

/** mirage_qp_flushes - tell whether the work requests in the send queue are to be flushed */
static inline bool mirage_qp_flushes(const struct mirage_qp *qp)
{
	/* Either the QP is in error (ERR), or its send queue alone (SQE). */
	return READ_ONCE(qp->state) >= IB_QPS_SQE;
}

/** mirage_qp_packets - the transport in the opcodes of its packets */
static inline enum mirage_pkt_transport mirage_qp_packets(const struct mirage_qp *qp)
{
	if (qp->type == IB_QPT_XRC_INI || qp->type == IB_QPT_XRC_TGT)
		return PKT_XRC;
	return qp->type == IB_QPT_UC ? PKT_UC : PKT_RC;
}

/**
 * mirage_qp_find - find a QP by its number
 * @dev: the device
 * @qpn: the number; need not be one of a QP
 *
 * Under RCU.
 *
 * Return: as mirage_qp_get(), but without a reference.
 */
static inline struct mirage_qp *mirage_qp_find(struct mirage_dev *dev, u32 qpn)
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

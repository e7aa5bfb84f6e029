// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Datagrams on their way to a receiver
 *
 * A datagram is delivered under the receiver's lock, whether it comes from this device
 * or from the wire, and what is wrong with it is between it and the receiver: it is
 * dropped (IBA volume 1, 9.8.3), the sender hears nothing.
 *
 * A page of the receiver's that is missing holds the datagram, and those that come
 * after it, as copies: no sender waits for a receiver's page. What is held is bounded.
 * The end of the fault, in the fault worker, delivers what is held, in order.
 *
 * Most datagrams from the wire go to one page of one region, which is there: these take
 * a shorter way, place_now(), and those of one skb one hold of the lock.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include "base/device.h"
#include "qp/completer.h"
#include "qp/qp.h"
#include "ud/ah.h"
#include "ud/mcast.h"
#include "ud/ud.h"
#include "ud/ud_recv.h"

/* A datagram that waits for a page. */
struct held {
	struct list_head node;
	struct datagram d;
	u8 data[];
};

/* What became of a try to deliver. */
enum placed {
	PLACED_DONE,		/* or dropped, or the receiver's fault */
	PLACED_MISS_SRC,	/* the sender's page is missing */
	PLACED_MISS_DST,	/* the receiver's */
};

/* Whether the QP takes a datagram at all. */
static bool admits(struct qp *qp, const struct datagram *d)
{
	lockdep_assert_held(&qp->lock);
	if (qp->state < IB_QPS_RTR || qp->state >= IB_QPS_ERR)
		return false;
	if (d->qkey == qp->attr.qkey)
		return true;
	mirage_stat_inc(qp->dev, MIRAGE_STAT_QKEY_VIOLATIONS);
	return false;
}

/* A receive work request for it; false: there is none, or a bad one. */
static __always_inline bool take_wqe(struct qp *qp)
{
	struct resp *resp = &qp->resp;
	int ret;

	if (resp->have_wqe)
		return true;
	if (qp->srq)
		ret = mirage_srq_pop(qp->srq, &resp->wqe);
	else
		ret = wqe_pop_recv(&qp->rq, &resp->wqe);
	if (ret == -ENOENT) {
		ud_drop(qp);
		return false;
	}
	if (ret == -EPROTO) {
		qp_error_locked(qp, qp->srq ? 0 : IB_EVENT_QP_FATAL);
		return false;
	}
	resp->have_wqe = true;
	if (ret)
		resp_fail_wqe(qp, IB_WC_LOC_QP_OP_ERR, ret);
	return !ret;
}

/*
 * Too long for the receive work request: that one waits for the next datagram, but
 * for one that is shared, which is lost with it (IBA 9.9.3, classes D and E).
 */
static void too_long(struct qp *qp)
{
	ud_drop(qp);
	if (qp->srq)
		resp_fail_wqe(qp, IB_WC_LOC_LEN_ERR, -EMSGSIZE);
}

/* The sender's address, or the destination's, of a datagram that was received. */
static void gid_of(const struct datagram *d, bool source, union ib_gid *gid)
{
	const struct iphdr *ip = (const void *)(d->grh + UD_GRH_LEN - sizeof(*ip));
	const struct ipv6hdr *ip6 = (const void *)d->grh;
	struct in6_addr *addr = (struct in6_addr *)gid->raw;

	if (d->ipv4)
		ipv6_addr_set_v4mapped(source ? ip->saddr : ip->daddr, addr);
	else
		*addr = source ? ip6->saddr : ip6->daddr;
}

/* Who answers a MAD finds its own address by this, too. */
static noinline u32 vlan_flags(const struct qp *qp, const struct datagram *d)
{
	union ib_gid gid;

	gid_of(d, false, &gid);
	return (u32)mirage_gid_vlan(qp->dev, &gid) << MIRAGE_WC_VLAN_SHIFT;
}

static __always_inline void complete_recv(struct qp *qp, const struct datagram *d)
{
	struct mirage_cqe *slot;

	lockdep_assert_held(&qp->lock);
	qp->resp.have_wqe = false;
	slot = mirage_cq_begin(qp->rcq);
	if (likely(slot)) {
		comp_fill_recv(qp, slot);
		slot->opcode = IB_WC_RECV;
		slot->byte_len = UD_GRH_LEN + d->len;
		slot->ex = d->imm ? d->ex : 0;
		slot->src_qp = d->src_qp;
		slot->wc_flags = MIRAGE_WC_GRH | (d->imm ? MIRAGE_WC_WITH_IMM : 0) |
				 (d->ipv4 ? MIRAGE_WC_IPV4 : 0);
		if (unlikely(qp->type == IB_QPT_GSI))
			slot->wc_flags |= vlan_flags(qp, d);
		slot->sl = d->ipv4 ? MIRAGE_WC_SL_IPV4 : MIRAGE_WC_SL_IPV6;
	}
	if (unlikely(mirage_cq_end(qp->rcq, slot, d->solicited)))
		qp_error_locked(qp, IB_EVENT_QP_FATAL);
}

static enum placed move(struct qp *qp, const struct datagram *d, struct bytes *from,
			struct miss *miss)
{
	struct bytes *to = &qp->resp.bytes;
	struct bytes grh;

	bytes_from_buf(&grh, d->grh);
	if (bytes_move(to, &grh, UD_GRH_LEN, miss) < UD_GRH_LEN)
		return PLACED_MISS_DST;
	if (bytes_move(to, from, d->len, miss) < d->len)
		return miss->write ? PLACED_MISS_DST : PLACED_MISS_SRC;
	return PLACED_DONE;
}

/* Delivers a datagram that the QP admits, from its first byte. */
static enum placed place(struct qp *qp, const struct datagram *d, struct bytes *from,
			 struct miss *miss)
{
	struct resp *resp = &qp->resp;
	enum placed p;
	int ret;

	lockdep_assert_held(&qp->lock);
	if (!take_wqe(qp))
		return PLACED_DONE;
	if (resp->wqe.length < UD_GRH_LEN + d->len) {
		too_long(qp);
		return PLACED_DONE;
	}
	ret = bytes_from_sges(&resp->bytes, qp->dev, qp_recv_pd(qp), resp->wqe.sge,
			      resp->wqe.num_sge, IB_ACCESS_LOCAL_WRITE);
	if (ret) {
		resp_fail_wqe(qp, IB_WC_LOC_PROT_ERR, ret);
		return PLACED_DONE;
	}
	bytes_rewind(from);
	p = move(qp, d, from, miss);
	bytes_release(&resp->bytes);
	if (p == PLACED_DONE)
		complete_recv(qp, d);
	return p;
}

/* Where the datagram goes if it goes to one piece of a region; NULL: see place(). */
static __always_inline struct mirage_mr *one_piece(const struct qp *qp,
						   const struct datagram *d)
{
	const struct recv_wqe *wqe = &qp->resp.wqe;
	const struct mirage_sge *sge = wqe->sge;
	struct mirage_mr *mr;

	if (unlikely(wqe->num_sge != 1 || wqe->length < UD_GRH_LEN + d->len))
		return NULL;
	mr = mr_find(&qp->dev->mrs, qp_recv_pd(qp), sge->lkey, sge->addr, sge->length,
		     IB_ACCESS_LOCAL_WRITE);
	return IS_ERR(mr) || unlikely(mr->dma) ? NULL : mr;
}

/*
 * Delivers a datagram that everything is there for. False: it is for ud_deliver(), which
 * finds out why; nothing has happened but that a receive work request may be taken.
 */
static __always_inline bool place_now(struct qp *qp, const struct datagram *d,
				      const void *payload)
{
	struct mirage_mr *mr;

	lockdep_assert_held(&qp->lock);
	/* The state first: without a reference on the QP, its ->ud is there no longer. */
	if (unlikely(qp->state < IB_QPS_RTR || qp->state >= IB_QPS_ERR ||
		     d->qkey != qp->attr.qkey || qp->ud->draining))
		return false;
	if (!take_wqe(qp))
		return true;
	mr = one_piece(qp, d);
	if (!mr || !mtt_write_small(&mr->mtt, qp->resp.wqe.sge[0].addr, d->grh,
				    UD_GRH_LEN, payload, d->len))
		return false;
	complete_recv(qp, d);
	return true;
}

/* A copy at the end of what waits. False: the sender's page is missing. */
static bool hold(struct qp *qp, const struct datagram *d, struct bytes *from,
		 struct miss *miss)
{
	size_t size = struct_size_t(struct held, data, d->len);
	struct ud *ud = qp->ud;
	struct held *held = NULL;

	lockdep_assert_held(&qp->lock);
	if (ud->bytes + size <= UD_HOLD_MAX)
		held = kmalloc(size, GFP_ATOMIC | __GFP_ACCOUNT | __GFP_NOWARN);
	if (!held) {
		ud_drop(qp);
		return true;
	}
	bytes_rewind(from);
	if (!bytes_read(from, held->data, d->len, d->len, miss)) {
		kfree(held);
		return false;
	}
	held->d = *d;
	list_add_tail(&held->node, &ud->held);
	ud->bytes += size;
	return true;
}

static void unhold(struct ud *ud, struct held *held)
{
	lockdep_assert_held(&ud->qp->lock);
	list_del(&held->node);
	ud->bytes -= struct_size(held, data, held->d.len);
	kfree(held);
}

/* Has the missing page brought in; 0: drain() will be called. */
static int raise(struct qp *qp, struct miss *miss)
{
	int ret;

	kref_get(&qp->ref);
	ret = miss->mr->backend->fault_raise(miss->mr, miss->iova, miss->len,
					     miss->write, &qp->ud->waiter);
	mirage_mr_put(miss->mr);
	if (ret)
		qp_put(qp);
	return ret;
}

/* The first one again; @err: the page it waits for can not be had. */
static enum placed drain_one(struct qp *qp, int err, struct miss *miss)
{
	struct held *held = list_first_entry(&qp->ud->held, struct held, node);
	enum placed p = PLACED_DONE;
	struct bytes from;

	if (err && err != -ENOMEM && qp->resp.have_wqe) {
		resp_fail_wqe(qp, IB_WC_LOC_PROT_ERR, err);
		return p;
	}
	if (err == -ENOMEM) {
		ud_drop(qp);
	} else {
		bytes_from_buf(&from, held->data);
		p = place(qp, &held->d, &from, miss);
	}
	/* An error of the QP has dropped all of them. */
	if (p == PLACED_DONE && !list_empty(&qp->ud->held))
		unhold(qp->ud, held);
	return p;
}

/* Delivers what is held until it is all gone or another page is missing. */
static void drain(struct qp *qp, int err)
{
	struct ud *ud = qp->ud;
	enum placed p;
	struct miss miss;

	for (;;) {
		spin_lock_bh(&qp->lock);
		if (list_empty(&ud->held)) {
			ud->draining = false;
			spin_unlock_bh(&qp->lock);
			return;
		}
		p = drain_one(qp, err, &miss);
		spin_unlock_bh(&qp->lock);
		err = 0;
		if (p == PLACED_MISS_DST) {
			err = raise(qp, &miss);
			if (!err)
				return;
		}
	}
}

/** ud_woken - the fault of the first one that is held is over; in the fault worker */
void ud_woken(struct odp_waiter *w, int err)
{
	struct ud *ud = container_of(w, struct ud, waiter);
	struct qp *qp = ud->qp;

	drain(qp, err);
	qp_put(qp);
}

/**
 * ud_deliver - bring a datagram to a QP
 * @qp: the receiver
 * @d: what is said of it
 * @from: its bytes
 * @miss: filled on a miss; the caller puts @miss->mr
 *
 * Any context but hardirq. Return: false: a page of the sender's is missing, and nothing
 * has happened.
 */
bool ud_deliver(struct qp *qp, const struct datagram *d, struct bytes *from,
		struct miss *miss)
{
	enum placed p = PLACED_MISS_DST;
	struct ud *ud = qp->ud;
	bool begin = false, ok = true;
	struct miss dst;

	spin_lock_bh(&qp->lock);
	if (!admits(qp, d)) {
		ud_drop(qp);
		goto unlock;
	}
	if (!ud->draining) {
		p = place(qp, d, from, &dst);
		begin = p == PLACED_MISS_DST;
	}
	if (p == PLACED_MISS_SRC) {
		*miss = dst;
		ok = false;
	} else if (p == PLACED_MISS_DST) {
		ok = hold(qp, d, from, miss);
		if (begin && list_empty(&ud->held)) {
			mirage_mr_put(dst.mr);
			begin = false;
		}
		ud->draining |= begin;
	}
	/* In a walk of a group nobody else may keep the QP. */
	if (begin)
		kref_get(&qp->ref);
unlock:
	spin_unlock_bh(&qp->lock);

	if (begin) {
		int err = raise(qp, &dst);

		if (err)
			drain(qp, err);
		qp_put(qp);
	}
	return ok;
}

/* A datagram on its way to the members of its group. */
struct to_group {
	const struct datagram *d;
	struct bytes *from;
};

static void to_member(struct qp *member, void *arg)
{
	const struct to_group *to = arg;
	struct miss miss;

	if (member->ud)
		ud_deliver(member, to->d, to->from, &miss);
}

static void input_group(struct mirage_dev *dev, struct to_group *to)
{
	union ib_gid gid;

	/* Our own members have had theirs when it was sent. */
	gid_of(to->d, true, &gid);
	if (mirage_local_gid(dev, &gid))
		return;
	gid_of(to->d, false, &gid);
	mcast_for_each(dev, &gid, to_member, to);
}

/* All but the GRH, which packets of one skb have in common. */
static void fill_from_packet(struct datagram *d, const struct pkt *pkt)
{
	d->imm = pkt->op->wr == IB_UVERBS_WR_SEND_WITH_IMM;
	d->solicited = pkt->solicited;
	d->src_qp = pkt->src_qp;
	d->qkey = pkt->qkey;
	d->ex = pkt->ex;
	d->len = pkt->payload;
}

/*
 * The next packet, if it is one for that QP, too; *next is that of the first that is
 * not, or 0.
 */
static bool next_of(const struct qp *qp, u16 pkey, struct sk_buff *skb, u32 *next,
		    struct net_seg *seg)
{
	while (*next) {
		int err = net_segment(skb, *next, seg);
		const struct pkt *pkt = &seg->pkt;

		/* Who it is for looks at it anew. */
		if (!err && (pkt->qpn != qp->qpn || pkt->pkey != pkey ||
			     (pkt->opcode & PKT_TRANSPORT) != PKT_UD))
			return false;
		*next = seg->next;
		if (!err)
			return true;
	}
	return false;
}

/* Datagrams of one skb to one QP, @seg first, with one hold of its lock where possible. */
static u32 input_run(struct qp *qp, struct sk_buff *skb, struct datagram *d,
		     struct net_seg *seg)
{
	u16 pkey = seg->pkt.pkey;
	u32 next = seg->next;
	struct bytes from;
	struct miss miss;

	spin_lock(&qp->lock);
	do {
		fill_from_packet(d, &seg->pkt);
		if (likely(place_now(qp, d, seg->payload)))
			continue;
		spin_unlock(&qp->lock);
		bytes_from_buf(&from, seg->payload);
		ud_deliver(qp, d, &from, &miss);
		spin_lock(&qp->lock);
	} while (next_of(qp, pkey, skb, &next, seg));
	spin_unlock(&qp->lock);
	return next;
}

/**
 * ud_input - a datagram has come
 * @dev: whose
 * @skb: where it is in, perhaps with more of them behind it
 * @seg: it, checked; what is in there afterwards means nothing
 *
 * BHs off, under rcu_read_lock(). Return: the next packet to look at, or 0.
 */
u32 ud_input(struct mirage_dev *dev, struct sk_buff *skb, struct net_seg *seg)
{
	u32 next = seg->next;
	struct datagram d;
	struct to_group to = { .d = &d };
	struct bytes from;
	struct qp *qp;

	d.ipv4 = net_grh(skb, d.grh) == RDMA_NETWORK_IPV4;
	if (net_is_multicast(skb)) {
		fill_from_packet(&d, &seg->pkt);
		bytes_from_buf(&from, seg->payload);
		to.from = &from;
		input_group(dev, &to);
		return next;
	}
	qp = qp_find(dev, seg->pkt.qpn);
	if (qp && qp->ud)
		return input_run(qp, skb, &d, seg);
	mirage_stat_inc(dev, MIRAGE_STAT_UD_DROPPED);
	return next;
}

/**
 * ud_drop_held - forget datagrams that wait for a page
 * @qp: a QP, maybe one for datagrams; its lock is held
 */
void ud_drop_held(struct qp *qp)
{
	struct held *held, *next;

	lockdep_assert_held(&qp->lock);
	if (!qp->ud)
		return;
	list_for_each_entry_safe(held, next, &qp->ud->held, node)
		unhold(qp->ud, held);
}

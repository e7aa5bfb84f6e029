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
 * a shorter way, ud_recv_place_now(), and those of one skb one hold of the lock.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include "base/device.h"
#include "net/address.h"
#include "qp/completer.h"
#include "qp/qp.h"
#include "ud/ah.h"
#include "ud/mcast.h"
#include "ud/ud.h"
#include "ud/ud_recv.h"

/* A datagram that waits for a page. */
struct ud_held {
	struct list_head node;
	struct mirage_datagram d;
	u8 data[];
};

/* What became of a try to deliver. */
enum ud_placed {
	PLACED_DONE,		/* or dropped, or the receiver's fault */
	PLACED_MISS_SRC,	/* the sender's page is missing */
	PLACED_MISS_DST,	/* the receiver's */
};

/* Whether the QP takes a datagram at all. */
static bool ud_recv_admits(struct mirage_qp *qp, const struct mirage_datagram *d)
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
static __always_inline bool ud_recv_take_wqe(struct mirage_qp *qp)
{
	struct mirage_responder *resp = &qp->resp;
	int ret;

	if (resp->have_wqe)
		return true;
	if (qp->srq)
		ret = mirage_srq_pop(qp->srq, &resp->wqe);
	else
		ret = mirage_wqe_pop_recv(&qp->rq, &resp->wqe);
	if (ret == -ENOENT) {
		mirage_ud_drop(qp);
		return false;
	}
	if (ret == -EPROTO) {
		mirage_qp_error_locked(qp, qp->srq ? 0 : IB_EVENT_QP_FATAL);
		return false;
	}
	resp->have_wqe = true;
	if (ret)
		mirage_responder_fail_wqe(qp, IB_WC_LOC_QP_OP_ERR, ret);
	return !ret;
}

/*
 * Too long for the receive work request: that one waits for the next datagram, but
 * for one that is shared, which is lost with it (IBA 9.9.3, classes D and E).
 */
static void ud_recv_too_long(struct mirage_qp *qp)
{
	mirage_ud_drop(qp);
	if (qp->srq)
		mirage_responder_fail_wqe(qp, IB_WC_LOC_LEN_ERR, -EMSGSIZE);
}

/* The sender's address, or the destination's, of a datagram that was received. */
static void ud_recv_gid_of(const struct mirage_datagram *d, bool source, union ib_gid *gid)
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
static noinline u32 ud_recv_vlan_flags(const struct mirage_qp *qp, const struct mirage_datagram *d)
{
	union ib_gid gid;

	ud_recv_gid_of(d, false, &gid);
	return (u32)mirage_gid_vlan(qp->dev, &gid) << MIRAGE_WC_VLAN_SHIFT;
}

static __always_inline void ud_recv_complete_recv(struct mirage_qp *qp,
						  const struct mirage_datagram *d)
{
	struct mirage_cqe *slot;

	lockdep_assert_held(&qp->lock);
	qp->resp.have_wqe = false;
	slot = mirage_cq_begin(qp->rcq);
	if (likely(slot)) {
		mirage_complete_fill_recv(qp, slot);
		slot->opcode = IB_WC_RECV;
		slot->byte_len = UD_GRH_LEN + d->len;
		slot->ex = d->imm ? d->ex : 0;
		slot->src_qp = d->src_qp;
		slot->wc_flags = MIRAGE_WC_GRH | (d->imm ? MIRAGE_WC_WITH_IMM : 0) |
				 (d->ipv4 ? MIRAGE_WC_IPV4 : 0);
		if (unlikely(qp->type == IB_QPT_GSI))
			slot->wc_flags |= ud_recv_vlan_flags(qp, d);
		slot->sl = d->ipv4 ? MIRAGE_WC_SL_IPV4 : MIRAGE_WC_SL_IPV6;
	}
	if (unlikely(mirage_cq_end(qp->rcq, slot, d->solicited)))
		mirage_qp_error_locked(qp, IB_EVENT_QP_FATAL);
}

static enum ud_placed ud_recv_move_bytes(struct mirage_qp *qp, const struct mirage_datagram *d,
					 struct mirage_cursor *from,
					 struct mirage_miss *miss)
{
	struct mirage_cursor *to = &qp->resp.bytes;
	struct mirage_cursor grh;

	mirage_cursor_open_buf(&grh, d->grh);
	if (mirage_cursor_move(to, &grh, UD_GRH_LEN, miss) < UD_GRH_LEN)
		return PLACED_MISS_DST;
	if (mirage_cursor_move(to, from, d->len, miss) < d->len)
		return miss->write ? PLACED_MISS_DST : PLACED_MISS_SRC;
	return PLACED_DONE;
}

/* Delivers a datagram that the QP admits, from its first byte. */
static enum ud_placed ud_recv_place(struct mirage_qp *qp, const struct mirage_datagram *d,
				    struct mirage_cursor *from,
				    struct mirage_miss *miss)
{
	struct mirage_responder *resp = &qp->resp;
	enum ud_placed p;
	int ret;

	lockdep_assert_held(&qp->lock);
	if (!ud_recv_take_wqe(qp))
		return PLACED_DONE;
	if (resp->wqe.length < UD_GRH_LEN + d->len) {
		ud_recv_too_long(qp);
		return PLACED_DONE;
	}
	ret = mirage_cursor_open_sges(&resp->bytes, qp->dev, mirage_qp_recv_pd(qp), resp->wqe.sge,
				      resp->wqe.num_sge, IB_ACCESS_LOCAL_WRITE);
	if (ret) {
		mirage_responder_fail_wqe(qp, IB_WC_LOC_PROT_ERR, ret);
		return PLACED_DONE;
	}
	mirage_cursor_rewind(from);
	p = ud_recv_move_bytes(qp, d, from, miss);
	mirage_cursor_release(&resp->bytes);
	if (p == PLACED_DONE)
		ud_recv_complete_recv(qp, d);
	return p;
}

/* Where the datagram goes if it goes to one piece of a region; NULL: see ud_recv_place(). */
static __always_inline struct mirage_mr *ud_recv_one_piece(const struct mirage_qp *qp,
							   const struct mirage_datagram *d)
{
	const struct mirage_recv_copy *wqe = &qp->resp.wqe;
	const struct mirage_sge *sge = wqe->sge;
	struct mirage_mr *mr;

	if (unlikely(wqe->num_sge != 1 || wqe->length < UD_GRH_LEN + d->len))
		return NULL;
	mr = mirage_mr_find(&qp->dev->mrs, mirage_qp_recv_pd(qp), sge->lkey, sge->addr, sge->length,
			    IB_ACCESS_LOCAL_WRITE);
	return IS_ERR(mr) || unlikely(mr->dma) ? NULL : mr;
}

/*
 * Delivers a datagram that everything is there for. False: it is for mirage_ud_deliver(), which
 * finds out why; nothing has happened but that a receive work request may be taken.
 */
static __always_inline bool ud_recv_place_now(struct mirage_qp *qp, const struct mirage_datagram *d,
					      const void *payload)
{
	struct mirage_mr *mr;

	lockdep_assert_held(&qp->lock);
	/* The state first: without a reference on the QP, its ->ud is there no longer. */
	if (unlikely(qp->state < IB_QPS_RTR || qp->state >= IB_QPS_ERR ||
		     d->qkey != qp->attr.qkey || qp->ud->draining))
		return false;
	if (!ud_recv_take_wqe(qp))
		return true;
	mr = ud_recv_one_piece(qp, d);
	if (!mr || !mirage_mtt_write_small(&mr->mtt, qp->resp.wqe.sge[0].addr, d->grh,
					   UD_GRH_LEN, payload, d->len))
		return false;
	ud_recv_complete_recv(qp, d);
	return true;
}

/* A copy at the end of what waits. False: the sender's page is missing. */
static bool ud_recv_hold(struct mirage_qp *qp, const struct mirage_datagram *d,
			 struct mirage_cursor *from,
			 struct mirage_miss *miss)
{
	size_t size = struct_size_t(struct ud_held, data, d->len);
	struct mirage_ud *ud = qp->ud;
	struct ud_held *held = NULL;

	lockdep_assert_held(&qp->lock);
	if (ud->bytes + size <= UD_HOLD_MAX)
		held = kmalloc(size, GFP_ATOMIC | __GFP_ACCOUNT | __GFP_NOWARN);
	if (!held) {
		mirage_ud_drop(qp);
		return true;
	}
	mirage_cursor_rewind(from);
	if (!mirage_cursor_read(from, held->data, d->len, d->len, miss)) {
		kfree(held);
		return false;
	}
	held->d = *d;
	list_add_tail(&held->node, &ud->held);
	ud->bytes += size;
	return true;
}

static void ud_recv_unhold(struct mirage_ud *ud, struct ud_held *held)
{
	lockdep_assert_held(&ud->qp->lock);
	list_del(&held->node);
	ud->bytes -= struct_size(held, data, held->d.len);
	kfree(held);
}

/* Has the missing page brought in; 0: ud_recv_drain() will be called. */
static int ud_recv_raise_fault(struct mirage_qp *qp, struct mirage_miss *miss)
{
	int ret;

	kref_get(&qp->ref);
	ret = miss->mr->backend->fault_raise(miss->mr, miss->iova, miss->len,
					     miss->write, &qp->ud->waiter);
	mirage_mr_put(miss->mr);
	if (ret)
		mirage_qp_put(qp);
	return ret;
}

/* The first one again; @err: the page it waits for can not be had. */
static enum ud_placed ud_recv_drain_one(struct mirage_qp *qp, int err, struct mirage_miss *miss)
{
	struct ud_held *held = list_first_entry(&qp->ud->held, struct ud_held, node);
	enum ud_placed p = PLACED_DONE;
	struct mirage_cursor from;

	if (err && err != -ENOMEM && qp->resp.have_wqe) {
		mirage_responder_fail_wqe(qp, IB_WC_LOC_PROT_ERR, err);
		return p;
	}
	if (err == -ENOMEM) {
		mirage_ud_drop(qp);
	} else {
		mirage_cursor_open_buf(&from, held->data);
		p = ud_recv_place(qp, &held->d, &from, miss);
	}
	/* An error of the QP has dropped all of them. */
	if (p == PLACED_DONE && !list_empty(&qp->ud->held))
		ud_recv_unhold(qp->ud, held);
	return p;
}

/* Delivers what is held until it is all gone or another page is missing. */
static void ud_recv_drain(struct mirage_qp *qp, int err)
{
	struct mirage_ud *ud = qp->ud;
	enum ud_placed p;
	struct mirage_miss miss;

	for (;;) {
		spin_lock_bh(&qp->lock);
		if (list_empty(&ud->held)) {
			ud->draining = false;
			spin_unlock_bh(&qp->lock);
			return;
		}
		p = ud_recv_drain_one(qp, err, &miss);
		spin_unlock_bh(&qp->lock);
		err = 0;
		if (p == PLACED_MISS_DST) {
			err = ud_recv_raise_fault(qp, &miss);
			if (!err)
				return;
		}
	}
}

/** mirage_ud_woken - the fault of the first one that is held is over; in the fault worker */
void mirage_ud_woken(struct mirage_odp_waiter *w, int err)
{
	struct mirage_ud *ud = container_of(w, struct mirage_ud, waiter);
	struct mirage_qp *qp = ud->qp;

	ud_recv_drain(qp, err);
	mirage_qp_put(qp);
}

/**
 * mirage_ud_deliver - bring a datagram to a QP
 * @qp: the receiver
 * @d: what is said of it
 * @from: its bytes
 * @miss: filled on a miss; the caller puts @miss->mr
 *
 * Any context but hardirq. Return: false: a page of the sender's is missing, and nothing
 * has happened.
 */
bool mirage_ud_deliver(struct mirage_qp *qp, const struct mirage_datagram *d,
		       struct mirage_cursor *from,
		       struct mirage_miss *miss)
{
	enum ud_placed p = PLACED_MISS_DST;
	struct mirage_ud *ud = qp->ud;
	bool begin = false, ok = true;
	struct mirage_miss dst;

	spin_lock_bh(&qp->lock);
	if (!ud_recv_admits(qp, d)) {
		mirage_ud_drop(qp);
		goto unlock;
	}
	if (!ud->draining) {
		p = ud_recv_place(qp, d, from, &dst);
		begin = p == PLACED_MISS_DST;
	}
	if (p == PLACED_MISS_SRC) {
		*miss = dst;
		ok = false;
	} else if (p == PLACED_MISS_DST) {
		ok = ud_recv_hold(qp, d, from, miss);
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
		int err = ud_recv_raise_fault(qp, &dst);

		if (err)
			ud_recv_drain(qp, err);
		mirage_qp_put(qp);
	}
	return ok;
}

/* A datagram on its way to the members of its group. */
struct ud_fanout {
	const struct mirage_datagram *d;
	struct mirage_cursor *from;
};

static void ud_recv_to_member(struct mirage_qp *member, void *arg)
{
	const struct ud_fanout *to = arg;
	struct mirage_miss miss;

	if (member->ud)
		mirage_ud_deliver(member, to->d, to->from, &miss);
}

static void ud_recv_input_group(struct mirage_dev *dev, struct ud_fanout *to)
{
	union ib_gid gid;

	/* Our own members have had theirs when it was sent. */
	ud_recv_gid_of(to->d, true, &gid);
	if (mirage_local_gid(dev, &gid))
		return;
	ud_recv_gid_of(to->d, false, &gid);
	mirage_mcast_for_each(dev, &gid, ud_recv_to_member, to);
}

/* All but the GRH, which packets of one skb have in common. */
static void ud_recv_fill_from_packet(struct mirage_datagram *d, const struct mirage_pkt *pkt)
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
static bool ud_recv_next_of(const struct mirage_qp *qp, u16 pkey, struct sk_buff *skb, u32 *next,
			    struct mirage_net_seg *seg)
{
	while (*next) {
		int err = mirage_net_segment(skb, *next, seg);
		const struct mirage_pkt *pkt = &seg->pkt;

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
static u32 ud_recv_input_series(struct mirage_qp *qp, struct sk_buff *skb,
				struct mirage_datagram *d,
				struct mirage_net_seg *seg)
{
	u16 pkey = seg->pkt.pkey;
	u32 next = seg->next;
	struct mirage_cursor from;
	struct mirage_miss miss;

	spin_lock(&qp->lock);
	do {
		ud_recv_fill_from_packet(d, &seg->pkt);
		if (likely(ud_recv_place_now(qp, d, seg->payload)))
			continue;
		spin_unlock(&qp->lock);
		mirage_cursor_open_buf(&from, seg->payload);
		mirage_ud_deliver(qp, d, &from, &miss);
		spin_lock(&qp->lock);
	} while (ud_recv_next_of(qp, pkey, skb, &next, seg));
	spin_unlock(&qp->lock);
	return next;
}

/**
 * mirage_ud_input - a datagram has come
 * @dev: whose
 * @skb: where it is in, perhaps with more of them behind it
 * @seg: it, checked; what is in there afterwards means nothing
 *
 * BHs off, under rcu_read_lock(). Return: the next packet to look at, or 0.
 */
u32 mirage_ud_input(struct mirage_dev *dev, struct sk_buff *skb, struct mirage_net_seg *seg)
{
	u32 next = seg->next;
	struct mirage_datagram d;
	struct ud_fanout to = { .d = &d };
	struct mirage_cursor from;
	struct mirage_qp *qp;

	d.ipv4 = mirage_net_grh(skb, d.grh) == RDMA_NETWORK_IPV4;
	if (mirage_net_is_multicast(skb)) {
		ud_recv_fill_from_packet(&d, &seg->pkt);
		mirage_cursor_open_buf(&from, seg->payload);
		to.from = &from;
		ud_recv_input_group(dev, &to);
		return next;
	}
	qp = mirage_qp_find(dev, seg->pkt.qpn);
	if (qp && qp->ud)
		return ud_recv_input_series(qp, skb, &d, seg);
	mirage_stat_inc(dev, MIRAGE_STAT_UD_DROPPED);
	return next;
}

/**
 * mirage_ud_drop_held - forget datagrams that wait for a page
 * @qp: a QP, maybe one for datagrams; its lock is held
 */
void mirage_ud_drop_held(struct mirage_qp *qp)
{
	struct ud_held *held, *next;

	lockdep_assert_held(&qp->lock);
	if (!qp->ud)
		return;
	list_for_each_entry_safe(held, next, &qp->ud->held, node)
		ud_recv_unhold(qp->ud, held);
}

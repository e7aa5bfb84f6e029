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
	int ret;

	if (qp->resp.have_wqe)
		return true;
	ret = mirage_qp_pop_recv(qp);
	if (likely(!ret))
		return true;
	if (ret == -ENOENT)
		mirage_ud_drop(qp);
	else
		mirage_responder_wqe_failed(qp, ret);
	return false;
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
	/* The state first: without a reference on the QP, what is ->carried is there no longer. */
	if (unlikely(qp->state < IB_QPS_RTR || qp->state >= IB_QPS_ERR ||
		     d->qkey != qp->attr.qkey || mirage_ud_of(qp)->draining))
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
	struct mirage_ud *ud = mirage_ud_of(qp);
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

static void ud_recv_unhold(struct mirage_qp *qp, struct ud_held *held)
{
	struct mirage_ud *ud = mirage_ud_of(qp);

	lockdep_assert_held(&qp->lock);
	list_del(&held->node);
	ud->bytes -= struct_size(held, data, held->d.len);
	kfree(held);
}

/* The first one that is held waits for a page. */
static void ud_recv_park(struct mirage_qp *qp, const struct mirage_miss *miss)
{
	struct mirage_ud *ud = mirage_ud_of(qp);
	int err;

	lockdep_assert_held(&qp->lock);
	err = mirage_park_on_fault(&ud->park, miss);
	if (!err)
		return;
	ud->error = err;
	mirage_park_for(&ud->park, 0);
}

/* The first one again. False: nothing is held any more, or it waits again. */
static bool ud_recv_drain_one(struct mirage_qp *qp)
{
	struct mirage_ud *ud = mirage_ud_of(qp);
	int err = ud->error;
	struct mirage_cursor from;
	struct mirage_miss miss;
	struct ud_held *held;

	lockdep_assert_held(&qp->lock);
	held = list_first_entry_or_null(&ud->held, struct ud_held, node);
	ud->draining = held;
	ud->error = 0;
	if (!held)
		return false;
	if (err && qp->resp.have_wqe) {
		mirage_responder_fail_wqe(qp, IB_WC_LOC_PROT_ERR, err);
		return true;
	}
	mirage_cursor_open_buf(&from, held->data);
	if (ud_recv_place(qp, &held->d, &from, &miss) == PLACED_MISS_DST) {
		ud_recv_park(qp, &miss);
		mirage_mr_put(miss.mr);
		return false;
	}
	/* An error of the QP has dropped all of them. */
	if (!list_empty(&ud->held))
		ud_recv_unhold(qp, held);
	return true;
}

/* The wait of the first one is over: struct mirage_park. */
static bool ud_recv_wake(struct mirage_park *park, int err)
{
	struct mirage_ud *ud = container_of(park, struct mirage_ud, park);

	lockdep_assert_held(&park->qp->lock);
	ud->error = err;
	ud->draining = !list_empty(&ud->held);
	return ud->draining;
}

/* Delivers what is held until it is all gone or another page is missing. */
static void ud_recv_resume(struct mirage_park *park)
{
	struct mirage_qp *qp = park->qp;
	bool more;

	do {
		spin_lock_bh(&qp->lock);
		more = ud_recv_drain_one(qp);
		spin_unlock_bh(&qp->lock);
	} while (more);
}

/**
 * mirage_ud_recv_init - nothing is held
 * @qp: a new QP for datagrams
 */
void mirage_ud_recv_init(struct mirage_qp *qp)
{
	mirage_park_init(&mirage_ud_of(qp)->park, qp, &qp->lock, ud_recv_wake, ud_recv_resume);
}

/**
 * mirage_ud_deliver - bring a datagram to a QP
 * @qp: the receiver
 * @d: what is said of it
 * @from: its bytes
 * @miss: filled on a miss; the caller puts @miss->mr
 *
 * Any context but hardirq.
 *
 * Return: false: a page of the sender's is missing, and nothing
 * has happened.
 */
bool mirage_ud_deliver(struct mirage_qp *qp, const struct mirage_datagram *d,
		       struct mirage_cursor *from,
		       struct mirage_miss *miss)
{
	struct mirage_ud *ud = mirage_ud_of(qp);
	enum ud_placed p;
	struct mirage_miss dst;
	bool ok = true;

	spin_lock_bh(&qp->lock);
	if (!ud_recv_admits(qp, d)) {
		mirage_ud_drop(qp);
		goto unlock;
	}
	if (ud->draining) {
		ok = ud_recv_hold(qp, d, from, miss);
		goto unlock;
	}
	p = ud_recv_place(qp, d, from, &dst);
	if (p == PLACED_MISS_SRC) {
		*miss = dst;
		ok = false;
	} else if (p == PLACED_MISS_DST) {
		ok = ud_recv_hold(qp, d, from, miss);
		ud->draining = !list_empty(&ud->held);
		if (ud->draining)
			ud_recv_park(qp, &dst);
		mirage_mr_put(dst.mr);
	}
unlock:
	spin_unlock_bh(&qp->lock);
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

	if (member->transport == OP_UD)
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
 * BHs off, under rcu_read_lock().
 *
 * Return: the next packet to look at, or 0.
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
	if (qp && qp->transport == OP_UD)
		return ud_recv_input_series(qp, skb, &d, seg);
	mirage_stat_inc(dev, MIRAGE_STAT_UD_DROPPED);
	return next;
}

/**
 * mirage_ud_drop_held - forget datagrams that wait for a page
 * @qp: a QP for datagrams; its lock is held
 */
void mirage_ud_drop_held(struct mirage_qp *qp)
{
	struct ud_held *held, *next;

	lockdep_assert_held(&qp->lock);
	list_for_each_entry_safe(held, next, &mirage_ud_of(qp)->held, node)
		ud_recv_unhold(qp, held);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Datagrams on their way to a receiver
 *
 * A datagram is delivered under the receiver's lock, whether it comes from this device or from
 * the wire. A datagram that the receiver can not take is dropped (IBA volume 1, 9.8.3); the
 * sender gets no answer.
 *
 * If a page of the receiver is missing, copies of the datagram and of those behind it are held:
 * no sender waits for a receiver's page. What is held is bounded. When the fault ends, the fault
 * worker delivers the held datagrams in order.
 *
 * Most datagrams from the wire go to one page of one region, and the page is present. For these
 * there is a shorter way, ud_recv_place_now(); those of one skb are delivered under one hold of
 * the lock.
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

/* How a try to deliver a datagram ended. */
enum ud_placed {
	PLACED_DONE,		/* delivered, dropped, or failed by an error of the receiver */
	PLACED_MISS_SRC,	/* a page of the sender is missing */
	PLACED_MISS_DST,	/* a page of the receiver is missing */
};

/* Tells whether the QP accepts the datagram: by its state and the Q_Key. */
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

/*
 * Takes a receive work request. Returns false if there is none, or a bad one. Always inline, with
 * ud_recv_complete_recv(): 1.0 % of a datagram of 64 B between two devices (bench_ud).
 */
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
 * The datagram is too long for the receive work request. A receive of the QP's own queue stays
 * for the next datagram; one of an SRQ fails with this one (IBA 9.9.3, classes D and E).
 */
static void ud_recv_too_long(struct mirage_qp *qp)
{
	mirage_ud_drop(qp);
	if (qp->srq)
		mirage_responder_fail_wqe(qp, IB_WC_LOC_LEN_ERR, -EMSGSIZE);
}

/* Reads the source or the destination address of a datagram from its GRH. */
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

/* The MAD layer needs the VLAN to find its own address for an answer. */
static noinline u32 ud_recv_vlan_flags(const struct mirage_qp *qp, const struct mirage_datagram *d)
{
	union ib_gid gid;

	ud_recv_gid_of(d, false, &gid);
	return (u32)mirage_gid_vlan(qp->dev, &gid) << MIRAGE_WC_VLAN_SHIFT;
}

/* Always inline: see ud_recv_take_wqe(). */
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

/* Delivers a datagram that the QP accepts. After a miss, the next try begins anew. */
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

/* The region that the datagram goes to as a whole, or NULL: then use ud_recv_place(). */
static struct mirage_mr *ud_recv_one_piece(const struct mirage_qp *qp,
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
 * Delivers a datagram in the common case. Returns false if it is not one: then the caller uses
 * mirage_ud_deliver(). Nothing has happened by then, except that a receive work request may
 * have been taken. Without this and mirage_cursor_borrow(), a datagram of 64 B over the wire costs
 * 29 % more (perftest/wire, bench_ud).
 */
static bool ud_recv_place_now(struct mirage_qp *qp, const struct mirage_datagram *d,
			      const void *payload)
{
	struct mirage_mr *mr;

	lockdep_assert_held(&qp->lock);
	/* The state comes first: we have no reference, and in RESET ->carried may be gone. */
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

/* Holds a copy of the datagram, or drops it. Returns false if a page of the sender is missing. */
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

/* Parks: the first held datagram waits for a page. */
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

/* Delivers the first held datagram. Returns false if there is none, or if it waits again. */
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
	/* If the QP went into error meanwhile, all held datagrams are dropped already. */
	if (!list_empty(&ud->held))
		ud_recv_unhold(qp, held);
	return true;
}

/* The wake() of struct mirage_park: the first held datagram's wait is over. */
static bool ud_recv_wake(struct mirage_park *park, int err)
{
	struct mirage_ud *ud = container_of(park, struct mirage_ud, park);

	lockdep_assert_held(&park->qp->lock);
	ud->error = err;
	ud->draining = !list_empty(&ud->held);
	return ud->draining;
}

/* The resume() of struct mirage_park: delivers held datagrams until another page is missing. */
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
 * mirage_ud_recv_init - initialize the receiving side; nothing is held
 * @qp: a new QP for datagrams
 */
void mirage_ud_recv_init(struct mirage_qp *qp)
{
	mirage_park_init(&mirage_ud_of(qp)->park, qp, &qp->lock, ud_recv_wake, ud_recv_resume);
}

/**
 * mirage_ud_deliver - deliver a datagram to a QP, or hold it, or drop it
 * @qp: the receiver
 * @d: the datagram
 * @from: its payload
 * @miss: filled if false is returned; the caller puts @miss->mr
 *
 * Any context but hardirq.
 *
 * Return: false if a page of the sender is missing; then nothing has happened.
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

	/* Our own datagram, looped back: the members on this device got it when it was sent. */
	ud_recv_gid_of(to->d, true, &gid);
	if (mirage_local_gid(dev, &gid))
		return;
	ud_recv_gid_of(to->d, false, &gid);
	mirage_mcast_for_each(dev, &gid, ud_recv_to_member, to);
}

/* Fills in all but the GRH, which is the same for all packets of one skb. */
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
 * Checks the packet at *@next. Returns true if it is for the same QP; *@next then moves on.
 * Returns false at the first packet that is not, or when *@next is 0, at the end of the skb.
 */
static bool ud_recv_next_of(const struct mirage_qp *qp, u16 pkey, struct sk_buff *skb, u32 *next,
			    struct mirage_net_seg *seg)
{
	while (*next) {
		int err = mirage_net_segment(skb, *next, seg);
		const struct mirage_pkt *pkt = &seg->pkt;

		/* Another QP's packet: mirage_wire_input() checks it anew. */
		if (!err && (pkt->qpn != qp->qpn || pkt->pkey != pkey ||
			     (pkt->opcode & PKT_TRANSPORT) != PKT_UD))
			return false;
		*next = seg->next;
		if (!err)
			return true;
	}
	return false;
}

/*
 * Delivers consecutive datagrams of one skb to one QP, @seg first, if possible without dropping
 * the QP's lock. Returns the offset of the next packet, or 0.
 */
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
 * mirage_ud_input - a datagram has come from the wire
 * @dev: the device that it is for
 * @skb: has the datagram, and perhaps more packets behind it
 * @seg: the datagram, checked; overwritten
 *
 * The mirage_upcalls.datagram of a device. BHs off, under rcu_read_lock().
 *
 * Return: the offset of the next packet, or 0.
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
 * mirage_ud_drop_held - drop the held datagrams
 * @qp: a QP for datagrams; its lock is held
 */
void mirage_ud_drop_held(struct mirage_qp *qp)
{
	struct ud_held *held, *next;

	lockdep_assert_held(&qp->lock);
	list_for_each_entry_safe(held, next, &mirage_ud_of(qp)->held, node)
		ud_recv_unhold(qp, held);
}

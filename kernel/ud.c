// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Datagrams: QPs of type UD and GSI
 *
 * One work request is one datagram; it completes when it is sent. A datagram is
 * delivered under the receiver's lock, whether it comes from this device or from the
 * wire, and what is wrong with it is between it and the receiver: it is dropped
 * (IBA volume 1, 9.8.3), the sender hears nothing.
 *
 * A page of the receiver's that is missing holds the datagram, and those that come
 * after it, as copies: no sender waits for a receiver's page. What is held is bounded.
 * The end of the fault, in the fault worker, delivers what is held, in order.
 */
#include <linux/ipv6.h>
#include <linux/slab.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <rdma/ib_mad.h>

#include "comp.h"
#include "device.h"
#include "direct.h"
#include "mcast.h"
#include "qp.h"
#include "ud.h"

/* DETH, behind the BTH. */
#define UD_DETH_LEN	8

/* A send with this bit in its Q_Key sends with that of its QP (IBA 10.2.5). */
#define UD_QKEY_OWN	BIT(31)

/**
 * struct datagram - what is said of a payload
 * @grh: what stands in front of it in memory
 * @ipv4: an IPv4 header is the end of @grh
 * @imm: there is an immediate
 * @solicited: the SE bit
 * @sl: service level
 * @src_qp: who sent it
 * @qkey: of the receiver, as the sender says
 * @ex: the immediate, big endian
 * @len: bytes of payload
 */
struct datagram {
	u8 grh[UD_GRH_LEN];
	bool ipv4;
	bool imm;
	bool solicited;
	u8 sl;
	u32 src_qp;
	u32 qkey;
	u32 ex;
	u32 len;
};

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

static void drop(struct qp *qp)
{
	mirage_stat_inc(qp->dev, MIRAGE_STAT_UD_DROPPED);
}

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
static bool take_wqe(struct qp *qp)
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
		drop(qp);
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
	drop(qp);
	if (qp->srq)
		resp_fail_wqe(qp, IB_WC_LOC_LEN_ERR, -EMSGSIZE);
}

static void complete_recv(struct qp *qp, const struct datagram *d)
{
	struct mirage_cqe cqe = {
		.wr_id = qp->resp.wqe.wr_id,
		.byte_len = UD_GRH_LEN + d->len,
		.ex = d->imm ? d->ex : 0,
		.src_qp = d->src_qp,
		.wc_flags = MIRAGE_WC_GRH | (d->imm ? MIRAGE_WC_WITH_IMM : 0) |
			    (d->ipv4 ? MIRAGE_WC_IPV4 : 0),
		.status = IB_WC_SUCCESS,
		.opcode = IB_WC_RECV,
		.sl = d->sl,
	};

	qp->resp.have_wqe = false;
	if (comp_recv(qp, &cqe, d->solicited))
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
	ret = bytes_from_sges(&resp->bytes, qp->dev, qp->pd, resp->wqe.sge,
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

/* A copy at the end of what waits. False: the sender's page is missing. */
static bool hold(struct qp *qp, const struct datagram *d, struct bytes *from,
		 struct miss *miss)
{
	size_t size = struct_size_t(struct held, data, d->len);
	struct ud *ud = qp->ud;
	struct held *held = NULL;

	lockdep_assert_held(&qp->lock);
	if (ud->bytes + size <= UD_HOLD_MAX)
		held = kmalloc(size, GFP_ATOMIC | __GFP_NOWARN);
	if (!held) {
		drop(qp);
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

	if (err == -ENOMEM) {
		drop(qp);
	} else if (err && qp->resp.have_wqe) {
		resp_fail_wqe(qp, IB_WC_LOC_PROT_ERR, err);
		return p;
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

static void drain_woken(struct odp_waiter *w, int err)
{
	struct ud *ud = container_of(w, struct ud, waiter);
	struct qp *qp = ud->qp;

	drain(qp, err);
	qp_put(qp);
}

/*
 * Brings a datagram to a QP. False: a page of the sender's is missing, *miss is filled
 * and nothing has happened. Any context but hardirq.
 */
static bool deliver(struct qp *qp, const struct datagram *d, struct bytes *from,
		    struct miss *miss)
{
	enum placed p = PLACED_MISS_DST;
	struct ud *ud = qp->ud;
	bool begin = false, ok = true;
	struct miss dst;

	spin_lock_bh(&qp->lock);
	if (!admits(qp, d)) {
		drop(qp);
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

/* The header that stands in front of a datagram that never was a packet. */
static void fill_grh(struct datagram *d, const struct av *av)
{
	const struct in6_addr *saddr = (const struct in6_addr *)av->sgid.raw;
	const struct in6_addr *daddr = (const struct in6_addr *)av->dgid.raw;
	unsigned int len = sizeof(struct udphdr) + PKT_BTH_LEN + UD_DETH_LEN +
			   (d->imm ? 4 : 0) + ALIGN(d->len, 4) + PKT_ICRC_LEN;
	struct ipv6hdr *ip6 = (struct ipv6hdr *)d->grh;
	struct iphdr *ip = (struct iphdr *)(d->grh + UD_GRH_LEN - sizeof(*ip));

	memset(d->grh, 0, sizeof(d->grh));
	d->ipv4 = ipv6_addr_v4mapped(daddr);
	if (!d->ipv4) {
		ip6_flow_hdr(ip6, av->tclass, htonl(av->flow_label) & IPV6_FLOWLABEL_MASK);
		ip6->payload_len = htons(len);
		ip6->nexthdr = IPPROTO_UDP;
		ip6->hop_limit = av->hop_limit;
		ip6->saddr = *saddr;
		ip6->daddr = *daddr;
		return;
	}
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = av->tclass;
	ip->tot_len = htons(sizeof(*ip) + len);
	ip->frag_off = htons(IP_DF);
	ip->ttl = av->hop_limit;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = saddr->s6_addr32[3];
	ip->daddr = daddr->s6_addr32[3];
	ip_send_check(ip);
}

static void fill_datagram(const struct qp *qp, struct datagram *d)
{
	const struct mirage_send_wqe *head = &qp->req.wqe.head;
	const struct av *av = qp->ud->av;

	*d = (struct datagram) {
		.imm = qp->req.op->imm,
		.solicited = head->flags & MIRAGE_WQE_SOLICITED,
		.sl = av->sl,
		.src_qp = qp->qpn,
		.qkey = head->rkey & UD_QKEY_OWN ? qp->attr.qkey : head->rkey,
		.ex = head->ex,
		.len = qp->req.hdr.length,
	};
	fill_grh(d, av);
}

/* The destination's QP; remembered, since looking it up costs as much as a send. */
static struct qp *find_peer(struct qp *qp, u32 qpn)
{
	struct req *req = &qp->req;

	if (req->peer && req->peer->qpn == qpn &&
	    READ_ONCE(req->peer->state) != IB_QPS_RESET)
		return req->peer;
	direct_detach(qp);
	req->peer = qp_get(qp->dev, qpn);
	return req->peer;
}

static enum resp_verdict send_local(struct qp *qp, const struct datagram *d,
				    struct miss *miss)
{
	struct qp *peer = find_peer(qp, qp->req.wqe.head.swap & IB_QPN_MASK);

	if (!peer || !peer->ud)
		drop(qp);
	else if (!deliver(peer, d, &qp->req.local, miss))
		return RESP_MISS;
	return RESP_OK;
}

/* A datagram on its way to the members of its group. */
struct to_group {
	const struct qp *sender;
	const struct datagram *d;
	struct bytes *from;
};

static void send_to_member(struct qp *member, void *arg)
{
	const struct to_group *to = arg;
	struct miss miss;

	if (member != to->sender || !member->mute_mcast)
		deliver(member, to->d, to->from, &miss);
}

/* From a copy: no page of the sender's may be missing after the first member. */
static enum resp_verdict send_group(struct qp *qp, const struct datagram *d,
				    struct miss *miss)
{
	struct to_group to = { .sender = qp, .d = d, .from = &qp->req.result };
	struct bytes *local = &qp->req.local;
	enum resp_verdict v = RESP_OK;
	void *copy;

	copy = kmalloc(d->len + 1, GFP_ATOMIC | __GFP_NOWARN);
	if (!copy) {
		drop(qp);
		return v;
	}
	bytes_rewind(local);
	bytes_from_buf(to.from, copy);
	local_bh_disable();
	if (!bytes_read(local, copy, d->len, d->len, miss))
		v = RESP_MISS;
	local_bh_enable();
	if (v == RESP_OK)
		mcast_for_each(qp->dev, &qp->ud->av->dgid, send_to_member, &to);
	kfree(copy);
	return v;
}

/* As a packet. Equal ones to one destination leave as one super-packet. */
static enum resp_verdict send_wire(struct qp *qp, const struct datagram *d,
				   struct miss *miss)
{
	const struct mirage_send_wqe *head = &qp->req.wqe.head;
	struct ud *ud = qp->ud;
	struct pkt pkt = {
		.opcode = pkt_opcode(PKT_UD, head->opcode, true, true),
		.solicited = d->solicited,
		.pkey = IB_DEFAULT_PKEY_FULL,
		.qpn = head->swap & IB_QPN_MASK,
		.psn = qp->req.psn,
		.payload = d->len,
		.ex = d->ex,
		.qkey = d->qkey,
		.src_qp = d->src_qp,
	};
	u32 len = pkt_ops[pkt.opcode].len + ALIGN(d->len, 4) + PKT_ICRC_LEN;
	void *to = net_tx_segment(&ud->tx, &ud->path, len, 0);

	if (!to) {
		drop(qp);
		return RESP_OK;
	}
	to += pkt_build(to, &pkt);
	bytes_rewind(&qp->req.local);
	if (d->len && !bytes_read(&qp->req.local, to, d->len, d->len, miss)) {
		net_tx_cancel(&ud->tx);
		return RESP_MISS;
	}
	net_tx_seal(&ud->tx);
	return RESP_OK;
}

static void forget_av(struct qp *qp)
{
	struct ud *ud = qp->ud;

	ud_flush(qp);
	net_path_release(&ud->path);
	if (ud->av)
		av_put(ud->av);
	ud->av = NULL;
}

/* Finds the address vector; the last one is remembered. */
static bool find_av(struct qp *qp, u64 num)
{
	struct ud *ud = qp->ud;

	if (ud->av && ud->av->num == num && !READ_ONCE(ud->av->dead))
		return true;
	forget_av(qp);
	ud->av = num <= U32_MAX ? av_get(qp->dev, qp->pd, num) : NULL;
	if (ud->av && ud->av->wired) {
		ud->path = ud->av->path;
		get_net(ud->path.net);
	}
	return ud->av;
}

/**
 * ud_check - may the datagram that was taken up be sent?
 * @qp: the QP; the caller is its runner
 *
 * Return: IB_WC_SUCCESS, or what is wrong with it.
 */
enum ib_wc_status ud_check(struct qp *qp)
{
	const struct send_wqe *wqe = &qp->req.wqe;

	if (!find_av(qp, wqe->head.remote_addr) || wqe->head.swap >> 32)
		return IB_WC_LOC_QP_OP_ERR;
	if (wqe->length > ib_mtu_enum_to_int(mirage_mtu(qp->dev)))
		return IB_WC_LOC_LEN_ERR;
	return IB_WC_SUCCESS;
}

/**
 * ud_request - send the datagram under way
 * @qp: the requester's QP; the caller is its runner
 * @miss: filled with RESP_MISS
 *
 * Any context but hardirq. Return: RESP_OK: it is sent, arrived or not; RESP_MISS: a
 * page of the sender's is missing.
 */
enum resp_verdict ud_request(struct qp *qp, struct miss *miss)
{
	const struct av *av = qp->ud->av;
	struct datagram d;

	qp->req.remote_miss = false;
	fill_datagram(qp, &d);
	if (av->local)
		return send_local(qp, &d, miss);
	if (av->wired && send_wire(qp, &d, miss) == RESP_MISS)
		return RESP_MISS;
	return av->multicast ? send_group(qp, &d, miss) : RESP_OK;
}

/**
 * ud_flush - let the packets go that were made
 * @qp: a QP for datagrams; the caller is its runner, or its engine is stopped
 *
 * BHs are off since the first of them.
 */
void ud_flush(struct qp *qp)
{
	if (qp->ud->tx.skb)
		net_tx_flush(&qp->ud->tx);
}

/* A datagram from the wire, on its way to the members of its group. */
static void input_to_member(struct qp *member, void *arg)
{
	const struct to_group *to = arg;
	struct miss miss;

	if (member->ud)
		deliver(member, to->d, to->from, &miss);
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

static void input_group(struct mirage_dev *dev, struct to_group *to)
{
	union ib_gid gid;

	/* Our own members have had theirs from send_group(). */
	gid_of(to->d, true, &gid);
	if (mirage_local_gid(dev, &gid))
		return;
	gid_of(to->d, false, &gid);
	mcast_for_each(dev, &gid, input_to_member, to);
}

/**
 * ud_input - a datagram has come
 * @dev: whose
 * @skb: where it is in
 * @seg: it, checked
 *
 * BHs off, under rcu_read_lock().
 */
void ud_input(struct mirage_dev *dev, struct sk_buff *skb, const struct net_seg *seg)
{
	const struct pkt *pkt = &seg->pkt;
	struct datagram d = {
		.imm = pkt->op->wr == IB_UVERBS_WR_SEND_WITH_IMM,
		.solicited = pkt->solicited,
		.src_qp = pkt->src_qp,
		.qkey = pkt->qkey,
		.ex = pkt->ex,
		.len = pkt->payload,
	};
	struct to_group to = { .d = &d };
	struct bytes from;
	struct qp *qp;

	to.from = &from;
	bytes_from_buf(&from, seg->payload);
	d.ipv4 = net_grh(skb, d.grh) == RDMA_NETWORK_IPV4;
	if (net_is_multicast(skb)) {
		input_group(dev, &to);
		return;
	}
	qp = xa_load(&dev->qps, pkt->qpn);
	if (qp)
		input_to_member(qp, &to);
	else
		mirage_stat_inc(dev, MIRAGE_STAT_UD_DROPPED);
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

/**
 * ud_create - what a new QP for datagrams needs besides
 * @qp: the QP; ->type is set
 *
 * Return: 0, -ENOMEM.
 */
int ud_create(struct qp *qp)
{
	struct ud *ud;

	if (!ud_type(qp->type))
		return 0;
	ud = kzalloc_obj(*ud, GFP_KERNEL_ACCOUNT);
	if (!ud)
		return -ENOMEM;
	INIT_LIST_HEAD(&ud->held);
	ud->waiter.wake = drain_woken;
	ud->qp = qp;
	qp->ud = ud;
	return 0;
}

/**
 * ud_reset - forget whom it sent to; the QP's engine is stopped, its state is RESET
 * @qp: a QP, maybe one for datagrams
 */
void ud_reset(struct qp *qp)
{
	struct ud *ud = qp->ud;

	if (!ud)
		return;
	forget_av(qp);
	/* A page that nobody needs any more must not delay the QP's next life. */
	if (!odp_fault_cancel(&ud->waiter))
		return;
	spin_lock_bh(&qp->lock);
	ud->draining = false;
	spin_unlock_bh(&qp->lock);
	qp_put(qp);
}

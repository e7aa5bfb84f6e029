// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Datagrams: QPs of type UD and GSI, and what they send
 *
 * One work request is one datagram. It completes when it is sent, whatever the receiver does
 * with it: a sender of datagrams gets no answers.
 *
 * Most datagrams are small, and their pages are present. Such a datagram goes to the wire
 * without a reference on its region: see mirage_cursor_borrow(). If it turns out that a page
 * is missing, the datagram is begun anew, with a reference.
 */
#include <linux/ipv6.h>
#include <linux/slab.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <rdma/ib_mad.h>

#include "base/device.h"
#include "net/address.h"
#include "qp/completer.h"
#include "qp/qp.h"
#include "ud/mcast.h"
#include "ud/ud.h"
#include "ud/ud_recv.h"

/* Bytes of the DETH, behind the BTH. */
#define UD_DETH_LEN	8

/* With this bit in the Q_Key of a work request, the Q_Key of the QP is sent (IBA 10.2.5). */
#define UD_QKEY_OWN	BIT(31)

/* Makes the GRH of a datagram that stays on this device, as a packet would have had it. */
static void ud_fill_grh(struct mirage_datagram *d, const struct mirage_av *av)
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

static u32 ud_qkey_of(const struct mirage_qp *qp)
{
	u32 qkey = qp->req.wqe.head.rkey;

	return qkey & UD_QKEY_OWN ? qp->attr.qkey : qkey;
}

static void ud_fill_datagram(const struct mirage_qp *qp, struct mirage_datagram *d)
{
	const struct mirage_send_wqe *head = &qp->req.wqe.head;
	const struct mirage_av *av = mirage_ud_of(qp)->av;

	*d = (struct mirage_datagram) {
		.imm = qp->req.op->ex,
		.solicited = head->flags & MIRAGE_WQE_SOLICITED,
		.src_qp = qp->qpn,
		.qkey = ud_qkey_of(qp),
		.ex = head->ex,
		.len = qp->req.hdr.length,
	};
	ud_fill_grh(d, av);
}

/* Finds the receiver's QP. It is remembered, since its look-up costs as much as a send. */
static struct mirage_qp *ud_find_peer(struct mirage_qp *qp, u32 qpn)
{
	struct mirage_requester *req = &qp->req;

	if (req->peer && req->peer->qpn == qpn &&
	    READ_ONCE(req->peer->state) != IB_QPS_RESET)
		return req->peer;
	mirage_requester_forget_peer(qp);
	req->peer = mirage_qp_get(qp->dev, qpn);
	return req->peer;
}

static enum mirage_verdict ud_send_local(struct mirage_qp *qp, const struct mirage_datagram *d,
					 struct mirage_miss *miss)
{
	struct mirage_qp *peer = ud_find_peer(qp, qp->req.wqe.head.swap & IB_QPN_MASK);

	if (!peer || peer->transport != OP_UD)
		mirage_ud_drop(qp);
	else if (!mirage_ud_deliver(peer, d, &qp->req.local, miss))
		return RESP_MISS;
	return RESP_OK;
}

/* A datagram on its way to the members of its group. */
struct ud_fanout {
	const struct mirage_qp *sender;
	const struct mirage_datagram *d;
	struct mirage_cursor *from;
};

static void ud_send_to_member(struct mirage_qp *member, void *arg)
{
	const struct ud_fanout *to = arg;
	struct mirage_miss miss;

	if (member != to->sender || !member->mute_mcast)
		mirage_ud_deliver(member, to->d, to->from, &miss);
}

/* Copies the payload. RESP_GOES_ON: try again, with a reference on the region. */
static enum mirage_verdict ud_read_payload(struct mirage_cursor *local, void *to, u32 len,
					   struct mirage_miss *miss)
{
	if (!len || likely(mirage_cursor_read_small(local, to, len)))
		return RESP_OK;
	if (mirage_cursor_is_borrowed(local))
		return RESP_GOES_ON;
	mirage_cursor_rewind(local);
	return mirage_cursor_read(local, to, len, len, miss) ? RESP_OK : RESP_MISS;
}

/* Sends a packet. Those of one length to one destination leave as one super-packet. */
static enum mirage_verdict ud_send_wire(struct mirage_qp *qp, struct mirage_cursor *from,
					struct mirage_miss *miss)
{
	const struct mirage_send_wqe *head = &qp->req.wqe.head;
	u32 n = qp->req.hdr.length, len;
	struct mirage_ud *ud = mirage_ud_of(qp);
	struct mirage_pkt pkt = {
		.opcode = qp->req.op->ex ? PKT_UD | PKT_SEND_ONLY_WITH_IMM :
					   PKT_UD | PKT_SEND_ONLY,
		.solicited = head->flags & MIRAGE_WQE_SOLICITED,
		.pkey = IB_DEFAULT_PKEY_FULL,
		.qpn = head->swap & IB_QPN_MASK,
		.psn = qp->req.psn,
		.payload = n,
		.ex = head->ex,
		.qkey = ud_qkey_of(qp),
		.src_qp = qp->qpn,
	};
	enum mirage_verdict v;
	void *to;

	len = mirage_pkt_ops[pkt.opcode].len + ALIGN(n, 4) + PKT_ICRC_LEN;
	to = mirage_net_tx_segment(&ud->tx, &ud->path, len, 0);
	if (!to) {
		mirage_ud_drop(qp);
		return RESP_OK;
	}
	to += mirage_pkt_build(to, &pkt);
	v = ud_read_payload(from, to, n, miss);
	if (likely(v == RESP_OK))
		mirage_net_tx_seal(&ud->tx);
	else
		mirage_net_tx_cancel(&ud->tx);
	return v;
}

/*
 * Sends a datagram to its group, on the wire and to members on this device. The payload is
 * copied first: after the first member has its datagram, no page of the sender may be missing.
 */
static enum mirage_verdict ud_send_group(struct mirage_qp *qp, struct mirage_miss *miss)
{
	struct mirage_cursor *local = &qp->req.local, *from = &qp->req.result;
	struct ud_fanout to = { .sender = qp, .from = from };
	enum mirage_verdict v = RESP_OK;
	struct mirage_datagram d;
	void *copy;

	ud_fill_datagram(qp, &d);
	to.d = &d;
	copy = kmalloc(d.len + 1, GFP_ATOMIC | __GFP_NOWARN);
	if (!copy) {
		mirage_ud_drop(qp);
		return v;
	}
	mirage_cursor_rewind(local);
	mirage_cursor_open_buf(from, copy);
	if (!mirage_cursor_read(local, copy, d.len, d.len, miss)) {
		v = RESP_MISS;
	} else {
		if (mirage_ud_of(qp)->av->wired)
			ud_send_wire(qp, from, miss);
		mirage_mcast_for_each(qp->dev, &mirage_ud_of(qp)->av->dgid, ud_send_to_member, &to);
	}
	kfree(copy);
	return v;
}

static void ud_drop_av(struct mirage_ud *ud)
{
	mirage_net_path_release(&ud->path);
	if (ud->av)
		mirage_av_put(ud->av);
	ud->av = NULL;
}

/* Sends the packets that were built. BHs have been off since the first of them. */
static void ud_flush(struct mirage_qp *qp)
{
	struct mirage_ud *ud = mirage_ud_of(qp);

	mirage_net_tx_flush(&ud->tx);
	/* The GSI QP lives as long as the device: its path must not keep the namespace alive. */
	if (unlikely(qp->type == IB_QPT_GSI) && !qp->req.active)
		ud_drop_av(ud);
}

static void ud_forget_av(struct mirage_qp *qp)
{
	ud_flush(qp);
	ud_drop_av(mirage_ud_of(qp));
}

/* Finds the address vector. The last one is remembered. */
static bool ud_find_av(struct mirage_qp *qp, u64 num)
{
	struct mirage_ud *ud = mirage_ud_of(qp);

	if (ud->av && ud->av->num == num && !READ_ONCE(ud->av->dead))
		return true;
	ud_forget_av(qp);
	ud->av = num <= U32_MAX ? mirage_av_get(qp->dev, qp->pd, num) : NULL;
	if (ud->av && ud->av->wired) {
		ud->path = ud->av->path;
		get_net(ud->path.net);
	}
	return ud->av;
}

/* The check() of struct mirage_stepper: tells whether the datagram may be sent. */
static enum ib_wc_status ud_check_send(struct mirage_qp *qp)
{
	const struct mirage_send_copy *wqe = &qp->req.wqe;

	if (!ud_find_av(qp, wqe->head.remote_addr) || wqe->head.swap >> 32)
		return IB_WC_LOC_QP_OP_ERR;
	if (wqe->length > ib_mtu_enum_to_int(mirage_device_mtu(qp->dev)))
		return IB_WC_LOC_LEN_ERR;
	return IB_WC_SUCCESS;
}

/* A group, and a receiver on this device, may need the payload more than once. */
static bool ud_sends_once(const struct mirage_qp *qp)
{
	const struct mirage_av *av = mirage_ud_of(qp)->av;

	return av->wired && !av->multicast;
}

/* A datagram to a group is copied once for each member. */
static bool ud_fanned_out(const struct mirage_qp *qp)
{
	return mirage_ud_of(qp)->av && mirage_ud_of(qp)->av->multicast;
}

/*
 * The request() of struct mirage_stepper. RESP_OK: the datagram is sent, whether it arrives or
 * not. RESP_GOES_ON: a page of a borrowed region is missing; the region needs a reference first.
 */
static enum mirage_verdict ud_request(struct mirage_qp *qp, struct mirage_miss *miss)
{
	const struct mirage_av *av = mirage_ud_of(qp)->av;
	enum mirage_verdict v = RESP_OK;
	struct mirage_datagram d;

	qp->req.remote_miss = false;
	if (av->multicast)
		return ud_send_group(qp, miss);
	if (av->wired)
		v = ud_send_wire(qp, &qp->req.local, miss);
	if (v != RESP_OK || !av->local)
		return v;
	ud_fill_datagram(qp, &d);
	return ud_send_local(qp, &d, miss);
}

/* Never called for a datagram: its sender does not wait for a receiver's page (ud_recv.c). */
static enum mirage_verdict ud_fail_request(struct mirage_qp *qp, int err)
{
	return RESP_OK;
}

static bool ud_suits(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	return mirage_ud_type(qp->type);
}

static int ud_create(struct mirage_qp *qp)
{
	struct mirage_ud *ud = kzalloc_obj(*ud, GFP_KERNEL_ACCOUNT);

	if (!ud)
		return -ENOMEM;
	INIT_LIST_HEAD(&ud->held);
	qp->carried = ud;
	mirage_ud_recv_init(qp);
	return 0;
}

/* If the UDP port is taken, datagrams come from this device only, which is no error. */
static int ud_connect(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	mirage_net_open(qp->dev);
	return 0;
}

static int ud_readdress(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	return 0;
}

/* The wait for a page of held datagrams ends here: the QP begins anew, and they are dropped. */
static void ud_reset(struct mirage_qp *qp)
{
	struct mirage_ud *ud = mirage_ud_of(qp);

	ud_forget_av(qp);
	mirage_park_cancel(&ud->park);
	spin_lock_bh(&qp->lock);
	ud->draining = false;
	spin_unlock_bh(&qp->lock);
}

static const struct mirage_stepper ud_stepper = {
	/* As many small datagrams as one super-packet can have. */
	.burst = 64,
	.check = ud_check_send,
	.reads_once = ud_sends_once,
	.request = ud_request,
	.fail = ud_fail_request,
	.is_large = ud_fanned_out,
	.flush = ud_flush,
};

const struct mirage_carrier mirage_ud_carrier = {
	.suits = ud_suits,
	.create = ud_create,
	.connect = ud_connect,
	.readdress = ud_readdress,
	.drop = mirage_ud_drop_held,
	.reset = ud_reset,
	.run = mirage_requester_run,
	.is_busy = mirage_requester_is_busy,
	.step = &ud_stepper,
};

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * RoCEv2 over UDP 4791: sockets, routes, super-packets
 *
 * Only these files know sockets and skbs' insides. One pair of sockets (IPv4, IPv6) a
 * network namespace, shared by its devices, opened when first needed.
 *
 *	out	mirage_net_tx_segment() -> fill -> mirage_net_tx_seal()		net_tx.c
 *		  -> ... -> mirage_net_tx_flush()
 *	in	socket -> mirage_upcalls.packets				net.c
 *		  -> mirage_net_segment() for each packet			net_rx.c
 */
#ifndef MIRAGE_NET_H
#define MIRAGE_NET_H

#include <linux/in6.h>
#include <linux/skbuff.h>
#include <net/dst.h>
#include <rdma/ib_verbs.h>

#include "net/icrc.h"
#include "net/packet.h"

struct mirage_dev;
struct mirage_net_host;

/**
 * struct mirage_net_path - how to a peer
 * @dev: whose, for its counters
 * @net: the namespace; a reference is held, as by a process's socket
 * @host: its sockets
 * @flow: addresses and ports as in the packet
 * @dst: the route, or NULL: looked up when needed; a reference is held
 * @cookie: of @dst
 * @oif: netdev of our GID (a VLAN's own), by index
 * @label: IPv6 flow label
 * @id: IPv4 identification of the next packet
 * @tos: traffic class, DSCP and ECN
 * @ttl: hop limit, not 0
 * @single: one packet an skb from now on. For the requester to set when nothing gets
 *	through any more: something on the way may do super-packets wrong
 * @seed_len: length of the packet sealed last
 * @seed: of the ICRCs of such
 *
 * Owned by who sends with it: no lock.
 */
struct mirage_net_path {
	struct mirage_dev *dev;
	struct net *net;
	struct mirage_net_host *host;
	struct mirage_icrc_flow flow;
	struct dst_entry *dst;
	u32 cookie;
	int oif;
	__be32 label;
	u16 id;
	u8 tos;
	u8 ttl;
	bool single;
	u16 seed_len;
	u32 seed;
};

/**
 * mirage_net_path_init - a path to where an address vector says
 * @path: filled; released by mirage_net_path_release()
 * @dev: the device
 * @ah: RoCE address, with ->grh.sgid_attr
 * @qpn: ours
 * @peer: the peer's, or 0: both give entropy to the source port
 *
 * Any context; mirage_net_open() may come later. The route itself is looked up when the first
 * packet is sent.
 *
 * Return: 0; -EINVAL for GIDs that are no IP addresses of one family; -ENETDOWN when the
 * namespace ends.
 */
int mirage_net_path_init(struct mirage_net_path *path, struct mirage_dev *dev,
			 const struct rdma_ah_attr *ah, u32 qpn, u32 peer);

/** mirage_net_path_release - any context; once more, or on a path that is all zero, is no harm */
void mirage_net_path_release(struct mirage_net_path *path);

/**
 * struct mirage_net_tx - a super-packet under construction
 * @path: whereto
 * @skb: the super-packet, or NULL: it is empty
 * @sk: through which it is sent, or NULL
 * @segment: the open packets: made room for and not sealed yet
 * @last: the packet that was sealed last
 * @seg_len: length of an open packet
 * @num: how many packets are open
 * @last_len: length of @last
 * @gso_size: length of the first packet
 * @segs: how many packets are sealed
 * @bytes: of the sealed packets
 * @closed: a packet shorter than @gso_size was sealed: no more fit
 * @reopened: the open packet was sealed before
 * @in_frag: the open packets stand in a page, not in the skb itself
 * @id: IPv4 identification of the first packet
 *
 * Packets of one path that are equally long, the last one may be shorter, go as one
 * UDP GSO skb. On the sender's stack or in its object; BHs are
 * off from its first mirage_net_tx_segment() to mirage_net_tx_flush(), which must come.
 */
struct mirage_net_tx {
	struct mirage_net_path *path;
	struct sk_buff *skb;
	struct sock *sk;
	void *segment;
	void *last;
	u32 seg_len;
	u32 num;
	u32 last_len;
	u32 gso_size;
	u32 segs;
	u32 bytes;
	bool closed;
	bool reopened;
	bool in_frag;
	u16 id;
};

/**
 * mirage_net_tx_batch - room for more packets of one length
 * @tx: the super-packet; ->num says how many there is room for, one at least
 * @path: whereto
 * @len: of each, BTH through ICRC; of several a multiple of 4, without pad
 * @num: how many at most
 * @more: bytes that the caller expects to send after the first: a hint for memory
 *
 * BHs off; any lock may be held. Sends what @tx has when these do not fit to it.
 *
 * Return: @len contiguous bytes for each, to be filled and sealed (or cancelled) before
 * anything else is sent on this CPU; who fills fewer takes ->num down. NULL without
 * memory, or with too much on its way through a slow queue: flush, and again in a jiffy
 * or more.
 */
void *mirage_net_tx_batch(struct mirage_net_tx *tx, struct mirage_net_path *path, u32 len,
			  u32 num, u32 more);

/**
 * mirage_net_tx_segment - mirage_net_tx_batch() for one packet
 * @tx: the super-packet
 * @path: whereto
 * @len: as mirage_net_tx_batch()
 * @more: as mirage_net_tx_batch()
 *
 * BHs off.
 *
 * Return: as mirage_net_tx_batch().
 */
static inline void *mirage_net_tx_segment(struct mirage_net_tx *tx, struct mirage_net_path *path,
					  u32 len, u32 more)
{
	return mirage_net_tx_batch(tx, path, len, 1, more);
}

/** mirage_net_tx_last - the last of the packets that mirage_net_tx_batch() made room for */
static inline void *mirage_net_tx_last(const struct mirage_net_tx *tx)
{
	return tx->segment + (tx->num - 1) * tx->seg_len;
}

/** mirage_net_tx_seal - packets are complete but for pad and ICRC, which are put in here */
void mirage_net_tx_seal(struct mirage_net_tx *tx);

/**
 * mirage_net_tx_reopen - the packet sealed last, to be changed in place and sealed anew
 * @tx: the super-packet
 *
 * BHs off.
 *
 * Return: its start, as of mirage_net_tx_segment(); NULL when it is gone already.
 */
void *mirage_net_tx_reopen(struct mirage_net_tx *tx);

/** mirage_net_tx_cancel - what mirage_net_tx_batch() made room for is not sent */
void mirage_net_tx_cancel(struct mirage_net_tx *tx);

/** mirage_net_tx_send - mirage_net_tx_flush() of a super-packet that there is */
void mirage_net_tx_send(struct mirage_net_tx *tx);

/**
 * mirage_net_tx_flush - send what there is
 * @tx: the super-packet, empty afterwards
 *
 * BHs off. Nothing is reported: what is lost here is lost like on any wire (and counted).
 */
static inline void mirage_net_tx_flush(struct mirage_net_tx *tx)
{
	if (tx->skb)
		mirage_net_tx_send(tx);
}

/**
 * struct mirage_net_seg - one packet of a received skb
 * @pkt: its headers
 * @payload: its bytes, contiguous, good until the next mirage_net_segment() on this CPU
 * @next: offset of the next packet, or 0
 */
struct mirage_net_seg {
	struct mirage_pkt pkt;
	const void *payload;
	u32 next;
};

/**
 * struct mirage_net_cb - in skb->cb of what mirage_upcalls.packets gets, while it is held
 * @dev: whose address it was sent to
 * @off: the first packet not yet consumed; 0 at first
 * @end: the first one that is no more of what is held, or 0
 * @seed: of the ICRCs of its packets that are @seed_len long; of net_rx.c
 * @seed_len: 0 at first
 * @fixed_id: all its packets have the IPv4 identification of the first, see net_rx.c
 */
struct mirage_net_cb {
	struct mirage_dev *dev;
	u32 off;
	u32 end;
	u32 seed;
	u16 seed_len;
	bool fixed_id;
};

static inline struct mirage_net_cb *mirage_net_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct mirage_net_cb) > sizeof(skb->cb));
	return (struct mirage_net_cb *)skb->cb;
}

/**
 * mirage_net_segment - look at one packet
 * @skb: received, or a clone of it; read only
 * @off: of its BTH: mirage_net_cb(skb)->off at first, then @seg->next
 * @seg: filled
 *
 * BHs off. Checks lengths, headers and ICRC; needs nothing of @skb but its data.
 *
 * Return: 0; -EINVAL: malformed, -EBADMSG: the ICRC is wrong (both counted here; ->next is
 * right all the same).
 */
int mirage_net_segment(struct sk_buff *skb, u32 off, struct mirage_net_seg *seg);

/* Packets, and bytes of theirs, that are looked at and then copied in one go. */
#define MIRAGE_NET_BATCH_MAX	16
#define MIRAGE_NET_BATCH_BYTES	SZ_16K

/**
 * struct mirage_net_batch - packets of one length, each in one piece
 * @pkt: headers of the first
 * @at: where each begins
 * @len: of each
 * @num: how many there are
 */
struct mirage_net_batch {
	struct mirage_pkt pkt;
	const u8 *at[MIRAGE_NET_BATCH_MAX];
	u32 len;
	u32 num;
};

/**
 * mirage_net_batch_find - does a packet begin a batch?
 * @skb: as in mirage_net_segment()
 * @off: of the packet; not the first of @skb
 * @batch: filled if so
 *
 * BHs off. Nothing is checked but the headers of the first.
 *
 * Return: whether there are two packets at least; else, or if their headers are wrong, it
 * is for mirage_net_segment().
 */
bool mirage_net_batch_find(const struct sk_buff *skb, u32 off, struct mirage_net_batch *batch);

/**
 * mirage_net_batch_check - the part of a batch that differs by nothing but consecutive PSNs
 * @skb: as in mirage_net_batch_find()
 * @off: as in mirage_net_batch_find()
 * @batch: the batch; its packets have no extension headers
 * @num: how many to look at
 * @ack: is any of these asked to be acknowledged?
 *
 * BHs off.
 *
 * Return: packets that are, and whose ICRCs are right; with less than @num the next one is
 * for mirage_net_segment().
 */
u32 mirage_net_batch_check(struct sk_buff *skb, u32 off, const struct mirage_net_batch *batch,
			   u32 num, bool *ack);

/** mirage_net_next - offset of the packet after that at @off, or 0; nothing is checked */
u32 mirage_net_next(const struct sk_buff *skb, u32 off);

/**
 * mirage_net_peek_bth - look whose a packet is, before it was checked
 * @skb: as in mirage_net_segment()
 * @off: of the packet
 * @opcode: filled
 * @qpn: filled
 *
 * Any context.
 *
 * Return: false: it is too short.
 */
bool mirage_net_peek_bth(const struct sk_buff *skb, u32 off, u8 *opcode, u32 *qpn);

/**
 * mirage_net_skip - find the next packet for another QP or direction
 * @skb: as in mirage_net_segment()
 * @off: of the packet to begin after
 * @qpn: the QP
 * @response: the direction: are these responses?
 *
 * Any context. Nothing is checked.
 *
 * Return: its offset, or 0.
 */
u32 mirage_net_skip(const struct sk_buff *skb, u32 off, u32 qpn, bool response);

/** mirage_net_is_multicast - was the skb sent to a group? */
bool mirage_net_is_multicast(const struct sk_buff *skb);

/** mirage_net_same_peer - was the skb sent from @path's destination to its source? */
bool mirage_net_same_peer(const struct sk_buff *skb, const struct mirage_net_path *path);

/**
 * mirage_net_grh - the 40 bytes in front of a datagram's payload (IBA 11.4.1.2; annex A17.4.5.1)
 * @skb: the datagram
 * @grh: an IPv6 header, or an IPv4 one in its last 20 bytes
 *
 * Return: IB_WC flags' network header type: RDMA_NETWORK_IPV4 or RDMA_NETWORK_IPV6.
 */
enum rdma_network_type mirage_net_grh(const struct sk_buff *skb, void *grh);

/**
 * mirage_net_open - sockets of the device's namespace, from now on
 * @dev: the device; once is enough, more do no harm; mirage_net_close() at its end
 *
 * Process context, may sleep.
 *
 * Return: 0; -EADDRINUSE: somebody else (Soft-RoCE) owns UDP port 4791 of the namespace:
 * the device works within itself only, and the next call tries again.
 */
int mirage_net_open(struct mirage_dev *dev);

/**
 * mirage_net_close - no packets from now on
 * @dev: the device, opened or not
 *
 * May sleep. When it returns, mirage_upcalls.packets is not called for @dev any more.
 */
void mirage_net_close(struct mirage_dev *dev);

/** mirage_net_addresses_changed - @dev has a GID more or less; any context */
void mirage_net_addresses_changed(struct mirage_dev *dev);

/** mirage_net_merged_wrongly - packets of one skb, for @dev, had no common header; BHs off */
void mirage_net_merged_wrongly(struct mirage_dev *dev);

/** mirage_net_host_of - what a namespace has of ours; good while a reference on it is held */
struct mirage_net_host *mirage_net_host_of(struct net *net);

/** mirage_net_sock - the namespace's socket; NULL while there is none; good while BHs are off */
struct sock *mirage_net_sock(const struct mirage_net_host *host, bool v6);

int mirage_net_init(void);
void mirage_net_exit(void);
int mirage_net_tx_init(void);
void mirage_net_tx_exit(void);
int mirage_net_rx_init(void);
void mirage_net_rx_exit(void);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * RoCEv2 over UDP 4791: sockets, routes, super-packets
 *
 * Only these files know sockets and the inside of skbs. A network namespace has one pair of
 * sockets (IPv4, IPv6), which its devices share and which opens when it is first needed.
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
 * struct mirage_net_path - the way to a peer
 * @dev: the device, for its counters
 * @net: the namespace; a reference is held, as by a process's socket
 * @host: the namespace's sockets
 * @flow: addresses and ports of the packets
 * @dst: the route, or NULL: looked up when needed; a reference is held
 * @cookie: tells whether @dst is still valid
 * @oif: netdev of our GID (a VLAN's own), by index
 * @label: IPv6 flow label
 * @id: IPv4 identification of the next packet
 * @tos: traffic class, DSCP and ECN
 * @ttl: hop limit, not 0
 * @single: one packet an skb from now on. The requester sets it when nothing gets through
 *	any more: something on the way may handle super-packets wrongly
 * @seed_len: length of the packet sealed last
 * @seed: ICRC seed of packets of that length
 *
 * Whoever sends with it owns it; it has no lock.
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
 * mirage_net_path_init - make a path to the address of an address vector
 * @path: filled; released by mirage_net_path_release()
 * @dev: the device
 * @ah: RoCE address, with ->grh.sgid_attr
 * @qpn: number of our QP
 * @peer: number of the peer's, or 0; the source port depends on both
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
 * Packets of one path that are equally long leave as one UDP GSO skb; the last one may be
 * shorter. The super-packet is on the sender's stack or in an object of the sender's. BHs
 * are off from its first mirage_net_tx_segment() to its mirage_net_tx_flush(), which must
 * come.
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
 * @tx: the super-packet; ->num says how many packets there is room for, at least one
 * @path: the path to send on
 * @len: bytes of each, BTH through ICRC; of several a multiple of 4, without pad
 * @num: how many packets at most
 * @more: bytes that the caller expects to send after the first: a hint for memory
 *
 * BHs off; any lock may be held. If the packets do not fit to what @tx has, that is sent
 * first.
 *
 * Return: @len contiguous bytes for each packet. The caller fills and seals (or cancels)
 * them before anything else is sent on this CPU, and lowers ->num if it fills fewer. NULL
 * without memory, or when too much is on its way through a slow queue: flush, and try again
 * in a jiffy or more.
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

/** mirage_net_tx_last - the last packet that mirage_net_tx_batch() made room for */
static inline void *mirage_net_tx_last(const struct mirage_net_tx *tx)
{
	return tx->segment + (tx->num - 1) * tx->seg_len;
}

/** mirage_net_tx_seal - put pad and ICRC into the open packets, which are then complete */
void mirage_net_tx_seal(struct mirage_net_tx *tx);

/**
 * mirage_net_tx_reopen - open the packet that was sealed last, to change it in place
 * @tx: the super-packet
 *
 * BHs off.
 *
 * Return: its start, as from mirage_net_tx_segment(), to be sealed anew; NULL when it was
 * sent already.
 */
void *mirage_net_tx_reopen(struct mirage_net_tx *tx);

/** mirage_net_tx_cancel - drop the open packets */
void mirage_net_tx_cancel(struct mirage_net_tx *tx);

/** mirage_net_tx_send - mirage_net_tx_flush() of a super-packet that is not empty */
void mirage_net_tx_send(struct mirage_net_tx *tx);

/**
 * mirage_net_tx_flush - send the sealed packets
 * @tx: the super-packet, empty afterwards
 *
 * BHs off. Errors are not reported: a packet that is lost here is lost as on any wire, and
 * counted.
 */
static inline void mirage_net_tx_flush(struct mirage_net_tx *tx)
{
	if (tx->skb)
		mirage_net_tx_send(tx);
}

/**
 * struct mirage_net_seg - one packet of a received skb
 * @pkt: its headers
 * @payload: its bytes, contiguous, valid until the next mirage_net_segment() on this CPU
 * @next: offset of the next packet, or 0
 */
struct mirage_net_seg {
	struct mirage_pkt pkt;
	const void *payload;
	u32 next;
};

/**
 * struct mirage_net_cb - in skb->cb of what mirage_upcalls.packets gets, while it is held
 * @dev: the device it was sent to
 * @off: offset of the first packet that was not consumed; 0 at first
 * @end: of a held skb: offset of the first packet that is not held, or 0
 * @seed: ICRC seed of packets of @seed_len bytes; of net_rx.c
 * @seed_len: 0 at first
 * @fixed_id: all packets have the IPv4 identification of the first, see net_rx.c
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
 * @off: offset of its BTH: mirage_net_cb(skb)->off at first, then @seg->next
 * @seg: filled
 *
 * BHs off. Checks lengths, headers and ICRC; reads only the data of @skb.
 *
 * Return: 0; -EINVAL: malformed; -EBADMSG: the ICRC is wrong. Both errors are counted here,
 * and ->next is right all the same.
 */
int mirage_net_segment(struct sk_buff *skb, u32 off, struct mirage_net_seg *seg);

/* Packets, and bytes, that are checked and then copied in one go. */
#define MIRAGE_NET_BATCH_MAX	16
#define MIRAGE_NET_BATCH_BYTES	SZ_16K

/**
 * struct mirage_net_batch - packets of one length, each in one piece
 * @pkt: headers of the first
 * @at: where each packet begins
 * @len: length of each
 * @num: number of packets
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
 * BHs off. Checks only the headers of the first packet.
 *
 * Return: whether there are at least two packets with right headers. If not, the packet is
 * for mirage_net_segment().
 */
bool mirage_net_batch_find(const struct sk_buff *skb, u32 off, struct mirage_net_batch *batch);

/**
 * mirage_net_batch_check - the part of a batch that differs by nothing but consecutive PSNs
 * @skb: as in mirage_net_batch_find()
 * @off: as in mirage_net_batch_find()
 * @batch: the batch; its packets have no extension headers
 * @num: how many packets to look at
 * @ack: set if one of the returned packets asks for an acknowledgment
 *
 * BHs off.
 *
 * Return: number of packets, from the first on, that differ by nothing else and whose ICRCs
 * are right. If it is less than @num, the next packet is for mirage_net_segment().
 */
u32 mirage_net_batch_check(struct sk_buff *skb, u32 off, const struct mirage_net_batch *batch,
			   u32 num, bool *ack);

/** mirage_net_next - offset of the packet after that at @off, or 0; nothing is checked */
u32 mirage_net_next(const struct sk_buff *skb, u32 off);

/**
 * mirage_net_peek_bth - read opcode and QPN of a packet that was not checked
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
 * mirage_net_grh - make the 40 bytes before a datagram's payload (IBA 11.4.1.2, A17.4.5.1)
 * @skb: the datagram
 * @grh: an IPv6 header, or an IPv4 one in its last 20 bytes
 *
 * Return: IB_WC flags' network header type: RDMA_NETWORK_IPV4 or RDMA_NETWORK_IPV6.
 */
enum rdma_network_type mirage_net_grh(const struct sk_buff *skb, void *grh);

/**
 * mirage_net_open - receive packets for a device
 * @dev: the device; calling it again does no harm; mirage_net_close() ends it
 *
 * Process context, may sleep.
 *
 * Return: 0; -EADDRINUSE: another driver, such as Soft-RoCE, owns UDP port 4791 of the
 * namespace. The device then works within itself only, and the next call tries again.
 */
int mirage_net_open(struct mirage_dev *dev);

/**
 * mirage_net_close - no packets from now on
 * @dev: the device, opened or not
 *
 * May sleep. When it returns, mirage_upcalls.packets is not called for @dev any more.
 */
void mirage_net_close(struct mirage_dev *dev);

/** mirage_net_addresses_changed - @dev got or lost a GID; any context */
void mirage_net_addresses_changed(struct mirage_dev *dev);

/** mirage_net_merged_wrongly - GRO merged packets for @dev that have no common header; BHs off */
void mirage_net_merged_wrongly(struct mirage_dev *dev);

/** mirage_net_host_of - our sockets in a namespace; valid while a reference on it is held */
struct mirage_net_host *mirage_net_host_of(struct net *net);

/** mirage_net_sock - the namespace's socket, or NULL; valid while BHs are off */
struct sock *mirage_net_sock(const struct mirage_net_host *host, bool v6);

int mirage_net_init(void);
void mirage_net_exit(void);
int mirage_net_tx_init(void);
void mirage_net_tx_exit(void);
int mirage_net_rx_init(void);
void mirage_net_rx_exit(void);

#endif

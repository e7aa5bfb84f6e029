// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Batches: packets from the middle of a message, whose headers differ only in the PSN
 *
 * Header, room, checks and look-ups are the same for all of them and are done once. Each packet
 * still needs its own ICRC and its own copy. First and last packets, those that miss a page and
 * those that are not expected are handled one by one, by the functions for single packets.
 */
#include <linux/log2.h>

#include "wire/wire.h"

/**
 * mirage_wire_batch_fill - build packets from the middle of a message
 * @tx: gets the packets, ready for mirage_net_tx_seal()
 * @path: the way to the peer
 * @pkt: headers of the first packet; ->payload is the path MTU
 * @from: the message, in regions; stands at the payload of the first packet
 * @num: number of packets wanted; MIRAGE_NET_BATCH_MAX at most are built
 * @left: bytes of the message from there on; at least @num payloads
 * @miss: zeroed; filled if the page behind the packets that were built is missing; the caller
 *	puts @miss->mr
 *
 * BHs off.
 *
 * Return: number of packets built, @tx->num. 0 without @miss->mr means that there was no memory.
 */
u32 mirage_wire_batch_fill(struct mirage_net_tx *tx, struct mirage_net_path *path,
			   struct mirage_pkt *pkt,
			   struct mirage_cursor *from, u32 num, u32 left, struct mirage_miss *miss)
{
	u32 hdr = mirage_pkt_ops[pkt->opcode].len, len = hdr + pkt->payload + PKT_ICRC_LEN, i;
	void *at[MIRAGE_NET_BATCH_MAX], *first;
	const struct mirage_mtt_rows rows = { .at = at, .shift = ilog2(pkt->payload) };

	num = min3(num, (u32)MIRAGE_NET_BATCH_MAX, (u32)MIRAGE_NET_BATCH_BYTES / pkt->payload);
	first = mirage_net_tx_batch(tx, path, len, num, left - pkt->payload);
	if (!first)
		return 0;
	mirage_pkt_build(first, pkt);
	mirage_pkt_repeat(first, len, tx->num);
	for (i = 0; i < tx->num; i++)
		at[i] = first + hdr + i * len;
	num = mirage_cursor_move_rows(from, &rows, tx->num, left, false, miss);
	if (num)
		tx->num = num;
	else
		mirage_net_tx_cancel(tx);
	return num;
}

/**
 * mirage_wire_batch_take - check received packets, and copy their payloads into the message
 * @skb: has the packets
 * @off: offset of the first one
 * @batch: the packets; the first one is the expected one, and each payload is the path MTU
 * @to: the message, in regions
 * @left: bytes of the message that may still come
 * @ack: set if one of the packets that were taken asks for an acknowledgment
 *
 * BHs off.
 *
 * Return: number of packets taken; 0 if the first one misses a page. The caller handles the
 * others one by one.
 */
u32 mirage_wire_batch_take(struct sk_buff *skb, u32 off, const struct mirage_net_batch *batch,
			   struct mirage_cursor *to, u32 left, bool *ack)
{
	void *at[MIRAGE_NET_BATCH_MAX];
	const struct mirage_mtt_rows rows = { .at = at, .shift = ilog2(batch->pkt.payload) };
	u32 num = min(batch->num, left >> rows.shift), i;

	num = mirage_net_batch_check(skb, off, batch, num, ack);
	for (i = 0; i < num; i++)
		at[i] = (void *)batch->at[i] + batch->pkt.op->len;
	return mirage_cursor_move_rows(to, &rows, num, left, true, NULL);
}

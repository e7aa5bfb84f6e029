// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Batches: packets from the middle of a message, which differ by nothing but their PSNs
 *
 * What is the same for all of them is done once: header, room, checks, look-ups. That
 * leaves a packet its ICRC and its copy. First and last packets, those that miss a page
 * and those that are not what is expected go one by one, the long way.
 */
#include <linux/log2.h>

#include "wire/wire.h"

/**
 * mirage_wire_batch_fill - packets from the middle of a message, ready for mirage_net_tx_seal()
 * @tx: where they go
 * @path: whereto
 * @pkt: headers of the first; ->payload is the path MTU
 * @from: the message, in regions, at the first one's payload
 * @num: how many are wanted; a handful at a time is made
 * @left: bytes of the message from there on, at least as many as that
 * @miss: all zero; filled when a page is missing behind those; the caller puts @miss->mr
 *
 * BHs off.
 *
 * Return: how many there are, @tx->num. None without @miss->mr: no memory.
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
 * mirage_wire_batch_take - copy what came to where it belongs
 * @skb: where the packets are
 * @off: there
 * @batch: the packets; the first one is what is expected, and its payload the path MTU
 * @to: the message, in regions
 * @left: bytes of it that may come yet
 * @ack: set if one of what is taken asks for an acknowledgment
 *
 * BHs off.
 *
 * Return: packets taken, their ICRCs checked; those after them, and none when
 * the first one misses a page, are left for the long way.
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

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The responder's side of the wire: request packets into requests, verdicts into answers
 *
 * qp/responder.c decides for every carrier whether a request is valid, and what becomes of one
 * that is not. This file has what only packets have: sequence numbers, messages in parts,
 * duplicates, and answers (IBA volume 1, 9.7.3 to 9.7.5).
 *
 * One PSN is expected. A packet behind it is a duplicate. A packet ahead of it shows that
 * packets were lost: the first such packet is answered with a NAK, and later ones get no answer
 * until the expected packet comes. After an RNR NAK no other NAK is sent, either: the requester
 * begins again from there anyway.
 *
 * A round of packets gets one answer: an ACK of all that was done, if one of the packets asked
 * for it, or a NAK, which also acknowledges what came before. The answers to READs and atomics
 * are sent at their place in that order.
 *
 * If a packet misses a page, hold.c holds it and passes it again. ->checked says that its checks
 * have been made, and what they changed must not be changed twice. Then only its bytes are
 * copied, all of them: a part that was copied before is copied again, with the same bytes.
 *
 * A READ holds up the requests behind it, as every request does. Its responses are copied
 * straight from the region into super-packets, READ_TURN bytes a turn. If there is more to send
 * hold.c is told to come back. So the expected PSN moves on when the last response was sent,
 * and no answer acknowledges what is not done yet.
 *
 * For duplicates, the results of atomics are kept by PSN, and a READ is read again. ATOMIC WRITE
 * and FLUSH have no result.
 */
#include <rdma/ib_mad.h>

#include "base/device.h"
#include "qp/nak.h"
#include "qp/qp.h"
#include "wire/wire.h"

/* Bytes of READ responses in one turn, all with the lock held and BHs off. */
#define READ_TURN	SZ_256K

/* Bytes that a fault brings in ahead for a SEND whose length is not known yet. */
#define SEND_AHEAD	SZ_64K

static struct mirage_wire_resp *wire_resp_locked(struct mirage_qp *qp)
{
	lockdep_assert_held(&qp->lock);
	return &mirage_wire_of(qp)->resp;
}

static u32 wire_resp_mtu_of(const struct mirage_qp *qp)
{
	return ib_mtu_enum_to_int(qp->attr.path_mtu);
}

static u8 wire_resp_answer_opcode(const struct mirage_qp *qp, enum mirage_pkt_kind kind)
{
	return (u8)mirage_qp_packets(qp) | kind;
}

/* Tells whether the packet is a request that this type of QP takes; an XRC initiator has none. */
static bool wire_resp_fits(const struct mirage_qp *qp, const struct mirage_pkt *pkt)
{
	return (pkt->opcode & PKT_TRANSPORT) == mirage_qp_packets(qp) &&
	       qp->type != IB_QPT_XRC_INI;
}

/*
 * Begins an answer and builds its headers. Returns the place of its payload. NULL means that
 * there is no memory: the answer is lost, as if on its way.
 */
static void *wire_resp_open_packet(struct mirage_qp *qp, struct mirage_pkt *pkt, u32 more)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	void *at;
	u32 len;

	pkt->pkey = IB_DEFAULT_PKEY_FULL;
	pkt->qpn = qp->attr.dest_qp_num;
	pkt->msn = w->msn;
	len = mirage_pkt_ops[pkt->opcode].len + ALIGN(pkt->payload, 4) + PKT_ICRC_LEN;
	at = mirage_net_tx_segment(&w->tx, &w->path, len, more);
	return at ? at + mirage_pkt_build(at, pkt) : NULL;
}

static void wire_resp_answer(struct mirage_qp *qp, enum mirage_pkt_kind kind, u8 syndrome, u32 psn,
			     u64 orig)
{
	struct mirage_pkt pkt = {
		.opcode = wire_resp_answer_opcode(qp, kind),
		.psn = psn,
		.syndrome = syndrome,
		.orig = orig,
	};

	if (wire_resp_open_packet(qp, &pkt, 0))
		mirage_net_tx_seal(&wire_resp_locked(qp)->tx);
}

static void wire_resp_say_nak(struct mirage_qp *qp, u8 syndrome, u32 psn)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);

	w->nak = syndrome;
	w->nak_psn = psn;
	w->quiet = true;
}

/*
 * Turns the verdict of a request that has failed into a NAK. UC sends none, and drops the rest
 * of the message.
 */
static void wire_resp_refuse(struct mirage_qp *qp, enum mirage_verdict v, u32 psn)
{
	if (qp->transport == OP_UC) {
		wire_resp_locked(qp)->open = OP_NONE;
		return;
	}
	if (v == RESP_RNR)
		wire_resp_say_nak(qp, AETH_RNR | qp->attr.min_rnr_timer, psn);
	else if (mirage_is_nak(v))
		wire_resp_say_nak(qp, mirage_nak_syndrome(v), psn);
}

/* Fills in the fields that all requests have. */
static void wire_resp_fill_hdr(struct mirage_request *hdr, const struct mirage_pkt *pkt)
{
	hdr->op = mirage_op_of(pkt->op->wr);
	hdr->psn = pkt->psn;
	hdr->packets = 1;
	hdr->length = pkt->dmalen;
	hdr->access = hdr->op->remote;
	hdr->reach = pkt->dmalen;
	hdr->any = false;
	hdr->rkey = pkt->rkey;
	hdr->addr = pkt->va;
	hdr->srqn = pkt->srqn;
}

static bool wire_resp_right_length(u32 mtu, const struct mirage_pkt *pkt)
{
	const struct mirage_pkt_op *op = pkt->op;

	if (!op->last)
		return pkt->payload == mtu;
	return pkt->payload <= mtu && (op->first || pkt->payload);
}

/* Checks a packet of a SEND or WRITE: it has to continue the message, and to have room. */
static enum mirage_verdict wire_resp_check_part(struct mirage_qp *qp, const struct mirage_pkt *pkt)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	const struct mirage_pkt_op *op = pkt->op;
	enum mirage_verdict v;

	if ((op->first ? OP_NONE : op->class) != w->open ||
	    !wire_resp_right_length(wire_resp_mtu_of(qp), pkt))
		return mirage_responder_invalid(qp);

	if (op->first) {
		wire_resp_fill_hdr(&w->hdr, pkt);
		v = mirage_responder_begin(qp, &w->hdr);
		if (v != RESP_OK)
			return v;
	}
	if (op->last) {
		w->hdr.op = mirage_op_of(op->wr);
		w->hdr.ex = pkt->ex;
		w->hdr.solicited = pkt->solicited;
	}
	return mirage_responder_piece(qp, &w->hdr, pkt->payload, op->last);
}

/* Bytes that this packet and those behind it will store: a fault brings in as many at once. */
static u32 wire_resp_bytes_ahead(const struct mirage_qp *qp, const struct mirage_pkt *pkt)
{
	const struct mirage_request *hdr = &mirage_wire_of(qp)->resp.hdr;

	if (hdr->op->class == OP_WRITE)
		return hdr->length - qp->resp.got + pkt->payload;
	if (pkt->op->last)
		return pkt->payload;
	return min(qp->resp.wqe.length - hdr->length + pkt->payload,
		   max_t(u32, pkt->payload, SEND_AHEAD));
}

/* Copies the packet's payload into the message. With RESP_MISS, @miss is filled. */
static enum mirage_verdict wire_resp_store_part(struct mirage_qp *qp,
						const struct mirage_net_seg *seg,
						struct mirage_miss *miss)
{
	struct mirage_cursor *to = &qp->resp.bytes;
	u32 len = seg->pkt.payload;
	bool stored;

	if (!len)
		return RESP_OK;
	if (!mirage_cursor_enter(to))
		return mirage_responder_fault_failed(qp, &mirage_wire_of(qp)->resp.hdr, -EACCES);
	stored = mirage_cursor_write(to, seg->payload, len, wire_resp_bytes_ahead(qp, &seg->pkt),
				     miss);
	mirage_cursor_leave(to);
	return stored ? RESP_OK : RESP_MISS;
}

static enum mirage_wire_verdict wire_resp_take_part(struct mirage_qp *qp,
						    const struct mirage_net_seg *seg,
						    struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	const struct mirage_pkt *pkt = &seg->pkt;
	enum mirage_verdict v = RESP_OK;

	if (!w->checked)
		v = wire_resp_check_part(qp, pkt);
	else if (pkt->opcode != w->checked_op || pkt->payload != w->checked_len)
		v = mirage_responder_invalid(qp);
	if (v == RESP_OK)
		v = wire_resp_store_part(qp, seg, miss);
	if (v == RESP_MISS) {
		w->checked = true;
		w->checked_op = pkt->opcode;
		w->checked_len = pkt->payload;
		return WIRE_HELD;
	}
	w->checked = false;

	if (v == RESP_OK && pkt->op->last) {
		v = mirage_responder_end(qp, &w->hdr);
		w->open = OP_NONE;
		w->msn++;
	} else if (v == RESP_OK) {
		w->open = pkt->op->class;
		qp->resp.psn = (qp->resp.psn + 1) & PSN_MASK;
	}
	if (v != RESP_OK)
		wire_resp_refuse(qp, v, pkt->psn);
	else if (w->hdr.op->answer == OP_ANSWER_EMPTY)
		wire_resp_answer(qp, PKT_READ_RESPONSE_ONLY, AETH_CREDITS_NONE, pkt->psn, 0);
	else
		w->ack |= pkt->ack;
	return WIRE_DONE;
}

/* Tells whether the packet is the next one of the message under way, and not the last. */
static bool wire_resp_goes_on(struct mirage_qp *qp, const struct mirage_pkt *pkt)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);

	return qp->state >= IB_QPS_RTR && qp->state < IB_QPS_ERR && wire_resp_fits(qp, pkt) &&
	       w->open != OP_NONE && !w->checked && pkt->psn == qp->resp.psn &&
	       pkt->op->class == w->open && !pkt->op->first && !pkt->op->last &&
	       !pkt->op->ext && pkt->payload == wire_resp_mtu_of(qp);
}

/**
 * mirage_wire_request_batch - several request packets from the middle of a message have come
 * @qp: the QP; its lock is held, no READ is under way
 * @skb: has the packets
 * @off: offset of the first one
 * @batch: the packets, for this QP
 *
 * BHs off.
 *
 * Return: number of packets consumed. The rest is for mirage_wire_request().
 */
u32 mirage_wire_request_batch(struct mirage_qp *qp, struct sk_buff *skb, u32 off,
			      const struct mirage_net_batch *batch)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	struct mirage_responder *resp = &qp->resp;
	u32 num;

	lockdep_assert_held(&qp->lock);
	if (!wire_resp_goes_on(qp, &batch->pkt) || !mirage_cursor_enter(&resp->bytes))
		return 0;
	num = mirage_wire_batch_take(skb, off, batch, &resp->bytes,
				     mirage_responder_room(resp, &w->hdr), &w->ack);
	mirage_cursor_leave(&resp->bytes);
	if (!num)
		return 0;
	/* This can not fail: mirage_wire_batch_take() took no more than there is room for. */
	mirage_responder_piece(qp, &w->hdr, num * batch->pkt.payload, false);
	resp->psn = (resp->psn + num) & PSN_MASK;
	w->quiet = false;
	return num;
}

static void wire_resp_stop_read(struct mirage_qp *qp)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);

	if (w->read.again)
		mirage_cursor_release(&w->read.bytes);
	w->read.active = false;
	w->read.again = false;
}

static enum mirage_pkt_kind wire_resp_read_kind(const struct mirage_wire_read *r, u32 len)
{
	if (len == r->left)
		return r->begun ? PKT_READ_RESPONSE_LAST : PKT_READ_RESPONSE_ONLY;
	return r->begun ? PKT_READ_RESPONSE_MIDDLE : PKT_READ_RESPONSE_FIRST;
}

/*
 * Sends the next response of a READ. Returns false if a page is missing, which is in @miss, or
 * if no packet can be sent; then @miss is empty.
 */
static bool wire_resp_read_packet(struct mirage_qp *qp, u32 len, struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	struct mirage_wire_read *r = &w->read;
	struct mirage_pkt pkt = {
		.opcode = wire_resp_answer_opcode(qp, wire_resp_read_kind(r, len)),
		.psn = r->psn,
		.syndrome = AETH_CREDITS_NONE,
		.payload = len,
	};
	void *at = wire_resp_open_packet(qp, &pkt, r->left - len);

	if (!at)
		return false;
	if (len && !mirage_cursor_read(r->again ? &r->bytes : &qp->resp.bytes, at, len, r->left,
				       miss)) {
		mirage_net_tx_cancel(&w->tx);
		return false;
	}
	mirage_net_tx_seal(&w->tx);
	r->begun = true;
	r->psn = (r->psn + 1) & PSN_MASK;
	r->left -= len;
	return true;
}

/* Sends up to @num responses from the middle of a READ. Returns as wire_resp_read_packet(). */
static bool wire_resp_read_batch(struct mirage_qp *qp, u32 num, struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	struct mirage_wire_read *r = &w->read;
	struct mirage_pkt pkt = {
		.opcode = wire_resp_answer_opcode(qp, PKT_READ_RESPONSE_MIDDLE),
		.pkey = IB_DEFAULT_PKEY_FULL,
		.qpn = qp->attr.dest_qp_num,
		.psn = r->psn,
		.payload = wire_resp_mtu_of(qp),
	};

	num = mirage_wire_batch_fill(&w->tx, &w->path, &pkt, r->again ? &r->bytes : &qp->resp.bytes,
				     num, r->left, miss);
	if (!num)
		return false;
	mirage_net_tx_seal(&w->tx);
	r->psn = (r->psn + num) & PSN_MASK;
	r->left -= num * pkt.payload;
	return !miss->mr;
}

/* Sends the next response, or several. Returns as wire_resp_read_packet(). */
static bool wire_resp_read_some(struct mirage_qp *qp, struct mirage_miss *miss)
{
	struct mirage_wire_read *r = &wire_resp_locked(qp)->read;
	u32 mtu = wire_resp_mtu_of(qp), num = r->left / mtu;

	if (r->begun && num > 1)
		return wire_resp_read_batch(qp, num - !(r->left % mtu), miss);
	return wire_resp_read_packet(qp, min(r->left, mtu), miss);
}

/* The READ or the packet under way needs a page or a window that can not be had. */
static void wire_resp_failed(struct mirage_qp *qp, int err)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	u32 psn = w->read.active ? w->read.psn : qp->resp.psn;

	/* UC sends no NAK. When the held packet comes again it must not begin the message anew. */
	w->skip = w->checked && qp->transport == OP_UC;
	w->checked = false;
	if (!w->read.again)
		wire_resp_refuse(qp, mirage_responder_fault_failed(qp, &w->hdr, err), psn);
}

static enum mirage_wire_verdict wire_resp_read_turn(struct mirage_qp *qp, struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	struct mirage_wire_read *r = &w->read;
	struct mirage_cursor *from = r->again ? &r->bytes : &qp->resp.bytes;
	u32 end = r->left - min_t(u32, r->left, READ_TURN);
	bool sent;

	if (!mirage_cursor_enter(from)) {
		wire_resp_failed(qp, -EACCES);
		wire_resp_stop_read(qp);
		return WIRE_DONE;
	}
	do {
		sent = wire_resp_read_some(qp, miss);
	} while (sent && r->left > end);
	mirage_cursor_leave(from);
	if (!sent)
		return miss->mr ? WIRE_READING : WIRE_STALLED;
	if (r->left)
		return WIRE_READING;

	if (!r->again) {
		/* The responses acknowledge all requests before the READ. */
		w->ack = false;
		mirage_responder_end(qp, &w->hdr);
	}
	wire_resp_stop_read(qp);
	return WIRE_DONE;
}

static void wire_resp_start_read(struct mirage_qp *qp, const struct mirage_pkt *pkt, bool again)
{
	struct mirage_wire_read *r = &wire_resp_locked(qp)->read;

	r->active = true;
	r->again = again;
	r->begun = false;
	r->psn = pkt->psn;
	r->left = pkt->dmalen;
}

static enum mirage_wire_verdict wire_resp_read_request(struct mirage_qp *qp,
						       const struct mirage_pkt *pkt,
						       struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	enum mirage_verdict v;

	wire_resp_fill_hdr(&w->hdr, pkt);
	w->hdr.packets = max(DIV_ROUND_UP(pkt->dmalen, wire_resp_mtu_of(qp)), 1U);
	v = mirage_responder_begin(qp, &w->hdr);
	if (v != RESP_OK) {
		wire_resp_refuse(qp, v, pkt->psn);
		return WIRE_DONE;
	}
	w->msn++;
	wire_resp_start_read(qp, pkt, false);
	return wire_resp_read_turn(qp, miss);
}

static void wire_resp_fill_atomic(struct mirage_request *hdr, const struct mirage_pkt *pkt)
{
	wire_resp_fill_hdr(hdr, pkt);
	hdr->length = 8;
	hdr->reach = 8;
	hdr->atomic = hdr->op->atomic;
	hdr->compare_add = hdr->atomic == OP_CMP_SWAP ? pkt->compare : pkt->swap_add;
	hdr->swap = pkt->swap_add;
}

static enum mirage_wire_verdict wire_resp_atomic_request(struct mirage_qp *qp,
							 const struct mirage_pkt *pkt,
							 struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	enum mirage_verdict v;
	u64 old = 0;

	wire_resp_fill_atomic(&w->hdr, pkt);
	v = mirage_responder_begin(qp, &w->hdr);
	if (v == RESP_OK && !mirage_cursor_enter(&qp->resp.bytes)) {
		v = mirage_responder_fault_failed(qp, &w->hdr, -EACCES);
	} else if (v == RESP_OK) {
		v = mirage_responder_atomic(qp, &w->hdr, &old, miss);
		mirage_cursor_leave(&qp->resp.bytes);
	}
	if (v == RESP_MISS)
		return WIRE_HELD;
	if (v == RESP_OK)
		v = mirage_responder_end(qp, &w->hdr);
	if (v != RESP_OK) {
		wire_resp_refuse(qp, v, pkt->psn);
		return WIRE_DONE;
	}

	w->atomic[w->atomics % WIRE_ATOMICS].psn = pkt->psn;
	w->atomic[w->atomics++ % WIRE_ATOMICS].old = old;
	w->msn++;
	w->ack = false;
	wire_resp_answer(qp, PKT_ATOMIC_ACKNOWLEDGE, AETH_CREDITS_NONE, pkt->psn, old);
	return WIRE_DONE;
}

static enum mirage_wire_verdict wire_resp_flush_request(struct mirage_qp *qp,
							const struct mirage_pkt *pkt)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	struct mirage_request *hdr = &w->hdr;
	enum mirage_verdict v;

	wire_resp_fill_hdr(hdr, pkt);
	hdr->length = 0;
	hdr->access = (pkt->flush & IB_FLUSH_GLOBAL ? IB_ACCESS_FLUSH_GLOBAL : 0) |
		      (pkt->flush & IB_FLUSH_PERSISTENT ? IB_ACCESS_FLUSH_PERSISTENT : 0);
	hdr->any = pkt->flush >> 4 == IB_FLUSH_MR;
	if (hdr->any)
		hdr->reach = 1;
	v = mirage_responder_begin(qp, hdr);
	if (v == RESP_OK)
		v = mirage_responder_end(qp, hdr);
	if (v != RESP_OK) {
		wire_resp_refuse(qp, v, pkt->psn);
		return WIRE_DONE;
	}
	w->msn++;
	w->ack = false;
	wire_resp_answer(qp, PKT_READ_RESPONSE_ONLY, AETH_CREDITS_NONE, pkt->psn, 0);
	return WIRE_DONE;
}

static enum mirage_wire_verdict wire_resp_expected(struct mirage_qp *qp,
						   const struct mirage_net_seg *seg,
						   struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	enum mirage_op_class class = seg->pkt.op->class;

	w->quiet = false;
	if (class == OP_SEND || class == OP_WRITE)
		return wire_resp_take_part(qp, seg, miss);
	if (w->open != OP_NONE || w->checked) {
		wire_resp_refuse(qp, mirage_responder_invalid(qp), seg->pkt.psn);
		return WIRE_DONE;
	}
	switch (class) {
	case OP_READ:
		return wire_resp_read_request(qp, &seg->pkt, miss);
	case OP_ATOMIC:
		return wire_resp_atomic_request(qp, &seg->pkt, miss);
	default:
		return wire_resp_flush_request(qp, &seg->pkt);
	}
}

/*
 * UC (IBA 9.8.2): every first packet begins a message, whatever PSN it has. If another packet
 * does not follow the one before, its message has lost packets: it is dropped, and so is the
 * rest of the message.
 */
static enum mirage_wire_verdict wire_resp_unacknowledged(struct mirage_qp *qp,
							 const struct mirage_net_seg *seg,
							 struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);

	if (w->skip) {
		w->skip = false;
		return WIRE_DONE;
	}
	if (w->checked)
		return wire_resp_take_part(qp, seg, miss);
	if (seg->pkt.op->first) {
		w->open = OP_NONE;
	} else if (w->open == OP_NONE || seg->pkt.psn != qp->resp.psn) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_OUT_OF_SEQUENCE);
		w->open = OP_NONE;
		return WIRE_DONE;
	}
	return wire_resp_take_part(qp, seg, miss);
}

static void wire_resp_atomic_again(struct mirage_qp *qp, u32 psn)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	u32 i, n = min_t(u32, w->atomics, WIRE_ATOMICS);

	/* The latest first, since PSNs wrap around. */
	for (i = 1; i <= n; i++) {
		u32 slot = (w->atomics - i) % WIRE_ATOMICS;

		if (w->atomic[slot].psn != psn)
			continue;
		wire_resp_answer(qp, PKT_ATOMIC_ACKNOWLEDGE, AETH_CREDITS_NONE, psn,
				 w->atomic[slot].old);
		return;
	}
}

/* A duplicate of a READ. It is none unless all of its responses have been sent already. */
static enum mirage_wire_verdict wire_resp_read_again(struct mirage_qp *qp,
						     const struct mirage_pkt *pkt,
						     struct mirage_miss *miss)
{
	u32 packets = max(DIV_ROUND_UP(pkt->dmalen, wire_resp_mtu_of(qp)), 1U);
	u32 behind = -mirage_psn_cmp(pkt->psn, qp->resp.psn);
	struct mirage_request hdr = {};

	wire_resp_fill_hdr(&hdr, pkt);
	if (packets > behind ||
	    mirage_responder_again(qp, &hdr, &wire_resp_locked(qp)->read.bytes) != RESP_OK)
		return WIRE_DONE;
	wire_resp_start_read(qp, pkt, true);
	return wire_resp_read_turn(qp, miss);
}

static enum mirage_wire_verdict wire_resp_duplicate(struct mirage_qp *qp,
						    const struct mirage_pkt *pkt,
						    struct mirage_miss *miss)
{
	mirage_stat_inc(qp->dev, MIRAGE_STAT_DUPLICATE_REQUEST);
	switch (mirage_op_of(pkt->op->wr)->answer) {
	case OP_ANSWER_BYTES:
		return wire_resp_read_again(qp, pkt, miss);
	case OP_ANSWER_WORD:
		wire_resp_atomic_again(qp, pkt->psn);
		break;
	case OP_ANSWER_EMPTY:
		wire_resp_answer(qp, PKT_READ_RESPONSE_ONLY, AETH_CREDITS_NONE, pkt->psn, 0);
		break;
	case OP_ACK:
		wire_resp_locked(qp)->ack = true;
		break;
	}
	return WIRE_DONE;
}

static void wire_resp_out_of_sequence(struct mirage_qp *qp)
{
	mirage_stat_inc(qp->dev, MIRAGE_STAT_OUT_OF_SEQUENCE);
	if (!wire_resp_locked(qp)->quiet)
		wire_resp_say_nak(qp, AETH_NAK_PSN, qp->resp.psn);
}

/**
 * mirage_wire_request - a request packet has come
 * @qp: the QP; its lock is held, no READ is under way
 * @seg: the packet
 * @miss: filled if WIRE_HELD is returned; may be filled if WIRE_READING is
 *
 * BHs off. A packet that does not suit the QP or its state is dropped. The round ends with
 * mirage_wire_request_end().
 *
 * Return: see enum mirage_wire_verdict.
 */
enum mirage_wire_verdict mirage_wire_request(struct mirage_qp *qp, const struct mirage_net_seg *seg,
					     struct mirage_miss *miss)
{
	s32 ahead = mirage_psn_cmp(seg->pkt.psn, qp->resp.psn);

	lockdep_assert_held(&qp->lock);
	if (qp->state < IB_QPS_RTR || qp->state >= IB_QPS_ERR || !wire_resp_fits(qp, &seg->pkt)) {
		mirage_stat_inc(qp->dev, MIRAGE_STAT_RX_DISCARDS);
		return WIRE_DONE;
	}
	if (qp->transport == OP_UC)
		return wire_resp_unacknowledged(qp, seg, miss);
	if (likely(!ahead))
		return wire_resp_expected(qp, seg, miss);
	if (ahead < 0)
		return wire_resp_duplicate(qp, &seg->pkt, miss);
	wire_resp_out_of_sequence(qp);
	return WIRE_DONE;
}

/**
 * mirage_wire_request_resume - go on after a wait for a page, or for the next turn of a READ
 * @qp: the QP; its lock is held
 * @err: the error that the fault ended with, or 0
 * @miss: may be filled if WIRE_READING is returned
 *
 * BHs off. After a wait, call this until it returns WIRE_DONE, and only then pass the next
 * packet.
 *
 * Return: see enum mirage_wire_verdict.
 */
enum mirage_wire_verdict mirage_wire_request_resume(struct mirage_qp *qp, int err,
						    struct mirage_miss *miss)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);
	bool alive = qp->state >= IB_QPS_RTR && qp->state < IB_QPS_ERR;

	lockdep_assert_held(&qp->lock);
	if (alive && !err)
		return w->read.active ? wire_resp_read_turn(qp, miss) : WIRE_DONE;
	if (alive)
		wire_resp_failed(qp, err);
	wire_resp_stop_read(qp);
	return WIRE_DONE;
}

/**
 * mirage_wire_request_lost - ask again for request packets that were dropped for want of room
 * @qp: the QP; its lock is held
 */
void mirage_wire_request_lost(struct mirage_qp *qp)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);

	lockdep_assert_held(&qp->lock);
	if (qp->transport == OP_UC) {
		/* UC sends nothing again: the message is lost. */
		w->checked = false;
		w->skip = false;
		w->open = OP_NONE;
		return;
	}
	if (qp->state >= IB_QPS_RTR && qp->state < IB_QPS_ERR && !wire_resp_locked(qp)->nak)
		wire_resp_say_nak(qp, AETH_NAK_PSN, qp->resp.psn);
}

/**
 * mirage_wire_request_end - send the answer to a round of packets
 * @qp: the QP; its lock is held
 *
 * BHs have been off since the first packet of the round.
 */
void mirage_wire_request_end(struct mirage_qp *qp)
{
	struct mirage_wire_resp *w = wire_resp_locked(qp);

	lockdep_assert_held(&qp->lock);
	if (qp->transport == OP_UC)
		return;
	if (w->nak)
		wire_resp_answer(qp, PKT_ACKNOWLEDGE, w->nak, w->nak_psn, 0);
	else if (w->ack)
		wire_resp_answer(qp, PKT_ACKNOWLEDGE, AETH_CREDITS_NONE,
				 (qp->resp.psn - 1) & PSN_MASK, 0);
	w->nak = 0;
	w->ack = false;
	mirage_net_tx_flush(&w->tx);
}

/**
 * mirage_wire_resp_create - initialize the responder's side of a new wire
 * @wire: the wire, whose ->resp is zeroed
 * @attr: has the peer's ->ah_attr and ->dest_qp_num
 *
 * Return: 0, or an error of mirage_net_path_init().
 */
int mirage_wire_resp_create(struct mirage_wire *wire, const struct ib_qp_attr *attr)
{
	struct mirage_qp *qp = wire->qp;

	return mirage_net_path_init(&wire->resp.path, qp->dev, &attr->ah_attr, qp->qpn,
				    attr->dest_qp_num);
}

/** mirage_wire_resp_destroy - free what the responder's side has; both directions are closed */
void mirage_wire_resp_destroy(struct mirage_wire *wire)
{
	struct mirage_wire_resp *w = &wire->resp;

	if (w->read.again)
		mirage_cursor_release(&w->read.bytes);
	mirage_net_path_release(&w->path);
}

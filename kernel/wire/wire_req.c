// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The requester on the wire: send work requests -> packets
 *
 * Model
 * -----
 *
 * A work request is copied out of the ring into a record of ours and gets its PSNs; from then on
 * it is under way. Its slot goes back to the process when it completes. So a retransmission has
 * the headers of the first transmission, whatever the process writes into the ring. Only the
 * bytes of the message are read again; changing them before the completion is the process' own
 * affair.
 *
 *	     sq.index              cur                  tail            prod
 *	--------|-------------------|--------------------|---------------|--> records
 *	        | await answers, or are being sent       |   in the ring
 *	-----|------------------|-----------------|------|------------------> PSNs
 *	    una                psn              next   req.psn
 *
 * The runner of the engine moves a cursor (cur, psn) over the records, and takes up new ones
 * when it has reached their end. Answers (wire_comp.c) move una. A retransmission puts the
 * cursor back to una: only the cursor says what is sent next, and a packet is made from the
 * record and the PSN alone.
 *
 * Runner and answers meet under req.lock, for a moment at the start of each burst. There the
 * runner learns una, and whether to go back. It holds no lock while it builds packets. If a
 * record completes meanwhile, the runner sends a duplicate, or a packet with bytes that the
 * process has written later; the peer drops either for its PSN. Only the runner reuses the
 * memory of a record.
 *
 * If the runner has to wait for an answer (the window is used up, a fence, READs and atomics at
 * their limit) it sets req.starved under the lock, and gets a doorbell when una moves.
 *
 * Packets
 * -------
 *
 * Consecutive packets of one length leave as one super-packet, even if they are of several
 * work requests. Packets from the middle of a message are built by batches.
 *
 * A packet asks for an acknowledgment when nothing follows it, or when so many bytes were sent
 * since one was asked for (WIRE_ASK, WIRE_ASK_WITHIN). Sometimes the runner finds out late that
 * nothing follows: then it opens the packet that was sealed last once more.
 *
 * A READ is asked for in parts of WIRE_READ_MAX bytes. So a lost part is short, and PSNs never
 * get so far ahead that they compare wrongly. The parts of a READ end at the same offsets in a
 * retransmission: to the responder, a request is either a duplicate, which lies wholly behind
 * the expected PSN, or a new one.
 */
#include <linux/slab.h>

#include "base/device.h"
#include "qp/completer.h"
#include "qp/qp.h"
#include "qp/timer.h"
#include "wire/wire.h"

/* Bytes in one burst: after it BHs are enabled, and answers are looked at. */
#define WIRE_BURST	SZ_128K

/* Steps in one burst: a limit for small packets. */
#define WIRE_BURST_PACKETS	64

/* Ask for an acknowledgment after so many bytes at the end of a message, or inside of one. */
#define WIRE_ASK	SZ_64K
#define WIRE_ASK_WITHIN	SZ_256K

/* Bytes of one READ request; a multiple of every path MTU. */
#define WIRE_READ_MAX	SZ_256K

static_assert(WIRE_READS_MAX == MIRAGE_MAX_RD_ATOMIC);
static_assert((WIRE_WINDOW + WIRE_READ_MAX) >> 8 < (PSN_MASK + 1) / 4);

/* After so many timeouts in a row the path may be one that drops super-packets. */
#define WIRE_DOUBT	2

/* How a step of a burst ended. */
enum wire_step {
	STEP_ON,	/* go on */
	STEP_IDLE,	/* nothing is left to send */
	STEP_WAIT,	/* an answer has to come first */
	STEP_MISS,	/* engine.miss has to be brought in first */
	STEP_NOMEM,
};

/**
 * struct wire_burst - one burst: what the runner sends between two looks at the answers
 * @qp: the QP
 * @req: its requester
 * @tx: the packets
 * @una: req->una at the start
 * @limit: first PSN beyond the window
 * @bytes: bytes sent so far
 */
struct wire_burst {
	struct mirage_qp *qp;
	struct mirage_wire_req *req;
	struct mirage_net_tx tx;
	u32 una;
	u32 limit;
	u32 bytes;
};

static struct mirage_wire_wr *wire_req_wr_of(const struct mirage_qp *qp, u32 index)
{
	return mirage_wire_wr(&mirage_wire_of(qp)->req, qp->sq.entries, index);
}

/* Number of work requests that were posted and are not under way yet; -EPROTO if it is absurd. */
static int wire_req_unsent(const struct mirage_qp *qp, const struct mirage_wire_req *req)
{
	/* Pairs with the release store of whoever posts, after the slots were written. */
	u32 prod = smp_load_acquire(&qp->sq.hdr->prod);
	int n = prod - req->tail;

	/* Read after prod: the process may have posted into slots that this index gave back. */
	if (prod - READ_ONCE(qp->sq.index) > qp->sq.entries || n < 0)
		return -EPROTO;
	return n;
}

static void wire_req_close_local(struct mirage_wire_req *req)
{
	if (mirage_cursor_is_open(&req->local))
		mirage_cursor_release(&req->local);
}

/* Puts the cursor back to una, and forgets which READs and atomics were outstanding. */
static void wire_req_rewind(struct mirage_qp *qp, struct mirage_wire_req *req)
{
	lockdep_assert_held(&req->lock);
	wire_req_close_local(req);
	req->cur = qp->sq.index;
	req->psn = req->una;
	req->read_head = 0;
	req->read_tail = 0;
	/* Ask for an acknowledgment with the next packet. */
	req->unasked = WIRE_ASK_WITHIN;
	req->state = WIRE_SENDING;
}

/*
 * Initializes what depends on the attributes and on the first PSN. Nothing is under way, so both
 * may have been modified since.
 */
static void wire_req_begin(struct mirage_qp *qp, struct mirage_wire_req *req)
{
	lockdep_assert_held(&req->lock);
	/* IB_MTU_256 is 1, and 256 is 1 << 8. */
	req->shift = qp->attr.path_mtu + 7;
	if (!req->window)
		req->window = WIRE_WINDOW >> req->shift;
	req->una = qp->req.psn;
	req->next = req->una;
	wire_req_rewind(qp, req);
	req->unasked = 0;
	req->retry_left = qp->attr.retry_cnt;
	req->rnr_left = qp->attr.rnr_retry;
}

/* Begins a burst with a look at the answers. Returns false if nothing may be sent now. */
static bool wire_req_enter(struct wire_burst *r)
{
	struct mirage_wire_req *req = r->req;
	struct mirage_qp *qp = r->qp;
	bool go;

	spin_lock(&req->lock);
	req->starved = false;
	go = req->state == WIRE_SENDING || req->state == WIRE_REWINDING;
	if (go) {
		if (qp->sq.index == req->tail)
			wire_req_begin(qp, req);
		else if (req->state == WIRE_REWINDING || mirage_psn_cmp(req->psn, req->una) < 0)
			wire_req_rewind(qp, req);
		if (req->timeouts >= WIRE_DOUBT)
			req->path.single = true;
		if (req->una == req->next)
			req->progress = jiffies;
		if (!timer_pending(&req->timer) && qp->attr.timeout)
			mirage_wire_timer_arm(req, mirage_timer_ack(qp->attr.timeout));
		r->una = req->una;
		r->limit = (req->una + req->window) & PSN_MASK;
	}
	spin_unlock(&req->lock);
	return go;
}

/* The runner needs an answer to go on. Returns false if one has come meanwhile. */
static bool wire_req_starve(struct wire_burst *r)
{
	struct mirage_wire_req *req = r->req;
	bool same, failed;

	spin_lock(&req->lock);
	same = req->una == r->una && req->state != WIRE_REWINDING;
	failed = req->state == WIRE_FAILED;
	req->starved = same;
	spin_unlock(&req->lock);
	return same || failed;
}

/* The work request under the cursor can not be sent. It fails once those before it are done. */
static void wire_req_fail(struct mirage_qp *qp, enum ib_wc_status status, int err)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	spin_lock_bh(&req->lock);
	/* If it was answered meanwhile it is completed already. */
	if ((int)(req->cur - qp->sq.index) >= 0 && req->cur != req->tail) {
		struct mirage_wire_wr *wr = wire_req_wr_of(qp, req->cur);

		wr->status = status;
		wr->err = err;
		mirage_wire_retire(qp);
	}
	spin_unlock_bh(&req->lock);
	wire_req_close_local(req);
}

/* Tells whether the state of the QP lets another work request start. */
static enum wire_step wire_req_ready(struct wire_burst *r)
{
	struct mirage_qp *qp = r->qp;

	switch (READ_ONCE(qp->state)) {
	case IB_QPS_RTS:
		return STEP_ON;
	case IB_QPS_SQD:
		if (READ_ONCE(qp->sq.index) != r->req->tail)
			return STEP_WAIT;
		mirage_requester_drained(qp);
		return STEP_IDLE;
	default:
		return STEP_IDLE;
	}
}

static enum wire_step wire_req_load(struct wire_burst *r)
{
	struct mirage_wire_req *req = r->req;
	struct mirage_qp *qp = r->qp;
	struct mirage_wire_wr *wr;
	int n, ret;

	/* An XRC target has no send ring. */
	if (!qp->sq.hdr)
		return STEP_IDLE;
	n = wire_req_unsent(qp, req);
	if (n < 0)
		mirage_qp_error(qp, IB_EVENT_QP_FATAL);
	if (n <= 0)
		return STEP_IDLE;

	wr = wire_req_wr_of(qp, req->tail);
	ret = mirage_wqe_copy_send(&wr->wqe, mirage_ring_slot(&qp->sq, req->tail), qp->sq.stride);
	wr->op = mirage_op_of(wr->wqe.head.opcode);
	wr->length = wr->wqe.length;
	wr->err = ret;
	if (ret)
		wr->status = ret == -EMSGSIZE ? IB_WC_LOC_LEN_ERR : IB_WC_LOC_QP_OP_ERR;
	else
		wr->status = mirage_requester_check(qp, wr->op, &wr->wqe);
	if (!wr->status && wr->op->class == OP_ATOMIC)
		wr->length = 8;
	req->filled = req->tail + 1;
	return STEP_ON;
}

/* Forgets the READs and atomics that are answered. Returns the number of those that are not. */
static u32 wire_req_reads(struct mirage_wire_req *req)
{
	u32 una = READ_ONCE(req->una);

	while (req->read_head != req->read_tail &&
	       mirage_psn_cmp(una, req->read_end[req->read_head % WIRE_READS_MAX]) >= 0)
		req->read_head++;
	return (u8)(req->read_tail - req->read_head);
}

/* Tells whether the work request that was loaded may start (IBA 10.8.3.3). */
static bool wire_req_may_start(struct wire_burst *r, const struct mirage_wire_wr *wr)
{
	struct mirage_wire_req *req = r->req;

	if (wr->status)
		return true;
	if ((wr->wqe.head.flags & MIRAGE_WQE_FENCE) && wire_req_reads(req))
		return false;
	/* An earlier work request may be sent again, and needs the key until it is done. */
	return wr->op->wc != IB_WC_LOCAL_INV ||
	       READ_ONCE(r->qp->sq.index) == req->tail;
}

/* Number of PSNs that a work request takes. */
static u32 wire_req_packets(const struct mirage_wire_req *req, const struct mirage_wire_wr *wr)
{
	if (wr->status || wr->op->class == OP_LOCAL)
		return 0;
	return max(((u64)wr->length + BIT(req->shift) - 1) >> req->shift, 1ULL);
}

/* Starts one more work request. One that sends nothing is executed, or has failed, here. */
static enum wire_step wire_req_start(struct wire_burst *r)
{
	struct mirage_wire_req *req = r->req;
	struct mirage_qp *qp = r->qp;
	enum wire_step s = wire_req_ready(r);
	struct mirage_wire_wr *wr;
	bool sent;

	if (s == STEP_ON && req->filled == req->tail)
		s = wire_req_load(r);
	if (s != STEP_ON)
		return s;
	wr = wire_req_wr_of(qp, req->tail);
	if (!wire_req_may_start(r, wr))
		return STEP_WAIT;
	sent = !wr->status && wr->op->class != OP_LOCAL;
	if (!wr->status && !sent) {
		wr->status = mirage_requester_local(qp, wr->op, &wr->wqe.head, &wr->err);
		if (wr->err == -ENOMEM) {
			wr->status = IB_WC_SUCCESS;
			return STEP_NOMEM;
		}
	}

	wr->psn = qp->req.psn;
	wr->end = (wr->psn + wire_req_packets(req, wr)) & PSN_MASK;
	WRITE_ONCE(qp->req.psn, wr->end);
	/* Whoever sees the new tail sees the record that it covers. */
	smp_store_release(&req->tail, req->tail + 1);
	if (!sent) {
		spin_lock(&req->lock);
		mirage_wire_retire(qp);
		spin_unlock(&req->lock);
	}
	return STEP_ON;
}

/* Moves the cursor to @end, over @num packets that were sealed. */
static void wire_req_sent(struct wire_burst *r, const struct mirage_wire_wr *wr, u32 end, s32 num)
{
	struct mirage_wire_req *req = r->req;
	s32 again = mirage_psn_cmp(req->next, req->psn);

	if (unlikely(again > 0))
		mirage_stat_add(r->qp->dev, MIRAGE_STAT_RETRANSMITTED,
				min(again, num));
	/* Written before the packet leaves: an answer beyond ->next would be dropped. */
	if (mirage_psn_cmp(end, req->next) > 0)
		WRITE_ONCE(req->next, end);
	req->psn = end;
	if (end == wr->end) {
		wire_req_close_local(req);
		req->cur++;
	}
}

/* Tells whether the packet in front of @end, of @n bytes, is to ask for an acknowledgment. */
static bool wire_req_ask_now(struct wire_burst *r, const struct mirage_wire_wr *wr, u32 end, u32 n)
{
	struct mirage_wire_req *req = r->req;

	if (r->qp->transport == OP_UC)
		return false;
	/* The BTH is added since packets without payload have to count, too. */
	req->unasked += n + PKT_BTH_LEN;
	if (end == r->limit)
		return true;
	if (end != wr->end)
		return req->unasked >= WIRE_ASK_WITHIN;
	return req->unasked >= WIRE_ASK ||
	       (req->cur + 1 == req->tail && wire_req_unsent(r->qp, req) <= 0);
}

/* Nothing follows for now: ask for an acknowledgment with the last packet, if none was. */
static void wire_req_ask_late(struct wire_burst *r)
{
	struct mirage_wire_req *req = r->req;
	void *segment;

	if (!req->unasked)
		return;
	segment = mirage_net_tx_reopen(&r->tx);
	if (!segment)
		return;
	mirage_pkt_ask(segment);
	mirage_net_tx_seal(&r->tx);
	req->unasked = 0;
}

static struct mirage_pkt wire_req_headers(const struct wire_burst *r,
					  const struct mirage_wire_wr *wr, bool first,
					  bool last)
{
	const struct mirage_send_wqe *head = &wr->wqe.head;

	return (struct mirage_pkt) {
		.opcode = mirage_pkt_opcode(mirage_qp_packets(r->qp), head->opcode, first, last),
		.pkey = 0xffff,
		.qpn = r->qp->attr.dest_qp_num,
		.psn = r->req->psn,
		.va = head->remote_addr,
		.rkey = head->rkey,
		.dmalen = wr->length,
		.ex = head->ex,
		.srqn = head->srqn,
		.solicited = last && (head->flags & MIRAGE_WQE_SOLICITED),
	};
}

/* Offset in the message of the packet under the cursor. */
static u32 wire_req_offset(const struct mirage_wire_req *req, const struct mirage_wire_wr *wr)
{
	return ((req->psn - wr->psn) & PSN_MASK) << req->shift;
}

static enum wire_step wire_req_open_local(struct wire_burst *r, const struct mirage_wire_wr *wr,
					  u32 off)
{
	struct mirage_wire_req *req = r->req;
	const struct mirage_send_copy *wqe = &wr->wqe;
	int ret = 0;

	if (wqe->inline_data)
		mirage_cursor_open_buf(&req->local, wqe->inline_data);
	else
		ret = mirage_cursor_open_sges(&req->local, r->qp->dev, r->qp->pd, wqe->sge,
					      wqe->head.num_sge, wr->op->local);
	if (ret) {
		wire_req_fail(r->qp, IB_WC_LOC_PROT_ERR, ret);
		return STEP_WAIT;
	}
	mirage_cursor_seek(&req->local, off);
	return STEP_ON;
}

/*
 * Opens a small message without a reference on its region: as a rule it is sent at once. Returns
 * false if that is not possible.
 */
static bool wire_req_borrow_local(struct wire_burst *r, const struct mirage_wire_wr *wr)
{
	const struct mirage_send_copy *wqe = &wr->wqe;

	return wqe->head.num_sge == 1 && wr->length - 1 < MIRAGE_CURSOR_BORROW_MAX &&
	       wr->length <= BIT(r->req->shift) &&
	       mirage_cursor_borrow(&r->req->local, r->qp->dev, r->qp->pd, wqe->sge, wr->op->local);
}

/* Number of packets from the cursor on that can be built as one batch, or 0. */
static u32 wire_req_batch_length(const struct wire_burst *r, const struct mirage_wire_wr *wr,
				 u32 left)
{
	const struct mirage_wire_req *req = r->req;
	u32 num, room = mirage_psn_cmp(r->limit, req->psn);

	if (req->psn == wr->psn || req->unasked >= WIRE_ASK_WITHIN || req->local.buf)
		return 0;
	num = min((left - 1) >> req->shift, room);
	return num > 1 ? num : 0;
}

/* Sends a batch from the middle of a SEND or WRITE: @num packets, or as many as fit. */
static enum wire_step wire_req_send_batch(struct wire_burst *r, const struct mirage_wire_wr *wr,
					  u32 num, u32 left)
{
	struct mirage_pkt pkt = wire_req_headers(r, wr, false, false);
	struct mirage_wire_req *req = r->req;
	struct mirage_miss miss = {};
	u32 end, bytes;

	pkt.payload = BIT(req->shift);
	num = mirage_wire_batch_fill(&r->tx, &req->path, &pkt, &req->local, num, left, &miss);
	if (num) {
		end = (req->psn + num) & PSN_MASK;
		bytes = num * r->tx.seg_len;
		if (wire_req_ask_now(r, wr, end, bytes)) {
			mirage_pkt_ask(mirage_net_tx_last(&r->tx));
			req->unasked = 0;
		}
		mirage_net_tx_seal(&r->tx);
		r->bytes += bytes;
		wire_req_sent(r, wr, end, num);
	}
	if (likely(!miss.mr))
		return num ? STEP_ON : STEP_NOMEM;
	r->qp->engine.miss = miss;
	return STEP_MISS;
}

/* Sends one packet of a SEND or WRITE, or a batch. */
static enum wire_step wire_req_send_data(struct wire_burst *r, const struct mirage_wire_wr *wr)
{
	struct mirage_wire_req *req = r->req;
	u32 end = (req->psn + 1) & PSN_MASK, off = wire_req_offset(req, wr), run;
	u32 left = wr->length - off, n = min_t(u32, left, BIT(req->shift)), len;
	bool borrowed = false;
	struct mirage_pkt pkt;
	enum wire_step s;
	void *to;

	if (!mirage_cursor_is_open(&req->local)) {
		borrowed = wire_req_borrow_local(r, wr);
		s = borrowed ? STEP_ON : wire_req_open_local(r, wr, off);
		if (s != STEP_ON)
			return s;
	}
	run = wire_req_batch_length(r, wr, left);
	if (run)
		return wire_req_send_batch(r, wr, run, left);
	pkt = wire_req_headers(r, wr, req->psn == wr->psn, end == wr->end);
	pkt.payload = n;
	pkt.ack = wire_req_ask_now(r, wr, end, n);
	len = mirage_pkt_ops[pkt.opcode].len + ALIGN(n, 4) + PKT_ICRC_LEN;
	to = mirage_net_tx_segment(&r->tx, &req->path, len, left - n);
	if (!to)
		return STEP_NOMEM;
	to += mirage_pkt_build(to, &pkt);
	if (unlikely(borrowed ? !mirage_cursor_read_small(&req->local, to, n) :
				!mirage_cursor_read(&req->local, to, n, left,
						    &r->qp->engine.miss))) {
		mirage_net_tx_cancel(&r->tx);
		/* A borrowed region can not be waited for: open it with a reference, try again. */
		return borrowed ? wire_req_open_local(r, wr, off) : STEP_MISS;
	}
	mirage_net_tx_seal(&r->tx);
	if (pkt.ack)
		req->unasked = 0;
	r->bytes += len;
	wire_req_sent(r, wr, end, 1);
	return STEP_ON;
}

/* Sends a request without payload. Its answer takes the PSNs up to @end. */
static enum wire_step wire_req_send_head(struct wire_burst *r, const struct mirage_wire_wr *wr,
					 struct mirage_pkt *pkt,
					 u32 end)
{
	struct mirage_wire_req *req = r->req;
	u32 len = mirage_pkt_ops[pkt->opcode].len + PKT_ICRC_LEN;
	void *to = mirage_net_tx_segment(&r->tx, &req->path, len, 0);

	if (!to)
		return STEP_NOMEM;
	pkt->ack = true;
	mirage_pkt_build(to, pkt);
	mirage_net_tx_seal(&r->tx);
	/* Its answer acknowledges all packets before it. */
	req->unasked = 0;
	r->bytes += len;
	req->read_end[req->read_tail++ % WIRE_READS_MAX] = end;
	wire_req_sent(r, wr, end, 1);
	return STEP_ON;
}

/* Asks for the next part of a READ. */
static enum wire_step wire_req_send_read(struct wire_burst *r, const struct mirage_wire_wr *wr)
{
	struct mirage_wire_req *req = r->req;
	u32 off = wire_req_offset(req, wr), n = wr->length - off;
	struct mirage_pkt pkt = wire_req_headers(r, wr, true, true);
	enum wire_step s;

	/* Check the local keys before the peer is asked for bytes. */
	if (!off) {
		s = wire_req_open_local(r, wr, 0);
		if (s != STEP_ON)
			return s;
		wire_req_close_local(req);
	}
	n = min_t(u32, n, WIRE_READ_MAX - off % WIRE_READ_MAX);
	pkt.va += off;
	pkt.dmalen = n;
	n = max_t(u32, DIV_ROUND_UP(n, BIT(req->shift)), 1);
	return wire_req_send_head(r, wr, &pkt, (req->psn + n) & PSN_MASK);
}

static enum wire_step wire_req_send_atomic(struct wire_burst *r, const struct mirage_wire_wr *wr)
{
	const struct mirage_send_wqe *head = &wr->wqe.head;
	struct mirage_pkt pkt = wire_req_headers(r, wr, true, true);
	enum wire_step s;

	s = wire_req_open_local(r, wr, 0);
	if (s != STEP_ON)
		return s;
	wire_req_close_local(r->req);
	if (wr->op->atomic == OP_CMP_SWAP) {
		pkt.swap_add = head->swap;
		pkt.compare = head->compare_add;
	} else {
		pkt.swap_add = head->compare_add;
	}
	return wire_req_send_head(r, wr, &pkt, wr->end);
}

static enum wire_step wire_req_send_flush(struct wire_burst *r, const struct mirage_wire_wr *wr)
{
	const struct mirage_send_wqe *head = &wr->wqe.head;
	struct mirage_pkt pkt = wire_req_headers(r, wr, true, true);

	/* FETH: the placement type in the low bits, then the selectivity level (annex A19). */
	pkt.flush = (head->swap & 0xf) | (head->swap >> 32 & 3) << 4;
	pkt.dmalen = head->compare_add;
	return wire_req_send_head(r, wr, &pkt, wr->end);
}

/* Sends the next packet, or batch, of the work request under the cursor. */
static enum wire_step wire_req_send(struct wire_burst *r, const struct mirage_wire_wr *wr)
{
	struct mirage_qp *qp = r->qp;
	enum wire_step s;

	if (mirage_psn_cmp(r->req->psn, r->limit) >= 0)
		return STEP_WAIT;
	if (wr->op->answer == OP_ACK)
		return wire_req_send_data(r, wr);

	if (wire_req_reads(r->req) >= max_t(u8, qp->attr.max_rd_atomic, 1))
		return STEP_WAIT;
	switch (wr->op->class) {
	case OP_READ:
		return wire_req_send_read(r, wr);
	case OP_ATOMIC:
		return wire_req_send_atomic(r, wr);
	case OP_FLUSH:
		return wire_req_send_flush(r, wr);
	default:
		break;
	}
	/* An ATOMIC WRITE: its eight bytes are payload, and its answer is that of a READ. */
	s = wire_req_send_data(r, wr);
	if (s == STEP_ON)
		r->req->read_end[r->req->read_tail++ % WIRE_READS_MAX] = wr->end;
	return s;
}

static enum wire_step wire_req_step(struct wire_burst *r)
{
	struct mirage_wire_req *req = r->req;
	const struct mirage_wire_wr *wr;

	if (req->cur == req->tail)
		return wire_req_start(r);
	wr = wire_req_wr_of(r->qp, req->cur);
	if (wr->status)
		return STEP_WAIT;
	if (wr->psn != wr->end)
		return wire_req_send(r, wr);
	req->cur++;
	return STEP_ON;
}

static enum mirage_engine_verdict wire_req_burst(struct wire_burst *r)
{
	enum wire_step s = STEP_ON;
	int n;

	if (!wire_req_enter(r))
		return ENGINE_IDLE;
	for (n = 0; s == STEP_ON && n < WIRE_BURST_PACKETS && r->bytes < WIRE_BURST; n++)
		s = wire_req_step(r);
	if (s == STEP_ON)
		return ENGINE_MORE;

	wire_req_ask_late(r);
	switch (s) {
	case STEP_MISS:
		return ENGINE_FAULT;
	case STEP_NOMEM:
		r->qp->engine.delay = 1;
		return ENGINE_DELAY;
	case STEP_WAIT:
		return wire_req_starve(r) ? ENGINE_IDLE : ENGINE_MORE;
	default:
		return ENGINE_IDLE;
	}
}

/* The QP, or its send queue, is in error: flushes all work requests, under way or posted. */
static void wire_req_flush(struct mirage_qp *qp)
{
	struct mirage_wire_req *req = &mirage_wire_of(qp)->req;

	wire_req_close_local(req);
	mirage_wire_flush(qp);
	mirage_complete_flush_sends(qp);
	req->tail = qp->sq.index;
	req->filled = req->tail;
	req->cur = req->tail;
}

/**
 * mirage_wire_req_run - send what may be sent
 * @qp: the QP, connected over the wire; the caller is its runner
 *
 * Any context but hardirq, no locks held.
 *
 * Return: as mirage_requester_run().
 */
enum mirage_engine_verdict mirage_wire_req_run(struct mirage_qp *qp)
{
	struct wire_burst r = { .qp = qp, .req = &mirage_wire_of(qp)->req };
	int err = qp->engine.fault_error;
	enum mirage_engine_verdict v;

	qp->engine.fault_error = 0;
	if (mirage_qp_flushes(qp)) {
		wire_req_flush(qp);
		return ENGINE_IDLE;
	}
	if (err)
		wire_req_fail(qp, IB_WC_LOC_PROT_ERR, err);
	local_bh_disable();
	v = wire_req_burst(&r);
	mirage_net_tx_flush(&r.tx);
	if (qp->transport == OP_UC)
		mirage_wire_sent(qp);
	local_bh_enable();
	mirage_wire_response_end(qp);
	return v;
}

/** mirage_wire_req_is_busy - tell whether a work request is under way */
bool mirage_wire_req_is_busy(const struct mirage_qp *qp)
{
	return READ_ONCE(qp->sq.index) != READ_ONCE(mirage_wire_of(qp)->req.tail);
}

/**
 * mirage_wire_req_create - initialize the requester of a new wire
 * @wire: the wire, zeroed except its QP and req.lock; nobody else knows it yet
 * @attr: has the peer's ->ah_attr and ->dest_qp_num
 *
 * Process context.
 *
 * Return: 0, -ENOMEM, or an error of mirage_net_path_init().
 */
int mirage_wire_req_create(struct mirage_wire *wire, const struct ib_qp_attr *attr)
{
	struct mirage_qp *qp = wire->qp;
	u32 room = (qp->sq.stride - sizeof(struct mirage_send_wqe)) /
		   sizeof(struct mirage_sge);
	struct mirage_wire_req *req = &wire->req;
	int ret;

	timer_setup(&req->timer, mirage_wire_timer_expired, 0);
	req->implied_nak = WIRE_NO_PSN;
	req->tail = qp->sq.index;
	req->filled = req->tail;
	req->cur = req->tail;
	room = min_t(u32, room, MIRAGE_MAX_SGE);
	req->stride = ALIGN(offsetof(struct mirage_wire_wr, wqe.sge) +
			    room * sizeof(struct mirage_sge), sizeof(u64));
	req->wrs = kvcalloc(qp->sq.entries, req->stride, GFP_KERNEL_ACCOUNT);
	if (!req->wrs)
		return -ENOMEM;
	ret = mirage_net_path_init(&req->path, qp->dev, &attr->ah_attr, qp->qpn,
				   attr->dest_qp_num);
	if (ret) {
		kvfree(req->wrs);
		req->wrs = NULL;
	}
	return ret;
}

/**
 * mirage_wire_req_destroy - free what a requester has
 * @wire: the wire; the engine of its QP is stopped, and its responses are closed
 *
 * Process context.
 */
void mirage_wire_req_destroy(struct mirage_wire *wire)
{
	struct mirage_wire_req *req = &wire->req;

	timer_shutdown_sync(&req->timer);
	wire_req_close_local(req);
	if (mirage_cursor_is_open(&req->into))
		mirage_cursor_release(&req->into);
	mirage_net_path_release(&req->path);
	kvfree(req->wrs);
}

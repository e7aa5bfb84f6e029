// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The carrier between two QPs of one device
 *
 * The requester's runner executes the responder, too. It takes the peer's lock for a step of
 * at most MTT_COPY_MAX bytes and copies straight from region to region; the return value is
 * the responder's answer. PSNs advance as on the wire, so that a connection behaves in the same
 * way on every carrier.
 */
#include "base/device.h"
#include "direct/direct.h"
#include "net/address.h"
#include "qp/carrier.h"
#include "qp/qp.h"

static bool direct_same_gid(const union ib_gid *a, const union ib_gid *b)
{
	return a->global.interface_id == b->global.interface_id &&
	       a->global.subnet_prefix == b->global.subnet_prefix;
}

static bool direct_may_receive(const struct mirage_qp *peer)
{
	lockdep_assert_held(&peer->lock);
	return peer->state >= IB_QPS_RTR && peer->state < IB_QPS_ERR;
}

/* Tells whether the peer is connected to this QP, as its addresses and numbers say. */
static bool direct_is_connected(const struct mirage_qp *peer, const struct mirage_qp *qp)
{
	return direct_may_receive(peer) &&
	       peer->type == qp->peer_type && peer->attr.dest_qp_num == qp->qpn &&
	       direct_same_gid(&peer->dgid, &qp->sgid) && direct_same_gid(&peer->sgid, &qp->dgid);
}

/* Tells whether the peer is still connected: no address of a QP has changed since the check. */
static bool direct_still_connected(const struct mirage_qp *peer, const struct mirage_qp *qp)
{
	return direct_may_receive(peer) && qp->req.addressed == atomic_read(&qp->dev->addressed);
}

static bool direct_still_ours(const struct mirage_qp *peer, const struct mirage_requester *req)
{
	return peer->resp.busy && peer->resp.msg == req->msg;
}

static void direct_restart(struct mirage_requester *req)
{
	req->begun = false;
	req->done = 0;
	mirage_cursor_rewind(&req->local);
	mirage_cursor_rewind(&req->result);
}

static enum mirage_verdict direct_atomic_step(struct mirage_qp *peer, struct mirage_requester *req,
					      struct mirage_miss *miss)
{
	enum mirage_verdict v;

	req->remote_miss = true;
	v = mirage_responder_atomic(peer, &req->hdr, &req->old, miss);
	if (v != RESP_OK)
		return v;
	req->executed = true;
	mirage_cursor_open_buf(&req->result, &req->old);
	return RESP_OK;
}

static enum mirage_verdict direct_move_step(struct mirage_qp *peer, struct mirage_requester *req,
					    struct mirage_miss *miss)
{
	struct mirage_cursor *to = &req->local, *from = &req->local;
	u32 left = req->hdr.length - req->done, n;

	if (req->op->class == OP_READ)
		from = &peer->resp.bytes;
	else if (req->op->class == OP_ATOMIC)
		from = &req->result;
	else
		to = &peer->resp.bytes;

	if (mirage_cursor_move_small(to, from, left)) {
		req->done += left;
		return RESP_OK;
	}
	/* The requester takes a reference on its region now, and calls again. */
	if (mirage_cursor_is_borrowed(&req->local))
		return RESP_GOES_ON;
	n = mirage_cursor_move(to, from, left, miss);
	req->done += n;
	if (n == left)
		return RESP_OK;
	if (n == MTT_COPY_MAX)
		return RESP_GOES_ON;
	req->remote_miss = (miss->write ? to : from) == &peer->resp.bytes;
	return RESP_MISS;
}

static enum mirage_verdict direct_remote_step(struct mirage_qp *peer, struct mirage_requester *req,
					      struct mirage_miss *miss)
{
	enum mirage_verdict v = RESP_OK;

	if (req->op->class == OP_ATOMIC)
		v = direct_atomic_step(peer, req, miss);
	if (v == RESP_OK)
		v = direct_move_step(peer, req, miss);
	mirage_cursor_leave(&peer->resp.bytes);
	return v;
}

static enum mirage_verdict direct_step(struct mirage_qp *peer, struct mirage_qp *qp,
				       struct mirage_miss *miss)
{
	struct mirage_requester *req = &qp->req;
	enum mirage_verdict v;

	if (!req->begun) {
		v = mirage_responder_begin(peer, &req->hdr);
		if (v != RESP_OK)
			return v;
		req->begun = true;
		req->msg = peer->resp.msg;
	} else if (!direct_still_ours(peer, req)) {
		direct_restart(req);
		return RESP_SILENT;
	}

	/* An atomic that was executed already has only its result to move. */
	if (req->executed)
		v = direct_move_step(peer, req, miss);
	else if (likely(mirage_cursor_enter(&peer->resp.bytes)))
		v = direct_remote_step(peer, req, miss);
	else
		v = mirage_responder_fault_failed(peer, &req->hdr, -EACCES);
	return v == RESP_OK ? mirage_responder_end(peer, &req->hdr) : v;
}

static enum mirage_verdict direct_fail_request(struct mirage_qp *peer, struct mirage_requester *req,
					       int err)
{
	if (direct_still_ours(peer, req))
		return mirage_responder_fault_failed(peer, &req->hdr, err);
	direct_restart(req);
	return RESP_SILENT;
}

/* Looks the peer up. Returns true if it is connected to us; it is in ->req.peer then. */
static noinline bool direct_find_peer(struct mirage_qp *qp)
{
	struct mirage_qp *peer;
	bool found;

	mirage_requester_forget_peer(qp);
	peer = mirage_qp_get(qp->dev, qp->attr.dest_qp_num);
	if (!peer)
		return false;
	qp->req.peer = peer;
	spin_lock(&peer->lock);
	/* The count is read before the check: if an address changes meanwhile we check again. */
	qp->req.addressed = atomic_read_acquire(&qp->dev->addressed);
	found = direct_is_connected(peer, qp);
	spin_unlock(&peer->lock);
	if (!found)
		mirage_requester_forget_peer(qp);
	return found;
}

/*
 * Runs the responder of the peer, if that is connected to us. With @miss it makes one step;
 * without, it ends the request because a fault has failed with @err. The peer is remembered,
 * since its look-up costs as much as a small message. The remembered QP may have been destroyed
 * by now, and another QP may have its number.
 *
 * Always inline, with requester_succeed() and responder_allowed(): 1.1 % of a 64 B WRITE, 32 a
 * doorbell (perftest/bench).
 */
static __always_inline enum mirage_verdict direct_ask_peer(struct mirage_qp *qp,
							   struct mirage_miss *miss, int err)
{
	enum mirage_verdict v;
	struct mirage_qp *peer;

	lockdep_assert_in_softirq();
	for (;;) {
		peer = qp->req.peer;
		if (likely(peer)) {
			spin_lock(&peer->lock);
			if (likely(direct_still_connected(peer, qp)))
				break;
			spin_unlock(&peer->lock);
		}
		if (!direct_find_peer(qp))
			return RESP_SILENT;
	}
	v = miss ? direct_step(peer, qp, miss) : direct_fail_request(peer, &qp->req, err);
	spin_unlock(&peer->lock);
	return v;
}

/* The request() of struct mirage_stepper. A step moves at most MTT_COPY_MAX bytes. */
static enum mirage_verdict direct_request(struct mirage_qp *qp, struct mirage_miss *miss)
{
	return direct_ask_peer(qp, miss, 0);
}

static enum mirage_verdict direct_fail(struct mirage_qp *qp, int err)
{
	return direct_ask_peer(qp, NULL, err);
}

static bool direct_suits(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	return !attr || mirage_local_gid(qp->dev, &rdma_ah_read_grh(&attr->ah_attr)->dgid);
}

/* The peer is looked up when the first work request is executed. */
static int direct_connect(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	return 0;
}

static int direct_readdress(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	return direct_suits(qp, attr) ? 0 : -EINVAL;
}

/* The peer's requester waits for the RNR timer. A receive has come: end that wait early. */
static void direct_receive_posted(struct mirage_qp *qp)
{
	struct mirage_qp *peer;
	u32 qpn;

	spin_lock_bh(&qp->lock);
	qpn = qp->attr.dest_qp_num;
	spin_unlock_bh(&qp->lock);
	peer = mirage_qp_get(qp->dev, qpn);
	if (!peer)
		return;
	mirage_engine_end_delay(&peer->engine);
	mirage_qp_put(peer);
}

static const struct mirage_stepper direct_stepper = {
	.burst = 16,
	.request = direct_request,
	.fail = direct_fail,
};

const struct mirage_carrier mirage_direct_carrier = {
	.suits = direct_suits,
	.connect = direct_connect,
	.readdress = direct_readdress,
	.run = mirage_requester_run,
	.is_busy = mirage_requester_is_busy,
	.receive_posted = direct_receive_posted,
	.step = &direct_stepper,
};

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The carrier between two QPs of one device
 *
 * The requester's runner plays the responder's part as well: it takes the peer's
 * lock for a step of at most MTT_COPY_MAX bytes, copies straight from region to
 * region, and reads the answer off the return value. PSNs advance as on the wire, so
 * that a connection means the same whatever carries it.
 */
#include "base/device.h"
#include "direct/direct.h"
#include "qp/qp.h"

static bool same_gid(const union ib_gid *a, const union ib_gid *b)
{
	return a->global.interface_id == b->global.interface_id &&
	       a->global.subnet_prefix == b->global.subnet_prefix;
}

static __always_inline bool receives(const struct qp *peer)
{
	lockdep_assert_held(&peer->lock);
	return peer->state >= IB_QPS_RTR && peer->state < IB_QPS_ERR;
}

/* Would the peer take a packet of this QP for one of its connection? */
static bool connected(const struct qp *peer, const struct qp *qp)
{
	return receives(peer) &&
	       peer->type == qp->peer_type && peer->attr.dest_qp_num == qp->qpn &&
	       same_gid(&peer->dgid, &qp->sgid) && same_gid(&peer->sgid, &qp->dgid);
}

/* It would when it was asked last, and nobody got an address since. */
static __always_inline bool still_connected(const struct qp *peer, const struct qp *qp)
{
	return receives(peer) && qp->req.addressed == atomic_read(&qp->dev->addressed);
}

static bool still_ours(const struct qp *peer, const struct req *req)
{
	return peer->resp.busy && peer->resp.msg == req->msg;
}

static void restart(struct req *req)
{
	req->begun = false;
	req->done = 0;
	bytes_rewind(&req->local);
	bytes_rewind(&req->result);
}

static enum resp_verdict atomic_step(struct qp *peer, struct req *req,
				     struct miss *miss)
{
	enum resp_verdict v;

	req->remote_miss = true;
	v = resp_atomic(peer, &req->hdr, &req->old, miss);
	if (v != RESP_OK)
		return v;
	req->executed = true;
	bytes_from_buf(&req->result, &req->old);
	return RESP_OK;
}

static enum resp_verdict move_step(struct qp *peer, struct req *req,
				   struct miss *miss)
{
	struct bytes *to = &req->local, *from = &req->local;
	u32 left = req->hdr.length - req->done, n;

	if (req->op->class == OP_READ)
		from = &peer->resp.bytes;
	else if (req->op->class == OP_ATOMIC)
		from = &req->result;
	else
		to = &peer->resp.bytes;

	if (bytes_move_small(to, from, left)) {
		req->done += left;
		return RESP_OK;
	}
	/* The requester takes references now, and comes back. */
	if (bytes_borrowed(&req->local))
		return RESP_GOES_ON;
	n = bytes_move(to, from, left, miss);
	req->done += n;
	if (n == left)
		return RESP_OK;
	if (n == MTT_COPY_MAX)
		return RESP_GOES_ON;
	req->remote_miss = (miss->write ? to : from) == &peer->resp.bytes;
	return RESP_MISS;
}

static enum resp_verdict remote_step(struct qp *peer, struct req *req,
				     struct miss *miss)
{
	enum resp_verdict v = RESP_OK;

	if (req->op->class == OP_ATOMIC)
		v = atomic_step(peer, req, miss);
	if (v == RESP_OK)
		v = move_step(peer, req, miss);
	bytes_leave(&peer->resp.bytes);
	return v;
}

static enum resp_verdict step(struct qp *peer, struct qp *qp, struct miss *miss)
{
	struct req *req = &qp->req;
	enum resp_verdict v;

	if (!req->begun) {
		v = resp_begin(peer, &req->hdr);
		if (v != RESP_OK)
			return v;
		req->begun = true;
		req->msg = peer->resp.msg;
	} else if (!still_ours(peer, req)) {
		restart(req);
		return RESP_SILENT;
	}

	/* What an atomic does at the responder's may be done already. */
	if (req->executed)
		v = move_step(peer, req, miss);
	else if (likely(bytes_enter(&peer->resp.bytes)))
		v = remote_step(peer, req, miss);
	else
		v = resp_fault_failed(peer, &req->hdr, -EACCES);
	return v == RESP_OK ? resp_end(peer, &req->hdr) : v;
}

static enum resp_verdict fault_failed(struct qp *peer, struct req *req, int err)
{
	if (still_ours(peer, req))
		return resp_fault_failed(peer, &req->hdr, err);
	restart(req);
	return RESP_SILENT;
}

/* Looks the peer up; true: one that was connected to us is in ->req.peer now. */
static noinline bool find_peer(struct qp *qp)
{
	struct qp *peer;
	bool found;

	direct_detach(qp);
	peer = qp_get(qp->dev, qp->attr.dest_qp_num);
	if (!peer)
		return false;
	qp->req.peer = peer;
	spin_lock(&peer->lock);
	/* Read first: who gets an address meanwhile is looked at again. */
	qp->req.addressed = atomic_read_acquire(&qp->dev->addressed);
	found = connected(peer, qp);
	spin_unlock(&peer->lock);
	if (!found)
		direct_detach(qp);
	return found;
}

/*
 * Runs the responder, if there is one that is connected to us: a step of it, or,
 * without @miss, its part of a fault that failed for @err. The peer is remembered,
 * since looking it up costs as much as a small message; what is remembered may have
 * been destroyed, and its number be another QP's by now.
 */
static __always_inline enum resp_verdict ask_peer(struct qp *qp, struct miss *miss, int err)
{
	enum resp_verdict v;
	struct qp *peer;

	lockdep_assert_in_softirq();
	for (;;) {
		peer = qp->req.peer;
		if (likely(peer)) {
			spin_lock(&peer->lock);
			if (likely(still_connected(peer, qp)))
				break;
			spin_unlock(&peer->lock);
		}
		if (!find_peer(qp))
			return RESP_SILENT;
	}
	v = miss ? step(peer, qp, miss) : fault_failed(peer, &qp->req, err);
	spin_unlock(&peer->lock);
	return v;
}

/**
 * direct_request - carry the request under way one step on
 * @qp: the requester's QP; the caller is its runner
 * @miss: filled with RESP_MISS
 *
 * BHs off, no locks held. A step is at most MTT_COPY_MAX bytes.
 *
 * Return: the responder's answer, or RESP_GOES_ON: call again. With RESP_RNR and
 * RESP_MISS @qp->req.peer is the responder.
 */
enum resp_verdict direct_request(struct qp *qp, struct miss *miss)
{
	return ask_peer(qp, miss, 0);
}

/**
 * direct_fault_failed - the responder's page that is missing can not be had
 * @qp: the requester's QP; the caller is its runner
 * @err: why
 *
 * BHs off, no locks held. Return: the responder's answer.
 */
enum resp_verdict direct_fault_failed(struct qp *qp, int err)
{
	return ask_peer(qp, NULL, err);
}

/**
 * direct_detach - forget the peer
 * @qp: the QP; the caller is its runner, or nobody is
 */
void direct_detach(struct qp *qp)
{
	if (qp->req.peer)
		qp_put(qp->req.peer);
	qp->req.peer = NULL;
}

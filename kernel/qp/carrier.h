/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Carriers: what differs between the ways to a peer
 *
 * A queue pair posts, completes, parks, changes its state and answers requests in one way,
 * whoever its peer is. How a request gets there is its carrier's: direct/ copies between
 * two QPs of one device, wire/ makes packets for connections, ud/ sends datagrams. The device
 * has a list of carriers, from the top of the module; a QP takes the first that suits it.
 */
#ifndef MIRAGE_CARRIER_H
#define MIRAGE_CARRIER_H

#include <rdma/ib_verbs.h>

#include "mem/cursor.h"
#include "qp/engine.h"
#include "qp/responder.h"

struct mirage_qp;

/**
 * struct mirage_carrier - one way to a peer
 * @suits: does it carry this QP? @attr is NULL when the QP is created, and has ->ah_attr
 *	when a connected QP goes to RTR
 * @create: what a new QP needs of it besides, in qp->carried; or NULL. Process context.
 *	Returns 0 or -ENOMEM.
 * @connect: before the QP goes to RTR; @attr has the peer's ->ah_attr and ->dest_qp_num, but
 *	for datagrams. Process context, the QP's mutex is held. Returns 0, -ENOMEM, -ENETDOWN, or
 *	-EINVAL for addresses that it can not reach.
 * @readdress: the peer is reached another way from now on; the QP's mutex is held, its engine
 *	stopped, and nothing of its requester's under way. Process context. Returns as @connect,
 *	and -EINVAL where another carrier would be needed: the PSNs of a connection are its own.
 * @disconnect: the end of what @connect made; or NULL. The engine is stopped; the QP's mutex is
 *	held, or nobody else has the QP. May sleep, never for a page. When it returns nothing of
 *	the carrier touches the QP any more.
 * @drop: forget what was received and not yet delivered; or NULL. The QP's lock is held.
 * @reset: forget whom it sent to; or NULL. The engine is stopped, the state is RESET. May sleep.
 * @run: execute send work requests, as mirage_requester_run()
 * @is_busy: is a send work request under way?
 * @receive_posted: a receive was posted that a peer was told to wait for; or NULL. Task
 *	context, no locks held.
 * @step: for mirage_requester_run(); NULL where @run is another
 */
struct mirage_carrier {
	bool (*suits)(struct mirage_qp *qp, const struct ib_qp_attr *attr);
	int (*create)(struct mirage_qp *qp);
	int (*connect)(struct mirage_qp *qp, const struct ib_qp_attr *attr);
	int (*readdress)(struct mirage_qp *qp, const struct ib_qp_attr *attr);
	void (*disconnect)(struct mirage_qp *qp);
	void (*drop)(struct mirage_qp *qp);
	void (*reset)(struct mirage_qp *qp);

	enum mirage_engine_verdict (*run)(struct mirage_qp *qp);
	bool (*is_busy)(const struct mirage_qp *qp);
	void (*receive_posted)(struct mirage_qp *qp);
	const struct mirage_stepper *step;
};

/**
 * struct mirage_stepper - how a carrier executes one work request after the other
 * @burst: work requests, or steps of a large one, that are executed with BHs off
 * @check: may the work request that was taken up be sent? Returns IB_WC_SUCCESS, or what is
 *	wrong with it; or NULL
 * @reads_once: are the bytes of the work request wanted once at most, with BHs off? Then a
 *	small message needs no reference on its region; or NULL: they are
 * @request: carry the request under way one step on. BHs off, no locks held; returns the
 *	responder's answer, or RESP_GOES_ON: call again. With RESP_MISS @miss is filled, and
 *	qp->req.remote_miss says whose page it is; with RESP_RNR qp->req.peer is the responder.
 * @fail: the responder's page that was missing can not be had, for @err; as @request
 * @is_large: did the work request that was executed last copy more than it is long? or NULL
 * @flush: BHs are about to be on again; or NULL
 *
 * The caller is the QP's runner.
 */
struct mirage_stepper {
	int burst;
	enum ib_wc_status (*check)(struct mirage_qp *qp);
	bool (*reads_once)(const struct mirage_qp *qp);
	enum mirage_verdict (*request)(struct mirage_qp *qp, struct mirage_miss *miss);
	enum mirage_verdict (*fail)(struct mirage_qp *qp, int err);
	bool (*is_large)(const struct mirage_qp *qp);
	void (*flush)(struct mirage_qp *qp);
};

const struct mirage_carrier *mirage_carrier_for(struct mirage_qp *qp,
						const struct ib_qp_attr *attr);

#endif

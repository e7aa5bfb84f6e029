/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Carriers: what differs between the ways to a peer
 *
 * Posting, completing, parking, changing the state and answering requests are the same for
 * every queue pair, whoever its peer is. How a request reaches the peer is up to the carrier:
 * direct/ copies between two QPs of one device, wire/ makes packets for connections, ud/ sends
 * datagrams. The device has a list of carriers (kernel/device.c); a QP takes the first one
 * that suits it.
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
 * @suits: tells whether the carrier can serve this QP. @attr is NULL when the QP is created,
 *	and has ->ah_attr when a connected QP goes to RTR.
 * @create: allocates what the carrier keeps for a new QP, in qp->carried; or NULL. Process
 *	context. Returns 0 or -ENOMEM.
 * @connect: called before the QP goes to RTR. @attr has the peer's ->ah_attr and ->dest_qp_num,
 *	except for datagrams. Process context, the QP's mutex is held. Returns 0, -ENOMEM,
 *	-ENETDOWN, or -EINVAL for an address that the carrier can not reach.
 * @readdress: the peer has another address from now on. The QP's mutex is held, its engine is
 *	stopped, and no send work request is under way. Process context. Returns as @connect.
 *	-EINVAL also where the new address needs another carrier: each carrier counts the PSNs of
 *	a connection itself.
 * @disconnect: undoes @connect; or NULL. The engine is stopped. The QP's mutex is held, or
 *	nobody else has the QP. May sleep, never for a page. After it has returned the carrier
 *	does not touch the QP any more.
 * @drop: drops what was received and not yet delivered; or NULL. The QP's lock is held.
 * @reset: forgets the destinations of earlier sends; or NULL. The engine is stopped, the state
 *	is RESET. May sleep.
 * @run: executes send work requests, as mirage_requester_run() does
 * @is_busy: tells whether a send work request is under way
 * @receive_posted: a receive was posted, and an RNR NAK has told the peer to wait for one; or
 *	NULL. Task context, no locks held.
 * @step: for mirage_requester_run(); NULL where @run is another function
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
 * @burst: number of work requests, or of steps of a large one, between two times that BHs
 *	are enabled
 * @check: tells whether the work request that was just taken up may be sent; or NULL. Returns
 *	IB_WC_SUCCESS, or what is wrong with it.
 * @reads_once: tells whether @request reads the message at most once, with BHs off. Then a
 *	small message needs no reference on its region. NULL means yes.
 * @request: carries the request under way one step further. BHs off, no locks held. Returns the
 *	responder's answer, or RESP_GOES_ON: call again. With RESP_MISS, @miss is filled and
 *	qp->req.remote_miss says whose page is missing. With RESP_RNR, qp->req.peer is the
 *	responder.
 * @fail: the responder's missing page can not be brought in, because of @err. Context and
 *	answers as @request.
 * @is_large: tells whether the last work request copied more bytes than its message has; or NULL
 * @flush: BHs are about to be enabled; or NULL
 *
 * The caller of all of them is the QP's runner.
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

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Datagrams: QPs of type UD and GSI
 */
#ifndef MIRAGE_UD_H
#define MIRAGE_UD_H

#include <linux/list.h>
#include <rdma/ib_verbs.h>

#include "net/net.h"
#include "qp/carrier.h"
#include "qp/park.h"
#include "qp/qp.h"
#include "ud/ah.h"

/* In front of every payload, in the receive work request's bytes (IBA 11.4.1.2). */
#define UD_GRH_LEN	40

/* Bytes of datagrams that wait for a receiver's page; what comes beyond is dropped. */
#define UD_HOLD_MAX	SZ_1M

/**
 * struct mirage_ud - what a QP for datagrams has more than others
 * @av: of the work request under way, or the last one; of the requester
 * @path: to there, where that is not this device; of the requester
 * @tx: what is being sent there; empty when BHs are on; of the requester
 * @held: datagrams, the first of which misses a page of the receiver; qp->lock
 * @bytes: theirs; qp->lock
 * @draining: somebody works @held off, or is going to; qp->lock
 * @error: permanent answer of the fault, for the first of @held; qp->lock
 * @park: where the first of @held waits
 */
struct mirage_ud {
	struct mirage_av *av;
	struct mirage_net_path path;
	struct mirage_net_tx tx;
	struct list_head held;
	u32 bytes;
	bool draining;
	int error;
	struct mirage_park park;
};

extern const struct mirage_carrier mirage_ud_carrier;

static inline bool mirage_ud_type(enum ib_qp_type type)
{
	return type == IB_QPT_UD || type == IB_QPT_GSI;
}

/** mirage_ud_of - what a QP for datagrams has more than others */
static inline struct mirage_ud *mirage_ud_of(const struct mirage_qp *qp)
{
	return qp->carried;
}

#endif

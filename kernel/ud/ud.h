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

/* Bytes of the GRH, which a receive work request gets in front of the payload (IBA 11.4.1.2). */
#define UD_GRH_LEN	40

/* Bytes of held datagrams, for each receiver; what comes beyond is dropped. */
#define UD_HOLD_MAX	SZ_1M

/**
 * struct mirage_ud - the carrier's part of a QP for datagrams
 * @av: address vector of the last work request; owned by the runner
 * @path: the way to it, unless it is an address of this device; owned by the runner
 * @tx: the packets that are being sent there; empty when BHs are on; owned by the runner
 * @held: received datagrams; the first of them misses a page of this QP; qp->lock
 * @bytes: bytes of @held; qp->lock
 * @draining: @held is being delivered, or its first datagram waits for a fault; qp->lock
 * @error: the error that the fault of the first one ended with, or 0; qp->lock
 * @park: where the first one waits
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

/** mirage_ud_of - the carrier's part of a QP for datagrams */
static inline struct mirage_ud *mirage_ud_of(const struct mirage_qp *qp)
{
	return qp->carried;
}

#endif

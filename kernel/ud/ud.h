/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Datagrams: QPs of type UD and GSI
 */
#ifndef MIRAGE_UD_H
#define MIRAGE_UD_H

#include <linux/list.h>
#include <rdma/ib_verbs.h>

#include "mem/odp.h"
#include "net/net.h"
#include "qp/responder.h"
#include "ud/ah.h"

struct mirage_qp;

/* In front of every payload, in the receive work request's bytes (IBA 11.4.1.2). */
#define UD_GRH_LEN	40

/* Bytes of datagrams that wait for a receiver's page; what comes beyond is dropped. */
#define UD_HOLD_MAX	SZ_1M

/**
 * struct mirage_ud - what a QP for datagrams has more than others
 * @qp: the QP
 * @av: of the work request under way, or the last one; of the requester
 * @path: to there, where that is not this device; of the requester
 * @tx: what is being sent there; empty when BHs are on; of the requester
 * @held: datagrams, the first of which misses a page of the receiver; qp->lock
 * @bytes: theirs; qp->lock
 * @draining: somebody works @held off, or is going to; qp->lock
 * @waiter: with the fault of the first one; a reference on the QP is held meanwhile
 */
struct mirage_ud {
	struct mirage_qp *qp;
	struct mirage_av *av;
	struct mirage_net_path path;
	struct mirage_net_tx tx;
	struct list_head held;
	u32 bytes;
	bool draining;
	struct mirage_odp_waiter waiter;
};

static inline bool mirage_ud_type(enum ib_qp_type type)
{
	return type == IB_QPT_UD || type == IB_QPT_GSI;
}

int mirage_ud_create(struct mirage_qp *qp);
void mirage_ud_reset(struct mirage_qp *qp);
void mirage_ud_drop_held(struct mirage_qp *qp);

enum ib_wc_status mirage_ud_check(struct mirage_qp *qp);
bool mirage_ud_sends_once(const struct mirage_qp *qp);
bool mirage_ud_fanned_out(const struct mirage_qp *qp);
enum mirage_verdict mirage_ud_request(struct mirage_qp *qp, struct mirage_miss *miss);
void mirage_ud_flush(struct mirage_qp *qp);
u32 mirage_ud_input(struct mirage_dev *dev, struct sk_buff *skb, struct mirage_net_seg *seg);

#endif

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

struct qp;

/* In front of every payload, in the receive work request's bytes (IBA 11.4.1.2). */
#define UD_GRH_LEN	40

/* Bytes of datagrams that wait for a receiver's page; what comes beyond is dropped. */
#define UD_HOLD_MAX	SZ_1M

/**
 * struct ud - what a QP for datagrams has more than others
 * @qp: the QP
 * @av: of the work request under way, or the last one; of the requester
 * @path: to there, where that is not this device; of the requester
 * @tx: what is being sent there; empty when BHs are on; of the requester
 * @held: datagrams, the first of which misses a page of the receiver; qp->lock
 * @bytes: theirs; qp->lock
 * @draining: somebody works @held off, or is going to; qp->lock
 * @waiter: with the fault of the first one; a reference on the QP is held meanwhile
 */
struct ud {
	struct qp *qp;
	struct av *av;
	struct net_path path;
	struct net_tx tx;
	struct list_head held;
	u32 bytes;
	bool draining;
	struct odp_waiter waiter;
};

static inline bool ud_type(enum ib_qp_type type)
{
	return type == IB_QPT_UD || type == IB_QPT_GSI;
}

int ud_create(struct qp *qp);
void ud_reset(struct qp *qp);
void ud_drop_held(struct qp *qp);

enum ib_wc_status ud_check(struct qp *qp);
bool ud_sends_once(const struct qp *qp);
bool ud_fanned_out(const struct qp *qp);
enum resp_verdict ud_request(struct qp *qp, struct miss *miss);
void ud_flush(struct qp *qp);
u32 ud_input(struct mirage_dev *dev, struct sk_buff *skb, struct net_seg *seg);

#endif

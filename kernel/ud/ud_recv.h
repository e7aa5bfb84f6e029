/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Datagrams on their way to a receiver
 */
#ifndef MIRAGE_UD_RECV_H
#define MIRAGE_UD_RECV_H

#include "base/device.h"
#include "qp/qp.h"
#include "ud/ud.h"

/**
 * struct mirage_datagram - all of a datagram but its payload
 * @grh: the GRH that the receiver gets in front of the payload
 * @ipv4: @grh ends with an IPv4 header
 * @imm: it has an immediate
 * @solicited: the SE bit
 * @src_qp: number of the QP that sent it
 * @qkey: the Q_Key; the receiver takes it only if it has the same
 * @ex: the immediate, big endian
 * @len: bytes of payload
 */
struct mirage_datagram {
	u8 grh[UD_GRH_LEN];
	bool ipv4;
	bool imm;
	bool solicited;
	u32 src_qp;
	u32 qkey;
	u32 ex;
	u32 len;
};

/** mirage_ud_drop - count a datagram to or from a QP as dropped */
static inline void mirage_ud_drop(struct mirage_qp *qp)
{
	mirage_stat_inc(qp->dev, MIRAGE_STAT_UD_DROPPED);
}

bool mirage_ud_deliver(struct mirage_qp *qp, const struct mirage_datagram *d,
		       struct mirage_cursor *from,
		       struct mirage_miss *miss);
void mirage_ud_drop_held(struct mirage_qp *qp);
void mirage_ud_recv_init(struct mirage_qp *qp);
u32 mirage_ud_input(struct mirage_dev *dev, struct sk_buff *skb, struct mirage_net_seg *seg);

#endif

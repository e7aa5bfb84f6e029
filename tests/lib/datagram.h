/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * datagram.h - a UD queue pair with a receive buffer of as many slots as it has receives
 */
#ifndef TESTS_DATAGRAM_H
#define TESTS_DATAGRAM_H

#include "rc.h"

#define DGRAM_GRH	40u
#define DGRAM_QKEY	0x0a0b0c0du
#define DGRAM_SLOT	8192u		/* larger than any message with its GRH */
#define DGRAM_SLOTS	16u

struct dgram {
	struct rc_dev *dev;
	struct ibv_pd *pd;
	struct ibv_qp *qp;
	struct ibv_cq *scq, *rcq;
	struct rc_buf in, out;
};

/* What one may be made with; all zero is the usual. */
struct dgram_attr {
	struct ibv_pd *pd;
	struct ibv_srq *srq;
	uint32_t create_flags;
};

/* In RTS, with DGRAM_QKEY. */
struct dgram *dgram_create(struct rc_dev *dev, const struct dgram_attr *attr);
void dgram_destroy(struct dgram *d);
void dgram_to_rts(struct dgram *d, uint32_t qkey);	/* from RESET */

/* An address handle to a GID, by way of the GID of ours at an index. */
struct ibv_ah_attr dgram_address(const union ibv_gid *to, int sgid_index);
struct ibv_ah *dgram_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr);
struct ibv_ah *dgram_ah_self(struct dgram *d);		/* to this very device */

/* Into slot wr_id, of so many bytes, the GRH included. */
void dgram_recv(struct dgram *d, uint64_t wr_id, uint32_t len);
/* The payload of a received one is that of dgram_send() with the seed. */
void dgram_verify(struct dgram *d, const struct ibv_wc *wc, uint32_t len, uint64_t seed);

/* Signalled; the completion is the caller's. */
void dgram_send(struct dgram *d, struct ibv_ah *ah, uint32_t qpn, uint32_t qkey,
		uint32_t len, uint64_t seed);
/* To @to, received as slot @id (posted here), every byte compared. */
void dgram_passes(struct dgram *d, struct ibv_ah *ah, struct dgram *to, uint64_t id);

#endif

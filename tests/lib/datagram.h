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

/* Attributes of the queue pair; all zero is the default. */
struct dgram_attr {
	struct ibv_pd *pd;
	struct ibv_srq *srq;
	uint32_t create_flags;
};

/* In RTS, with DGRAM_QKEY. */
struct dgram *dgram_create(struct rc_dev *dev, const struct dgram_attr *attr);
void dgram_destroy(struct dgram *d);
void dgram_to_rts(struct dgram *d, uint32_t qkey);	/* from RESET */

/* An address handle to a GID, from our GID with that index. */
struct ibv_ah_attr dgram_address(const union ibv_gid *to, int sgid_index);
struct ibv_ah *dgram_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr);
struct ibv_ah *dgram_ah_self(struct dgram *d);		/* to this device itself */

/* Post a receive of that many bytes, GRH included, for slot wr_id. */
void dgram_recv(struct dgram *d, uint64_t wr_id, uint32_t len);
/* Check the payload of a received datagram: dgram_send() made it with this seed. */
void dgram_verify(struct dgram *d, const struct ibv_wc *wc, uint32_t len, uint64_t seed);

/* Signalled; the caller polls the completion. */
void dgram_send(struct dgram *d, struct ibv_ah *ah, uint32_t qpn, uint32_t qkey,
		uint32_t len, uint64_t seed);
/* Send to @to, receive in slot @id (posted here), and compare every byte. */
void dgram_passes(struct dgram *d, struct ibv_ah *ah, struct dgram *to, uint64_t id);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * peer.h - two processes on two hosts, a TCP connection between them, and queue
 * pairs connected over the wire
 *
 * They exchange fixed structs over the TCP connection, since both ends are the same
 * program on the same machine.
 */
#ifndef WIRE_PEER_H
#define WIRE_PEER_H

#include "rc.h"

/* A queue pair, as one end describes it to the other. */
struct peer_qp {
	uint32_t qpn, psn;
	union ibv_gid gid;
};

struct peer_end {
	struct rc_dev *dev;
	enum ibv_qp_type type;
	struct ibv_qp *qp;
	struct ibv_cq *scq, *rcq;
	struct peer_qp mine, other;
	struct ibv_ah *ah;		/* of a UD queue pair, to the other end */
};

#define PEER_QKEY	0x11223344u
#define PEER_DEPTH	64

/* Accept one connection, or try to connect until it works. */
int peer_accept(int port);
int peer_connect(const char *host, int port);

/* Transfer all of it, or fail the test case. */
void peer_write(int fd, const void *p, size_t len);
void peer_read(int fd, void *p, size_t len);

/* Address attributes of every later connection. */
extern struct peer_path {
	const char *gid;	/* our GID, as text; NULL: peer_pick_gid() picks one */
	uint8_t tclass;
	uint32_t flow_label;
} peer_path;

/* A GID of this kind (IPv4 or IPv6) that is not link-local, or peer_path's. */
void peer_pick_gid(struct rc_dev *dev, bool ipv6);

bool peer_has_flush(struct rc_dev *dev);	/* and the atomic write */

/*
 * A queue pair up to RTS, connected (UD: with an address handle) to that of fd's end.
 * send_ops not 0: with ibv_qp_ex.
 */
struct peer_end peer_end_create(struct rc_dev *dev, enum ibv_qp_type type, int fd,
				enum ibv_mtu mtu, uint64_t send_ops);
void peer_end_destroy(struct peer_end *end);

#endif

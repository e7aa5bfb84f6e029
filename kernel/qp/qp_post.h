/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Kernel users post to their queue pairs
 */
#ifndef MIRAGE_QP_POST_H
#define MIRAGE_QP_POST_H

#include <rdma/ib_verbs.h>

int mirage_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		     const struct ib_send_wr **bad_wr);
int mirage_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		     const struct ib_recv_wr **bad_wr);

#endif

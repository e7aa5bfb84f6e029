/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Completions of a QP
 */
#ifndef MIRAGE_COMP_H
#define MIRAGE_COMP_H

#include <rdma/ib_verbs.h>

struct qp;
struct mirage_cqe;
struct mirage_send_wqe;
struct op;

int comp_send(struct qp *qp, enum ib_wc_status status, int err);
int comp_wire(struct qp *qp, const struct mirage_send_wqe *head, const struct op *op,
	      u32 length, enum ib_wc_status status, int err);
int comp_recv(struct qp *qp, struct mirage_cqe *cqe, bool solicited);
void comp_flush_sends(struct qp *qp);
void comp_flush_recvs(struct qp *qp);

#endif

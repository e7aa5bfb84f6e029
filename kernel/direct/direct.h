/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The carrier between two QPs of one device: one copy, no packet
 */
#ifndef MIRAGE_DIRECT_H
#define MIRAGE_DIRECT_H

#include "qp/responder.h"

struct qp;

enum resp_verdict direct_request(struct qp *qp, struct miss *miss);
enum resp_verdict direct_fault_failed(struct qp *qp, int err);
void direct_detach(struct qp *qp);

#endif

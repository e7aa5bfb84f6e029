/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The carrier between two QPs of one device: one copy, no packet
 */
#ifndef MIRAGE_DIRECT_H
#define MIRAGE_DIRECT_H

#include "qp/responder.h"

struct mirage_qp;

enum mirage_verdict mirage_direct_request(struct mirage_qp *qp, struct mirage_miss *miss);
enum mirage_verdict mirage_direct_fault_failed(struct mirage_qp *qp, int err);
void mirage_direct_detach(struct mirage_qp *qp);

#endif

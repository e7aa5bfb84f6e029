/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Multicast groups: which QPs of a device receive what is sent to a multicast address
 */
#ifndef MIRAGE_MCAST_H
#define MIRAGE_MCAST_H

#include <rdma/ib_verbs.h>

#include "base/tables.h"

struct mirage_dev;
struct mirage_qp;

void mirage_mcast_init(struct mirage_mcast_table *table);
bool mirage_mcast_empty(const struct mirage_mcast_table *table);
void mirage_mcast_for_each(struct mirage_dev *dev, const union ib_gid *gid,
			   void (*fn)(struct mirage_qp *qp, void *arg), void *arg);

int mirage_attach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid);
int mirage_detach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid);

#endif

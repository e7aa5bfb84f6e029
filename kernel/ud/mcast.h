/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Multicast groups: which QPs of a device get what is sent to which
 */
#ifndef MIRAGE_MCAST_H
#define MIRAGE_MCAST_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <rdma/ib_verbs.h>

struct mirage_dev;
struct mirage_qp;

/* The true limits, as ibv_query_device_ex reports them. */
#define MIRAGE_MAX_MCAST_GROUPS	8192
#define MIRAGE_MAX_MCAST_MEMBERS	256

#define MIRAGE_MCAST_BUCKETS		256

/**
 * struct mirage_mcast_table - the groups of a device
 * @mutex: changes of it
 * @groups: how many there are
 * @bucket: them, by hash; read under RCU
 */
struct mirage_mcast_table {
	struct mutex mutex;		/* changes of the table */
	u32 groups;
	struct hlist_head bucket[MIRAGE_MCAST_BUCKETS];
};

void mirage_mcast_init(struct mirage_mcast_table *table);
bool mirage_mcast_empty(const struct mirage_mcast_table *table);
void mirage_mcast_for_each(struct mirage_dev *dev, const union ib_gid *gid,
			   void (*fn)(struct mirage_qp *qp, void *arg), void *arg);

int mirage_attach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid);
int mirage_detach_mcast(struct ib_qp *ibqp, union ib_gid *gid, u16 lid);

#endif

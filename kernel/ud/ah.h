/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Address handles: where datagrams go
 */
#ifndef MIRAGE_AH_H
#define MIRAGE_AH_H

#include <linux/kref.h>
#include <rdma/ib_verbs.h>

#include "net/net.h"

struct mirage_dev;

/**
 * struct mirage_av - an address vector
 * @ref: one of the handle, one of each send queue that uses it
 * @rcu: lookups are lockless
 * @num: what work requests call it, index into dev->ahs
 * @pd: compared by address only
 * @sgid: our address
 * @dgid: the destination
 * @local: @dgid is an address of this device
 * @multicast: @dgid is a group
 * @dead: the handle was destroyed
 * @tclass: traffic class, or TOS
 * @hop_limit: or TTL
 * @flow_label: of IPv6
 * @path: to be copied by who sends there; without a route
 * @wired: there is a @path, which no packet to this device needs
 *
 * Written before it is found; but for @dead it does not change.
 */
struct mirage_av {
	struct kref ref;
	struct rcu_head rcu;
	u32 num;
	struct ib_pd *pd;
	union ib_gid sgid;
	union ib_gid dgid;
	bool local;
	bool multicast;
	bool dead;
	u8 tclass;
	u8 hop_limit;
	u32 flow_label;
	struct mirage_net_path path;
	bool wired;
};

struct mirage_av *mirage_av_get(struct mirage_dev *dev, struct ib_pd *pd, u32 num);
void mirage_av_put(struct mirage_av *av);

int mirage_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *attr,
		     struct ib_udata *udata);
int mirage_destroy_ah(struct ib_ah *ibah, u32 flags);

#endif

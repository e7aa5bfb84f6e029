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
 * @ref: the handle has a reference, and so has each send queue that uses the vector
 * @rcu: look-ups take no lock
 * @num: its number in work requests, and its index in dev->ahs
 * @pd: the PD of the handle, compared by address only
 * @sgid: our address
 * @dgid: the destination
 * @local: @dgid is an address of this device
 * @multicast: @dgid is a multicast group
 * @dead: the handle was destroyed
 * @tclass: traffic class of IPv6, or TOS of IPv4
 * @hop_limit: hop limit of IPv6, or TTL of IPv4
 * @flow_label: of IPv6
 * @path: the way to @dgid, which has no route yet; each sender copies it
 * @wired: @path is valid; there is none to an address of this device
 *
 * All fields are written before the vector can be found. Only @dead changes afterwards.
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

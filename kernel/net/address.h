/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What a device has of its netdev: addresses, and the length of packets
 */
#ifndef MIRAGE_ADDRESS_H
#define MIRAGE_ADDRESS_H

#include <rdma/ib_verbs.h>

struct mirage_dev;

bool mirage_local_gid(struct mirage_dev *dev, const union ib_gid *gid);
u16 mirage_gid_vlan(struct mirage_dev *dev, const union ib_gid *gid);
enum ib_mtu mirage_device_mtu(const struct mirage_dev *dev);

#endif

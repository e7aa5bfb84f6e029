/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The device as the RDMA core sees it
 */
#ifndef MIRAGE_DEVICE_H
#define MIRAGE_DEVICE_H

#include <rdma/ib_verbs.h>

#include "mirage-abi.h"

/* By which the core tells our devices from others. */
#define MIRAGE_RDMA_DRIVER	((enum rdma_driver_id)MIRAGE_DRIVER_ID)

struct mirage_dev;
struct net_device;

struct mirage_dev *mirage_device_create(struct net_device *netdev);

#endif

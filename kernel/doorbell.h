/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The doorbell of processes
 */
#ifndef MIRAGE_DOORBELL_H
#define MIRAGE_DOORBELL_H

#include <rdma/uverbs_ioctl.h>

/* What uverbs is told of the driver's own ioctl methods. */
extern const struct uapi_definition mirage_uapi_defs[];

#endif

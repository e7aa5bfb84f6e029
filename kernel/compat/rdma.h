/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What older kernels lack of the RDMA core. Force-included, as compat.h.
 */
#ifndef MIRAGE_COMPAT_RDMA_H
#define MIRAGE_COMPAT_RDMA_H

#endif

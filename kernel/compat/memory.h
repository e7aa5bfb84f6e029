/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What older kernels lack of memory registration.
 */
#ifndef MIRAGE_COMPAT_MEMORY_H
#define MIRAGE_COMPAT_MEMORY_H

#ifndef HAVE_IB_UMEM_GET_VA
#include <rdma/ib_umem.h>

static inline struct ib_umem *ib_umem_get_va(struct ib_device *device,
					     unsigned long addr, size_t size,
					     int access)
{
	return ib_umem_get(device, addr, size, access);
}
#endif

#endif

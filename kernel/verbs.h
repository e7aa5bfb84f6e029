/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The small objects: contexts, PDs, XRC domains
 */
#ifndef MIRAGE_VERBS_H
#define MIRAGE_VERBS_H

#include <rdma/ib_verbs.h>
#include <rdma/uverbs_ioctl.h>

/* The core allocates these. They have no fields of ours. */

/**
 * struct mirage_ucontext - a process that uses the device
 * @ibuctx: the core's object
 */
struct mirage_ucontext {
	struct ib_ucontext ibuctx;
};

/**
 * struct mirage_pd - a protection domain
 * @ibpd: the core's object
 */
struct mirage_pd {
	struct ib_pd ibpd;
};

/**
 * struct mirage_xrcd - an XRC domain
 * @ibxrcd: the core's object
 */
struct mirage_xrcd {
	struct ib_xrcd ibxrcd;
};

int mirage_alloc_ucontext(struct ib_ucontext *uctx, struct ib_udata *udata);
int mirage_query_ucontext(struct ib_ucontext *uctx, struct uverbs_attr_bundle *attrs);
void mirage_dealloc_ucontext(struct ib_ucontext *uctx);
void mirage_disassociate_ucontext(struct ib_ucontext *uctx);

int mirage_alloc_pd(struct ib_pd *pd, struct ib_udata *udata);
int mirage_dealloc_pd(struct ib_pd *pd, struct ib_udata *udata);

int mirage_alloc_xrcd(struct ib_xrcd *xrcd, struct ib_udata *udata);
int mirage_dealloc_xrcd(struct ib_xrcd *xrcd, struct ib_udata *udata);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Who calls a verb
 */
#ifndef MIRAGE_UDATA_H
#define MIRAGE_UDATA_H

#include <rdma/uverbs_ioctl.h>

/**
 * mirage_udata_context - the context of the process behind a call
 * @udata: driver data of the call
 *
 * Return: the context, or NULL for a kernel user.
 */
static inline struct ib_ucontext *mirage_udata_context(struct ib_udata *udata)
{
	return udata ? rdma_udata_to_uverbs_attr_bundle(udata)->context : NULL;
}

#endif

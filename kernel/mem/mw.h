/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory windows: remote rights to a part of a region, which work requests give and take
 */
#ifndef MIRAGE_MW_H
#define MIRAGE_MW_H

#include <rdma/ib_verbs.h>

#include "base/tables.h"

struct mirage_dev;
struct mirage_mr;
struct mirage_mw;

/**
 * struct mirage_ibmw - a window as the core sees it
 * @ibmw: the core's object
 * @mw: the window as lookups see it; outlives @ibmw by a grace period
 */
struct mirage_ibmw {
	struct ib_mw ibmw;
	struct mirage_mw *mw;
};

/**
 * struct mirage_mw_bind - a bind work request
 * @rkey: the window's key, or an older key of it
 * @new_rkey: the window's key after the bind
 * @lkey: key of the region
 * @access: IB_ACCESS_REMOTE_*
 * @addr: first byte, an address of the region
 * @length: bytes; 0 to unbind
 */
struct mirage_mw_bind {
	u32 rkey;
	u32 new_rkey;
	u32 lkey;
	int access;
	u64 addr;
	u64 length;
};

struct mirage_mr *mirage_rkey_get(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn,
				  u32 rkey, u64 addr, u64 len, int access);
struct mirage_mw *mirage_mw_enter(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn, u32 rkey,
				  u64 addr, u64 len, int access, u32 lkey);
void mirage_mw_leave(struct mirage_mw *mw);
int mirage_mw_bind(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn,
		   const struct mirage_mw_bind *bind);
int mirage_mw_invalidate(struct mirage_dev *dev, struct ib_pd *pd, u32 qpn, u32 rkey);

void mirage_mw_table_init(struct mirage_mw_table *table);
void mirage_mw_end_qp(struct mirage_dev *dev, u32 qpn);

int mirage_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata);
int mirage_dealloc_mw(struct ib_mw *ibmw);

#endif

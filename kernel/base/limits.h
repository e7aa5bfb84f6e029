/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The limits of a device: the true ones, as ibv_query_device_ex() reports them
 */
#ifndef MIRAGE_LIMITS_H
#define MIRAGE_LIMITS_H

/* Objects of one device. */
#define MIRAGE_MAX_QP			65536
#define MIRAGE_MAX_CQ			65536
#define MIRAGE_MAX_MR			65536	/* memory windows included */
#define MIRAGE_MAX_PD			65536
#define MIRAGE_MAX_AH			65536
#define MIRAGE_MAX_SRQ			65536
#define MIRAGE_MAX_XRCD			65536

/* One queue, one work request, one message. */
#define MIRAGE_MAX_CQE			262144
#define MIRAGE_MAX_WR			16384
#define MIRAGE_MAX_SGE			32
#define MIRAGE_MAX_INLINE		1024
#define MIRAGE_MAX_MSG			0x80000000U
#define MIRAGE_MAX_RD_ATOMIC		128

/* Pages of one fast registration. */
#define MIRAGE_MAX_FASTREG_PAGES	1024

#define MIRAGE_MAX_MCAST_GROUPS		8192
#define MIRAGE_MAX_MCAST_MEMBERS	256	/* of one group */

#endif

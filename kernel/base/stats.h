/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Counters of a device, in the RDMA tools' own terms
 */
#ifndef MIRAGE_STATS_H
#define MIRAGE_STATS_H

#include <linux/percpu.h>
#include <rdma/ib_verbs.h>

/* The order is that of the names in stats.c. */
enum mirage_stat {
	MIRAGE_STAT_PAGE_FAULTS,
	MIRAGE_STAT_PAGE_FAULTS_HANDLED,
	MIRAGE_STAT_PAGE_INVALIDATIONS,
	MIRAGE_STAT_PAGE_INVALIDATIONS_HANDLED,
	MIRAGE_STAT_PAGE_PREFETCH,
	MIRAGE_STAT_RNR_NAK,
	MIRAGE_STAT_RETRY_EXCEEDED,
	MIRAGE_STAT_LOCAL_ERRORS,
	MIRAGE_STAT_REMOTE_ERRORS,
	MIRAGE_STAT_DUPLICATE_REQUEST,
	MIRAGE_STAT_OUT_OF_SEQUENCE,
	MIRAGE_STAT_HELD,
	MIRAGE_STAT_HOLD_OVERFLOW,
	MIRAGE_STAT_RX_DISCARDS,
	MIRAGE_STAT_PACKET_SEQ_ERR,
	MIRAGE_STAT_IMPLIED_NAK,
	MIRAGE_STAT_ACK_TIMEOUT,
	MIRAGE_STAT_RNR_RETRY,
	MIRAGE_STAT_RETRANSMITTED,
	MIRAGE_STAT_BAD_RESPONSE,
	MIRAGE_STAT_TX_PACKETS,
	MIRAGE_STAT_TX_BYTES,
	MIRAGE_STAT_TX_SUPER_PACKETS,
	MIRAGE_STAT_TX_DROPPED,
	MIRAGE_STAT_RX_PACKETS,
	MIRAGE_STAT_RX_BYTES,
	MIRAGE_STAT_RX_SUPER_PACKETS,
	MIRAGE_STAT_RX_MALFORMED,
	MIRAGE_STAT_RX_ICRC_ERRORS,
	MIRAGE_STAT_UD_DROPPED,
	MIRAGE_STAT_QKEY_VIOLATIONS,
	MIRAGE_STAT_MAX,
};

/**
 * struct mirage_stats - the counters of one CPU
 * @count: by enum mirage_stat
 */
struct mirage_stats {
	u64 count[MIRAGE_STAT_MAX];
};

/* Any context; dev is a struct mirage_dev. */
#define mirage_stat_inc(dev, id)	this_cpu_inc((dev)->stats->count[id])
#define mirage_stat_add(dev, id, n)	this_cpu_add((dev)->stats->count[id], n)

struct rdma_hw_stats *mirage_alloc_hw_port_stats(struct ib_device *ibdev, u32 port);
int mirage_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats, u32 port,
			int index);

#endif

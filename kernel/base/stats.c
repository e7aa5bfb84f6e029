// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Counters of a device, as rdma(8) and sysfs show them
 */
#include "base/device.h"
#include "base/stats.h"

static const struct rdma_stat_desc descs[] = {
	[MIRAGE_STAT_PAGE_FAULTS].name = "page_faults",
	[MIRAGE_STAT_PAGE_FAULTS_HANDLED].name = "page_faults_handled",
	[MIRAGE_STAT_PAGE_INVALIDATIONS].name = "page_invalidations",
	[MIRAGE_STAT_PAGE_INVALIDATIONS_HANDLED].name = "page_invalidations_handled",
	[MIRAGE_STAT_PAGE_PREFETCH].name = "page_prefetch",
	[MIRAGE_STAT_RNR_NAK].name = "rnr_nak",
	[MIRAGE_STAT_RETRY_EXCEEDED].name = "retry_exceeded",
	[MIRAGE_STAT_LOCAL_ERRORS].name = "local_errors",
	[MIRAGE_STAT_REMOTE_ERRORS].name = "remote_errors",
	[MIRAGE_STAT_DUPLICATE_REQUEST].name = "duplicate_request",
	[MIRAGE_STAT_OUT_OF_SEQUENCE].name = "out_of_sequence",
	[MIRAGE_STAT_HELD].name = "held",
	[MIRAGE_STAT_HOLD_OVERFLOW].name = "hold_overflow",
	[MIRAGE_STAT_RX_DISCARDS].name = "rx_discards",
	[MIRAGE_STAT_PACKET_SEQ_ERR].name = "packet_seq_err",
	[MIRAGE_STAT_IMPLIED_NAK].name = "implied_nak_seq_err",
	[MIRAGE_STAT_ACK_TIMEOUT].name = "local_ack_timeout_err",
	[MIRAGE_STAT_RNR_RETRY].name = "rnr_nak_retry_err",
	[MIRAGE_STAT_RETRANSMITTED].name = "retransmitted_packets",
	[MIRAGE_STAT_BAD_RESPONSE].name = "unexpected_responses",
	[MIRAGE_STAT_TX_PACKETS].name = "tx_packets",
	[MIRAGE_STAT_TX_BYTES].name = "tx_bytes",
	[MIRAGE_STAT_TX_SUPER_PACKETS].name = "tx_super_packets",
	[MIRAGE_STAT_TX_DROPPED].name = "tx_dropped",
	[MIRAGE_STAT_RX_PACKETS].name = "rx_packets",
	[MIRAGE_STAT_RX_BYTES].name = "rx_bytes",
	[MIRAGE_STAT_RX_SUPER_PACKETS].name = "rx_super_packets",
	[MIRAGE_STAT_RX_MALFORMED].name = "rx_malformed",
	[MIRAGE_STAT_RX_ICRC_ERRORS].name = "rx_icrc_errors",
	[MIRAGE_STAT_UD_DROPPED].name = "ud_dropped",
	[MIRAGE_STAT_QKEY_VIOLATIONS].name = "qkey_violations",
};

static_assert(ARRAY_SIZE(descs) == MIRAGE_STAT_MAX);

/** mirage_alloc_hw_port_stats - ib_device_ops.alloc_hw_port_stats */
struct rdma_hw_stats *mirage_alloc_hw_port_stats(struct ib_device *ibdev, u32 port)
{
	return rdma_alloc_hw_stats_struct(descs, ARRAY_SIZE(descs),
					  RDMA_HW_STATS_DEFAULT_LIFESPAN);
}

static u64 stats_sum_of(const struct mirage_dev *dev, enum mirage_stat id)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(dev->stats, cpu)->count[id]);
	return sum;
}

/**
 * mirage_get_hw_stats - ib_device_ops.get_hw_stats
 * @ibdev: the device
 * @stats: all of them are filled in
 * @port: 0: the device has none of its own
 * @index: not used
 *
 * Return: how many were filled in, or -EINVAL.
 */
int mirage_get_hw_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats, u32 port,
			int index)
{
	int id;

	if (!port)
		return -EINVAL;
	for (id = 0; id < MIRAGE_STAT_MAX; id++)
		stats->value[id] = stats_sum_of(to_mdev(ibdev), id);
	/* What is told of is dealt with at once, and is counted once. */
	stats->value[MIRAGE_STAT_PAGE_INVALIDATIONS_HANDLED] =
		stats->value[MIRAGE_STAT_PAGE_INVALIDATIONS];
	return MIRAGE_STAT_MAX;
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How long a requester waits (IBA volume 1, 9.7.5 and 9.7.6)
 */
#include <linux/jiffies.h>
#include <linux/minmax.h>

#include "qp/timer.h"

/* In units of 10 us; index is the RNR NAK timer field (IBA table 45). */
static const u16 rnr_delay[32] = {
	65535, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384,
	512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576,
	32768, 49152,
};

/**
 * mirage_timer_rnr - the wait after an RNR NAK
 * @timer: as in the NAK's syndrome; the lower five bits count
 *
 * Return: jiffies, 1 at least.
 */
unsigned long mirage_timer_rnr(u8 timer)
{
	return max(usecs_to_jiffies(rnr_delay[timer & 31] * 10), 1UL);
}

/**
 * mirage_timer_ack - the local ACK timeout
 * @timeout: the timeout is 4.096 us * 2^timeout; 0 means that a request never times out
 *
 * With 0 a requester on the direct carrier still looks for its peer once a second.
 *
 * Return: jiffies, 1 at least.
 */
unsigned long mirage_timer_ack(u8 timeout)
{
	if (!timeout)
		return HZ;
	return max(nsecs_to_jiffies(4096ULL << timeout), 1UL);
}

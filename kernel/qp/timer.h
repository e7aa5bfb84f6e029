/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * How long a requester waits (IBA volume 1, 9.7.5 and 9.7.6)
 */
#ifndef MIRAGE_TIMER_H
#define MIRAGE_TIMER_H

#include <linux/types.h>

/* This RNR retry count means: retry for ever. */
#define MIRAGE_RNR_RETRY_ALWAYS	7

unsigned long mirage_timer_rnr(u8 timer);
unsigned long mirage_timer_ack(u8 timeout);

/**
 * mirage_timer_rnr_again - after an RNR NAK, tell whether the request may be tried again
 * @retry: the QP's RNR retry count
 * @left: the retries that are left; counted down
 *
 * Return: whether it may.
 */
static inline bool mirage_timer_rnr_again(u8 retry, u8 *left)
{
	if (retry == MIRAGE_RNR_RETRY_ALWAYS)
		return true;
	return (*left)--;
}

#endif

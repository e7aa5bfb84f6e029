/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * How long a requester waits, and what it does then
 */
#ifndef MIRAGE_TIMER_H
#define MIRAGE_TIMER_H

#include <linux/timer.h>
#include <linux/types.h>

struct mirage_wire_req;

unsigned long mirage_timer_rnr(u8 timer);
unsigned long mirage_timer_ack(u8 timeout);

void mirage_timer_arm(struct mirage_wire_req *req, unsigned long wait);
void mirage_timer_expired(struct timer_list *timer);

#endif

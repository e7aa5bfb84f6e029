/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The requester's side of a QP on the wire
 */
#ifndef MIRAGE_WIRE_REQ_H
#define MIRAGE_WIRE_REQ_H

#include <linux/spinlock.h>

#include "net.h"

/**
 * struct wire_req - requests sent and not yet answered
 * @lock: see wire.h
 * @path: to the peer; of the engine's runner
 */
struct wire_req {
	spinlock_t lock;		/* see above */
	struct net_path path;
};

#endif

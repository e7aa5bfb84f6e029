/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The responder's side of a QP on the wire; protected by qp->lock
 */
#ifndef MIRAGE_WIRE_RESP_H
#define MIRAGE_WIRE_RESP_H

#include "net.h"

/**
 * struct wire_resp - the request message under way, and what is owed for it
 * @path: to the peer
 */
struct wire_resp {
	struct net_path path;
};

#endif

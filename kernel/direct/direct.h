/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The carrier between two QPs of one device: one copy, no packet
 */
#ifndef MIRAGE_DIRECT_H
#define MIRAGE_DIRECT_H

#include "qp/carrier.h"

extern const struct mirage_carrier mirage_direct_carrier;

#endif

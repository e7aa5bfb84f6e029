/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The core's handle of an address, which work requests name by a number
 */
#ifndef MIRAGE_BASE_AH_H
#define MIRAGE_BASE_AH_H

#include <rdma/ib_verbs.h>

struct mirage_av;

/**
 * struct mirage_ah - the core's handle
 * @ibah: the core's object
 * @num: what work requests call it, index into dev->ahs
 * @av: whereto; of ud/ah.c
 */
struct mirage_ah {
	struct ib_ah ibah;
	u32 num;
	struct mirage_av *av;
};

static inline struct mirage_ah *to_mah(struct ib_ah *ibah)
{
	return container_of(ibah, struct mirage_ah, ibah);
}

#endif

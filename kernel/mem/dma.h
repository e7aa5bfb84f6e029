/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Regions of all of the kernel's memory
 */
#ifndef MIRAGE_DMA_H
#define MIRAGE_DMA_H

#include <rdma/ib_verbs.h>

struct mirage_mr;

unsigned long mirage_dma_pfn(u64 addr);
void mirage_dma_fill(struct mirage_mr *mr, u64 addr, u64 len);

struct ib_mr *mirage_get_dma_mr(struct ib_pd *pd, int access);

#endif

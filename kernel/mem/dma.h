/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Regions of kernel memory: all of it, and those that work requests register
 */
#ifndef MIRAGE_DMA_H
#define MIRAGE_DMA_H

#include <rdma/ib_verbs.h>

/* Pages of one fast registration. */
#define MIRAGE_MAX_FASTREG_PAGES	1024

struct mirage_dev;
struct mirage_mr;

void mirage_dma_fill(struct mirage_mr *mr, u64 addr, u64 len);

int mirage_fastreg_prepare(struct ib_mr *ibmr, u32 key, int access);
int mirage_fastreg_execute(struct mirage_dev *dev, struct ib_pd *pd, u32 key);
int mirage_fastreg_invalidate(struct mirage_dev *dev, struct ib_pd *pd, u32 key);

struct ib_mr *mirage_get_dma_mr(struct ib_pd *pd, int access);
struct ib_mr *mirage_alloc_mr(struct ib_pd *pd, enum ib_mr_type type, u32 max_num_sg);
int mirage_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int nents,
		     unsigned int *offset);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Fast registration: regions of kernel memory that work requests register
 */
#ifndef MIRAGE_FASTREG_H
#define MIRAGE_FASTREG_H

#include <rdma/ib_verbs.h>

struct mirage_dev;

int mirage_fastreg_prepare(struct ib_mr *ibmr, u32 key, int access);
int mirage_fastreg_execute(struct mirage_dev *dev, struct ib_pd *pd, u32 key);
int mirage_fastreg_invalidate(struct mirage_dev *dev, struct ib_pd *pd, u32 key);

struct ib_mr *mirage_alloc_mr(struct ib_pd *pd, enum ib_mr_type type, u32 max_num_sg);
int mirage_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg, int nents,
		     unsigned int *offset);

#endif

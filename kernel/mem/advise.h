/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Advice: bring in pages of ODP regions that the user will need
 */
#ifndef MIRAGE_ADVISE_H
#define MIRAGE_ADVISE_H

#include <rdma/ib_verbs.h>

int mirage_advise_mr(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice,
		     u32 flags, struct ib_sge *sg_list, u32 num_sge,
		     struct uverbs_attr_bundle *attrs);

#endif

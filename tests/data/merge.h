/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * merge.h - KSM makes one page of many under a region
 *
 * Pages that are alike are merged, read through the device, and then written through
 * it here and there: each write has to get a page of its own, and no other may change.
 */
#ifndef DATA_MERGE_H
#define DATA_MERGE_H

#include "region.h"

/* Have ksmd run beside everything else; false where the kernel has none. */
bool ksm_on(void);
void ksm_off(void);

/* One region merged, read and written. */
void merge_pages(struct rc_dev *dev, enum odp_kind odp, uint64_t seed, uint64_t *bytes);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * stamp.h - pages that are replaced while the device reads or writes them
 *
 * The pages of a window are slots of a shared file, and a thread keeps mapping
 * other slots over them. Each slot is filled with its generation before it is
 * mapped. A READ may only see generations that were mapped at some moment
 * between its post and its completion; a WRITE must not reach a slot that is
 * no longer mapped when mmap() has returned.
 */
#ifndef DATA_STAMP_H
#define DATA_STAMP_H

#include "region.h"

void stamp_read(struct rc_dev *dev, enum odp_kind odp, uint64_t seed, double until,
		uint64_t *bytes);
void stamp_write(struct rc_dev *dev, enum odp_kind odp, uint64_t seed, double until,
		 uint64_t *bytes);

#endif

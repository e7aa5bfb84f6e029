/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * replace.h - change what is mapped between two batches, contents included
 *
 * The old pages have to be out of the device's reach when the system call that
 * took them away has returned: the new content is known and checked, and what
 * can still be looked at of the old one must not change any more.
 */
#ifndef DATA_REPLACE_H
#define DATA_REPLACE_H

#include "region.h"

/* A whole file that was mapped here once, and what it held when it went. */
struct grave {
	uint8_t *map, *copy;
};

/* Replace some pages; the shadow follows. The caller holds the CPU's mutex. */
void replace_pages(struct region *r, uint64_t *random, struct grave *grave);

/* What was buried still holds what it held; then it is forgotten. */
void grave_check(struct grave *grave, const char *what);

#endif

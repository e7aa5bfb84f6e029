/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * replace.h - change what is mapped between two batches, contents included
 *
 * When the system call that takes pages away has returned, the device must not reach
 * them any more. The new content is known and checked; old content that can still be
 * read must not change.
 */
#ifndef DATA_REPLACE_H
#define DATA_REPLACE_H

#include "region.h"

/* A file that was mapped here once, and its content when it was unmapped. */
struct grave {
	uint8_t *map, *copy;
};

/* Replace some pages; the shadow follows. The caller holds the CPU's mutex. */
void replace_pages(struct region *r, uint64_t *random, struct grave *grave);

/* Check that replaced files still have their content, and forget them. */
void grave_check(struct grave *grave, const char *what);

#endif

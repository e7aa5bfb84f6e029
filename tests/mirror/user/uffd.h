/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * uffd.h - memory whose faults wait for the test
 */
#ifndef MIRROR_TEST_UFFD_H
#define MIRROR_TEST_UFFD_H

#include <stddef.h>

/* From now on a missing page of mem waits for uffd_copy(). */
int uffd_open(void *mem, size_t pages);
/* The page that somebody waits for; blocks until there is one. */
void *uffd_next(int uffd);
void uffd_copy(int uffd, void *page, const void *content);

#endif

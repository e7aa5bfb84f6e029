/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * uffd.h - memory whose faults wait for the test
 */
#ifndef TESTS_UFFD_H
#define TESTS_UFFD_H

#include <stddef.h>

/* A userfaultfd, or the case is skipped. */
int uffd_open(void);
/* The same, for faults that a device waits for. */
int uffd_open_for_hmm(void);
/* From now on a missing page of mem waits for uffd_copy() or uffd_zero(). */
void uffd_watch(int uffd, void *mem, size_t len);
/* Wait for a fault; the page that it is for. */
void *uffd_next(int uffd);
void uffd_copy(int uffd, void *to, const void *content, size_t len);
void uffd_zero(int uffd, void *to, size_t len);

#endif

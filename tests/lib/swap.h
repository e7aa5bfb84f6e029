/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * swap.h - somewhere to page anonymous memory out to
 */
#ifndef TESTS_SWAP_H
#define TESTS_SWAP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * swap_on() - the guest's swap disk, or a file of this size; false where neither
 * can be had. Swap that is on already is used as it is. swap_off() undoes it.
 */
bool swap_on(size_t bytes);
void swap_off(void);

#endif

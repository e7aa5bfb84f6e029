/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Where the kernel has none of its own; those are found first.
 */
#include <asm/unaligned.h>

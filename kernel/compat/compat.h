/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Force-included into every file of the module: the code is written for the newest
 * kernel, what older ones lack stands here. HAVE_* come from probe.sh.
 */
#ifndef MIRAGE_COMPAT_H
#define MIRAGE_COMPAT_H

#include "compat/kernel.h"
#include "compat/mirror.h"

#endif

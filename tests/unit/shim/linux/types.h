/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* The uapi header of this name is needed as well. */
#include_next <linux/types.h>
#include "kshim.h"

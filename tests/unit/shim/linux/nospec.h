/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* No masking here: a sanitizer has to see an index out of bounds. */
#ifndef SHIM_NOSPEC_H
#define SHIM_NOSPEC_H

#define array_index_nospec(index, size)	((index) < (size) ? (index) : 0)

#endif

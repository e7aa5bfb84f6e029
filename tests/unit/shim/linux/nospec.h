/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Nobody speculates here: an index out of bounds is one that a sanitizer shall see. */
#ifndef SHIM_NOSPEC_H
#define SHIM_NOSPEC_H

#define array_index_nospec(index, size)	((index) < (size) ? (index) : 0)

#endif

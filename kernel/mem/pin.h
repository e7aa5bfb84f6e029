/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Regions whose pages are pinned
 */
#ifndef MIRAGE_PIN_H
#define MIRAGE_PIN_H

#include <linux/types.h>

struct mirage_mr;

int mirage_pin_create(struct mirage_mr *mr);
bool mirage_pin_writable(const struct mirage_mr *mr);

#endif

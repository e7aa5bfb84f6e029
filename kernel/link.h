/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Devices come and go
 */
#ifndef MIRAGE_LINK_H
#define MIRAGE_LINK_H

int mirage_link_init(void);
void mirage_link_exit(void);

#endif

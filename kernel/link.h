/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Devices come and go
 */
#ifndef MIRAGE_LINK_H
#define MIRAGE_LINK_H

int link_init(void);
void link_exit(void);

#endif

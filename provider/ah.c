// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * ah.c - address handles
 */
#include <stdlib.h>

#include "mirage.h"

struct ibv_ah *mirage_create_ah(struct ibv_pd *ibpd, struct ibv_ah_attr *attr)
{
	struct ib_uverbs_create_ah_resp resp;
	struct ibv_ah *ah;
	int err;

	ah = calloc(1, sizeof(*ah));
	if (!ah)
		return NULL;

	err = ibv_cmd_create_ah(ibpd, ah, attr, &resp, sizeof(resp));
	if (err) {
		free(ah);
		errno = err;
		return NULL;
	}
	return ah;
}

int mirage_destroy_ah(struct ibv_ah *ibah)
{
	int err;

	err = ibv_cmd_destroy_ah(ibah);
	if (err)
		return err;

	free(ibah);
	return 0;
}

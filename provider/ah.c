// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * ah.c - address handles
 */
#include <stdlib.h>

#include "mirage.h"

#define _STRUCT_mirage_create_ah_resp struct {}

DECLARE_DRV_CMD(mirage_create_ah_cmd, IB_USER_VERBS_CMD_CREATE_AH,
		empty, mirage_create_ah_resp);

struct ibv_ah *mirage_create_ah(struct ibv_pd *ibpd, struct ibv_ah_attr *attr)
{
	struct mirage_create_ah_cmd_resp resp;
	struct mirage_ah *ah;
	int err;

	ah = calloc(1, sizeof(*ah));
	if (!ah)
		return NULL;

	err = ibv_cmd_create_ah(ibpd, &ah->ibah, attr, &resp.ibv_resp,
				sizeof(resp));
	if (err) {
		free(ah);
		errno = err;
		return NULL;
	}
	ah->num = resp.drv_payload.num;
	return &ah->ibah;
}

int mirage_destroy_ah(struct ibv_ah *ibah)
{
	int err;

	err = ibv_cmd_destroy_ah(ibah);
	if (err)
		return err;

	free(to_mah(ibah));
	return 0;
}

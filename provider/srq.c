// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * srq.c - life of shared receive queues; recv.c posts to them
 */
#include <stdlib.h>

#include "mirage.h"

#define _STRUCT_mirage_create_srq_resp struct {}

DECLARE_DRV_CMD(mirage_create_srq_cmd, IB_USER_VERBS_CMD_CREATE_XSRQ,
		empty, mirage_create_srq_resp);

static int srq_check_init_attr(const struct ibv_srq_init_attr_ex *attr)
{
	if (!check_comp_mask(attr->comp_mask, IBV_SRQ_INIT_ATTR_TYPE |
			     IBV_SRQ_INIT_ATTR_PD |
			     IBV_SRQ_INIT_ATTR_XRCD |
			     IBV_SRQ_INIT_ATTR_CQ))
		return EOPNOTSUPP;

	if ((attr->comp_mask & IBV_SRQ_INIT_ATTR_TYPE) &&
	    attr->srq_type != IBV_SRQT_BASIC && attr->srq_type != IBV_SRQT_XRC)
		return EOPNOTSUPP;

	return attr->comp_mask & IBV_SRQ_INIT_ATTR_PD ? 0 : EINVAL;
}

struct ibv_srq *mirage_create_srq_ex(struct ibv_context *context,
				     struct ibv_srq_init_attr_ex *attr)
{
	struct mirage_create_srq_cmd_resp resp;
	struct ibv_create_xsrq cmd;
	struct mirage_srq *srq;
	int err;

	err = srq_check_init_attr(attr);
	if (err)
		goto set_errno;

	srq = calloc(1, sizeof(*srq));
	if (!srq) {
		err = ENOMEM;
		goto set_errno;
	}

	err = ibv_cmd_create_srq_ex(context, &srq->vsrq, attr, &cmd, sizeof(cmd),
				    &resp.ibv_resp, sizeof(resp));
	if (err)
		goto free_srq;

	err = mirage_wq_init(&srq->wq, context->cmd_fd, &resp.drv_payload.ring,
			     attr->attr.max_wr, attr->attr.max_sge,
			     mirage_pd_needs_locks(attr->pd));
	if (err)
		goto destroy_srq;

	srq->srqn = resp.drv_payload.srqn;
	mirage_wq_set_doorbell(&srq->wq, srq->srqn, MIRAGE_DOORBELL_SRQ);
	return &srq->vsrq.srq;

destroy_srq:
	ibv_cmd_destroy_srq(&srq->vsrq.srq);
free_srq:
	free(srq);
set_errno:
	errno = err;
	return NULL;
}

struct ibv_srq *mirage_create_srq(struct ibv_pd *ibpd,
				  struct ibv_srq_init_attr *attr)
{
	struct ibv_srq_init_attr_ex ex = {
		.srq_context = attr->srq_context,
		.attr = attr->attr,
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD,
		.srq_type = IBV_SRQT_BASIC,
		.pd = ibpd,
	};
	struct ibv_srq *ibsrq;

	ibsrq = mirage_create_srq_ex(ibpd->context, &ex);
	if (ibsrq)
		attr->attr = ex.attr;
	return ibsrq;
}

int mirage_modify_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *attr,
		      int mask)
{
	struct ibv_modify_srq cmd;
	int err;

	err = ibv_cmd_modify_srq(ibsrq, attr, mask, &cmd, sizeof(cmd));
	if (err)
		return err;

	/* The kernel made the ring large enough for every limit that it accepts. */
	if (mask & IBV_SRQ_MAX_WR)
		mirage_wq_set_max_wr(&to_msrq(ibsrq)->wq, attr->max_wr);
	return 0;
}

int mirage_query_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *attr)
{
	struct ibv_query_srq cmd;

	return ibv_cmd_query_srq(ibsrq, attr, &cmd, sizeof(cmd));
}

int mirage_get_srq_num(struct ibv_srq *ibsrq, uint32_t *srqn)
{
	*srqn = to_msrq(ibsrq)->srqn;
	return 0;
}

int mirage_destroy_srq(struct ibv_srq *ibsrq)
{
	struct mirage_srq *srq = to_msrq(ibsrq);
	int err;

	err = ibv_cmd_destroy_srq(ibsrq);
	if (err)
		return err;

	mirage_wq_fini(&srq->wq);
	free(srq);
	return 0;
}

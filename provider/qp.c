// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * qp.c - life of queue pairs; wr.c and recv.c post to them
 */
#include <stdlib.h>

#include "mirage.h"

#define _STRUCT_mirage_create_qp_resp struct {}

DECLARE_DRV_CMD(mirage_create_qp_cmd, IB_USER_VERBS_EX_CMD_CREATE_QP,
		empty, mirage_create_qp_resp);

static int qp_check_init_attr(const struct ibv_qp_init_attr_ex *attr)
{
	if (!check_comp_mask(attr->comp_mask,
			     IBV_QP_INIT_ATTR_PD |
			     IBV_QP_INIT_ATTR_XRCD |
			     IBV_QP_INIT_ATTR_CREATE_FLAGS |
			     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS))
		return EOPNOTSUPP;

	if ((attr->comp_mask & IBV_QP_INIT_ATTR_CREATE_FLAGS) &&
	    (attr->create_flags & ~IBV_QP_CREATE_BLOCK_SELF_MCAST_LB ||
	     (attr->create_flags && attr->qp_type != IBV_QPT_UD)))
		return EOPNOTSUPP;

	if (attr->qp_type == IBV_QPT_XRC_RECV)
		return attr->comp_mask & IBV_QP_INIT_ATTR_XRCD ? 0 : EINVAL;
	return attr->comp_mask & IBV_QP_INIT_ATTR_PD ? 0 : EINVAL;
}

/*
 * An XRC target has no queues: requests take receives from the SRQs of its domain.
 * Nothing is posted to it, and a process may have several handles of one target.
 */
static bool qp_is_xrc_target(const struct mirage_qp *qp)
{
	return qp->vqp.qp.qp_type == IBV_QPT_XRC_RECV;
}

static int qp_init_queues(struct mirage_qp *qp,
			  const struct ibv_qp_init_attr_ex *attr,
			  const struct mirage_create_qp_resp *resp)
{
	bool lock_needed = mirage_pd_needs_locks(attr->pd);
	int fd = attr->pd->context->cmd_fd;
	int err;

	err = mirage_wq_init(&qp->sq, fd, &resp->sq, attr->cap.max_send_wr,
			     attr->cap.max_send_sge, lock_needed);
	if (err)
		return err;

	err = mirage_wq_init(&qp->rq, fd, &resp->rq, attr->cap.max_recv_wr,
			     attr->cap.max_recv_sge, lock_needed);
	if (err) {
		mirage_wq_fini(&qp->sq);
		return err;
	}

	mirage_wq_set_doorbell(&qp->sq, qp->vqp.qp.qp_num, MIRAGE_DOORBELL_SQ);
	mirage_wq_set_doorbell(&qp->rq, qp->vqp.qp.qp_num, MIRAGE_DOORBELL_RQ);
	qp->max_inline = resp->max_inline;
	return 0;
}

static void qp_fini_queues(struct mirage_qp *qp)
{
	mirage_wq_fini(&qp->rq);
	mirage_wq_fini(&qp->sq);
}

struct ibv_qp *mirage_create_qp_ex(struct ibv_context *context,
				   struct ibv_qp_init_attr_ex *attr)
{
	struct mirage_create_qp_cmd_resp resp = {};
	struct ibv_create_qp_ex cmd;
	struct mirage_qp *qp;
	int err;

	err = qp_check_init_attr(attr);
	if (err)
		goto set_errno;

	qp = calloc(1, sizeof(*qp));
	if (!qp) {
		err = ENOMEM;
		goto set_errno;
	}

	err = mirage_qp_set_ops(qp, context, attr);
	if (err)
		goto free_qp;

	err = ibv_cmd_create_qp_ex2(context, &qp->vqp, attr, &cmd, sizeof(cmd),
				    &resp.ibv_resp, sizeof(resp));
	if (err)
		goto free_qp;

	if (qp_is_xrc_target(qp))
		return &qp->vqp.qp;
	if (attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS)
		qp->vqp.comp_mask |= VERBS_QP_EX;

	err = qp_init_queues(qp, attr, &resp.drv_payload);
	if (err)
		goto destroy_qp;

	err = mirage_qpn_insert(to_mctx(context), qp);
	if (err)
		goto fini_queues;

	return &qp->vqp.qp;

fini_queues:
	qp_fini_queues(qp);
destroy_qp:
	ibv_cmd_destroy_qp(&qp->vqp.qp);
free_qp:
	free(qp);
set_errno:
	errno = err;
	return NULL;
}

struct ibv_qp *mirage_create_qp(struct ibv_pd *ibpd,
				struct ibv_qp_init_attr *attr)
{
	struct ibv_qp_init_attr_ex attr_ex = {
		.qp_context = attr->qp_context,
		.send_cq = attr->send_cq,
		.recv_cq = attr->recv_cq,
		.srq = attr->srq,
		.cap = attr->cap,
		.qp_type = attr->qp_type,
		.sq_sig_all = attr->sq_sig_all,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = ibpd,
	};
	struct ibv_qp *ibqp;

	ibqp = mirage_create_qp_ex(ibpd->context, &attr_ex);
	if (ibqp)
		attr->cap = attr_ex.cap;
	return ibqp;
}

struct ibv_qp *mirage_open_qp(struct ibv_context *context,
			      struct ibv_qp_open_attr *attr)
{
	struct ib_uverbs_create_qp_resp resp;
	struct ibv_open_qp cmd;
	struct mirage_qp *qp;
	int err;

	qp = calloc(1, sizeof(*qp));
	if (!qp)
		return NULL;

	err = ibv_cmd_open_qp(context, &qp->vqp, sizeof(qp->vqp), attr, &cmd,
			      sizeof(cmd), &resp, sizeof(resp));
	if (err) {
		free(qp);
		errno = err;
		return NULL;
	}
	return &qp->vqp.qp;
}

/* After a reset no completion of an earlier work request may be polled. */
static void qp_drop_completions(struct ibv_qp *ibqp)
{
	if (ibqp->send_cq)
		mirage_cq_drop_qp(to_mcq(ibqp->send_cq), ibqp->qp_num);
	if (ibqp->recv_cq && ibqp->recv_cq != ibqp->send_cq)
		mirage_cq_drop_qp(to_mcq(ibqp->recv_cq), ibqp->qp_num);
}

int mirage_modify_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int mask)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	struct ibv_modify_qp cmd;
	int err;

	err = ibv_cmd_modify_qp(ibqp, attr, mask, &cmd, sizeof(cmd));
	if (err)
		return err;

	if ((mask & IBV_QP_STATE) && attr->qp_state == IBV_QPS_RESET) {
		qp_drop_completions(ibqp);
		mirage_wq_reset(&qp->sq);
		mirage_wq_reset(&qp->rq);
	}
	return 0;
}

int mirage_query_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int mask,
		    struct ibv_qp_init_attr *init)
{
	struct ibv_query_qp cmd;

	return ibv_cmd_query_qp(ibqp, attr, mask, init, &cmd, sizeof(cmd));
}

int mirage_destroy_qp(struct ibv_qp *ibqp)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	int err;

	err = ibv_cmd_destroy_qp(ibqp);
	if (err)
		return err;

	qp_drop_completions(ibqp);
	if (!qp_is_xrc_target(qp)) {
		mirage_qpn_remove(to_mctx(ibqp->context), qp);
		qp_fini_queues(qp);
	}
	free(qp);
	return 0;
}

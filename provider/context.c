// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * context.c - finding the device, opening it, asking it what it is
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mirage.h"

#define _STRUCT_mirage_alloc_ucontext_resp struct {}

DECLARE_DRV_CMD(mirage_get_context_cmd, IB_USER_VERBS_CMD_GET_CONTEXT,
		empty, mirage_alloc_ucontext_resp);

static int context_query_device_ex(struct ibv_context *context,
				   const struct ibv_query_device_ex_input *input,
				   struct ibv_device_attr_ex *attr,
				   size_t attr_size)
{
	struct ib_uverbs_ex_query_device_resp resp;
	size_t resp_size = sizeof(resp);
	uint64_t version;
	int err;

	err = ibv_cmd_query_device_any(context, input, attr, attr_size, &resp,
				       &resp_size);
	if (err)
		return err;

	version = resp.base.fw_ver;
	snprintf(attr->orig_attr.fw_ver, sizeof(attr->orig_attr.fw_ver),
		 "%u.%u.%u", (unsigned int)(version >> 32 & 0xffff),
		 (unsigned int)(version >> 16 & 0xffff),
		 (unsigned int)(version & 0xffff));
	return 0;
}

static int context_query_port(struct ibv_context *context, uint8_t port,
			      struct ibv_port_attr *attr)
{
	struct ibv_query_port cmd;

	return ibv_cmd_query_port(context, port, attr, &cmd, sizeof(cmd));
}

/*
 * The clock of the completion timestamps. As applications compare the two, it is one
 * count of nanoseconds like them, and not seconds with a remainder.
 */
static int context_query_rt_values(struct ibv_context *context,
				   struct ibv_values_ex *values)
{
	uint32_t answered = 0;
	struct timespec now;

	if (values->comp_mask & IBV_VALUES_MASK_RAW_CLOCK) {
		if (clock_gettime(CLOCK_MONOTONIC_RAW, &now))
			return errno;
		values->raw_clock.tv_sec = 0;
		values->raw_clock.tv_nsec =
			now.tv_sec * 1000000000LL + now.tv_nsec;
		answered = IBV_VALUES_MASK_RAW_CLOCK;
	}

	values->comp_mask = answered;
	return 0;
}

static void context_free(struct ibv_context *context)
{
	struct mirage_context *ctx = to_mctx(context);

	mirage_qpn_fini(ctx);
	verbs_uninit_context(&ctx->vctx);
	free(ctx);
}

static const struct verbs_context_ops context_ops = {
	.advise_mr = ibv_cmd_advise_mr,
	.alloc_mw = mirage_alloc_mw,
	.alloc_parent_domain = mirage_alloc_parent_domain,
	.alloc_pd = mirage_alloc_pd,
	.alloc_td = mirage_alloc_td,
	.attach_mcast = ibv_cmd_attach_mcast,
	.bind_mw = mirage_bind_mw,
	.close_xrcd = mirage_close_xrcd,
	.create_ah = mirage_create_ah,
	.create_cq = mirage_create_cq,
	.create_cq_ex = mirage_create_cq_ex,
	.create_qp = mirage_create_qp,
	.create_qp_ex = mirage_create_qp_ex,
	.create_srq = mirage_create_srq,
	.create_srq_ex = mirage_create_srq_ex,
	.dealloc_mw = mirage_dealloc_mw,
	.dealloc_pd = mirage_dealloc_pd,
	.dealloc_td = mirage_dealloc_td,
	.dereg_mr = mirage_dereg_mr,
	.destroy_ah = mirage_destroy_ah,
	.destroy_cq = mirage_destroy_cq,
	.destroy_qp = mirage_destroy_qp,
	.destroy_srq = mirage_destroy_srq,
	.detach_mcast = ibv_cmd_detach_mcast,
	.free_context = context_free,
	.get_srq_num = mirage_get_srq_num,
	.import_mr = mirage_import_mr,
	.import_pd = mirage_import_pd,
	.modify_qp = mirage_modify_qp,
	.modify_srq = mirage_modify_srq,
	.open_qp = mirage_open_qp,
	.open_xrcd = mirage_open_xrcd,
	.poll_cq = mirage_poll_cq,
	.post_recv = mirage_post_recv,
	.post_send = mirage_post_send,
	.post_srq_recv = mirage_post_srq_recv,
	.query_device_ex = context_query_device_ex,
	.query_port = context_query_port,
	.query_qp = mirage_query_qp,
	.query_rt_values = context_query_rt_values,
	.query_srq = mirage_query_srq,
	.reg_mr = mirage_reg_mr,
	.req_notify_cq = mirage_req_notify_cq,
	.rereg_mr = mirage_rereg_mr,
	.resize_cq = mirage_resize_cq,
	.unimport_mr = mirage_unimport_mr,
	.unimport_pd = mirage_unimport_pd,
};

/* @ask: the command that makes the kernel's side of the context, or finds it. */
static struct verbs_context *context_make(struct ibv_device *ibdev, int cmd_fd,
					  int (*ask)(struct verbs_context *vctx))
{
	struct mirage_context *ctx;

	ctx = verbs_init_and_alloc_context(ibdev, cmd_fd, ctx, vctx,
					   MIRAGE_DRIVER_ID);
	if (!ctx)
		return NULL;

	if (ask(&ctx->vctx)) {
		verbs_uninit_context(&ctx->vctx);
		free(ctx);
		return NULL;
	}

	mirage_qpn_init(ctx);
	verbs_set_ops(&ctx->vctx, &context_ops);
	return &ctx->vctx;
}

static int context_get(struct verbs_context *vctx)
{
	struct mirage_get_context_cmd_resp resp;
	struct ibv_get_context cmd;

	return ibv_cmd_get_context(vctx, &cmd, sizeof(cmd), &resp.ibv_resp,
				   sizeof(resp));
}

static struct verbs_context *context_alloc(struct ibv_device *ibdev,
					   int cmd_fd,
					   void *private_data)
{
	return context_make(ibdev, cmd_fd, context_get);
}

static int context_query(struct verbs_context *vctx)
{
	return ibv_cmd_query_context(&vctx->context, NULL);
}

static struct verbs_context *context_import(struct ibv_device *ibdev,
					    int cmd_fd)
{
	return context_make(ibdev, cmd_fd, context_query);
}

static struct verbs_device *device_alloc(struct verbs_sysfs_dev *sysfs)
{
	struct mirage_device *dev = calloc(1, sizeof(*dev));

	return dev ? &dev->vdev : NULL;
}

static void device_uninit(struct verbs_device *vdev)
{
	free(container_of(vdev, struct mirage_device, vdev));
}

/* Match by id: the administrator may have given the device any name. */
static const struct verbs_match_ent device_match[] = {
	VERBS_DRIVER_ID(MIRAGE_DRIVER_ID),
	{},
};

static const struct verbs_device_ops device_ops = {
	.name = "mirage",
	.match_min_abi_version = MIRAGE_ABI_VERSION,
	.match_max_abi_version = MIRAGE_ABI_VERSION,
	.match_table = device_match,
	.alloc_device = device_alloc,
	.uninit_device = device_uninit,
	.alloc_context = context_alloc,
	.import_context = context_import,
};
PROVIDER_DRIVER(mirage, device_ops);

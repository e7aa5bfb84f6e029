/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The entries of struct ib_device_ops whose names or arguments differ between
 * kernels. For kernel/device.c only.
 */
#ifndef MIRAGE_COMPAT_OPS_H
#define MIRAGE_COMPAT_OPS_H

/* The table has no comma after it, because it may be empty. */
#ifdef HAVE_UVERBS_ROBUST_UDATA
#define OPS_ROBUST_UDATA	.uverbs_robust_udata = 1,
#else
#define OPS_ROBUST_UDATA
#endif

#ifdef HAVE_CREATE_USER_CQ
#define OPS_CREATE_CQ	.create_cq = mirage_create_cq, \
			.create_user_cq = mirage_create_cq
#elif defined(HAVE_CREATE_CQ_ATTRS)
#define OPS_CREATE_CQ	.create_cq = mirage_create_cq
#else
static int compat_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
			    struct ib_udata *udata)
{
	return mirage_create_cq(ibcq, attr, udata ?
				rdma_udata_to_uverbs_attr_bundle(udata) : NULL);
}

#define OPS_CREATE_CQ	.create_cq = compat_create_cq
#endif

#ifdef HAVE_RESIZE_USER_CQ
#define OPS_RESIZE_CQ	.resize_user_cq = mirage_resize_cq
#else
static int compat_resize_cq(struct ib_cq *ibcq, int cqe, struct ib_udata *udata)
{
	return cqe < 0 ? -EINVAL : mirage_resize_cq(ibcq, cqe, udata);
}

#define OPS_RESIZE_CQ	.resize_cq = compat_resize_cq
#endif

#ifdef HAVE_IB_DMAH
#define OPS_REG_USER_MR	.reg_user_mr = mirage_reg_user_mr
#else
static struct ib_mr *compat_reg_user_mr(struct ib_pd *pd, u64 start, u64 length,
					u64 iova, int access, struct ib_udata *udata)
{
	return mirage_reg_user_mr(pd, start, length, iova, access, NULL, udata);
}

#define OPS_REG_USER_MR	.reg_user_mr = compat_reg_user_mr
#endif

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * mirage.h - the provider's objects and the verbs that make them
 *
 * Locking: each send queue, receive queue, SRQ and CQ has a spinning lock of its own,
 * which does nothing where the application promised a single thread (a thread domain,
 * a single-threaded CQ). No two work queue locks are held together. A CQ's
 * @arm_lock nests inside its @lock: req_notify_cq() may be called between
 * start_poll and end_poll, which hold @lock. The doorbell rings without the lock of
 * its work queue: the call may move a megabyte, and other posters need not wait.
 */
#ifndef MIRAGE_H
#define MIRAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <ccan/container_of.h>
#include <infiniband/driver.h>

#include "mirage-abi.h"
#include "ring.h"

struct mirage_device {
	struct verbs_device vdev;
};

/* QP numbers have 24 bits; half of them choose the leaf. */
#define MIRAGE_QPN_LEAF_BITS	12
#define MIRAGE_QPN_LEAF_SIZE	(1U << MIRAGE_QPN_LEAF_BITS)
#define MIRAGE_QPN_LEAVES	(1U << (24 - MIRAGE_QPN_LEAF_BITS))

struct mirage_qpn_leaf {
	uint32_t users;			/* under qpn_mutex */
	struct mirage_qp *qp[MIRAGE_QPN_LEAF_SIZE];
};

struct mirage_context {
	struct verbs_context vctx;
	pthread_mutex_t qpn_mutex;	/* changes of the table: qpn.c */
	pthread_cond_t qpn_left;	/* some number is free again */
	struct mirage_qpn_leaf *qpn[MIRAGE_QPN_LEAVES];
};

struct mirage_td {
	struct ibv_td ibtd;
	atomic_uint users;		/* parent domains */
};

struct mirage_pd {
	struct ibv_pd ibpd;
	struct mirage_pd *contained;	/* set: this is a parent domain */
	struct mirage_td *td;
	atomic_uint users;		/* parent domains over this one */
};

struct mirage_ah {
	struct ibv_ah ibah;
	uint32_t num;			/* its number in a WQE */
};

struct mirage_cq {
	struct verbs_cq vcq;
	struct mirage_lock lock;	/* the fields below */
	struct mirage_lock arm_lock;	/* with @lock: no other ring is mapped */
	uint32_t cons;
	uint32_t seen;			/* the kernel's index when last looked */
	const struct mirage_cqe *cqe;	/* between start_poll and end_poll */
	struct mirage_ring ring;
};

struct mirage_srq {
	struct verbs_srq vsrq;
	struct mirage_wq wq;
	uint32_t srqn;
};

struct mirage_qp {
	struct verbs_qp vqp;
	struct mirage_wq sq;
	struct mirage_wq rq;
	uint32_t post_ops;		/* for post_send: 1 << enum ibv_wr_opcode */
	uint32_t wr_ops;		/* for ibv_wr_*(): what was asked for */
	uint32_t max_inline;
	uint8_t wqe_flags;		/* set in every WQE */

	/* Between wr_start and wr_complete, under sq.lock. */
	struct mirage_send_wqe *wqe;
	uint32_t wr_next;
	int wr_err;
};

static inline void mirage_sge_put(struct mirage_sge *sge, uint64_t addr,
				  uint32_t length, uint32_t lkey)
{
	sge->addr = addr;
	sge->length = length;
	sge->lkey = lkey;
}

static inline struct mirage_context *to_mctx(struct ibv_context *context)
{
	return container_of(context, struct mirage_context, vctx.context);
}

static inline struct mirage_pd *to_mpd(struct ibv_pd *ibpd)
{
	return container_of(ibpd, struct mirage_pd, ibpd);
}

static inline struct mirage_td *to_mtd(struct ibv_td *ibtd)
{
	return container_of(ibtd, struct mirage_td, ibtd);
}

static inline struct mirage_ah *to_mah(struct ibv_ah *ibah)
{
	return container_of(ibah, struct mirage_ah, ibah);
}

static inline struct mirage_cq *to_mcq(struct ibv_cq *ibcq)
{
	return container_of(ibcq, struct mirage_cq, vcq.cq);
}

static inline struct mirage_cq *to_mcq_ex(struct ibv_cq_ex *ibcq)
{
	return container_of(ibcq, struct mirage_cq, vcq.cq_ex);
}

static inline struct mirage_srq *to_msrq(struct ibv_srq *ibsrq)
{
	return container_of(ibsrq, struct mirage_srq, vsrq.srq);
}

static inline struct mirage_qp *to_mqp(struct ibv_qp *ibqp)
{
	return container_of(ibqp, struct mirage_qp, vqp.qp);
}

static inline struct mirage_qp *to_mqp_ex(struct ibv_qp_ex *ibqp)
{
	return container_of(ibqp, struct mirage_qp, vqp.qp_ex);
}

/* qpn.c */
void mirage_qpn_init(struct mirage_context *ctx);
void mirage_qpn_fini(struct mirage_context *ctx);
int mirage_qpn_insert(struct mirage_context *ctx, struct mirage_qp *qp);
void mirage_qpn_remove(struct mirage_context *ctx, struct mirage_qp *qp);

/* The caller holds the lock of a CQ that has a CQE of this queue pair. */
static inline struct mirage_qp *mirage_qpn_find(const struct mirage_context *ctx,
						uint32_t qpn)
{
	return ctx->qpn[qpn >> MIRAGE_QPN_LEAF_BITS]
		       ->qp[qpn & (MIRAGE_QPN_LEAF_SIZE - 1)];
}

/* pd.c */
struct ibv_pd *mirage_alloc_pd(struct ibv_context *context);
struct ibv_td *mirage_alloc_td(struct ibv_context *context,
			       struct ibv_td_init_attr *attr);
int mirage_dealloc_td(struct ibv_td *ibtd);
struct ibv_pd *
mirage_alloc_parent_domain(struct ibv_context *context,
			   struct ibv_parent_domain_init_attr *attr);
int mirage_dealloc_pd(struct ibv_pd *ibpd);
struct ibv_pd *mirage_import_pd(struct ibv_context *context, uint32_t handle);
void mirage_unimport_pd(struct ibv_pd *ibpd);

static inline bool mirage_pd_needs_locks(struct ibv_pd *ibpd)
{
	return !to_mpd(ibpd)->td;
}

/* mr.c */
struct ibv_mr *mirage_reg_mr(struct ibv_pd *ibpd, void *addr, size_t length,
			     uint64_t iova, int access);
int mirage_rereg_mr(struct verbs_mr *vmr, int flags, struct ibv_pd *ibpd,
		    void *addr, size_t length, int access);
int mirage_dereg_mr(struct verbs_mr *vmr);
struct ibv_mr *mirage_import_mr(struct ibv_pd *ibpd, uint32_t handle);
void mirage_unimport_mr(struct ibv_mr *mr);

/* mw.c */
struct ibv_mw *mirage_alloc_mw(struct ibv_pd *ibpd, enum ibv_mw_type type);
int mirage_bind_mw(struct ibv_qp *ibqp, struct ibv_mw *mw,
		   struct ibv_mw_bind *bind);
int mirage_dealloc_mw(struct ibv_mw *mw);

/* ah.c */
struct ibv_ah *mirage_create_ah(struct ibv_pd *ibpd, struct ibv_ah_attr *attr);
int mirage_destroy_ah(struct ibv_ah *ibah);

/* cq.c */
struct ibv_cq *mirage_create_cq(struct ibv_context *context, int cqe,
				struct ibv_comp_channel *channel,
				int comp_vector);
struct ibv_cq_ex *mirage_create_cq_ex(struct ibv_context *context,
				      struct ibv_cq_init_attr_ex *attr);
int mirage_resize_cq(struct ibv_cq *ibcq, int cqe);
int mirage_destroy_cq(struct ibv_cq *ibcq);
int mirage_poll_cq(struct ibv_cq *ibcq, int num_entries, struct ibv_wc *wc);
int mirage_req_notify_cq(struct ibv_cq *ibcq, int solicited_only);
void mirage_cq_drop_qp(struct mirage_cq *cq, uint32_t qp_num);

/* srq.c */
struct ibv_srq *mirage_create_srq(struct ibv_pd *ibpd,
				  struct ibv_srq_init_attr *attr);
struct ibv_srq *mirage_create_srq_ex(struct ibv_context *context,
				     struct ibv_srq_init_attr_ex *attr);
int mirage_modify_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *attr,
		      int mask);
int mirage_query_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *attr);
int mirage_get_srq_num(struct ibv_srq *ibsrq, uint32_t *srqn);
int mirage_destroy_srq(struct ibv_srq *ibsrq);

/* qp.c */
struct ibv_qp *mirage_create_qp(struct ibv_pd *ibpd,
				struct ibv_qp_init_attr *attr);
struct ibv_qp *mirage_create_qp_ex(struct ibv_context *context,
				   struct ibv_qp_init_attr_ex *attr);
struct ibv_qp *mirage_open_qp(struct ibv_context *context,
			      struct ibv_qp_open_attr *attr);
int mirage_modify_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int mask);
int mirage_query_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int mask,
		    struct ibv_qp_init_attr *init);
int mirage_destroy_qp(struct ibv_qp *ibqp);

/* xrcd.c */
struct ibv_xrcd *mirage_open_xrcd(struct ibv_context *context,
				  struct ibv_xrcd_init_attr *attr);
int mirage_close_xrcd(struct ibv_xrcd *xrcd);

/* wr.c */
int mirage_qp_set_ops(struct mirage_qp *qp, struct ibv_context *context,
		      const struct ibv_qp_init_attr_ex *attr);
int mirage_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr,
		     struct ibv_send_wr **bad_wr);

/* recv.c */
int mirage_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr,
		     struct ibv_recv_wr **bad_wr);
int mirage_post_srq_recv(struct ibv_srq *ibsrq, struct ibv_recv_wr *wr,
			 struct ibv_recv_wr **bad_wr);

#endif

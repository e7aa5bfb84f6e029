// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * wr.c - posting sends
 *
 * One wqe_put_*() function encodes each part of a WQE, straight into its slot of the
 * ring. Both interfaces call these functions: post_send(), and ibv_wr_*() between
 * wr_start and wr_complete. They differ when a work request is bad: post_send() returns
 * the error at once and posts the requests before it; wr_complete() returns it at the
 * end and posts all or nothing.
 */
#include <string.h>

#include <ccan/array_size.h>

#include "mirage.h"

#define OP(name)	(1U << IBV_WR_##name)

/* The types of queue pair that have an opcode. */
#define RC	(1U << 0)	/* XRC too */
#define UC	(1U << 1)
#define UD	(1U << 2)

/* How an opcode can be posted. */
#define POSTED	(1U << 0)	/* by post_send(): struct ibv_send_wr can say it */
#define UNION	(1U << 1)	/* there, in a member of its own: wqe_put_union() */
#define INLINED	(1U << 2)	/* with the data of its SGEs in the WQE */

/*
 * The opcodes: X(name, types of queue pair, how it can be posted, what the device
 * must be capable of). Another opcode is a row here and a wr_*() function below.
 */
#define WR_OPCODES(X)							\
	X(SEND,			RC | UC | UD,	POSTED | INLINED, 0)	\
	X(SEND_WITH_IMM,	RC | UC | UD,	POSTED | INLINED, 0)	\
	X(SEND_WITH_INV,	RC,		POSTED | INLINED, 0)	\
	X(RDMA_WRITE,		RC | UC,	POSTED | INLINED, 0)	\
	X(RDMA_WRITE_WITH_IMM,	RC | UC,	POSTED | INLINED, 0)	\
	X(RDMA_READ,		RC,		POSTED, 0)		\
	X(ATOMIC_CMP_AND_SWP,	RC,		POSTED | UNION, 0)	\
	X(ATOMIC_FETCH_AND_ADD,	RC,		POSTED | UNION, 0)	\
	X(BIND_MW,		RC | UC,	POSTED | UNION, 0)	\
	X(LOCAL_INV,		RC | UC,	POSTED, 0)		\
	X(ATOMIC_WRITE,		RC,	0, IB_UVERBS_DEVICE_ATOMIC_WRITE) \
	X(FLUSH,		RC,	0, IB_UVERBS_DEVICE_FLUSH_GLOBAL)

#define OP_IF_POSTED(name, types, how, cap)	| ((how) & POSTED ? OP(name) : 0)
#define OP_IF_UNION(name, types, how, cap)	| ((how) & UNION ? OP(name) : 0)
#define OP_IF_INLINED(name, types, how, cap)	| ((how) & INLINED ? OP(name) : 0)

/* Masks of 1 << enum ibv_wr_opcode, constant where a work request is encoded. */
#define POSTED_OPS	(0U WR_OPCODES(OP_IF_POSTED))
#define UNION_OPS	(0U WR_OPCODES(OP_IF_UNION))
#define INLINED_OPS	(0U WR_OPCODES(OP_IF_INLINED))

/* The same for the creation of a queue pair; @flag is the one of send_ops_flags. */
#define OPCODE_ROW(name, types, how, cap)				\
	{ IBV_QP_EX_WITH_##name, OP(name), types, cap },

static const struct {
	uint64_t flag;
	uint32_t op;
	uint32_t types;
	uint64_t cap;
} wr_opcodes[] = { WR_OPCODES(OPCODE_ROW) };

#define SEND_FLAGS	((unsigned int)(IBV_SEND_FENCE | IBV_SEND_SIGNALED | \
					IBV_SEND_SOLICITED | IBV_SEND_INLINE))

static inline bool op_in(uint32_t ops, unsigned int opcode)
{
	return opcode < 32 && (ops >> opcode & 1);
}

/* From the bits of enum ibv_send_flags to those of enum mirage_wqe_flags. */
#define WQE_FLAGS(f)	(((f) & IBV_SEND_FENCE ? MIRAGE_WQE_FENCE : 0) | \
			 ((f) & IBV_SEND_SIGNALED ? MIRAGE_WQE_SIGNALED : 0) | \
			 ((f) & IBV_SEND_SOLICITED ? MIRAGE_WQE_SOLICITED : 0))
#define WQE_FLAGS_4(f)	WQE_FLAGS(f), WQE_FLAGS((f) + 1), \
			WQE_FLAGS((f) + 2), WQE_FLAGS((f) + 3)

static const uint8_t wqe_flags[SEND_FLAGS + 1] = {
	WQE_FLAGS_4(0), WQE_FLAGS_4(4), WQE_FLAGS_4(8), WQE_FLAGS_4(12),
};

/* Begin a WQE. Fields that its opcode does not use keep what an earlier WQE left. */
static inline void wqe_put_head(const struct mirage_qp *qp,
				struct mirage_send_wqe *wqe, uint64_t wr_id,
				unsigned int opcode, unsigned int flags)
{
	wqe->wr_id = wr_id;
	wqe->opcode = opcode;
	wqe->flags = wqe_flags[flags] | qp->wqe_flags;
}

/* The WQE has no data, or gets it later. */
static inline void wqe_put_no_data(struct mirage_send_wqe *wqe)
{
	wqe->num_sge = 0;
	wqe->inline_len = 0;
}

static inline void wqe_put_remote(struct mirage_send_wqe *wqe, uint32_t rkey,
				  uint64_t addr)
{
	wqe->rkey = rkey;
	wqe->remote_addr = addr;
}

static inline void wqe_put_imm(struct mirage_send_wqe *wqe, __be32 imm)
{
	wqe->ex = (__force uint32_t)imm;
}

static inline void wqe_put_invalidate(struct mirage_send_wqe *wqe, uint32_t rkey)
{
	wqe->ex = rkey;
}

static inline void wqe_put_atomic(struct mirage_send_wqe *wqe, uint64_t compare_add,
				  uint64_t swap)
{
	wqe->compare_add = compare_add;
	wqe->swap = swap;
}

/* Every slot has room for an SGE, and so for these eight bytes. */
static inline void wqe_put_atomic_write(struct mirage_send_wqe *wqe,
					const void *data)
{
	memcpy(wqe + 1, data, 8);
	wqe->inline_len = 8;
	wqe->flags |= MIRAGE_WQE_INLINE;
}

static inline void wqe_put_bind(struct mirage_send_wqe *wqe,
				const struct ibv_mw *mw, uint32_t rkey,
				const struct ibv_mw_bind_info *info)
{
	uint64_t access = info->mw_access_flags;

	/* Without a region the window is unbound. */
	wqe->swap = access << 32 | (info->mr ? info->mr->lkey : 0);
	wqe->compare_add = info->length;
	wqe->ex = rkey;
	wqe_put_remote(wqe, mw->rkey, info->addr);
}

static inline void wqe_put_flush(struct mirage_send_wqe *wqe, uint64_t length,
				 uint8_t type, uint8_t level)
{
	wqe->compare_add = length;
	wqe->swap = (uint64_t)level << 32 | type;
}

static inline void wqe_put_datagram(struct mirage_send_wqe *wqe, struct ibv_ah *ah,
				    uint32_t qpn, uint32_t qkey)
{
	wqe->remote_addr = to_mah(ah)->num;
	wqe->swap = qpn;
	wqe->rkey = qkey;
}

static inline struct mirage_sge *wqe_sges(struct mirage_send_wqe *wqe)
{
	return (struct mirage_sge *)(wqe + 1);
}

static inline int wqe_put_sges(const struct mirage_qp *qp,
			       struct mirage_send_wqe *wqe, size_t num,
			       const struct ibv_sge *list)
{
	struct mirage_sge *sge = wqe_sges(wqe);

	if (unlikely(num > qp->sq.max_sge))
		return EINVAL;

	wqe->num_sge = num;
	wqe->inline_len = 0;
	for (; num; num--, sge++, list++)
		mirage_sge_put(sge, list->addr, list->length, list->lkey);
	return 0;
}

/* Append to the inline data of a WQE; wqe_put_inline() sets its length at the end. */
static inline int wqe_put_chunk(const struct mirage_qp *qp,
				struct mirage_send_wqe *wqe, uint32_t at,
				const void *data, size_t length)
{
	if (unlikely(length > qp->max_inline - at))
		return EINVAL;

	memcpy((uint8_t *)(wqe + 1) + at, data, length);
	return 0;
}

static inline int wqe_put_inline(struct mirage_send_wqe *wqe, unsigned int opcode,
				 uint32_t length)
{
	if (unlikely(!op_in(INLINED_OPS, opcode)))
		return EINVAL;

	wqe->num_sge = 0;
	wqe->inline_len = length;
	wqe->flags |= MIRAGE_WQE_INLINE;
	return 0;
}

static int wqe_put_inline_sges(const struct mirage_qp *qp,
			       struct mirage_send_wqe *wqe,
			       const struct ibv_send_wr *wr)
{
	uint32_t length = 0;
	int err;
	int i;

	for (i = 0; i < wr->num_sge; i++) {
		const struct ibv_sge *sge = &wr->sg_list[i];

		err = wqe_put_chunk(qp, wqe, length, (void *)(uintptr_t)sge->addr,
				    sge->length);
		if (unlikely(err))
			return err;
		length += sge->length;
	}
	return wqe_put_inline(wqe, wr->opcode, length);
}

/* The operands that struct ibv_send_wr has in a member of their own. */
static void wqe_put_union(struct mirage_send_wqe *wqe,
			  const struct ibv_send_wr *wr)
{
	if (wr->opcode == IBV_WR_BIND_MW) {
		wqe_put_bind(wqe, wr->bind_mw.mw, wr->bind_mw.rkey,
			     &wr->bind_mw.bind_info);
	} else {
		wqe_put_remote(wqe, wr->wr.atomic.rkey, wr->wr.atomic.remote_addr);
		wqe_put_atomic(wqe, wr->wr.atomic.compare_add, wr->wr.atomic.swap);
	}
}

/* Fields that only some types of queue pair have. */
static void wqe_put_transport(const struct mirage_qp *qp,
			      struct mirage_send_wqe *wqe,
			      const struct ibv_send_wr *wr)
{
	if (qp->vqp.qp.qp_type == IBV_QPT_UD)
		wqe_put_datagram(wqe, wr->wr.ud.ah, wr->wr.ud.remote_qpn,
				 wr->wr.ud.remote_qkey);
	else if (qp->vqp.qp.qp_type == IBV_QPT_XRC_SEND)
		wqe->srqn = wr->qp_type.xrc.remote_srqn;
}

static inline int wr_encode(const struct mirage_qp *qp,
			    struct mirage_send_wqe *wqe,
			    const struct ibv_send_wr *wr)
{
	if (unlikely(!op_in(qp->post_ops, wr->opcode) ||
		     wr->send_flags > SEND_FLAGS))
		return EINVAL;

	wqe_put_head(qp, wqe, wr->wr_id, wr->opcode, wr->send_flags);
	if (likely(!op_in(UNION_OPS, wr->opcode))) {
		/* Opcodes without these operands get them too: that saves a branch. */
		wqe_put_imm(wqe, wr->imm_data);
		wqe_put_remote(wqe, wr->wr.rdma.rkey, wr->wr.rdma.remote_addr);
	} else {
		wqe_put_union(wqe, wr);
	}
	if (unlikely(qp->vqp.qp.qp_type != IBV_QPT_RC))
		wqe_put_transport(qp, wqe, wr);

	if (wr->send_flags & IBV_SEND_INLINE)
		return wqe_put_inline_sges(qp, wqe, wr);

	/* Passed as unsigned, so that a negative count is too many as well. */
	return wqe_put_sges(qp, wqe, (uint32_t)wr->num_sge, wr->sg_list);
}

int mirage_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr,
		     struct ibv_send_wr **bad_wr)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	/* A local copy: the compiler knows that no store to a WQE changes it. */
	const struct mirage_ring ring = qp->sq.ring;
	struct ibv_send_wr *first = wr;
	uint32_t next, posted;
	int err = 0;

	/* An XRC target has no ring, and ibqp->state says nothing of an opened one. */
	if (unlikely(ibqp->state < IBV_QPS_RTS || !ring.hdr)) {
		*bad_wr = wr;
		return EINVAL;
	}

	mirage_lock(&qp->sq.lock);
	for (next = qp->sq.next; wr; wr = wr->next, next++) {
		err = likely(!mirage_wq_full(&qp->sq, next)) ?
		      wr_encode(qp, mirage_ring_slot(&ring, next), wr) : ENOMEM;
		if (unlikely(err)) {
			*bad_wr = wr;
			break;
		}
	}
	posted = next - qp->sq.next;
	mirage_wq_publish(&qp->sq, next);
	mirage_unlock(&qp->sq.lock);

	if (likely(posted)) {
		int fd = ibqp->context->cmd_fd;
		int doorbell_err = mirage_wq_ring_doorbell(&qp->sq, fd);

		if (unlikely(doorbell_err)) {
			*bad_wr = first;
			return doorbell_err;
		}
	}
	return err;
}

static inline void wr_fail(struct mirage_qp *qp, int err)
{
	if (!qp->wr_err)
		qp->wr_err = err;
	qp->wqe = NULL;
}

static inline struct mirage_send_wqe *wr_begin(struct mirage_qp *qp,
					       unsigned int opcode)
{
	const struct ibv_qp_ex *ex = &qp->vqp.qp_ex;

	if (unlikely(qp->wr_err))
		return NULL;
	if (unlikely(!op_in(qp->wr_ops, opcode) || ex->wr_flags > SEND_FLAGS)) {
		wr_fail(qp, EINVAL);
		return NULL;
	}
	if (unlikely(mirage_wq_full(&qp->sq, qp->wr_next))) {
		wr_fail(qp, ENOMEM);
		return NULL;
	}

	qp->wqe = mirage_ring_slot(&qp->sq.ring, qp->wr_next++);
	wqe_put_head(qp, qp->wqe, ex->wr_id, opcode, ex->wr_flags);
	wqe_put_no_data(qp->wqe);
	return qp->wqe;
}

static void wr_start(struct ibv_qp_ex *ibqp)
{
	struct mirage_qp *qp = to_mqp_ex(ibqp);

	mirage_lock(&qp->sq.lock);
	qp->wqe = NULL;
	qp->wr_next = qp->sq.next;
	qp->wr_err = ibqp->qp_base.state < IBV_QPS_RTS ? EINVAL : 0;
}

static int wr_complete(struct ibv_qp_ex *ibqp)
{
	struct mirage_qp *qp = to_mqp_ex(ibqp);
	uint32_t posted = qp->wr_next - qp->sq.next;
	int err = qp->wr_err;

	if (likely(!err))
		mirage_wq_publish(&qp->sq, qp->wr_next);
	mirage_unlock(&qp->sq.lock);

	if (unlikely(err) || !posted)
		return err;
	return mirage_wq_ring_doorbell(&qp->sq, ibqp->qp_base.context->cmd_fd);
}

static void wr_abort(struct ibv_qp_ex *ibqp)
{
	mirage_unlock(&to_mqp_ex(ibqp)->sq.lock);
}

static void wr_send(struct ibv_qp_ex *ibqp)
{
	wr_begin(to_mqp_ex(ibqp), IBV_WR_SEND);
}

static void wr_send_imm(struct ibv_qp_ex *ibqp, __be32 imm)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_SEND_WITH_IMM);
	if (likely(wqe))
		wqe_put_imm(wqe, imm);
}

static void wr_send_inv(struct ibv_qp_ex *ibqp, uint32_t rkey)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_SEND_WITH_INV);
	if (likely(wqe))
		wqe_put_invalidate(wqe, rkey);
}

static void wr_rdma_write(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t addr)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_RDMA_WRITE);
	if (likely(wqe))
		wqe_put_remote(wqe, rkey, addr);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *ibqp, uint32_t rkey,
			      uint64_t addr, __be32 imm)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_RDMA_WRITE_WITH_IMM);
	if (likely(wqe)) {
		wqe_put_remote(wqe, rkey, addr);
		wqe_put_imm(wqe, imm);
	}
}

static void wr_rdma_read(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t addr)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_RDMA_READ);
	if (likely(wqe))
		wqe_put_remote(wqe, rkey, addr);
}

static void wr_atomic_cmp_swp(struct ibv_qp_ex *ibqp, uint32_t rkey,
			      uint64_t addr, uint64_t compare, uint64_t swap)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_ATOMIC_CMP_AND_SWP);
	if (likely(wqe)) {
		wqe_put_remote(wqe, rkey, addr);
		wqe_put_atomic(wqe, compare, swap);
	}
}

static void wr_atomic_fetch_add(struct ibv_qp_ex *ibqp, uint32_t rkey,
				uint64_t addr, uint64_t add)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_ATOMIC_FETCH_AND_ADD);
	if (likely(wqe)) {
		wqe_put_remote(wqe, rkey, addr);
		wqe_put_atomic(wqe, add, 0);
	}
}

static void wr_atomic_write(struct ibv_qp_ex *ibqp, uint32_t rkey,
			    uint64_t addr, const void *data)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_ATOMIC_WRITE);
	if (likely(wqe)) {
		wqe_put_remote(wqe, rkey, addr);
		wqe_put_atomic_write(wqe, data);
	}
}

static void wr_flush(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t addr,
		     size_t length, uint8_t type, uint8_t level)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_FLUSH);
	if (likely(wqe)) {
		wqe_put_remote(wqe, rkey, addr);
		wqe_put_flush(wqe, length, type, level);
	}
}

static void wr_bind_mw(struct ibv_qp_ex *ibqp, struct ibv_mw *mw, uint32_t rkey,
		       const struct ibv_mw_bind_info *info)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_BIND_MW);
	if (likely(wqe))
		wqe_put_bind(wqe, mw, rkey, info);
}

static void wr_local_inv(struct ibv_qp_ex *ibqp, uint32_t rkey)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_LOCAL_INV);
	if (likely(wqe))
		wqe_put_invalidate(wqe, rkey);
}

/* The WQE that a wr_set_*() call completes; NULL after an error, or before the first. */
static inline struct mirage_send_wqe *wr_current(struct mirage_qp *qp)
{
	if (unlikely(!qp->wqe))
		wr_fail(qp, EINVAL);
	return qp->wqe;
}

static void wr_set_ud_addr(struct ibv_qp_ex *ibqp, struct ibv_ah *ah,
			   uint32_t qpn, uint32_t qkey)
{
	struct mirage_send_wqe *wqe = wr_current(to_mqp_ex(ibqp));

	if (likely(wqe))
		wqe_put_datagram(wqe, ah, qpn, qkey);
}

static void wr_set_xrc_srqn(struct ibv_qp_ex *ibqp, uint32_t srqn)
{
	struct mirage_send_wqe *wqe = wr_current(to_mqp_ex(ibqp));

	if (likely(wqe))
		wqe->srqn = srqn;
}

static void wr_set_sge(struct ibv_qp_ex *ibqp, uint32_t lkey, uint64_t addr,
		       uint32_t length)
{
	struct mirage_qp *qp = to_mqp_ex(ibqp);
	struct mirage_send_wqe *wqe = wr_current(qp);

	if (unlikely(!wqe))
		return;
	if (unlikely(!qp->sq.max_sge)) {
		wr_fail(qp, EINVAL);
		return;
	}
	mirage_sge_put(wqe_sges(wqe), addr, length, lkey);
	wqe->num_sge = 1;
}

static void wr_set_sge_list(struct ibv_qp_ex *ibqp, size_t num,
			    const struct ibv_sge *list)
{
	struct mirage_qp *qp = to_mqp_ex(ibqp);
	struct mirage_send_wqe *wqe = wr_current(qp);

	if (likely(wqe) && unlikely(wqe_put_sges(qp, wqe, num, list)))
		wr_fail(qp, EINVAL);
}

static void wr_set_inline_data_list(struct ibv_qp_ex *ibqp, size_t num,
				    const struct ibv_data_buf *list)
{
	struct mirage_qp *qp = to_mqp_ex(ibqp);
	struct mirage_send_wqe *wqe = wr_current(qp);
	uint32_t length = 0;
	int err = 0;
	size_t i;

	if (unlikely(!wqe))
		return;

	for (i = 0; i < num && !err; i++) {
		err = wqe_put_chunk(qp, wqe, length, list[i].addr, list[i].length);
		length += list[i].length;
	}
	if (likely(!err))
		err = wqe_put_inline(wqe, wqe->opcode, length);
	if (unlikely(err))
		wr_fail(qp, err);
}

static void wr_set_inline_data(struct ibv_qp_ex *ibqp, void *addr,
			       size_t length)
{
	struct ibv_data_buf buf = { .addr = addr, .length = length };

	wr_set_inline_data_list(ibqp, 1, &buf);
}

static void wr_set_functions(struct ibv_qp_ex *ex)
{
	ex->wr_start = wr_start;
	ex->wr_complete = wr_complete;
	ex->wr_abort = wr_abort;
	ex->wr_send = wr_send;
	ex->wr_send_imm = wr_send_imm;
	ex->wr_send_inv = wr_send_inv;
	ex->wr_rdma_write = wr_rdma_write;
	ex->wr_rdma_write_imm = wr_rdma_write_imm;
	ex->wr_rdma_read = wr_rdma_read;
	ex->wr_atomic_cmp_swp = wr_atomic_cmp_swp;
	ex->wr_atomic_fetch_add = wr_atomic_fetch_add;
	ex->wr_atomic_write = wr_atomic_write;
	ex->wr_flush = wr_flush;
	ex->wr_bind_mw = wr_bind_mw;
	ex->wr_local_inv = wr_local_inv;
	ex->wr_set_ud_addr = wr_set_ud_addr;
	ex->wr_set_xrc_srqn = wr_set_xrc_srqn;
	ex->wr_set_sge = wr_set_sge;
	ex->wr_set_sge_list = wr_set_sge_list;
	ex->wr_set_inline_data = wr_set_inline_data;
	ex->wr_set_inline_data_list = wr_set_inline_data_list;
}

static bool wr_device_has(struct ibv_context *context, uint64_t caps)
{
	struct ibv_device_attr_ex attr;

	if (!caps)
		return true;
	return !ibv_query_device_ex(context, NULL, &attr) &&
	       (attr.device_cap_flags_ex & caps) == caps;
}

/* The opcodes that @flags, send_ops_flags, ask for: EOPNOTSUPP if one is unknown. */
static int wr_find_ops(struct ibv_context *context, uint64_t flags,
		       uint32_t *ops)
{
	uint64_t caps = 0;
	size_t i;

	*ops = 0;
	for (i = 0; i < ARRAY_SIZE(wr_opcodes); i++) {
		if (!(flags & wr_opcodes[i].flag))
			continue;
		flags &= ~wr_opcodes[i].flag;
		*ops |= wr_opcodes[i].op;
		caps |= wr_opcodes[i].cap;
	}
	return flags || !wr_device_has(context, caps) ? EOPNOTSUPP : 0;
}

/* All opcodes of a type of queue pair. */
static uint32_t wr_ops_of_type(enum ibv_qp_type qp_type)
{
	uint32_t type, ops = 0;
	size_t i;

	switch (qp_type) {
	case IBV_QPT_RC:
	case IBV_QPT_XRC_SEND:
		type = RC;
		break;
	case IBV_QPT_UC:
		type = UC;
		break;
	case IBV_QPT_UD:
		type = UD;
		break;
	default:
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(wr_opcodes); i++) {
		if (wr_opcodes[i].types & type)
			ops |= wr_opcodes[i].op;
	}
	return ops;
}

/* Set what may be posted to a queue pair that is about to be made. */
int mirage_qp_set_ops(struct mirage_qp *qp, struct ibv_context *context,
		      const struct ibv_qp_init_attr_ex *attr)
{
	uint32_t ops = wr_ops_of_type(attr->qp_type);
	int err;

	if (!ops && attr->qp_type != IBV_QPT_XRC_RECV)
		return EOPNOTSUPP;

	qp->post_ops = ops & POSTED_OPS;

	if (attr->sq_sig_all)
		qp->wqe_flags = MIRAGE_WQE_SIGNALED;
	if (!(attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS))
		return 0;

	err = wr_find_ops(context, attr->send_ops_flags, &qp->wr_ops);
	if (!err && qp->wr_ops & ~ops)
		err = EOPNOTSUPP;
	if (!err)
		wr_set_functions(&qp->vqp.qp_ex);
	return err;
}

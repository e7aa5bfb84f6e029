// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * wr.c - posting sends
 *
 * Each part of a WQE is encoded by one put_*() function, straight into its slot of
 * the ring. post_send() calls them as the work request says, and so do the
 * ibv_wr_*() functions between wr_start and wr_complete; these two differ in when
 * an error is told and in what becomes of the requests before it: post_send()
 * posts them, wr_complete() posts all or nothing.
 */
#include <string.h>

#include <ccan/array_size.h>

#include "mirage.h"

#define OP(name)	(1U << IBV_WR_##name)

#define SEND_OPS	(OP(SEND) | OP(SEND_WITH_IMM) | OP(SEND_WITH_INV))
#define WRITE_OPS	(OP(RDMA_WRITE) | OP(RDMA_WRITE_WITH_IMM))
#define ATOMIC_OPS	(OP(ATOMIC_CMP_AND_SWP) | OP(ATOMIC_FETCH_AND_ADD))

#define MW_OPS		(OP(BIND_MW) | OP(LOCAL_INV))

/* What each type of queue pair can be asked for. */
#define RC_OPS		(SEND_OPS | WRITE_OPS | OP(RDMA_READ) | ATOMIC_OPS | \
			 MW_OPS | OP(ATOMIC_WRITE) | OP(FLUSH))
#define UC_OPS		(OP(SEND) | OP(SEND_WITH_IMM) | WRITE_OPS | MW_OPS)
#define UD_OPS		(OP(SEND) | OP(SEND_WITH_IMM))

/* All that struct ibv_send_wr can say; ibv_wr_*() can say more: send_ops[]. */
#define POST_OPS	(SEND_OPS | WRITE_OPS | OP(RDMA_READ) | ATOMIC_OPS | MW_OPS)
#define INLINE_OPS	(SEND_OPS | WRITE_OPS)

#define SEND_FLAGS	((unsigned int)(IBV_SEND_FENCE | IBV_SEND_SIGNALED | \
					IBV_SEND_SOLICITED | IBV_SEND_INLINE))

/* What send_ops_flags ask for, and what the device has to be capable of for it. */
static const struct {
	uint64_t flag;
	uint32_t op;
	uint64_t cap;
} send_ops[] = {
	{ IBV_QP_EX_WITH_SEND, OP(SEND), 0 },
	{ IBV_QP_EX_WITH_SEND_WITH_IMM, OP(SEND_WITH_IMM), 0 },
	{ IBV_QP_EX_WITH_SEND_WITH_INV, OP(SEND_WITH_INV), 0 },
	{ IBV_QP_EX_WITH_RDMA_WRITE, OP(RDMA_WRITE), 0 },
	{ IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM, OP(RDMA_WRITE_WITH_IMM), 0 },
	{ IBV_QP_EX_WITH_RDMA_READ, OP(RDMA_READ), 0 },
	{ IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP, OP(ATOMIC_CMP_AND_SWP), 0 },
	{ IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD, OP(ATOMIC_FETCH_AND_ADD), 0 },
	{ IBV_QP_EX_WITH_BIND_MW, OP(BIND_MW), 0 },
	{ IBV_QP_EX_WITH_LOCAL_INV, OP(LOCAL_INV), 0 },
	{ IBV_QP_EX_WITH_ATOMIC_WRITE, OP(ATOMIC_WRITE),
	  IB_UVERBS_DEVICE_ATOMIC_WRITE },
	{ IBV_QP_EX_WITH_FLUSH, OP(FLUSH), IB_UVERBS_DEVICE_FLUSH_GLOBAL },
};

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

/* Begin a WQE. Fields that its opcode has no use for keep rubbish. */
static inline void put_head(const struct mirage_qp *qp,
			    struct mirage_send_wqe *wqe, uint64_t wr_id,
			    unsigned int opcode, unsigned int flags)
{
	wqe->wr_id = wr_id;
	wqe->opcode = opcode;
	wqe->flags = wqe_flags[flags] | qp->wqe_flags;
}

/* It has no data, or not yet. */
static inline void put_no_data(struct mirage_send_wqe *wqe)
{
	wqe->num_sge = 0;
	wqe->inline_len = 0;
}

static inline void put_remote(struct mirage_send_wqe *wqe, uint32_t rkey,
			      uint64_t addr)
{
	wqe->rkey = rkey;
	wqe->remote_addr = addr;
}

static inline void put_imm(struct mirage_send_wqe *wqe, __be32 imm)
{
	wqe->ex = (__force uint32_t)imm;
}

static inline void put_invalidate(struct mirage_send_wqe *wqe, uint32_t rkey)
{
	wqe->ex = rkey;
}

static inline void put_atomic(struct mirage_send_wqe *wqe, uint64_t compare_add,
			      uint64_t swap)
{
	wqe->compare_add = compare_add;
	wqe->swap = swap;
}

/* Eight bytes: every slot has room for an SGE, so for these too. */
static inline void put_atomic_write(struct mirage_send_wqe *wqe,
				    const void *data)
{
	memcpy(wqe + 1, data, 8);
	wqe->inline_len = 8;
	wqe->flags |= MIRAGE_WQE_INLINE;
}

static inline void put_bind(struct mirage_send_wqe *wqe,
			    const struct ibv_mw *mw, uint32_t rkey,
			    const struct ibv_mw_bind_info *info)
{
	uint64_t access = info->mw_access_flags;

	/* No region is needed to unbind. */
	wqe->swap = access << 32 | (info->mr ? info->mr->lkey : 0);
	wqe->compare_add = info->length;
	wqe->ex = rkey;
	put_remote(wqe, mw->rkey, info->addr);
}

static inline void put_flush(struct mirage_send_wqe *wqe, uint64_t length,
			     uint8_t type, uint8_t level)
{
	wqe->compare_add = length;
	wqe->swap = (uint64_t)level << 32 | type;
}

static inline void put_datagram(struct mirage_send_wqe *wqe, struct ibv_ah *ah,
				uint32_t qpn, uint32_t qkey)
{
	wqe->remote_addr = to_mah(ah)->num;
	wqe->swap = qpn;
	wqe->rkey = qkey;
}

static inline struct mirage_sge *sge_of(struct mirage_send_wqe *wqe)
{
	return (struct mirage_sge *)(wqe + 1);
}

static inline void put_sge(struct mirage_sge *sge, uint64_t addr,
			   uint32_t length, uint32_t lkey)
{
	sge->addr = addr;
	sge->length = length;
	sge->lkey = lkey;
}

static inline int put_sges(const struct mirage_qp *qp,
			   struct mirage_send_wqe *wqe, size_t num,
			   const struct ibv_sge *list)
{
	struct mirage_sge *sge = sge_of(wqe);

	if (unlikely(num > qp->sq.max_sge))
		return EINVAL;

	wqe->num_sge = num;
	wqe->inline_len = 0;
	for (; num; num--, sge++, list++)
		put_sge(sge, list->addr, list->length, list->lkey);
	return 0;
}

/* Append to the data of a WQE; its length goes in with the last, by put_inline(). */
static inline int put_chunk(const struct mirage_qp *qp,
			    struct mirage_send_wqe *wqe, uint32_t at,
			    const void *data, size_t length)
{
	if (unlikely(length > qp->max_inline - at))
		return EINVAL;

	memcpy((uint8_t *)(wqe + 1) + at, data, length);
	return 0;
}

static inline int put_inline(struct mirage_send_wqe *wqe, unsigned int opcode,
			     uint32_t length)
{
	if (unlikely(!op_in(INLINE_OPS, opcode)))
		return EINVAL;

	wqe->num_sge = 0;
	wqe->inline_len = length;
	wqe->flags |= MIRAGE_WQE_INLINE;
	return 0;
}

static int put_inline_sges(const struct mirage_qp *qp,
			   struct mirage_send_wqe *wqe,
			   const struct ibv_send_wr *wr)
{
	uint32_t length = 0;
	int err;
	int i;

	for (i = 0; i < wr->num_sge; i++) {
		const struct ibv_sge *sge = &wr->sg_list[i];

		err = put_chunk(qp, wqe, length, (void *)(uintptr_t)sge->addr,
				sge->length);
		if (unlikely(err))
			return err;
		length += sge->length;
	}
	return put_inline(wqe, wr->opcode, length);
}

/* What struct ibv_send_wr has a union of its own for. */
static void put_special(struct mirage_send_wqe *wqe,
			const struct ibv_send_wr *wr)
{
	if (wr->opcode == IBV_WR_BIND_MW) {
		put_bind(wqe, wr->bind_mw.mw, wr->bind_mw.rkey,
			 &wr->bind_mw.bind_info);
	} else {
		put_remote(wqe, wr->wr.atomic.rkey, wr->wr.atomic.remote_addr);
		put_atomic(wqe, wr->wr.atomic.compare_add, wr->wr.atomic.swap);
	}
}

/* What the type of the queue pair needs besides. */
static void put_transport(const struct mirage_qp *qp,
			  struct mirage_send_wqe *wqe,
			  const struct ibv_send_wr *wr)
{
	if (qp->vqp.qp.qp_type == IBV_QPT_UD)
		put_datagram(wqe, wr->wr.ud.ah, wr->wr.ud.remote_qpn,
			     wr->wr.ud.remote_qkey);
	else if (qp->vqp.qp.qp_type == IBV_QPT_XRC_SEND)
		wqe->srqn = wr->qp_type.xrc.remote_srqn;
}

static inline int encode(const struct mirage_qp *qp,
			 struct mirage_send_wqe *wqe,
			 const struct ibv_send_wr *wr)
{
	if (unlikely(!op_in(qp->post_ops, wr->opcode) ||
		     wr->send_flags > SEND_FLAGS))
		return EINVAL;

	put_head(qp, wqe, wr->wr_id, wr->opcode, wr->send_flags);
	if (likely(!op_in(ATOMIC_OPS | OP(BIND_MW), wr->opcode))) {
		/* An opcode that needs less is not told apart. */
		put_imm(wqe, wr->imm_data);
		put_remote(wqe, wr->wr.rdma.rkey, wr->wr.rdma.remote_addr);
	} else {
		put_special(wqe, wr);
	}
	if (unlikely(qp->vqp.qp.qp_type != IBV_QPT_RC))
		put_transport(qp, wqe, wr);

	if (wr->send_flags & IBV_SEND_INLINE)
		return put_inline_sges(qp, wqe, wr);

	/* As unsigned: a negative count is too many as well. */
	return put_sges(qp, wqe, (uint32_t)wr->num_sge, wr->sg_list);
}

int mirage_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr,
		     struct ibv_send_wr **bad_wr)
{
	struct mirage_qp *qp = to_mqp(ibqp);
	/* A copy, which no store to a WQE can change in the compiler's eyes. */
	const struct mirage_ring ring = qp->sq.ring;
	struct ibv_send_wr *first = wr;
	uint32_t next, posted;
	int err = 0;

	/* An XRC target has no ring, and an opened one no state that is known here. */
	if (unlikely(ibqp->state < IBV_QPS_RTS || !ring.hdr)) {
		*bad_wr = wr;
		return EINVAL;
	}

	mirage_lock(&qp->sq.lock);
	for (next = qp->sq.next; wr; wr = wr->next, next++) {
		err = likely(!mirage_wq_full(&qp->sq, next)) ?
		      encode(qp, mirage_ring_slot(&ring, next), wr) : ENOMEM;
		if (unlikely(err)) {
			*bad_wr = wr;
			break;
		}
	}
	posted = next - qp->sq.next;
	mirage_wq_publish(&qp->sq, next);
	mirage_unlock(&qp->sq.lock);

	if (likely(posted)) {
		int doorbell_err =
			mirage_wq_ring_doorbell(&qp->sq, ibqp->context->cmd_fd);

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
	put_head(qp, qp->wqe, ex->wr_id, opcode, ex->wr_flags);
	put_no_data(qp->wqe);
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
	return mirage_wq_ring_doorbell(&qp->sq,
				       ibqp->qp_base.context->cmd_fd);
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
		put_imm(wqe, imm);
}

static void wr_send_inv(struct ibv_qp_ex *ibqp, uint32_t rkey)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_SEND_WITH_INV);
	if (likely(wqe))
		put_invalidate(wqe, rkey);
}

static void wr_rdma_write(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t addr)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_RDMA_WRITE);
	if (likely(wqe))
		put_remote(wqe, rkey, addr);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *ibqp, uint32_t rkey,
			      uint64_t addr, __be32 imm)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_RDMA_WRITE_WITH_IMM);
	if (likely(wqe)) {
		put_remote(wqe, rkey, addr);
		put_imm(wqe, imm);
	}
}

static void wr_rdma_read(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t addr)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_RDMA_READ);
	if (likely(wqe))
		put_remote(wqe, rkey, addr);
}

static void wr_atomic_cmp_swp(struct ibv_qp_ex *ibqp, uint32_t rkey,
			      uint64_t addr, uint64_t compare, uint64_t swap)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_ATOMIC_CMP_AND_SWP);
	if (likely(wqe)) {
		put_remote(wqe, rkey, addr);
		put_atomic(wqe, compare, swap);
	}
}

static void wr_atomic_fetch_add(struct ibv_qp_ex *ibqp, uint32_t rkey,
				uint64_t addr, uint64_t add)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_ATOMIC_FETCH_AND_ADD);
	if (likely(wqe)) {
		put_remote(wqe, rkey, addr);
		put_atomic(wqe, add, 0);
	}
}

static void wr_atomic_write(struct ibv_qp_ex *ibqp, uint32_t rkey,
			    uint64_t addr, const void *data)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_ATOMIC_WRITE);
	if (likely(wqe)) {
		put_remote(wqe, rkey, addr);
		put_atomic_write(wqe, data);
	}
}

static void wr_flush(struct ibv_qp_ex *ibqp, uint32_t rkey, uint64_t addr,
		     size_t length, uint8_t type, uint8_t level)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_FLUSH);
	if (likely(wqe)) {
		put_remote(wqe, rkey, addr);
		put_flush(wqe, length, type, level);
	}
}

static void wr_bind_mw(struct ibv_qp_ex *ibqp, struct ibv_mw *mw, uint32_t rkey,
		       const struct ibv_mw_bind_info *info)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_BIND_MW);
	if (likely(wqe))
		put_bind(wqe, mw, rkey, info);
}

static void wr_local_inv(struct ibv_qp_ex *ibqp, uint32_t rkey)
{
	struct mirage_send_wqe *wqe;

	wqe = wr_begin(to_mqp_ex(ibqp), IBV_WR_LOCAL_INV);
	if (likely(wqe))
		put_invalidate(wqe, rkey);
}

/* The WQE that a set_*() call belongs to; NULL after an error, or before any. */
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
		put_datagram(wqe, ah, qpn, qkey);
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
	put_sge(sge_of(wqe), addr, length, lkey);
	wqe->num_sge = 1;
}

static void wr_set_sge_list(struct ibv_qp_ex *ibqp, size_t num,
			    const struct ibv_sge *list)
{
	struct mirage_qp *qp = to_mqp_ex(ibqp);
	struct mirage_send_wqe *wqe = wr_current(qp);

	if (likely(wqe) && unlikely(put_sges(qp, wqe, num, list)))
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
		err = put_chunk(qp, wqe, length, list[i].addr, list[i].length);
		length += list[i].length;
	}
	if (likely(!err))
		err = put_inline(wqe, wqe->opcode, length);
	if (unlikely(err))
		wr_fail(qp, err);
}

static void wr_set_inline_data(struct ibv_qp_ex *ibqp, void *addr,
			       size_t length)
{
	struct ibv_data_buf buf = { .addr = addr, .length = length };

	wr_set_inline_data_list(ibqp, 1, &buf);
}

static void set_wr_functions(struct ibv_qp_ex *ex)
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

static bool device_has(struct ibv_context *context, uint64_t caps)
{
	struct ibv_device_attr_ex attr;

	if (!caps)
		return true;
	return !ibv_query_device_ex(context, NULL, &attr) &&
	       (attr.device_cap_flags_ex & caps) == caps;
}

/* The operations of send_ops_flags, as a mask of 1 << enum ibv_wr_opcode. */
static int find_ops(struct ibv_context *context, uint64_t flags, uint32_t *ops)
{
	uint64_t caps = 0;
	size_t i;

	*ops = 0;
	for (i = 0; i < ARRAY_SIZE(send_ops); i++) {
		if (!(flags & send_ops[i].flag))
			continue;
		flags &= ~send_ops[i].flag;
		*ops |= send_ops[i].op;
		caps |= send_ops[i].cap;
	}
	return flags || !device_has(context, caps) ? EOPNOTSUPP : 0;
}

static uint32_t ops_of(enum ibv_qp_type type)
{
	switch (type) {
	case IBV_QPT_RC:
	case IBV_QPT_XRC_SEND:
		return RC_OPS;
	case IBV_QPT_UC:
		return UC_OPS;
	case IBV_QPT_UD:
		return UD_OPS;
	default:
		return 0;
	}
}

/* What may be posted to a queue pair that is about to be made. */
int mirage_qp_set_ops(struct mirage_qp *qp, struct ibv_context *context,
		      const struct ibv_qp_init_attr_ex *attr)
{
	uint32_t ops = ops_of(attr->qp_type);
	int err;

	if (!ops && attr->qp_type != IBV_QPT_XRC_RECV)
		return EOPNOTSUPP;

	qp->post_ops = ops & POST_OPS;

	if (attr->sq_sig_all)
		qp->wqe_flags = MIRAGE_WQE_SIGNALED;
	if (!(attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS))
		return 0;

	err = find_ops(context, attr->send_ops_flags, &qp->wr_ops);
	if (!err && qp->wr_ops & ~ops)
		err = EOPNOTSUPP;
	if (!err)
		set_wr_functions(&qp->vqp.qp_ex);
	return err;
}

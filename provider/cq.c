// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * cq.c - completion queues: life, polling, arming
 *
 * CQEs are read in place. The kernel gets a slot back when poll_cq() has copied its
 * CQE out, or when the application has moved on from it (struct ibv_cq_ex).
 */
#include <stdlib.h>
#include <string.h>

#include "mirage.h"

#define _STRUCT_mirage_create_cq_req struct {}
#define _STRUCT_mirage_create_cq_resp struct {}
#define _STRUCT_mirage_resize_cq_resp struct {}

DECLARE_DRV_CMD(mirage_create_cq_cmd, IB_USER_VERBS_EX_CMD_CREATE_CQ,
		mirage_create_cq_req, mirage_create_cq_resp);
DECLARE_DRV_CMD(mirage_resize_cq_cmd, IB_USER_VERBS_CMD_RESIZE_CQ,
		empty, mirage_resize_cq_resp);

#define CLOCK_FLAGS	(IBV_WC_EX_WITH_COMPLETION_TIMESTAMP | \
			 IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK)

static inline const struct mirage_cqe *cqe_at(const struct mirage_ring *ring,
					      uint32_t index)
{
	return mirage_ring_slot(ring, index);
}

/* Is there a CQE at cons? The kernel's cache line is read only when none is known. */
static inline bool cq_has_cqe(const struct mirage_ring *ring, uint32_t cons,
			      uint32_t *seen)
{
	if (*seen == cons)
		*seen = mirage_load_index(&ring->hdr->prod);
	return *seen != cons;
}

/* The CQE was taken, so the slots up to that of its work request are free. */
static inline void cq_retire(const struct mirage_context *ctx,
			     const struct mirage_cqe *cqe)
{
	struct mirage_qp *qp;

	if (unlikely(cqe->ring == MIRAGE_CQE_NO_RING))
		return;
	qp = mirage_qpn_find(ctx, cqe->qp_num);
	mirage_wq_set_tail(cqe->ring == MIRAGE_CQE_SQ ? &qp->sq : &qp->rq,
			   cqe->cons);
}

/* Give the slots before cons back to the kernel. */
static inline void cq_release(struct mirage_cq *cq)
{
	mirage_store_index(&cq->ring.hdr->cons, cq->cons);
}

#define SAME_PLACE(wc_field, cqe_field)					\
	static_assert(offsetof(struct ibv_wc, wc_field) ==		\
		      offsetof(struct mirage_cqe, cqe_field), "ABI")

SAME_PLACE(wr_id, wr_id);
SAME_PLACE(status, status);
SAME_PLACE(opcode, opcode);
SAME_PLACE(vendor_err, vendor_err);
SAME_PLACE(byte_len, byte_len);
SAME_PLACE(imm_data, ex);
SAME_PLACE(qp_num, qp_num);
SAME_PLACE(src_qp, src_qp);
SAME_PLACE(wc_flags, wc_flags);
SAME_PLACE(pkey_index, cons);

static inline void cqe_copy_out(struct ibv_wc *wc, const struct mirage_cqe *cqe)
{
	memcpy(wc, cqe, offsetof(struct ibv_wc, pkey_index));
	wc->wc_flags &= MIRAGE_WC_IBV_FLAGS;
	wc->pkey_index = cqe->pkey_index;
	wc->slid = 0;
	wc->sl = cqe->sl;
	wc->dlid_path_bits = 0;
}

int mirage_poll_cq(struct ibv_cq *ibcq, int num_entries, struct ibv_wc *wc)
{
	const struct mirage_context *ctx = to_mctx(ibcq->context);
	struct mirage_cq *cq = to_mcq(ibcq);
	struct mirage_ring ring;
	uint32_t cons, seen;
	int n;

	mirage_lock(&cq->lock);
	/* Local copies: the compiler knows that no store to wc changes them. */
	ring = cq->ring;
	cons = cq->cons;
	seen = cq->seen;
	for (n = 0; n < num_entries && cq_has_cqe(&ring, cons, &seen); n++) {
		const struct mirage_cqe *cqe = cqe_at(&ring, cons++);

		cqe_copy_out(&wc[n], cqe);
		cq_retire(ctx, cqe);
	}
	if (n) {
		cq->seen = seen;
		cq->cons = cons;
		cq_release(cq);
	}
	mirage_unlock(&cq->lock);
	return n;
}

static int cq_next_cqe(struct mirage_cq *cq)
{
	if (!cq_has_cqe(&cq->ring, cq->cons, &cq->seen))
		return ENOENT;

	cq->cqe = cqe_at(&cq->ring, cq->cons++);
	cq->vcq.cq_ex.wr_id = cq->cqe->wr_id;
	cq->vcq.cq_ex.status = cq->cqe->status;
	cq_retire(to_mctx(cq->vcq.cq.context), cq->cqe);
	return 0;
}

static int cq_start_poll(struct ibv_cq_ex *ibcq, struct ibv_poll_cq_attr *attr)
{
	struct mirage_cq *cq = to_mcq_ex(ibcq);
	int err;

	if (unlikely(attr->comp_mask))
		return EINVAL;

	mirage_lock(&cq->lock);
	err = cq_next_cqe(cq);
	if (err)
		mirage_unlock(&cq->lock);
	return err;
}

static int cq_next_poll(struct ibv_cq_ex *ibcq)
{
	struct mirage_cq *cq = to_mcq_ex(ibcq);

	/* The batch ends here: the kernel may have its slots. */
	if (cq->seen == cq->cons)
		cq_release(cq);
	return cq_next_cqe(cq);
}

static void cq_end_poll(struct ibv_cq_ex *ibcq)
{
	struct mirage_cq *cq = to_mcq_ex(ibcq);

	cq_release(cq);
	mirage_unlock(&cq->lock);
}

static enum ibv_wc_opcode cq_read_opcode(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->opcode;
}

static uint32_t cq_read_vendor_err(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->vendor_err;
}

static unsigned int cq_read_wc_flags(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->wc_flags & MIRAGE_WC_IBV_FLAGS;
}

static uint32_t cq_read_byte_len(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->byte_len;
}

/* Applications read an invalidated rkey through this as well, in host order. */
static __be32 cq_read_imm_data(struct ibv_cq_ex *ibcq)
{
	return (__force __be32)to_mcq_ex(ibcq)->cqe->ex;
}

static uint32_t cq_read_qp_num(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->qp_num;
}

static uint32_t cq_read_src_qp(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->src_qp;
}

/* RoCE has no LIDs. */
static uint32_t cq_read_slid(struct ibv_cq_ex *ibcq)
{
	return 0;
}

static uint8_t cq_read_sl(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->sl;
}

static uint8_t cq_read_dlid_path_bits(struct ibv_cq_ex *ibcq)
{
	return 0;
}

static uint64_t cq_read_completion_ts(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->timestamp;
}

static uint64_t cq_read_completion_wallclock_ns(struct ibv_cq_ex *ibcq)
{
	return to_mcq_ex(ibcq)->cqe->wallclock;
}

static void cq_set_poll_ops(struct ibv_cq_ex *ex, uint64_t wc_flags)
{
	ex->start_poll = cq_start_poll;
	ex->next_poll = cq_next_poll;
	ex->end_poll = cq_end_poll;
	ex->read_opcode = cq_read_opcode;
	ex->read_vendor_err = cq_read_vendor_err;
	ex->read_wc_flags = cq_read_wc_flags;
	if (wc_flags & IBV_WC_EX_WITH_BYTE_LEN)
		ex->read_byte_len = cq_read_byte_len;
	if (wc_flags & IBV_WC_EX_WITH_IMM)
		ex->read_imm_data = cq_read_imm_data;
	if (wc_flags & IBV_WC_EX_WITH_QP_NUM)
		ex->read_qp_num = cq_read_qp_num;
	if (wc_flags & IBV_WC_EX_WITH_SRC_QP)
		ex->read_src_qp = cq_read_src_qp;
	if (wc_flags & IBV_WC_EX_WITH_SLID)
		ex->read_slid = cq_read_slid;
	if (wc_flags & IBV_WC_EX_WITH_SL)
		ex->read_sl = cq_read_sl;
	if (wc_flags & IBV_WC_EX_WITH_DLID_PATH_BITS)
		ex->read_dlid_path_bits = cq_read_dlid_path_bits;
	if (wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP)
		ex->read_completion_ts = cq_read_completion_ts;
	if (wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK)
		ex->read_completion_wallclock_ns =
			cq_read_completion_wallclock_ns;
}

/* Map a ring that the kernel has just made, and go on with the CQEs in it. */
static int cq_adopt_ring(struct mirage_cq *cq, int fd,
			 const struct mirage_ring_info *info)
{
	struct mirage_ring ring;
	int err;

	err = mirage_ring_map(&ring, fd, info);
	if (err)
		return err;

	mirage_ring_unmap(&cq->ring);
	cq->ring = ring;
	cq->cons = mirage_load_index(&ring.hdr->cons);
	cq->seen = cq->cons;
	return 0;
}

static int cq_create(struct mirage_cq *cq, struct ibv_context *context,
		     const struct ibv_cq_init_attr_ex *attr)
{
	struct ibv_cq_init_attr_ex core_attr = *attr;
	struct mirage_create_cq_cmd_resp resp;
	struct mirage_create_cq_cmd cmd = {};
	int err;

	/* The core has one flag for both clocks; the driver must know which. */
	core_attr.wc_flags &= ~(uint64_t)CLOCK_FLAGS;
	if (attr->wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP)
		cmd.drv_payload.flags |= MIRAGE_CQ_TIMESTAMP;
	if (attr->wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK)
		cmd.drv_payload.flags |= MIRAGE_CQ_WALLCLOCK;

	err = ibv_cmd_create_cq_ex(context, &core_attr, &cq->vcq, &cmd.ibv_cmd,
				   sizeof(cmd), &resp.ibv_resp, sizeof(resp), 0);
	if (err)
		return err;

	err = cq_adopt_ring(cq, context->cmd_fd, &resp.drv_payload.ring);
	if (err)
		ibv_cmd_destroy_cq(&cq->vcq.cq);
	return err;
}

static int cq_check_init_attr(const struct ibv_cq_init_attr_ex *attr)
{
	if (!check_comp_mask(attr->comp_mask, IBV_CQ_INIT_ATTR_MASK_FLAGS |
			     IBV_CQ_INIT_ATTR_MASK_PD))
		return EOPNOTSUPP;

	if ((attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_FLAGS) &&
	    (attr->flags & ~IBV_CREATE_CQ_ATTR_SINGLE_THREADED))
		return EOPNOTSUPP;

	if (attr->wc_flags & ~(uint64_t)(IBV_WC_STANDARD_FLAGS | CLOCK_FLAGS))
		return EOPNOTSUPP;

	return 0;
}

static bool cq_needs_locks(const struct ibv_cq_init_attr_ex *attr)
{
	if ((attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_FLAGS) &&
	    (attr->flags & IBV_CREATE_CQ_ATTR_SINGLE_THREADED))
		return false;

	return !(attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_PD) ||
	       mirage_pd_needs_locks(attr->parent_domain);
}

struct ibv_cq_ex *mirage_create_cq_ex(struct ibv_context *context,
				      struct ibv_cq_init_attr_ex *attr)
{
	struct mirage_cq *cq;
	int err;

	err = cq_check_init_attr(attr);
	if (err)
		goto set_errno;

	cq = calloc(1, sizeof(*cq));
	if (!cq) {
		err = ENOMEM;
		goto set_errno;
	}

	err = cq_create(cq, context, attr);
	if (err)
		goto free_cq;

	mirage_lock_init(&cq->lock, cq_needs_locks(attr));
	mirage_lock_init(&cq->arm_lock, cq_needs_locks(attr));
	cq_set_poll_ops(&cq->vcq.cq_ex, attr->wc_flags);
	return &cq->vcq.cq_ex;

free_cq:
	free(cq);
set_errno:
	errno = err;
	return NULL;
}

struct ibv_cq *mirage_create_cq(struct ibv_context *context, int cqe,
				struct ibv_comp_channel *channel,
				int comp_vector)
{
	struct ibv_cq_init_attr_ex attr = {
		.cqe = cqe,
		.channel = channel,
		.comp_vector = comp_vector,
	};
	struct ibv_cq_ex *ex;

	ex = mirage_create_cq_ex(context, &attr);
	return ex ? ibv_cq_ex_to_cq(ex) : NULL;
}

/*
 * If the new ring cannot be mapped, the CQ can only be destroyed: the kernel has left
 * the old ring for good. The application learns it from the error.
 */
int mirage_resize_cq(struct ibv_cq *ibcq, int cqe)
{
	struct mirage_resize_cq_cmd_resp resp;
	struct mirage_cq *cq = to_mcq(ibcq);
	struct ibv_resize_cq cmd;
	int err;

	mirage_lock(&cq->lock);
	mirage_lock(&cq->arm_lock);
	err = ibv_cmd_resize_cq(ibcq, cqe, &cmd, sizeof(cmd), &resp.ibv_resp,
				sizeof(resp));
	if (!err)
		err = cq_adopt_ring(cq, ibcq->context->cmd_fd,
				    &resp.drv_payload.ring);
	mirage_unlock(&cq->arm_lock);
	mirage_unlock(&cq->lock);
	return err;
}

int mirage_destroy_cq(struct ibv_cq *ibcq)
{
	struct mirage_cq *cq = to_mcq(ibcq);
	int err;

	err = ibv_cmd_destroy_cq(ibcq);
	if (err)
		return err;

	mirage_ring_unmap(&cq->ring);
	free(cq);
	return 0;
}

/*
 * A CQ that is armed for any completion stays so when only solicited ones are asked
 * for. The kernel reads the flag after it has published a CQE, so no system call is
 * needed.
 */
int mirage_req_notify_cq(struct ibv_cq *ibcq, int solicited_only)
{
	uint32_t want = solicited_only ? MIRAGE_ARM_SOLICITED : MIRAGE_ARM_ANY;
	struct mirage_cq *cq = to_mcq(ibcq);
	uint32_t armed;
	__u32 *flags;

	mirage_lock(&cq->arm_lock);
	flags = &cq->ring.hdr->cons_flags;
	armed = __atomic_load_n(flags, __ATOMIC_RELAXED);
	while (armed < want &&
	       !__atomic_compare_exchange_n(flags, &armed, want, true,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	mirage_unlock(&cq->arm_lock);

	/* The application polls once more now; that must read prod after the flag is set. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return 0;
}

/*
 * Drop the CQEs of a queue pair. The slots from cons to the kernel's index belong to
 * the process: the CQEs that stay move to the end of them.
 */
void mirage_cq_drop_qp(struct mirage_cq *cq, uint32_t qp_num)
{
	uint32_t from, to;

	mirage_lock(&cq->lock);
	cq->seen = mirage_load_index(&cq->ring.hdr->prod);
	for (from = to = cq->seen; from != cq->cons;) {
		const struct mirage_cqe *cqe = cqe_at(&cq->ring, --from);

		if (cqe->qp_num != qp_num && --to != from)
			memcpy(mirage_ring_slot(&cq->ring, to), cqe,
			       sizeof(*cqe));
	}
	cq->cons = to;
	cq_release(cq);
	mirage_unlock(&cq->lock);
}

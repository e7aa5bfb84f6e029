// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram.h"

void dgram_to_rts(struct dgram *d, uint32_t qkey)
{
	struct ibv_qp_attr qa = { .qp_state = IBV_QPS_INIT, .port_num = 1, .qkey = qkey };

	CHECK_EQ(ibv_modify_qp(d->qp, &qa, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			       IBV_QP_PORT | IBV_QP_QKEY), 0);
	qa.qp_state = IBV_QPS_RTR;
	CHECK_EQ(ibv_modify_qp(d->qp, &qa, IBV_QP_STATE), 0);
	qa.qp_state = IBV_QPS_RTS;
	CHECK_EQ(ibv_modify_qp(d->qp, &qa, IBV_QP_STATE | IBV_QP_SQ_PSN), 0);
}

struct dgram *dgram_create(struct rc_dev *dev, const struct dgram_attr *attr)
{
	struct dgram_attr a = attr ? *attr : (struct dgram_attr){};
	struct dgram *d = calloc(1, sizeof(*d));
	struct ibv_qp_init_attr_ex init = {
		.qp_type = IBV_QPT_UD, .srq = a.srq, .create_flags = a.create_flags,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     (a.create_flags ? IBV_QP_INIT_ATTR_CREATE_FLAGS : 0),
		.cap = { .max_send_wr = DGRAM_SLOTS, .max_recv_wr = DGRAM_SLOTS,
			 .max_send_sge = 4, .max_recv_sge = 4 },
	};

	d->dev = dev;
	d->pd = a.pd ?: dev->pd;
	d->scq = ibv_create_cq(dev->ctx, 2 * DGRAM_SLOTS, NULL, NULL, 0);
	d->rcq = ibv_create_cq(dev->ctx, 2 * DGRAM_SLOTS, NULL, NULL, 0);
	CHECK(d->scq && d->rcq);
	init.pd = d->pd;
	init.send_cq = d->scq;
	init.recv_cq = d->rcq;
	d->qp = ibv_create_qp_ex(dev->ctx, &init);
	CHECK(d->qp, "(%s)", strerror(errno));
	d->in = rc_buf_pd(d->pd, DGRAM_SLOTS * DGRAM_SLOT, IBV_ACCESS_LOCAL_WRITE);
	d->out = rc_buf_pd(d->pd, DGRAM_SLOT, IBV_ACCESS_LOCAL_WRITE);
	dgram_to_rts(d, DGRAM_QKEY);
	return d;
}

void dgram_destroy(struct dgram *d)
{
	CHECK_EQ(ibv_destroy_qp(d->qp), 0);
	CHECK_EQ(ibv_destroy_cq(d->scq), 0);
	CHECK_EQ(ibv_destroy_cq(d->rcq), 0);
	rc_buf_free(&d->in);
	rc_buf_free(&d->out);
	free(d);
}

struct ibv_ah_attr dgram_address(const union ibv_gid *to, int sgid_index)
{
	return (struct ibv_ah_attr){
		.is_global = 1, .port_num = 1,
		.grh = { .dgid = *to, .sgid_index = sgid_index, .hop_limit = 64 },
	};
}

struct ibv_ah *dgram_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr)
{
	struct ibv_ah *ah = ibv_create_ah(pd, attr);

	CHECK(ah, "(%s)", strerror(errno));
	return ah;
}

struct ibv_ah *dgram_ah_self(struct dgram *d)
{
	struct ibv_ah_attr attr = dgram_address(&d->dev->gid, d->dev->gid_index);

	return dgram_ah(d->pd, &attr);
}

void dgram_recv(struct dgram *d, uint64_t wr_id, uint32_t len)
{
	struct ibv_sge sg = rc_sge(&d->in, wr_id % DGRAM_SLOTS * DGRAM_SLOT, len);
	struct ibv_recv_wr wr = { .wr_id = wr_id, .sg_list = &sg, .num_sge = 1 }, *bad;

	memset(d->in.addr + wr_id % DGRAM_SLOTS * DGRAM_SLOT, 0x5a, DGRAM_SLOT);
	CHECK_EQ(ibv_post_recv(d->qp, &wr, &bad), 0);
}

void dgram_verify(struct dgram *d, const struct ibv_wc *wc, uint32_t len, uint64_t seed)
{
	uint8_t *slot = d->in.addr + wc->wr_id % DGRAM_SLOTS * DGRAM_SLOT;

	CHECK_EQ(wc->byte_len, DGRAM_GRH + len);
	rc_verify(slot + DGRAM_GRH, len, seed, "a datagram");
	CHECK_EQ(slot[DGRAM_GRH + len], 0x5a);
}

void dgram_send(struct dgram *d, struct ibv_ah *ah, uint32_t qpn, uint32_t qkey,
		uint32_t len, uint64_t seed)
{
	struct ibv_sge sg = rc_sge(&d->out, 0, len);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED, .sg_list = &sg,
		.num_sge = 1, .wr.ud = { .ah = ah, .remote_qpn = qpn, .remote_qkey = qkey },
	}, *bad;

	rc_fill(d->out.addr, len, seed);
	CHECK_EQ(ibv_post_send(d->qp, &wr, &bad), 0);
}

void dgram_passes(struct dgram *d, struct ibv_ah *ah, struct dgram *to, uint64_t id)
{
	struct ibv_wc wc;

	dgram_recv(to, id, DGRAM_SLOT);
	dgram_send(d, ah, to->qp->qp_num, DGRAM_QKEY, 200, id);
	rc_wc_ok(d->scq);
	wc = rc_wc_ok(to->rcq);
	CHECK_EQ(wc.wr_id, id);
	CHECK_EQ(wc.src_qp, d->qp->qp_num);
	dgram_verify(to, &wc, 200, id);
}

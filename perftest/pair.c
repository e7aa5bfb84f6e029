// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* pair.c - the verbs half of bench.h: device, regions, connections, posting, polling */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include "bench.h"

#define PORT		1
#define POLL_LIMIT_NS	(60 * 1000000000ULL)

static struct ibv_context *open_device(const char *name)
{
	struct ibv_context *ctx = NULL;
	struct ibv_device **list;
	int n = 0;

	list = ibv_get_device_list(&n);
	for (int i = 0; list && i < n; i++) {
		if (!strcmp(ibv_get_device_name(list[i]), name)) {
			ctx = ibv_open_device(list[i]);
			if (!ctx)
				die("%s: open: %s", name, strerror(errno));
			break;
		}
	}
	if (list)
		ibv_free_device_list(list);
	if (!ctx)
		die("no RDMA device named %s", name);
	return ctx;
}

static void find_gid(struct bench *b)
{
	static const unsigned char v4_prefix[12] = { [10] = 0xff, [11] = 0xff };
	struct ibv_gid_entry gids[64];
	ssize_t n;

	n = ibv_query_gid_table(b->ctx, gids, ARRAY_SIZE(gids), 0);
	for (ssize_t i = 0; i < n; i++) {
		if (gids[i].port_num != PORT || gids[i].gid_type != IBV_GID_TYPE_ROCE_V2 ||
		    memcmp(gids[i].gid.raw, v4_prefix, sizeof(v4_prefix)))
			continue;
		b->gid = gids[i].gid;
		b->gid_index = gids[i].gid_index;
		return;
	}
	die("%s has no RoCE v2 GID of an IPv4 address", b->device);
}

static void open_one(struct bench *b)
{
	b->ctx = open_device(b->device);
	if (ibv_query_device(b->ctx, &b->attr))
		die("%s: query: %s", b->device, strerror(errno));
	find_gid(b);
	b->pd = ibv_alloc_pd(b->ctx);
	if (!b->pd)
		die("%s: PD: %s", b->device, strerror(errno));
}

void bench_open(struct bench *b)
{
	if (!b->device)
		die("-d DEVICE is missing");
	open_one(b);
	if (!b->peer_name)
		return;
	b->peer = malloc(sizeof(*b->peer));
	if (!b->peer)
		die("out of memory");
	*b->peer = *b;
	b->peer->device = b->peer_name;
	b->peer->peer = NULL;
	open_one(b->peer);
}

struct bench *bench_far(struct bench *b)
{
	return b->peer ? b->peer : b;
}

static void close_one(struct bench *b)
{
	if (b->implicit && ibv_dereg_mr(b->implicit))
		die("dereg of the implicit region: %s", strerror(errno));
	if (ibv_dealloc_pd(b->pd))
		die("dealloc of the PD: %s", strerror(errno));
	ibv_close_device(b->ctx);
}

void bench_close(struct bench *b)
{
	if (b->peer)
		close_one(b->peer);
	free(b->peer);
	close_one(b);
}

bool bench_mode_supported(const struct bench *b)
{
	struct ibv_device_attr_ex ex = {};
	uint64_t want = 0;

	if (b->mode != MODE_PINNED)
		want |= IBV_ODP_SUPPORT;
	if (b->mode == MODE_IMPLICIT)
		want |= IBV_ODP_SUPPORT_IMPLICIT;
	if (ibv_query_device_ex(b->ctx, NULL, &ex))
		die("%s: query: %s", b->device, strerror(errno));
	if ((ex.odp_caps.general_caps & want) == want)
		return true;
	fprintf(stderr, "%s: %s does not do %s\n", program_invocation_short_name, b->device,
		bench_mode_name(b));
	return false;
}

static const int all_rights = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
			      IBV_ACCESS_REMOTE_READ;

struct ibv_mr *bench_reg_try(struct bench *b, void *p, size_t size)
{
	switch (b->mode) {
	case MODE_PINNED:
		return ibv_reg_mr(b->pd, p, size, all_rights);
	case MODE_ODP:
		return ibv_reg_mr(b->pd, p, size, all_rights | IBV_ACCESS_ON_DEMAND);
	case MODE_IMPLICIT:
		if (!b->implicit)
			b->implicit = ibv_reg_mr(b->pd, NULL, SIZE_MAX,
						 all_rights | IBV_ACCESS_ON_DEMAND);
		return b->implicit;
	}
	return NULL;
}

struct ibv_mr *bench_reg(struct bench *b, void *p, size_t size)
{
	struct ibv_mr *mr = bench_reg_try(b, p, size);

	if (!mr)
		die("%s: %s region of %zu bytes: %s", b->device, bench_mode_name(b), size,
		    strerror(errno));
	return mr;
}

struct ibv_mr *bench_reg_pinned(struct bench *b, void *p, size_t size)
{
	struct ibv_mr *mr = ibv_reg_mr(b->pd, p, size, all_rights);

	if (!mr)
		die("%s: pinned region of %zu bytes: %s", b->device, size, strerror(errno));
	return mr;
}

void bench_dereg(struct bench *b, struct ibv_mr *mr)
{
	if (mr != b->implicit && ibv_dereg_mr(mr))
		die("%s: dereg: %s", b->device, strerror(errno));
}

static struct ibv_cq *create_cq(struct bench *b, struct ibv_comp_channel *channel)
{
	struct ibv_cq *cq = ibv_create_cq(b->ctx, 2 * LIST, NULL, channel, 0);

	if (!cq)
		die("%s: CQ: %s", b->device, strerror(errno));
	return cq;
}

void bench_end_open(struct bench *b, struct bench_end *e, bool channel)
{
	struct ibv_qp_init_attr init = {
		.cap = {
			.max_send_wr = 2 * LIST,
			.max_recv_wr = 2 * LIST,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.qp_type = IBV_QPT_RC,
	};

	e->channel = NULL;
	if (channel) {
		e->channel = ibv_create_comp_channel(b->ctx);
		if (!e->channel)
			die("%s: completion channel: %s", b->device, strerror(errno));
	}
	e->send_cq = create_cq(b, NULL);
	e->recv_cq = create_cq(b, e->channel);
	init.send_cq = e->send_cq;
	init.recv_cq = e->recv_cq;
	e->qp = ibv_create_qp(b->pd, &init);
	if (!e->qp)
		die("%s: QP: %s", b->device, strerror(errno));
}

void bench_end_close(struct bench_end *e)
{
	if (ibv_destroy_qp(e->qp) || ibv_destroy_cq(e->send_cq) ||
	    ibv_destroy_cq(e->recv_cq) ||
	    (e->channel && ibv_destroy_comp_channel(e->channel)))
		die("destroying a connection: %s", strerror(errno));
}

static uint8_t read_depth(const struct bench *b)
{
	int n = b->attr.max_qp_rd_atom < b->attr.max_qp_init_rd_atom ?
		b->attr.max_qp_rd_atom : b->attr.max_qp_init_rd_atom;

	return n > 16 ? 16 : n;
}

static void modify(struct bench_end *e, struct ibv_qp_attr *attr, int mask)
{
	int ret = ibv_modify_qp(e->qp, attr, mask);

	if (ret)
		die("QP to state %d: %s", attr->qp_state, strerror(ret));
}

void bench_connect(struct bench *b, struct bench_end *e, uint32_t remote_qpn,
		   const union ibv_gid *remote)
{
	struct ibv_qp_attr init = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = all_rights,
	};
	struct ibv_qp_attr rtr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = b->mtu,
		.dest_qp_num = remote_qpn,
		.max_dest_rd_atomic = read_depth(b),
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.port_num = PORT,
			.grh = {
				.dgid = *remote,
				.sgid_index = b->gid_index,
				.hop_limit = 64,
			},
		},
	};
	/* 4.3 s, so that a full list of 1 MiB does not time out on the slowest guest */
	struct ibv_qp_attr rts = {
		.qp_state = IBV_QPS_RTS,
		.timeout = 20,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = read_depth(b),
	};

	modify(e, &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	modify(e, &rtr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	modify(e, &rts, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

void bench_pair_open(struct bench *b, struct bench_pair *pair)
{
	struct bench *far = bench_far(b);

	bench_end_open(b, &pair->near, false);
	bench_end_open(far, &pair->far, false);
	bench_connect(b, &pair->near, pair->far.qp->qp_num, &far->gid);
	bench_connect(far, &pair->far, pair->near.qp->qp_num, &b->gid);
}

void bench_pair_close(struct bench_pair *pair)
{
	bench_end_close(&pair->near);
	bench_end_close(&pair->far);
}

void bench_list_make(struct bench_list *list, const struct bench_op *op,
		     const unsigned int *slots, unsigned int count)
{
	size_t offset;

	for (unsigned int i = 0; i < count; i++) {
		bool last = i + 1 == count;

		offset = (slots ? slots[i] : i) * op->size;
		list->sge[i] = (struct ibv_sge) {
			.addr = (uintptr_t)op->local + offset,
			.length = op->size,
			.lkey = op->lkey,
		};
		list->wr[i] = (struct ibv_send_wr) {
			.next = last ? NULL : &list->wr[i + 1],
			.sg_list = &list->sge[i],
			.num_sge = 1,
			.opcode = op->opcode,
			.send_flags = last ? IBV_SEND_SIGNALED : 0,
			.wr.rdma = {
				.remote_addr = (uintptr_t)op->remote + offset,
				.rkey = op->rkey,
			},
		};
	}
}

void bench_list_post(struct bench_end *e, struct bench_list *list)
{
	struct ibv_send_wr *bad;
	int ret;

	ret = ibv_post_send(e->qp, list->wr, &bad);
	if (ret)
		die("post_send: %s", strerror(ret));
}

void bench_recvs_make(struct bench_recvs *recvs, void *buf, uint32_t lkey, size_t size,
		      unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		recvs->sge[i] = (struct ibv_sge) {
			.addr = (uintptr_t)buf + i * size,
			.length = size,
			.lkey = lkey,
		};
		recvs->wr[i] = (struct ibv_recv_wr) {
			.next = i + 1 < count ? &recvs->wr[i + 1] : NULL,
			.sg_list = &recvs->sge[i],
			.num_sge = 1,
		};
	}
}

void bench_recvs_post(struct bench_end *e, struct bench_recvs *recvs)
{
	struct ibv_recv_wr *bad;
	int ret;

	ret = ibv_post_recv(e->qp, recvs->wr, &bad);
	if (ret)
		die("post_recv: %s", strerror(ret));
}

static void check_completions(const struct ibv_wc *wc, int n)
{
	for (int i = 0; i < n; i++)
		if (wc[i].status != IBV_WC_SUCCESS)
			die("completion: %s", ibv_wc_status_str(wc[i].status));
}

void bench_poll(struct ibv_cq *cq, unsigned int count)
{
	struct ibv_wc wc[LIST];
	unsigned int empty = 0;
	uint64_t start = 0;
	int n;

	while (count) {
		n = ibv_poll_cq(cq, count < LIST ? count : LIST, wc);
		if (n < 0)
			die("poll_cq: %s", strerror(errno));
		check_completions(wc, n);
		count -= n;
		if (n || !count)
			continue;
		if (++empty % 1024 == 0) {
			if (!start)
				start = now_ns();
			else if (now_ns() - start > POLL_LIMIT_NS)
				die("no completion in 60 s");
		}
		/* whoever completes it may need this CPU */
		sched_yield();
	}
}

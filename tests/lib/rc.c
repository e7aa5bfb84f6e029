// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rc.h"

#define WAIT_SECONDS	20
#define STAT_TICK_US	11000	/* where it has 100 a second */

static void pick_gid(struct rc_dev *dev)
{
	struct ibv_gid_entry entry;
	int i, found = -1;

	/* An IPv4 GID where there is one: link-local IPv6 may still be tentative. */
	for (i = 0; i < dev->port.gid_tbl_len; i++) {
		if (ibv_query_gid_ex(dev->ctx, 1, i, &entry, 0) ||
		    entry.gid_type != IBV_GID_TYPE_ROCE_V2)
			continue;
		if (found < 0 || entry.gid.global.subnet_prefix == 0) {
			found = i;
			dev->gid = entry.gid;
		}
	}
	if (found < 0)
		test_fail("%s has no RoCEv2 GID", ibv_get_device_name(dev->ctx->device));
	dev->gid_index = found;
}

struct rc_dev *rc_open(void)
{
	struct rc_dev *dev = calloc(1, sizeof(*dev));
	struct ibv_device **list;
	int i;

	list = ibv_get_device_list(NULL);
	CHECK(list);
	for (i = 0; list[i]; i++) {
		if (!strcmp(ibv_get_device_name(list[i]), test_options.device))
			break;
	}
	if (!list[i])
		test_fail("no device %s", test_options.device);
	dev->ctx = ibv_open_device(list[i]);
	CHECK(dev->ctx, "(%s)", strerror(errno));
	ibv_free_device_list(list);
	CHECK_EQ(ibv_query_device_ex(dev->ctx, NULL, &dev->attr), 0);
	CHECK_EQ(ibv_query_port(dev->ctx, 1, &dev->port), 0);
	pick_gid(dev);
	dev->pd = ibv_alloc_pd(dev->ctx);
	CHECK(dev->pd, "(%s)", strerror(errno));
	return dev;
}

void rc_close(struct rc_dev *dev)
{
	CHECK_EQ(ibv_dealloc_pd(dev->pd), 0);
	CHECK_EQ(ibv_close_device(dev->ctx), 0);
	free(dev);
}

bool rc_is_mirage(struct rc_dev *dev)
{
	return strncmp(ibv_get_device_name(dev->ctx->device), "rxe", 3) != 0;
}

long long rc_stat(struct rc_dev *dev, const char *name)
{
	char path[256], text[64] = "";
	int fd;

	/* The kernel caches counters for a while, and at least for a tick of its clock. */
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/hw_counters/lifespan",
		 ibv_get_device_name(dev->ctx->device));
	test_put(path, "0");
	usleep(STAT_TICK_US);
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/hw_counters/%s",
		 ibv_get_device_name(dev->ctx->device), name);
	fd = open(path, O_RDONLY);
	if (fd < 0 && !rc_is_mirage(dev))
		return 0;
	CHECK(fd >= 0, "(%s)", path);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return atoll(text);
}

static struct rc_attr with_defaults(struct rc_dev *dev, const struct rc_attr *in)
{
	struct rc_attr a = in ? *in : (struct rc_attr){};

	a.type = a.type ?: IBV_QPT_RC;
	a.cap.max_send_wr = a.cap.max_send_wr ?: 64;
	a.cap.max_recv_wr = a.cap.max_recv_wr ?: 64;
	a.cap.max_send_sge = a.cap.max_send_sge ?: 4;
	a.cap.max_recv_sge = a.cap.max_recv_sge ?: 4;
	a.cqe = a.cqe ?: 256;
	a.access = a.access ?: a.type == IBV_QPT_RC ? RC_ACCESS_ALL :
			       IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	a.mtu = a.mtu ?: dev->port.active_mtu;
	a.rnr_retry = a.no_rnr_retry ? 0 : a.rnr_retry ?: 7;
	a.retry_cnt = a.retry_cnt ?: 7;
	a.timeout = a.timeout ?: 14;
	a.min_rnr_timer = a.min_rnr_timer ?: 1;
	a.rd_atomic = a.rd_atomic ?: 1;
	return a;
}

void rc_end_create(struct rc_dev *dev, struct ibv_pd *pd, struct rc_end *end,
		   const struct rc_attr *attr)
{
	struct rc_attr a = with_defaults(dev, attr);
	struct ibv_qp_init_attr_ex init = {
		.qp_type = a.type, .cap = a.cap, .srq = a.srq, .sq_sig_all = a.sig_all,
		.comp_mask = IBV_QP_INIT_ATTR_PD, .pd = pd ?: dev->pd,
	};

	end->pd = init.pd;
	end->scq = ibv_create_cq(dev->ctx, a.cqe, NULL, NULL, 0);
	CHECK(end->scq, "(%s)", strerror(errno));
	end->rcq = ibv_create_cq(dev->ctx, a.cqe, NULL, a.channel, 0);
	CHECK(end->rcq, "(%s)", strerror(errno));
	init.send_cq = end->scq;
	init.recv_cq = end->rcq;
	if (a.send_ops) {
		init.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		init.send_ops_flags = a.send_ops;
	}
	end->qp = ibv_create_qp_ex(dev->ctx, &init);
	CHECK(end->qp, "(%s)", strerror(errno));
	end->psn = (end->qp->qp_num * 2654435761u) & 0xffffff;
}

void rc_end_destroy(struct rc_end *end)
{
	CHECK_EQ(ibv_destroy_qp(end->qp), 0);
	CHECK_EQ(ibv_destroy_cq(end->scq), 0);
	CHECK_EQ(ibv_destroy_cq(end->rcq), 0);
}

int rc_to_init(struct rc_dev *dev, struct rc_end *end, const struct rc_attr *attr)
{
	struct rc_attr a = with_defaults(dev, attr);
	struct ibv_qp_attr qa = {
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qp_access_flags = a.access,
	};

	return ibv_modify_qp(end->qp, &qa, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			     IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

int rc_to_rtr(struct rc_dev *dev, struct rc_end *end, uint32_t dest_qpn,
	      uint32_t rq_psn, const struct rc_attr *attr)
{
	struct rc_attr a = with_defaults(dev, attr);
	struct ibv_qp_attr qa = {
		.qp_state = IBV_QPS_RTR, .path_mtu = a.mtu, .dest_qp_num = dest_qpn,
		.rq_psn = rq_psn, .max_dest_rd_atomic = a.rd_atomic,
		.min_rnr_timer = a.min_rnr_timer,
		.ah_attr = {
			.is_global = 1, .port_num = 1,
			.grh = { .dgid = dev->gid, .sgid_index = dev->gid_index,
				 .hop_limit = 64 },
		},
	};

	return ibv_modify_qp(end->qp, &qa, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
			     IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			     (a.type == IBV_QPT_UC ? 0 : IBV_QP_MAX_DEST_RD_ATOMIC |
							 IBV_QP_MIN_RNR_TIMER));
}

int rc_to_rts(struct rc_end *end, const struct rc_attr *attr)
{
	struct ibv_qp_attr qa = {
		.qp_state = IBV_QPS_RTS, .sq_psn = end->psn, .timeout = attr->timeout,
		.retry_cnt = attr->retry_cnt, .rnr_retry = attr->rnr_retry,
		.max_rd_atomic = attr->rd_atomic,
	};

	return ibv_modify_qp(end->qp, &qa, IBV_QP_STATE | IBV_QP_SQ_PSN |
			     (attr->type == IBV_QPT_UC ? 0 : IBV_QP_TIMEOUT |
			      IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			      IBV_QP_MAX_QP_RD_ATOMIC));
}

int rc_to_state(struct rc_end *end, enum ibv_qp_state state)
{
	struct ibv_qp_attr qa = { .qp_state = state };

	return ibv_modify_qp(end->qp, &qa, IBV_QP_STATE);
}

enum ibv_qp_state rc_state(struct rc_end *end)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr qa;

	CHECK_EQ(ibv_query_qp(end->qp, &qa, IBV_QP_STATE, &init), 0);
	return qa.qp_state;
}

static void connect_pair(struct rc_pair *p)
{
	CHECK_EQ(rc_to_init(p->dev, &p->a, &p->attr), 0);
	CHECK_EQ(rc_to_init(p->dev, &p->b, &p->attr), 0);
	CHECK_EQ(rc_to_rtr(p->dev, &p->a, p->b.qp->qp_num, p->b.psn, &p->attr), 0);
	CHECK_EQ(rc_to_rtr(p->dev, &p->b, p->a.qp->qp_num, p->a.psn, &p->attr), 0);
	CHECK_EQ(rc_to_rts(&p->a, &p->attr), 0);
	CHECK_EQ(rc_to_rts(&p->b, &p->attr), 0);
}

struct rc_pair *rc_pair_create(struct rc_dev *dev, const struct rc_attr *attr)
{
	struct rc_pair *p = calloc(1, sizeof(*p));

	p->dev = dev;
	p->attr = with_defaults(dev, attr);
	rc_end_create(dev, NULL, &p->a, &p->attr);
	rc_end_create(dev, NULL, &p->b, &p->attr);
	connect_pair(p);
	return p;
}

static void drain(struct ibv_cq *cq)
{
	struct ibv_wc wc;
	int n = 0;

	/* More than any CQ here holds, since one that was scribbled over never gets empty. */
	while (ibv_poll_cq(cq, 1, &wc) > 0 && n++ < 1 << 16)
		;
}

void rc_pair_reset(struct rc_pair *p)
{
	CHECK_EQ(rc_to_state(&p->a, IBV_QPS_RESET), 0);
	CHECK_EQ(rc_to_state(&p->b, IBV_QPS_RESET), 0);
	drain(p->a.scq);
	drain(p->a.rcq);
	drain(p->b.scq);
	drain(p->b.rcq);
	connect_pair(p);
}

void rc_pair_destroy(struct rc_pair *p)
{
	rc_end_destroy(&p->a);
	rc_end_destroy(&p->b);
	free(p);
}

struct rc_buf rc_buf_pd(struct ibv_pd *pd, size_t len, int access)
{
	struct rc_buf buf = { .len = len };

	buf.addr = mmap(NULL, len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(buf.addr != MAP_FAILED);
	buf.mr = ibv_reg_mr(pd, buf.addr, len, access);
	CHECK(buf.mr, "(%s)", strerror(errno));
	return buf;
}

struct rc_buf rc_buf(struct rc_dev *dev, size_t len, int access)
{
	return rc_buf_pd(dev->pd, len, access);
}

void rc_buf_free(struct rc_buf *buf)
{
	CHECK_EQ(ibv_dereg_mr(buf->mr), 0);
	munmap(buf->addr, buf->len);
}

uint64_t rc_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t word_at(uint64_t seed, size_t i)
{
	uint64_t state = seed * 0x100000001b3ull + i;

	return rc_random(&state);
}

void rc_fill(void *p, size_t len, uint64_t seed)
{
	uint8_t *b = p;
	size_t i, n;
	uint64_t w;

	for (i = 0; i < len; i += 8) {
		w = word_at(seed, i);
		n = len - i < 8 ? len - i : 8;
		memcpy(b + i, &w, n);
	}
}

void rc_verify(const void *p, size_t len, uint64_t seed, const char *what)
{
	const uint8_t *b = p, *e;
	size_t i, j, n;
	uint64_t w;

	for (i = 0; i < len; i += 8) {
		w = word_at(seed, i);
		e = (const uint8_t *)&w;
		n = len - i < 8 ? len - i : 8;
		for (j = 0; j < n; j++) {
			if (b[i + j] != e[j])
				test_fail("%s: byte %zu of %zu is %02x, expected %02x",
					  what, i + j, len, b[i + j], e[j]);
		}
	}
}

int rc_try_post(struct rc_end *end, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;

	return ibv_post_send(end->qp, wr, &bad);
}

int rc_try_recv(struct rc_end *end, uint64_t wr_id, struct ibv_sge *sg, int n)
{
	struct ibv_recv_wr wr = { .wr_id = wr_id, .sg_list = sg, .num_sge = n }, *bad;

	return ibv_post_recv(end->qp, &wr, &bad);
}

void rc_post(struct rc_end *end, struct ibv_send_wr *wr)
{
	int ret = rc_try_post(end, wr);

	CHECK(!ret, "post_send: %s", strerror(ret));
}

void rc_recv(struct rc_end *end, uint64_t wr_id, struct ibv_sge *sg, int n)
{
	int ret = rc_try_recv(end, wr_id, sg, n);

	CHECK(!ret, "post_recv: %s", strerror(ret));
}

void rc_op(struct rc_end *end, enum ibv_wr_opcode op, struct ibv_sge sg,
	   const struct rc_buf *remote, size_t remote_off)
{
	struct ibv_send_wr wr = {
		.wr_id = 1, .opcode = op, .send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sg, .num_sge = 1,
	};

	if (remote) {
		wr.wr.rdma.remote_addr = (uintptr_t)remote->addr + remote_off;
		wr.wr.rdma.rkey = remote->mr->rkey;
	}
	rc_post(end, &wr);
}

struct ibv_wc rc_wc(struct ibv_cq *cq)
{
	double end = test_now() + WAIT_SECONDS;
	struct ibv_wc wc;
	int n, spin = 0;

	do {
		n = ibv_poll_cq(cq, 1, &wc);
		if (n > 0)
			return wc;
		CHECK_EQ(n, 0);
		if (++spin > 100)
			sched_yield();
	} while (test_now() < end);
	test_fail("no completion in %d s", WAIT_SECONDS);
}

struct ibv_wc rc_wc_status(struct ibv_cq *cq, enum ibv_wc_status status)
{
	struct ibv_wc wc = rc_wc(cq);

	if (wc.status != status)
		test_fail("wr_id %llu: status '%s' (vendor %#x), expected '%s'",
			  (unsigned long long)wc.wr_id, ibv_wc_status_str(wc.status),
			  wc.vendor_err, ibv_wc_status_str(status));
	return wc;
}

void rc_wc_none(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	CHECK_EQ(ibv_poll_cq(cq, 1, &wc), 0);
}

static bool readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1;
}

void rc_event_wait(struct ibv_comp_channel *channel, struct ibv_cq *cq)
{
	struct ibv_cq *got;
	void *context;

	if (!readable(channel->fd, WAIT_SECONDS * 1000))
		test_fail("no completion event in %d s", WAIT_SECONDS);
	CHECK_EQ(ibv_get_cq_event(channel, &got, &context), 0);
	CHECK(got == cq);
	ibv_ack_cq_events(got, 1);
}

bool rc_event_pending(struct ibv_comp_channel *channel)
{
	return readable(channel->fd, 0);
}

void rc_async_wait(struct rc_dev *dev, enum ibv_event_type type, void *element)
{
	struct ibv_async_event event;

	if (!readable(dev->ctx->async_fd, WAIT_SECONDS * 1000))
		test_fail("no %s event in %d s", ibv_event_type_str(type), WAIT_SECONDS);
	CHECK_EQ(ibv_get_async_event(dev->ctx, &event), 0);
	if (event.event_type != type)
		test_fail("event '%s', expected '%s'", ibv_event_type_str(event.event_type),
			  ibv_event_type_str(type));
	CHECK(event.element.qp == element);
	ibv_ack_async_event(&event);
}

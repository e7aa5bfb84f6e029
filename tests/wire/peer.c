// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define CONNECT_SECONDS	20

int peer_accept(int port)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_port = htons(port),
				     .sin6_addr = in6addr_any };
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1, got;

	CHECK(fd >= 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(fd, 1), 0);
	got = accept(fd, NULL, NULL);
	CHECK(got >= 0, "(%s)", strerror(errno));
	close(fd);
	return got;
}

int peer_connect(const char *host, int port)
{
	struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *to;
	double until = test_now() + CONNECT_SECONDS;
	char service[16];
	int fd;

	snprintf(service, sizeof(service), "%d", port);
	CHECK_EQ(getaddrinfo(host, service, &want, &to), 0);
	do {
		fd = socket(to->ai_family, SOCK_STREAM, 0);
		CHECK(fd >= 0);
		if (!connect(fd, to->ai_addr, to->ai_addrlen)) {
			freeaddrinfo(to);
			return fd;
		}
		close(fd);
		usleep(20000);
	} while (test_now() < until);
	test_fail("%s port %d: %s", host, port, strerror(errno));
}

void peer_write(int fd, const void *p, size_t len)
{
	ssize_t n;

	for (; len; len -= n, p = (const char *)p + n) {
		n = write(fd, p, len);
		CHECK(n > 0, "the other end: %s", strerror(errno));
	}
}

void peer_read(int fd, void *p, size_t len)
{
	ssize_t n;

	for (; len; len -= n, p = (char *)p + n) {
		n = read(fd, p, len);
		CHECK(n > 0, "the other end is gone");
	}
}

struct peer_path peer_path;

static bool is_wanted(const union ibv_gid *gid, bool ipv6)
{
	union ibv_gid want;

	if (peer_path.gid) {
		CHECK_EQ(inet_pton(AF_INET6, peer_path.gid, want.raw), 1);
		return !memcmp(gid, &want, sizeof(want));
	}
	return IN6_IS_ADDR_V4MAPPED((struct in6_addr *)gid->raw) != ipv6 &&
	       gid->raw[0] != 0xfe;
}

void peer_pick_gid(struct rc_dev *dev, bool ipv6)
{
	struct ibv_gid_entry entry;
	double until = test_now() + 10;
	int i;

	do {
		for (i = 0; i < dev->port.gid_tbl_len && i < 64; i++) {
			if (ibv_query_gid_ex(dev->ctx, 1, i, &entry, 0) ||
			    entry.gid_type != IBV_GID_TYPE_ROCE_V2 ||
			    !is_wanted(&entry.gid, ipv6))
				continue;
			dev->gid = entry.gid;
			dev->gid_index = i;
			return;
		}
		usleep(50000);
	} while (test_now() < until);
	test_fail("no GID %s", peer_path.gid ?: ipv6 ? "for IPv6" : "for IPv4");
}

bool peer_has_flush(struct rc_dev *dev)
{
	return dev->attr.device_cap_flags_ex & IB_UVERBS_DEVICE_FLUSH_GLOBAL;
}

static struct ibv_ah_attr address(struct peer_end *end)
{
	return (struct ibv_ah_attr){
		.is_global = 1, .port_num = 1,
		.grh = { .dgid = end->other.gid, .sgid_index = end->dev->gid_index,
			 .hop_limit = 64, .traffic_class = peer_path.tclass,
			 .flow_label = peer_path.flow_label },
	};
}

/* A kernel without flush refuses its access right. */
static int flush_right(struct rc_dev *dev)
{
	return peer_has_flush(dev) ? IBV_ACCESS_FLUSH_GLOBAL : 0;
}

static void to_init(struct peer_end *end)
{
	struct ibv_qp_attr qa = {
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qkey = PEER_QKEY,
		.qp_access_flags = end->type == IBV_QPT_UC ?
			IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE :
			RC_ACCESS_ALL | flush_right(end->dev),
	};
	int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT;

	mask |= end->type == IBV_QPT_UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS;
	CHECK_EQ(ibv_modify_qp(end->qp, &qa, mask), 0);
}

static void to_rtr(struct peer_end *end, enum ibv_mtu mtu)
{
	struct ibv_qp_attr qa = {
		.qp_state = IBV_QPS_RTR, .path_mtu = mtu, .dest_qp_num = end->other.qpn,
		.rq_psn = end->other.psn, .max_dest_rd_atomic = 4, .min_rnr_timer = 1,
		.ah_attr = address(end),
	};
	int mask = IBV_QP_STATE;

	if (end->type != IBV_QPT_UD)
		mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
	if (end->type == IBV_QPT_RC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	CHECK_EQ(ibv_modify_qp(end->qp, &qa, mask), 0);
}

static void to_rts(struct peer_end *end)
{
	struct ibv_qp_attr qa = {
		.qp_state = IBV_QPS_RTS, .sq_psn = end->mine.psn, .timeout = 15,
		.retry_cnt = 7, .rnr_retry = 7, .max_rd_atomic = 4,
	};
	int mask = IBV_QP_STATE | IBV_QP_SQ_PSN;

	if (end->type == IBV_QPT_RC)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_MAX_QP_RD_ATOMIC;
	CHECK_EQ(ibv_modify_qp(end->qp, &qa, mask), 0);
}

struct peer_end peer_end_create(struct rc_dev *dev, enum ibv_qp_type type, int fd,
				enum ibv_mtu mtu, uint64_t send_ops)
{
	struct peer_end end = { .dev = dev, .type = type };
	struct ibv_qp_init_attr_ex init = {
		.qp_type = type, .pd = dev->pd, .send_ops_flags = send_ops,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     (send_ops ? IBV_QP_INIT_ATTR_SEND_OPS_FLAGS : 0),
		.cap = { .max_send_wr = PEER_DEPTH, .max_recv_wr = PEER_DEPTH,
			 .max_send_sge = 4, .max_recv_sge = 5 },
	};
	struct ibv_ah_attr to;

	end.scq = ibv_create_cq(dev->ctx, 2 * PEER_DEPTH, NULL, NULL, 0);
	end.rcq = ibv_create_cq(dev->ctx, 2 * PEER_DEPTH, NULL, NULL, 0);
	CHECK(end.scq && end.rcq);
	init.send_cq = end.scq;
	init.recv_cq = end.rcq;
	end.qp = ibv_create_qp_ex(dev->ctx, &init);
	CHECK(end.qp, "(%s)", strerror(errno));
	end.mine = (struct peer_qp){ .qpn = end.qp->qp_num, .gid = dev->gid,
				     .psn = 0xfffff0 + (end.qp->qp_num & 7) };
	peer_write(fd, &end.mine, sizeof(end.mine));
	peer_read(fd, &end.other, sizeof(end.other));
	to_init(&end);
	to_rtr(&end, mtu);
	to_rts(&end);
	if (type == IBV_QPT_UD) {
		to = address(&end);
		end.ah = ibv_create_ah(dev->pd, &to);
		CHECK(end.ah, "(%s)", strerror(errno));
	}
	return end;
}

void peer_end_destroy(struct peer_end *end)
{
	if (end->ah)
		CHECK_EQ(ibv_destroy_ah(end->ah), 0);
	CHECK_EQ(ibv_destroy_qp(end->qp), 0);
	CHECK_EQ(ibv_destroy_cq(end->scq), 0);
	CHECK_EQ(ibv_destroy_cq(end->rcq), 0);
}

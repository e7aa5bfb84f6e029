// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw.h"

#define DUT		"10.0.0.1"
#define PEER		"10.0.0.2"
#define NETNS		"/run/netns/peer"
#define PORT		4791
#define WAIT_MS		20000
/* How long to listen where no answer may come; softirqs run before send() returns. */
#define SILENCE_MS	20
#define GSO_MAX		60

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif

static void put_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static void put_be64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

static uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

/* Computed bit by bit, so that it shares nothing with the code under test. */
static uint32_t crc32(uint32_t crc, const void *data, size_t len)
{
	static uint32_t table[256];
	const uint8_t *p = data;
	int i, bit;

	for (i = 0; !table[255] && i < 256; i++) {
		uint32_t v = i;

		for (bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? 0xedb88320 : 0);
		table[i] = v;
	}
	while (len--)
		crc = crc >> 8 ^ table[(uint8_t)crc ^ *p++];
	return crc;
}

/* IBA annex A17: over the headers as they are sent, with ones where a router may change them. */
static uint32_t icrc(const char *from, unsigned int id, const uint8_t *bth, size_t len)
{
	uint16_t total = 28 + len + 4;
	uint8_t head[8 + 20 + 8 + 12];
	uint8_t *ip = head + 8, *udp = ip + 20;
	struct in_addr a;

	memset(head, 0xff, sizeof(head));
	ip[0] = 0x45;
	ip[2] = total >> 8;
	ip[3] = total;
	ip[4] = id >> 8;
	ip[5] = id;
	ip[6] = 0x40;
	ip[7] = 0;
	ip[9] = IPPROTO_UDP;
	inet_aton(from, &a);
	memcpy(ip + 12, &a, 4);
	inet_aton(DUT, &a);
	memcpy(ip + 16, &a, 4);
	udp[0] = PORT >> 8;
	udp[1] = PORT & 0xff;
	udp[2] = PORT >> 8;
	udp[3] = PORT & 0xff;
	udp[4] = (total - 20) >> 8;
	udp[5] = total - 20;
	memcpy(udp + 8, bth, 12);
	udp[8 + 4] = 0xff;
	return ~crc32(crc32(~0u, head, sizeof(head)), bth + 12, len - 12);
}

size_t raw_build(const struct raw *r, const struct raw_pkt *pkt, unsigned int id,
		 uint8_t *to)
{
	uint8_t pad = pkt->pad ?: -pkt->len & 3;
	size_t len = 12 + pkt->ext_len;
	uint32_t crc;

	to[0] = pkt->opcode;
	to[1] = 0x40 | pad << 4;
	to[2] = (pkt->pkey ?: 0xffff) >> 8;
	to[3] = pkt->pkey ?: 0xffff;
	put_be32(to + 4, pkt->qpn ?: r->end.qp->qp_num);
	put_be32(to + 8, (pkt->psn & 0xffffff) | (pkt->ack ? 1u << 31 : 0));
	memcpy(to + 12, pkt->ext, pkt->ext_len);
	if (pkt->len)
		memcpy(to + len, pkt->payload, pkt->len);
	len += pkt->len;
	memset(to + len, 0, pad);
	len += pad;
	crc = htole32(icrc(r->ip, id, to, len) ^ pkt->bad_icrc);
	memcpy(to + len, &crc, 4);
	return len + 4;
}

void raw_seal(const struct raw *r, uint8_t *pkt, size_t len)
{
	uint32_t crc = htole32(icrc(r->ip, 0, pkt, len - 4));

	memcpy(pkt + len - 4, &crc, 4);
}

static struct sockaddr_in address(const char *ip)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	inet_aton(ip, &sa.sin_addr);
	return sa;
}

static void send_iov(struct raw *r, const void *p, size_t len, uint16_t gso)
{
	struct sockaddr_in to = address(DUT);
	struct iovec iov = { .iov_base = (void *)p, .iov_len = len };
	char control[CMSG_SPACE(sizeof(gso))] = {};
	struct msghdr msg = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov, .msg_iovlen = 1,
	};
	struct cmsghdr *cmsg;

	if (gso) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_UDP;
		cmsg->cmsg_type = UDP_SEGMENT;
		cmsg->cmsg_len = CMSG_LEN(sizeof(gso));
		memcpy(CMSG_DATA(cmsg), &gso, sizeof(gso));
	}
	CHECK(sendmsg(r->fd, &msg, 0) == (ssize_t)len, "(%s)", strerror(errno));
}

void raw_bytes(struct raw *r, const void *p, size_t len)
{
	send_iov(r, p, len, 0);
}

void raw_send(struct raw *r, const struct raw_pkt *pkt, size_t n)
{
	uint8_t buf[8192];
	size_t i;

	for (i = 0; i < n; i++)
		raw_bytes(r, buf, raw_build(r, &pkt[i], 0, buf));
}

/* As few super-packets as possible: equal packets, of which the last may be shorter. */
void raw_gso(struct raw *r, const struct raw_pkt *pkt, size_t n)
{
	static uint8_t buf[65536];
	size_t i = 0;

	while (i < n) {
		size_t size = raw_build(r, &pkt[i++], 0, buf), len = size, k = 1;

		while (i < n && k < GSO_MAX && len + size <= 65000 && len == k * size) {
			size_t one = raw_build(r, &pkt[i], k, buf + len);

			if (one > size)
				break;
			len += one;
			k++;
			i++;
		}
		send_iov(r, buf, len, k > 1 ? size : 0);
	}
}

static bool wait_answer(struct raw *r, int ms)
{
	struct pollfd pfd = { .fd = r->fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1;
}

static size_t ext_of(struct raw_ans *a, const uint8_t *p)
{
	switch (a->opcode) {
	case ATOMIC_ACK:
		a->orig = get_be64(p + 4);
		/* fallthrough */
	case READ_RESP_FIRST: case READ_RESP_LAST: case READ_RESP_ONLY: case ACKNOWLEDGE:
		a->syndrome = p[0];
		a->msn = get_be32(p) & 0xffffff;
		return a->opcode == ATOMIC_ACK ? 12 : 4;
	case READ_RESP_MIDDLE:
		return 0;
	default:
		test_fail("an answer with opcode %#x", a->opcode);
	}
}

struct raw_ans raw_recv(struct raw *r)
{
	struct raw_ans a = {};
	uint8_t buf[8192];
	size_t head, pad;
	ssize_t len;

	CHECK(wait_answer(r, WAIT_MS), "no answer came");
	len = recv(r->fd, buf, sizeof(buf), 0);
	CHECK(len >= 16);
	a.opcode = buf[0];
	a.qpn = get_be32(buf + 4) & 0xffffff;
	a.psn = get_be32(buf + 8) & 0xffffff;
	pad = buf[1] >> 4 & 3;
	head = 12 + ext_of(&a, buf + 12);
	CHECK((size_t)len >= head + pad + 4);
	a.len = len - head - pad - 4;
	CHECK(a.len <= sizeof(a.payload));
	memcpy(a.payload, buf + head, a.len);
	return a;
}

void raw_expect(struct raw *r, uint8_t opcode, uint8_t syndrome, uint32_t psn)
{
	struct raw_ans a = raw_recv(r);

	if (a.opcode != opcode || a.syndrome != syndrome || a.psn != (psn & 0xffffff))
		test_fail("answer %#x %#x of PSN %#x, expected %#x %#x of %#x", a.opcode,
			  a.syndrome, a.psn, opcode, syndrome, psn & 0xffffff);
	CHECK_EQ(a.qpn, r->qpn);
}

bool raw_pending(struct raw *r)
{
	return wait_answer(r, SILENCE_MS);
}

void raw_silence(struct raw *r)
{
	struct raw_ans a;

	if (!raw_pending(r))
		return;
	a = raw_recv(r);
	test_fail("answer %#x %#x of PSN %#x, expected none", a.opcode, a.syndrome, a.psn);
}

size_t raw_take_bytes(struct raw *r, uint8_t *to, size_t room)
{
	ssize_t len;

	CHECK(wait_answer(r, WAIT_MS), "no packet came");
	len = recv(r->fd, to, room, 0);
	CHECK(len >= 16);
	return len;
}

struct raw_req raw_take(struct raw *r)
{
	struct raw_req q = {};
	uint8_t buf[8192];
	ssize_t len;

	CHECK(wait_answer(r, WAIT_MS), "no request came");
	len = recv(r->fd, buf, sizeof(buf), 0);
	CHECK(len >= 16 && len < (ssize_t)sizeof(buf));
	q.len = len;
	q.opcode = buf[0];
	q.ack = get_be32(buf + 8) >> 31;
	q.psn = get_be32(buf + 8) & 0xffffff;
	if (q.opcode == READ_REQUEST) {
		q.va = get_be64(buf + 12);
		q.dmalen = get_be32(buf + 24);
	}
	return q;
}

struct raw_req raw_take_opcode(struct raw *r, uint8_t opcode)
{
	struct raw_req q = raw_take(r);

	CHECK_EQ(q.opcode, opcode);
	return q;
}

void raw_say(struct raw *r, uint8_t opcode, uint8_t syndrome, uint32_t psn,
	     const void *payload, size_t len)
{
	struct raw_pkt pkt = {
		.opcode = opcode, .psn = psn, .payload = payload, .len = len,
	};

	if (opcode != READ_RESP_MIDDLE)
		raw_u32(&pkt, (uint32_t)syndrome << 24);
	raw_send(r, &pkt, 1);
}

void raw_reth(struct raw_pkt *pkt, uint64_t va, uint32_t rkey, uint32_t len)
{
	put_be64(pkt->ext + pkt->ext_len, va);
	put_be32(pkt->ext + pkt->ext_len + 8, rkey);
	put_be32(pkt->ext + pkt->ext_len + 12, len);
	pkt->ext_len += 16;
}

void raw_atomic_eth(struct raw_pkt *pkt, uint64_t va, uint32_t rkey, uint64_t swap_add,
		    uint64_t compare)
{
	put_be64(pkt->ext, va);
	put_be32(pkt->ext + 8, rkey);
	put_be64(pkt->ext + 12, swap_add);
	put_be64(pkt->ext + 20, compare);
	pkt->ext_len = 28;
}

void raw_u32(struct raw_pkt *pkt, uint32_t v)
{
	put_be32(pkt->ext + pkt->ext_len, v);
	pkt->ext_len += 4;
}

/* Opcodes of a message's parts count up from its first one's. */
static size_t split(struct raw *r, struct raw_pkt *pkt, const void *p, size_t len,
		    uint8_t first)
{
	size_t n = 0, off = 0;

	do {
		size_t part = len - off < RAW_MTU ? len - off : RAW_MTU;
		bool last = off + part == len;

		pkt[n] = (struct raw_pkt) {
			.opcode = first + (n ? last ? 2 : 1 : last ? 4 : 0),
			.ack = last, .psn = r->psn++, .payload = (uint8_t *)p + off, .len = part,
		};
		off += part;
		n++;
	} while (off < len);
	return n;
}

size_t raw_write_pkts(struct raw *r, struct raw_pkt *pkt, const void *p, size_t len,
		      const struct rc_buf *to, size_t off)
{
	size_t n = split(r, pkt, p, len, WRITE_FIRST);

	raw_reth(&pkt[0], (uintptr_t)to->addr + off, to->mr->rkey, len);
	return n;
}

size_t raw_send_pkts(struct raw *r, struct raw_pkt *pkt, const void *p, size_t len)
{
	return split(r, pkt, p, len, SEND_FIRST);
}

struct raw_pkt raw_read_pkt(struct raw *r, const struct rc_buf *from, size_t off,
			    uint32_t len)
{
	struct raw_pkt pkt = { .opcode = READ_REQUEST, .psn = r->psn };

	raw_reth(&pkt, (uintptr_t)from->addr + off, from->mr->rkey, len);
	r->psn += len ? (len + RAW_MTU - 1) / RAW_MTU : 1;
	return pkt;
}

static uint8_t read_opcode(size_t i, size_t n)
{
	if (i + 1 == n)
		return i ? READ_RESP_LAST : READ_RESP_ONLY;
	return i ? READ_RESP_MIDDLE : READ_RESP_FIRST;
}

/*
 * Packets are in order only within one turn of the responder. Its next turn may run on
 * another CPU, whose packets can overtake those of the first.
 */
void raw_read_answer(struct raw *r, uint32_t psn, uint8_t *to, size_t len)
{
	size_t packets = len ? (len + RAW_MTU - 1) / RAW_MTU : 1, i, n;
	bool *seen = calloc(packets, sizeof(*seen));

	for (i = 0; i < packets; i++) {
		struct raw_ans a = raw_recv(r);

		n = (a.psn - psn) & 0xffffff;
		CHECK(n == i || (n < packets && len > RAW_STRETCH), "PSN %#x", a.psn);
		CHECK(!seen[n], "PSN %#x twice", a.psn);
		seen[n] = true;
		CHECK_EQ(a.opcode, read_opcode(n, packets));
		CHECK_EQ(a.len, n + 1 < packets ? RAW_MTU : len - n * RAW_MTU);
		if (a.opcode != READ_RESP_MIDDLE)
			CHECK_EQ(a.syndrome, ACK);
		memcpy(to + n * RAW_MTU, a.payload, a.len);
	}
	free(seen);
}

static int socket_in_peer(const char *ip)
{
	int here = open("/proc/self/ns/net", O_RDONLY), there = open(NETNS, O_RDONLY);
	int pmtu = IP_PMTUDISC_DO, room = 16 << 20, fd;
	struct sockaddr_in sa = address(ip);

	if (there < 0)
		test_fail("no %s: run this by tests/raw/run", NETNS);
	CHECK_EQ(setns(there, CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_EQ(setns(here, CLONE_NEWNET), 0);
	close(here);
	close(there);
	CHECK(fd >= 0);
	/* With "don't fragment" an unconnected socket's packets have the IP id 0. */
	CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &pmtu, sizeof(pmtu)), 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)), 0);
	CHECK(!bind(fd, (struct sockaddr *)&sa, sizeof(sa)), "(%s)", strerror(errno));
	return fd;
}

int raw_join(const struct raw *r, const char *group)
{
	struct ip_mreqn mreq = {
		.imr_multiaddr = address(group).sin_addr, .imr_address = address(r->ip).sin_addr,
	};
	int fd = socket_in_peer(group);

	CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)), 0);
	return fd;
}

void raw_move(struct raw *r, const char *ip)
{
	close(r->fd);
	r->ip = ip;
	r->fd = socket_in_peer(ip);
}

union ibv_gid raw_gid(const char *ip)
{
	union ibv_gid gid = { .raw = { [10] = 0xff, [11] = 0xff } };

	CHECK_EQ(inet_pton(AF_INET, ip, gid.raw + 12), 1);
	return gid;
}

void raw_connect(struct raw *r, uint32_t psn)
{
	struct rc_dev far = *r->dev;

	far.gid = raw_gid(r->ip);
	r->psn = psn;
	CHECK_EQ(rc_to_init(r->dev, &r->end, &r->attr), 0);
	CHECK_EQ(rc_to_rtr(&far, &r->end, r->qpn, psn, &r->attr), 0);
	CHECK_EQ(rc_to_rts(&r->end, &r->attr), 0);
}

static struct raw *open_on(struct rc_dev *dev, int fd, uint32_t qpn,
			   const struct rc_attr *attr, uint32_t psn)
{
	struct raw *r = calloc(1, sizeof(*r));

	r->dev = dev;
	r->fd = fd;
	r->ip = PEER;
	r->qpn = qpn;
	r->attr = attr ? *attr : (struct rc_attr){};
	r->attr.mtu = IBV_MTU_1024;
	r->attr.rd_atomic = 16;
	/* Seconds, since on a loaded host this hand-made peer may be slow. */
	r->attr.timeout = r->attr.timeout ?: 20;
	r->attr.retry_cnt = r->attr.retry_cnt ?: 7;
	rc_end_create(r->dev, NULL, &r->end, &r->attr);
	raw_connect(r, psn);
	return r;
}

struct raw *raw_open(const struct rc_attr *attr, uint32_t psn)
{
	return open_on(rc_open(), socket_in_peer(PEER), RAW_QPN, attr, psn);
}

struct raw *raw_open_beside(struct raw *first, uint32_t psn)
{
	return open_on(first->dev, first->fd, first->qpn + 1, NULL, psn);
}

void raw_close_beside(struct raw *r)
{
	rc_end_destroy(&r->end);
	free(r);
}

void raw_close(struct raw *r)
{
	rc_end_destroy(&r->end);
	rc_close(r->dev);
	close(r->fd);
	free(r);
}

long long raw_stat(struct raw *r, const char *name)
{
	return rc_stat(r->dev, name);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Real packets, mutated, by the million
 *
 * The captured packets are the device's own: its requests of every opcode, and its answers
 * to ours. A mutant of one goes to a QP with requests under way in both directions, to a
 * UC QP or to a UD QP, and mostly has a right ICRC.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "datagram.h"
#include "raw.h"

#define LEN		(64 * 1024)
#define SECONDS		5
/* Packets between two looks at the expected PSN: a gap makes the rest out of order. */
#define BATCH		16
#define CAPTURE_MAX	64
#define PKT_MAX		1200
#define BTH		12
#define ICRC		4

/* Of a BTH opcode. */
#define UC		0x20
#define UD		0x60
#define RC_RESPONSE(op)	((op) >= READ_RESP_FIRST && (op) <= ATOMIC_ACK)

struct packet {
	size_t len;			/* BTH to ICRC */
	uint8_t bytes[PKT_MAX];
};

struct capture {
	struct packet pkt[CAPTURE_MAX];
	size_t n;
};

/* The QPs that get mutants. */
struct targets {
	struct raw *rc, *uc, *good;
	struct dgram *ud;
	struct rc_buf buf, kept;
	uint64_t seed;
};

static struct capture captured;
static uint8_t data[LEN];

static uint32_t below(uint64_t *seed, uint32_t n)
{
	return rc_random(seed) % n;
}

static void put24(uint8_t *p, uint32_t v)
{
	p[0] = v >> 16;
	p[1] = v >> 8;
	p[2] = v;
}

static uint32_t get24(const uint8_t *p)
{
	return p[0] << 16 | p[1] << 8 | p[2];
}

/* The next packets that come to us. Returns the PSN of the last one. */
static uint32_t take(struct raw *r, int n)
{
	struct packet *pkt = NULL;

	while (n--) {
		CHECK(captured.n < CAPTURE_MAX);
		pkt = &captured.pkt[captured.n++];
		pkt->len = raw_take_bytes(r, pkt->bytes, PKT_MAX);
	}
	return get24(pkt->bytes + 9);
}

static void answer_atomic(struct raw *r, uint32_t psn)
{
	struct raw_pkt pkt = { .opcode = ATOMIC_ACK, .psn = psn };

	raw_u32(&pkt, (uint32_t)ACK << 24);
	raw_u32(&pkt, 0);
	raw_u32(&pkt, 0);
	raw_send(r, &pkt, 1);
}

/* False: there is no room for it, or no QP to send it. */
static bool post(struct rc_end *end, enum ibv_wr_opcode op, const struct rc_buf *buf,
		 size_t len)
{
	struct ibv_sge sge = rc_sge(buf, 0, len);
	struct ibv_send_wr wr = {
		.opcode = op, .send_flags = IBV_SEND_SIGNALED, .sg_list = &sge, .num_sge = 1,
	};

	if (op == IBV_WR_ATOMIC_FETCH_AND_ADD || op == IBV_WR_ATOMIC_CMP_AND_SWP) {
		wr.wr.atomic.remote_addr = (uintptr_t)buf->addr;
		wr.wr.atomic.rkey = buf->mr->rkey;
	} else {
		wr.wr.rdma.remote_addr = (uintptr_t)buf->addr;
		wr.wr.rdma.rkey = buf->mr->rkey;
	}
	return !rc_try_post(end, &wr);
}

/* Capture the requester's packets, and answer each kind. */
static void capture_requests(struct raw *r, const struct rc_buf *buf)
{
	static const struct { enum ibv_wr_opcode op; size_t len; int packets; } ops[] = {
		{ IBV_WR_SEND, 3000, 3 }, { IBV_WR_SEND, 100, 1 },
		{ IBV_WR_SEND_WITH_IMM, 3000, 3 }, { IBV_WR_SEND_WITH_IMM, 0, 1 },
		{ IBV_WR_SEND_WITH_INV, 3000, 3 }, { IBV_WR_SEND_WITH_INV, 101, 1 },
		{ IBV_WR_RDMA_WRITE, 3000, 3 }, { IBV_WR_RDMA_WRITE, 1, 1 },
		{ IBV_WR_RDMA_WRITE_WITH_IMM, 3000, 3 }, { IBV_WR_RDMA_WRITE_WITH_IMM, 9, 1 },
		{ IBV_WR_RDMA_READ, 100, 1 }, { IBV_WR_ATOMIC_CMP_AND_SWP, 8, 1 },
		{ IBV_WR_ATOMIC_FETCH_AND_ADD, 8, 1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		uint32_t psn;

		CHECK(post(&r->end, ops[i].op, buf, ops[i].len));
		psn = take(r, ops[i].packets);
		if (ops[i].op == IBV_WR_RDMA_READ)
			raw_say(r, READ_RESP_ONLY, ACK, psn, data, ops[i].len);
		else if (ops[i].len == 8)
			answer_atomic(r, psn);
		else
			raw_say(r, ACKNOWLEDGE, ACK, psn, NULL, 0);
		rc_wc_ok(r->end.scq);
	}
}

/* Capture the responder's answers: to reads, an atomic, a write, a gap, and without a receive. */
static void capture_answers(struct raw *r, const struct rc_buf *buf)
{
	struct raw_pkt pkt = raw_read_pkt(r, buf, 0, 3000);

	raw_send(r, &pkt, 1);
	take(r, 3);
	pkt = raw_read_pkt(r, buf, 0, 100);
	raw_send(r, &pkt, 1);
	take(r, 1);
	pkt = (struct raw_pkt) { .opcode = FETCH_ADD, .psn = r->psn++ };
	raw_atomic_eth(&pkt, (uintptr_t)buf->addr, buf->mr->rkey, 1, 0);
	raw_send(r, &pkt, 1);
	take(r, 1);
	raw_write_pkts(r, &pkt, data, 100, buf, 0);
	raw_send(r, &pkt, 1);
	take(r, 1);
	pkt.psn += 3;
	raw_send(r, &pkt, 1);
	take(r, 1);
	raw_send_pkts(r, &pkt, data, 100);
	raw_send(r, &pkt, 1);
	take(r, 1);
}

static void capture_datagrams(struct raw *r, struct dgram *d)
{
	union ibv_gid gid = raw_gid(r->ip);
	struct ibv_ah_attr attr = dgram_address(&gid, r->dev->gid_index);
	struct ibv_ah *ah = dgram_ah(d->pd, &attr);

	dgram_send(d, ah, d->qp->qp_num, DGRAM_QKEY, 500, 1);
	rc_wc_ok(d->scq);
	take(r, 1);
	ibv_destroy_ah(ah);
}

/* Add the opcodes that the verbs of older kernels cannot make it send. */
static void make_extended(struct raw *r, const struct rc_buf *buf)
{
	struct raw_pkt flush = { .opcode = FLUSH, .psn = r->psn };
	struct raw_pkt atomic = { .opcode = ATOMIC_WRITE, .psn = r->psn, .payload = data, .len = 8 };
	const struct raw_pkt *all[] = { &flush, &atomic };
	size_t i;

	raw_u32(&flush, 1);
	raw_reth(&flush, (uintptr_t)buf->addr, buf->mr->rkey, 100);
	raw_reth(&atomic, (uintptr_t)buf->addr, buf->mr->rkey, 8);
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		struct packet *pkt = &captured.pkt[captured.n++];

		pkt->len = raw_build(r, all[i], 0, pkt->bytes);
	}
}

static uint32_t queried_psn(struct raw *r, bool of_sends)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	CHECK_EQ(ibv_query_qp(r->end.qp, &attr, IBV_QP_RQ_PSN | IBV_QP_SQ_PSN, &init), 0);
	return of_sends ? attr.sq_psn : attr.rq_psn;
}

static void scramble(struct packet *pkt, uint64_t *seed)
{
	uint32_t n = 1 + below(seed, 4), body = pkt->len - ICRC;
	/* Mutate headers more often than payload. */
	uint32_t range = below(seed, 4) && body > 44 ? 44 : body;

	while (n--) {
		switch (below(seed, 4)) {
		case 0:
			pkt->bytes[below(seed, range)] = rc_random(seed);
			break;
		case 1:
			pkt->bytes[0] = (pkt->bytes[0] & 0xe0) | below(seed, 32);
			break;
		default:
			pkt->bytes[below(seed, range)] ^= 1 << below(seed, 8);
		}
	}
}

/* Make it longer or shorter, down to less than its headers. */
static void resize(struct packet *pkt, uint64_t *seed)
{
	size_t len = BTH + ICRC + below(seed, below(seed, 2) ? 64 : PKT_MAX - BTH - ICRC);
	size_t i;

	for (i = pkt->len; i < len; i++)
		pkt->bytes[i] = rc_random(seed);
	pkt->len = len;
}

/* Choose a QP, and a PSN that it may accept. */
static void aim(struct targets *t, struct packet *pkt)
{
	uint64_t *seed = &t->seed;
	uint8_t op = pkt->bytes[0] & 0x1f;
	uint32_t qpn = t->rc->end.qp->qp_num, psn;

	if (pkt->bytes[0] >= UD) {
		qpn = t->ud->qp->qp_num;
		psn = rc_random(seed);
	} else if (op <= WRITE_ONLY_IMM && !below(seed, 4)) {
		qpn = t->uc->end.qp->qp_num;
		pkt->bytes[0] |= UC;
		psn = t->uc->psn++;
	} else if (RC_RESPONSE(op)) {
		psn = queried_psn(t->rc, true) - below(seed, 8);
	} else {
		psn = t->rc->psn++;
	}
	if (!below(seed, 8))
		psn += below(seed, 20) - 10;
	/* Use a QP number that nobody has: the good QP would accept such a packet. */
	if (!below(seed, 40))
		qpn = t->good->end.qp->qp_num + 2 + below(seed, 1 << 20);
	put24(pkt->bytes + 5, qpn);
	put24(pkt->bytes + 9, psn);
}

static void shoot(struct targets *t)
{
	struct packet pkt = captured.pkt[below(&t->seed, captured.n)];
	bool spoilt = !below(&t->seed, 40);
	uint8_t keep[3];

	aim(t, &pkt);
	memcpy(keep, pkt.bytes + 5, sizeof(keep));
	if (below(&t->seed, 5))
		scramble(&pkt, &t->seed);
	if (!below(&t->seed, 5))
		resize(&pkt, &t->seed);
	memcpy(pkt.bytes + 5, keep, sizeof(keep));
	raw_seal(t->rc, pkt.bytes, pkt.len);
	if (spoilt)
		pkt.bytes[pkt.len - 1] ^= 1;
	raw_bytes(t->rc, pkt.bytes, pkt.len);
}

/* Post requests that only mutants will answer. */
static void ask(struct targets *t)
{
	static const enum ibv_wr_opcode ops[] = {
		IBV_WR_SEND, IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ, IBV_WR_ATOMIC_FETCH_AND_ADD,
	};
	enum ibv_wr_opcode op = ops[below(&t->seed, ARRAY_SIZE(ops))];
	bool atomic = op == IBV_WR_ATOMIC_FETCH_AND_ADD;

	post(&t->rc->end, op, &t->buf, atomic ? 8 : below(&t->seed, 4000));
}

static void drop_completions(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	while (ibv_poll_cq(cq, 1, &wc) > 0)
		;
}

/* Bring a QP that a mutant put in error back to RTS. */
static void revive(struct raw *r, uint32_t psn)
{
	if (rc_state(&r->end) == IBV_QPS_ERR) {
		CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RESET), 0);
		drop_completions(r->end.rcq);
		drop_completions(r->end.scq);
		raw_connect(r, psn & 0xffffff);
	}
}

static void tend(struct targets *t, bool odp)
{
	struct ibv_sge sge = rc_sge(&t->buf, 0, 3000);
	uint8_t bytes[PKT_MAX];

	drop_completions(t->rc->end.rcq);
	drop_completions(t->rc->end.scq);
	drop_completions(t->uc->end.rcq);
	drop_completions(t->ud->rcq);
	while (recv(t->rc->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	revive(t->rc, rand());
	revive(t->uc, rand());
	t->rc->psn = queried_psn(t->rc, false);
	t->uc->psn = queried_psn(t->uc, false);
	rc_try_recv(&t->rc->end, 1, &sge, 1);
	rc_try_recv(&t->uc->end, 1, &sge, 1);
	rc_try_recv(&(struct rc_end) { .qp = t->ud->qp }, 1,
		    &(struct ibv_sge) { .addr = (uintptr_t)t->ud->in.addr, .length = 2048,
					.lkey = t->ud->in.mr->lkey }, 1);
	if (below(&t->seed, 2))
		ask(t);
	if (odp && !below(&t->seed, 8))
		madvise(t->buf.addr, LEN, MADV_DONTNEED);
}

/* Between mutants a good write must arrive and be acknowledged. */
static void good_traffic(struct targets *t)
{
	uint32_t len = 1 + below(&t->seed, 5000), off = below(&t->seed, 999);
	struct raw *good = t->good;
	uint8_t bytes[PKT_MAX];
	struct raw_pkt pkt[8];
	uint64_t seed = t->seed;

	rc_fill(data, len, seed);
	raw_send(good, pkt, raw_write_pkts(good, pkt, data, len, &t->kept, off));
	do {
		raw_take_bytes(good, bytes, sizeof(bytes));
	} while (get24(bytes + 5) != good->qpn);
	CHECK_EQ(bytes[0], ACKNOWLEDGE);
	CHECK_EQ(bytes[BTH], ACK);
	CHECK_EQ(get24(bytes + 9), (good->psn - 1) & 0xffffff);
	rc_verify(t->kept.addr + off, len, seed, "beside the mutants");
}

static struct raw *open_uc(struct raw *first)
{
	struct raw *uc = calloc(1, sizeof(*uc));

	*uc = *first;
	uc->attr.type = IBV_QPT_UC;
	uc->qpn = first->qpn + 2;
	rc_end_create(uc->dev, NULL, &uc->end, &uc->attr);
	raw_connect(uc, RAW_PSN);
	return uc;
}

static void capture(struct targets *t)
{
	captured.n = 0;
	capture_requests(t->rc, &t->buf);
	capture_answers(t->rc, &t->buf);
	capture_datagrams(t->rc, t->ud);
	make_extended(t->rc, &t->buf);
}

static void captured_mutants(int access)
{
	struct rc_attr attr = { .rd_atomic = 16, .min_rnr_timer = 1 };
	struct targets t = { .rc = raw_open(&attr, RAW_PSN), .seed = test_options.seed };
	double start, seconds = test_options.seconds ?: SECONDS;
	unsigned long count = 0;
	int i;

	t.good = raw_open_beside(t.rc, 1);
	t.ud = dgram_create(t.rc->dev, NULL);
	t.uc = open_uc(t.rc);
	t.buf = rc_buf(t.rc->dev, LEN, access);
	t.kept = rc_buf(t.rc->dev, LEN, RC_ACCESS_ALL);
	capture(&t);

	start = test_now();
	while (test_now() < start + seconds) {
		for (i = 0; i < BATCH; i++)
			shoot(&t);
		count += i;
		tend(&t, access & IBV_ACCESS_ON_DEMAND);
		if (!below(&t.seed, 8))
			good_traffic(&t);
	}
	good_traffic(&t);
	test_note("%lu packets, %.0f a second, mutants of %zu", count,
		  count / (test_now() - start), captured.n);
	rc_buf_free(&t.kept);
	rc_buf_free(&t.buf);
	rc_end_destroy(&t.uc->end);
	free(t.uc);
	dgram_destroy(t.ud);
	raw_close_beside(t.good);
	raw_close(t.rc);
}

static void captured_pinned(void)
{
	captured_mutants(RC_ACCESS_ALL);
}

static void captured_odp(void)
{
	captured_mutants(RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
}

static const struct test_case cases[] = {
	{ "raw_captured_pinned", captured_pinned, 3600 },
	{ "raw_captured_odp", captured_odp, 3600 },
};

CASE_TABLE(raw_capture_cases, cases);

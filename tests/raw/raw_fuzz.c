// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets that are nearly right, by the thousand, beside traffic that has to stay right
 *
 * A packet that is mutated after its ICRC was computed is dropped for the ICRC. So most
 * are mutated before, and have a right one.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "raw.h"

#define LEN	(64 * 1024)
#define SECONDS	5

static const uint8_t opcodes[] = {
	SEND_FIRST, SEND_MIDDLE, SEND_LAST, SEND_LAST_IMM, SEND_ONLY, SEND_ONLY_IMM,
	WRITE_FIRST, WRITE_MIDDLE, WRITE_LAST, WRITE_LAST_IMM, WRITE_ONLY, WRITE_ONLY_IMM,
	READ_REQUEST, READ_RESP_FIRST, READ_RESP_MIDDLE, READ_RESP_LAST, READ_RESP_ONLY,
	ACKNOWLEDGE, ATOMIC_ACK, COMPARE_SWAP, FETCH_ADD, SEND_LAST_INV, SEND_ONLY_INV,
	FLUSH, ATOMIC_WRITE,
};

static uint8_t data[LEN];

static uint32_t below(uint64_t *seed, uint32_t n)
{
	return rc_random(seed) % n;
}

static uint32_t some_length(uint64_t *seed)
{
	static const uint32_t odd[] = { 0, 1, 7, 8, 9, 1023, 1024, 1025, 4096 };

	return below(seed, 2) ? odd[below(seed, ARRAY_SIZE(odd))] : below(seed, 4096);
}

static struct raw_pkt mutant(struct raw *r, const struct rc_buf *buf, uint64_t *seed)
{
	struct raw_pkt pkt = {
		.opcode = below(seed, 20) ? opcodes[below(seed, ARRAY_SIZE(opcodes))] :
					    below(seed, 256),
		.ack = below(seed, 2),
		.psn = r->psn,
		.payload = data,
		.len = some_length(seed),
	};
	uint32_t i;

	switch (below(seed, 8)) {
	case 0:
		pkt.psn += below(seed, 20) - 10;
		break;
	case 1:
		pkt.psn = rc_random(seed);
		break;
	}
	if (!below(seed, 30))
		pkt.pkey = rc_random(seed);
	/* Use a QP number that nobody has: the good QP would accept such a packet. */
	if (!below(seed, 30))
		pkt.qpn = r->end.qp->qp_num + 2 + below(seed, 1 << 20);
	if (!below(seed, 30))
		pkt.pad = below(seed, 4);
	pkt.bad_icrc = !below(seed, 30);

	/* A RETH or AtomicETH that is nearly right, then garbage, of any length. */
	raw_reth(&pkt, (uintptr_t)buf->addr + below(seed, LEN), buf->mr->rkey,
		 below(seed, 4) ? some_length(seed) : rc_random(seed));
	while (pkt.ext_len + 4 <= sizeof(pkt.ext))
		raw_u32(&pkt, rc_random(seed));
	if (!below(seed, 4))
		pkt.ext[below(seed, 16)] ^= 1 << below(seed, 8);
	if (!below(seed, 4))
		for (i = 0; i < 16; i++)
			pkt.ext[i] = rc_random(seed);
	pkt.ext_len = below(seed, 11) * 4;
	return pkt;
}

/* Look up the PSN that the QP expects, so that most of the next packets are accepted. */
static uint32_t expected_psn(struct raw *r)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	CHECK_EQ(ibv_query_qp(r->end.qp, &attr, IBV_QP_RQ_PSN, &init), 0);
	return attr.rq_psn;
}

static void revive(struct raw *r)
{
	struct ibv_wc wc;

	if (rc_state(&r->end) == IBV_QPS_ERR) {
		CHECK_EQ(rc_to_state(&r->end, IBV_QPS_RESET), 0);
		while (ibv_poll_cq(r->end.rcq, 1, &wc) > 0)
			;
		raw_connect(r, rand());
	}
}

static void good_traffic(struct raw *good, const struct rc_buf *buf, uint64_t seed)
{
	struct raw_pkt pkt[8];
	uint32_t len = 1 + seed % 5000;
	struct raw_ans a;
	size_t n;

	rc_fill(data, len, seed);
	n = raw_write_pkts(good, pkt, data, len, buf, seed % 999);
	raw_send(good, pkt, n);
	do {
		a = raw_recv(good);
	} while (a.qpn != good->qpn);
	CHECK_EQ(a.syndrome, ACK);
	CHECK_EQ(a.psn, (good->psn - 1) & 0xffffff);
	rc_verify(buf->addr + seed % 999, len, seed, "beside the bad packets");
}

static void mutants(int access)
{
	struct raw *r = raw_open(NULL, RAW_PSN), *good = raw_open_beside(r, 1);
	struct rc_buf buf = rc_buf(r->dev, LEN, access);
	struct rc_buf kept = rc_buf(r->dev, LEN, RC_ACCESS_ALL);
	struct ibv_sge sge = rc_sge(&buf, 0, 3000);
	uint64_t seed = test_options.seed;
	double end = test_now() + (test_options.seconds ?: SECONDS);
	unsigned long count = 0;

	while (test_now() < end) {
		struct raw_pkt pkt[32];
		struct ibv_wc wc;
		uint32_t i, n = 1 + below(&seed, 32);

		if (!below(&seed, 4))
			rc_try_recv(&r->end, 1, &sge, 1);
		for (i = 0; i < n; i++)
			pkt[i] = mutant(r, &buf, &seed);
		if (below(&seed, 2))
			raw_gso(r, pkt, n);
		else
			raw_send(r, pkt, n);
		count += n;
		while (ibv_poll_cq(r->end.rcq, 1, &wc) > 0)
			;
		if ((access & IBV_ACCESS_ON_DEMAND) && !below(&seed, 8))
			madvise(buf.addr, LEN, MADV_DONTNEED);
		if (below(&seed, 4))
			continue;
		r->psn = expected_psn(r);
		revive(r);
		if (!below(&seed, 8))
			good_traffic(good, &kept, seed);
	}
	test_note("%lu packets", count);
	rc_buf_free(&kept);
	rc_buf_free(&buf);
	raw_close_beside(good);
	raw_close(r);
}

static void mutants_pinned(void)
{
	mutants(RC_ACCESS_ALL);
}

static void mutants_odp(void)
{
	mutants(RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
}

static const struct test_case cases[] = {
	{ "raw_mutants_pinned", mutants_pinned, 100 },
	{ "raw_mutants_odp", mutants_odp, 100 },
};

CASE_TABLE(raw_fuzz_cases, cases);

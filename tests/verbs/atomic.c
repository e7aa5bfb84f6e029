// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Compare-and-swap and fetch-and-add, alone and against the CPU. */
#include <pthread.h>
#include <string.h>

#include "verbs_test.h"

#define ROUNDS	2000

static void post_atomic(struct rc_end *end, enum ibv_wr_opcode op, struct rc_buf *res,
			size_t res_off, struct rc_buf *target, size_t off,
			uint64_t compare_add, uint64_t swap)
{
	struct ibv_sge sg = rc_sge(res, res_off, 8);
	struct ibv_send_wr wr = { .opcode = op, .sg_list = &sg, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };

	wr.wr.atomic.remote_addr = (uintptr_t)target->addr + off;
	wr.wr.atomic.rkey = target->mr->rkey;
	wr.wr.atomic.compare_add = compare_add;
	wr.wr.atomic.swap = swap;
	rc_post(end, &wr);
}

static void atomic_values(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf res = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct rc_buf mem = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	uint64_t *got = (uint64_t *)(res.addr + 16), *word = (uint64_t *)(mem.addr + 4088);
	struct ibv_wc wc;

	*word = 0x1122334455667788ull;
	post_atomic(&p->a, IBV_WR_ATOMIC_FETCH_AND_ADD, &res, 16, &mem, 4088, 1, 0);
	wc = rc_wc_ok(p->a.scq);
	CHECK_EQ(wc.opcode, IBV_WC_FETCH_ADD);
	CHECK_EQ(wc.byte_len, 8);
	CHECK_EQ(*got, 0x1122334455667788ull);
	CHECK_EQ(*word, 0x1122334455667789ull);
	post_atomic(&p->a, IBV_WR_ATOMIC_FETCH_AND_ADD, &res, 16, &mem, 4088, -1ull, 0);
	rc_wc_ok(p->a.scq);
	CHECK_EQ(*word, 0x1122334455667788ull);
	post_atomic(&p->a, IBV_WR_ATOMIC_CMP_AND_SWP, &res, 16, &mem, 4088,
		    0x1122334455667788ull, 7);
	CHECK_EQ(rc_wc_ok(p->a.scq).opcode, IBV_WC_COMP_SWAP);
	CHECK_EQ(*got, 0x1122334455667788ull);
	CHECK_EQ(*word, 7);
	post_atomic(&p->a, IBV_WR_ATOMIC_CMP_AND_SWP, &res, 16, &mem, 4088, 8, 9);
	rc_wc_ok(p->a.scq);
	CHECK_EQ(*got, 7);
	CHECK_EQ(*word, 7);
	CHECK_EQ(word[-1], 0);
	rc_buf_free(&res);
	rc_buf_free(&mem);
	rc_pair_destroy(p);
	rc_close(dev);
}

/* The result of an atomic may be scattered over two SGEs. */
static void atomic_two_sges(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf res = rc_buf(dev, 2 * PAGE, RC_ACCESS_ALL);
	struct rc_buf mem = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct ibv_sge sg[2] = { rc_sge(&res, 1, 3), rc_sge(&res, PAGE - 2, 5) };
	struct ibv_send_wr wr = { .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .sg_list = sg,
				  .num_sge = 2, .send_flags = IBV_SEND_SIGNALED };
	uint64_t value = 0x8877665544332211ull;

	memcpy(mem.addr, &value, 8);
	wr.wr.atomic.remote_addr = (uintptr_t)mem.addr;
	wr.wr.atomic.rkey = mem.mr->rkey;
	wr.wr.atomic.compare_add = 1;
	rc_post(&p->a, &wr);
	rc_wc_ok(p->a.scq);
	CHECK(!memcmp(res.addr + 1, &value, 3));
	CHECK(!memcmp(res.addr + PAGE - 2, (uint8_t *)&value + 3, 5));
	rc_buf_free(&res);
	rc_buf_free(&mem);
	rc_pair_destroy(p);
	rc_close(dev);
}

struct cpu_adder {
	uint64_t *word;
	bool stop;
	uint64_t added;
};

static void *cpu_add(void *arg)
{
	struct cpu_adder *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(c->word, 1ull << 32, __ATOMIC_SEQ_CST);
		c->added++;
	}
	return NULL;
}

/* Two QPs and a CPU thread add to one word: nobody's addition is lost. */
static void atomic_against_cpu(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL), *q = rc_pair_create(dev, NULL);
	struct rc_buf res = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct rc_buf mem = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct cpu_adder cpu = { .word = (uint64_t *)mem.addr };
	pthread_t thread;
	int i;

	pthread_create(&thread, NULL, cpu_add, &cpu);
	for (i = 0; i < ROUNDS; i++) {
		post_atomic(&p->a, IBV_WR_ATOMIC_FETCH_AND_ADD, &res, 0, &mem, 0, 1, 0);
		post_atomic(&q->a, IBV_WR_ATOMIC_FETCH_AND_ADD, &res, 8, &mem, 0, 1, 0);
		rc_wc_ok(p->a.scq);
		rc_wc_ok(q->a.scq);
	}
	__atomic_store_n(&cpu.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_EQ(*cpu.word, (cpu.added << 32) + 2 * ROUNDS);
	rc_buf_free(&res);
	rc_buf_free(&mem);
	rc_pair_destroy(p);
	rc_pair_destroy(q);
	rc_close(dev);
}

/* A counter kept with compare-and-swap loops from both sides. */
static void atomic_cas_against_cpu(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf res = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct rc_buf mem = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	uint64_t *got = (uint64_t *)res.addr, seen = 0;
	struct cpu_adder cpu = { .word = (uint64_t *)mem.addr };
	pthread_t thread;
	int done = 0, i;

	pthread_create(&thread, NULL, cpu_add, &cpu);
	for (i = 0; i < ROUNDS; i++) {
		post_atomic(&p->a, IBV_WR_ATOMIC_CMP_AND_SWP, &res, 0, &mem, 0, seen, seen + 1);
		rc_wc_ok(p->a.scq);
		done += *got == seen;
		seen = *got == seen ? seen + 1 : *got;
	}
	__atomic_store_n(&cpu.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_EQ(*cpu.word, (cpu.added << 32) + done);
	rc_buf_free(&res);
	rc_buf_free(&mem);
	rc_pair_destroy(p);
	rc_close(dev);
}

static const struct test_case cases[] = {
	{ "atomic_values", atomic_values, 0 },
	{ "atomic_two_sges", atomic_two_sges, 0 },
	{ "atomic_against_cpu", atomic_against_cpu, 0 },
	{ "atomic_cas_against_cpu", atomic_cas_against_cpu, 0 },
};

CASE_TABLE(atomic_cases, cases);

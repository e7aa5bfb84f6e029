/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * kverbs.h - two kernel users of verbs, connected, and what cases of the tests need
 */
#ifndef TESTS_KVERBS_H
#define TESTS_KVERBS_H

#include <linux/completion.h>
#include <rdma/ib_verbs.h>

#define KV_BUF		SZ_64K
#define KV_WR		64

/**
 * struct kv_run - one run of one case
 * @dev: the devices of the two ends; the same one twice: the direct carrier
 * @line: of the first check that failed, or 0
 * @what: what it checked
 */
struct kv_run {
	struct ib_device *dev[2];
	int line;
	const char *what;
};

/**
 * struct kv_op - a work request and its end
 * @cqe: its wr_cqe
 * @done: completed once
 * @wc: how; a copy
 */
struct kv_op {
	struct ib_cqe cqe;
	struct completion done;
	struct ib_wc wc;
};

/**
 * struct kv_end - a queue pair with all that it needs
 * @dev: the device
 * @pd: has an rkey for all of memory
 * @cq: of both queues
 * @srq: instead of a receive queue, or NULL
 * @qp: connected to the other end's
 * @gid: our own
 * @gid_index: its index
 * @buf: KV_BUF bytes of the direct map
 */
struct kv_end {
	struct ib_device *dev;
	struct ib_pd *pd;
	struct ib_cq *cq;
	struct ib_srq *srq;
	struct ib_qp *qp;
	union ib_gid gid;
	int gid_index;
	u8 *buf;
};

struct kv_pair {
	struct kv_end a, b;
};

/**
 * struct kv_case - a case
 * @name: its name
 * @run: process context; ends early or not, and leaves nothing
 */
struct kv_case {
	const char *name;
	void (*run)(struct kv_run *r);
};

extern const struct kv_case kv_memory_cases[], kv_queue_cases[];

/* Of what is wrong the first counts. True: all is well. */
bool kv_check(struct kv_run *r, bool ok, const char *what, int line);
#define KV_CHECK(r, cond)	kv_check(r, cond, #cond, __LINE__)

bool kv_pair_open(struct kv_run *r, struct kv_pair *p, enum ib_poll_context ctx,
		  bool with_srq);
void kv_pair_close(struct kv_pair *p);

void kv_op_init(struct kv_op *op);
/* True: it ended within 20 seconds. */
bool kv_op_wait(struct kv_end *e, struct kv_op *op);
/* Post one work request, signalled, and wait: the status, or -1. */
int kv_send(struct kv_end *e, struct ib_send_wr *wr);
int kv_rdma(struct kv_end *e, enum ib_wr_opcode opcode, u64 laddr, u32 len, u64 raddr,
	    u32 rkey);
int kv_recv(struct kv_end *e, struct kv_op *op, u64 addr, u32 len);

void kv_fill(u8 *p, u32 len, u32 seed);
bool kv_same(const u8 *p, u32 len, u32 seed);

static inline u64 kv_addr(const void *p)
{
	return (uintptr_t)p;
}

#endif

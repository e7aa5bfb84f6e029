/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * bad_test.h - what the cases share
 */
#ifndef BAD_TEST_H
#define BAD_TEST_H

#include <rdma/rdma_user_ioctl_cmds.h>

#include "mirage-abi.h"
#include "rc.h"

#define PAGE	4096ul
#define ODP_ALL	(RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND)

/* One table for each kind of misuse. */
extern const struct test_case region_cases[], foreign_cases[], call_cases[],
	advise_cases[], ring_cases[], kill_cases[], failnth_cases[];
extern const size_t region_count, foreign_count, call_count, advise_count, ring_count,
	kill_count, failnth_count;

#define CASES(kind)	const size_t kind##_count = ARRAY_SIZE(kind##_cases)

/* How long a case without an end of its own goes on. */
double bad_seconds(void);

/* A ring that this process has mapped. */
struct ring_map {
	uint8_t *addr;
	size_t len;
};

/* Every mapping of a uverbs device, found in /proc/self/maps. */
size_t ring_maps(struct ring_map *maps, size_t max);

/* Ring the doorbell without the provider: the ioctl's errno, or 0. */
int kick(struct ibv_context *ctx, uint32_t num, uint32_t what);

/* Post garbage with every opcode, whatever completes and however. */
void random_op(struct rc_end *end, struct rc_buf *buf, uint64_t *random);
void drain(struct ibv_cq *cq);

#endif

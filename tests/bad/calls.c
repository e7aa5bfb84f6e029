// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* System calls of the wrong shape, and the doorbell at the wrong time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bad_test.h"

static void bad_kick(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	uint64_t random = test_options.seed;
	uint32_t qpn = p->a.qp->qp_num, num;
	int i;

	CHECK_EQ(kick(dev->ctx, qpn, MIRAGE_DOORBELL_SQ), 0);
	CHECK_EQ(kick(dev->ctx, qpn, MIRAGE_DOORBELL_RQ), 0);
	CHECK_EQ(kick(dev->ctx, qpn, 3), EINVAL);
	CHECK_EQ(kick(dev->ctx, qpn, UINT32_MAX), EINVAL);
	CHECK_EQ(kick(dev->ctx, 0, MIRAGE_DOORBELL_SQ), ENOENT);
	CHECK_EQ(kick(dev->ctx, 1, MIRAGE_DOORBELL_SQ), ENOENT);
	for (i = 0; i < 2000; i++) {
		num = rc_random(&random) >> (i % 33);
		if (num == qpn || num == p->b.qp->qp_num)
			continue;
		CHECK_EQ(kick(dev->ctx, num, i % 2), ENOENT);
	}
	rc_pair_destroy(p);
	CHECK_EQ(kick(dev->ctx, qpn, MIRAGE_DOORBELL_SQ), ENOENT);
	rc_close(dev);
}

/* Write work requests to the ring of a QP whose state does not allow them. */
static void bad_kick_in_state(void)
{
	static const enum ibv_qp_state states[] = { IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR };
	struct rc_dev *dev = rc_open();
	struct rc_attr attr = { .timeout = 14, .retry_cnt = 7, .rnr_retry = 7, .rd_atomic = 1 };
	struct rc_buf buf = rc_buf(dev, PAGE, RC_ACCESS_ALL);
	struct mirage_ring_hdr *hdr;
	struct ring_map maps[16];
	struct rc_end end;
	size_t n, i, s;

	rc_end_create(dev, NULL, &end, NULL);
	n = ring_maps(maps, ARRAY_SIZE(maps));
	for (s = 0; s < ARRAY_SIZE(states); s++) {
		CHECK_EQ(rc_to_state(&end, IBV_QPS_RESET), 0);
		if (s > 0)
			CHECK_EQ(rc_to_init(dev, &end, &attr), 0);
		if (s > 1)
			CHECK_EQ(rc_to_rtr(dev, &end, end.qp->qp_num, 0, &attr), 0);
		for (i = 0; i < n; i++) {
			hdr = (struct mirage_ring_hdr *)maps[i].addr;
			__atomic_store_n(&hdr->prod, hdr->cons + 3, __ATOMIC_RELEASE);
		}
		kick(dev->ctx, end.qp->qp_num, MIRAGE_DOORBELL_SQ);
		kick(dev->ctx, end.qp->qp_num, MIRAGE_DOORBELL_RQ);
		CHECK_EQ(rc_state(&end), states[s]);
	}
	CHECK_EQ(ibv_destroy_qp(end.qp), 0);
	rc_buf_free(&buf);
}

/* ioctls and writes that are noise around valid numbers. */
static void bad_uverbs_noise(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	uint64_t random = test_options.seed;
	double until = test_now() + bad_seconds();
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attr[8];
	} cmd;
	uint32_t words[64];
	unsigned int i;

	while (test_now() < until) {
		memset(&cmd, 0, sizeof(cmd));
		cmd.hdr.num_attrs = rc_random(&random) % 9;
		cmd.hdr.length = sizeof(cmd.hdr) + cmd.hdr.num_attrs * sizeof(cmd.attr[0]);
		if (rc_random(&random) % 8 == 0)
			cmd.hdr.length = rc_random(&random);
		cmd.hdr.object_id = rc_random(&random) % 24;
		if (rc_random(&random) & 1)
			cmd.hdr.object_id = MIRAGE_OBJECT_DOORBELL + rc_random(&random) % 2;
		cmd.hdr.method_id = rc_random(&random) % 8 | (rc_random(&random) & 1) << 12;
		cmd.hdr.driver_id = rc_random(&random) % 4 ? MIRAGE_DRIVER_ID :
				    (uint32_t)rc_random(&random);
		for (i = 0; i < 8; i++) {
			cmd.attr[i].attr_id = rc_random(&random) % 12 |
					      (rc_random(&random) & 1) << 12;
			cmd.attr[i].len = rc_random(&random) % 64;
			cmd.attr[i].flags = rc_random(&random) % 2;
			cmd.attr[i].data = rc_random(&random) & 1 ? rc_random(&random) % 16 :
					   (uintptr_t)words;
		}
		ioctl(dev->ctx->cmd_fd, RDMA_VERBS_IOCTL, &cmd);
		for (i = 0; i < ARRAY_SIZE(words); i++)
			words[i] = rc_random(&random) % 8 ? rc_random(&random) % 16 :
				   (uint32_t)rc_random(&random);
		/* command, size in words, size out: mostly values that the kernel may accept */
		words[0] = rc_random(&random) % 60 | (rc_random(&random) % 4 == 0) << 31;
		words[1] = (rc_random(&random) % 32) | (rc_random(&random) % 32) << 16;
		if (write(dev->ctx->cmd_fd, words, (words[1] & 31) * 4) < 0)
			continue;
	}
	/* The noise may have destroyed objects of this process, and no others. */
	(void)p;
}

/* The real method, with one size or attribute wrong at a time. */
static void bad_kick_shape(void)
{
	struct rc_dev *dev = rc_open();
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attr[2];
	} good = {
		.hdr = { .length = sizeof(good.hdr) + sizeof(good.attr[0]),
			 .object_id = MIRAGE_OBJECT_DOORBELL,
			 .method_id = MIRAGE_METHOD_DOORBELL, .num_attrs = 1,
			 .driver_id = MIRAGE_DRIVER_ID },
		.attr = { { .attr_id = MIRAGE_ATTR_DOORBELL, .len = 8,
			    .flags = UVERBS_ATTR_F_MANDATORY } },
	}, bad;
	int fd = dev->ctx->cmd_fd;

#define REFUSE(...) do {						\
	bad = good;							\
	__VA_ARGS__;							\
	CHECK(ioctl(fd, RDMA_VERBS_IOCTL, &bad), #__VA_ARGS__);		\
} while (0)
	REFUSE(bad.attr[0].len = 0);
	REFUSE(bad.attr[0].len = 4);
	REFUSE(bad.attr[0].len = 16; bad.attr[0].data = 8);
	REFUSE(bad.attr[0].len = UINT16_MAX; bad.attr[0].data = 8);
	REFUSE(bad.attr[0].attr_id++);
	REFUSE(bad.hdr.num_attrs = 0; bad.hdr.length = sizeof(bad.hdr));
	REFUSE(bad.hdr.num_attrs = 2);
	REFUSE(bad.hdr.length++);
	REFUSE(bad.hdr.length = UINT16_MAX);
	REFUSE(bad.hdr.method_id++);
	REFUSE(bad.hdr.object_id++);
	REFUSE(bad.hdr.driver_id++);
	REFUSE(bad.hdr.reserved1 = 1);
	REFUSE(bad.attr[1] = bad.attr[0]; bad.hdr.num_attrs = 2;
	       bad.hdr.length += sizeof(bad.attr[0]));
#undef REFUSE
	CHECK(ioctl(fd, RDMA_VERBS_IOCTL, NULL));
	CHECK(ioctl(fd, RDMA_VERBS_IOCTL, (void *)-PAGE));
	rc_close(dev);
}

const struct test_case call_cases[] = {
	{ "bad_kick", bad_kick, 0 },
	{ "bad_kick_shape", bad_kick_shape, 0 },
	{ "bad_kick_in_state", bad_kick_in_state, 0 },
	{ "bad_uverbs_noise", bad_uverbs_noise, 0 },
};

CASES(call);

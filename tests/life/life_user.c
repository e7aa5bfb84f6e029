// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * life_user - a process that uses a device until the device is gone
 *
 *	life_user traffic DEVICE	verified transfers, on-demand regions
 *	life_user async DEVICE		asleep in ibv_get_async_event()
 *	life_user event DEVICE		asleep in ibv_get_cq_event()
 *
 * It prints "ready" when it has got that far. It succeeds when the verbs report that the
 * device is gone, and fails when data is wrong or nothing is reported.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rc.h"

#define LEN	100000

static void ready(void)
{
	printf("ready\n");
	fflush(stdout);
}

/* One transfer; false when it did not complete, or not well. */
static bool transfer(struct rc_pair *p, struct rc_buf *src, struct rc_buf *dst)
{
	struct ibv_sge sg = rc_sge(src, 0, LEN);
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sg, .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };
	double until = test_now() + 1;
	struct ibv_wc wc;
	int n;

	wr.wr.rdma.remote_addr = (uintptr_t)dst->addr;
	wr.wr.rdma.rkey = dst->mr->rkey;
	if (rc_try_post(&p->a, &wr))
		return false;
	while ((n = ibv_poll_cq(p->a.scq, 1, &wc)) == 0 && test_now() < until)
		sched_yield();
	return n == 1 && wc.status == IBV_WC_SUCCESS;
}

static void traffic(struct rc_dev *dev)
{
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf src = rc_buf(dev, LEN, RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	struct rc_buf dst = rc_buf(dev, LEN, RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	uint64_t n = 0;

	for (;; n++) {
		rc_fill(src.addr, LEN, n);
		if (!transfer(p, &src, &dst))
			break;
		rc_verify(dst.addr, LEN, n, "traffic");
		madvise(dst.addr, LEN, MADV_DONTNEED);
		if (n == 3)
			ready();
	}
	CHECK(n > 3, "nothing was transferred");
}

static void asleep_async(struct rc_dev *dev)
{
	struct ibv_async_event event;

	ready();
	while (!ibv_get_async_event(dev->ctx, &event)) {
		ibv_ack_async_event(&event);
		if (event.event_type == IBV_EVENT_DEVICE_FATAL)
			return;
	}
}

static void asleep_event(struct rc_dev *dev)
{
	struct ibv_comp_channel *channel = ibv_create_comp_channel(dev->ctx);
	struct ibv_cq *cq = ibv_create_cq(dev->ctx, 16, NULL, channel, 0);
	void *context;

	CHECK(channel && cq);
	CHECK_EQ(ibv_req_notify_cq(cq, 0), 0);
	ready();
	CHECK(ibv_get_cq_event(channel, &cq, &context));
}

int main(int argc, char **argv)
{
	struct rc_dev *dev;

	if (argc != 3) {
		fprintf(stderr, "usage: life_user traffic|async|event DEVICE\n");
		return 2;
	}
	test_options.device = argv[2];
	dev = rc_open();
	if (!strcmp(argv[1], "traffic"))
		traffic(dev);
	else if (!strcmp(argv[1], "async"))
		asleep_async(dev);
	else
		asleep_event(dev);
	return 0;
}

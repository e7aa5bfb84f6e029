// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bad_test - clear errors, a clean kernel and undisturbed others
 *
 * While the cases do what no program should, a bystander in a process of its own
 * moves data and looks at every byte. After them the kernel has as many objects
 * of the device as before.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bad_test.h"

#define DEFAULT_SECONDS	3
#define BYSTANDER_BYTES	50000

struct shared {
	bool stop;
	unsigned long rounds;
};

static struct shared *shared;
static pid_t bystander;
static char before[512];

double bad_seconds(void)
{
	return test_options.seconds ? test_options.seconds : DEFAULT_SECONDS;
}

size_t ring_maps(struct ring_map *maps, size_t max)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512];
	size_t n = 0;

	CHECK(f);
	while (n < max && fgets(line, sizeof(line), f)) {
		if (!strstr(line, "/uverbs") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		maps[n].addr = (uint8_t *)start;
		maps[n++].len = end - start;
	}
	fclose(f);
	return n;
}

int kick(struct ibv_context *ctx, uint32_t num, uint32_t what)
{
	struct mirage_doorbell k = { .num = num, .what = what };
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attr;
	} cmd = {
		.hdr = { .length = sizeof(cmd), .object_id = MIRAGE_OBJECT_DOORBELL,
			 .method_id = MIRAGE_METHOD_DOORBELL, .num_attrs = 1,
			 .driver_id = MIRAGE_DRIVER_ID },
		.attr = { .attr_id = MIRAGE_ATTR_DOORBELL, .len = sizeof(k),
			  .flags = UVERBS_ATTR_F_MANDATORY },
	};

	memcpy(&cmd.attr.data, &k, sizeof(k));
	return ioctl(ctx->cmd_fd, RDMA_VERBS_IOCTL, &cmd) ? errno : 0;
}

void drain(struct ibv_cq *cq)
{
	struct ibv_wc wc[16];
	int n = 0;

	/* A ring whose index was scribbled over may look full for ever. */
	while (ibv_poll_cq(cq, 16, wc) > 0 && n++ < 64)
		;
}

void random_op(struct rc_end *end, struct rc_buf *buf, uint64_t *random)
{
	struct ibv_sge sg[4];
	struct ibv_send_wr wr = {
		.sg_list = sg, .num_sge = rc_random(random) % 5,
		.opcode = rc_random(random) % 7, .send_flags = rc_random(random) & 0xf,
	};
	struct ibv_recv_wr rr = { .sg_list = sg, .num_sge = wr.num_sge }, *rbad;
	struct ibv_send_wr *bad;
	int i;

	for (i = 0; i < wr.num_sge; i++) {
		sg[i] = rc_sge(buf, rc_random(random) % buf->len, rc_random(random) % 9000);
		if (rc_random(random) % 16 == 0)
			sg[i].lkey = rc_random(random);
	}
	/* The provider reads inline data in this process, so it must be mapped. */
	for (i = 0; wr.send_flags & IBV_SEND_INLINE && i < wr.num_sge; i++)
		sg[i].addr = (uintptr_t)buf->addr;
	wr.wr.atomic.remote_addr = (uintptr_t)buf->addr + rc_random(random) % buf->len;
	wr.wr.atomic.rkey = rc_random(random) % 16 ? buf->mr->rkey : rc_random(random);
	if (rc_random(random) & 1)
		ibv_post_recv(end->qp, &rr, &rbad);
	ibv_post_send(end->qp, &wr, &bad);
}

/* Everything the kernel knows of this device: "pd 2 cq 1 qp 1 ..." */
static void count_resources(char *text, size_t size)
{
	char cmd[128], line[512], *at;
	FILE *f;

	text[0] = 0;
	snprintf(cmd, sizeof(cmd), "rdma resource show %s", test_options.device);
	f = popen(cmd, "r");
	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "pd ");
		if (at)
			snprintf(text, size, "%s", at);
	}
	if (f)
		pclose(f);
}

static void verified_transfers(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf src = rc_buf(dev, BYSTANDER_BYTES, RC_ACCESS_ALL);
	int access = dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT && rc_is_mirage(dev) ?
		     ODP_ALL : RC_ACCESS_ALL;
	struct rc_buf dst = rc_buf(dev, BYSTANDER_BYTES, access);
	struct ibv_sge sg = rc_sge(&dst, 0, BYSTANDER_BYTES);

	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		rc_fill(src.addr, BYSTANDER_BYTES, shared->rounds);
		rc_recv(&p->b, 1, &sg, 1);
		rc_op(&p->a, shared->rounds & 1 ? IBV_WR_SEND : IBV_WR_RDMA_WRITE,
		      rc_sge(&src, 0, BYSTANDER_BYTES), &dst, 0);
		rc_wc_ok(p->a.scq);
		if (shared->rounds & 1)
			rc_wc_ok(p->b.rcq);
		else
			rc_pair_reset(p);
		rc_verify(dst.addr, BYSTANDER_BYTES, shared->rounds, "bystander");
		__atomic_fetch_add(&shared->rounds, 1, __ATOMIC_RELAXED);
		/* On one CPU the cases need time as well. */
		usleep(2000);
	}
	rc_buf_free(&src);
	rc_buf_free(&dst);
	rc_pair_destroy(p);
	rc_close(dev);
}

static void start_bystander(void)
{
	count_resources(before, sizeof(before));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	bystander = fork();
	if (bystander)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	verified_transfers();
	_exit(0);
}

/* Only the bystander's parent can fetch its status; a case is another process. */
static int bystander_status;

static void stop_bystander(void)
{
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	while (waitpid(bystander, &bystander_status, 0) < 0 && errno == EINTR)
		;
}

static void bad_bystander(void)
{
	test_note("the bystander made %lu verified transfers", shared->rounds);
	CHECK_EQ(bystander_status, 0);
	CHECK(shared->rounds > 0);
}

static void bad_nothing_left(void)
{
	double until = test_now() + 10;
	char after[512];

	/* Deferred work may hold an object for a moment longer. */
	do {
		count_resources(after, sizeof(after));
		if (!strcmp(before, after))
			return;
		usleep(100000);
	} while (test_now() < until);
	test_fail("resources before: %s after: %s", before, after);
}

int main(int argc, char **argv)
{
	static const struct test_case last[] = {
		{ "bad_bystander", bad_bystander, 0 },
		{ "bad_nothing_left", bad_nothing_left, 0 },
	};

	test_options_parse(argc, argv, NULL, "");
	if (!test_options.list)
		start_bystander();
	test_run(region_cases, region_count);
	test_run(foreign_cases, foreign_count);
	test_run(call_cases, call_count);
	test_run(advise_cases, advise_count);
	test_run(ring_cases, ring_count);
	test_run(kill_cases, kill_count);
	test_run(failnth_cases, failnth_count);
	if (!test_options.list)
		stop_bystander();
	test_options.only = NULL;
	test_run(last, ARRAY_SIZE(last));
	return test_close();
}

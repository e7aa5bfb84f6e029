// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Regions that must be refused: bounds, rights, addresses. */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bad_test.h"

static void refuse(struct rc_dev *dev, const char *what, void *addr, size_t len,
		   uint64_t iova, int access)
{
	struct ibv_mr *mr = ibv_reg_mr_iova(dev->pd, addr, len, iova, access);

	if (mr)
		test_fail("%s was registered", what);
	if (errno != EINVAL && errno != EFAULT && errno != EOPNOTSUPP && errno != ENOMEM &&
	    errno != EPERM)
		test_fail("%s: %s is no clear error", what, strerror(errno));
}

static void bad_region_bounds(void)
{
	static const int kinds[] = { RC_ACCESS_ALL, ODP_ALL };
	struct rc_dev *dev = rc_open();
	uint8_t *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t a = (uintptr_t)p;
	size_t i;
	int k;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		k = kinds[i];
		refuse(dev, "zero length", p, 0, a, k);
		refuse(dev, "iova + length past 2^64", p, 2 * PAGE, -PAGE, k);
		refuse(dev, "iova + length past 2^64 by one", p, PAGE + 1, -PAGE, k);
		refuse(dev, "address + length past 2^64", p, SIZE_MAX - PAGE, a, k);
		refuse(dev, "address and length at the end", (void *)-PAGE, 2 * PAGE, -PAGE, k);
		refuse(dev, "iova at another place in its page", p, PAGE, a + 1, k);
	}
	refuse(dev, "a kernel address, pinned", (void *)0xffff888000000000ull, PAGE,
	       0xffff888000000000ull, RC_ACCESS_ALL);
	refuse(dev, "nothing mapped, pinned", NULL, PAGE, 0, RC_ACCESS_ALL);
	refuse(dev, "longer than what is mapped, pinned", p, 1ull << 40, a, RC_ACCESS_ALL);
	/* Only the whole address space from 0 is implicit. */
	refuse(dev, "NULL and nearly everything", NULL, SIZE_MAX - 1, 0, ODP_ALL);
	refuse(dev, "an address and everything", p, SIZE_MAX, a, ODP_ALL);
	refuse(dev, "implicit, not on demand", NULL, SIZE_MAX, 0, RC_ACCESS_ALL);
	rc_close(dev);
}

/* On demand nothing is checked before an access, which then has to fail. */
static void bad_region_kernel_address(void)
{
	static const uint64_t addrs[] = {
		0xffff888000000000ull, 0xffffffff81000000ull, 0xffffc90000000000ull, -PAGE,
		1ull << 47, 1ull << 56, 0,
	};
	struct rc_dev *dev = rc_open();
	struct rc_pair *p = rc_pair_create(dev, NULL);
	struct rc_buf mine = rc_buf(dev, PAGE, RC_ACCESS_ALL), bad;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(addrs); i++) {
		bad.addr = (uint8_t *)addrs[i];
		bad.mr = ibv_reg_mr(dev->pd, bad.addr, PAGE, ODP_ALL);
		if (!bad.mr)
			continue;
		rc_op(&p->a, IBV_WR_RDMA_READ, rc_sge(&mine, 0, 64), &bad, 64);
		rc_wc_status(p->a.scq, IBV_WC_REM_ACCESS_ERR);
		rc_pair_reset(p);
		rc_op(&p->a, IBV_WR_RDMA_WRITE, rc_sge(&mine, 0, 64), &bad, 64);
		rc_wc_status(p->a.scq, IBV_WC_REM_ACCESS_ERR);
		rc_pair_reset(p);
		CHECK_EQ(ibv_dereg_mr(bad.mr), 0);
	}
	rc_buf_free(&mine);
	rc_pair_destroy(p);
	rc_close(dev);
}

static void bad_region_access(void)
{
	struct rc_dev *dev = rc_open();
	uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t a = (uintptr_t)p;
	int bit;

	refuse(dev, "remote write without local write", p, PAGE, a, IBV_ACCESS_REMOTE_WRITE);
	refuse(dev, "remote atomic without local write", p, PAGE, a, IBV_ACCESS_REMOTE_ATOMIC);
	refuse(dev, "the same on demand", p, PAGE, a,
	       IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_ON_DEMAND);
	for (bit = 10; bit < 20; bit++)
		refuse(dev, "an access flag that nobody knows", p, PAGE, a,
		       IBV_ACCESS_LOCAL_WRITE | 1 << bit);
	refuse(dev, "zero based", p, PAGE, a, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ZERO_BASED);
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	refuse(dev, "read-only memory pinned for writing", p, PAGE, (uintptr_t)p, RC_ACCESS_ALL);
	rc_close(dev);
}

static void bad_rereg(void)
{
	struct rc_dev *dev = rc_open();
	struct rc_buf buf = rc_buf(dev, 2 * PAGE, RC_ACCESS_ALL);
	struct rc_pair *p = rc_pair_create(dev, NULL);

	if (ibv_rereg_mr(buf.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, RC_ACCESS_ALL) ==
	    IBV_REREG_MR_ERR_CMD && errno == EOPNOTSUPP)
		test_skip("no rereg_mr");
	CHECK(ibv_rereg_mr(buf.mr, 0, NULL, NULL, 0, 0));
	CHECK(ibv_rereg_mr(buf.mr, 1 << 5, NULL, NULL, 0, 0));
	CHECK(ibv_rereg_mr(buf.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			   IBV_ACCESS_REMOTE_WRITE));
	CHECK(ibv_rereg_mr(buf.mr, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, NULL, PAGE,
			   RC_ACCESS_ALL));
	CHECK(ibv_rereg_mr(buf.mr, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, buf.addr, 0,
			   RC_ACCESS_ALL));
	/* A refused change of access or a bad flag leaves the region as it was. */
	rc_buf_free(&buf);
	buf = rc_buf(dev, 2 * PAGE, RC_ACCESS_ALL);
	CHECK(ibv_rereg_mr(buf.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			   IBV_ACCESS_REMOTE_WRITE));
	rc_op(&p->a, IBV_WR_RDMA_WRITE, rc_sge(&buf, 0, 100), &buf, PAGE);
	rc_wc_ok(p->a.scq);
	rc_buf_free(&buf);
	rc_pair_destroy(p);
	rc_close(dev);
}

/* Run as a user whom RLIMIT_MEMLOCK binds; root is not bound. */
static void lock_at_most(size_t bytes)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	CHECK_EQ(syscall(SYS_capget, &head, caps), 0);
	caps[0].effective &= ~(1u << CAP_IPC_LOCK);
	CHECK_EQ(syscall(SYS_capset, &head, caps), 0);
}

/* Pinned pages of all regions together count until they are unpinned. */
static void bad_memlock(void)
{
	size_t max = 16 * PAGE, huge = 1ull << 30;
	struct rc_dev *dev;
	struct ibv_mr *half, *odp;
	uint8_t *p;
	int i;

	lock_at_most(max);
	dev = rc_open();
	p = mmap(NULL, huge, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(p != MAP_FAILED);
	for (i = 0; i < 3; i++) {
		half = ibv_reg_mr(dev->pd, p, max / 2, RC_ACCESS_ALL);
		CHECK(half, "(%s)", strerror(errno));
		CHECK(!ibv_reg_mr(dev->pd, p + max, max / 2 + PAGE, RC_ACCESS_ALL));
		CHECK_EQ(errno, ENOMEM);
		CHECK_EQ(ibv_dereg_mr(half), 0);
	}
	odp = ibv_reg_mr(dev->pd, p, huge, ODP_ALL);
	CHECK(odp, "what is not pinned was counted (%s)", strerror(errno));
	CHECK_EQ(ibv_dereg_mr(odp), 0);
	munmap(p, huge);
	rc_close(dev);
}

/* Many regions over the same pages, registered and deregistered in random order. */
static void bad_region_storm(void)
{
	struct rc_dev *dev = rc_open();
	uint64_t random = test_options.seed;
	double until = test_now() + bad_seconds();
	struct ibv_mr *mr[64] = {};
	uint8_t *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i, off;

	while (test_now() < until) {
		i = rc_random(&random) % ARRAY_SIZE(mr);
		if (mr[i]) {
			CHECK_EQ(ibv_dereg_mr(mr[i]), 0);
			mr[i] = NULL;
			continue;
		}
		off = rc_random(&random) % (32 * PAGE);
		mr[i] = ibv_reg_mr(dev->pd, p + off, 1 + rc_random(&random) % (32 * PAGE),
				   rc_random(&random) & 1 ? RC_ACCESS_ALL : ODP_ALL);
		CHECK(mr[i], "(%s)", strerror(errno));
		if (rc_random(&random) % 8 == 0)
			madvise(p, 64 * PAGE, MADV_DONTNEED);
	}
	for (i = 0; i < ARRAY_SIZE(mr); i++) {
		if (mr[i])
			CHECK_EQ(ibv_dereg_mr(mr[i]), 0);
	}
	rc_close(dev);
}

const struct test_case region_cases[] = {
	{ "bad_region_bounds", bad_region_bounds, 0 },
	{ "bad_region_kernel_address", bad_region_kernel_address, 0 },
	{ "bad_region_access", bad_region_access, 0 },
	{ "bad_rereg", bad_rereg, 0 },
	{ "bad_memlock", bad_memlock, 0 },
	{ "bad_region_storm", bad_region_storm, 0 },
};

CASES(region);

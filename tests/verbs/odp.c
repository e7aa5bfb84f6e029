// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* On-demand paging through verbs: cost, rights, holes, advice, counters. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verbs_test.h"

#define GIB		(1ull << 30)
#define ODP_ALL		(RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND)
#define PAGES		16
#define HUGE_PAGES	"/proc/sys/vm/nr_hugepages"

struct stage {
	struct rc_dev *dev;
	struct rc_pair *p;
	struct rc_buf src;	/* pinned */
};

static struct stage setup(void)
{
	struct stage s = { .dev = rc_open() };

	if (!(s.dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT))
		test_skip("no ODP");
	s.p = rc_pair_create(s.dev, NULL);
	s.src = rc_buf(s.dev, PAGES * PAGE, RC_ACCESS_ALL);
	return s;
}

static void teardown(struct stage *s)
{
	rc_pair_destroy(s->p);
	rc_buf_free(&s->src);
	rc_close(s->dev);
}

static uint8_t *map(size_t len, int prot, int flags, int fd)
{
	uint8_t *p = mmap(NULL, len, prot, flags, fd, 0);

	CHECK(p != MAP_FAILED, "(%s)", strerror(errno));
	return p;
}

static uint8_t *map_anon(size_t len)
{
	return map(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static struct rc_buf odp_reg(struct stage *s, uint8_t *addr, size_t len)
{
	struct rc_buf buf = { .addr = addr, .len = len };

	buf.mr = ibv_reg_mr(s->dev->pd, addr, len, ODP_ALL);
	CHECK(buf.mr, "(%s)", strerror(errno));
	return buf;
}

static struct ibv_mr *implicit_reg(struct stage *s)
{
	struct ibv_mr *mr;

	if (!(s->dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT_IMPLICIT))
		test_skip("no implicit ODP");
	mr = ibv_reg_mr(s->dev->pd, NULL, SIZE_MAX, ODP_ALL);
	CHECK(mr, "(%s)", strerror(errno));
	return mr;
}

static void expect(struct stage *s, enum ibv_wr_opcode op, const struct rc_buf *remote,
		   size_t off, size_t len, enum ibv_wc_status status)
{
	rc_op(&s->p->a, op, rc_sge(&s->src, 0, len), remote, off);
	rc_wc_status(s->p->a.scq, status);
	if (status != IBV_WC_SUCCESS)
		rc_pair_reset(s->p);
}

static long status_kib(const char *field)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, field, strlen(field)))
			kib = atol(line + strlen(field) + 1);
	}
	fclose(f);
	return kib;
}

static unsigned int resident(uint8_t *p, size_t pages)
{
	unsigned char *vec = malloc(pages);
	unsigned int n = 0;
	size_t i;

	CHECK_EQ(mincore(p, pages * PAGE, vec), 0);
	for (i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

static void odp_registration_is_free(void)
{
	static const uint64_t sizes[] = { PAGE, GIB, 1024 * GIB };
	struct stage s = setup();
	long pinned = status_kib("VmPin:"), locked = status_kib("VmLck:"), rss;
	struct rc_buf buf;
	uint8_t *p;
	double t;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		p = map(sizes[i], PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
		rss = status_kib("VmRSS:");
		t = test_now();
		buf = odp_reg(&s, p, sizes[i]);
		t = test_now() - t;
		test_note("registered %llu KiB in %.1f us",
			  (unsigned long long)sizes[i] >> 10, t * 1e6);
		CHECK_EQ(status_kib("VmPin:"), pinned);
		CHECK_EQ(status_kib("VmLck:"), locked);
		CHECK(status_kib("VmRSS:") - rss < 512);
		CHECK_EQ(resident(p, 1), 0);
		CHECK_EQ(resident(p + sizes[i] - PAGE, 1), 0);
		rc_fill(s.src.addr, 64, i);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, sizes[i] - 64, 64, IBV_WC_SUCCESS);
		rc_verify(p + sizes[i] - 64, 64, i, "the last bytes");
		CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
		munmap(p, sizes[i]);
	}
	teardown(&s);
}

/* No page is pinned: pages that the device used can be dropped and come back. */
static void odp_no_pin(void)
{
	struct stage s = setup();
	uint8_t *p = map_anon(PAGES * PAGE);
	struct rc_buf buf = odp_reg(&s, p, PAGES * PAGE);
	long pinned = status_kib("VmPin:");
	int i;

	for (i = 0; i < 20; i++) {
		rc_fill(s.src.addr, PAGES * PAGE, i);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
		rc_verify(p, PAGES * PAGE, i, "written");
		CHECK_EQ(status_kib("VmPin:"), pinned);
		CHECK_EQ(madvise(p, PAGES * PAGE, MADV_DONTNEED), 0);
		CHECK_EQ(resident(p, PAGES), 0);
		CHECK_EQ(p[5 * PAGE], 0);
	}
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(p, PAGES * PAGE);
	teardown(&s);
}

static void check_read_only(struct stage *s, const struct rc_buf *buf)
{
	rc_verify(buf->addr, PAGES * PAGE, 7, "before");
	memset(s->src.addr, 0, PAGES * PAGE);
	expect(s, IBV_WR_RDMA_READ, buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
	rc_verify(s->src.addr, PAGES * PAGE, 7, "read from a read-only mapping");
	expect(s, IBV_WR_RDMA_WRITE, buf, PAGE + 8, 64, IBV_WC_REM_ACCESS_ERR);
	rc_verify(buf->addr, PAGES * PAGE, 7, "after the refused write");
	expect(s, IBV_WR_RDMA_READ, buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
}

static void odp_read_only(void)
{
	struct stage s = setup();
	struct ibv_mr *implicit = NULL;
	uint8_t *anon = map_anon(PAGES * PAGE), *file, *w;
	struct rc_buf buf;
	int fd = memfd_create("ro", 0);

	CHECK_EQ(ftruncate(fd, PAGES * PAGE), 0);
	w = map(PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	rc_fill(w, PAGES * PAGE, 7);
	file = map(PAGES * PAGE, PROT_READ, MAP_SHARED, fd);
	rc_fill(anon, PAGES * PAGE, 7);
	CHECK_EQ(mprotect(anon, PAGES * PAGE, PROT_READ), 0);
	buf = odp_reg(&s, anon, PAGES * PAGE);
	check_read_only(&s, &buf);
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	buf = odp_reg(&s, file, PAGES * PAGE);
	check_read_only(&s, &buf);
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	if (s.dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT_IMPLICIT) {
		implicit = implicit_reg(&s);
		buf = (struct rc_buf){ .addr = anon, .mr = implicit };
		check_read_only(&s, &buf);
		buf.addr = file;
		check_read_only(&s, &buf);
		CHECK_EQ(ibv_dereg_mr(implicit), 0);
	}
	close(fd);
	teardown(&s);
}

/* The device follows mprotect() in both directions. */
static void odp_mprotect(void)
{
	struct stage s = setup();
	uint8_t *p = map_anon(PAGES * PAGE);
	struct rc_buf buf = odp_reg(&s, p, PAGES * PAGE);
	int i;

	rc_fill(s.src.addr, PAGE, 1);
	for (i = 0; i < 5; i++) {
		CHECK_EQ(mprotect(p, PAGES * PAGE, PROT_READ | PROT_WRITE), 0);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, 100, PAGE, IBV_WC_SUCCESS);
		CHECK_EQ(mprotect(p, PAGES * PAGE, PROT_READ), 0);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, 100, PAGE, IBV_WC_REM_ACCESS_ERR);
		CHECK_EQ(mprotect(p, PAGES * PAGE, PROT_NONE), 0);
		expect(&s, IBV_WR_RDMA_READ, &buf, 100, PAGE, IBV_WC_REM_ACCESS_ERR);
	}
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(p, PAGES * PAGE);
	teardown(&s);
}

/* A hole is an error of the side that named it, and only until memory is mapped there. */
static void odp_hole(void)
{
	struct stage s = setup();
	uint8_t *p = map_anon(PAGES * PAGE);
	struct rc_buf buf = odp_reg(&s, p, PAGES * PAGE);
	struct ibv_sge hole = rc_sge(&buf, 4 * PAGE + 8, 64);
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &hole, .num_sge = 1 };

	memset(p, 0xaa, PAGES * PAGE);
	CHECK_EQ(munmap(p + 4 * PAGE, PAGE), 0);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 3 * PAGE, 2 * PAGE, IBV_WC_REM_ACCESS_ERR);
	expect(&s, IBV_WR_RDMA_READ, &buf, 4 * PAGE, 8, IBV_WC_REM_ACCESS_ERR);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 5 * PAGE, PAGE, IBV_WC_SUCCESS);
	rc_post(&s.p->a, &wr);
	rc_wc_status(s.p->a.scq, IBV_WC_LOC_PROT_ERR);
	rc_pair_reset(s.p);
	rc_recv(&s.p->b, 1, &hole, 1);
	rc_op(&s.p->a, IBV_WR_SEND, rc_sge(&s.src, 0, 64), NULL, 0);
	rc_wc_status(s.p->a.scq, IBV_WC_REM_OP_ERR);
	rc_wc_status(s.p->b.rcq, IBV_WC_LOC_PROT_ERR);
	rc_pair_reset(s.p);
	CHECK(mmap(p + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	rc_fill(s.src.addr, 3 * PAGE, 8);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 3 * PAGE, 3 * PAGE, IBV_WC_SUCCESS);
	rc_verify(p + 3 * PAGE, 3 * PAGE, 8, "over the mended hole");
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	teardown(&s);
}

/* A file is truncated below its mapping: SIGBUS for the CPU, an error for the device. */
static void odp_truncated_file(void)
{
	struct stage s = setup();
	int fd = memfd_create("cut", 0);
	struct rc_buf buf;
	uint8_t *p;

	CHECK_EQ(ftruncate(fd, PAGES * PAGE), 0);
	p = map(PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	buf = odp_reg(&s, p, PAGES * PAGE);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 8 * PAGE, PAGE, IBV_WC_SUCCESS);
	CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 8 * PAGE, PAGE, IBV_WC_REM_ACCESS_ERR);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 3 * PAGE, PAGE, IBV_WC_SUCCESS);
	CHECK_EQ(ftruncate(fd, PAGES * PAGE), 0);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 8 * PAGE, PAGE, IBV_WC_SUCCESS);
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(p, PAGES * PAGE);
	close(fd);
	teardown(&s);
}

/* One key serves the whole address space, also mappings that are made later. */
static void odp_implicit(void)
{
	static const uint64_t outside[] = {
		0, 1ull << 47, 0xffff888000000000ull, 0xffffffff81000000ull, -64ull,
		1ull << 63, (1ull << 47) - 32,
	};
	struct stage s = setup();
	struct ibv_mr *mr = implicit_reg(&s);
	struct rc_buf buf = { .mr = mr };
	uint8_t on_stack[300];
	uint8_t *heap = malloc(5000);
	size_t i;

	rc_fill(s.src.addr, 5000, 3);
	buf.addr = on_stack;
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, 300, IBV_WC_SUCCESS);
	rc_verify(on_stack, 300, 3, "the stack");
	buf.addr = heap;
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, 5000, IBV_WC_SUCCESS);
	rc_verify(heap, 5000, 3, "the heap");
	for (i = 0; i < 8; i++) {
		buf.addr = map_anon(PAGES * PAGE);
		rc_fill(s.src.addr, PAGES * PAGE, 40 + i);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
		rc_verify(buf.addr, PAGES * PAGE, 40 + i, "a new mapping");
		CHECK_EQ(munmap(buf.addr, PAGES * PAGE), 0);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, 64, IBV_WC_REM_ACCESS_ERR);
	}
	for (i = 0; i < ARRAY_SIZE(outside); i++) {
		buf.addr = (uint8_t *)outside[i];
		expect(&s, IBV_WR_RDMA_READ, &buf, 0, 64, IBV_WC_REM_ACCESS_ERR);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, 64, IBV_WC_REM_ACCESS_ERR);
	}
	free(heap);
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	teardown(&s);
}

/* The iova may differ from the address in the process. */
static void odp_iova(void)
{
	static const uint64_t iovas[] = { 0x123, 0x7000000000123ull, 0x1ff123 };
	struct stage s = setup();
	uint8_t *p = map_anon(PAGES * PAGE);
	struct rc_buf buf, bad;
	size_t i, len = PAGES * PAGE - 0x123;

	for (i = 0; i < ARRAY_SIZE(iovas); i++) {
		buf.mr = ibv_reg_mr_iova(s.dev->pd, p + 0x123, len, iovas[i], ODP_ALL);
		CHECK(buf.mr, "iova %#llx: %s", (unsigned long long)iovas[i], strerror(errno));
		buf.addr = (uint8_t *)iovas[i];
		rc_fill(s.src.addr, len, i);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, len, IBV_WC_SUCCESS);
		rc_verify(p + 0x123, len, i, "through another iova");
		bad = (struct rc_buf){ .addr = p, .mr = buf.mr };
		expect(&s, IBV_WR_RDMA_WRITE, &bad, 0x123, 8, IBV_WC_REM_ACCESS_ERR);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, len - 7, 8, IBV_WC_REM_ACCESS_ERR);
		CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
		CHECK_EQ(madvise(p, PAGES * PAGE, MADV_DONTNEED), 0);
	}
	munmap(p, PAGES * PAGE);
	teardown(&s);
}

/* After a fork the region stays with the parent: the child sees no write to it. */
static void odp_fork(void)
{
	struct stage s = setup();
	uint8_t *p = map_anon(PAGES * PAGE);
	struct rc_buf buf = odp_reg(&s, p, PAGES * PAGE);
	int go[2], status;
	pid_t pid;
	char c;

	rc_fill(p, PAGES * PAGE, 1);
	rc_fill(s.src.addr, PAGES * PAGE, 2);
	expect(&s, IBV_WR_RDMA_READ, &buf, 0, PAGE, IBV_WC_SUCCESS);
	rc_fill(s.src.addr, PAGES * PAGE, 2);
	CHECK_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		if (read(go[0], &c, 1) != 1)
			_exit(2);
		rc_verify(p, PAGES * PAGE, 1, "the child's copy");
		_exit(0);
	}
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
	rc_verify(p, PAGES * PAGE, 2, "the parent's copy");
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	rc_verify(p, PAGES * PAGE, 2, "the parent's copy");
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(p, PAGES * PAGE);
	teardown(&s);
}

/* Bytes that the device writes reach the file, although no CPU dirtied the page. */
static void odp_dirties(void)
{
	struct stage s = setup();
	char name[] = "/var/tmp/odp-dirty-XXXXXX";
	int fd = mkstemp(name);
	uint8_t back[PAGE];
	struct rc_buf buf;
	uint8_t *p;
	int i;

	CHECK(fd >= 0);
	unlink(name);
	CHECK_EQ(ftruncate(fd, PAGES * PAGE), 0);
	p = map(PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	buf = odp_reg(&s, p, PAGES * PAGE);
	for (i = 0; i < 5; i++) {
		rc_fill(s.src.addr, PAGES * PAGE, i);
		expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
		CHECK_EQ(msync(p, PAGES * PAGE, MS_SYNC), 0);
		CHECK_EQ(madvise(p, PAGES * PAGE, MADV_DONTNEED), 0);
		CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		CHECK_EQ(pread(fd, back, PAGE, 0), PAGE);
		rc_verify(back, PAGE, i, "the file");
		rc_verify(p, PAGES * PAGE, i, "the mapping, read again");
	}
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(p, PAGES * PAGE);
	close(fd);
	teardown(&s);
}

static int advise(struct stage *s, enum ib_uverbs_advise_mr_advice advice, uint32_t flags,
		  struct ibv_sge sge)
{
	return ibv_advise_mr(s->dev->pd, advice, flags, &sge, 1);
}

static void odp_advise(void)
{
	static const enum ib_uverbs_advise_mr_advice advices[] = {
		IBV_ADVISE_MR_ADVICE_PREFETCH, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
		IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
	};
	struct stage s = setup();
	uint8_t *p = map_anon(PAGES * PAGE);
	struct rc_buf buf = odp_reg(&s, p, PAGES * PAGE);
	struct ibv_pd *other = ibv_alloc_pd(s.dev->ctx);
	struct ibv_sge sge = rc_sge(&buf, 0, PAGES * PAGE), bad;
	size_t i;

	if (advise(&s, advices[0], IBV_ADVISE_MR_FLAG_FLUSH, sge) == EOPNOTSUPP)
		test_skip("no advise_mr");
	CHECK_EQ(madvise(p, PAGES * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(advise(&s, advices[2], IBV_ADVISE_MR_FLAG_FLUSH, sge), 0);
	CHECK_EQ(resident(p, PAGES), 0);
	CHECK_EQ(advise(&s, advices[1], IBV_ADVISE_MR_FLAG_FLUSH, sge), 0);
	CHECK_EQ(resident(p, PAGES), PAGES);
	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		CHECK_EQ(advise(&s, advices[i], 0, sge), 0);
		CHECK_EQ(advise(&s, advices[i], IBV_ADVISE_MR_FLAG_FLUSH, sge), 0);
		bad = rc_sge(&s.src, 0, PAGE);
		CHECK(advise(&s, advices[i], IBV_ADVISE_MR_FLAG_FLUSH, bad), "not ODP");
		bad = sge;
		bad.length++;
		CHECK(advise(&s, advices[i], IBV_ADVISE_MR_FLAG_FLUSH, bad), "past the end");
		bad = sge;
		bad.addr = -32ull;
		CHECK(advise(&s, advices[i], IBV_ADVISE_MR_FLAG_FLUSH, bad), "wraps");
		bad = sge;
		bad.lkey ^= 0x5a5a5a00;
		CHECK(advise(&s, advices[i], IBV_ADVISE_MR_FLAG_FLUSH, bad), "no key");
		CHECK(ibv_advise_mr(other, advices[i], IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1),
		      "another PD");
	}
	CHECK(advise(&s, 17, IBV_ADVISE_MR_FLAG_FLUSH, sge), "unknown advice");
	CHECK(advise(&s, advices[0], 1u << 9, sge), "unknown flag");
	/* A region is deregistered during an asynchronous prefetch. */
	for (i = 0; i < 50; i++) {
		CHECK_EQ(advise(&s, advices[i % 3], 0, sge), 0);
		CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
		CHECK_EQ(madvise(p, PAGES * PAGE, MADV_DONTNEED), 0);
		buf = odp_reg(&s, p, PAGES * PAGE);
		sge = rc_sge(&buf, 0, PAGES * PAGE);
	}
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	CHECK_EQ(ibv_dealloc_pd(other), 0);
	munmap(p, PAGES * PAGE);
	teardown(&s);
}

/* The number behind "name": in the first object that holds `where`; or -1. */
static long long json_number(const char *cmd, const char *where, const char *name)
{
	static char text[1 << 16];
	char key[64], *obj, *end, *at;
	size_t n;
	FILE *f;

	f = popen(cmd, "r");
	CHECK(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	pclose(f);
	snprintf(key, sizeof(key), "\"%s\":", name);
	for (obj = strchr(text, '{'); obj; obj = strchr(end, '{')) {
		end = strchr(obj, '}');
		if (!end)
			break;
		*end++ = 0;
		at = strstr(obj, where) ? strstr(obj, key) : NULL;
		if (at)
			return atoll(at + strlen(key));
	}
	return -1;
}

static long long link_counter(struct stage *s, const char *name)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rdma -j stat show link %s/1",
		 ibv_get_device_name(s->dev->ctx->device));
	return json_number(cmd, "ifname", name);
}

static long long mr_counter(long long mrn, const char *name)
{
	char cmd[128], where[64];

	snprintf(cmd, sizeof(cmd), "rdma -j stat show mr mrn %lld", mrn);
	snprintf(where, sizeof(where), "\"mrn\":%lld", mrn);
	return json_number(cmd, where, name);
}

static void odp_counters(void)
{
	static const char *const link_names[] = {
		"page_faults", "page_faults_handled", "page_invalidations",
		"page_invalidations_handled", "page_prefetch",
	};
	struct stage s = setup();
	size_t len = 37 * PAGE, i;	/* a length that no other region has */
	uint8_t *p = map_anon(len);
	struct rc_buf buf = odp_reg(&s, p, len);
	long long mrn, before[ARRAY_SIZE(link_names)], faults;
	char where[64];

	if (!rc_is_mirage(s.dev))
		test_skip("rxe keeps no such counters");
	snprintf(where, sizeof(where), "\"mrlen\":%zu", len);
	mrn = json_number("rdma -j resource show mr", where, "mrn");
	CHECK(mrn >= 0, "rdma resource does not show the region");
	for (i = 0; i < ARRAY_SIZE(link_names); i++) {
		before[i] = link_counter(&s, link_names[i]);
		CHECK(before[i] >= 0, "no %s in rdma stat show link", link_names[i]);
	}
	CHECK_EQ(mr_counter(mrn, "page_faults"), 0);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
	faults = mr_counter(mrn, "page_faults");
	CHECK(faults > 0);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
	CHECK_EQ(mr_counter(mrn, "page_faults"), faults);
	CHECK_EQ(madvise(p, len, MADV_DONTNEED), 0);
	CHECK(mr_counter(mrn, "page_invalidations") > 0);
	CHECK_EQ(advise(&s, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, IBV_ADVISE_MR_FLAG_FLUSH,
			rc_sge(&buf, 0, len)), 0);
	CHECK(mr_counter(mrn, "page_prefetch") > 0);
	faults = mr_counter(mrn, "page_faults");
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
	CHECK_EQ(mr_counter(mrn, "page_faults"), faults);
	for (i = 0; i < ARRAY_SIZE(link_names); i++)
		CHECK(link_counter(&s, link_names[i]) > before[i], "%s did not move",
		      link_names[i]);
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(p, len);
	teardown(&s);
}

#define TRACING	"/sys/kernel/tracing"

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0, "%s: %s", path, strerror(errno));
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void odp_tracepoints(void)
{
	static const char *const seen[] = {
		"fault_raise", "fault_service", "fault_commit", "fault_fail", "prefetch",
		"invalidate",
	};
	/* These two count only with two processes and luck; check that they exist. */
	static const char *const there[] = { "fault_coalesce", "fault_retry" };
	static char text[1 << 18];
	struct stage s = setup();
	uint8_t *p = map_anon(PAGES * PAGE);
	struct rc_buf buf = odp_reg(&s, p, PAGES * PAGE);
	char name[96];
	size_t n = 0, i;
	ssize_t got;
	int fd;

	if (!rc_is_mirage(s.dev))
		test_skip("rxe has no tracepoints");
	if (access(TRACING "/events", F_OK) && mount("tracefs", TRACING, "tracefs", 0, NULL))
		test_skip("no tracefs here");
	CHECK(!mkdir(TRACING "/instances/verbs_test", 0700) || errno == EEXIST);
	put(TRACING "/instances/verbs_test/events/mirage/enable", "1");
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGES * PAGE, IBV_WC_SUCCESS);
	CHECK_EQ(madvise(p, PAGES * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(advise(&s, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, IBV_ADVISE_MR_FLAG_FLUSH,
			rc_sge(&buf, 0, PAGE)), 0);
	CHECK_EQ(munmap(p, PAGE), 0);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 0, PAGE, IBV_WC_REM_ACCESS_ERR);
	put(TRACING "/instances/verbs_test/events/mirage/enable", "0");
	fd = open(TRACING "/instances/verbs_test/trace", O_RDONLY);
	CHECK(fd >= 0);
	while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += got;
	close(fd);
	rmdir(TRACING "/instances/verbs_test");
	for (i = 0; i < ARRAY_SIZE(seen); i++) {
		snprintf(name, sizeof(name), "mirage_odp_%s: ", seen[i]);
		CHECK(strstr(text, name), "no '%s' in the trace", name);
	}
	for (i = 0; i < ARRAY_SIZE(there); i++) {
		snprintf(name, sizeof(name), TRACING "/events/mirage/mirage_odp_%s", there[i]);
		CHECK_EQ(access(name, F_OK), 0);
	}
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(p, PAGES * PAGE);
	teardown(&s);
}

static void odp_hugetlb(void)
{
	size_t len = 2u << 20;
	struct stage s = setup();
	uint8_t *small = map_anon(len), *p;
	struct rc_buf buf;

	if (!rc_is_mirage(s.dev))
		test_skip("rxe has no hugetlb flag");
	if (access(HUGE_PAGES, F_OK))
		test_skip("this kernel has no huge pages");
	CHECK(!ibv_reg_mr(s.dev->pd, small, len, ODP_ALL | IBV_ACCESS_HUGETLB));
	CHECK(errno == EINVAL || errno == EFAULT, "(%s)", strerror(errno));
	put(HUGE_PAGES, "2");
	p = map(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	buf = (struct rc_buf){ .addr = p, .len = len };
	buf.mr = ibv_reg_mr(s.dev->pd, p, len, ODP_ALL | IBV_ACCESS_HUGETLB);
	CHECK(buf.mr, "(%s)", strerror(errno));
	rc_fill(s.src.addr, PAGES * PAGE, 5);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, 12345, PAGES * PAGE, IBV_WC_SUCCESS);
	rc_verify(p + 12345, PAGES * PAGE, 5, "huge page");
	CHECK_EQ(madvise(p, len, MADV_DONTNEED), 0);
	expect(&s, IBV_WR_RDMA_WRITE, &buf, len - PAGES * PAGE, PAGES * PAGE, IBV_WC_SUCCESS);
	rc_verify(p + len - PAGES * PAGE, PAGES * PAGE, 5, "huge page, mapped again");
	CHECK_EQ(p[0], 0);
	CHECK_EQ(ibv_dereg_mr(buf.mr), 0);
	munmap(p, len);
	munmap(small, len);
	put(HUGE_PAGES, "0");
	teardown(&s);
}

static const struct test_case cases[] = {
	{ "odp_registration_is_free", odp_registration_is_free, 0 },
	{ "odp_no_pin", odp_no_pin, 0 },
	{ "odp_read_only", odp_read_only, 0 },
	{ "odp_mprotect", odp_mprotect, 0 },
	{ "odp_hole", odp_hole, 0 },
	{ "odp_truncated_file", odp_truncated_file, 0 },
	{ "odp_implicit", odp_implicit, 0 },
	{ "odp_iova", odp_iova, 0 },
	{ "odp_fork", odp_fork, 0 },
	{ "odp_dirties", odp_dirties, 0 },
	{ "odp_advise", odp_advise, 0 },
	{ "odp_counters", odp_counters, 0 },
	{ "odp_tracepoints", odp_tracepoints, 0 },
	{ "odp_hugetlb", odp_hugetlb, 0 },
};

CASE_TABLE(odp_cases, cases);

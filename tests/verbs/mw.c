// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Memory windows: binding them, and what ends them. */
#include <errno.h>
#include <unistd.h>

#include "uffd.h"
#include "verbs_test.h"

#define MW_REGION	(RC_ACCESS_ALL | IBV_ACCESS_MW_BIND)

struct mw_stage {
	struct rc_dev *dev;
	struct ibv_mw *mw;
	struct rc_buf mem, src;
};

static struct mw_stage mw_setup(void)
{
	struct mw_stage s = { .dev = rc_open() };

	if (!(s.dev->attr.orig_attr.device_cap_flags & IBV_DEVICE_MEM_WINDOW_TYPE_2B))
		test_skip("no type 2 windows");
	s.mw = ibv_alloc_mw(s.dev->pd, IBV_MW_TYPE_2);
	CHECK(s.mw);
	s.mem = rc_buf(s.dev, PAGE, MW_REGION);
	s.src = rc_buf(s.dev, PAGE, RC_ACCESS_ALL);
	return s;
}

static void mw_teardown(struct mw_stage *s)
{
	CHECK_EQ(ibv_dealloc_mw(s->mw), 0);
	rc_buf_free(&s->mem);
	rc_buf_free(&s->src);
	rc_close(s->dev);
}

static uint32_t bind(struct mw_stage *s, struct rc_end *end, enum ibv_wc_status status)
{
	uint32_t rkey = ibv_inc_rkey(s->mw->rkey);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_BIND_MW,
		.send_flags = IBV_SEND_SIGNALED,
		.bind_mw = {
			.mw = s->mw,
			.rkey = rkey,
			.bind_info = {
				.mr = s->mem.mr,
				.addr = (uintptr_t)s->mem.addr,
				.length = PAGE,
				.mw_access_flags = IBV_ACCESS_REMOTE_WRITE,
			},
		},
	};

	rc_post(end, &wr);
	rc_wc_status(end->scq, status);
	if (status == IBV_WC_SUCCESS)
		s->mw->rkey = rkey;
	return rkey;
}

static void write_through(struct mw_stage *s, struct rc_end *end, uint32_t rkey,
			  enum ibv_wc_status status)
{
	struct ibv_sge sge = rc_sge(&s->src, 0, PAGE);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.rdma = { .remote_addr = (uintptr_t)s->mem.addr, .rkey = rkey },
	};

	rc_post(end, &wr);
	rc_wc_status(end->scq, status);
}

/* A type 2 window is unbound when its QP is destroyed, and can be bound again. */
static void mw_ends_with_qp(void)
{
	struct mw_stage s = mw_setup();
	struct rc_pair *p = rc_pair_create(s.dev, NULL);
	uint32_t rkey = bind(&s, &p->a, IBV_WC_SUCCESS), old = rkey;

	rc_fill(s.src.addr, PAGE, 1);
	write_through(&s, &p->b, rkey, IBV_WC_SUCCESS);
	rc_verify(s.mem.addr, PAGE, 1, "through the window");
	rc_pair_destroy(p);

	p = rc_pair_create(s.dev, NULL);
	rkey = bind(&s, &p->a, IBV_WC_SUCCESS);
	rc_fill(s.src.addr, PAGE, 2);
	write_through(&s, &p->b, rkey, IBV_WC_SUCCESS);
	rc_verify(s.mem.addr, PAGE, 2, "through the window, bound again");
	rc_fill(s.src.addr, PAGE, 3);
	write_through(&s, &p->b, old, IBV_WC_REM_ACCESS_ERR);
	rc_verify(s.mem.addr, PAGE, 2, "not by the old key");
	rc_pair_destroy(p);
	mw_teardown(&s);
}

/* While it is bound, another QP cannot bind it. */
static void mw_stays_with_qp(void)
{
	struct mw_stage s = mw_setup();
	struct rc_pair *p = rc_pair_create(s.dev, NULL), *q = rc_pair_create(s.dev, NULL);
	uint32_t rkey = bind(&s, &p->a, IBV_WC_SUCCESS);

	bind(&s, &q->a, IBV_WC_MW_BIND_ERR);
	rc_pair_destroy(q);
	rc_fill(s.src.addr, PAGE, 4);
	write_through(&s, &p->b, rkey, IBV_WC_SUCCESS);
	rc_verify(s.mem.addr, PAGE, 4, "another QP's end is not its own");
	rc_pair_destroy(p);
	mw_teardown(&s);
}

/*
 * A write through a window waits for a source page when the window is unbound. When the
 * page comes, its bytes must not be written any more.
 */
static void under_way(void (*end_it)(struct mw_stage *s, struct rc_end *end))
{
	struct mw_stage s = mw_setup();
	struct rc_pair *p = rc_pair_create(s.dev, NULL);
	struct rc_buf slow = rc_buf(s.dev, PAGE, RC_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	static uint8_t content[PAGE] __attribute__((aligned(PAGE)));
	struct ibv_sge sge = rc_sge(&slow, 0, PAGE);
	int uffd = uffd_open_for_hmm();
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.rdma.remote_addr = (uintptr_t)s.mem.addr,
	};

	uffd_watch(uffd, slow.addr, slow.len);
	wr.wr.rdma.rkey = bind(&s, &p->b, IBV_WC_SUCCESS);
	rc_post(&p->a, &wr);
	uffd_next(uffd);
	end_it(&s, &p->b);
	rc_fill(s.mem.addr, PAGE, 1);
	rc_fill(content, PAGE, 2);
	uffd_copy(uffd, slow.addr, content, PAGE);
	rc_wc_status(p->a.scq, IBV_WC_REM_ACCESS_ERR);
	rc_verify(s.mem.addr, PAGE, 1, "after the window's end");
	close(uffd);
	rc_pair_destroy(p);
	rc_buf_free(&slow);
	mw_teardown(&s);
}

static void invalidate(struct mw_stage *s, struct rc_end *end)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_LOCAL_INV,
		.send_flags = IBV_SEND_SIGNALED,
		.invalidate_rkey = s->mw->rkey,
	};

	rc_post(end, &wr);
	rc_wc_ok(end->scq);
}

static void deallocate(struct mw_stage *s, struct rc_end *end)
{
	CHECK_EQ(ibv_dealloc_mw(s->mw), 0);
	rc_wc_none(end->scq);
	s->mw = ibv_alloc_mw(s->dev->pd, IBV_MW_TYPE_2);
	CHECK(s->mw);
}

static void mw_invalidated_under_way(void)
{
	under_way(invalidate);
}

static void mw_deallocated_under_way(void)
{
	under_way(deallocate);
}

static const struct test_case cases[] = {
	{ "mw_invalidated_under_way", mw_invalidated_under_way, 0 },
	{ "mw_deallocated_under_way", mw_deallocated_under_way, 0 },
	{ "mw_ends_with_qp", mw_ends_with_qp, 0 },
	{ "mw_stays_with_qp", mw_stays_with_qp, 0 },
};

CASE_TABLE(mw_cases, cases);

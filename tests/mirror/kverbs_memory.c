// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory of kernel users: fast registrations, right and wrong, their invalidation, and
 * the bounds of what is registered with all of memory
 */
#include <linux/bottom_half.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/vmalloc.h>

#include "kverbs.h"

#define FAST_PAGES	4
#define FIRST		100		/* offset into the first page */
#define LAST		500		/* bytes of the last one */
#define RIGHTS		(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | \
			 IB_ACCESS_REMOTE_READ)

/* Pages of the buffer, in an order that no address has. */
static const unsigned int scattered[] = { 9, 2, 5 };

struct fast_test {
	struct kv_run *r;
	struct kv_pair p;
	struct ib_mr *mr;
	struct scatterlist sg[FAST_PAGES + 1];
	u32 len;
};

static bool fast_open(struct kv_run *r, struct fast_test *t)
{
	struct ib_mr *mr;

	*t = (struct fast_test) { .r = r };
	if (!kv_pair_open(r, &t->p, IB_POLL_DIRECT, false))
		return false;
	mr = ib_alloc_mr(t->p.b.pd, IB_MR_TYPE_MEM_REG, FAST_PAGES);
	if (KV_CHECK(r, !IS_ERR(mr))) {
		t->mr = mr;
		return true;
	}
	kv_pair_close(&t->p);
	return false;
}

static void fast_close(struct fast_test *t)
{
	ib_dereg_mr(t->mr);
	kv_pair_close(&t->p);
}

static void set_page_of(struct fast_test *t, int i, unsigned int page, u32 len, u32 off)
{
	sg_set_page(&t->sg[i], virt_to_page(t->p.b.buf + page * PAGE_SIZE), len, off);
	sg_dma_address(&t->sg[i]) = kv_addr(sg_virt(&t->sg[i]));
	sg_dma_len(&t->sg[i]) = len;
}

/* Three pages: the end of one, a whole one, the start of one. */
static bool fast_map(struct fast_test *t)
{
	sg_init_table(t->sg, 3);
	set_page_of(t, 0, scattered[0], PAGE_SIZE - FIRST, FIRST);
	set_page_of(t, 1, scattered[1], PAGE_SIZE, 0);
	set_page_of(t, 2, scattered[2], LAST, 0);
	t->len = 2 * PAGE_SIZE - FIRST + LAST;
	return KV_CHECK(t->r, ib_map_mr_sg(t->mr, t->sg, 3, NULL, PAGE_SIZE) == 3) &&
	       KV_CHECK(t->r, t->mr->length == t->len);
}

static int fast_post(struct fast_test *t, int access, u32 key)
{
	struct kv_op op;
	struct ib_reg_wr wr = {
		.wr.opcode = IB_WR_REG_MR, .wr.send_flags = IB_SEND_SIGNALED,
		.wr.wr_cqe = &op.cqe, .mr = t->mr, .key = key, .access = access,
	};
	int err;

	kv_op_init(&op);
	local_bh_disable();
	err = ib_post_send(t->p.b.qp, &wr.wr, NULL);
	local_bh_enable();
	if (err)
		return err;
	return kv_op_wait(&t->p.b, &op) ? op.wc.status : -1;
}

static int fast_reg(struct fast_test *t, int access)
{
	return fast_post(t, access, t->mr->rkey);
}

static int fast_inv(struct kv_end *e, u32 key)
{
	struct ib_send_wr wr = { .opcode = IB_WR_LOCAL_INV, .ex.invalidate_rkey = key };

	return kv_send(e, &wr);
}

static int fast_write(struct fast_test *t, u64 at, u32 len, u32 key)
{
	return kv_rdma(&t->p.a, IB_WR_RDMA_WRITE, kv_addr(t->p.a.buf), len, at, key);
}

/* What was written to the region is in the pages, and nothing is beside it. */
static bool fast_landed(const struct fast_test *t, u32 seed)
{
	const u8 *buf = t->p.b.buf, *first = buf + scattered[0] * PAGE_SIZE;
	const u8 *last = buf + scattered[2] * PAGE_SIZE;

	return kv_same(first + FIRST, PAGE_SIZE - FIRST, seed) &&
	       kv_same(buf + scattered[1] * PAGE_SIZE, PAGE_SIZE, seed + PAGE_SIZE - FIRST) &&
	       kv_same(last, LAST, seed + 2 * PAGE_SIZE - FIRST) &&
	       !memchr_inv(first, 0, FIRST) && !memchr_inv(last + LAST, 0, PAGE_SIZE - LAST) &&
	       !memchr_inv(buf, 0, scattered[1] * PAGE_SIZE);
}

static void fast_both_ways(struct fast_test *t)
{
	struct kv_run *r = t->r;
	u8 *buf = t->p.a.buf;

	if (!fast_map(t))
		return;
	/* Storage over RDMA gives a registration's address bits of its own. */
	t->mr->iova |= 0xabULL << 56;
	KV_CHECK(r, fast_reg(t, RIGHTS) == IB_WC_SUCCESS);
	kv_fill(buf, t->len, 7);
	KV_CHECK(r, fast_write(t, t->mr->iova, t->len, t->mr->rkey) == IB_WC_SUCCESS);
	KV_CHECK(r, fast_landed(t, 7));
	memset(buf, 0, KV_BUF);
	KV_CHECK(r, kv_rdma(&t->p.a, IB_WR_RDMA_READ, kv_addr(buf) + 1, t->len - 3,
			    t->mr->iova + 2, t->mr->rkey) == IB_WC_SUCCESS);
	KV_CHECK(r, kv_same(buf + 1, t->len - 3, 9));
	KV_CHECK(r, !buf[0] && !buf[t->len - 2]);
}

static void fast_reg_and_use(struct kv_run *r)
{
	struct fast_test t;

	if (!fast_open(r, &t))
		return;
	fast_both_ways(&t);
	fast_close(&t);
}

/* An offset into the first entry is the region's start. */
static void fast_offset(struct kv_run *r)
{
	unsigned int offset = 3 * FIRST;
	struct fast_test t;

	if (!fast_open(r, &t))
		return;
	sg_init_table(t.sg, 1);
	set_page_of(&t, 0, 3, PAGE_SIZE - FIRST, FIRST);
	KV_CHECK(r, ib_map_mr_sg(t.mr, t.sg, 1, &offset, PAGE_SIZE) == 1);
	KV_CHECK(r, t.mr->length == PAGE_SIZE - 4 * FIRST);
	KV_CHECK(r, fast_reg(&t, RIGHTS) == IB_WC_SUCCESS);
	kv_fill(t.p.a.buf, 64, 3);
	KV_CHECK(r, fast_write(&t, t.mr->iova, 64, t.mr->rkey) == IB_WC_SUCCESS);
	KV_CHECK(r, kv_same(t.p.b.buf + 3 * PAGE_SIZE + 4 * FIRST, 64, 3));
	KV_CHECK(r, !t.p.b.buf[3 * PAGE_SIZE + 4 * FIRST - 1]);
	fast_close(&t);
}

/* What cannot be mapped is told by how much could. */
static void fast_map_wrong(struct kv_run *r)
{
	struct fast_test t;
	int i;

	if (!fast_open(r, &t))
		return;
	KV_CHECK(r, fast_reg(&t, RIGHTS) == -EINVAL);
	sg_init_table(t.sg, FAST_PAGES + 1);
	for (i = 0; i <= FAST_PAGES; i++)
		set_page_of(&t, i, 2 * i, PAGE_SIZE, 0);
	KV_CHECK(r, ib_map_mr_sg(t.mr, t.sg, FAST_PAGES + 1, NULL, PAGE_SIZE) == FAST_PAGES);
	KV_CHECK(r, ib_map_mr_sg(t.mr, t.sg, 2, NULL, 2 * PAGE_SIZE) == -EINVAL);
	/* A hole in the middle. */
	set_page_of(&t, 1, 2, PAGE_SIZE - FIRST, FIRST);
	KV_CHECK(r, ib_map_mr_sg(t.mr, t.sg, 3, NULL, PAGE_SIZE) == 1);
	KV_CHECK(r, IS_ERR(ib_alloc_mr(t.p.b.pd, IB_MR_TYPE_MEM_REG, 1 << 20)));
	KV_CHECK(r, IS_ERR(ib_alloc_mr(t.p.b.pd, IB_MR_TYPE_SG_GAPS, FAST_PAGES)));
	/* The region is as good as before. */
	fast_both_ways(&t);
	fast_close(&t);
}

static void fast_reg_wrong(struct kv_run *r)
{
	struct fast_test t;

	if (!fast_open(r, &t))
		return;
	if (fast_map(&t)) {
		KV_CHECK(r, fast_reg(&t, IB_ACCESS_REMOTE_WRITE) == -EINVAL);
		KV_CHECK(r, fast_reg(&t, RIGHTS | BIT(30)) == -EOPNOTSUPP);
		KV_CHECK(r, fast_post(&t, RIGHTS, t.mr->rkey + 0x100) == -EINVAL);
	}
	fast_close(&t);
}

/* A region that is registered is invalidated first. */
static void fast_reg_twice(struct kv_run *r)
{
	struct fast_test t;

	if (!fast_open(r, &t))
		return;
	if (fast_map(&t)) {
		KV_CHECK(r, fast_reg(&t, RIGHTS) == IB_WC_SUCCESS);
		KV_CHECK(r, fast_reg(&t, RIGHTS) == IB_WC_MW_BIND_ERR);
	}
	fast_close(&t);
}

/* One case of a remote access that is refused; @spoil says what was done to it. */
static void refused(struct kv_run *r, int access, void (*spoil)(struct fast_test *t),
		    s64 shift)
{
	struct fast_test t;
	u32 key;

	if (!fast_open(r, &t))
		return;
	if (fast_map(&t)) {
		key = t.mr->rkey;
		KV_CHECK(r, fast_reg(&t, access) == IB_WC_SUCCESS);
		if (spoil)
			spoil(&t);
		kv_fill(t.p.a.buf, t.len, 1);
		KV_CHECK(r, fast_write(&t, t.mr->iova + shift, t.len, key) ==
			    IB_WC_REM_ACCESS_ERR);
		KV_CHECK(r, !memchr_inv(t.p.b.buf, 0, KV_BUF));
	}
	fast_close(&t);
}

static void invalidate(struct fast_test *t)
{
	KV_CHECK(t->r, fast_inv(&t->p.b, t->mr->rkey) == IB_WC_SUCCESS);
}

/* The same region with another key. */
static void renew(struct fast_test *t)
{
	invalidate(t);
	ib_update_fast_reg_key(t->mr, (t->mr->rkey + 1) & 0xff);
	KV_CHECK(t->r, fast_reg(t, RIGHTS) == IB_WC_SUCCESS);
}

static void fast_refused(struct kv_run *r)
{
	refused(r, IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_READ, NULL, 0);
	refused(r, RIGHTS, NULL, 1);
	refused(r, RIGHTS, NULL, -1);
	refused(r, RIGHTS, invalidate, 0);
	refused(r, RIGHTS, renew, 0);
}

static void fast_renewed(struct kv_run *r)
{
	struct fast_test t;
	int i;

	if (!fast_open(r, &t))
		return;
	if (fast_map(&t))
		KV_CHECK(r, fast_reg(&t, RIGHTS) == IB_WC_SUCCESS);
	for (i = 0; i < 100 && !r->line; i++) {
		renew(&t);
		kv_fill(t.p.a.buf, t.len, i);
		KV_CHECK(r, fast_write(&t, t.mr->iova, t.len, t.mr->rkey) == IB_WC_SUCCESS);
		KV_CHECK(r, fast_landed(&t, i));
	}
	fast_close(&t);
}

static void local_inv_wrong_key(struct kv_run *r, bool dma)
{
	struct fast_test t;

	if (!fast_open(r, &t))
		return;
	KV_CHECK(r, fast_inv(&t.p.b, dma ? t.p.b.pd->unsafe_global_rkey : 0x12345600) ==
		    IB_WC_MW_BIND_ERR);
	fast_close(&t);
}

static void local_inv_wrong(struct kv_run *r)
{
	local_inv_wrong_key(r, false);
	local_inv_wrong_key(r, true);
}

static int send_inv(struct fast_test *t, u32 key, struct kv_op *recv)
{
	struct ib_sge sge = {
		.addr = kv_addr(t->p.a.buf), .length = 32, .lkey = t->p.a.pd->local_dma_lkey,
	};
	struct ib_send_wr wr = {
		.opcode = IB_WR_SEND_WITH_INV, .sg_list = &sge, .num_sge = 1,
		.ex.invalidate_rkey = key,
	};

	if (!KV_CHECK(t->r, !kv_recv(&t->p.b, recv, kv_addr(t->p.b.buf), 64)))
		return -1;
	return kv_send(&t->p.a, &wr);
}

static void send_inv_right(struct kv_run *r)
{
	struct fast_test t;
	struct kv_op recv;

	if (!fast_open(r, &t))
		return;
	if (fast_map(&t) && KV_CHECK(r, fast_reg(&t, RIGHTS) == IB_WC_SUCCESS) &&
	    KV_CHECK(r, send_inv(&t, t.mr->rkey, &recv) == IB_WC_SUCCESS) &&
	    KV_CHECK(r, kv_op_wait(&t.p.b, &recv))) {
		KV_CHECK(r, recv.wc.status == IB_WC_SUCCESS && recv.wc.byte_len == 32);
		KV_CHECK(r, recv.wc.wc_flags & IB_WC_WITH_INVALIDATE);
		KV_CHECK(r, recv.wc.ex.invalidate_rkey == t.mr->rkey);
		KV_CHECK(r, fast_write(&t, t.mr->iova, 8, t.mr->rkey) == IB_WC_REM_ACCESS_ERR);
	}
	ib_drain_qp(t.p.b.qp);
	fast_close(&t);
}

/* Somebody else's key: the sender is told, and the region of all memory stays. */
static void send_inv_wrong(struct kv_run *r)
{
	struct fast_test t;
	struct kv_op recv;

	if (!fast_open(r, &t))
		return;
	KV_CHECK(r, send_inv(&t, t.p.b.pd->unsafe_global_rkey, &recv) == IB_WC_REM_ACCESS_ERR);
	ib_drain_qp(t.p.b.qp);
	KV_CHECK(r, recv.wc.status != IB_WC_SUCCESS);
	fast_close(&t);
}

/* Addresses that the direct map has not: of a process, vmalloc's, beyond all memory. */
static void dma_outside(struct kv_run *r, u64 addr)
{
	struct kv_pair p;

	if (!kv_pair_open(r, &p, IB_POLL_DIRECT, false))
		return;
	KV_CHECK(r, kv_rdma(&p.a, IB_WR_RDMA_WRITE, addr, 64, kv_addr(p.b.buf),
			    p.b.pd->unsafe_global_rkey) == IB_WC_LOC_PROT_ERR);
	KV_CHECK(r, !memchr_inv(p.b.buf, 0, KV_BUF));
	kv_pair_close(&p);

	if (!kv_pair_open(r, &p, IB_POLL_DIRECT, false))
		return;
	KV_CHECK(r, kv_rdma(&p.a, IB_WR_RDMA_WRITE, kv_addr(p.a.buf), 64, addr,
			    p.b.pd->unsafe_global_rkey) == IB_WC_REM_ACCESS_ERR);
	kv_pair_close(&p);
}

static void dma_bounds(struct kv_run *r)
{
	void *elsewhere = vzalloc(PAGE_SIZE);

	if (!KV_CHECK(r, elsewhere))
		return;
	dma_outside(r, PAGE_SIZE);
	dma_outside(r, kv_addr(elsewhere));
	dma_outside(r, U64_MAX - 32);
	KV_CHECK(r, !memchr_inv(elsewhere, 0, PAGE_SIZE));
	vfree(elsewhere);
}

const struct kv_case kv_memory_cases[] = {
	{ "fast_reg", fast_reg_and_use },
	{ "fast_offset", fast_offset },
	{ "fast_map_wrong", fast_map_wrong },
	{ "fast_reg_wrong", fast_reg_wrong },
	{ "fast_reg_twice", fast_reg_twice },
	{ "fast_refused", fast_refused },
	{ "fast_renewed", fast_renewed },
	{ "local_inv_wrong", local_inv_wrong },
	{ "send_inv", send_inv_right },
	{ "send_inv_wrong", send_inv_wrong },
	{ "dma_bounds", dma_bounds },
	{ }
};

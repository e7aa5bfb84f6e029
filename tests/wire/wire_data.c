// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * wire_data - random operations from one host to another, every byte compared
 *
 *	wire_data --server [--odp] ...		on one host
 *	wire_data --client ADDRESS [--odp] ...	on the other, with its own kind of memory
 *
 * The client plans a batch of operations, one to a slot of the two regions, tells the
 * server what to post receives for, and has the operations executed. It keeps a shadow
 * of both regions; after each batch the server's whole region comes over TCP and is
 * compared, and the client's own as well. Meanwhile a thread on either side drops and
 * pages out pages, contents kept: with --odp they are really gone from under the device.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "peer.h"

#define PAGE		4096ul
#define SLOTS		8
#define SLOT		(128ul << 10)
#define REGION		(SLOTS * SLOT)
#define GRH		40
#define UC_MOST		16384
#define DEFAULT_SECONDS	3

static const char *server;	/* NULL: this end is the server */
static int port = 18515;
static bool use_odp, use_ipv6, no_flush;
static int path_mtu;
static unsigned long rounds;	/* 0: for as long as --seconds says */

struct region {
	uint8_t *map, *base;
	struct ibv_mr *mr;
	int fd;
	pthread_t churn;
	bool stop;
	uint64_t random;
	unsigned long churned;
};

/* One operation, as the client tells it to the server; count 0 in head: the end. */
struct op {
	uint32_t opcode, len, local, remote;
	uint64_t compare_add, swap;
};

struct batch {
	uint32_t count;
	struct op op[SLOTS];
};

struct remote {
	uint64_t addr;
	uint32_t rkey;
};

struct session {
	struct rc_dev *dev;
	struct peer_end end;
	struct region mem;
	struct ibv_mr *grh;
	uint8_t under[SLOTS][GRH];	/* the bytes that the GRH has overwritten */
	struct remote to;
	int fd;
	uint8_t *here, *there, *got;	/* the client's shadows, and what the server sent */
	uint64_t random, bytes, ops;
};

static uint64_t below(struct session *s, uint64_t n)
{
	return rc_random(&s->random) % n;
}

static void *churn_loop(void *arg)
{
	static const int advices[] = { MADV_DONTNEED, MADV_DONTNEED, MADV_PAGEOUT };
	struct region *r = arg;
	size_t page, n;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		page = rc_random(&r->random) % (REGION / PAGE);
		n = 1 + rc_random(&r->random) % 16;
		if (n > REGION / PAGE - page)
			n = REGION / PAGE - page;
		r->churned += !madvise(r->map + page * PAGE, n * PAGE,
				       advices[rc_random(&r->random) % 3]);
		usleep(500);
	}
	return NULL;
}

/* A shared file, so that dropped pages keep their content. */
static void region_create(struct session *s, struct region *r, uint64_t seed)
{
	int access = RC_ACCESS_ALL | IBV_ACCESS_MW_BIND | (use_odp ? IBV_ACCESS_ON_DEMAND : 0) |
		     (peer_has_flush(s->dev) ? IBV_ACCESS_FLUSH_GLOBAL : 0);

	r->fd = memfd_create("wire_data", 0);
	CHECK_EQ(ftruncate(r->fd, REGION + PAGE), 0);
	r->map = mmap(NULL, REGION + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	CHECK(r->map != MAP_FAILED);
	/* Aligned for atomics, and for nothing else. */
	r->base = r->map + 8 * (seed % (PAGE / 8));
	rc_fill(r->base, REGION, seed);
	r->random = seed;
	r->mr = ibv_reg_mr(s->dev->pd, r->base, REGION, access);
	CHECK(r->mr, "(%s)", strerror(errno));
	CHECK_EQ(pthread_create(&r->churn, NULL, churn_loop, r), 0);
}

static void region_destroy(struct region *r)
{
	__atomic_store_n(&r->stop, true, __ATOMIC_RELAXED);
	pthread_join(r->churn, NULL);
	CHECK_EQ(ibv_dereg_mr(r->mr), 0);
	munmap(r->map, REGION + PAGE);
	close(r->fd);
}

static bool needs_recv(uint32_t opcode)
{
	return opcode == IBV_WR_SEND || opcode == IBV_WR_SEND_WITH_IMM ||
	       opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
}

static bool is_atomic(uint32_t opcode)
{
	return opcode == IBV_WR_ATOMIC_FETCH_AND_ADD || opcode == IBV_WR_ATOMIC_CMP_AND_SWP;
}

static void session_open(struct session *s, enum ibv_qp_type type, uint64_t send_ops)
{
	static uint8_t grh[GRH];
	enum ibv_mtu mtu;
	struct remote mine;

	s->fd = server ? peer_connect(server, port) : peer_accept(port);
	s->dev = rc_open();
	peer_pick_gid(s->dev, use_ipv6);
	mtu = s->dev->port.active_mtu;
	if (path_mtu && (int)mtu > path_mtu)
		mtu = path_mtu;
	s->end = peer_end_create(s->dev, type, s->fd, mtu, send_ops);
	region_create(s, &s->mem, test_options.seed * 2 + !server + 1);
	s->grh = ibv_reg_mr(s->dev->pd, grh, GRH, IBV_ACCESS_LOCAL_WRITE);
	CHECK(s->grh);
	mine = (struct remote){ .addr = (uintptr_t)s->mem.base, .rkey = s->mem.mr->rkey };
	peer_write(s->fd, &mine, sizeof(mine));
	peer_read(s->fd, &s->to, sizeof(s->to));
}

static void session_close(struct session *s)
{
	peer_end_destroy(&s->end);
	region_destroy(&s->mem);
	CHECK_EQ(ibv_dereg_mr(s->grh), 0);
	close(s->fd);
	rc_close(s->dev);
}

/* --- the server ------------------------------------------------------------- */

/* Half of the datagrams are received with their GRH in one SGE. */
static bool in_one_piece(const struct op *op, int id)
{
	return id % 2 && op->remote % SLOT >= GRH;
}

static void post_recv_one_piece(struct session *s, const struct op *op, int id)
{
	struct ibv_sge sg = {
		.addr = (uintptr_t)s->mem.base + op->remote - GRH, .length = GRH + op->len,
		.lkey = s->mem.mr->lkey,
	};
	struct ibv_recv_wr wr = { .wr_id = id, .sg_list = &sg, .num_sge = 1 }, *bad;

	memcpy(s->under[id], (void *)(uintptr_t)sg.addr, GRH);
	CHECK_EQ(ibv_post_recv(s->end.qp, &wr, &bad), 0);
}

static void post_recv(struct session *s, const struct op *op, int id)
{
	struct ibv_sge sg[2] = {
		{ .addr = (uintptr_t)s->grh->addr, .length = GRH, .lkey = s->grh->lkey },
		{ .addr = (uintptr_t)s->mem.base + op->remote, .length = op->len,
		  .lkey = s->mem.mr->lkey },
	};
	bool ud = s->end.type == IBV_QPT_UD, data = op->opcode != IBV_WR_RDMA_WRITE_WITH_IMM;
	struct ibv_recv_wr wr = { .wr_id = id, .sg_list = ud ? sg : sg + 1,
				  .num_sge = ud + data }, *bad;

	CHECK_EQ(ibv_post_recv(s->end.qp, &wr, &bad), 0);
}

static void check_grh(struct session *s, const struct ibv_wc *wc, const uint8_t *grh)
{
	const union ibv_gid *from = &s->end.other.gid, *to = &s->end.mine.gid;

	CHECK(wc->wc_flags & IBV_WC_GRH);
	CHECK_EQ(wc->src_qp, s->end.other.qpn);
	if (IN6_IS_ADDR_V4MAPPED((struct in6_addr *)to->raw)) {
		CHECK_EQ(grh[20], 0x45);
		CHECK(!memcmp(grh + 32, from->raw + 12, 4) && !memcmp(grh + 36, to->raw + 12, 4));
	} else {
		CHECK_EQ(grh[0] >> 4, 6);
		CHECK(!memcmp(grh + 8, from, 16) && !memcmp(grh + 24, to, 16));
	}
}

static void check_recv(struct session *s, const struct op *op, int id)
{
	struct ibv_wc wc = rc_wc_ok(s->end.rcq);
	bool ud = s->end.type == IBV_QPT_UD;

	CHECK_EQ(wc.wr_id, id);
	CHECK_EQ(wc.byte_len, op->len + (ud ? GRH : 0));
	if (ud && in_one_piece(op, id)) {
		check_grh(s, &wc, s->mem.base + op->remote - GRH);
		memcpy(s->mem.base + op->remote - GRH, s->under[id], GRH);
	} else if (ud) {
		/* One buffer for all of them: they come from one peer. */
		check_grh(s, &wc, s->grh->addr);
	}
	if (op->opcode != IBV_WR_SEND)
		CHECK_EQ(ntohl(wc.imm_data), id);
}

static void serve(struct session *s)
{
	struct batch b;
	char go = 'g';
	uint32_t i;

	for (;;) {
		peer_read(s->fd, &b, sizeof(b));
		if (!b.count)
			break;
		for (i = 0; i < b.count; i++)
			if (s->end.type == IBV_QPT_UD && in_one_piece(&b.op[i], i))
				post_recv_one_piece(s, &b.op[i], i);
			else if (needs_recv(b.op[i].opcode))
				post_recv(s, &b.op[i], i);
		peer_write(s->fd, &go, 1);
		peer_read(s->fd, &go, 1);
		for (i = 0; i < b.count; i++)
			if (needs_recv(b.op[i].opcode))
				check_recv(s, &b.op[i], i);
		peer_write(s->fd, s->mem.base, REGION);
	}
	peer_write(s->fd, &go, 1);
}

/* --- the client ------------------------------------------------------------- */

static uint32_t pick_opcode(struct session *s, bool last)
{
	static const uint32_t rc[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_SEND,
		IBV_WR_SEND_WITH_IMM, IBV_WR_RDMA_READ, IBV_WR_RDMA_READ,
		IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WR_ATOMIC_CMP_AND_SWP,
	};
	static const uint32_t uc[] = { IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_RDMA_WRITE,
				       IBV_WR_RDMA_WRITE_WITH_IMM };

	if (s->end.type == IBV_QPT_RC)
		return rc[below(s, ARRAY_SIZE(rc))];
	if (s->end.type == IBV_QPT_UD)
		return uc[below(s, 2)];
	/* A SEND ends the batch: when it arrives, the WRITEs before it have arrived. */
	return last ? IBV_WR_SEND : uc[below(s, ARRAY_SIZE(uc))];
}

static uint32_t pick_len(struct session *s, uint32_t most)
{
	uint32_t kinds[] = { 9, 512, 3 * PAGE, most + 1 };
	uint32_t len = below(s, kinds[below(s, ARRAY_SIZE(kinds))]);

	return len < most ? len : most;
}

static void plan(struct session *s, struct batch *b)
{
	uint32_t most = SLOT;
	struct op *op;
	uint32_t i;

	if (s->end.type == IBV_QPT_UD)
		most = 128u << s->dev->port.active_mtu;
	else if (s->end.type == IBV_QPT_UC)
		most = UC_MOST;
	b->count = 1 + below(s, SLOTS);
	for (i = 0; i < b->count; i++) {
		op = &b->op[i];
		op->opcode = pick_opcode(s, i == b->count - 1);
		op->len = is_atomic(op->opcode) ? 8 : pick_len(s, most);
		op->local = i * SLOT + below(s, SLOT - op->len + 1);
		op->remote = i * SLOT + below(s, SLOT - op->len + 1);
		if (is_atomic(op->opcode))
			op->remote &= ~7u;
		op->compare_add = rc_random(&s->random);
		op->swap = rc_random(&s->random);
		/* Half of the swaps find the value that they compare with. */
		if (op->opcode == IBV_WR_ATOMIC_CMP_AND_SWP && below(s, 2))
			memcpy(&op->compare_add, s->there + op->remote, 8);
	}
}

static void fill_sources(struct session *s, struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->count; i++) {
		rc_fill(s->mem.base + b->op[i].local, b->op[i].len, rc_random(&s->random));
		memcpy(s->here + b->op[i].local, s->mem.base + b->op[i].local, b->op[i].len);
	}
}

static void post(struct session *s, const struct op *op, int id)
{
	struct ibv_sge sg[3];
	struct ibv_send_wr wr = { .wr_id = id, .opcode = op->opcode, .sg_list = sg,
				  .send_flags = IBV_SEND_SIGNALED, .imm_data = htonl(id) }, *bad;
	uint32_t at = 0, n, pieces = 1 + below(s, 3), i;

	for (i = 0; i < pieces; i++) {
		n = i == pieces - 1 ? op->len - at : below(s, op->len - at + 1);
		sg[i] = (struct ibv_sge){ .addr = (uintptr_t)s->mem.base + op->local + at,
					  .length = n, .lkey = s->mem.mr->lkey };
		at += n;
	}
	wr.num_sge = pieces;
	if (s->end.type == IBV_QPT_UD) {
		wr.wr.ud.ah = s->end.ah;
		wr.wr.ud.remote_qpn = s->end.other.qpn;
		wr.wr.ud.remote_qkey = PEER_QKEY;
	} else if (is_atomic(op->opcode)) {
		wr.wr.atomic.remote_addr = s->to.addr + op->remote;
		wr.wr.atomic.rkey = s->to.rkey;
		wr.wr.atomic.compare_add = op->compare_add;
		wr.wr.atomic.swap = op->swap;
	} else {
		wr.wr.rdma.remote_addr = s->to.addr + op->remote;
		wr.wr.rdma.rkey = s->to.rkey;
	}
	CHECK_EQ(ibv_post_send(s->end.qp, &wr, &bad), 0);
}

/* Apply the operation to the shadows. */
static void shadow(struct session *s, const struct op *op)
{
	uint64_t old, new;

	if (is_atomic(op->opcode)) {
		memcpy(&old, s->there + op->remote, 8);
		if (op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD)
			new = old + op->compare_add;
		else
			new = old == op->compare_add ? op->swap : old;
		memcpy(s->there + op->remote, &new, 8);
		memcpy(s->here + op->local, &old, 8);
	} else if (op->opcode == IBV_WR_RDMA_READ) {
		memcpy(s->here + op->local, s->there + op->remote, op->len);
	} else {
		memcpy(s->there + op->remote, s->here + op->local, op->len);
	}
}

static void compare(struct session *s, const struct batch *b, const uint8_t *is,
		    const uint8_t *should, const char *whose)
{
	const struct op *op;
	size_t i;

	if (!memcmp(is, should, REGION))
		return;
	for (i = 0; is[i] == should[i]; i++)
		;
	op = &b->op[i / SLOT];
	test_fail("seed %llu, batch at operation %llu: byte %zu of the %s region is %02x, "
		  "expected %02x; opcode %u, %u bytes, local %u, remote %u",
		  (unsigned long long)test_options.seed, (unsigned long long)s->ops, i, whose,
		  is[i], should[i], op->opcode, op->len, op->local, op->remote);
}

static void one_batch(struct session *s)
{
	struct batch b = {};
	struct ibv_wc wc;
	char go = 'g';
	uint32_t i;

	plan(s, &b);
	fill_sources(s, &b);
	peer_write(s->fd, &b, sizeof(b));
	peer_read(s->fd, &go, 1);
	for (i = 0; i < b.count; i++)
		post(s, &b.op[i], i);
	for (i = 0; i < b.count; i++) {
		wc = rc_wc_ok(s->end.scq);
		CHECK_EQ(wc.wr_id, i);
		shadow(s, &b.op[i]);
		s->bytes += b.op[i].len;
	}
	peer_write(s->fd, &go, 1);
	peer_read(s->fd, s->got, REGION);
	compare(s, &b, s->got, s->there, "server's");
	compare(s, &b, s->mem.base, s->here, "client's");
	s->ops += b.count;
}

static void shadows_create(struct session *s)
{
	s->random = test_options.seed;
	s->here = malloc(REGION);
	s->there = malloc(REGION);
	s->got = malloc(REGION);
	memcpy(s->here, s->mem.base, REGION);
	rc_fill(s->there, REGION, test_options.seed * 2 + 2);
}

static void shadows_destroy(struct session *s)
{
	test_note("seed %llu: %llu operations, %llu bytes right, %lu times pages taken away here",
		  (unsigned long long)test_options.seed, (unsigned long long)s->ops,
		  (unsigned long long)s->bytes, s->mem.churned);
	free(s->here);
	free(s->there);
	free(s->got);
}

/* Is there another round after so many? */
static bool goes_on(unsigned long done, double since)
{
	if (rounds)
		return done < rounds;
	return test_now() < since + (test_options.seconds ?: DEFAULT_SECONDS);
}

static void drive(struct session *s)
{
	double since = test_now();
	struct batch end = {};
	unsigned long n = 0;
	char bye;

	shadows_create(s);
	do {
		one_batch(s);
	} while (goes_on(++n, since));
	peer_write(s->fd, &end, sizeof(end));
	peer_read(s->fd, &bye, 1);
	shadows_destroy(s);
}

/* --- what only ibv_wr_*() can say ------------------------------------------- */

#define EX_OPS	(IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_RDMA_WRITE | \
		 IBV_QP_EX_WITH_SEND_WITH_INV | IBV_QP_EX_WITH_SEND)
#define EX_NEW	(IBV_QP_EX_WITH_FLUSH | IBV_QP_EX_WITH_ATOMIC_WRITE)
#define EX_LEN	5000	/* some packets */

/* Does this kernel, and so the other side's, have the newer operations? */
static bool ex_open(struct session *s)
{
	struct rc_dev *dev = rc_open();
	bool new_ops = peer_has_flush(dev);

	rc_close(dev);
	session_open(s, IBV_QPT_RC, EX_OPS | (new_ops ? EX_NEW : 0));
	return new_ops;
}

/* A window over the region, bound anew for each round; the client invalidates it. */
static void ex_serve(struct session *s)
{
	struct ibv_qp_ex *qx = ibv_qp_to_qp_ex(s->end.qp);
	struct ibv_mw_bind_info info = {
		.mr = s->mem.mr, .addr = (uintptr_t)s->mem.base, .length = REGION,
		.mw_access_flags = IBV_ACCESS_REMOTE_WRITE,
	};
	struct ibv_mw *mw = ibv_alloc_mw(s->dev->pd, IBV_MW_TYPE_2);
	struct op nothing = { .opcode = IBV_WR_SEND };
	struct ibv_wc wc;
	uint32_t rkey;
	char more;

	CHECK(mw, "(%s)", strerror(errno));
	rkey = mw->rkey;
	for (peer_read(s->fd, &more, 1); more; peer_read(s->fd, &more, 1)) {
		rkey = ibv_inc_rkey(rkey);
		ibv_wr_start(qx);
		qx->wr_flags = IBV_SEND_SIGNALED;
		ibv_wr_bind_mw(qx, mw, rkey, &info);
		CHECK_EQ(ibv_wr_complete(qx), 0);
		rc_wc_ok(s->end.scq);
		/* The application keeps mw->rkey up to date, and rxe checks it. */
		mw->rkey = rkey;
		post_recv(s, &nothing, 0);
		peer_write(s->fd, &rkey, sizeof(rkey));
		wc = rc_wc_ok(s->end.rcq);
		/* rxe sets the flag of the kernel's enum, which has another value. */
		CHECK(wc.wc_flags & IBV_WC_WITH_INV || !rc_is_mirage(s->dev));
		CHECK_EQ(wc.invalidated_rkey, rkey);
		peer_write(s->fd, s->mem.base, REGION);
	}
	CHECK_EQ(ibv_dealloc_mw(mw), 0);
}

static void ex_round(struct session *s, bool new_ops)
{
	struct ibv_qp_ex *qx = ibv_qp_to_qp_ex(s->end.qp);
	size_t local = below(s, REGION - EX_LEN), remote = below(s, REGION - EX_LEN);
	size_t word = below(s, REGION / 8) * 8;
	uint64_t value = rc_random(&s->random);
	int i, n = 2 + new_ops + (new_ops && !no_flush);
	struct batch none = {};
	uint32_t window;
	char more = 1;

	peer_write(s->fd, &more, 1);
	peer_read(s->fd, &window, sizeof(window));
	ibv_wr_start(qx);
	qx->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_rdma_write(qx, window, s->to.addr + remote);
	ibv_wr_set_sge(qx, s->mem.mr->lkey, (uintptr_t)s->mem.base + local, EX_LEN);
	memcpy(s->there + remote, s->here + local, EX_LEN);
	if (new_ops) {
		ibv_wr_atomic_write(qx, s->to.rkey, s->to.addr + word, &value);
		memcpy(s->there + word, &value, 8);
	}
	if (new_ops && !no_flush)
		ibv_wr_flush(qx, s->to.rkey, s->to.addr + remote, EX_LEN, IBV_FLUSH_GLOBAL,
			     IBV_FLUSH_RANGE);
	ibv_wr_send_inv(qx, window);
	ibv_wr_set_sge_list(qx, 0, NULL);
	CHECK_EQ(ibv_wr_complete(qx), 0);
	for (i = 0; i < n; i++)
		rc_wc_ok(s->end.scq);
	peer_read(s->fd, s->got, REGION);
	compare(s, &none, s->got, s->there, "server's");
	s->ops += n;
	s->bytes += EX_LEN;
}

static void data_ex(void)
{
	double since = test_now();
	struct session s = {};
	bool new_ops = ex_open(&s);
	unsigned long n = 0;
	char more = 0;

	if (server) {
		shadows_create(&s);
		do {
			ex_round(&s, new_ops);
		} while (goes_on(++n, since));
		peer_write(s.fd, &more, 1);
		shadows_destroy(&s);
	} else {
		ex_serve(&s);
	}
	session_close(&s);
}

static void run_type(enum ibv_qp_type type)
{
	struct session s = {};

	session_open(&s, type, 0);
	if (server)
		drive(&s);
	else
		serve(&s);
	session_close(&s);
}

static void data_rc(void)
{
	run_type(IBV_QPT_RC);
}

static void data_uc(void)
{
	run_type(IBV_QPT_UC);
}

static void data_ud(void)
{
	run_type(IBV_QPT_UD);
}

static int take_option(int argc, char **argv)
{
	if (!strcmp(argv[0], "--server"))
		return 1;
	if (!strcmp(argv[0], "--odp"))
		return use_odp = true;
	if (!strcmp(argv[0], "--ipv6"))
		return use_ipv6 = true;
	if (!strcmp(argv[0], "--no-flush"))
		return no_flush = true;
	if (argc < 2)
		return 0;
	if (!strcmp(argv[0], "--client"))
		server = argv[1];
	else if (!strcmp(argv[0], "--port"))
		port = atoi(argv[1]);
	else if (!strcmp(argv[0], "--mtu"))
		path_mtu = atoi(argv[1]);
	else if (!strcmp(argv[0], "--rounds"))
		rounds = strtoul(argv[1], NULL, 0);
	else if (!strcmp(argv[0], "--gid"))
		peer_path.gid = argv[1];
	else if (!strcmp(argv[0], "--tclass"))
		peer_path.tclass = strtoul(argv[1], NULL, 0);
	else if (!strcmp(argv[0], "--flow-label"))
		peer_path.flow_label = strtoul(argv[1], NULL, 0);
	else
		return 0;
	return 2;
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{ "data_rc", data_rc, 0 },
		{ "data_uc", data_uc, 0 },
		{ "data_ud", data_ud, 0 },
		{ "data_ex", data_ex, 0 },
	};

	test_options_parse(argc, argv, take_option,
			   " --server | --client ADDRESS [--port N] [--odp] [--ipv6] [--gid GID] "
			   "[--mtu 1..5] [--tclass N] [--flow-label N] [--no-flush] [--rounds N]");
	test_run_timed(cases, ARRAY_SIZE(cases), 60 + 2 * test_options.seconds);
	return test_close();
}

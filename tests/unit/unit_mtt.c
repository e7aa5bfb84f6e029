// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mtt.c and mtt_copy.c: the translation table against a model of it
 *
 * The model is an array: for each page of a region the page of the arena that is
 * committed there, and with which rights.
 */
#include <pthread.h>

#include "kshim.h"
#include "mirror.h"
#include "mem/mtt.h"
#include "mem/mtt_chunk.h"
#include "unit_test.h"

/* The copies expect softirqs off, as a queue pair's lock has them. */
#define SOFTIRQS_OFF(type, call) ({		\
	type ret_;				\
						\
	local_bh_disable();			\
	ret_ = call;				\
	local_bh_enable();			\
	ret_;					\
})
#define off_copy(...)	SOFTIRQS_OFF(size_t, mirage_mtt_copy(__VA_ARGS__))
#define off_read(...)	SOFTIRQS_OFF(size_t, mirage_mtt_read(__VA_ARGS__))
#define off_write(...)	SOFTIRQS_OFF(size_t, mirage_mtt_write(__VA_ARGS__))
#define off_atomic(...)	SOFTIRQS_OFF(int, mirage_mtt_atomic(__VA_ARGS__))
#define off_zap(...)	SOFTIRQS_OFF(u64, mirage_mtt_zap(__VA_ARGS__))
#define off_zap_page(...)	SOFTIRQS_OFF(u64, zap_page(__VA_ARGS__))

/* As odp.c does: the short path first, where it is enough. */
static u64 zap_page(struct mirage_mtt *mtt, u64 iova)
{
	struct mirage_mtt_chunk *chunk = mtt_find_addr(mtt, iova);

	return chunk && mirage_mtt_zap_page(chunk, iova) ? 1 : mirage_mtt_zap(mtt, iova, iova);
}

#define MODEL_PAGES	1600	/* more than three chunks */
#define CHUNK_BYTES	(1ull << MTT_CHUNK_SHIFT)
#define REFUSED		64	/* commits in as many chunks */

struct model {
	struct mirage_mtt mtt;
	u64 first;		/* iova of page 0's first byte */
	u64 start, len;		/* the region: anywhere in its first and last page */
	int page[MODEL_PAGES];	/* of the arena, or -1 */
	bool write[MODEL_PAGES];
	u64 random;
};

static unsigned long pfn_of(unsigned int page, bool write, unsigned int order)
{
	return (UNIT_FIRST_PFN + page) << MIRROR_PFN_SHIFT | MIRROR_PFN_VALID |
	       (write ? MIRROR_PFN_WRITE : 0) |
	       (unsigned long)order << MIRROR_PFN_ORDER_SHIFT;
}

static void model_init(struct model *m, u64 first, u64 seed)
{
	int i;

	memset(m, 0, sizeof(*m));
	m->random = seed;
	m->first = first;
	m->start = first + unit_random(&m->random) % PAGE_SIZE;
	m->len = (u64)MODEL_PAGES * PAGE_SIZE - (m->start - first) -
		 unit_random(&m->random) % PAGE_SIZE;
	for (i = 0; i < MODEL_PAGES; i++)
		m->page[i] = -1;
	mirage_mtt_init(&m->mtt, m->start, m->start + m->len - 1, false);
}

static void model_end(struct model *m)
{
	mirage_mtt_kill(&m->mtt);
	unit_rcu_barrier();
	mirage_mtt_destroy(&m->mtt);
	CHECK(!__lsan_do_recoverable_leak_check(), "a chunk or a node is left");
}

static u64 below(struct model *m, u64 n)
{
	return unit_random(&m->random) % n;
}

/* The arena page that the model has at an iova, or -1. */
static int seen(struct model *m, u64 iova, bool write)
{
	u64 page = (iova - m->first) / PAGE_SIZE;

	return write && !m->write[page] ? -1 : m->page[page];
}

static void random_commit(struct model *m)
{
	unsigned long pfns[64];
	u64 page = below(m, MODEL_PAGES), iova = m->first + page * PAGE_SIZE;
	u64 n = 1 + below(m, 64), left = mirage_mtt_chunk_left(iova) / PAGE_SIZE, i;
	int arena, err;
	bool write;

	if (n > left)
		n = left;
	if (n > MODEL_PAGES - page)
		n = MODEL_PAGES - page;
	for (i = 0; i < n; i++) {
		arena = below(m, UNIT_PAGES);
		write = below(m, 2);
		pfns[i] = below(m, 8) ? pfn_of(arena, write, 0) : 0;
		if (!pfns[i])
			continue;
		m->page[page + i] = arena;
		m->write[page + i] = write;
	}
	err = mirage_mtt_commit(&m->mtt, iova, n, pfns, NULL, NULL);
	CHECK_EQ(err, 0);
}

static void random_zap(struct model *m)
{
	u64 a = below(m, MODEL_PAGES * PAGE_SIZE), p;
	u64 n = 1 + below(m, below(m, 2) ? PAGE_SIZE : 200 * PAGE_SIZE);
	u64 last = a + n - 1, gone = 0;

	if (last >= MODEL_PAGES * PAGE_SIZE)
		last = MODEL_PAGES * PAGE_SIZE - 1;
	for (p = a / PAGE_SIZE; p <= last / PAGE_SIZE; p++) {
		gone += m->page[p] >= 0;
		m->page[p] = -1;
		m->write[p] = false;
	}
	if (a / PAGE_SIZE == last / PAGE_SIZE)
		CHECK_EQ(off_zap_page(&m->mtt, m->first + a), gone);
	else
		CHECK_EQ(off_zap(&m->mtt, m->first + a, m->first + last), gone);
}

/* How far a move may go before the model has no page for it. */
static size_t run_of(struct model *m, u64 iova, size_t len, bool write)
{
	size_t n = 0, step;

	while (n < len) {
		if (seen(m, iova + n, write) < 0)
			break;
		step = PAGE_SIZE - offset_in_page(iova + n);
		n += step < len - n ? step : len - n;
	}
	return n;
}

static void random_range(struct model *m, u64 *iova, size_t *len)
{
	*iova = m->start + below(m, m->len);
	*len = 1 + below(m, 5 * PAGE_SIZE);
	if (*len > m->start + m->len - *iova)
		*len = m->start + m->len - *iova;
}

static u8 *byte_at(struct model *m, u64 iova)
{
	return unit_arena + (size_t)seen(m, iova, false) * PAGE_SIZE + offset_in_page(iova);
}

static void random_move(struct model *m)
{
	static u8 buf[8 * 4096];
	size_t len, want, i;
	u64 iova;

	random_range(m, &iova, &len);
	want = run_of(m, iova, len, false);
	CHECK_EQ(off_read(&m->mtt, iova, buf, len), want);
	for (i = 0; i < want; i++)
		CHECK_EQ(buf[i], *byte_at(m, iova + i));
	random_range(m, &iova, &len);
	for (i = 0; i < len; i++)
		buf[i] = unit_random(&m->random);
	want = run_of(m, iova, len, true);
	CHECK_EQ(off_write(&m->mtt, iova, buf, len), want);
	/* Two pages of the region may be one of the arena: the later bytes win. */
	for (i = want > PAGE_SIZE ? want - PAGE_SIZE : 0; i < want; i++)
		CHECK_EQ(buf[i], *byte_at(m, iova + i));
	CHECK_EQ(mirage_mtt_present(&m->mtt, iova, len, true), want == len);
	CHECK_EQ(mirage_mtt_present(&m->mtt, iova, len, false), run_of(m, iova, len, false) == len);
}

/* Pieces with gaps between them, which must not change. */
static void random_rows(struct model *m)
{
	static u8 buf[8 * 4096];
	void *at[sizeof(buf) / 272];
	const struct mirage_mtt_rows rows = { .at = at, .shift = 8 };
	size_t len, want, i, off = below(m, 700), end;
	u64 iova;

	for (i = 0; i < sizeof(buf) / 272; i++)
		at[i] = buf + 3 + i * 272;
	random_range(m, &iova, &len);
	end = 3 + (off + len) / 256 * 272 + (off + len) % 256;
	memset(buf, 0x5a, sizeof(buf));
	want = run_of(m, iova, len, false);
	CHECK_EQ(SOFTIRQS_OFF(size_t, mirage_mtt_move_rows(&m->mtt, iova, &rows, off, len, false)),
		 want);
	for (i = 0; i < want; i++)
		CHECK_EQ(buf[3 + (off + i) / 256 * 272 + (off + i) % 256],
			 *byte_at(m, iova + i));
	for (i = 0; i + 3 < end; i++)
		if (i % 272 >= 256)
			CHECK_EQ(buf[3 + i], 0x5a);

	random_range(m, &iova, &len);
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = unit_random(&m->random);
	want = run_of(m, iova, len, true);
	CHECK_EQ(SOFTIRQS_OFF(size_t, mirage_mtt_move_rows(&m->mtt, iova, &rows, off, len, true)),
		 want);
	/* As in random_move(), a page may appear twice. */
	for (i = want > PAGE_SIZE ? want - PAGE_SIZE : 0; i < want; i++)
		CHECK_EQ(buf[3 + (off + i) / 256 * 272 + (off + i) % 256],
			 *byte_at(m, iova + i));
}

static void random_copy(struct model *m)
{
	size_t slen, dlen, len, want_src, want_dst;
	enum mirage_mtt_miss miss;
	u64 from, to;

	random_range(m, &from, &slen);
	random_range(m, &to, &dlen);
	len = slen < dlen ? slen : dlen;
	want_src = run_of(m, from, len, false);
	want_dst = run_of(m, to, len, true);
	CHECK_EQ(off_copy(&m->mtt, to, &m->mtt, from, len, &miss),
		 want_src < want_dst ? want_src : want_dst);
	if (want_src == len && want_dst == len)
		CHECK_EQ(miss, MTT_MISS_NONE);
	else if (want_src != want_dst)
		CHECK_EQ(miss, want_src < want_dst ? MTT_MISS_SRC : MTT_MISS_DST);
}

static void random_atomic(struct model *m)
{
	u64 iova = (m->start + 7 + below(m, m->len - 16)) & ~7ull, old, value;
	int want = seen(m, iova, true) < 0 ? -EAGAIN : 0;

	if (!want)
		memcpy(&value, byte_at(m, iova), 8);
	CHECK_EQ(off_atomic(&m->mtt, iova, OP_FETCH_ADD, 5, 0, &old), want);
	CHECK_EQ(off_atomic(&m->mtt, iova + 1, OP_FETCH_ADD, 5, 0, &old), -EINVAL);
	if (want)
		return;
	CHECK_EQ(off_atomic(&m->mtt, iova, OP_CMP_SWAP, value + 5, 9, &old), 0);
	CHECK_EQ(old, value + 5);
	memcpy(&value, byte_at(m, iova), 8);
	CHECK_EQ(value, 9);
}

static void against_model(u64 first)
{
	static struct model m;
	unsigned int i, seed;

	for (seed = 0; seed < 4; seed++) {
		model_init(&m, first, seed);
		for (i = 0; i < 3000; i++) {
			random_commit(&m);
			random_move(&m);
			random_rows(&m);
			random_copy(&m);
			random_atomic(&m);
			if (i % 3 == 0)
				random_zap(&m);
			if (i % 64 == 0)
				unit_rcu_barrier();
		}
		model_end(&m);
	}
}

static void mtt__model(void)
{
	against_model(0x7f0012345000);
}

/* The last pages below 2^64, and the first ones. */
static void mtt__model_at_the_end(void)
{
	against_model(-(u64)MODEL_PAGES * PAGE_SIZE);
}

static void mtt__model_at_zero(void)
{
	against_model(0);
}

/* A table of the whole address space is sparse, and is killed fast. */
static void mtt__implicit(void)
{
	unsigned long pfn = pfn_of(3, true, 0);
	struct mirage_mtt mtt;
	u64 iova, random = 1;
	u8 c = 5;
	int i;

	mirage_mtt_init(&mtt, 0, (1ull << 47) - 1, false);
	for (i = 0; i < 300; i++) {
		iova = unit_random(&random) & ((1ull << 47) - 1) & PAGE_MASK;
		CHECK_EQ(mirage_mtt_commit(&mtt, iova, 1, &pfn, NULL, NULL), 0);
		CHECK_EQ(off_write(&mtt, iova + 5, &c, 1), 1);
		CHECK_EQ(off_zap(&mtt, iova ^ (1ull << 46), (iova ^ (1ull << 46)) + 1), 0);
	}
	CHECK_EQ(off_zap(&mtt, 0, UINT64_MAX), 300);
	CHECK_EQ(off_write(&mtt, iova, &c, 1), 0);
	mirage_mtt_kill(&mtt);
	unit_rcu_barrier();
	mirage_mtt_destroy(&mtt);
	CHECK(!__lsan_do_recoverable_leak_check());
}

/* One page in each of some chunks of a region. */
struct sparse {
	struct mirage_mtt mtt;
	u64 first;		/* iova of chunk 0 */
	u64 chunks;
	u64 at[64];		/* numbers of the chunks */
	bool there[64];
	unsigned int n;
	u64 random;
};

static u64 sparse_iova(const struct sparse *s, unsigned int i)
{
	return s->first + s->at[i] * MTT_CHUNK_SIZE + (8 + s->at[i] % 500) * PAGE_SIZE;
}

static void sparse_add(struct sparse *s, u64 chunk)
{
	unsigned int i;

	if (chunk >= s->chunks || s->n == ARRAY_SIZE(s->at))
		return;
	for (i = 0; i < s->n; i++)
		if (s->at[i] == chunk)
			return;
	s->at[s->n++] = chunk;
}

/* First and last, around every size a node may have, and anywhere. */
static void sparse_init(struct sparse *s, u64 first, u64 chunks)
{
	static const u64 edge[] = {
		1, 64, 512, 2048, 64 * 512, 512 * 512, 2048 * 512,
	};
	unsigned int i;

	memset(s, 0, sizeof(*s));
	s->first = first;
	s->chunks = chunks;
	mirage_mtt_init(&s->mtt, first + 5 * PAGE_SIZE,
			first + chunks * MTT_CHUNK_SIZE - 1 - 3 * PAGE_SIZE, false);
	sparse_add(s, 0);
	for (i = 0; i < ARRAY_SIZE(edge); i++) {
		sparse_add(s, edge[i] - 1);
		sparse_add(s, edge[i]);
		sparse_add(s, chunks - edge[i]);
		sparse_add(s, chunks - edge[i] - 1);
	}
	for (i = 0; i < ARRAY_SIZE(s->at); i++)
		sparse_add(s, unit_random(&s->random) % chunks);
}

static void sparse_commit(struct sparse *s)
{
	unsigned long pfn;
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		pfn = pfn_of(i, true, 0);
		CHECK_EQ(mirage_mtt_commit(&s->mtt, sparse_iova(s, i), 1, &pfn, NULL, NULL), 0);
		s->there[i] = true;
	}
}

static void sparse_check(struct sparse *s)
{
	unsigned int i;
	u8 c;

	for (i = 0; i < s->n; i++) {
		unit_arena[i * PAGE_SIZE + 7] = i + 1;
		CHECK_EQ(off_read(&s->mtt, sparse_iova(s, i) + 7, &c, 1), s->there[i]);
		if (s->there[i])
			CHECK_EQ(c, i + 1);
		CHECK(!mirage_mtt_present(&s->mtt, sparse_iova(s, i) - PAGE_SIZE, 1, false));
	}
}

/* Every other range ends at a chunk that is present, seen from either side. */
static void sparse_zap(struct sparse *s)
{
	u64 from = unit_random(&s->random) % s->chunks, to, gone = 0, first, last;
	unsigned int i = unit_random(&s->random) % s->n;

	to = from + unit_random(&s->random) % (s->chunks - from);
	first = s->first + from * MTT_CHUNK_SIZE;
	last = s->first + to * MTT_CHUNK_SIZE + MTT_CHUNK_SIZE - 1;
	if (from < s->at[i] && unit_random(&s->random) % 2)
		last = sparse_iova(s, i) - unit_random(&s->random) % 2;
	else if (to > s->at[i] && unit_random(&s->random) % 2)
		first = sparse_iova(s, i) + unit_random(&s->random) % 2 * PAGE_SIZE;
	for (i = 0; i < s->n; i++) {
		if (!s->there[i] || sparse_iova(s, i) + PAGE_SIZE <= first ||
		    sparse_iova(s, i) > last)
			continue;
		s->there[i] = false;
		gone++;
	}
	CHECK_EQ(off_zap(&s->mtt, first, last), gone);
}

static void sparse_region(u64 first, u64 chunks)
{
	static struct sparse s;
	unsigned long pfn = pfn_of(0, true, 0);
	unsigned int i, round;

	sparse_init(&s, first, chunks);
	CHECK_EQ(off_zap(&s.mtt, 0, UINT64_MAX), 0);
	for (round = 0; round < 20; round++) {
		sparse_commit(&s);
		sparse_check(&s);
		for (i = 0; i < 5; i++) {
			sparse_zap(&s);
			sparse_check(&s);
		}
		unit_rcu_barrier();
	}
	sparse_commit(&s);
	mirage_mtt_kill(&s.mtt);
	memset(s.there, false, sizeof(s.there));
	sparse_check(&s);
	CHECK_EQ(off_zap(&s.mtt, 0, UINT64_MAX), 0);
	CHECK_EQ(mirage_mtt_commit(&s.mtt, sparse_iova(&s, 0), 1, &pfn, NULL, NULL), -ESRCH);
	unit_rcu_barrier();
	mirage_mtt_destroy(&s.mtt);
	unit_rcu_barrier();
	/* Memory that only a dead table points to counts as leaked. */
	memset(&s.mtt, 0, sizeof(s.mtt));
	CHECK(!__lsan_do_recoverable_leak_check(), "%llu chunks",
	      (unsigned long long)chunks);
}

/* Regions of every size at which the tree changes its shape, up to 47 bits. */
static void mtt__sparse(void)
{
	static const u64 chunks[] = {
		1, 64, 512, 2048, 64 * 512, 512 * 512, 1024 * 512, 2048 * 512,
		2048ull * 512 * 512, 1ull << 26,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(chunks); i++) {
		if (chunks[i] > 1)
			sparse_region(0x7f0000000000, chunks[i] - 1);
		sparse_region(0, chunks[i]);
		sparse_region(0x7f0012200000, chunks[i] + 1);
	}
}

/* The first page of a region costs the same memory whatever the region's size. */
static void mtt__nodes(void)
{
	static const struct {
		u64 chunks;
		unsigned int nodes;
	} shape[] = {
		{ 1, 0 }, { 2, 1 }, { 512, 1 }, { 2048, 1 }, { 2049, 2 },
		{ 1 << 19, 2 }, { (1 << 19) + 1, 2 }, { 1 << 26, 3 },
	};
	unsigned long pfn = pfn_of(3, true, 0);
	struct mirage_mtt mtt;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shape); i++) {
		unit_alloc_fails = 100;
		mirage_mtt_init(&mtt, 0, shape[i].chunks * MTT_CHUNK_SIZE - 1, false);
		CHECK_EQ(unit_alloc_fails, 100);
		CHECK_EQ(mirage_mtt_commit(&mtt, mtt.last & PAGE_MASK, 1, &pfn, NULL, NULL), 0);
		/* Plus the chunk and its entries. */
		CHECK_EQ(100 - unit_alloc_fails, shape[i].nodes + 2);
		unit_alloc_fails = 0;
		mirage_mtt_kill(&mtt);
		mirage_mtt_destroy(&mtt);
		unit_rcu_barrier();
		memset(&mtt, 0, sizeof(mtt));
	}
	CHECK(!__lsan_do_recoverable_leak_check());
}

/* 2 MiB at once, then split by a page, then whole again. */
static void mtt__huge(void)
{
	unsigned long huge, small = pfn_of(1800, true, 0);
	u64 base = 64ull << 21, iova;
	struct mirage_mtt mtt;
	u8 c;

	mirage_mtt_init(&mtt, base, base + 2 * MTT_CHUNK_SIZE - 1, false);
	memset(unit_arena, 1, 512 * PAGE_SIZE);
	memset(unit_arena + 1800 * PAGE_SIZE, 2, PAGE_SIZE);
	/* Named by a page in its middle. */
	huge = pfn_of(100, true, 9);
	CHECK_EQ(mirage_mtt_commit(&mtt, base + 100 * PAGE_SIZE, 1, &huge, NULL, NULL), 0);
	CHECK(mirage_mtt_present(&mtt, base, MTT_CHUNK_SIZE, true));
	CHECK_EQ(off_zap_page(&mtt, base + 5), MTT_CHUNK_PAGES);
	CHECK(!mirage_mtt_present(&mtt, base + PAGE_SIZE, 1, false));
	CHECK_EQ(mirage_mtt_commit(&mtt, base + 100 * PAGE_SIZE, 1, &huge, NULL, NULL), 0);
	iova = base + 7 * PAGE_SIZE;
	CHECK_EQ(mirage_mtt_commit(&mtt, iova, 1, &small, NULL, NULL), 0);
	CHECK_EQ(off_read(&mtt, iova, &c, 1), 1);
	CHECK_EQ(c, 2);
	CHECK_EQ(mirage_mtt_commit(&mtt, base + 100 * PAGE_SIZE, 1, &huge, NULL, NULL), 0);
	CHECK_EQ(off_read(&mtt, iova, &c, 1), 1);
	CHECK_EQ(c, 1);
	/* A huge page that is not aligned to the chunk is entered page by page. */
	huge = pfn_of(100, true, 9);
	CHECK_EQ(mirage_mtt_commit(&mtt, base + MTT_CHUNK_SIZE, 1, &huge, NULL, NULL), 0);
	CHECK(!mirage_mtt_present(&mtt, base + MTT_CHUNK_SIZE, 2 * PAGE_SIZE, false));
	mirage_mtt_kill(&mtt);
	unit_rcu_barrier();
	mirage_mtt_destroy(&mtt);
	CHECK(!__lsan_do_recoverable_leak_check());
}

static bool say_no(void *arg)
{
	(*(int *)arg)++;
	return false;
}

static void mtt__refused_commits(void)
{
	unsigned long pfn = pfn_of(3, true, 0);
	struct mirage_mtt mtt;
	int asked = 0;
	unsigned int n;

	mirage_mtt_init(&mtt, 0x1000, 0x7fff, false);
	CHECK_EQ(mirage_mtt_commit(&mtt, 0x2000, 1, &pfn, say_no, &asked), -EBUSY);
	CHECK_EQ(asked, 1);
	CHECK(!mirage_mtt_present(&mtt, 0x2000, 1, false));
	mirage_mtt_kill(&mtt);
	CHECK_EQ(mirage_mtt_commit(&mtt, 0x2000, 1, &pfn, NULL, NULL), -ESRCH);
	unit_rcu_barrier();
	mirage_mtt_destroy(&mtt);
	/* Chunks that were allocated for nothing are freed. */
	mirage_mtt_init(&mtt, 0, REFUSED * CHUNK_BYTES - 1, false);
	for (n = 0; n < REFUSED; n++)
		CHECK_EQ(mirage_mtt_commit(&mtt, n * CHUNK_BYTES, 1, &pfn, say_no, &asked), -EBUSY);
	for (asked = 0, n = 0; n < REFUSED; n++)
		asked += !!mtt_find_addr(&mtt, n * CHUNK_BYTES);
	CHECK(asked <= 1);
	mirage_mtt_kill(&mtt);
	unit_rcu_barrier();
	mirage_mtt_destroy(&mtt);
	/* Each allocation fails in turn. */
	for (n = 1; n < 10; n++) {
		mirage_mtt_init(&mtt, 0, (1ull << 40) - 1, false);
		unit_alloc_fails = n;
		asked = mirage_mtt_commit(&mtt, 0x1234567000, 1, &pfn, NULL, NULL);
		CHECK(asked == 0 || asked == -ENOMEM || asked == -ESRCH);
		unit_alloc_fails = 0;
		mirage_mtt_kill(&mtt);
		unit_rcu_barrier();
		mirage_mtt_destroy(&mtt);
	}
	CHECK(!__lsan_do_recoverable_leak_check());
}

/* The first write through an entry, and only a write, marks the page dirty. */
static void mtt__dirty(void)
{
	unsigned long pfn = pfn_of(9, true, 0);
	struct mirage_mtt mtt;
	u8 c = 1;

	unit_pages[9].anon = true;
	mirage_mtt_init(&mtt, 0, 0xffff, false);
	CHECK_EQ(mirage_mtt_commit(&mtt, 0x3000, 1, &pfn, NULL, NULL), 0);
	CHECK_EQ(off_read(&mtt, 0x3000, &c, 1), 1);
	CHECK(!unit_pages[9].dirty);
	CHECK_EQ(off_write(&mtt, 0x3000, &c, 1), 1);
	CHECK(unit_pages[9].dirty);
	mirage_mtt_kill(&mtt);
	unit_rcu_barrier();
	mirage_mtt_destroy(&mtt);
}

static struct model shared;
static bool stop;

static void *mover(void *arg)
{
	static __thread u8 buf[8192];
	u64 random = (uintptr_t)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		off_read(&shared.mtt, shared.start + unit_random(&random) % (shared.len - 8192),
			 buf, 8192);
		off_write(&shared.mtt, shared.start + unit_random(&random) %
			  (shared.len - 8192), buf, 1 + unit_random(&random) % 8192);
	}
	return NULL;
}

/* Chunks are added, removed and freed while two threads move bytes. */
static void mtt__threads(void)
{
	pthread_t thread[2];
	int i;

	model_init(&shared, 0x7f0012345000, 3);
	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, mover, (void *)(uintptr_t)(i + 1));
	for (i = 0; i < 20000; i++) {
		random_commit(&shared);
		random_zap(&shared);
		if (i % 16 == 0)
			unit_rcu_barrier();
	}
	mirage_mtt_kill(&shared.mtt);
	unit_rcu_barrier();
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	mirage_mtt_destroy(&shared.mtt);
}

const struct test_case mtt_cases[] = {
	{ "mtt__model", mtt__model, 0 },
	{ "mtt__model_at_the_end", mtt__model_at_the_end, 0 },
	{ "mtt__model_at_zero", mtt__model_at_zero, 0 },
	{ "mtt__implicit", mtt__implicit, 0 },
	{ "mtt__sparse", mtt__sparse, 0 },
	{ "mtt__nodes", mtt__nodes, 0 },
	{ "mtt__huge", mtt__huge, 0 },
	{ "mtt__refused_commits", mtt__refused_commits, 0 },
	{ "mtt__dirty", mtt__dirty, 0 },
	{ "mtt__threads", mtt__threads, 0 },
};

const size_t mtt_count = ARRAY_SIZE(mtt_cases);

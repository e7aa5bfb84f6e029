// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * data_test - no byte is wrong, whatever happens to the pages underneath
 *
 *	data_keep_KIND		random transfers while a thread moves the pages and
 *				keeps their content (churn.h)
 *	data_replace_KIND	as well, and between two batches pages are replaced
 *				by others (replace.h)
 *	data_stamp_read_KIND,	pages are replaced by others during the transfer;
 *	data_stamp_write_KIND	generations tell which bytes are allowed (stamp.h)
 *	data_merge_KIND		pages are merged, read and written (merge.h)
 *
 * KIND is pinned, explicit, implicit or iova. A case goes through rounds, each
 * with a seed of its own, other backings, MTU and place of the regions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "churn.h"
#include "merge.h"
#include "replace.h"
#include "stamp.h"
#include "swap.h"
#include "transfer.h"

#define DEFAULT_SECONDS		3
#define BATCHES_PER_ROUND	24
#define HUGE_PAGES		"/proc/sys/vm/nr_hugepages"

static int only_odp = -1, only_backing = -1;
static size_t max_len = 2 << 20;

struct round {
	struct rc_dev *dev;
	struct transfer t;
	struct churn churn;
	uint64_t seed, random;
};

static struct region *make_region(struct round *r, enum odp_kind odp)
{
	struct region *region = NULL;
	int backing;

	while (!region) {
		backing = only_backing >= 0 ? only_backing :
			  (int)(rc_random(&r->random) % BACKINGS);
		region = region_create(r->dev, odp, backing, &r->random);
		if (!region && only_backing >= 0)
			test_skip("no %s memory here", backing_names[backing]);
	}
	return region;
}

static void round_start(struct round *r, enum odp_kind odp)
{
	int max_rd = r->dev->attr.orig_attr.max_qp_rd_atom;
	struct rc_attr attr = {
		.mtu = 1 + rc_random(&r->random) % r->dev->port.active_mtu,
		.rd_atomic = 1 + rc_random(&r->random) % (max_rd < 4 ? max_rd : 4),
	};
	struct transfer *t = &r->t;
	int i;

	for (i = 0; i < 2; i++)
		t->pair[i] = rc_pair_create(r->dev, &attr);
	t->source = make_region(r, odp);
	t->target = make_region(r, odp);
	t->back = rc_buf(r->dev, READ_BACK, IBV_ACCESS_LOCAL_WRITE);
	t->random = rc_random(&r->random);
	t->max_len = max_len;
	t->cpu = &r->churn.cpu;
	snprintf(t->what, sizeof(t->what), "seed %llu, %s %s to %s, mtu %d",
		 (unsigned long long)r->seed, odp_kind_names[odp],
		 backing_names[t->source->backing], backing_names[t->target->backing],
		 attr.mtu);
}

static void round_end(struct round *r)
{
	int i;

	for (i = 0; i < 2; i++)
		rc_pair_destroy(r->t.pair[i]);
	region_destroy(r->t.source);
	region_destroy(r->t.target);
	rc_buf_free(&r->t.back);
}

static void one_round(struct round *r, enum odp_kind odp, bool replace, double until)
{
	struct grave grave[2] = {};
	int batch;

	round_start(r, odp);
	churn_start(&r->churn, r->t.source, r->t.target, rc_random(&r->random));
	for (batch = 0; batch < BATCHES_PER_ROUND && test_now() < until; batch++) {
		if (replace) {
			pthread_mutex_lock(&r->churn.cpu);
			replace_pages(r->t.source, &r->random, &grave[0]);
			replace_pages(r->t.target, &r->random, &grave[1]);
			pthread_mutex_unlock(&r->churn.cpu);
		}
		transfer_batch(&r->t);
		if (batch % 8 == 7) {
			grave_check(&grave[0], r->t.what);
			grave_check(&grave[1], r->t.what);
			transfer_check_all(&r->t);
		}
	}
	churn_stop(&r->churn);
	transfer_check_all(&r->t);
	grave_check(&grave[0], r->t.what);
	grave_check(&grave[1], r->t.what);
	round_end(r);
}

static double seconds(void)
{
	return test_options.seconds ? test_options.seconds : DEFAULT_SECONDS;
}

/* Open the device, or skip where it has no ODP of this kind. */
static struct rc_dev *open_for(enum odp_kind odp)
{
	struct rc_dev *dev = rc_open();

	if (only_odp >= 0 && only_odp != (int)odp)
		test_skip("not asked for");
	if (odp != ODP_PINNED && !(dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT))
		test_skip("no ODP");
	if (odp == ODP_IMPLICIT &&
	    !(dev->attr.odp_caps.general_caps & IBV_ODP_SUPPORT_IMPLICIT))
		test_skip("no implicit ODP");
	return dev;
}

static void rounds(enum odp_kind odp, bool replace)
{
	struct round r = { .dev = open_for(odp) };
	unsigned long n = 0, churned = 0;
	double until = test_now() + seconds();

	do {
		r.seed = test_options.seed + n++;
		r.random = r.seed * 1000003 + odp;
		one_round(&r, odp, replace, until);
		churned += r.churn.done;
	} while (test_now() < until);
	test_note("%s%s: %llu bytes verified, %llu operations, %lu rounds (seeds %llu on), "
		  "%lu moves of pages", odp_kind_names[odp], replace ? ", replaced" : "",
		  (unsigned long long)r.t.bytes, (unsigned long long)r.t.ops, n,
		  (unsigned long long)test_options.seed, churned);
	CHECK(r.t.bytes > 0);
}

static void stamps(enum odp_kind odp, bool write)
{
	struct rc_dev *dev = open_for(odp);
	double until = test_now() + seconds() / 2;
	uint64_t bytes = 0;

	(write ? stamp_write : stamp_read)(dev, odp, test_options.seed, until, &bytes);
	test_note("%s, pages replaced under a %s: %llu bytes", odp_kind_names[odp],
		  write ? "WRITE" : "READ", (unsigned long long)bytes);
}

static void merges(enum odp_kind odp)
{
	struct rc_dev *dev = open_for(odp);
	uint64_t bytes = 0;

	if (!ksm_on())
		test_skip("no KSM");
	merge_pages(dev, odp, test_options.seed, &bytes);
	test_note("%s, pages merged: %llu bytes verified", odp_kind_names[odp],
		  (unsigned long long)bytes);
}

#define KIND_CASES(kind, KIND)							\
static void data_keep_##kind(void) { rounds(KIND, false); }			\
static void data_replace_##kind(void) { rounds(KIND, true); }			\
static void data_stamp_read_##kind(void) { stamps(KIND, false); }		\
static void data_stamp_write_##kind(void) { stamps(KIND, true); }		\
static void data_merge_##kind(void) { merges(KIND); }

KIND_CASES(explicit, ODP_EXPLICIT)
KIND_CASES(implicit, ODP_IMPLICIT)
KIND_CASES(iova, ODP_IOVA)

static void data_keep_pinned(void)
{
	rounds(ODP_PINNED, false);
}

static int index_of(const char *name, const char *const *names, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	fprintf(stderr, "data_test: what is %s?\n", name);
	exit(2);
}

static int take_option(int argc, char **argv)
{
	if (argc < 2)
		return 0;
	if (!strcmp(argv[0], "--odp"))
		only_odp = index_of(argv[1], odp_kind_names, ODP_KINDS);
	else if (!strcmp(argv[0], "--backing"))
		only_backing = index_of(argv[1], backing_names, BACKINGS);
	else if (!strcmp(argv[0], "--max"))
		max_len = strtoull(argv[1], NULL, 0);
	else
		return 0;
	return 2;
}

static void reserve_huge_pages(void)
{
	int fd = open(HUGE_PAGES, O_WRONLY);

	/* A kernel without huge pages has no hugetlb backing; that is no error. */
	if (fd < 0)
		return;
	if (write(fd, "16", 2) != 2)
		perror(HUGE_PAGES);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{ "data_keep_pinned", data_keep_pinned, 0 },
		{ "data_keep_explicit", data_keep_explicit, 0 },
		{ "data_keep_implicit", data_keep_implicit, 0 },
		{ "data_keep_iova", data_keep_iova, 0 },
		{ "data_replace_explicit", data_replace_explicit, 0 },
		{ "data_replace_implicit", data_replace_implicit, 0 },
		{ "data_replace_iova", data_replace_iova, 0 },
		{ "data_stamp_read_explicit", data_stamp_read_explicit, 0 },
		{ "data_stamp_read_implicit", data_stamp_read_implicit, 0 },
		{ "data_stamp_read_iova", data_stamp_read_iova, 0 },
		{ "data_stamp_write_explicit", data_stamp_write_explicit, 0 },
		{ "data_stamp_write_implicit", data_stamp_write_implicit, 0 },
		{ "data_stamp_write_iova", data_stamp_write_iova, 0 },
		{ "data_merge_explicit", data_merge_explicit, 0 },
		{ "data_merge_implicit", data_merge_implicit, 0 },
		{ "data_merge_iova", data_merge_iova, 0 },
	};

	test_options_parse(argc, argv, take_option, " [--odp KIND] [--backing NAME] [--max BYTES]");
	if (!test_options.list) {
		reserve_huge_pages();
		swap_on(64 << 20);
		ksm_on();
	}
	test_run_timed(cases, ARRAY_SIZE(cases), 90 + 2 * test_options.seconds);
	swap_off();
	if (!test_options.list)
		ksm_off();
	return test_close();
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* bench.c - options, results, memory and clock of the benchmarks; verbs are in pair.c */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>

#include "bench.h"

static const char * const mode_names[] = {
	[MODE_PINNED]	= "pinned",
	[MODE_ODP]	= "odp",
	[MODE_IMPLICIT]	= "implicit",
};

void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static enum bench_mode parse_mode(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(mode_names); i++)
		if (!strcmp(name, mode_names[i]))
			return i;
	die("mode %s is not one of pinned, odp, implicit", name);
}

static enum ibv_mtu parse_mtu(const char *text)
{
	static const char * const names[] = {
		[IBV_MTU_256] = "256", [IBV_MTU_512] = "512", [IBV_MTU_1024] = "1024",
		[IBV_MTU_2048] = "2048", [IBV_MTU_4096] = "4096",
	};

	for (unsigned int i = IBV_MTU_256; i < ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i]))
			return i;
	die("MTU %s is not one of 256, 512, 1024, 2048, 4096", text);
}

static unsigned long parse_number(const char *what, const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 0);
	if (errno || *end || end == text || !n)
		die("%s %s is not a number above 0", what, text);
	return n;
}

void bench_options(struct bench *b, int argc, char **argv)
{
	int opt;

	memset(b, 0, sizeof(*b));
	b->samples = 3;
	b->mtu = IBV_MTU_1024;
	while ((opt = getopt(argc, argv, "d:p:t:m:o:s:r:")) != -1) {
		switch (opt) {
		case 'd':
			b->device = optarg;
			break;
		case 'p':
			b->peer_name = optarg;
			break;
		case 't':
			b->mtu = parse_mtu(optarg);
			break;
		case 'm':
			b->mode = parse_mode(optarg);
			break;
		case 'o':
			b->only_op = optarg;
			break;
		case 's':
			b->only_size = parse_number("size", optarg);
			break;
		case 'r':
			b->samples = parse_number("sample count", optarg);
			break;
		default:
			die("usage: [-d DEVICE] [-p PEER] [-t MTU] [-m pinned|odp|implicit] [-o OPERATION] [-s SIZE] [-r SAMPLES]");
		}
	}
	if (optind != argc)
		die("unexpected argument %s", argv[optind]);
}

const char *bench_mode_name(const struct bench *b)
{
	return mode_names[b->mode];
}

int bench_status(const struct bench *b)
{
	return b->wrong ? 1 : 0;
}

bool bench_wanted(const struct bench *b, const char *op, size_t size)
{
	if (b->only_op && strcmp(b->only_op, op))
		return false;
	return !b->only_size || !size || b->only_size == size;
}

void bench_result_mode(struct bench *b, const char *name, const char *mode, size_t size,
		       double value, const char *unit, bool ok)
{
	if (!ok)
		b->wrong = true;
	printf("BENCH %s %s %s %zu %.2f %s %s\n", name, b->device ? b->device : "-", mode,
	       size, value, unit, ok ? "ok" : "wrong");
	fflush(stdout);
}

void bench_limit(struct bench *b, const char *name, size_t size, double value, bool ok)
{
	if (!ok)
		b->wrong = true;
	printf("BENCH %s - - %zu %.2f ns %s\n", name, size, value, ok ? "ok" : "wrong");
	fflush(stdout);
}

void bench_result(struct bench *b, const char *name, size_t size, double value,
		  const char *unit, bool ok)
{
	bench_result_mode(b, name, bench_mode_name(b), size, value, unit, ok);
}

void *bench_map(size_t size)
{
	const size_t align = 2 * MIB;
	char *p, *start;

	p = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("mmap of %zu bytes: %s", size, strerror(errno));
	start = (char *)(((uintptr_t)p + align - 1) & ~(align - 1));
	if (start != p)
		munmap(p, start - p);
	munmap(start + size, p + align - start);
	return start;
}

void *bench_map_small(size_t size)
{
	void *p = bench_map(size);

	/* EINVAL: this kernel has no huge pages, which is as good */
	if (madvise(p, size, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise(MADV_NOHUGEPAGE): %s", strerror(errno));
	return p;
}

void bench_unmap(void *p, size_t size)
{
	if (munmap(p, size))
		die("munmap: %s", strerror(errno));
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), compare_double);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

void pattern_fill(void *p, size_t size, uint64_t seed)
{
	unsigned char *c = p;
	uint64_t word;

	for (size_t i = 0; i < size; i += sizeof(word)) {
		word = (seed + i + 1) * 0x9e3779b97f4a7c15ULL;
		word ^= word >> 29;
		memcpy(c + i, &word, size - i < sizeof(word) ? size - i : sizeof(word));
	}
}

void pattern_invert(void *dst, const void *src, size_t size)
{
	const unsigned char *s = src;
	unsigned char *d = dst;

	for (size_t i = 0; i < size; i++)
		d[i] = ~s[i];
}

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * harness.h - run a table of test cases, each in a process of its own
 *
 * A case that crashes, hangs or leaks costs only itself: it runs in a forked
 * child with a time limit. It ends well by returning, or by test_fail() or
 * test_skip() from any of its threads. The parent prints one line a case and
 * the closing line `N passed, N failed, N skipped`.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

struct test_case {
	const char *name;
	void (*run)(void);
	unsigned int seconds;	/* time limit; 0: the default */
};

/* What every test program takes from its command line. */
struct test_options {
	const char *device;
	const char *only;	/* run the cases whose name contains this */
	const char *but;	/* ... and not this */
	bool list;
	unsigned int seconds;	/* duration of the open-ended tests; 0: default */
	uint64_t seed;
};

extern struct test_options test_options;

/*
 * test_options_parse() - take the command line, or say what is wrong and exit
 * @own takes an option of the program's own, with what follows it, and returns how many
 * arguments that were, 0: none of its own; it may be NULL. @usage names them.
 */
void test_options_parse(int argc, char **argv, int (*own)(int argc, char **argv),
			const char *usage);

/*
 * test_run() - run and count one table; test_run_timed(): with that time limit for each
 * case; test_close() prints the closing line.
 */
void test_run(const struct test_case *cases, size_t n);
void test_run_timed(const struct test_case *cases, size_t n, unsigned int seconds);
int test_close(void);

void test_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void test_skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* test_note() - a line of figures that is not a verdict. */
void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool test_put(const char *path, const char *text);	/* into an existing file, as echo does */
double test_now(void);			/* seconds, CLOCK_MONOTONIC */

/*
 * test_waited() - did a wait that began at test_ticks() last this long?
 *
 * Measured by the clock of the kernel's timers, which moves only at ticks. While the host
 * takes the CPU away that clock stands still; it catches up later, and a timer that was
 * set meanwhile ends early by any other clock. The result is at most a tick too small.
 */
double test_ticks(void);
bool test_waited(double since, double seconds);

#define TEST_STR2(x)	#x
#define TEST_STR(x)	TEST_STR2(x)
#define TEST_HERE	__FILE__ ":" TEST_STR(__LINE__) ": "

#define CHECK(cond, ...) do {						\
	if (!(cond))							\
		test_fail(TEST_HERE #cond " " __VA_ARGS__);		\
} while (0)

/* CHECK_EQ() - both sides are shown when they differ. */
#define CHECK_EQ(a, b) do {						\
	long long check_a = (long long)(a), check_b = (long long)(b);	\
	if (check_a != check_b)						\
		test_fail(TEST_HERE "%s is %lld, expected %s = %lld",	\
			  #a, check_a, #b, check_b);			\
} while (0)

#endif

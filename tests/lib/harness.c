// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define DEFAULT_SECONDS	60
#define EXIT_FAIL	1
#define EXIT_SKIP	77

struct test_options test_options = { .device = "mirage0", .seed = 1 };

/* The child's verdict, in memory that it shares with the parent. */
static char *why;
#define WHY_SIZE	1024

static unsigned int passed, failed, skipped;

bool test_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) > 0;
	close(fd);
	return ok;
}

static double seconds_of(const struct timespec *ts)
{
	return ts->tv_sec + ts->tv_nsec * 1e-9;
}

double test_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return seconds_of(&ts);
}

double test_ticks(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return seconds_of(&ts);
}

bool test_waited(double since, double seconds)
{
	struct timespec tick;

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return test_ticks() - since >= seconds - seconds_of(&tick);
}

static void __attribute__((noreturn)) leave(int code, const char *fmt, va_list ap)
{
	if (why)
		vsnprintf(why, WHY_SIZE, fmt, ap);
	else
		vfprintf(stderr, fmt, ap);
	fflush(NULL);
	_exit(code);
}

void test_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	leave(EXIT_FAIL, fmt, ap);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	leave(EXIT_SKIP, fmt, ap);
}

void test_note(const char *fmt, ...)
{
	va_list ap;

	printf("  # ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static int test_options_take(int argc, char **argv)
{
	if (!strcmp(argv[0], "--list")) {
		test_options.list = true;
		return 1;
	}
	if (argc < 2)
		return 0;
	if (!strcmp(argv[0], "--device"))
		test_options.device = argv[1];
	else if (!strcmp(argv[0], "--only"))
		test_options.only = argv[1];
	else if (!strcmp(argv[0], "--but"))
		test_options.but = argv[1];
	else if (!strcmp(argv[0], "--seconds"))
		test_options.seconds = atoi(argv[1]);
	else if (!strcmp(argv[0], "--seed"))
		test_options.seed = strtoull(argv[1], NULL, 0);
	else
		return 0;
	return 2;
}

static void print_verdict(const char *name, int status, unsigned int limit)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
		printf("FAIL %s: not done after %u s\n", name, limit);
		failed++;
	} else if (WIFSIGNALED(status)) {
		printf("FAIL %s: killed by %s\n", name, strsignal(WTERMSIG(status)));
		failed++;
	} else if (WEXITSTATUS(status) == 0) {
		printf("ok %s\n", name);
		passed++;
	} else if (WEXITSTATUS(status) == EXIT_SKIP) {
		printf("skip %s: %s\n", name, why);
		skipped++;
	} else {
		printf("FAIL %s: %s\n", name, why);
		failed++;
	}
	fflush(stdout);
}

static void run_one(const struct test_case *tc)
{
	unsigned int limit = tc->seconds ? tc->seconds : DEFAULT_SECONDS;
	int status;
	pid_t pid;

	why[0] = 0;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(EXIT_FAIL);
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(limit);
		tc->run();
		fflush(NULL);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	print_verdict(tc->name, status, limit);
}

void test_run(const struct test_case *cases, size_t n)
{
	size_t i;

	if (!why)
		why = mmap(NULL, WHY_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (why == MAP_FAILED) {
		perror("mmap");
		exit(EXIT_FAIL);
	}
	for (i = 0; i < n; i++) {
		if (test_options.only && !strstr(cases[i].name, test_options.only))
			continue;
		if (test_options.but && strstr(cases[i].name, test_options.but))
			continue;
		if (test_options.list)
			printf("%s\n", cases[i].name);
		else
			run_one(&cases[i]);
	}
}

int test_close(void)
{
	if (test_options.list)
		return 0;
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
	return failed || !passed;
}

void test_options_parse(int argc, char **argv, int (*own)(int argc, char **argv),
			const char *usage)
{
	int i = 1, used;

	while (i < argc) {
		used = test_options_take(argc - i, argv + i);
		if (!used && own)
			used = own(argc - i, argv + i);
		if (!used) {
			fprintf(stderr, "%s: what is %s?\nusage: %s [--device NAME] [--only PART] "
				"[--but PART] [--seconds N] [--seed N] [--list]%s\n",
				argv[0], argv[i], argv[0], usage);
			exit(2);
		}
		i += used;
	}
}

void test_run_timed(const struct test_case *cases, size_t n, unsigned int seconds)
{
	struct test_case timed;
	size_t i;

	for (i = 0; i < n; i++) {
		timed = cases[i];
		timed.seconds = seconds;
		test_run(&timed, 1);
	}
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Every CPU sends at once, more than the CPU that receives can process. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif

#define SECONDS		2
#define LONGEST		0.7
#define SEGMENT		52
#define TRAIN		64

/* A SEND to a QP number that nobody has, without a right ICRC. */
static void fill(uint8_t *train)
{
	int i;

	for (i = 0; i < TRAIN; i++, train += SEGMENT) {
		train[0] = 4;
		train[2] = 0xff;
		train[3] = 0xff;
		train[7] = 99;
		train[11] = i;
	}
}

/* The exit status: whether one call took longer than any should. */
static int flood(int cpu, const union ibv_gid *gid)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(4791) };
	static uint8_t train[TRAIN * SEGMENT];
	double start, before, now, worst = 0;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), segment = SEGMENT;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
	memcpy(&to.sin_addr, gid->raw + 12, sizeof(to.sin_addr));
	CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	CHECK_EQ(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	fill(train);
	start = test_now();
	before = start;
	do {
		if (send(fd, train, sizeof(train), 0) < 0)
			CHECK(errno == ENOBUFS || errno == EAGAIN, "(%s)", strerror(errno));
		now = test_now();
		if (now - before > worst)
			worst = now - before;
		before = now;
	} while (now - start < SECONDS);
	return worst > LONGEST;
}

/*
 * Every sender gets its CPU back, however much the others send: no softirq runs for as
 * long as packets come.
 */
static void every_cpu(void)
{
	struct raw *r = raw_open(NULL, RAW_PSN);
	int i, status, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pid_t pid[16];

	if (cpus > 16)
		cpus = 16;
	for (i = 0; i < cpus; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i])
			_exit(flood(i, &r->dev->gid));
	}
	for (i = 0; i < cpus; i++) {
		CHECK_EQ(waitpid(pid[i], &status, 0), pid[i]);
		CHECK_EQ(status, 0);
	}
	raw_close(r);
}

static const struct test_case cases[] = {
	{ "raw_flood_of_every_cpu", every_cpu, 0 },
};

CASE_TABLE(raw_flood_cases, cases);

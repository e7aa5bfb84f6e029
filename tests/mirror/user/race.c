// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Everything at once, checked by what must hold at any time.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

#define RW	(PROT_READ | PROT_WRITE)

static atomic_bool stop;

static void *storm(void *arg)
{
	unsigned int kind = (uintptr_t)arg;

	while (!stop) {
		size_t pages = 1 + kind % 7;
		char *mem = mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(mem != MAP_FAILED);
		mem[0] = 1;
		if (kind % 3 == 0)
			CHECK_EQ(madvise(mem, PAGE, MADV_DONTNEED), 0);
		if (kind % 3 == 1)
			CHECK_EQ(mprotect(mem, PAGE, PROT_READ), 0);
		CHECK_EQ(munmap(mem, pages * PAGE), 0);
		kind++;
	}
	return NULL;
}

/*
 * Invalidations elsewhere in the address space, all of it mirrored: a loop that may
 * neither wait nor go round again succeeds every time.
 */
static void storm__elsewhere(void)
{
	char *mem = memory(4, RW);
	int fd = device_over_all(mem, 4 * PAGE);
	uint64_t before = device_counters(fd).invalidations;
	unsigned int busy = 0, locked = 0;
	pthread_t threads[2];

	for (uintptr_t i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(threads + i, NULL, storm, (void *)i), 0);
	while (device_counters(fd).invalidations < before + 1000)
		sched_yield();
	for (int i = 0; i < 3000; i++) {
		long n = populate_at_once(fd, mem, 4 * PAGE, MT_WRITE | MT_BLOCK, &busy);

		CHECK_EQ(n, 4);
		CHECK_EQ(madvise(mem, 4 * PAGE, MADV_DONTNEED), 0);
		n = populate_at_once(fd, mem, PAGE, MT_WRITE, &busy);
		/* mmap_lock may be taken, that is all */
		if (n == -EAGAIN)
			locked++;
		else
			CHECK_EQ(n, 1);
		CHECK_EQ(madvise(mem, 4 * PAGE, MADV_DONTNEED), 0);
	}
	CHECK_EQ(busy, 0);
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	test_note("%llu invalidations elsewhere; mmap_lock taken %u of 3000 times",
		  (unsigned long long)(device_counters(fd).invalidations - before), locked);
}

#define RACE_PAGES	8
#define TAG		0x6d697272ULL

/*
 * Generations of a page: whoever looks after generation g was announced sees g or
 * what comes later, or zero. The page that held g - 1 is gone.
 */
struct race {
	char *mem;
	int fd;
	_Atomic uint32_t announced[RACE_PAGES];
	atomic_uint reads;
};

static void *read_by_device(void *arg)
{
	struct race *r = arg;
	unsigned int i = 0;

	while (!stop) {
		unsigned int page = i++ % RACE_PAGES;
		uint32_t announced = r->announced[page];
		uint64_t value;
		long err;

		err = device_read(r->fd, r->mem + page * PAGE, &value, sizeof(value));
		if (err == -ENOENT) {
			CHECK_EQ(populate(r->fd, r->mem, RACE_PAGES * PAGE,
					  i & 1 ? MT_BLOCK : MT_BLOCK | MT_WRITE),
				 RACE_PAGES);
			announced = r->announced[page];
			err = device_read(r->fd, r->mem + page * PAGE, &value,
					  sizeof(value));
		}
		if (err == -ENOENT)
			continue;
		CHECK_EQ(err, 0);
		if (value && (value >> 32 != TAG || (uint32_t)value < announced))
			test_fail("page %u: device reads %#llx after generation %#x", page,
				  (unsigned long long)value, announced);
		r->reads++;
	}
	return NULL;
}

static void renew(struct race *r, unsigned int page, uint32_t generation)
{
	char *mem = r->mem + page * PAGE;

	if (generation % 3)
		CHECK_EQ(madvise(mem, PAGE, MADV_DONTNEED), 0);
	else
		CHECK(mmap(mem, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		      mem);
	r->announced[page] = generation;
	*(volatile uint64_t *)mem = TAG << 32 | generation;
}

static void storm__same_range(void)
{
	static struct race r;
	double before = test_now();
	pthread_t thread;
	uint32_t generation = 0;

	r.mem = memory(RACE_PAGES, RW);
	r.fd = device_over(r.mem, RACE_PAGES * PAGE);
	CHECK_EQ(pthread_create(&thread, NULL, read_by_device, &r), 0);
	while (generation < 40000 || r.reads < 1000) {
		/* A slow machine does less. */
		if (test_now() - before > 30 && r.reads)
			break;
		generation++;
		renew(&r, generation % RACE_PAGES, generation);
	}
	stop = true;
	pthread_join(thread, NULL);
	test_note("%u generations, %u reads of the device", generation, r.reads);
	CHECK(r.reads);
}

static void *dontneed(void *arg)
{
	while (!stop)
		CHECK_EQ(madvise(arg, 4 * PAGE, MADV_DONTNEED), 0);
	return NULL;
}

/* Mirrors that come and go under callbacks. */
static void storm__register(void)
{
	char *mem = memory(4, RW);
	pthread_t threads[2];
	int fd = device_open();

	CHECK_EQ(pthread_create(threads, NULL, dontneed, mem), 0);
	CHECK_EQ(pthread_create(threads + 1, NULL, storm, NULL), 0);
	for (int i = 0; i < 500; i++) {
		CHECK_EQ(device_register(fd, i & 1 ? 0 : (uintptr_t)mem, (uintptr_t)mem + PAGE,
					 mem, 4 * PAGE), 0);
		CHECK_EQ(populate(fd, mem, PAGE, MT_WRITE | MT_BLOCK), 1);
		CHECK_EQ(device_simple(fd, MT_UNREGISTER), 0);
	}
	stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
}

static void *populate_until_dead(void *arg)
{
	struct race *r = arg;
	long err;

	do {
		err = populate(r->fd, r->mem, RACE_PAGES * PAGE, MT_WRITE | MT_BLOCK);
		r->reads++;
	} while (err > 0 || err == -EINVAL || err == -ENOTTY);
	CHECK_EQ(err, -ESRCH);
	return NULL;
}

/* A process dies under new ranges on it: they end with -ESRCH, and nothing else. */
static void storm__exit(void)
{
	for (int i = 0; i < 50; i++) {
		static struct race r;
		pthread_t thread;
		pid_t pid;
		char c;

		r.mem = memory(RACE_PAGES, RW);
		r.fd = device_open();
		r.reads = 0;
		pid = fork();
		if (!pid) {
			CHECK_EQ(device_register(r.fd, 0, UINT64_MAX, r.mem,
						 RACE_PAGES * PAGE), 0);
			for (;;)
				madvise(r.mem, RACE_PAGES * PAGE, MADV_DONTNEED);
		}
		CHECK_EQ(pthread_create(&thread, NULL, populate_until_dead, &r), 0);
		while (r.reads < (unsigned int)i % 10 + 1)
			sched_yield();
		/* Not before there is something to kill. */
		while (populate(r.fd, r.mem, PAGE, MT_BLOCK) < 0)
			sched_yield();
		CHECK_EQ(kill(pid, SIGKILL), 0);
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
		pthread_join(thread, NULL);
		/* A fault that was under way keeps the address space until it is done. */
		while (!device_counters(r.fd).releases)
			sched_yield();
		CHECK_EQ(device_counters(r.fd).releases, 1);
		CHECK_EQ(device_counters(r.fd).ranges, 0);
		CHECK_EQ(device_read(r.fd, r.mem, &c, 1), -ENOENT);
		close(r.fd);
		munmap(r.mem, RACE_PAGES * PAGE);
	}
}

#define CASE(f)	{ .name = #f, .run = f, .seconds = 120 }

const struct test_case race_cases[] = {
	CASE(storm__elsewhere),
	CASE(storm__same_range),
	CASE(storm__register),
	CASE(storm__exit),
};
const size_t race_count = ARRAY_SIZE(race_cases);

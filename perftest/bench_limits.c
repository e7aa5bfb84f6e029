// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench_limits - what the same machine can do without a NIC
 *
 * memcpy within a process, process_vm_writev to another one, an empty system call
 * and an ioctl that the kernel does not know.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "bench.h"

#define CALLS	1000
#define ROOM	(1 * MIB)

static const struct {
	size_t size;
	unsigned int turns;		/* of one sample */
} sizes[] = {
	{ 64,		256 },
	{ 4 * KIB,	128 },
	{ 64 * KIB,	32 },
	{ 1 * MIB,	8 },
};

static void copy_here(void *dst, const void *src, size_t size, pid_t unused)
{
	(void)unused;
	memcpy(dst, src, size);
	/* the copy must happen on every turn */
	__asm__ volatile("" : : "r"(dst) : "memory");
}

static void copy_there(void *dst, const void *src, size_t size, pid_t pid)
{
	struct iovec to = { dst, size }, from = { (void *)src, size };

	if (process_vm_writev(pid, &from, 1, &to, 1, 0) != (ssize_t)size)
		die("process_vm_writev: %s", strerror(errno));
}

static void measure_copies(struct bench *b, const char *name, char *dst, char *src, pid_t pid,
			   void (*copy)(void *, const void *, size_t, pid_t))
{
	double ns[b->samples];
	uint64_t start;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i].size;
		bool ok = true;

		if (!bench_wanted(b, name, size))
			continue;
		copy(dst, src, size, pid);
		for (unsigned int s = 0; s < b->samples; s++) {
			pattern_invert(dst, src, size);
			start = now_ns();
			for (unsigned int t = 0; t < sizes[i].turns; t++)
				copy(dst, src, size, pid);
			ns[s] = (double)(now_ns() - start) / sizes[i].turns;
			ok &= !memcmp(dst, src, size);
		}
		bench_limit(b, name, size, median(ns, b->samples), ok);
	}
}

static void empty_call(int fd)
{
	(void)fd;
	syscall(SYS_getppid);
}

static void empty_ioctl(int fd)
{
	ioctl(fd, _IO('m', 0xff), 0);
}

static void measure_calls(struct bench *b, const char *name, int fd, void (*call)(int))
{
	double ns[b->samples];
	uint64_t start;

	if (!bench_wanted(b, name, 0))
		return;
	for (unsigned int s = 0; s < b->samples; s++) {
		start = now_ns();
		for (unsigned int i = 0; i < CALLS; i++)
			call(fd);
		ns[s] = (double)(now_ns() - start) / CALLS;
	}
	bench_limit(b, name, 0, median(ns, b->samples), true);
}

int main(int argc, char **argv)
{
	char *src, *dst;
	struct bench b;
	pid_t pid;
	int fd;

	bench_options(&b, argc, argv);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/null: %s", strerror(errno));
	src = bench_map(ROOM);
	pattern_fill(src, ROOM, 9);
	/* shared, so that the bytes that went to the child can be checked here */
	dst = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (dst == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	memset(dst, 1, ROOM);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		pause();
		_exit(0);
	}
	measure_copies(&b, "memcpy", dst, src, pid, copy_here);
	measure_copies(&b, "process_vm_writev", dst, src, pid, copy_there);
	measure_calls(&b, "getppid", fd, empty_call);
	measure_calls(&b, "ioctl", fd, empty_ioctl);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return bench_status(&b);
}

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "harness.h"
#include "uffd.h"

#define UFFD_PAGE	4096UL

int uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	/* poll() does not work on a userfaultfd that blocks. */
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		test_skip("userfaultfd: %s", strerror(errno));
	CHECK_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	return uffd;
}

int uffd_open_for_hmm(void)
{
	struct utsname uts;

	uname(&uts);
	if (atoi(uts.release) < 7)
		test_skip("hmm faults do not reach userfaultfd before Linux 7");
	return uffd_open();
}

void uffd_watch(int uffd, void *mem, size_t len)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)mem, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	CHECK_EQ(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
}

void *uffd_next(int uffd)
{
	struct pollfd pfd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	CHECK_EQ(poll(&pfd, 1, 20000), 1);
	CHECK_EQ(read(uffd, &msg, sizeof(msg)), sizeof(msg));
	CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
	return (void *)(uintptr_t)(msg.arg.pagefault.address & ~(UFFD_PAGE - 1));
}

void uffd_copy(int uffd, void *to, const void *content, size_t len)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)to, .src = (uintptr_t)content, .len = len,
	};

	CHECK_EQ(ioctl(uffd, UFFDIO_COPY, &copy), 0);
}

void uffd_zero(int uffd, void *to, size_t len)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)to, .len = len },
	};

	CHECK_EQ(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
}

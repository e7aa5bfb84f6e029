/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the tests ask of mirror_test.ko. One open file of /dev/mirror_test is one
 * device: a mirror of the mm of whoever registered it, a table of pages, and one
 * range to step by hand. A file may be shared between processes, so that one can
 * watch the mirror of another that dies.
 *
 * Every call takes the same struct; it returns a count or -1 with errno.
 */
#ifndef MIRROR_TEST_ABI_H
#define MIRROR_TEST_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct mt_arg {
	__u64 start;
	__u64 end;
	__u64 buf;		/* user memory, see the call */
	__u32 len;
	__u32 flags;
	__u32 timeout_ms;
	__u32 tries;
	__u32 busy;		/* out: times that the loop went round again */
	__u32 pad;
	__u64 table_start;
	__u64 table_end;
};

struct mt_counters {
	__u64 invalidations;	/* callbacks so far */
	__u64 releases;
	__u64 last_start;	/* of the latest invalidation */
	__u64 last_end;
	__u64 ranges;		/* registered with this mirror now */
	__s64 last_wait;	/* what the latest MT_RANGE_WAIT returned */
};

/* mt_arg.flags */
#define MT_WRITE	1	/* the range is for writing */
#define MT_BLOCK	2	/* the fault may block */
#define MT_NONBLOCK	4	/* the invalidation may not */
#define MT_SAME_MM	8	/* register the mm of the last time again */
#define MT_WAIT		16	/* asynchronously: wait, and not fault */

/* An entry of what MT_RANGE_SNAPSHOT and MT_RANGE_FAULT write to buf. */
#define MT_PAGE_VALID	1
#define MT_PAGE_WRITE	2
#define MT_PAGE_ORDER(x)	((x) >> 8)

#define MT_IOC(nr)	_IOWR('m', nr, struct mt_arg)

/* mirror_register(start, end), with a table for [table_start, table_end) */
#define MT_REGISTER		MT_IOC(0)
#define MT_UNREGISTER		MT_IOC(1)
#define MT_COUNTERS		MT_IOC(2)	/* buf: struct mt_counters */

/* The functions of mirror one by one, on the file's range. */
#define MT_RANGE_REGISTER	MT_IOC(3)	/* out: start, end as rounded */
#define MT_RANGE_WAIT		MT_IOC(4)
#define MT_RANGE_SNAPSHOT	MT_IOC(5)	/* buf: __u32 of each page */
#define MT_RANGE_FAULT		MT_IOC(6)	/* the same */
#define MT_RANGE_VALID		MT_IOC(7)
#define MT_RANGE_COMMIT		MT_IOC(8)	/* 1, or 0 if not valid any more */
#define MT_RANGE_UNREGISTER	MT_IOC(9)

/* The whole loop, at most tries times round, with a range of its own. */
#define MT_POPULATE		MT_IOC(10)

/* The device: move len bytes between its view of start and buf. */
#define MT_READ			MT_IOC(11)
#define MT_WRITE_TO		MT_IOC(12)

/* What the MMU notifier would call, without any change to the page tables. */
#define MT_INV_START		MT_IOC(13)
#define MT_INV_END		MT_IOC(14)

/* The range's wait or fault in a kernel worker; result: what it returned. */
#define MT_ASYNC		MT_IOC(15)
#define MT_ASYNC_RESULT		MT_IOC(16)
/* Returns when somebody sleeps in mirror_range_wait_until_valid(). */
#define MT_WAITERS		MT_IOC(17)

/* Fault without blocking while another thread holds mmap_lock for writing. */
#define MT_FAULT_LOCKED		MT_IOC(18)
/* 1 if the caller's mmap_lock is free. */
#define MT_MMAP_FREE		MT_IOC(19)

/* Sleep, deaf to signals, until MT_RESUME; MT_STOPPED returns when it does. */
#define MT_STOP			MT_IOC(20)
#define MT_STOPPED		MT_IOC(21)
#define MT_RESUME		MT_IOC(22)

#endif

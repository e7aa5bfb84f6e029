/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * device.h - the test device from userspace, and memory to mirror
 *
 * The calls return what the kernel function did: a count, or a negative errno.
 */
#ifndef MIRROR_TEST_DEVICE_H
#define MIRROR_TEST_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "harness.h"

#define PAGE	4096UL

int device_open(void);
long device_call(int fd, unsigned long call, struct mt_arg *arg);
long device_simple(int fd, unsigned long call);

/* A mirror of [start, end), with a table for [mem, mem + len). */
long device_register(int fd, uint64_t start, uint64_t end, void *mem, size_t len);
/* Open, and register the interval of mem only, or the whole address space. */
int device_over(void *mem, size_t len);
int device_over_all(void *mem, size_t len);

struct mt_counters device_counters(int fd);

long range_register(int fd, void *start, size_t len, unsigned int flags);
long range_wait(int fd, unsigned int timeout_ms);
long range_snapshot(int fd, uint32_t *pages);
long range_fault(int fd, unsigned int flags, uint32_t *pages);
long range_valid(int fd);
long range_commit(int fd);
long range_unregister(int fd);

/* The whole loop. The second form gives up when it would have to wait at all. */
long populate(int fd, void *start, size_t len, unsigned int flags);
long populate_at_once(int fd, void *start, size_t len, unsigned int flags,
		      unsigned int *busy);

long device_read(int fd, const void *addr, void *buf, size_t len);
long device_write(int fd, void *addr, const void *buf, size_t len);

/* Hold an invalidation of [start, start + len) open, and let it go. */
long flight_start(int fd, void *start, size_t len, unsigned int flags);
long flight_end(int fd, void *start, size_t len, unsigned int flags);

/* Private anonymous memory, alone between two holes. */
void *memory(size_t pages, int prot);
/* The same, of a memfd. */
void *shared_memory(size_t pages, int *memfd);
void fill(void *mem, size_t pages, unsigned int seed);
void check_filled(const void *mem, size_t pages, unsigned int seed);
/* What the device reads of mem is what fill() wrote. */
void check_device(int fd, void *mem, size_t pages, unsigned int seed);

/* Swap on /dev/swapdisk, or the case is skipped. */
void need_swap(void);
void page_out(void *mem, size_t pages);

extern const struct test_case range_cases[];
extern const struct test_case fault_cases[];
extern const struct test_case callback_cases[];
extern const struct test_case dead_cases[];
extern const struct test_case race_cases[];
extern const size_t range_count, fault_count, callback_count, dead_count, race_count;

/* Figures, not verdicts. */
void cost_of_callbacks(void);
void cost_of_faults(void);

#endif

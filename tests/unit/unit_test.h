/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * unit_test.h - one table of cases for each file under test
 */
#ifndef UNIT_TEST_H
#define UNIT_TEST_H

#include <sanitizer/lsan_interface.h>

#include "harness.h"

extern const struct test_case wqe_cases[], opcode_cases[], copy_cases[], mtt_cases[];
extern const struct test_case packet_cases[], icrc_cases[];
extern const size_t wqe_count, opcode_count, copy_count, mtt_count;
extern const size_t packet_count, icrc_count;

/* A generator that is the same on every host. */
static inline uint64_t unit_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 29 ^ *state << 35;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * verbs_test.h - one table of cases for each noun; verbs_test.c runs them all
 */
#ifndef VERBS_TEST_H
#define VERBS_TEST_H

#include "rc.h"

struct case_table {
	const struct test_case *cases;
	size_t n;
};

extern const struct case_table state_cases, ops_cases, ops_ex_cases, atomic_cases,
	errors_cases, retry_cases, events_cases, srq_cases, cq_cases, limits_cases,
	odp_cases, slow_cases, mw_cases, provider_cases,
	ud_cases, uc_cases, xrc_cases, mcast_cases;

#define CASE_TABLE(name, array)						\
	const struct case_table name = { array, ARRAY_SIZE(array) }

#define PAGE	4096u

#endif

// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * verbs_test - the behaviour of a device, tested through plain verbs
 *
 * One process, QPs of one device connected to each other. It runs on any RoCE
 * device (--device rxe0 checks the test itself); what only mirage promises is
 * skipped elsewhere.
 */
#include "verbs_test.h"

int main(int argc, char **argv)
{
	static const struct case_table *const tables[] = {
		&state_cases, &ops_cases, &ops_ex_cases, &atomic_cases, &errors_cases,
		&retry_cases, &events_cases, &srq_cases, &cq_cases, &limits_cases,
		&odp_cases, &slow_cases, &mw_cases, &provider_cases,
		&ud_cases, &uc_cases, &xrc_cases, &mcast_cases,
	};
	size_t t;

	test_options_parse(argc, argv, NULL, "");
	for (t = 0; t < ARRAY_SIZE(tables); t++)
		test_run(tables[t]->cases, tables[t]->n);
	return test_close();
}

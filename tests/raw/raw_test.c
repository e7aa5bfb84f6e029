// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a responder says to packets, and a requester to answers, one by one: usage as every test program's, started
 * by tests/raw/run, which makes the namespaces.
 */
#include "raw.h"

int main(int argc, char **argv)
{
	const struct case_table *tables[] = {
		&raw_request_cases, &raw_order_cases, &raw_hold_cases, &raw_fuzz_cases, &raw_capture_cases,
		&raw_answer_cases, &raw_drain_cases, &raw_uc_cases,
		&raw_ud_cases, &raw_flood_cases,
	};
	size_t t;

	test_options.device = "mirage0";
	test_options_parse(argc, argv, NULL, "");
	for (t = 0; t < ARRAY_SIZE(tables); t++)
		test_run(tables[t]->cases, tables[t]->n);
	return test_close();
}

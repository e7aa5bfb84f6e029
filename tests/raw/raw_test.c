// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * raw_test - what a responder answers to packets, and how a requester reacts to answers
 *
 * It has the options of every test program. tests/raw/run makes the namespaces and starts it.
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

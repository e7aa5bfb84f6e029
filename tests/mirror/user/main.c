// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mirror_test - tests of kernel/mirror/mirror.c through /dev/mirror_test
 *
 * Usage: mirror_test [--only TEXT] [--list] | --cost
 */
#include <string.h>

#include "device.h"

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--cost")) {
		cost_of_callbacks();
		cost_of_faults();
		return 0;
	}
	test_options_parse(argc, argv, NULL, "");
	test_run(range_cases, range_count);
	test_run(fault_cases, fault_count);
	test_run(callback_cases, callback_count);
	test_run(dead_cases, dead_count);
	test_run(race_cases, race_count);
	return test_close();
}

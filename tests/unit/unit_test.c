// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The pure files of kernel/, compiled for userspace with ASan and UBSan. */
#include "unit_test.h"

int main(void)
{
	test_run(wqe_cases, wqe_count);
	test_run(opcode_cases, opcode_count);
	test_run(copy_cases, copy_count);
	test_run(mtt_cases, mtt_count);
	test_run(packet_cases, packet_count);
	test_run(icrc_cases, icrc_count);
	return test_close();
}

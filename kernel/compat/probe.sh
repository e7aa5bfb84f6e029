#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# Print a -DHAVE_... for each feature that the kernel headers have. Versions are not
# asked, because distributions backport.
#
#	probe.sh HEADERS...		the source trees (KDIR, and its common part)
set -eu

# have NAME FILE REGEX: define HAVE_NAME if a line of include/FILE matches
have()
{
	for tree in $trees; do
		if grep -qsE "$3" "$tree/include/$2"; then
			printf ' -DHAVE_%s' "$1"
			return
		fi
	done
}

trees=$*
have HMM_RANGE_FAULT_UNLOCKED linux/hmm.h 'hmm_range_fault_unlocked_timeout\('
echo

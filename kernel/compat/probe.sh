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

# have2 NAME FILE REGEX NEXT: the same if the line after it matches NEXT as well
have2()
{
	for tree in $trees; do
		if grep -sE -A1 "$3" "$tree/include/$2" | grep -qE "$4"; then
			printf ' -DHAVE_%s' "$1"
			return
		fi
	done
}

trees=$*
have HMM_RANGE_FAULT_UNLOCKED linux/hmm.h 'hmm_range_fault_unlocked_timeout\('
have VM_FLAGS_MOD linux/mm.h 'void vm_flags_mod\('
have KZALLOC_OBJ linux/slab.h 'define kzalloc_obj\('
have TIMER_CONTAINER_OF linux/timer.h 'define timer_container_of\('
have CREATE_USER_CQ rdma/ib_verbs.h '\(\*create_user_cq\)'
have2 CREATE_CQ_ATTRS rdma/ib_verbs.h '\(\*create_cq\)' 'uverbs_attr_bundle'
have RESIZE_USER_CQ rdma/ib_verbs.h '\(\*resize_user_cq\)'
have IB_DMAH rdma/ib_verbs.h '^struct ib_dmah'
have IB_ALLOC_DEVICE_WITH_NET rdma/ib_verbs.h 'define ib_alloc_device_with_net\('
have IB_GET_CURR_PORT_STATE rdma/ib_verbs.h 'ib_get_curr_port_state\('
have IB_MARK_NAME_ASSIGNED_BY_USER rdma/ib_verbs.h 'ib_mark_name_assigned_by_user\('
have IB_FLUSH uapi/rdma/ib_user_verbs.h 'IB_UVERBS_WR_FLUSH'
have IB_RESPOND_UDATA rdma/uverbs_ioctl.h 'define ib_respond_udata\('
have IB_UMEM_GET_VA rdma/ib_umem.h 'ib_umem_get_va\('
have UVERBS_ROBUST_UDATA rdma/ib_verbs.h 'uverbs_robust_udata'
echo

# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# Two hosts in one guest, for the suites that go over the wire:
#
#     host a                              host b
#     10.0.0.1/24                         10.0.0.2/24
#     fd00::1/64                          fd00::2/64
#     mirage0 on eth-a ================== eth-b, and mirage1 or rxe0 on it
#
# A host is a network namespace with RDMA devices of its own (`rdma system set netns
# exclusive`), or for Soft-RoCE the initial one: that of 6.1 and 6.12 serves no other,
# and that of 7.3 is made there and loses its QP1, and so rdma_cm, when it is moved.
# Source this in a guest started with `tests/vm/run --hosts 2`, or after taking every
# RDMA device away with hosts_alone:
#
#     hosts_up [mirage|rxe [mirage|rxe [MTU]]]   b's device, a's device, of the veth
#     hosts_down                                 both hosts away again
#     on_a COMMAND..., on_b COMMAND...           run it on that host
#
# A script that sources this while two hosts are up uses them. hosts_up sets DEV_A, DEV_B (RDMA
# devices), IF_A, IF_B, IP_A, IP_B, IP6_A, IP6_B and GID_A, GID_B (the GIDs' indices for
# -g of the rdma-core and perftest programs).

IF_A=eth-a IF_B=eth-b
IP_A=10.0.0.1 IP_B=10.0.0.2 IP6_A=fd00::1 IP6_B=fd00::2
NS_A='' NS_B='' DEV_A='' DEV_B='' GID_A='' GID_B=''
STATE=/run/mirage-hosts
export IF_A IF_B IP_A IP_B IP6_A IP6_B DEV_A DEV_B GID_A GID_B

# shellcheck source=/dev/null
[[ ! -e $STATE ]] || . "$STATE"

hosts_die() { echo "hosts: $*" >&2; exit 1; }

# in_ns NAME COMMAND...: the initial one has no name
in_ns() {
	local ns=$1
	shift
	if [[ $ns ]]; then
		ip netns exec "$ns" "$@"
	else
		"$@"
	fi
}

on_a() { in_ns "$NS_A" "$@"; }
on_b() { in_ns "$NS_B" "$@"; }

# namespace_for HOST KIND
namespace_for() {
	[[ $2 == rxe ]] || echo "$1"
}

# The mode of the RDMA subsystem can change only while there is no other network
# namespace.
hosts_alone() {
	local dev
	for dev in $(rdma dev show | awk '{ sub(":", "", $2); print $2 }'); do
		rdma link delete "$dev"
	done
	ip link delete veth0 2>/dev/null || :
	[[ $(rdma system show) == *'netns exclusive'* ]] || rdma system set netns exclusive ||
		hosts_die "cannot set netns exclusive"
}

# host_net NS IF IP IP6 MTU
host_net() {
	local ns=$1
	[[ ! $ns ]] || ip link set "$2" netns "$ns"
	# An address gets its GID only after duplicate address detection.
	in_ns "$ns" bash -c "
		echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
		echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
		echo 0 >/proc/sys/net/ipv6/conf/$2/accept_dad
		ip link set lo up
		ip link set $2 mtu $5 up
		ip addr add $3/24 dev $2
		ip addr add $4/64 dev $2 nodad"
}

# host_dev NS KIND NAME IF: an older core puts every new device into the initial
# namespace, and moves it when asked
host_dev() {
	in_ns "$1" rdma link add "$3" type "$2" netdev "$4" ||
		hosts_die "cannot make $3: $(dmesg | tail -n 2 | tr '\n' ' ')"
	if ! in_ns "$1" rdma dev show "$3" >/dev/null 2>&1; then
		rdma dev set "$3" netns "$1" || hosts_die "cannot move $3 to host $1"
	fi
}

# gid_index NS DEV IP: the index of its RoCEv2 GID for that address
gid_index() {
	local dir=/sys/class/infiniband/$2/ports/1 want i
	want=$(printf '0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x' ${3//./ })
	for _ in {1..100}; do
		for i in $(in_ns "$1" ls "$dir/gids" | sort -n); do
			[[ $(in_ns "$1" cat "$dir/gids/$i") == "$want" ]] &&
				[[ $(in_ns "$1" cat "$dir/gid_attrs/types/$i" 2>/dev/null) == 'RoCE v2' ]] &&
				echo "$i" && return
			[[ $i -lt 15 ]] || break
		done
		sleep 0.1
	done
	hosts_die "$2 has no GID for $3"
}

hosts_up() { # [KIND of b [KIND of a [MTU]]]
	local kind_b=${1:-mirage} kind_a=${2:-mirage} mtu=${3:-1500} ns
	NS_A=$(namespace_for a "$kind_a") NS_B=$(namespace_for b "$kind_b")
	# Two rxe devices check the tests themselves; 7.3 can, without rdma_cm.
	[[ $NS_A || $NS_B ]] || NS_A=a
	DEV_A=${kind_a}0 DEV_B=${kind_b}1
	[[ $kind_a == "$kind_b" ]] || DEV_B=${kind_b}0
	for ns in $NS_A $NS_B; do
		ip netns add "$ns"
	done
	modprobe -q veth || :
	ip link add "$IF_A" type veth peer name "$IF_B"
	host_net "$NS_A" "$IF_A" "$IP_A" "$IP6_A" "$mtu"
	host_net "$NS_B" "$IF_B" "$IP_B" "$IP6_B" "$mtu"
	host_dev "$NS_A" "$kind_a" "$DEV_A" "$IF_A"
	host_dev "$NS_B" "$kind_b" "$DEV_B" "$IF_B"
	GID_A=$(gid_index "$NS_A" "$DEV_A" "$IP_A")
	GID_B=$(gid_index "$NS_B" "$DEV_B" "$IP_B")
	{ declare -p NS_A NS_B DEV_A DEV_B GID_A GID_B; } | sed 's/^declare -- /declare -g /; s/^declare -x /export /' >$STATE
}

hosts_down() {
	local ns
	[[ ! $DEV_A ]] || on_a rdma link delete "$DEV_A"
	[[ ! $DEV_B ]] || on_b rdma link delete "$DEV_B"
	DEV_A='' DEV_B=''
	on_a ip link delete "$IF_A" 2>/dev/null || :
	for ns in $NS_A $NS_B; do
		ip netns delete "$ns"
	done
	NS_A='' NS_B=''
	rm -f $STATE
}

# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# What run and wire share: a tree of files, NVMe-oF and NFS targets and clients that move
# it, and the loop over the tests. To be sourced. The user says where its target is:
#
#     NVME_FAMILY, NVME_TARGET	ipv4 or ipv6, and the address that is listened on
#     nvme_connect		a function
#     NFS_SERVER		the server's address
#     SERVER_NET, CLIENT_NET	names of network namespaces; empty: this one

NQN=nqn.2026-01.org.mirage:test
NVMET=/sys/kernel/config/nvmet
WORK=$(mktemp -d)
TREE=$WORK/tree
SERVER_NET='' CLIENT_NET=''
passed=0 failed=0 skipped=0
SKIP=

# Does something become true within some seconds?
until_true() { # SECONDS COMMAND...
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || return 1
		sleep 0.1
	done
}

fail() {
	echo "  $*" >&2
	return 1
}

skip() {
	SKIP=$*
}

have_module() { # NAME
	modprobe -q "$1" 2>/dev/null
}

# Files of all sizes, and some large enough for every size of request.
make_tree() {
	mkdir -p "$TREE"
	cp -a /usr/lib/python3/dist-packages "$TREE/small"
	head -c 20000003 /dev/urandom >"$TREE/odd"
	head -c 8388608 /dev/urandom >"$TREE/even"
	(cd "$TREE" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$WORK/sums"
}

# Is the copy of the tree in DIRECTORY the same? Read it from there, not from a cache.
same_tree() { # DIRECTORY
	echo 3 >/proc/sys/vm/drop_caches
	(cd "$1" && sha256sum --quiet --strict -c "$WORK/sums") || fail "the copy in $1 differs"
}

nvmet_start() {
	local sub=$NVMET/subsystems/$NQN port=$NVMET/ports/1
	[[ ! -d $sub ]] || return 0
	have_module loop || fail "no loop devices"
	truncate -s 256M "$WORK/disk"
	losetup /dev/loop0 "$WORK/disk"
	mkdir "$sub"
	echo 1 >"$sub/attr_allow_any_host"
	mkdir "$sub/namespaces/1"
	echo -n /dev/loop0 >"$sub/namespaces/1/device_path"
	echo 1 >"$sub/namespaces/1/enable"
	mkdir "$port"
	echo rdma >"$port/addr_trtype"
	echo "$NVME_FAMILY" >"$port/addr_adrfam"
	echo "$NVME_TARGET" >"$port/addr_traddr"
	echo 4420 >"$port/addr_trsvcid"
	ln -s "$sub" "$port/subsystems/"
}

# Not with lockdep: nvmet takes a lock of rdma_cm inside its own here, and its own inside
# that of rdma_cm when a command comes with the connection.
nvmet_stop() {
	local sub=$NVMET/subsystems/$NQN port=$NVMET/ports/1
	[[ -d $sub && ! -e /proc/lockdep ]] || return 0
	rm -f "$port/subsystems/$NQN"
	[[ ! -d $port ]] || rmdir "$port"
	if [[ -d $sub/namespaces/1 ]]; then
		echo 0 >"$sub/namespaces/1/enable"
		rmdir "$sub/namespaces/1"
	fi
	rmdir "$sub"
	losetup -d /dev/loop0
}

nvme_node() {
	local node
	for node in /dev/nvme*n1; do
		[[ -b $node ]] && echo "$node" && return
	done
	return 1
}

nvme_parts() {
	have_module nvmet_rdma && have_module nvme_rdma && command -v nvme >/dev/null
}

# A file system over NVMe-oF.
nvme_move() {
	local node
	nvmet_start
	nvme_connect || fail "nvme connect"
	node=$(nvme_node)
	mkfs.ext4 -q "$node"
	mkdir -p "$WORK/mnt"
	mount "$node" "$WORK/mnt"
	cp -a "$TREE" "$WORK/mnt/"
	# Sizes and offsets that a file system never asks for.
	dd if="$TREE/odd" of="$WORK/mnt/direct" bs=61440 oflag=direct conv=fsync status=none \
		iflag=fullblock count=200
	umount "$WORK/mnt"
	mount "$node" "$WORK/mnt"
	same_tree "$WORK/mnt/tree"
	cmp -n $((61440 * 200)) "$TREE/odd" "$WORK/mnt/direct" || fail "what was written directly differs"
	umount "$WORK/mnt"
	e2fsck -fn "$node" >"$WORK/fsck" 2>&1 || fail "$(cat "$WORK/fsck")"
	nvme disconnect -n $NQN >/dev/null
	# What the target has.
	mount -o ro /dev/loop0 "$WORK/mnt"
	same_tree "$WORK/mnt/tree"
	umount "$WORK/mnt"
	nvmet_stop
}

# in_net NAMESPACE COMMAND...: with the mounts of this shell, which `ip netns exec` hides
in_net() {
	local net=$1
	shift
	if [[ $net ]]; then
		nsenter --net="/run/netns/$net" "$@"
	else
		"$@"
	fi
}

nfs_start() {
	mkdir -p "$WORK/export" "$WORK/nfs"
	mount -t tmpfs -o size=512M tmpfs "$WORK/export"
	# sysfs and nfsd show the namespace of the process that mounted them.
	in_net "$SERVER_NET" mount -t nfsd nfsd /proc/fs/nfsd
	# nfsd waits for clients of an earlier run unless it can look up that there are none.
	mkdir -p /run/rpc_pipefs /var/lib/nfs/nfsdcld
	in_net "$SERVER_NET" mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
	in_net "$SERVER_NET" nfsdcld
	in_net "$SERVER_NET" exportfs -o rw,no_root_squash,insecure,fsid=0 "*:$WORK/export"
	in_net "$SERVER_NET" rpc.nfsd -N 3 -V 4 --rdma=20049 4
	in_net "$SERVER_NET" rpc.mountd -N 3 -V 4
}

nfs_stop() {
	umount "$WORK/nfs" 2>/dev/null || true
	in_net "$SERVER_NET" rpc.nfsd 0 2>/dev/null || true
	pkill -x 'rpc.mountd|nfsdcld' || true
	in_net "$SERVER_NET" exportfs -au 2>/dev/null || true
	umount "$WORK/export" /proc/fs/nfsd /run/rpc_pipefs 2>/dev/null || true
}

nfs_parts() {
	have_module rpcrdma && have_module nfsd && command -v rpc.nfsd >/dev/null
}

nfs_mount() {
	in_net "$CLIENT_NET" mount -t nfs4 -o rdma,port=20049,vers=4.1 "$NFS_SERVER:/" "$WORK/nfs"
}

# Files over NFS version 4.1 over RDMA.
nfs_move() {
	nfs_start
	nfs_mount
	grep -q "$WORK/nfs.*proto=rdma" /proc/mounts || fail "not mounted over RDMA"
	cp -a "$TREE" "$WORK/nfs/"
	umount "$WORK/nfs"
	same_tree "$WORK/export/tree"
	nfs_mount
	same_tree "$WORK/nfs/tree"
	umount "$WORK/nfs"
	nfs_stop
}

cleanup() {
	mountpoint -q "$WORK/mnt" 2>/dev/null && umount "$WORK/mnt"
	nfs_stop
	! command -v nvme >/dev/null || nvme disconnect -n $NQN >/dev/null 2>&1 || true
	nvmet_stop
	rm -rf "$WORK"
}

run_test() { # NAME
	local status
	SKIP=
	set +e
	(
		set -e
		trap '[[ -z $SKIP ]] || echo "$SKIP" >"$WORK/skip"' EXIT
		"test_$1"
	)
	status=$?
	set -e
	if [[ -e $WORK/skip ]]; then
		echo "skip $1: $(cat "$WORK/skip")"
		rm "$WORK/skip"
		skipped=$((skipped + 1))
	elif ((status == 0)); then
		echo "ok $1"
		passed=$((passed + 1))
	else
		echo "FAIL $1"
		failed=$((failed + 1))
	fi
}

run_tests() { # NAME...
	local name
	for name; do
		run_test "$name"
	done
	echo "$passed passed, $failed failed, $skipped skipped"
	((failed == 0 && passed > 0))
}

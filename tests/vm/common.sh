# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# What build, run and ../check share: where things are, messages, the host's
# packages, stages that run once, and the door to the build root.
#
#   $CACHE/apt/           a private apt state: Debian 12, 13 and 13-backports
#   $CACHE/versions       which of Debian's kernels this cache is made of
#   $CACHE/root-build/    Debian 13 with compilers and kernel headers
#   $CACHE/guest.img      the guests' root file system
#   $CACHE/qemu/          Debian 13's QEMU
#   $CACHE/kernel/NAME/   what boots, and what modules are compiled against
#   $CACHE/src/           unpacked sources: linux-7.3, rdma-core-56.1
#   $CACHE/stamps/        which inputs each of these was made from
#   $BUILD/               this checkout's products, see build

set -euo pipefail
export LC_ALL=C.UTF-8
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

TOP=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
CACHE=$(realpath -m "${MIRAGE_CACHE:-/var/cache/mirage}")
# Two checkouts must not overwrite each other's products.
BUILD=$CACHE/build/$(printf %s "$TOP" | sha256sum | cut -c1-8)
ROOT=$CACHE/root-build

say() { printf 'mirage: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The rows of the file kernels: their names in order, the rest by name.
KERNELS=()
declare -A KERNEL_KIND KERNEL_VERSION KERNEL_FLAVOUR KERNEL_ARCH KERNEL_GROUPS

read_kernels() {
	local name kind version flavour arch groups
	while IFS='|' read -r name kind version flavour arch groups; do
		[[ $groups ]] || die "tests/vm/kernels: the row of '$name' lacks a column"
		KERNELS+=("$name")
		KERNEL_KIND[$name]=$kind KERNEL_VERSION[$name]=$version KERNEL_ARCH[$name]=$arch
		KERNEL_FLAVOUR[$name]=$flavour KERNEL_GROUPS[$name]=$groups
	done < <(sed -e 's/#.*//' -e 's/ *| */|/g' -e 's/ *$//' -e '/^$/d' "$TOP/tests/vm/kernels")
}
read_kernels

# kernels_of WORD: the names that a name or a group stands for, a line each
kernels_of() {
	local k
	for k in "${KERNELS[@]}"; do
		[[ " $k ${KERNEL_GROUPS[$k]} " != *" $1 "* ]] || echo "$k"
	done
}

# kernel_named WORD [OTHERS]: the one that a name, or a group of one, stands for; OTHERS
# are words that the caller takes besides. To be called as k=$(kernel_named ...).
kernel_named() {
	local found
	mapfile -t found < <(kernels_of "$1")
	(( ${#found[@]} == 1 )) || die "unknown: '$1'; known: ${KERNELS[*]}${2:+ $2}"
	echo "${found[0]}"
}

# kernels_of_kind stock|uml
kernels_of_kind() {
	local k
	for k in "${KERNELS[@]}"; do
		[[ ${KERNEL_KIND[$k]} != "$1" ]] || echo "$k"
	done
}

# release_of KERNEL: what a stock kernel calls itself; $CACHE/versions must have been read
release_of() { local v=RELEASE_${1//[^[:alnum:]]/_}; echo "${!v}"; }

# ensure_host: install what this machine lacks, or name it in one line.
ensure_host() {
	local pair missing=()
	for pair in mmdebstrap:mmdebstrap mkfs.ext4:e2fsprogs python3:python3 mount:mount \
		    unshare:util-linux flock:util-linux xz:xz-utils \
		    /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring; do
		[[ -e ${pair%%:*} ]] || command -v "${pair%%:*}" >/dev/null ||
			missing+=("${pair#*:}")
	done
	if (( EUID )); then
		die "run as root: guests are built with apt and chroot${missing:+; missing packages: ${missing[*]}}"
	fi
	mkdir -p "$CACHE"/{stamps,log,lock,src,kernel,tmp} "$BUILD"
	(( ${#missing[@]} )) || return 0
	command -v apt-get >/dev/null || die "missing packages: ${missing[*]}; this machine has no apt-get to install them"
	say "installing on this machine: ${missing[*]}"
	logged host-packages install_host "${missing[@]}"
}

install_host() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q && apt-get install -qy --no-install-recommends "$@"
}

# logged NAME COMMAND...: run it with its output in a log, a sign of life every
# half minute. A failure shows the end of the log and ends everything. Never call
# it (or stage) behind if, && or ||: bash forgets set -e there. COMMAND may use the
# directory $SCRATCH.
logged() {
	local log=$CACHE/log/$1 start=$SECONDS pid ticker rc=0
	shift
	# a process group of its own, so that Ctrl-C can end all of it
	set -m
	(
		set -e
		SCRATCH=$(mktemp -d "$CACHE/tmp/scratch.$BASHPID.XXXXXX")
		trap 'rm -rf --one-file-system "$SCRATCH"' EXIT
		"$@"
	) >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	trap 'kill -- -$pid 2>/dev/null; exit 130' INT TERM HUP
	# read rather than sleep: no child of the ticker outlives it, holding the stage's lock
	while ! read -rt 30; do
		say "  ... $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s: $(tail -n 1 "$log" | cut -c1-70)"
	done <> <(:) 9>&- &
	ticker=$!
	wait "$pid" || rc=$?
	{ kill "$ticker" && wait "$ticker"; } 2>/dev/null || :
	trap - INT TERM HUP
	(( rc )) || return 0
	tail -n 30 "$log" >&2
	say "failed; the whole log is $log"
	exit 1
}

# stage NAME KEY MESSAGE COMMAND...: run COMMAND unless it was already run for
# KEY. Parallel callers wait for the first one.
stage() {
	local name=$1 key=$2 message=$3 stamp=$CACHE/stamps/$1 start
	shift 3
	key=$(printf %s "$key" | sha256sum | cut -c1-16)
	[[ -e $stamp && $(<"$stamp") == "$key" ]] && return
	exec 9>"$CACHE/lock/$name"
	flock -n 9 || { say "waiting for another run: $message"; flock 9; }
	if ! [[ -e $stamp && $(<"$stamp") == "$key" ]]; then
		start=$SECONDS
		say "$message"
		rm -f "$stamp"
		logged "$name" "$@"
		(( SECONDS - start < 10 )) || say "  done in $((SECONDS - start)) s"
		echo "$key" >"$stamp"
	fi
	exec 9>&-
}

stamp_of() { cat "$CACHE/stamps/$1" 2>/dev/null || :; }

# in_root COMMAND...: run it inside the build root, which it cannot change: some
# kernels' Kbuild tidies up in the headers when it is called wrongly. The mounts live
# in a namespace that ends with the command.
in_root() {
	# shellcheck disable=SC2016  # expanded by the inner shell
	unshare --mount --propagation private bash -ec '
		root=$1 cache=$2 build=$3 top=$4; shift 4
		mkdir -p "$root$cache" "$root/build" "$root/src"
		mount --bind -o ro "$root" "$root"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/tmp"
		# again: the cache may be below /tmp
		mkdir -p "$root$cache"
		mount --bind "$cache" "$root$cache"
		mount --bind "$build" "$root/build"
		mount --bind -o ro "$top" "$root/src"
		exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin W="${W:-}" V="${V:-}" \
			MIRAGE_CACHE="$cache" "$@"
	' _ "$ROOT" "$CACHE" "$BUILD" "$TOP" "$@"
}

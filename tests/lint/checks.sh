# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# The checks that are a call of somebody else's program. Each prints what is wrong in the
# current directory, and nothing otherwise. $LINUX is the kernel's source, $WORK a folder
# where objects are kept.

# What goes without: the licence itself, what was compiled here.
licence_lines() {
	find . -path ./build -prune -o -path ./.git -prune -o -type f \
		! -name '*.o' ! -name '*.ko' ! -name '*.cmd' ! -name '*.mod' ! -name '*.mod.c' \
		! -name '*.symvers' ! -name modules.order ! -name '*.pyc' \
		-exec grep -L -F 'SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB' {} +
}

# kernel/compat/ alone may know of versions, and it asks the headers.
no_versions() {
	grep -rn --include='*.[ch]' --include='*.sh' -E 'LINUX_VERSION_COD[E]|KERNEL_VERSIO[N] *\(' kernel provider tests || :
}

# MACRO_ARG_REUSE is advice for macros that compute; those of packet.c are rows of a table.
checkpatch_strict() {
	local run=(perl "$LINUX/scripts/checkpatch.pl" "--root=$LINUX" --strict --no-tree --terse --no-summary)
	local table=kernel/net/packet.c

	[[ ! -e $table ]] || "${run[@]}" --ignore MACRO_ARG_REUSE -f $table || :
	find kernel include -name '*.[ch]' ! -path $table ! -name '*.mod.c' -print0 |
		sort -z | xargs -0 -n 12 -P "$(nproc)" "${run[@]}" -f | sort || :
}

# compile_clean RELEASE: what compiler and sparse say of the modules. sparse 0.6.4 does not
# know __typeof_unqual__, nor the constant expressions of 7.3's MODULE_LICENSE(), and
# what 7.3's Makefile asks whether it does is not among Debian's headers.
compile_clean() {
	local tree=$WORK/$1 log=$WORK/$1.log

	# What gave a warning gives it again.
	[[ ! -e $tree/warned ]] || rm -rf "$tree"
	mkdir -p "$tree"
	rsync -rl --checksum --delete --exclude='*.o' --exclude='*.ko' --exclude='.*' \
		--exclude='*.mod' --exclude='*.mod.c' --exclude=Module.symvers \
		--exclude=modules.order kernel include "$tree/"
	# Of a module that is no more, none is to be left.
	find "$tree/kernel" -name '*.ko' -delete
	make -s -C "/usr/lib/modules/$1/build" M="$tree/kernel" W=1 KBUILD_CHECKSRC=1 \
		CF=-D__typeof_unqual__=__typeof__ CONFIG_DEBUG_INFO_BTF_MODULES= \
		-k -j"$(nproc)" modules >"$log" 2>&1 || echo "make failed" >>"$log"
	grep -v -e checker-valid.sh -e 'is not available or not up to date' \
		-e 'error: bad constant expression$' "$log" || return 0
	touch "$tree/warned"
}

# All modules of a kernel together have 8 KiB.
percpu_data() { # TREE
	local ko

	find "$1/kernel" -name '*.ko' | while read -r ko; do
		readelf -SW "$ko" | sed 's/^ *\[ *[0-9]*\]//' | while read -r name _ _ _ size _; do
			[[ $name == .data..percpu* ]] || continue
			(( 16#$size <= 512 )) || echo "${ko#"$1/"}: $name has $((16#$size)) bytes"
		done
	done
}

# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# Capture the packets of a host's netdev while a command runs. Sourced after hosts.sh.

# capture HOST IF BYTES FILTER FILE COMMAND...: BYTES of each packet, 0 for all
capture() {
	local host=$1 netdev=$2 bytes=$3 filter=$4 file=$5 log pid size=0 before=-1
	shift 5
	log=$(mktemp)
	# The process in the namespace is who is to be told that it is over. Its log says
	# when it listens.
	"on_$host" bash -c 'echo $$; exec dumpcap -q -F pcap -B 64 -s "$1" -i "$2" -f "$3" -w "$4"' \
		- "$bytes" "$netdev" "$filter" "$file" >"$log" 2>&1 &
	pid=$!
	for _ in {1..200}; do
		grep -q '^File:' "$log" && break
		kill -0 $pid 2>/dev/null || break
		sleep 0.05
	done
	"$@"
	# Packets may still be in the capture's buffer: wait until a second brings no more of
	# them, however slow the host is.
	while (( size != before )); do
		before=$size
		sleep 1
		size=$(stat -c %s "$file" 2>/dev/null || echo 0)
	done
	kill "$(head -n 1 "$log")" 2>/dev/null
	wait $pid
	rm -f "$log"
}

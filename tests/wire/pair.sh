# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# For the suites that run pairs of programs on two hosts, after hosts.sh: a case is a
# server on $SERVER and a client on $CLIENT (a, b), its name is $PREFIX/NAME, and it is
# run if that matches $only and not $but; with $list it is named only.

only='' but='^$' list=''
passed=0 failed=0 skipped=0
SERVER=b CLIENT=a PREFIX=''
TMP=$(mktemp -d)

# What listens on a host: TCP ports and those of the connection manager.
listening() { # HOST
	"on_$1" ss -Hltn
	"on_$1" rdma resource show cm_id
}

# Wait up to 20 s until the server listens, or has printed a text (=TEXT). A program that
# has ended will never be ready.
wait_ready() { # HOST PID WHAT
	local i
	for (( i = 0; i < 400; i++ )); do
		if [[ $3 == =* ]]; then
			grep -q -- "${3#=}" "$TMP/server" && return
		else
			listening "$1" 2>/dev/null | grep -q -- "$3" && return
		fi
		kill -0 "$2" 2>/dev/null || return
		sleep 0.05
	done
}

# The error that a program reports, or else its last lines.
excerpt() { # server|client
	{ grep -iE 'fail|error|status|unable|could ?n.t|wrong|invalid' "$TMP/$1" || tail -n 4 "$TMP/$1"; } |
		head -n 6 | sed "s/^/    $1: /"
}

verdict() { # NAME WHY
	if [[ ! $2 ]]; then
		echo "ok $1"
		passed=$((passed + 1))
		return
	fi
	echo "FAIL $1: $2"
	excerpt server
	excerpt client
	failed=$((failed + 1))
}

# pair NAME SECONDS READY SERVER-COMMAND CLIENT-COMMAND. In the commands, S and C at the
# end of a variable's name stand for the server's and the client's side.
pair() {
	local name=$PREFIX/$1 limit=$2 pid why='' rc
	[[ $name =~ $only && ! $name =~ $but ]] || return 0
	if [[ $list ]]; then
		echo "$name"
		return
	fi
	# shellcheck disable=SC2086  # commands are lists of words
	"on_$SERVER" timeout -k 5 "$limit" $4 >"$TMP/server" 2>&1 &
	pid=$!
	wait_ready "$SERVER" $pid "$3"
	# shellcheck disable=SC2086
	"on_$CLIENT" timeout -k 5 "$limit" $5 >"$TMP/client" 2>&1
	rc=$?
	(( rc == 0 )) || why="the client's exit status is $rc"
	[[ ! $why ]] || kill $pid 2>/dev/null
	wait $pid
	rc=$?
	(( rc == 0 )) || why=${why:-"the server's exit status is $rc"}
	verdict "$name" "$why"
}

# The closing line, and whether all is well
tally() {
	rm -rf "$TMP"
	echo "$passed passed, $failed failed, $skipped skipped"
	(( failed == 0 && (passed > 0 || ${list:-0}) ))
}

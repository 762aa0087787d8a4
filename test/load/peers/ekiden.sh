#!/bin/bash
# Ekiden for a load test: ekiden.sh start|stop|pids|wipe. At $BENCH_ADDR: the
# demo's ports (SMTP 10025, IMAP 10143, POP3 10110 …). Every 250 is on disk, as
# always; rate limits, checks and signing are off, as they are in the peers. Mail for
# others goes to port 2526 of the same address, as it does from the peers.
set -eu
: "${BENCH_DATA:?set BENCH_DATA to a directory on the disk to measure}"
: "${BENCH_USERS:=50}"
: "${BENCH_ADDR:=127.0.0.1}"
: "${EKIDEN:=$(cd "$(dirname "$0")/../../.." && pwd)/bin/ekiden}"
D=$BENCH_DATA/ekiden

case ${1:-} in
start)
	mkdir -p "$D"
	for i in $(seq "$BENCH_USERS"); do echo "user$i@bench.test:benchpass"; done >"$D/accounts"
	"$EKIDEN" demo --json --data "$D/data" --bind "$BENCH_ADDR" --hostname mx.bench.test --domain bench.test \
		--accounts-file "$D/accounts" --plaintext-auth --no-limits --no-checks --no-sign --smart-host "$BENCH_ADDR:2526" >"$D/ready" 2>"$D/log" &
	echo $! >"$D/pid"
	for _ in $(seq 600); do
		grep -q '"ready":true' "$D/ready" && exit
		kill -0 "$(cat "$D/pid")" 2>/dev/null || break
		sleep 0.1
	done
	tail "$D/log" >&2
	exit 1
	;;
stop)
	[ -f "$D/pid" ] || exit 0
	pid=$(cat "$D/pid")
	kill "$pid" 2>/dev/null || exit 0
	for _ in $(seq 300); do
		kill -0 "$pid" 2>/dev/null || exit 0
		sleep 0.1
	done
	kill -9 "$pid"
	;;
pids) cat "$D/pid" ;;
wipe) rm -rf "$D" ;;
*) echo "usage: $0 start|stop|pids|wipe" >&2; exit 2 ;;
esac

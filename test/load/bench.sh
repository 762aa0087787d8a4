#!/bin/bash
# bench.sh [RUNS]: delivers 4 KiB messages by SMTP and fetches a mailbox by IMAP,
# from Ekiden and from Debian's Postfix + Dovecot in turn, RUNS times (3), and
# prints the medians side by side. Figures differ from hour to hour: only those
# of one run may be compared. Without the peers, or without root, Ekiden alone is
# measured. SCALE is the percent of the numbers of messages.
set -eu
cd "$(dirname "$0")"
runs=${1:-3}
: "${SCALE:=100}" "${GO:=go}"
export BENCH_DATA=${BENCH_DATA:-$(mktemp -d /var/tmp/ekiden-bench-XXXXXX)} BENCH_USERS=50
results=$BENCH_DATA/results.jsonl
mailload=$BENCH_DATA/mailload
mkdir -p "$BENCH_DATA"
chmod 755 "$BENCH_DATA"
: >"$results"
(cd mailload && $GO build -o "$mailload" .)

peers=ekiden
if [ "$(id -u)" = 0 ] && PATH=$PATH:/usr/sbin command -v postfix >/dev/null && PATH=$PATH:/usr/sbin command -v dovecot >/dev/null; then
	PATH=$PATH:/usr/sbin
	peers="ekiden postfix-dovecot"
else
	echo "Postfix and Dovecot are not here, or this is not root: Ekiden alone." >&2
fi

# with PEER ACTION: each has an address of its own, so their ports never meet.
with() {
	case $1 in
	ekiden) BENCH_ADDR=127.0.91.1 smtp=10025 imap=10143 ;;
	*) BENCH_ADDR=127.0.91.2 smtp=2525 imap=1143 ;;
	esac
	export BENCH_ADDR
	[ -z "${2:-}" ] || "peers/$1.sh" "$2"
}
stop_all() {
	for p in $peers; do with "$p" stop || true; done
	rm -rf "$BENCH_DATA"
}
trap stop_all EXIT

n() { echo $(($1 * SCALE / 100)); }
load() {
	local peer=$1 label=$2
	shift 2
	with "$peer"
	timeout 300 "$mailload" "$1" -label "$peer $label" -smtp "$BENCH_ADDR:$smtp" -imap "$BENCH_ADDR:$imap" \
		-pid "$("peers/$peer.sh" pids)" "${@:2}" >>"$results" || echo "$peer $label failed" >&2
}

for p in $peers; do with "$p" start; done
for p in $peers; do load "$p" fill imap-append -users 1 -c 8 -size 4k -n "$(n 5000)" -mailbox Small -verify=false; done
for _ in $(seq "$runs"); do
	for p in $peers; do load "$p" smtp-in-4k smtp-in -users $BENCH_USERS -size 4k -n "$(n 2000)" -c 16; done
	for p in $peers; do load "$p" imap-fetch imap-fetch -mailbox Small; done
done

# median PEER LABEL KEY: over the runs.
median() {
	grep -F "\"label\":\"$1 $2\"" "$results" | sed -n "s/.*\"$3\":\([0-9.]*\).*/\1/p" | sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'
}
failed=$(grep -c '"failed":true' "$results" || true)
echo
printf '%-44s %14s %18s %8s\n' "median of $runs runs" Ekiden "Postfix+Dovecot" ratio
while read -r label key name; do
	ours=$(median ekiden "$label" "$key") theirs=$(median postfix-dovecot "$label" "$key")
	ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { if (a + 0 && b + 0) printf "%.2f", a / b; else print "-" }')
	printf '%-44s %14s %18s %8s\n' "$name" "$ours" "$theirs" "$ratio"
done <<-END
	smtp-in-4k accepted_s smtp-in 4k: accepted a second
	smtp-in-4k delivered_s smtp-in 4k: visible by IMAP a second
	smtp-in-4k p50_ms smtp-in 4k: median ms a message
	smtp-in-4k p99_ms smtp-in 4k: 99th percentile ms
	smtp-in-4k server_cpu_ms_op smtp-in 4k: server CPU ms a message
	smtp-in-4k server_pss_mb smtp-in 4k: server memory MB (PSS)
	fill ops_s imap-append 4k: a second
	imap-fetch flags_msgs_s imap-fetch flags: messages a second
	imap-fetch headers_msgs_s imap-fetch list headers: messages a second
	imap-fetch meta_msgs_s imap-fetch full metadata: messages a second
	imap-fetch body_msgs_s imap-fetch bodies: messages a second
	imap-fetch body_mb_s imap-fetch bodies: MB a second
END
[ "$failed" = 0 ] || { echo "$failed runs failed: messages were lost, doubled or changed"; exit 1; }

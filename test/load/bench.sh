#!/bin/bash
# bench.sh [RUNS]: delivers, submits and relays messages by SMTP, logs in, and
# fetches a mailbox by IMAP, from Ekiden and from Debian's Postfix + Dovecot in
# turn, RUNS times (3), and prints the medians side by side. Figures differ from
# hour to hour: only those of one run may be compared. Without the peers, or
# without root, Ekiden alone is measured. SCALE is the percent of the numbers of
# messages.
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
	ekiden) BENCH_ADDR=127.0.91.1 smtp=10025 submission=10587 imap=10143 imaps=10993 ;;
	*) BENCH_ADDR=127.0.91.2 smtp=2525 submission=2587 imap=1143 imaps=1993 ;;
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
	timeout 300 "$mailload" "$1" -label "$peer $label" -smtp "$BENCH_ADDR:$smtp" -imap "$BENCH_ADDR:$imap" \
		-pid "$("peers/$peer.sh" pids)" "${@:2}" >>"$results" || echo "$peer $label failed" >&2
}

# measure is load for a peer; submit and log_in for its doors for users.
measure() { with "$1" && load "$@"; }
submit() { with "$1" && smtp=$submission load "$@" -auth; }
log_in() { with "$1" && imap=$imaps load "$@"; }
sink() { with "$1" && echo "$BENCH_ADDR:2526"; }

for p in $peers; do with "$p" start; done
for p in $peers; do measure "$p" fill imap-append -users 1 -c 8 -size 4k -n "$(n 5000)" -mailbox Small -verify=false; done
for run in $(seq "$runs"); do
	for p in $peers; do measure "$p" in-4k smtp-in -users $BENCH_USERS -size 4k -n "$(n 2000)" -c 16; done
	for p in $peers; do measure "$p" in-1conn smtp-in -users $BENCH_USERS -size 4k -n "$(n 200)" -c 1; done
	for p in $peers; do measure "$p" in-rcpt5 smtp-in -users $BENCH_USERS -size 4k -n "$(n 300)" -c 16 -rcpts 5; done
	for p in $peers; do measure "$p" in-mix smtp-in -users $BENCH_USERS -size mix -n "$(n 400)" -c 16; done
	for p in $peers; do measure "$p" in-1m smtp-in -users $BENCH_USERS -size 1m -n "$(n 60)" -pool 20 -c 8; done
	for p in $peers; do submit "$p" in-tls smtp-in -tls starttls -users $BENCH_USERS -size 4k -n "$(n 500)" -c 16 -per-conn 1; done
	for p in $peers; do submit "$p" relay smtp-relay -sink "$(sink "$p")" -users $BENCH_USERS -size 4k -n "$(n 1000)" -c 8; done
	for p in $peers; do log_in "$p" login login-storm -tls implicit -users $BENCH_USERS -n "$(n 500)" -c 16; done
	for p in $peers; do measure "$p" append imap-append -users $BENCH_USERS -size 4k -n "$(n 1000)" -c 8 -mailbox "A$run"; done
	for p in $peers; do measure "$p" append-one imap-append -users 1 -size 4k -n "$(n 1000)" -c 8 -mailbox "B$run"; done
	for p in $peers; do measure "$p" imap-fetch imap-fetch -mailbox Small; done
done

# figures PEER LABEL KEY: the median over the runs and, behind it, least and most.
# KEY is a field of a result, or one field divided by another,
# times a factor.
figures() {
	grep -F "\"label\":\"$1 $2\"" "$results" | awk -v key="$3" '
		function field(name) { return match($0, "\"" name "\":[0-9.]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) : "" }
		{ split(key, k, "/"); v = field(k[1]); if (k[2] != "") { d = field(k[2]); v = d + 0 ? v * (k[3] == "" ? 1 : k[3]) / d : "" } if (v != "") print v }' |
		sort -g | awk '{ v[NR] = $1 } END { if (NR) printf "%.4g %.4g %.4g", v[int((NR + 1) / 2)], v[1], v[NR]; else print "- - -" }'
}
failed=$(grep -c '"failed":true' "$results" || true)
echo
printf '%-72s %10s %17s %10s %17s %7s\n' "median of $runs runs (least-most)" Ekiden "" "Postfix+D." "" ratio
while read -r label key name; do
	read -r ours low high <<<"$(figures ekiden "$label" "$key")"
	read -r theirs tlow thigh <<<"$(figures postfix-dovecot "$label" "$key")"
	ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { if (a + 0 && b + 0) printf "%.2f", a / b; else print "-" }')
	printf '%-72s %10s %17s %10s %17s %7s\n' "$name" "$ours" "($low-$high)" "$theirs" "($tlow-$thigh)" "$ratio"
done <<-END
	in-4k delivered_s smtp-in 4k, 16 connections: visible a second
	in-4k accepted_s smtp-in 4k: accepted a second
	in-4k p50_ms smtp-in 4k: median ms a message
	in-4k p99_ms smtp-in 4k: 99th percentile ms
	in-4k server_cpu_ms_op smtp-in 4k: server CPU ms a message
	in-4k disk_flushes/ops smtp-in 4k: disk flushes a message
	in-4k server_pss_mb smtp-in 4k: server memory MB (PSS)
	in-1conn delivered_s smtp-in 4k, 1 connection: visible a second
	in-rcpt5 delivered_copies_s smtp-in 4k, 5 recipients: copies a second
	in-mix delivered_s smtp-in 84 KB mix: visible a second
	in-1m delivered_s smtp-in 1 MB: visible a second
	in-1m disk_write_mb/bytes/1e6 smtp-in 1 MB: octets written an octet received
	in-tls delivered_s submission 4k, TLS and AUTH, 1 a connection: visible a second
	in-tls server_cpu_ms_op submission 4k, TLS and AUTH: server CPU ms a message
	relay relayed_s smtp-relay 4k, 8 connections: relayed a second
	relay server_cpu_ms_op smtp-relay 4k: server CPU ms a message
	relay e2e_p50_ms smtp-relay 4k: median ms from end to end
	login ops_s login-storm over TLS: logins a second
	login server_cpu_ms_op login-storm over TLS: server CPU ms a login
	append ops_s imap-append 4k, 8 connections: a second
	append-one ops_s imap-append 4k, one mailbox: a second
	imap-fetch flags_msgs_s imap-fetch flags: messages a second
	imap-fetch headers_msgs_s imap-fetch list headers: messages a second
	imap-fetch meta_msgs_s imap-fetch full metadata: messages a second
	imap-fetch body_msgs_s imap-fetch bodies: messages a second
	imap-fetch body_mb_s imap-fetch bodies: MB a second
END
[ "$failed" = 0 ] || { echo "$failed runs failed: messages were lost, doubled or changed"; exit 1; }

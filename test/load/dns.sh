#!/bin/bash
# dns.sh: answers from the cache, by dnsperf, of Ekiden's resolver and of unbound side by
# side: both look up the same 10,000 names below a root that NSD serves, in a network of
# their own, and are then asked for them again and again. Runs take turns; the last
# lines are the ratios of their medians. SECONDS_EACH (5) and ROUNDS (5) change how long.
set -euo pipefail
: "${SECONDS_EACH:=5}" "${ROUNDS:=5}" "${NAMES:=10000}"
if [ -z "${EKIDEN_LAB:-}" ]; then
	cd "$(dirname "$0")/../.."
	for tool in nsd unbound dnsperf unshare ip; do command -v "$tool" >/dev/null || { echo "$tool is not here"; exit 1; }; done
	make build WEB=0 >/dev/null
	[ "$(id -u)" = 0 ] || user=--map-root-user
	EKIDEN_LAB=1 exec unshare --net --kill-child ${user:-} "$0"
fi
ip link set lo up
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
nsd=127.0.0.10 unbound=127.0.0.20 ekiden=127.0.0.21

{
	printf '$TTL 3600\n. IN SOA ns.root. root. 1 3600 600 86400 3600\n. IN NS ns.root.\nns.root. IN A %s\n' $nsd
	for ((i = 0; i < NAMES; i++)); do
		echo "n$i.example. IN A 192.0.2.$((i % 256))"
		echo "n$i.example. IN MX 10 mx$i.example."
	done
} >"$dir/root.zone"
for ((i = 0; i < NAMES; i++)); do echo "n$i.example. $([ $((i % 2)) = 0 ] && echo A || echo MX)"; done | shuf --random-source=<(yes) >"$dir/questions"
cat >"$dir/nsd.conf" <<-END
	server:
	  ip-address: $nsd
	  username: ""
	  chroot: ""
	  zonesdir: "$dir"
	  database: ""
	  pidfile: "$dir/nsd.pid"
	  xfrdfile: "$dir/xfrd.state"
	  zonelistfile: "$dir/zone.list"
	remote-control:
	  control-enable: no
	zone:
	  name: "."
	  zonefile: "root.zone"
END
printf '. 3600 NS ns.root.\nns.root. 3600 A %s\n' $nsd >"$dir/hints"
cat >"$dir/unbound.conf" <<-END
	server:
	  interface: $unbound
	  access-control: 127.0.0.0/8 allow
	  chroot: ""
	  username: ""
	  pidfile: ""
	  directory: "$dir"
	  use-syslog: no
	  do-ip6: no
	  num-threads: 2
	  so-reuseport: yes
	  do-not-query-localhost: no
	  module-config: "iterator"
	  root-hints: "$dir/hints"
	  msg-cache-size: 64m
	  rrset-cache-size: 128m
	remote-control:
	  control-enable: no
END
cat >"$dir/ekiden.toml" <<-END
	data = "$dir/data"
	hostname = "mx.example.test"
	[tls]
	own_authority = true
	[listen]
	smtp = []
	submission = []
	submission_alt = []
	submissions = []
	pop3 = []
	pop3s = []
	imap = []
	imaps = []
	http = []
	https = []
	[dns]
	validate = false
	root_hints_file = "$dir/hints"
	listen = ["$ekiden:53"]
END
nsd -d -c "$dir/nsd.conf" >"$dir/nsd.log" 2>&1 & pids=$!
unbound -d -c "$dir/unbound.conf" >"$dir/unbound.log" 2>&1 & pids="$pids $!" unbound_pid=$!
bin/ekiden serve -c "$dir/ekiden.toml" >"$dir/ekiden.log" 2>&1 & pids="$pids $!" ekiden_pid=$!
sleep 3

# ticks PID: the processor time that a program has used, in 1/100 s.
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }

# rate SERVER SECONDS: answers a second, and how many of the questions were answered.
rate() {
	dnsperf -s "$1" -d "$dir/questions" -l "$2" -c 8 -T 1 -q 200 >"$dir/out" 2>&1 || { cat "$dir/out" >&2; exit 1; }
	awk '/Queries completed/ {done = $4} /Queries per second/ {print int($4), done}' "$dir/out"
}
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

for server in $unbound $ekiden; do # what is asked for is known then
	dnsperf -s $server -d "$dir/questions" -n 1 -c 2 -q 20 >"$dir/out" 2>&1 || true
	grep -E 'Queries (completed|lost)' "$dir/out" | tr -s ' ' | tr '\n' ' '; echo "at first by $server"
done
for ((round = 0; round < ROUNDS; round++)); do
	for server in unbound ekiden; do
		pid=${server}_pid before=$(ticks "${!pid}")
		read -r n full <<<"$(rate "${!server}" "$SECONDS_EACH")"
		used=$(($(ticks "${!pid}") - before))
		echo "$n" >>"$dir/$server.rates"
		echo "$((n * SECONDS_EACH * 100 / (used + 1)))" >>"$dir/$server.work"
		echo "$server $n a second, $(tail -1 "$dir/$server.work") a second of processor time, answered $full"
	done
done
ours=$(median <"$dir/ekiden.rates") theirs=$(median <"$dir/unbound.rates")
echo "a second: ekiden $ours, unbound $theirs, ratio $(awk "BEGIN {printf \"%.2f\", $ours / $theirs}")"
ours=$(median <"$dir/ekiden.work") theirs=$(median <"$dir/unbound.work")
echo "a second of processor time: ekiden $ours, unbound $theirs, ratio $(awk "BEGIN {printf \"%.2f\", $ours / $theirs}")"

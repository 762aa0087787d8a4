#!/bin/bash
# fuzz.sh: runs every fuzz target of the tree for FUZZTIME (10s), one worker each
# and as many at a time as there are processors. What fails is shown and kept in
# the package's testdata/fuzz.
set -u
cd "$(dirname "$0")/.."
: "${FUZZTIME:=10s}" "${GO:=go}"
jobs=$(nproc 2>/dev/null || echo 2)
list=$(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+\(' cmd internal test | sed -E 's|/[^/]*_test\.go:func (Fuzz[A-Za-z0-9_]+)\(| \1|' | sort -u)
[ -n "$list" ] || { echo "no fuzz targets"; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export GO FUZZTIME dir

# ended OUTPUT: whether all that went wrong is the end of the time, which Go's
# fuzzer now and then takes for a failure of the input in hand.
ended() {
	grep -q '^ *context deadline exceeded$' "$1" && ! grep -qE 'Failing input|panic|_test\.go:' "$1"
}

# one PACKAGE TARGET: the test binary is built once a package and shared.
one() {
	local bin
	bin=$dir/$(echo "$1" | tr / -).test
	local out=$dir/$(echo "$1" | tr / -)-$2.out
	if (cd "$1" && timeout 600 "$bin" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$FUZZTIME" -test.parallel 1 -test.fuzzminimizetime 10x \
		-test.fuzzcachedir "$($GO env GOCACHE)/fuzz/ekiden/$1") >"$out" 2>&1 || ended "$out"; then
		echo "ok    $1 $2 $(grep -o 'execs: [0-9]*' "$out" | tail -1)"
	else
		echo "FAIL  $1 $2"
		sed 's/^/      /' "$out" | tail -40
		echo x >>"$dir/failed"
	fi
}
export -f one ended
for package in $(echo "$list" | cut -d' ' -f1 | sort -u); do
	# Only `go test -fuzz` instruments for coverage; -c with it keeps the binary.
	$GO test -c -fuzz=Fuzz -o "$dir/$(echo "$package" | tr / -).test" "./$package" || exit 1
done
echo "$list" | xargs -P "$jobs" -L 1 bash -c 'one "$@"' one
count=$(echo "$list" | wc -l)
if [ -e "$dir/failed" ]; then
	echo "$(wc -l <"$dir/failed") of $count fuzz targets failed"
	exit 1
fi
echo "all $count fuzz targets ran $FUZZTIME each"

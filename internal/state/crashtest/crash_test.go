package crashtest

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// perHistory is how many cuts one history has, each on what the last one left.
const perHistory = 5

// oneHistory is one seed's: a new disk, and cuts in a row. It gives the number of
// cuts and what was found wrong.
func oneHistory(seed uint64, lie func(string) bool) (cuts int, wrong []string) {
	b := newBook()
	d := newDisk(seed)
	if err := found(d, b); err != nil {
		return 0, []string{err.Error()}
	}
	d.lie = lie
	for n := range perHistory {
		p := live(d, b, seed*perHistory+uint64(n))
		cuts++
		if len(p.wrong) > 0 {
			return cuts, p.wrong
		}
		d = p.disk
	}
	return cuts, verify(d, b)
}

// search runs histories on all processors until so many cuts were made, or one
// fails, or, if endless, for ever. report gets each failure.
func search(first uint64, cuts int, lie func(string) bool, report func(seed uint64, cuts int, wrong []string) (goOn bool)) int {
	var mu sync.Mutex
	var all sync.WaitGroup
	done, next, stop := 0, first, false
	for range runtime.GOMAXPROCS(0) + 1 { // half the time they wait for syncs
		all.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				end := stop || done >= cuts
				mu.Unlock()
				if end {
					return
				}
				n, wrong := oneHistory(seed, lie)
				mu.Lock()
				done += n
				if len(wrong) > 0 && !stop {
					stop = !report(seed, done, wrong)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return done
}

func replay(seed uint64) string {
	return fmt.Sprintf("EKIDEN_CRASH_SEED=%d go test -count=1 -run TestCrashPoints ./internal/state/crashtest", seed)
}

// TestCrashPoints cuts the power 500 times; with EKIDEN_LONG 10,000 times; with
// EKIDEN_CRASH_SEED one seed's history again and again, as the order in which
// goroutines run is not the seed's.
func TestCrashPoints(t *testing.T) {
	if s := os.Getenv("EKIDEN_CRASH_SEED"); s != "" {
		again(t, s)
		return
	}
	points, most := 500, 3
	switch n, err := strconv.Atoi(os.Getenv("EKIDEN_CRASH_POINTS")); {
	case err == nil: // TestMutants asks
		points, most = n, 1
	case os.Getenv("EKIDEN_LONG") != "":
		points = 10_000
	case testing.Short():
		points = 50
	}
	failed := 0
	n := search(1, points, nil, func(seed uint64, cuts int, wrong []string) bool {
		failed++
		tell(t, seed, cuts, wrong)
		return failed < most
	})
	t.Logf("%d cuts", n)
}

func tell(t *testing.T, seed uint64, cuts int, wrong []string) {
	t.Errorf("seed %d, after %d cuts; replay with: %s", seed, cuts, replay(seed))
	for _, s := range wrong {
		t.Errorf("  %s", s)
	}
}

// again runs one seed until it fails, at most 200 times.
func again(t *testing.T, s string) {
	seed, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		if cuts, wrong := oneHistory(seed, nil); len(wrong) > 0 {
			t.Logf("failed the %d. time", n+1)
			tell(t, seed, cuts, wrong)
			return
		}
	}
}

// TestEndless is `make crash`: new seeds until it is stopped.
func TestEndless(t *testing.T) {
	if os.Getenv("EKIDEN_CRASH") != "endless" {
		t.Skip("needs no tool: it runs without end, by make crash")
	}
	first := uint64(time.Now().UnixNano())
	for total, failed := 0, 0; ; {
		n := search(first, 2_000, nil, func(seed uint64, _ int, wrong []string) bool {
			failed++
			fmt.Printf("seed %d failed; replay with: %s\n", seed, replay(seed))
			for _, s := range wrong {
				fmt.Printf("  %s\n", s)
			}
			return true
		})
		first += uint64(n)
		total += n
		fmt.Printf("%s: %d cuts, %d failed\n", time.Now().Format(time.TimeOnly), total, failed)
	}
}

package kvtest

import (
	"sync/atomic"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// wake calls those who wait for a shard, each for each commit, and nobody who has
// ended or waits for another.
func wake(t *testing.T, db kv.DB) {
	var a, again, b atomic.Int32
	count := func(n *atomic.Int32) func() { return func() { n.Add(1) } }
	endA := db.Wake(shardA, count(&a))
	endAgain := db.Wake(shardA, count(&again))
	endB := db.Wake(shardB, count(&b))
	set(t, db, shardA, "k", "1")
	set(t, db, shardA, "k", "2")
	endA()
	set(t, db, shardA, "k", "3")
	endAgain()
	endAgain() // twice is once
	set(t, db, shardA, "k", "4")
	if a.Load() != 2 || again.Load() != 3 || b.Load() != 0 {
		t.Errorf("woken %d, %d and %d times, want 2, 3 and 0", a.Load(), again.Load(), b.Load())
	}
	endB()
}

package pebblekv

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// damage counts the looks at what does not fit its checksum. Each is dear, as
// Pebble searches for the bit, and a compaction of level 0 that fails on it is
// tried again at once, without end.
type damage struct {
	mu    sync.Mutex
	told  map[string]bool // files that Options.Damaged was told of
	since time.Time       // of the second that looks are counted in
	looks int
}

// looksASecond is how many looks at damage are free; others wait for the next
// second.
const looksASecond = 5

// damaged hears of a block that does not fit its checksum, wherever it was read.
// Who needs a row of it gets fault.Corrupt; all other rows can be read and
// written. Pebble's own answer would be to end the process, each time anew.
func (db *DB) damaged(i pebble.DataCorruptionInfo) {
	fresh, wait := db.damage.look(i.Path, time.Now())
	if fresh && db.o.Damaged != nil {
		db.o.Damaged(i.Path, i.Details)
	}
	time.Sleep(wait)
}

// look notes one look, and says whether the file is new and how long to wait.
func (d *damage) look(path string, now time.Time) (fresh bool, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.since) >= time.Second {
		d.since, d.looks = now, 0
	}
	if d.looks++; d.looks > looksASecond {
		wait = d.since.Add(time.Second).Sub(now)
	}
	fresh = !d.told[path]
	if d.told == nil {
		d.told = map[string]bool{}
	}
	d.told[path] = true
	return fresh, wait
}

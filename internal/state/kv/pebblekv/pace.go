package pebblekv

import (
	"sync"
	"sync/atomic"
	"time"
)

// A sync costs the disk and the processor the same for one commit as for fifty.
// While many come in, the next sync is put off a little, so that more share it.
const (
	// syncPause is from the end of a sync to the begin of the next, if so many
	// commits come in that the wait is worth its while.
	syncPause = 800 * time.Microsecond
	// syncShare is how many commits must be expected within a syncPause. One client
	// that waits for each of its commits never gets there, and waits for nobody.
	syncShare = 2.0
	// paceMemory is how long a commit counts for the rate.
	paceMemory = 20 * time.Millisecond
)

// pace measures how fast commits come in. Its zero value is ready.
type pace struct {
	commits atomic.Int64

	mu   sync.Mutex
	at   time.Time // the last look
	seen int64     // commits at that look
	rate float64   // commits a second
}

// pause is how long the log waits behind a sync.
func (p *pace) pause() time.Duration { return p.look(time.Now()) }

func (p *pace) look(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, past := p.commits.Load(), now.Sub(p.at)
	if past <= 0 {
		return 0
	}
	weight := min(1, past.Seconds()/paceMemory.Seconds())
	p.rate += weight * (float64(n-p.seen)/past.Seconds() - p.rate)
	p.at, p.seen = now, n
	if p.rate*syncPause.Seconds() < syncShare {
		return 0
	}
	return syncPause
}

package kv

import (
	"context"
	"sync"
)

// Watchers are those who wait for new versions. Every engine has one set. The
// zero value is ready.
type Watchers struct {
	mu     sync.Mutex
	by     map[string]map[*watcher]bool
	closed bool
}

type watcher struct {
	c    chan Version
	last Version
}

// Watch adds a watcher of s until ctx ends.
func (w *Watchers) Watch(ctx context.Context, s Shard) <-chan Version {
	me := &watcher{c: make(chan Version, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		close(me.c)
		return me.c
	}
	if w.by == nil {
		w.by = map[string]map[*watcher]bool{}
	}
	if w.by[string(s)] == nil {
		w.by[string(s)] = map[*watcher]bool{}
	}
	w.by[string(s)][me] = true
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.by[string(s)][me] {
			close(me.c)
			delete(w.by[string(s)], me)
			if len(w.by[string(s)]) == 0 {
				delete(w.by, string(s))
			}
		}
	})
	return me.c
}

// Tell says that s has version v, durably. It does not block: a hint that was
// not fetched yet is replaced.
func (w *Watchers) Tell(s Shard, v Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for me := range w.by[string(s)] {
		if v <= me.last {
			continue // a sync that ended late tells nothing new
		}
		me.last = v
		select {
		case <-me.c:
		default:
		}
		me.c <- v
	}
}

// Close closes every channel.
func (w *Watchers) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, set := range w.by {
		for me := range set {
			close(me.c)
		}
	}
	w.by = nil
}

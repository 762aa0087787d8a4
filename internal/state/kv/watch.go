package kv

import (
	"context"
	"slices"
	"sync"
)

// Watchers are those who wait for new versions. Every engine has one set. The
// zero value is ready.
type Watchers struct {
	mu     sync.Mutex
	by     map[string][]*watcher
	closed bool
}

// watcher has one of the two.
type watcher struct {
	c    chan Version
	wake func()
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
	w.add(s, me)
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.remove(s, me) {
			close(me.c)
		}
	})
	return me.c
}

// Wake has wake called for new versions of s, until end.
func (w *Watchers) Wake(s Shard, wake func()) (end func()) {
	me := &watcher{wake: wake}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(s, me)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.remove(s, me)
	}
}

func (w *Watchers) add(s Shard, me *watcher) {
	if w.by == nil {
		w.by = map[string][]*watcher{}
	}
	w.by[string(s)] = append(w.by[string(s)], me)
}

// remove takes a watcher out, and says whether it was there.
func (w *Watchers) remove(s Shard, me *watcher) bool {
	all := w.by[string(s)]
	i := slices.Index(all, me)
	switch {
	case i < 0:
		return false
	case len(all) == 1:
		delete(w.by, string(s))
	default:
		w.by[string(s)] = slices.Delete(all, i, i+1)
	}
	return true
}

// Tell says that s has version v, durably. It does not block: a hint that was
// not fetched yet is replaced.
func (w *Watchers) Tell(s Shard, v Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, me := range w.by[string(s)] {
		if v <= me.last {
			continue // a sync that ended late tells nothing new
		}
		if me.last = v; me.wake != nil {
			me.wake()
			continue
		}
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
	for _, all := range w.by {
		for _, me := range all {
			if me.c != nil {
				close(me.c)
			}
		}
	}
	w.by = nil
}

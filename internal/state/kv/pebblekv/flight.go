package pebblekv

import (
	"bytes"
	"context"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// A flight is a commit from just before it is visible until it is durable.
type flight struct {
	done     chan struct{} // closed when it is durable
	shards   []shardVersion
	keys     []string   // of rows that lie in no shard
	ranges   []kv.Range // of such rows, cleared
	waitsFor []*flight  // instead of all that: it wrote nothing
}

type shardVersion struct {
	shard   kv.Shard
	version kv.Version
}

func newFlight() *flight { return &flight{done: make(chan struct{})} }

// flights are those under way. The log is one, so a commit that is durable makes
// all before it durable too.
type flights struct {
	mu     sync.Mutex
	flying map[*flight]bool
	shards map[string][]*flight // in the order of versions
	keys   map[string][]*flight
	clears map[*flight]bool // those with ranges
}

func (f *flights) start(x *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flying == nil {
		f.flying, f.clears = map[*flight]bool{}, map[*flight]bool{}
		f.shards, f.keys = map[string][]*flight{}, map[string][]*flight{}
	}
	f.flying[x] = true
	for _, s := range x.shards {
		f.shards[string(s.shard)] = append(f.shards[string(s.shard)], x)
	}
	for _, k := range x.keys {
		f.keys[k] = append(f.keys[k], x)
	}
	if len(x.ranges) > 0 {
		f.clears[x] = true
	}
}

func (f *flights) land(x *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.flying, x)
	delete(f.clears, x)
	for _, s := range x.shards {
		without(f.shards, string(s.shard), x)
	}
	for _, k := range x.keys {
		without(f.keys, k, x)
	}
	close(x.done)
}

// without takes x out of a list, and a list that is empty out of the map.
func without(m map[string][]*flight, k string, x *flight) {
	kept := m[k][:0]
	for _, y := range m[k] {
		if y != x {
			kept = append(kept, y)
		}
	}
	if len(kept) == 0 {
		delete(m, k)
		return
	}
	m[k] = kept
}

// any says whether a commit to s is under way.
func (f *flights) any(s kv.Shard) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.shards[string(s)]) > 0
}

// at finds the commit that made version v of s, if it is under way.
func (f *flights) at(s kv.Shard, v kv.Version) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.shards[string(s)] {
		for _, made := range x.shards {
			if made.version == v && bytes.Equal(made.shard, s) {
				return x
			}
		}
	}
	return nil
}

// before finds what a transaction that holds the locks may have read.
func (f *flights) before(fence *kv.Fence) []*flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := []*flight{} // not nil
	for _, s := range fence.Shards {
		if list := f.shards[string(s)]; len(list) > 0 {
			found = append(found, list[len(list)-1])
		}
	}
	for x := range f.flying {
		if fence.Loose && (len(x.keys) > 0 || len(x.ranges) > 0) {
			found = append(found, x)
		}
	}
	return found
}

// key finds those that write the row k, which lies in no shard.
func (f *flights) key(k []byte) []*flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := append([]*flight(nil), f.keys[string(k)]...)
	for x := range f.clears {
		for _, r := range x.ranges {
			if bytes.Compare(r.From, k) <= 0 && bytes.Compare(k, r.To) < 0 {
				found = append(found, x)
			}
		}
	}
	return found
}

// span finds those that write rows of q, which lie in no shard.
func (f *flights) span(q kv.Range) []*flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []*flight
	from, to := string(q.From), string(q.To)
	for k, list := range f.keys {
		if from <= k && k < to {
			found = append(found, list...)
		}
	}
	for x := range f.clears {
		for _, r := range x.ranges {
			if bytes.Compare(r.From, q.To) < 0 && bytes.Compare(q.From, r.To) < 0 {
				found = append(found, x)
			}
		}
	}
	return found
}

func (f *flights) all() []*flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []*flight
	for x := range f.flying {
		found = append(found, x)
	}
	return found
}

// life counts what is going on, so that Close can wait for it, and remembers a
// failure.
type life struct {
	mu     sync.Mutex
	idle   sync.Cond
	active int
	ended  bool
	err    error
}

func (l *life) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap("pebblekv", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return fault.New(fault.Unavailable, "pebblekv", "the server is stopping; please try again later")
	}
	if l.err != nil {
		return fault.As(fault.Unavailable, "pebblekv", l.err)
	}
	l.active++
	return nil
}

func (l *life) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active--; l.active == 0 {
		l.idle.Broadcast()
	}
}

// end waits until nothing is going on. It says whether it was the first.
func (l *life) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended = true
	for l.active > 0 {
		l.idle.Wait()
	}
	return true
}

// fail remembers the first failure and says whether it is that.
func (l *life) fail(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.err == nil
	if first {
		l.err = err
	}
	return first
}

// over says that nothing can be asked any more.
func (l *life) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended || l.err != nil
}

func (l *life) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return fault.As(fault.Unavailable, "pebblekv", l.err)
	}
	return nil
}

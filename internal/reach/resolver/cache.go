package resolver

import (
	"sync"
	"time"
)

// shards is into how many parts a cache is divided, each with its own lock.
const shards = 16

// sized is what a cache holds: it knows about how many octets it takes, and notes its use.
type sized interface {
	size() int
	use()
	unused() bool // since the last call
}

// store is a cache bounded in octets. When it is full it forgets what was not asked
// for since it last looked (second chance); what is asked for stays.
type store[K comparable, V sized] struct {
	max  int // octets of one shard
	hash func(K) uint64

	hashBytes func([]byte) uint64 // of a key that is a string; nil: it is not asked for so
	parts     [shards]part[K, V]
}

type part[K comparable, V sized] struct {
	mu    sync.RWMutex
	byKey map[K]V
	queue []K // in the order they came, or were last spared
	held  int // octets
}

func newStore[K comparable, V sized](octets int, hash func(K) uint64) *store[K, V] {
	s := &store[K, V]{max: max(octets/shards, 1<<12), hash: hash}
	for i := range s.parts {
		s.parts[i].byKey = map[K]V{}
	}
	return s
}

func (s *store[K, V]) part(k K) *part[K, V] {
	return &s.parts[s.hash(k)%shards]
}

func (s *store[K, V]) get(k K) (V, bool) {
	p := s.part(k)
	p.mu.RLock()
	v, ok := p.byKey[k]
	p.mu.RUnlock()
	if ok {
		v.use()
	}
	return v, ok
}

func (s *store[K, V]) put(k K, v V) {
	n := v.size()
	if n > s.max {
		return
	}
	p := s.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.byKey[k]; ok {
		p.held -= old.size()
	} else {
		p.queue = append(p.queue, k)
	}
	p.byKey[k] = v
	p.held += n
	for spare := len(p.queue); p.held > s.max && len(p.queue) > 1; {
		first := p.queue[0]
		p.queue = p.queue[1:]
		old, ok := p.byKey[first]
		switch {
		case !ok: // forgotten already
		case first == k, spare > 0 && !old.unused():
			p.queue = append(p.queue, first)
			spare--
		default:
			delete(p.byKey, first)
			p.held -= old.size()
		}
	}
}

func (s *store[K, V]) forget(k K) {
	p := s.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.byKey[k]; ok {
		delete(p.byKey, k)
		p.held -= old.size()
	}
}

// sweep forgets what gone says of.
func (s *store[K, V]) sweep(gone func(V) bool) {
	for i := range s.parts {
		p := &s.parts[i]
		p.mu.Lock()
		kept := p.queue[:0]
		for _, k := range p.queue {
			v, ok := p.byKey[k]
			switch {
			case !ok:
			case gone(v):
				delete(p.byKey, k)
				p.held -= v.size()
			default:
				kept = append(kept, k)
			}
		}
		p.queue = kept
		p.mu.Unlock()
	}
}

// held is how many octets are held, and entries.
func (s *store[K, V]) held() (octets, entries int) {
	for i := range s.parts {
		p := &s.parts[i]
		p.mu.RLock()
		octets += p.held
		entries += len(p.byKey)
		p.mu.RUnlock()
	}
	return octets, entries
}

func (s *step) use() {
	if !s.used.Load() {
		s.used.Store(true)
	}
}

func (s *step) unused() bool { return !s.used.Swap(false) }

// bounded is a small map with an end of life for each entry; beyond its size it
// forgets any.
type bounded[K comparable, V any] struct {
	mu    sync.Mutex
	max   int
	byKey map[K]aging[V]
}

type aging[V any] struct {
	v     V
	until time.Time
}

func newBounded[K comparable, V any](size int) *bounded[K, V] {
	return &bounded[K, V]{max: size, byKey: map[K]aging[V]{}}
}

func (b *bounded[K, V]) get(k K, now time.Time) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.byKey[k]
	if ok && !now.Before(a.until) {
		delete(b.byKey, k)
		ok = false
	}
	if !ok {
		var none V
		return none, false
	}
	return a.v, true
}

func (b *bounded[K, V]) put(k K, v V, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.byKey[k]; !there && len(b.byKey) >= b.max {
		for other := range b.byKey {
			delete(b.byKey, other)
			break
		}
	}
	b.byKey[k] = aging[V]{v, until}
}

func (b *bounded[K, V]) forget(k K) {
	b.mu.Lock()
	delete(b.byKey, k)
	b.mu.Unlock()
}

// getBytes is get with a key that need not be kept.
func getBytes[V sized](s *store[string, V], k []byte) (V, bool) {
	p := &s.parts[s.hashBytes(k)%shards]
	p.mu.RLock()
	v, ok := p.byKey[string(k)]
	p.mu.RUnlock()
	if ok {
		v.use()
	}
	return v, ok
}

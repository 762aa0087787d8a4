// Package limit holds rates and counts by key, in memory and bounded; the
// caller gives the time.
package limit

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Key is what an address is counted under: itself in IPv4, its /64 in IPv6,
// since one customer holds at least that. The zero Addr gives the zero Prefix.
func Key(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// Network is what the neighbours of an address are counted under together: its
// /24 in IPv4, its /48 in IPv6, which is what a site gets. The zero Addr gives
// the zero Prefix.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits)
	return p
}

// Rate allows Burst at once, and Burst more in each Per, evenly.
type Rate struct {
	Burst int
	Per   time.Duration
}

// Buckets are token buckets by key. They may be used by many goroutines.
type Buckets[K comparable] struct {
	mu   sync.Mutex
	rate Rate
	size int
	keys map[K]*list.Element
	used *list.List // of *bucket[K]; the one used last is in front
}

// A bucket holds no count: full is the moment at which it will be full again,
// from which the tokens at any moment follow. One in the past is as good as
// none.
type bucket[K comparable] struct {
	key  K
	full time.Time
}

// NewBuckets makes buckets of rate r for at most size keys. The key unused
// longest is forgotten first, which is in its favour.
func NewBuckets[K comparable](r Rate, size int) *Buckets[K] {
	return &Buckets[K]{rate: r, size: max(size, 1), keys: map[K]*list.Element{}, used: list.New()}
}

// Take takes n tokens of k's bucket. If they are not there it takes none and
// says how long it will be until they are. More than Burst are never there:
// then the wait is until the bucket is full.
func (b *Buckets[K]) Take(now time.Time, k K, n int) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate.Burst <= 0 || b.rate.Per <= 0 {
		return 0, true
	}
	full := now
	e, known := b.keys[k]
	if known {
		b.used.MoveToFront(e)
		if t := e.Value.(*bucket[K]).full; t.After(now) {
			full = t
		}
	}
	after := full.Add(time.Duration(float64(b.rate.Per) * float64(n) / float64(b.rate.Burst)))
	if over := after.Sub(now) - b.rate.Per; over > 0 {
		return min(over, full.Sub(now)), false
	}
	if known {
		e.Value.(*bucket[K]).full = after
		return 0, true
	}
	b.forget(now)
	b.keys[k] = b.used.PushFront(&bucket[K]{key: k, full: after})
	return 0, true
}

// Has says whether Take would find n tokens, and takes none.
func (b *Buckets[K]) Has(now time.Time, k K, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, known := b.keys[k]
	if !known || b.rate.Burst <= 0 || b.rate.Per <= 0 {
		return true
	}
	need := time.Duration(float64(b.rate.Per) * float64(n) / float64(b.rate.Burst))
	return e.Value.(*bucket[K]).full.Sub(now)+need <= b.rate.Per
}

// forget makes room for one more key. It looks at the two that were used
// longest ago, so that what is full again goes away by and by without a sweep.
func (b *Buckets[K]) forget(now time.Time) {
	for range 2 {
		e := b.used.Back()
		if e == nil {
			return
		}
		old := e.Value.(*bucket[K])
		if len(b.keys) < b.size && old.full.After(now) {
			return
		}
		b.used.Remove(e)
		delete(b.keys, old.key)
	}
}

// Len says how many keys are held.
func (b *Buckets[K]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.keys)
}

// Counts are how many of something each key holds now, with a bound for a key
// and one for all. They may be used by many goroutines.
type Counts[K comparable] struct {
	mu            sync.Mutex
	perKey, total int
	sum           int
	held          map[K]int
}

// NewCounts makes counts; a bound of zero is none.
func NewCounts[K comparable](perKey, total int) *Counts[K] {
	return &Counts[K]{perKey: perKey, total: total, held: map[K]int{}}
}

// Acquire adds one for k, unless a bound is reached.
func (c *Counts[K]) Acquire(k K) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total > 0 && c.sum >= c.total || c.perKey > 0 && c.held[k] >= c.perKey {
		return false
	}
	c.sum++
	c.held[k]++
	return true
}

// Release gives back one that was acquired for k.
func (c *Counts[K]) Release(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[k] == 0 {
		return
	}
	c.sum--
	if c.held[k]--; c.held[k] == 0 {
		delete(c.held, k)
	}
}

// Held says how many k holds.
func (c *Counts[K]) Held(k K) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[k]
}

// Total says how many are held by all keys together.
func (c *Counts[K]) Total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sum
}

package kv

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// NoShard is what Fence calls the place of a row that lies in no shard.
const NoShard = -1

// Fence keeps one transaction inside its shards and limits. Every engine uses
// it, so that all of them refuse the same things. The first offence sticks.
type Fence struct {
	Shards []Shard // in order, each once
	Wrote  []bool  // by index in Shards
	Loose  bool    // rows that lie in no shard were read or written

	open   bool // such rows are within reach
	dirty  bool // anything was written
	writes int
	size   int
	err    error
}

// NewFence is for an Update over shards.
func NewFence(shards []Shard) *Fence {
	f := &Fence{open: true}
	f.Shards = slices.CompactFunc(slices.SortedFunc(slices.Values(shards), compareShards),
		func(a, b Shard) bool { return bytes.Equal(a, b) })
	f.Wrote = make([]bool, len(f.Shards))
	for i, s := range f.Shards {
		switch {
		case len(s) == 0, s[0] == 0, len(s) > MaxKey, bytes.HasPrefix(s, []byte(Loose)):
			f.Fail(fault.As(fault.Internal, "kv", fmt.Errorf("not a shard: %.80q", s)))
		case i > 0 && bytes.HasPrefix(s, f.Shards[i-1]):
			f.Fail(fault.As(fault.Internal, "kv", fmt.Errorf("shard %.80q lies in %.80q", s, f.Shards[i-1])))
		}
	}
	return f
}

// NewViewFence is for a View of s, nil for the rows that lie in no shard.
func NewViewFence(s Shard) *Fence {
	if s == nil {
		return &Fence{open: true}
	}
	f := NewFence([]Shard{s})
	f.open = false
	return f
}

func compareShards(a, b Shard) int { return bytes.Compare(a, b) }

// Fail makes the transaction fail, unless it has failed already.
func (f *Fence) Fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// Err is the first offence.
func (f *Fence) Err() error { return f.err }

// Dirty says whether anything was written.
func (f *Fence) Dirty() bool { return f.dirty }

// Index finds s among the shards named, NoShard if it is not.
func (f *Fence) Index(s Shard) int {
	for i, named := range f.Shards {
		if bytes.Equal(named, s) {
			return i
		}
	}
	return NoShard
}

// Named says whether s is one of the transaction's shards.
func (f *Fence) Named(s Shard) bool {
	if f.Index(s) != NoShard {
		return true
	}
	f.Fail(fault.As(fault.Internal, "kv", fmt.Errorf("shard not named: %.80q", s)))
	return false
}

// place finds the shard that all keys with prefix key lie in.
func (f *Fence) place(key []byte) (int, bool) {
	for i, s := range f.Shards {
		if bytes.HasPrefix(key, s) {
			return i, true
		}
	}
	if f.open && bytes.HasPrefix(key, []byte(Loose)) {
		f.Loose = true
		return NoShard, true
	}
	f.Fail(fault.As(fault.Internal, "kv", fmt.Errorf("key outside the transaction's shards: %.80q", key)))
	return NoShard, false
}

// Key says whether key may be read.
func (f *Fence) Key(key []byte) bool {
	_, ok := f.Place(key)
	return ok
}

// Place says whether key may be read, and which of Shards it lies in: NoShard if
// in none.
func (f *Fence) Place(key []byte) (shard int, ok bool) {
	if len(key) > MaxKey {
		f.tooLarge("a key")
		return NoShard, false
	}
	i, ok := f.place(key)
	return i, ok && f.err == nil
}

// Range says whether r may be read: both its ends lie in one shard.
func (f *Fence) Range(r Range) bool { _, ok := f.rangePlace(r); return ok && f.err == nil }

func (f *Fence) rangePlace(r Range) (int, bool) {
	if len(r.From) > MaxKey || len(r.To) > MaxKey {
		f.tooLarge("a key")
		return NoShard, false
	}
	i, ok := f.place(r.From)
	if !ok {
		return i, false
	}
	whole := []byte(Loose)
	if i != NoShard {
		whole = f.Shards[i]
	}
	// A range may end where its shard does.
	if r.To == nil || bytes.Compare(r.To, PrefixEnd(whole)) > 0 {
		f.Fail(fault.As(fault.Internal, "kv", fmt.Errorf("range beyond its shard: %.80q to %.80q", r.From, r.To)))
		return i, false
	}
	return i, true
}

// Set says whether the row may be written, and counts it.
func (f *Fence) Set(key, value []byte) bool {
	if len(value) > MaxValue {
		f.tooLarge("a value")
		return false
	}
	return f.Key(key) && f.count(key, len(key)+len(value))
}

// Delete says whether the row may be deleted, and counts it.
func (f *Fence) Delete(key []byte) bool { return f.Key(key) && f.count(key, len(key)) }

// Clear says whether the rows of r may be deleted. It counts as one write.
func (f *Fence) Clear(r Range) bool {
	return f.Range(r) && f.count(r.From, len(r.From)+len(r.To))
}

func (f *Fence) count(key []byte, size int) bool {
	f.writes++
	f.size += size
	if f.writes > MaxWrites || f.size > MaxTxBytes {
		f.tooLarge("a transaction")
		return false
	}
	if i, _ := f.place(key); i != NoShard {
		f.Wrote[i] = true
	}
	f.dirty = true
	return true
}

func (f *Fence) tooLarge(what string) {
	f.Fail(fault.As(fault.TooLarge, "kv", fmt.Errorf("%s over the limit", what)))
}

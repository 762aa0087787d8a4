package pebblekv

import (
	"hash/maphash"
	"sync"
)

// stripes is how many locks the shards share.
const stripes = 1024

// The rows that a stripe keeps at hand: the few that each commit to a shard reads
// and writes again (its version, an account's counts, the mailbox that grows).
const (
	recentRow   = 2 << 10  // octets of the largest row kept
	recentBytes = 16 << 10 // octets kept in a stripe
)

// A stripe is the lock of the shards that hash to it and the rows of theirs that
// Updates have read lately. Only who holds the lock writes these rows, so what is
// kept is what the database holds; Pebble would find them as well, at the cost of
// a search through its memtables and tables.
type stripe struct {
	sync.Mutex
	rows  map[string][]byte
	bytes int
}

func (s *stripe) get(key []byte) ([]byte, bool) {
	v, ok := s.rows[string(key)]
	return v, ok
}

func (s *stripe) has(key []byte) bool {
	_, ok := s.rows[string(key)]
	return ok
}

// add keeps a row that was read. A stripe that is full begins anew.
func (s *stripe) add(key, value []byte) {
	if len(value) > recentRow {
		return
	}
	if s.bytes += len(key) + len(value); s.rows == nil || s.bytes > recentBytes {
		s.rows, s.bytes = map[string][]byte{}, len(key)+len(value)
	}
	s.rows[string(key)] = clone(value)
}

// put takes a commit's write to a row that is kept; nil deletes it.
func (s *stripe) put(key string, value []byte) {
	old, ok := s.rows[key]
	switch {
	case !ok: // given up since it was read
	case value == nil || len(value) > recentRow:
		delete(s.rows, key)
		s.bytes -= len(key) + len(old)
	default:
		s.rows[key] = value
		s.bytes += len(value) - len(old)
	}
}

// drop forgets all rows: a range of them was cleared.
func (s *stripe) drop() { s.rows, s.bytes = nil, 0 }

// written is what a transaction has done to its rows, as far as reading them
// again needs to know.
type written struct {
	seed    maphash.Seed
	bits    [8]uint64 // of a Bloom filter over the keys
	cleared bool
	puts    []rewrite // to rows that are kept, in order
}

type rewrite struct {
	stripe *stripe
	key    string
	value  []byte
}

func (w *written) note(key []byte) {
	h := maphash.Bytes(w.seed, key)
	w.bits[h>>6&7] |= 1 << (h & 63)
}

// may says whether the transaction may have written the row itself.
func (w *written) may(key []byte) bool {
	if w.cleared {
		return true
	}
	h := maphash.Bytes(w.seed, key)
	return w.bits[h>>6&7]&(1<<(h&63)) != 0
}

// kept makes what the commit wrote true of the rows at hand.
func (w *written) kept(stripes []*stripe) {
	if w.cleared {
		for _, s := range stripes {
			s.drop()
		}
		return
	}
	for _, p := range w.puts {
		p.stripe.put(p.key, p.value)
	}
}

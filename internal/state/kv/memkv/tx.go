package memkv

import (
	"bytes"
	"iter"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// reader reads one root.
type reader struct {
	root  *node
	fence *kv.Fence
}

// Get gives a row's value.
func (r *reader) Get(key []byte) ([]byte, bool, error) {
	if !r.fence.Key(key) {
		return nil, false, r.fence.Err()
	}
	v, ok := r.root.get(key)
	return clone(v, ok), ok, nil
}

// clone makes of a value one that is the caller's; an empty one is not nil.
func clone(v []byte, ok bool) []byte {
	if !ok {
		return nil
	}
	return append(make([]byte, 0, len(v)), v...)
}

// GetMany gives the values of keys.
func (r *reader) GetMany(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, k := range keys {
		v, _, err := r.Get(k)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// Each calls found for each of keys that is there.
func (r *reader) Each(keys [][]byte, found func(i int, value []byte) error) error {
	values, err := r.GetMany(keys)
	for i, v := range values {
		if err != nil {
			return err
		}
		if v != nil {
			err = found(i, v)
			spoil(v) // as with what Scan lends
		}
	}
	return err
}

// Scan gives the rows of a range.
func (r *reader) Scan(q kv.Range) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		if !r.fence.Range(q) {
			yield(kv.Pair{}, r.fence.Err())
			return
		}
		n := 0
		r.root.each(q.From, q.To, q.Reverse, func(row *node) bool {
			n++
			p := kv.Pair{Key: bytes.Clone(row.key), Value: clone(row.value, true)}
			more := yield(p, nil) && n != q.Limit
			if q.Borrow { // who keeps what was lent shall find out
				spoil(p.Key)
				spoil(p.Value)
			}
			return more
		})
	}
}

func spoil(b []byte) {
	for i := range b {
		b[i] = 0xaa
	}
}

// Version is a shard's version.
func (r *reader) Version(s kv.Shard) kv.Version {
	if !r.fence.Named(s) {
		return 0
	}
	return r.root.version(s)
}

// tx writes into a root of its own, so that it reads its writes, and keeps them
// to be done again on the root that is there when it commits.
type tx struct {
	reader
	base   *node
	writes []func(*node) *node
}

func (t *tx) write(w func(*node) *node) {
	t.root = w(t.root)
	t.writes = append(t.writes, w)
}

// Set writes a row.
func (t *tx) Set(key, value []byte) {
	if t.fence.Set(key, value) {
		key, value = bytes.Clone(key), clone(value, true)
		t.write(func(n *node) *node { return n.set(key, value) })
	}
}

// Delete removes a row, if it is there.
func (t *tx) Delete(key []byte) {
	if t.fence.Delete(key) {
		key = bytes.Clone(key)
		t.write(func(n *node) *node { return n.delete(key) })
	}
}

// Clear removes the rows of a range.
func (t *tx) Clear(r kv.Range) {
	if t.fence.Clear(r) {
		r.From, r.To = bytes.Clone(r.From), bytes.Clone(r.To)
		t.write(func(n *node) *node { return n.clear(r) })
	}
}

// Next is the version that this commit will give s.
func (t *tx) Next(s kv.Shard) kv.Version { return t.Version(s) + 1 }

// Fail makes the transaction fail.
func (t *tx) Fail(err error) { t.fence.Fail(err) }

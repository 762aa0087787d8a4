package pebblekv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Our own rows lie before all shards.
const versionPrefix = "\x00v"

func versionKey(s kv.Shard) []byte { return append([]byte(versionPrefix), s...) }

func encodeVersion(v kv.Version) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

func decodeVersion(b []byte) kv.Version {
	if len(b) != 8 {
		return 0
	}
	return kv.Version(binary.BigEndian.Uint64(b))
}

// reader reads a snapshot or a batch over the database.
type reader struct {
	r       pebble.Reader
	fence   *kv.Fence
	flights *flights // those to wait for, in a View of rows that lie in no shard
}

// wrong gives an engine's failure a kind.
func wrong(err error) error {
	if pebble.IsCorruptionError(err) {
		return fault.As(fault.Corrupt, "pebblekv", err)
	}
	return fault.As(fault.Unavailable, "pebblekv", err)
}

func (r *reader) get(key []byte) ([]byte, bool, error) {
	v, closer, err := r.r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, wrong(err)
	}
	value := clone(v)
	return value, true, closer.Close()
}

// clone makes of a value one that is the caller's; an empty one is not nil.
func clone(v []byte) []byte { return append(make([]byte, 0, len(v)), v...) }

// Get gives a row's value.
func (r *reader) Get(key []byte) ([]byte, bool, error) {
	if !r.may(key) {
		return nil, false, r.fence.Err()
	}
	return r.get(key)
}

// may says whether a row may be read. One that lies in no shard waits until what
// is seen of it is durable.
func (r *reader) may(key []byte) bool {
	if !r.fence.Key(key) {
		return false
	}
	if r.flights != nil {
		for _, f := range r.flights.key(key) {
			<-f.done
		}
	}
	return true
}

// GetMany gives the values of keys.
func (r *reader) GetMany(keys [][]byte) ([][]byte, error) {
	for _, k := range keys {
		if !r.may(k) {
			return nil, r.fence.Err()
		}
	}
	return r.lookUp(keys)
}

// Each calls found for each of keys that is there.
func (r *reader) Each(keys [][]byte, found func(i int, value []byte) error) error {
	for _, k := range keys {
		if !r.may(k) {
			return r.fence.Err()
		}
	}
	return r.seek(keys, found)
}

// lookUp gives the values of keys, nil where there is none.
func (r *reader) lookUp(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := r.seek(keys, func(i int, v []byte) error {
		values[i] = clone(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// seek lends the values of keys. Unlike get it asks the filters of the last level
// too: Pebble leaves them out where a row is expected to be there, and then reads
// a block to learn that it is not.
func (r *reader) seek(keys [][]byte, found func(i int, value []byte) error) error {
	if len(keys) == 0 {
		return nil
	}
	it, err := r.r.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return wrong(err)
	}
	for i, k := range keys {
		if !it.SeekPrefixGE(k) {
			continue // Close tells if that is a failure
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return wrong(errors.Join(err, it.Close()))
		}
		if err := found(i, v); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	if err := it.Close(); err != nil {
		return wrong(err)
	}
	return nil
}

// Scan gives the rows of a range.
func (r *reader) Scan(q kv.Range) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		if !r.fence.Range(q) {
			yield(kv.Pair{}, r.fence.Err())
			return
		}
		if bytes.Compare(q.From, q.To) >= 0 {
			return
		}
		if r.flights != nil {
			for _, f := range r.flights.span(q) {
				<-f.done
			}
		}
		if err := r.scan(q, yield); err != nil {
			yield(kv.Pair{}, wrong(err))
		}
	}
}

func (r *reader) scan(q kv.Range, yield func(kv.Pair, error) bool) (err error) {
	it, err := r.r.NewIter(&pebble.IterOptions{LowerBound: q.From, UpperBound: q.To})
	if err != nil {
		return err
	}
	stopped := false
	defer func() { // also when the loop's body panics
		if e := it.Close(); err == nil && !stopped {
			err = e
		}
	}()
	first, next := it.First, it.Next
	if q.Reverse {
		first, next = it.Last, it.Prev
	}
	n := 0
	for ok := first(); ok; ok = next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		n++
		p := kv.Pair{Key: it.Key(), Value: v}
		if !q.Borrow {
			p = kv.Pair{Key: bytes.Clone(p.Key), Value: clone(v)}
		}
		if stopped = !yield(p, nil); stopped || n == q.Limit {
			return nil
		}
	}
	return nil // what ended the iteration early, Close tells
}

// Version is a shard's version.
func (r *reader) Version(s kv.Shard) kv.Version {
	if !r.fence.Named(s) {
		return 0
	}
	v, _, err := r.get(versionKey(s))
	if err != nil {
		r.fence.Fail(err)
	}
	return decodeVersion(v)
}

// tx writes into a batch, in the name of who holds the stripes' locks.
type tx struct {
	reader            // over the batch, and through it the database
	below   reader    // the database alone
	stripes []*stripe // of the fence's shards
	written written
	batch   *pebble.Batch
	keys    []string   // written, of rows that lie in no shard
	ranges  []kv.Range // cleared, of such rows
}

// Get gives a row's value: as the transaction wrote it, as it is at hand, or as
// the database has it.
func (t *tx) Get(key []byte) ([]byte, bool, error) {
	i, ok := t.fence.Place(key)
	if !ok {
		return nil, false, t.fence.Err()
	}
	return t.find(i, key)
}

func (t *tx) find(shard int, key []byte) ([]byte, bool, error) {
	if t.written.may(key) {
		return t.get(key)
	}
	if shard == kv.NoShard {
		return t.below.get(key)
	}
	s := t.stripes[shard]
	if v, ok := s.get(key); ok {
		return clone(v), true, nil
	}
	v, ok, err := t.below.get(key)
	if ok {
		s.add(key, v)
	}
	return v, ok, err
}

// GetMany gives the values of keys. Rows that are looked for together seldom are
// those of every commit: none is kept at hand.
func (t *tx) GetMany(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	var below [][]byte
	var at []int
	for i, k := range keys {
		shard, ok := t.fence.Place(k)
		if !ok {
			return nil, t.fence.Err()
		}
		if !t.written.may(k) && (shard == kv.NoShard || !t.stripes[shard].has(k)) {
			below, at = append(below, k), append(at, i)
			continue
		}
		v, _, err := t.find(shard, k)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	found, err := t.below.lookUp(below)
	if err != nil {
		return nil, err
	}
	for n, i := range at {
		values[i] = found[n]
	}
	return values, nil
}

// Each calls found for each of keys that is there.
func (t *tx) Each(keys [][]byte, found func(i int, value []byte) error) error {
	values, err := t.GetMany(keys)
	for i, v := range values {
		if err == nil && v != nil {
			err = found(i, v)
		}
	}
	return err
}

// Version is a shard's version.
func (t *tx) Version(s kv.Shard) kv.Version {
	if !t.fence.Named(s) {
		return 0
	}
	v, _, err := t.find(t.fence.Index(s), versionKey(s))
	if err != nil {
		t.fence.Fail(err)
	}
	return decodeVersion(v)
}

// atHand notes a write to a row. It gives the stripe that keeps the row, if one
// does.
func (t *tx) atHand(key []byte) *stripe {
	t.written.note(key)
	if i, _ := t.fence.Place(key); i != kv.NoShard && t.stripes[i].has(key) {
		return t.stripes[i]
	}
	return nil
}

// bump writes the version that the commit gives shard i.
func (t *tx) bump(i int) (shardVersion, error) {
	s := t.fence.Shards[i]
	next := t.Next(s)
	key, value := versionKey(s), encodeVersion(next)
	t.written.puts = append(t.written.puts, rewrite{t.stripes[i], string(key), value})
	return shardVersion{s, next}, t.batch.Set(key, value, nil)
}

// check takes in what a write to the batch returned.
func (t *tx) check(err error) {
	if err != nil {
		t.fence.Fail(wrong(err))
	}
}

func (t *tx) noteKey(key []byte) {
	if bytes.HasPrefix(key, []byte(kv.Loose)) {
		t.keys = append(t.keys, string(key))
	}
}

// Set writes a row.
func (t *tx) Set(key, value []byte) {
	if t.fence.Set(key, value) {
		t.noteKey(key)
		if h := t.atHand(key); h != nil {
			t.written.puts = append(t.written.puts, rewrite{h, string(key), clone(value)})
		}
		t.check(t.batch.Set(key, value, nil))
	}
}

// Delete removes a row, if it is there.
func (t *tx) Delete(key []byte) {
	if t.fence.Delete(key) {
		t.noteKey(key)
		if h := t.atHand(key); h != nil {
			t.written.puts = append(t.written.puts, rewrite{stripe: h, key: string(key)})
		}
		t.check(t.batch.Delete(key, nil))
	}
}

// clearOneByOne is up to how many rows Clear deletes each by itself: every range
// tombstone makes later reads dearer.
const clearOneByOne = 64

// Clear removes the rows of a range.
func (t *tx) Clear(r kv.Range) {
	if !t.fence.Clear(r) || bytes.Compare(r.From, r.To) >= 0 {
		return
	}
	t.written.cleared = true
	r = kv.Range{From: bytes.Clone(r.From), To: bytes.Clone(r.To), Limit: clearOneByOne + 1}
	loose := bytes.HasPrefix(r.From, []byte(kv.Loose))
	if loose {
		t.ranges = append(t.ranges, r)
	}
	var keys [][]byte
	for p, err := range t.Scan(r) {
		if err != nil {
			t.check(err)
			return
		}
		keys = append(keys, p.Key)
	}
	// A row that lies in no shard may be written by others meanwhile.
	if loose || len(keys) > clearOneByOne {
		t.check(t.batch.DeleteRange(r.From, r.To, nil))
		return
	}
	for _, k := range keys {
		t.check(t.batch.Delete(k, nil))
	}
}

// Next is the version that this commit will give s.
func (t *tx) Next(s kv.Shard) kv.Version { return t.Version(s) + 1 }

// Fail makes the transaction fail.
func (t *tx) Fail(err error) { t.fence.Fail(err) }

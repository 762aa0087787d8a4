package search

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// verified is an index of several segments, one of them of many pieces.
func verified(t *testing.T) *Store {
	t.Helper()
	ctx := context.Background()
	s := New(memkv.New(memkv.Options{}))
	for id := uint64(1); id <= fanOut+2; id++ {
		b := NewBatch(id - 1)
		raw := []byte("Subject: all of them\r\n\r\n")
		for i := range 1500 {
			raw = fmt.Appendf(raw, "word%dx%d also%d 東京%d\r\n", id, i, i, id)
		}
		if err := b.Add(id, message.ParseBytes(raw), bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(ctx, 1, b, id); err != nil {
			t.Fatal(err)
		}
		for more := true; more; {
			var err error
			if more, err = s.Merge(ctx, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func verify(t *testing.T, s *Store) Verified {
	t.Helper()
	v, err := s.Verify(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVerify takes every row away, makes it shorter and longer, and changes its
// first octet: each of that is found.
func TestVerify(t *testing.T) {
	s := verified(t)
	v := verify(t, s)
	if len(v.Problems) > 0 || v.UpTo != fanOut+2 || !slices.Equal(v.Spans, [][2]uint64{{1, fanOut + 1}, {fanOut + 1, fanOut + 2}, {fanOut + 2, fanOut + 3}}) {
		t.Fatalf("%+v", v)
	}
	ctx, shard := context.Background(), kv.SearchShard(1)
	var rows []kv.Pair
	err := s.db.View(ctx, shard, func(r kv.Reader) error {
		for p, err := range r.Scan(kv.Prefix(shard)) {
			if err != nil {
				return err
			}
			rows = append(rows, p)
		}
		return nil
	})
	if err != nil || len(rows) < 17 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	write := func(fn func(kv.Tx)) {
		t.Helper()
		if err := s.db.Update(ctx, []kv.Shard{shard}, func(tx kv.Tx) error { fn(tx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range rows {
		for what, damage := range map[string]func(kv.Tx){
			"deleted":   func(tx kv.Tx) { tx.Delete(p.Key) },
			"shortened": func(tx kv.Tx) { tx.Set(p.Key, p.Value[:len(p.Value)-1]) },
			"longer":    func(tx kv.Tx) { tx.Set(p.Key, append(bytes.Clone(p.Value), 1)) },
			"zero":      func(tx kv.Tx) { tx.Set(p.Key, append([]byte{0}, p.Value[1:]...)) },
			"elsewhere": func(tx kv.Tx) { tx.Set(append(bytes.Clone(p.Key), 1), p.Value) },
		} {
			// A list begins with any octet.
			if what == "zero" && bytes.ContainsAny(p.Key[len(shard):], string([]byte{kindPostings, kindPlaces})) {
				continue
			}
			write(damage)
			if v := verify(t, s); len(v.Problems) == 0 {
				t.Errorf("row %x was %s and nothing was found", p.Key, what)
			}
			write(func(tx kv.Tx) { tx.Delete(append(bytes.Clone(p.Key), 1)); tx.Set(p.Key, p.Value) })
		}
	}
	write(func(tx kv.Tx) { tx.Set(append(kv.NewKey(shard), 'z'), nil) })
	if v := verify(t, s); len(v.Problems) != 1 {
		t.Errorf("a row of no kind: %v", v.Problems)
	}
}

package search

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// levels are those of the account's segments.
func levels(t *testing.T, s *Store) (all []uint64) {
	shard := kv.SearchShard(1)
	err := s.db.View(context.Background(), shard, func(r kv.Reader) error {
		segments, err := shelf{shard, r}.segments()
		for _, g := range segments {
			all = append(all, g.level)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Merging, through more than one level, changes no answer but for what is gone.
func TestMerge(t *testing.T) {
	ctx := context.Background()
	gone := func(id uint64) bool { return id%5 == 2 }
	live := func(from, to uint64, keep func(uint64)) error {
		for id := from; id < to; id++ {
			if !gone(id) {
				keep(id)
			}
		}
		return nil
	}
	for name, live := range map[string]Live{"all": nil, "live": live} {
		s := New(memkv.New(memkv.Options{}))
		const n = fanOut*fanOut + 3
		for id := uint64(1); id <= n; id++ {
			b := NewBatch(id - 1)
			raw := fmt.Appendf(nil, "Subject: all of them\r\n\r\nword%d third%d 東京%d\r\n", id, id%3, id)
			if err := b.Add(id, message.ParseBytes(raw), bytes.NewReader(raw)); err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(ctx, 1, b, id); err != nil {
				t.Fatal(err)
			}
			for more := true; more; {
				var err error
				if more, err = s.Merge(ctx, 1, live); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := levels(t, s); !slices.Equal(got, []uint64{2, 0, 0, 0}) {
			t.Errorf("%s: levels %d", name, got)
		}
		for text, has := range map[string]func(uint64) bool{
			"word17": func(id uint64) bool { return id == 17 }, "third1": func(id uint64) bool { return id%3 == 1 },
			"東京": func(uint64) bool { return true }, "ord3": func(id uint64) bool { return id == 3 || id/10 == 3 },
		} {
			var want []uint64
			for id := uint64(1); id <= n; id++ {
				// What was not merged is not asked about.
				if has(id) && (live == nil || id > fanOut*fanOut || !gone(id)) {
					want = append(want, id)
				}
			}
			r, err := s.Search(ctx, 1, Query{In: Body, Text: text})
			if err != nil || !slices.Equal(r.Sure, want) || len(r.Maybe) > 0 {
				t.Errorf("%s: %q: %+v, %v, want %d", name, text, r, err, want)
			}
		}
	}
}

// A message that has more than the index takes is looked at by every search.
func TestUnsure(t *testing.T) {
	ctx := context.Background()
	for name, body := range map[string]string{
		"long word":  "before " + strings.Repeat("x", maxTerm+1) + " behind\r\nand more\r\n",
		"long text":  strings.Repeat("some words that repeat\r\n", messageText/20),
		"many terms": manyTerms(),
	} {
		s := New(memkv.New(memkv.Options{}))
		b := NewBatch(0)
		for id, text := range []string{"plain", body, "plain"} {
			raw := []byte("Subject: hello\r\n\r\n" + text)
			if err := b.Add(uint64(id+1), message.ParseBytes(raw), bytes.NewReader(raw)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Commit(ctx, 1, b, 3); err != nil {
			t.Fatal(err)
		}
		for _, q := range []Query{{In: Body, Text: "nothing"}, {In: Body, Text: "plain"}, {In: Text, Text: "two words"}, {In: From, Text: "x"}} {
			r, err := s.Search(ctx, 1, q)
			if err != nil || !slices.Equal(r.Maybe, []uint64{2}) {
				t.Errorf("%s: %+v: %+v, %v", name, q, r, err)
			}
		}
	}
}

func manyTerms() string {
	var b strings.Builder
	for i := range messageTerms + 10 {
		fmt.Fprintf(&b, "t%d ", i)
	}
	return b.String()
}

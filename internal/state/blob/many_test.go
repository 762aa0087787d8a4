package blob

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// TestOpenMany reads blobs of every kind at once, some twice, into room that is
// used before and again.
func TestOpenMany(t *testing.T) {
	engines(t, func(t *testing.T, db kv.DB) {
		s, err := Open(Options{DB: db, FS: newMemory(), Inline: 300_000, Segment: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		var bodies [][]byte
		var ids []mail.BlobID
		add := func(b []byte) {
			bodies, ids = append(bodies, b), append(ids, store(t, s, b, 1).ID())
		}
		for i, size := range []int{0, 1, 4000, 70_000, 299_999, 300_001, 900_000} {
			add(noise(size, uint64(i)))
			add(text(size + 7))
		}
		bodies, ids = append(bodies, nil, bodies[4]), append(ids, mail.BlobID{1}, ids[4])
		var room []byte
		for range 3 {
			room = append(room[:0], "before"...)
			before := room
			all, after, err := s.OpenMany(ctx, ids, room)
			if err != nil || string(before) != "before" {
				t.Fatalf("%q, %v", before, err)
			}
			for i := range all {
				if bodies[i] == nil {
					if !fault.Is(all[i].Err, fault.NotFound) {
						t.Errorf("one that is not there: %v", all[i].Err)
					}
					continue
				}
				got, err := io.ReadAll(&all[i])
				if err != nil || all[i].Err != nil || !bytes.Equal(got, bodies[i]) || all[i].Size() != int64(len(got)) {
					t.Errorf("body %d: %d octets of %d, %v, %v", i, len(got), len(bodies[i]), err, all[i].Err)
				}
				writeRanges(t, &all[i].Reader, bodies[i])
				if err := all[i].Close(); err != nil {
					t.Error(err)
				}
			}
			room = after
		}
	})
}

// writeRanges writes parts of a blob, and asks for more than it has.
func writeRanges(t *testing.T, r *Reader, body []byte) {
	t.Helper()
	n := int64(len(body))
	for _, c := range [][2]int64{{0, n}, {n / 3, n / 2}, {n, 0}, {max(0, n-1), min(1, n)}, {min(n, chunkSize-1), min(2, max(0, n-chunkSize))}} {
		var out bytes.Buffer
		wrote, err := r.WriteRange(&out, c[0], c[1])
		if err != nil || wrote != c[1] || !bytes.Equal(out.Bytes(), body[c[0]:c[0]+c[1]]) {
			t.Errorf("%d octets from %d of %d: %d, %v", c[1], c[0], n, wrote, err)
		}
	}
	for _, c := range [][2]int64{{-1, 1}, {0, n + 1}, {n + 1, 0}, {1, -1}} {
		if _, err := r.WriteRange(io.Discard, c[0], c[1]); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d octets from %d of %d: %v", c[1], c[0], n, err)
		}
	}
}

// TestOpenManyMoved has the blobs copied to another segment, and their own removed,
// between the look at the rows and the first read.
func TestOpenManyMoved(t *testing.T) {
	m := newMemory()
	s := open(t, memkv.New(memkv.Options{}), m)
	defer func() { _ = s.Close() }()
	kept := thinOut(t, s, 400, 4)
	var ids []mail.BlobID
	for i := range kept {
		ids = append(ids, sha256.Sum256(kept[i]))
	}
	all, _, err := s.OpenMany(ctx, ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	files := segments(t, m)
	now := age(t, s)
	for range 3 {
		now = now.Add(50 * time.Hour)
		sweep(t, s, now)
	}
	gone := 0
	for name := range files {
		if _, there := segments(t, m)[name]; !there {
			gone++
		}
	}
	if gone == 0 {
		t.Fatal("no segment is gone")
	}
	for i := range all {
		got, err := io.ReadAll(&all[i])
		if err != nil || !bytes.Equal(got, kept[i]) {
			t.Fatalf("body %d: %d octets, %v", i, len(got), err)
		}
		_ = all[i].Close()
	}
}

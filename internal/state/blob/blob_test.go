package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// engines runs a test over each engine, with segments in memory.
func engines(t *testing.T, test func(t *testing.T, db kv.DB)) {
	t.Run("memkv", func(t *testing.T) {
		db := memkv.New(memkv.Options{Rerun: true})
		test(t, db)
		_ = db.Close()
	})
	t.Run("pebblekv", func(t *testing.T) {
		db, err := pebblekv.Open("db", pebblekv.Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		test(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func open(t testing.TB, db kv.DB, fs FS) *Store {
	t.Helper()
	s, err := Open(Options{DB: db, FS: fs, Segment: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s.keep = spillAt // so that small files do for what large ones do in life
	return s
}

// noise does not compress, text does.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

func text(n int) []byte { return []byte(strings.Repeat("The quick brown fox. ", n/21+1))[:n] }

var account = kv.AccountShard(1)

func owner(n byte) Owner { return Owner{Kind: 'm', Shard: 1, ID: [16]byte{n}} }

func refer(t testing.TB, db kv.DB, h Handle, n byte) {
	t.Helper()
	if err := db.Update(ctx, []kv.Shard{account}, func(tx kv.Tx) error { Refer(tx, h, owner(n)); return nil }); err != nil {
		t.Fatal(err)
	}
}

func release(t testing.TB, db kv.DB, id mail.BlobID, n byte) {
	t.Helper()
	if err := db.Update(ctx, []kv.Shard{account}, func(tx kv.Tx) error { Release(tx, id, owner(n)); return nil }); err != nil {
		t.Fatal(err)
	}
}

// store puts b into s and refers to it.
func store(t testing.TB, s *Store, b []byte, n byte) Handle {
	t.Helper()
	h, err := s.Put(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if h.ID() != sha256.Sum256(b) || h.Size() != int64(len(b)) || h.IsZero() {
		t.Fatalf("the handle says %v, %d octets", h.ID(), h.Size())
	}
	refer(t, s.db, h, n)
	return h
}

// contentOf reads a blob, alone and as one of many.
func contentOf(s *Store, id mail.BlobID) ([]byte, error) {
	alone, err := contentAlone(s, id)
	all, _, failed := s.OpenMany(ctx, []mail.BlobID{id, id}, nil)
	if failed != nil {
		return nil, errors.Join(err, failed)
	}
	for i := range all {
		r := &all[i]
		var b []byte
		e := r.Err
		if e == nil {
			b, e = io.ReadAll(r)
			e = errors.Join(e, r.Close())
		}
		if (e == nil) != (err == nil) || fault.KindOf(e) != fault.KindOf(err) || err == nil && !bytes.Equal(b, alone) {
			return nil, fmt.Errorf("alone %d octets, %w; among others %d, %v", len(alone), err, len(b), e)
		}
	}
	return alone, err
}

func contentAlone(s *Store, id mail.BlobID) ([]byte, error) {
	r, err := s.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func wantContent(t testing.TB, s *Store, id mail.BlobID, want []byte) {
	t.Helper()
	if got, err := contentOf(s, id); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets of %d, %v", len(got), len(want), err)
	}
}

var bodies = map[string][]byte{
	"nothing":         {},
	"one octet":       {1},
	"inline limit":    text(defaultInline),
	"over the limit":  text(defaultInline + 1),
	"one chunk":       noise(chunkSize, 1),
	"a chunk and one": noise(chunkSize+1, 2),
	"text":            text(700_000),
	"spilled":         noise(900_000, 3),
	"own segment":     append(noise(1_500_000, 4), text(400_000)...),
	"spilled, shared": append(text(8_000_000), noise(100_000, 5)...),
}

func TestBodiesOfAllSizes(t *testing.T) {
	engines(t, func(t *testing.T, db kv.DB) {
		m := newMemory()
		s := open(t, db, m)
		check := func(s *Store) {
			for name, b := range bodies {
				t.Run(name, func(t *testing.T) {
					id := mail.BlobID(sha256.Sum256(b))
					wantContent(t, s, id, b)
					r, err := s.Open(ctx, id)
					if err != nil {
						t.Fatal(err)
					}
					if len(b) < 200_000 { // it reads octet by octet
						if err := iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), b); err != nil {
							t.Error(err)
						}
					}
					for range 20 {
						off := rand.Int64N(int64(len(b)) + 1)
						part := make([]byte, rand.IntN(len(b)+1))
						n, err := r.ReadAt(part, off)
						want := b[off:min(int(off)+len(part), len(b))]
						if !bytes.Equal(part[:n], want) || (err == io.EOF) != (n < len(part)) || err != nil && err != io.EOF {
							t.Fatalf("ReadAt(%d, %d): %d octets, %v", len(part), off, n, err)
						}
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				})
			}
		}
		i := byte(0)
		for _, b := range bodies {
			store(t, s, b, i)
			i++
		}
		check(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := open(t, db, m)
		check(again)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLargeInlineLimit(t *testing.T) {
	db := memkv.New(memkv.Options{})
	s, err := Open(Options{DB: db, Inline: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i, n := range []int{bodyRow, bodyRow + 1, 200_000, 256 << 10} {
		b := noise(n, uint64(i))
		if h := store(t, s, b, byte(i)); h.body == nil {
			t.Errorf("%d octets are not in rows", n)
		}
		wantContent(t, s, sha256.Sum256(b), b)
	}
}

func TestStoredOnce(t *testing.T) {
	engines(t, func(t *testing.T, db kv.DB) {
		m := newMemory()
		s := open(t, db, m)
		for i, b := range [][]byte{text(100), noise(50_000, 1), noise(900_000, 1)} {
			first := store(t, s, b, byte(2*i))
			before := m.octets()
			second := store(t, s, b, byte(2*i+1))
			if !first.fresh || second.fresh || m.octets() != before {
				t.Errorf("%d octets were stored twice", len(b))
			}
			h, err := s.Handle(ctx, first.ID())
			if err != nil || h.Size() != int64(len(b)) || h.ID() != first.ID() {
				t.Errorf("Handle: %v, %v", h, err)
			}
		}
		// Two who store the same before either refers to it.
		b := noise(40_000, 9)
		one, err1 := s.Put(ctx, b)
		two, err2 := s.Put(ctx, b)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		refer(t, db, one, 100)
		refer(t, db, two, 101)
		wantContent(t, s, one.ID(), b)
		_ = s.Close()
	})
}

// octets is how much lies in all files.
func (m *memory) octets() (n int64) {
	files, _ := m.List()
	for _, f := range files {
		n += f.Size
	}
	return n
}

func TestNotThere(t *testing.T) {
	db := memkv.New(memkv.Options{})
	s := open(t, db, newMemory())
	defer func() { _ = s.Close() }()
	for _, size := range []int{10, 50_000} {
		h, err := s.Put(ctx, text(size)) // nobody refers to it
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(ctx, h.ID()); !fault.Is(err, fault.NotFound) {
			t.Errorf("Open: %v", err)
		}
		if _, err := s.Handle(ctx, h.ID()); !fault.Is(err, fault.NotFound) {
			t.Errorf("Handle: %v", err)
		}
	}
}

// A blob can be read from its handle before anybody refers to it, and after.
func TestOpenHandle(t *testing.T) {
	db := memkv.New(memkv.Options{})
	m := newMemory()
	s := open(t, db, m)
	defer func() { _ = s.Close() }()
	for i, b := range [][]byte{{}, text(100), noise(50_000, 1), noise(2_000_000, 2)} {
		h, err := s.Put(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r, err := s.OpenHandle(ctx, h)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%d octets of %d, %v", len(got), len(b), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			refer(t, db, h, byte(i))
			if h, err = s.Handle(ctx, h.ID()); err != nil {
				t.Fatal(err)
			}
		}
	}
	h, err := s.Put(ctx, noise(40_000, 3))
	if err != nil {
		t.Fatal(err)
	}
	flip(m, h.at.offset+3)
	if _, err := s.OpenHandle(ctx, h); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a damaged one: %v", err)
	}
}

func TestOldHandleIsRefused(t *testing.T) {
	db := memkv.New(memkv.Options{})
	s := open(t, db, newMemory())
	defer func() { _ = s.Close() }()
	h, err := s.Put(ctx, text(10))
	if err != nil {
		t.Fatal(err)
	}
	h.checked = time.Now().Add(-25 * time.Hour)
	for _, h := range []Handle{h, {}} {
		err := db.Update(ctx, []kv.Shard{account}, func(tx kv.Tx) error { Refer(tx, h, owner(1)); return nil })
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("Refer: %v", err)
		}
	}
}

func TestAbort(t *testing.T) {
	m := newMemory()
	s := open(t, memkv.New(memkv.Options{}), m)
	w, err := s.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(900_000, 1)); err != nil {
		t.Fatal(err)
	}
	if files, _ := m.List(); len(files) != 1 {
		t.Errorf("a writer of 900 KB has %d files", len(files))
	}
	w.Abort()
	w.Abort()
	if files, _ := m.List(); len(files) != 0 {
		t.Errorf("%d files after Abort", len(files))
	}
	if _, err := w.Write(nil); err == nil {
		t.Error("Write after Abort")
	}
	if _, err := w.Commit(); err == nil {
		t.Error("Commit after Abort")
	}
	_ = s.Close()
}

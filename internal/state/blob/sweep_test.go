package blob

import (
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

func sweep(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	if err := s.Sweep(ctx, now); err != nil {
		t.Fatal(err)
	}
}

func there(t *testing.T, s *Store, id mail.BlobID) bool {
	t.Helper()
	_, err := contentOf(s, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// rows counts the rows that lie in no shard.
func rows(t *testing.T, db kv.DB) (n int) {
	t.Helper()
	_ = db.View(ctx, nil, func(r kv.Reader) error {
		for range r.Scan(kv.Prefix([]byte(kv.Loose))) {
			n++
		}
		return nil
	})
	return n
}

func TestSweep(t *testing.T) {
	engines(t, func(t *testing.T, db kv.DB) {
		m := newMemory()
		s := open(t, db, m)
		now := time.Now()
		var all []mail.BlobID
		for i, b := range [][]byte{text(100), noise(50_000, 1), noise(1_900_000, 2)} {
			h := store(t, s, b, 1)
			refer(t, db, h, 2)
			all = append(all, h.ID())
			release(t, db, h.ID(), 1)
			if i == 0 {
				release(t, db, h.ID(), 1) // twice is once
			}
		}
		want := func(step string, want bool) {
			t.Helper()
			for _, id := range all {
				if there(t, s, id) != want {
					t.Errorf("%s: blob %v is there: %v", step, id, !want)
				}
			}
		}
		sweep(t, s, now)
		sweep(t, s, now.Add(37*time.Hour))
		want("another refers to it", true)
		for _, id := range all {
			release(t, db, id, 2)
		}
		sweep(t, s, now.Add(40*time.Hour))
		sweep(t, s, now.Add(75*time.Hour))
		want("marked for 35 hours", true)
		sweep(t, s, now.Add(77*time.Hour))
		want("marked for 37 hours", false)
		if n := rows(t, db); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		again := store(t, s, noise(50_000, 1), 3)
		if !again.fresh || !there(t, s, again.ID()) {
			t.Error("stored again, it is not there")
		}
		_ = s.Close()
		s = open(t, db, m)
		sweep(t, s, now.Add(200*time.Hour))
		if !there(t, s, again.ID()) {
			t.Error("a segment with a live record was removed")
		}
		if files, _ := m.List(); len(files) != 2 || files[1].Size != 0 { // it keeps the number
			t.Errorf("%d segments are left", len(files))
		}
		_ = s.Close()
	})
}

// Whoever takes up a blob with a mark has a full term to refer to it.
func TestHandleResetsTheMark(t *testing.T) {
	db := memkv.New(memkv.Options{})
	s := open(t, db, newMemory())
	defer func() { _ = s.Close() }()
	now := time.Now()
	b := noise(50_000, 1)
	h := store(t, s, b, 1)
	release(t, db, h.ID(), 1)
	sweep(t, s, now.Add(-36*time.Hour))
	again, err := s.Put(ctx, b)
	if err != nil || again.fresh {
		t.Fatalf("%v, %v", again, err)
	}
	sweep(t, s, now)
	sweep(t, s, now.Add(35*time.Hour))
	refer(t, db, again, 2)
	sweep(t, s, now.Add(37*time.Hour))
	if !there(t, s, h.ID()) {
		t.Fatal("the blob went although somebody had taken it up")
	}
	if n := rows(t, db); n != 2 {
		t.Errorf("%d rows are left, want location and reference", n)
	}
}

// The bytes of a blob that is being read stay.
func TestSweepLeavesReadersAlone(t *testing.T) {
	db := memkv.New(memkv.Options{})
	s := open(t, db, newMemory())
	defer func() { _ = s.Close() }()
	b := noise(300_000, 1)
	h := store(t, s, b, 1)
	r, err := s.Open(ctx, h.ID())
	if err != nil {
		t.Fatal(err)
	}
	release(t, db, h.ID(), 1)
	now := time.Now()
	sweep(t, s, now)
	sweep(t, s, now.Add(37*time.Hour))
	if there(t, s, h.ID()) {
		t.Error("the blob is still there")
	}
	if _, err := r.ReadAt(make([]byte, len(b)), 0); err != nil {
		t.Errorf("a reader from before: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestSweepManyPages(t *testing.T) {
	db := memkv.New(memkv.Options{})
	s := open(t, db, newMemory())
	defer func() { _ = s.Close() }()
	now := time.Now()
	for i := range 2*page + 10 {
		h, err := s.Put(ctx, []byte{byte(i), byte(i >> 8)})
		if err != nil {
			t.Fatal(err)
		}
		refer(t, db, h, 1)
		release(t, db, h.ID(), 1)
	}
	sweep(t, s, now)
	sweep(t, s, now.Add(37*time.Hour))
	if n := rows(t, db); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

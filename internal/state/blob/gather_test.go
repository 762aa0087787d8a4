package blob

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// thinOut stores bodies of 50,000 octets and releases all but every keep-th;
// their segments are then less than half live.
func thinOut(t *testing.T, s *Store, n, keep int) (kept [][]byte) {
	t.Helper()
	for i := range n {
		b := noise(50_000, uint64(i))
		h := store(t, s, b, 1)
		if i%keep == 0 {
			kept = append(kept, b)
		} else {
			release(t, s.db, h.ID(), 1)
		}
	}
	return kept
}

// age sweeps until what was released is gone and segments are old enough.
func age(t *testing.T, s *Store) time.Time {
	t.Helper()
	now := time.Now()
	sweep(t, s, now)
	now = now.Add(50 * time.Hour)
	sweep(t, s, now) // removes rows, and copies
	return now
}

func segments(t *testing.T, m *memory) map[string]int64 {
	t.Helper()
	files, err := m.List()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for _, f := range files {
		all[f.Name] = f.Size
	}
	return all
}

func TestCopyForward(t *testing.T) {
	engines(t, func(t *testing.T, db kv.DB) {
		m := newMemory()
		s := open(t, db, m)
		defer func() { _ = s.Close() }()
		kept := thinOut(t, s, 400, 4) // 20 MB in segments of 4 MiB
		before := segments(t, m)
		r, err := s.Open(ctx, sha256.Sum256(kept[1]))
		if err != nil {
			t.Fatal(err)
		}
		now := age(t, s)
		sweep(t, s, now.Add(time.Hour))
		after := segments(t, m)
		if len(before) < 4 || len(after) > len(before)/2+1 {
			t.Errorf("%d segments before, %d after", len(before), len(after))
		}
		if _, ok := after[segmentName(1)]; ok {
			t.Error("the first segment is still there")
		}
		for _, b := range kept {
			wantContent(t, s, sha256.Sum256(b), b)
		}
		if _, err := r.ReadAt(make([]byte, 50_000), 0); err != nil {
			t.Errorf("a reader from before: %v", err)
		}
		_ = r.Close()
		if n, err := s.Verify(ctx, func(id mail.BlobID, err error) { t.Error(id, err) }); n != len(kept) || err != nil {
			t.Errorf("verified %d of %d, %v", n, len(kept), err)
		}
	})
}

// What is damaged is not copied, and stays to be looked at.
func TestCopyForwardLeavesDamage(t *testing.T) {
	m := newMemory()
	s := open(t, memkv.New(memkv.Options{}), m)
	defer func() { _ = s.Close() }()
	kept := thinOut(t, s, 200, 4)
	flip(m, headSize+5)
	now := time.Now()
	sweep(t, s, now)
	now = now.Add(50 * time.Hour)
	if err := s.Sweep(ctx, now); !fault.Is(err, fault.Corrupt) {
		t.Errorf("the sweep says %v", err)
	}
	_ = s.Sweep(ctx, now.Add(time.Hour))
	if _, ok := segments(t, m)[segmentName(1)]; !ok {
		t.Error("the segment with the damaged record is gone")
	}
	for i, b := range kept {
		if _, err := contentOf(s, sha256.Sum256(b)); (err != nil) != (i == 0) {
			t.Errorf("body %d: %v", i, err)
		}
	}
}

// Deliveries of the same content, releases and readers go on while segments are
// copied and removed.
func TestCopyForwardRaces(t *testing.T) {
	db := memkv.New(memkv.Options{})
	s := open(t, db, newMemory())
	defer func() { _ = s.Close() }()
	kept := thinOut(t, s, 200, 3)
	sweep(t, s, time.Now())
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				b := kept[(i*7+w)%len(kept)]
				h, err := s.Put(ctx, b)
				if err == nil {
					refer(t, db, h, byte(10+w))
					_, err = contentOf(s, h.ID())
				}
				if err != nil {
					t.Error(err)
					return
				}
				release(t, db, h.ID(), byte(10+w))
			}
		})
	}
	now := time.Now().Add(50 * time.Hour)
	for i := range 10 {
		sweep(t, s, now.Add(time.Duration(i)*time.Hour))
	}
	stop.Store(true)
	wg.Wait()
	for _, b := range kept {
		wantContent(t, s, sha256.Sum256(b), b)
	}
}

// A number is not given out twice, however often the store is opened.
func TestSegmentNumbersOnlyGrow(t *testing.T) {
	m := newMemory()
	db := memkv.New(memkv.Options{})
	seen := map[uint64]mail.BlobID{}
	now := time.Now()
	for i := range 4 {
		s := open(t, db, m)
		h := store(t, s, noise(5_000_000, uint64(i)), 1)
		if old, ok := seen[h.at.segment]; ok && old != h.ID() {
			t.Errorf("segment %d again", h.at.segment)
		}
		seen[h.at.segment] = h.ID()
		release(t, db, h.ID(), 1)
		now = now.Add(100 * time.Hour)
		sweep(t, s, now)
		now = now.Add(100 * time.Hour)
		sweep(t, s, now)
		sweep(t, s, now.Add(time.Hour))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(segments(t, m)); n > 2 { // the one to write to, and the one that keeps the number
		t.Errorf("%d files are left", n)
	}
}

// What a backup is told to be settled is never written again.
func TestPieces(t *testing.T) {
	m := newMemory()
	s := open(t, memkv.New(memkv.Options{}), m)
	defer func() { _ = s.Close() }()
	settled := func(size, settled int64) {
		t.Helper()
		p, err := s.Pieces()
		if err != nil || len(p) != 1 || p[0].Size != size || p[0].Settled != settled {
			t.Errorf("%+v, %v; want %d octets, %d settled", p, err, size, settled)
		}
	}
	first := store(t, s, noise(50_000, 1), 1)
	settled(first.at.length, first.at.length)
	g, off, err := s.reserve(10_000)
	if err != nil {
		t.Fatal(err)
	}
	second := store(t, s, noise(50_000, 2), 1)
	settled(second.at.offset+second.at.length, off)
	s.release(g, off, false)
	settled(second.at.offset+second.at.length, second.at.offset+second.at.length)
	g, off, err = s.reserve(10_000)
	if err != nil {
		t.Fatal(err)
	}
	s.release(g, off, true) // what failed may come back as anything after a crash
	settled(second.at.offset+second.at.length, second.at.offset+second.at.length)
	if _, ok := s.busy[g.number]; !ok {
		t.Error("a failed write is forgotten")
	}
	if _, err := s.OpenPiece(Piece{Name: "0000000000000099.seg"}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a piece that is not there: %v", err)
	}
}

// What writers keep in memory together is bounded, and given back.
func TestWritersShareMemory(t *testing.T) {
	s := open(t, memkv.New(memkv.Options{}), newMemory())
	defer func() { _ = s.Close() }()
	s.keep = keepMost
	var all []*Writer
	for i := range 20 {
		w, err := s.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(noise(3_000_000, uint64(i))); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
		if n := s.kept.Load(); n > keepAll || n <= 0 {
			t.Fatalf("%d octets are kept", n)
		}
	}
	spilled := 0
	for i, w := range all {
		if w.file != nil {
			spilled++
		}
		if i%2 == 0 {
			w.Abort()
			continue
		}
		h, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		refer(t, s.db, h, byte(i))
		wantContent(t, s, h.ID(), noise(3_000_000, uint64(i)))
	}
	if n := s.kept.Load(); n != 0 || spilled == 0 || spilled == len(all) {
		t.Errorf("%d octets are still kept; %d of %d writers had a file", n, spilled, len(all))
	}
}

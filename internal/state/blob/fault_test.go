package blob

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
)

// faulty is a disk on which some operations fail.
type faulty struct {
	FS
	fail func(op string) error
}

type faultyFile struct {
	File
	fail func(op string) error
}

func (f faulty) Create(name string) (File, error) {
	if err := f.fail("create"); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name)
	return faultyFile{file, f.fail}, err
}

func (f faulty) Open(name string) (File, error) {
	file, err := f.FS.Open(name)
	return faultyFile{file, f.fail}, err
}

func (f faulty) Rename(from, to string) error {
	return first(f.fail("rename"), func() error { return f.FS.Rename(from, to) })
}

func (f faulty) Sync() error { return first(f.fail("sync dir"), f.FS.Sync) }

func (f faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.fail("write"); err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2], off) // a full disk takes what it can
		return n, err
	}
	return f.File.WriteAt(b, off)
}

func (f faultyFile) Sync() error { return first(f.fail("sync"), f.File.Sync) }

func (f faultyFile) Allocate(n int64) error {
	return first(f.fail("allocate"), func() error { return f.File.Allocate(n) })
}

func first(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

// A full or broken disk is Unavailable, and harms neither what is there nor what
// comes after.
func TestFullDisk(t *testing.T) {
	for _, op := range []string{"create", "allocate", "write", "sync", "sync dir", "rename"} {
		t.Run(op, func(t *testing.T) {
			var bad bool
			db := memkv.New(memkv.Options{})
			s := open(t, db, faulty{newMemory(), func(o string) error {
				if bad && o == op {
					return syscall.ENOSPC
				}
				return nil
			}})
			defer func() { _ = s.Close() }()
			var kept [][]byte
			failed := 0
			for i, size := range []int{40_000, 300_000, 300_000, 900_000, 3_000_000} {
				good := noise(size, uint64(2*i))
				store(t, s, good, byte(i))
				kept = append(kept, good)
				bad = true
				if _, err := s.Put(ctx, noise(size, uint64(2*i+1))); err != nil {
					failed++
					if !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.ENOSPC) {
						t.Errorf("%d octets: %v", size, err)
					}
				}
				bad = false
			}
			if failed == 0 {
				t.Error("nothing failed")
			}
			for _, b := range kept {
				wantContent(t, s, sha256.Sum256(b), b)
			}
		})
	}
}

// flip changes one bit of the only segment, n octets behind the record's start.
func flip(m *memory, n int64) {
	f := m.files[segmentName(1)]
	f.data[n] ^= 0x10
}

func TestFlippedBitIsCorrupt(t *testing.T) {
	for name, b := range map[string][]byte{"noise": noise(300_000, 1), "text": text(300_000)} {
		m := newMemory()
		db := memkv.New(memkv.Options{})
		s := open(t, db, m)
		h := store(t, s, b, 1)
		for n := int64(0); n < h.at.length; n += 1 + h.at.length/300 {
			flip(m, n)
			if got, err := contentOf(s, h.ID()); !fault.Is(err, fault.Corrupt) {
				t.Errorf("%s: bit %d of %d flipped: read %d octets, %v", name, n, h.at.length, len(got), err)
			}
			flip(m, n)
		}
		flip(m, headSize+10) // in the first chunk: the others are not touched by it
		r, err := s.Open(ctx, h.ID())
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 1000)
		if _, err := r.ReadAt(part, 2*chunkSize); err != nil || !bytes.Equal(part, b[2*chunkSize:2*chunkSize+1000]) {
			t.Errorf("%s: reading another chunk: %v", name, err)
		}
		if _, err := r.ReadAt(part, 0); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: reading the damaged chunk: %v", name, err)
		}
		_ = r.Close()
		m.files[segmentName(1)].data = m.files[segmentName(1)].data[:h.at.length-3]
		if _, err := contentOf(s, h.ID()); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: a file that was cut: %v", name, err)
		}
		_ = m.Remove(segmentName(1))
		if _, err := contentOf(s, h.ID()); !fault.Is(err, fault.Corrupt) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file that is gone: %v", name, err)
		}
		_ = s.Close()
	}
}

func TestDamagedRowsAreCorrupt(t *testing.T) {
	db := memkv.New(memkv.Options{})
	s := open(t, db, newMemory())
	defer func() { _ = s.Close() }()
	for i, size := range []int{100, 50_000} {
		h := store(t, s, noise(size, uint64(i)), byte(i))
		key := bodyKey(h.ID(), 0)
		if h.body == nil {
			key = atKey(h.ID())
		}
		var good []byte
		_ = db.View(ctx, nil, func(r kv.Reader) (err error) { good, _, err = r.Get(key); return err })
		for n := range good {
			for _, bad := range [][]byte{good[:n], append(append(bytes.Clone(good[:n]), good[n]^0x41), good[n+1:]...)} {
				_ = db.Update(ctx, nil, func(tx kv.Tx) error { tx.Set(key, bad); return nil })
				if _, err := contentOf(s, h.ID()); !fault.Is(err, fault.Corrupt) {
					t.Errorf("octet %d of %d: %v", n, len(good), err)
				}
			}
		}
	}
}

func TestTornTailIsIgnored(t *testing.T) {
	for _, torn := range []bool{false, true} {
		m := newMemory()
		db := memkv.New(memkv.Options{})
		s := open(t, db, m)
		good, lost := noise(50_000, 1), noise(60_000, 2)
		store(t, s, good, 1)
		g, off, err := s.reserve(10_000) // a record that is being written
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.f.WriteAt(lost[:5_000], off); err != nil {
			t.Fatal(err)
		}
		m = m.crash(torn)
		s = open(t, db, m)
		more := noise(70_000, 3)
		store(t, s, more, 2)
		wantContent(t, s, sha256.Sum256(good), good)
		wantContent(t, s, sha256.Sum256(more), more)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// After a crash at any moment every blob that an answered transaction refers to
// is there, and no row points to bytes that are not.
func TestCrashBetweenBodyAndRows(t *testing.T) {
	for round := range 25 {
		disk := vfs.NewCrashableMem()
		db, err := pebblekv.Open("db", pebblekv.Options{FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		s := open(t, db, m)
		var mu sync.Mutex
		var answered []mail.BlobID
		var stop atomic.Bool
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := 0; !stop.Load(); i++ {
					b := noise(1000<<(i%11), uint64(round*1000+w*100+i))
					h, err := s.Put(ctx, b)
					if err != nil {
						t.Error(err)
						return
					}
					refer(t, db, h, byte(w))
					mu.Lock()
					answered = append(answered, h.ID())
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(round) * 300 * time.Microsecond)
		mu.Lock()
		before := len(answered)
		mu.Unlock()
		// Rows first: what they point to was safe before.
		rows := disk.CrashClone(vfs.CrashCloneCfg{})
		bytesLeft := m.crash(round%2 == 0)
		stop.Store(true)
		wg.Wait()
		_, _ = s.Close(), db.Close()
		checkAfterCrash(t, rows, bytesLeft, answered[:before])
	}
}

func checkAfterCrash(t *testing.T, rows vfs.FS, m *memory, answered []mail.BlobID) {
	db, err := pebblekv.Open("db", pebblekv.Options{FS: rows})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, db, m)
	for _, id := range answered {
		if b, err := contentOf(s, id); err != nil || sha256.Sum256(b) != id {
			t.Errorf("an answered blob: %v", err)
		}
	}
	for _, prefix := range []string{atPrefix, bodyPrefix} {
		err := db.View(ctx, nil, func(r kv.Reader) error {
			for p, err := range r.Scan(kv.Prefix([]byte(prefix))) {
				if err != nil {
					return err
				}
				var id mail.BlobID
				copy(id[:], p.Key[len(prefix):])
				if b, err := contentOf(s, id); err != nil || sha256.Sum256(b) != id {
					t.Errorf("a row without its bytes: %v", err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(s.Close(), db.Close()); err != nil {
		t.Error(err)
	}
}

func TestVerify(t *testing.T) {
	engines(t, func(t *testing.T, db kv.DB) {
		m := newMemory()
		s := open(t, db, m)
		var ids []mail.BlobID
		for i, size := range []int{0, 100, 8000, 40_000, 50_000} {
			ids = append(ids, store(t, s, noise(size, uint64(i)), byte(i)).ID())
		}
		check := func(want ...mail.BlobID) {
			t.Helper()
			var got []mail.BlobID
			n, err := s.Verify(ctx, func(id mail.BlobID, err error) {
				if !fault.Is(err, fault.Corrupt) {
					t.Error(err)
				}
				got = append(got, id)
			})
			if n != len(ids) || err != nil || !slices.Equal(got, want) {
				t.Errorf("read %d of %d, %v; bad are %v, want %v", n, len(ids), err, got, want)
			}
		}
		check()
		flip(m, headSize+3)
		check(ids[3])
		flip(m, headSize+3)
		_ = db.Update(ctx, nil, func(tx kv.Tx) error { tx.Set(bodyKey(ids[1], 0), encodeBody(noise(100, 77))[0]); return nil })
		check(ids[1]) // a body with a good checksum, but another one
		_ = db.Update(ctx, nil, func(tx kv.Tx) error {
			tx.Set(bodyKey(ids[1], 0), encodeBody(noise(100, 1))[0])
			Refer(tx, Handle{id: mail.BlobID{7}, checked: time.Now()}, Owner{Kind: 'q'})
			return nil
		})
		check(mail.BlobID{7}) // a reference that leads nowhere
		_ = s.Close()
	})
}

func (f faulty) Free() (int64, error) {
	if f.fail("free") != nil {
		return 1 << 20, nil
	}
	return f.FS.Free()
}

// Below the reserve nothing new is stored, and what is there can be read.
func TestReserve(t *testing.T) {
	full := false
	s := open(t, memkv.New(memkv.Options{}), faulty{newMemory(), func(op string) error {
		if full && op == "free" {
			return syscall.ENOSPC
		}
		return nil
	}})
	defer func() { _ = s.Close() }()
	h := store(t, s, noise(40_000, 1), 1)
	w, err := s.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	full = true
	s.space.Forget()
	if _, err := w.Write(noise(900_000, 1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a large body that had begun: %v", err)
	}
	w.Abort()
	if _, err := s.Put(ctx, text(10)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a new body: %v", err)
	}
	wantContent(t, s, h.ID(), noise(40_000, 1))
}

func TestPause(t *testing.T) {
	s := open(t, memkv.New(memkv.Options{}), newMemory())
	defer func() { _ = s.Close() }()
	resume := s.Pause()
	done := make(chan error)
	go func() { done <- s.Sweep(ctx, time.Now()) }()
	select {
	case <-done:
		t.Error("a sweep ran during a pause")
	case <-time.After(20 * time.Millisecond):
	}
	resume()
	resume()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

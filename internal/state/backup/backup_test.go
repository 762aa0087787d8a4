package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a store on disk, with what should be in it.
type store struct {
	t     *testing.T
	data  string
	db    *pebblekv.DB
	blobs *blob.Store
	mu    sync.Mutex
	sizes map[mail.BlobID]int
	n     int
}

func openStore(t *testing.T, data string) *store {
	t.Helper()
	s := &store{t: t, data: data, sizes: map[mail.BlobID]int{}}
	var err error
	if s.db, err = pebblekv.Open(filepath.Join(data, "store"), pebblekv.Options{Reserve: -1}); err != nil {
		t.Fatal(err)
	}
	if s.blobs, err = blob.Open(blob.Options{DB: s.db, Dir: filepath.Join(data, "blobs"), Segment: 1 << 20, Reserve: -1}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *store) close() {
	s.t.Helper()
	if err := errors.Join(s.blobs.Close(), s.db.Close()); err != nil {
		s.t.Error(err)
	}
}

// add stores a body of some size, referred to by an account that counts.
func (s *store) add(size int, seed uint64) error {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	h, err := s.blobs.Put(context.Background(), b)
	if err != nil {
		return err
	}
	a := kv.AccountShard(mail.AccountID(seed % 3))
	err = s.db.Update(context.Background(), []kv.Shard{a}, func(tx kv.Tx) error {
		tx.Set(kv.NewKey(a).Uint64(seed%50), fmt.Appendf(nil, "row %d", seed))
		blob.Refer(tx, h, blob.Owner{Kind: 'm', ID: [16]byte{byte(seed), byte(seed >> 8)}})
		return nil
	})
	s.mu.Lock()
	s.sizes[h.ID()] = size
	s.n++
	s.mu.Unlock()
	return err
}

func (s *store) fill(n int) {
	s.t.Helper()
	for range n {
		if err := s.add([]int{100, 5_000, 20_000, 300_000}[s.n%4], uint64(s.n)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// rows gives all rows and versions, without the one that names the store.
func (s *store) rows() map[string]string {
	s.t.Helper()
	var b bytes.Buffer
	if err := s.db.Backup(context.Background(), &b); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]string{}
	err := kv.ReadDump(&b, func(k, v []byte) error { all[string(k)] = string(v); return nil },
		func(sh kv.Shard, v kv.Version) error { all["\x00v"+string(sh)] = fmt.Sprint(v); return nil })
	if err != nil {
		s.t.Fatal(err)
	}
	delete(all, "b/store")
	return all
}

func (s *store) backup(dir string) Report {
	s.t.Helper()
	r, err := Write(context.Background(), s.db, s.blobs, dir, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func options(data string) RestoreOptions {
	return RestoreOptions{Rows: filepath.Join(data, "store"), Blobs: filepath.Join(data, "blobs"),
		Restore: func(ctx context.Context, dir string, r io.Reader) error {
			return pebblekv.Restore(ctx, dir, r, pebblekv.Options{Reserve: -1})
		}}
}

// restored opens what a restore of dir makes.
func restored(t *testing.T, dir string) *store {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if _, err := Restore(context.Background(), dir, data, options(data)); err != nil {
		t.Fatal(err)
	}
	if err := Ready(data); err != nil {
		t.Fatal(err)
	}
	return openStore(t, data)
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for k, v := range want {
		if got[k] != v {
			t.Fatalf("row %q is %.80q, want %.80q", k, got[k], v)
		}
	}
}

// sound verifies every body.
func (s *store) sound() int {
	s.t.Helper()
	n, err := s.blobs.Verify(context.Background(), func(id mail.BlobID, err error) { s.t.Errorf("%v: %v", id, err) })
	if err != nil {
		s.t.Error(err)
	}
	return n
}

func TestBackupAndRestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backup")
	s := openStore(t, t.TempDir())
	defer s.close()
	s.fill(40)
	first := s.backup(dir)
	if !first.Whole || first.Rows != first.Changed || first.Bodies == 0 {
		t.Errorf("the first: %+v", first)
	}
	s.fill(4)
	if err := s.db.Update(t.Context(), []kv.Shard{kv.Partition(1)}, func(tx kv.Tx) error { tx.Set([]byte("p/\x01x"), nil); return nil }); err != nil {
		t.Fatal(err)
	}
	second := s.backup(dir)
	if second.Whole || second.Changed > 30 || second.Written > first.Written/5 || second.Bodies <= first.Bodies {
		t.Errorf("the second: %+v after %+v", second, first)
	}
	if err := s.db.Update(t.Context(), []kv.Shard{kv.Partition(1)}, func(tx kv.Tx) error { tx.Delete([]byte("p/\x01x")); return nil }); err != nil {
		t.Fatal(err)
	}
	if third := s.backup(dir); third.Changed != 2 { // the row, and the version of its shard
		t.Errorf("the third: %+v", third)
	}
	want := s.rows()
	s.fill(8) // is not in the backup
	if r, err := Check(t.Context(), dir, func(what string, err error) { t.Error(what, err) }, nil); err != nil || r.Rows == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	back := restored(t, dir)
	defer back.close()
	same(t, back.rows(), want)
	if n := back.sound(); n != 44 {
		t.Errorf("%d bodies", n)
	}
	a, errA := kv.WhoIs(t.Context(), s.db)
	b, errB := kv.WhoIs(t.Context(), back.db)
	if errA != nil || errB != nil || a.ID == b.ID || b.Epoch != a.Epoch+1 {
		t.Errorf("%+v became %+v; %v, %v", a, b, errA, errB)
	}
	if _, err := Write(t.Context(), back.db, back.blobs, dir, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("the restored store took the other's backup: %v", err)
	}
	back.fill(4)
	back.backup(filepath.Join(t.TempDir(), "b2"))
}

// Backups of a store in use are of one moment: of every row there is its body,
// and a row of a later commit only with those before.
func TestBackupUnderLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backup")
	s := openStore(t, t.TempDir())
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				if err := s.add(100<<(i%13), uint64(w+3*i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for !stop.Load() {
			if err := s.blobs.Sweep(context.Background(), time.Now()); err != nil {
				t.Error(err)
			}
		}
	})
	bodies := 0
	for range 4 {
		time.Sleep(50 * time.Millisecond)
		s.backup(dir)
		if _, err := Check(t.Context(), dir, func(what string, err error) { t.Error(what, err) }, nil); err != nil {
			t.Error(err)
		}
		back := restored(t, dir)
		n := back.sound()
		if n < bodies {
			t.Errorf("%d bodies after %d", n, bodies)
		}
		bodies = n
		back.close()
	}
	stop.Store(true)
	wg.Wait()
	s.backup(dir)
	want := s.rows()
	s.close()
	back := restored(t, dir)
	defer back.close()
	same(t, back.rows(), want)
	if n := back.sound(); n != len(s.sizes) || bodies == 0 {
		t.Errorf("%d of %d bodies", n, len(s.sizes))
	}
}

// A backup that breaks off anywhere leaves the one before.
func TestBackupBreaksOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backup")
	s := openStore(t, t.TempDir())
	defer s.close()
	s.fill(20)
	s.backup(dir)
	want := s.rows()
	for n := range 6 {
		s.fill(8)
		ctx, cancel := context.WithCancel(t.Context())
		told := 0
		_, err := Write(ctx, s.db, s.blobs, dir, func(Progress) {
			if told++; told > n {
				cancel()
			}
		})
		if n == 0 {
			cancel()
		}
		if err == nil { // it was quicker
			want = s.rows()
		}
		back := restored(t, dir)
		same(t, back.rows(), want)
		back.sound()
		back.close()
		cancel()
	}
	s.backup(dir)
	left, _ := filepath.Glob(filepath.Join(dir, "*"+unfinished))
	if len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	back := restored(t, dir)
	defer back.close()
	same(t, back.rows(), s.rows())
}

// flip changes a bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		b[len(b)/2] ^= 4
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamage(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "backup")
	s := openStore(t, t.TempDir())
	defer s.close()
	s.fill(40)
	s.backup(dir)
	s.fill(4)
	s.backup(dir)
	segment, _ := filepath.Glob(filepath.Join(dir, segmentDir, "*.seg"))
	bad := 0
	flip(t, segment[0])
	if _, err := Check(ctx, dir, func(_ string, err error) { bad++ }, nil); err != nil || bad != 1 {
		t.Errorf("a flipped bit in a segment: %d bad, %v", bad, err)
	}
	flip(t, segment[0])
	flip(t, filepath.Join(dir, "rows-1.zst"))
	data := t.TempDir()
	if _, err := Restore(ctx, dir, data, options(data)); !fault.Is(err, fault.Corrupt) {
		t.Errorf("restore of damaged rows: %v", err)
	}
	if err := Ready(data); !fault.Is(err, fault.Corrupt) {
		t.Errorf("half a restore is ready: %v", err)
	}
	if r := s.backup(dir); !r.EarlierBad || !r.Whole {
		t.Errorf("a backup over damaged rows: %+v", r)
	}
	if _, err := Restore(ctx, dir, data, options(data)); err != nil { // again, over the half
		t.Errorf("the second restore: %v", err)
	}
	back := openStore(t, data)
	same(t, back.rows(), s.rows())
	back.close()
	if _, err := Restore(ctx, dir, data, options(data)); !fault.Is(err, fault.Exists) {
		t.Errorf("restore over a store: %v", err)
	}
	_ = os.Remove(segment[0]) // comes back with the next backup
	s.backup(dir)
	restored(t, dir).close()
	m, _ := os.ReadFile(filepath.Join(dir, manifestFile))
	for _, b := range [][]byte{nil, m[:len(m)/2], bytes.Replace(m, []byte(`"number": `), []byte(`"number": 1`), 1)} {
		if err := os.WriteFile(filepath.Join(dir, manifestFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Write(ctx, s.db, s.blobs, dir, nil); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a damaged manifest: %v", err)
		}
	}
}

func TestRefusals(t *testing.T) {
	ctx := t.Context()
	s := openStore(t, t.TempDir())
	defer s.close()
	s.fill(4)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(ctx, s.db, s.blobs, full, nil); !fault.Is(err, fault.Exists) || !strings.Contains(fault.Public(err), "letter.txt") {
		t.Errorf("a directory with other things: %v", err)
	}
	empty := t.TempDir()
	if _, err := Restore(ctx, empty, empty, options(empty)); !fault.Is(err, fault.NotFound) {
		t.Errorf("no backup: %v", err)
	}
	if _, err := Check(ctx, empty, nil, nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("no backup: %v", err)
	}
	dir := t.TempDir()
	_, err := Write(ctx, s.db, s.blobs, dir, func(Progress) {
		if _, err := Write(ctx, s.db, s.blobs, dir, nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("two at once: %v", err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256(nil)
	if _, err := Write(ctx, s.db, s.blobs, filepath.Join(full, "letter.txt", string(sum[:1])), nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a directory that cannot be made: %v", err)
	}
}

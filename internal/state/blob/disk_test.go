package blob

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
)

func TestOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	db := memkv.New(memkv.Options{})
	reopen := func() *Store {
		s, err := Open(Options{DB: db, Dir: dir, Segment: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		s.keep = spillAt
		return s
	}
	s := reopen()
	var ids []mail.BlobID
	for i, size := range []int{100, 50_000, 3_000_000, 2_000_000, 900_000} {
		ids = append(ids, store(t, s, noise(size, uint64(i)), byte(i)).ID())
	}
	if err := os.WriteFile(filepath.Join(dir, "spill-7"), nil, 0o600); err != nil { // of a run that broke off
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen()
	ids = append(ids, store(t, s, noise(60_000, 9), 9).ID())
	for _, id := range ids {
		if b, err := contentOf(s, id); err != nil || sha256.Sum256(b) != id {
			t.Errorf("%v", err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "spill-*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	now := time.Now()
	for i, id := range ids[:5] {
		release(t, db, id, byte(i))
	}
	before := room(t, dir)
	sweep(t, s, now)
	sweep(t, s, now.Add(37*time.Hour))
	sweep(t, s, now.Add(100*time.Hour))
	if after := room(t, dir); runtime.GOOS == "linux" && after > before-5_000_000 {
		t.Errorf("removing 6 MB of bodies left %d of %d octets", after, before)
	}
	wantContent(t, s, ids[5], noise(60_000, 9))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// room is what the files take on the disk.
func room(t *testing.T, dir string) (n int64) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		i, statErr := e.Info()
		err = errors.Join(err, statErr)
		n += i.Sys().(*syscall.Stat_t).Blocks * 512
	}
	if err != nil {
		t.Error(err)
	}
	return n
}

// counter gives n octets that do not compress, a little at a time.
type counter struct{ n, state uint64 }

func (c *counter) Read(b []byte) (int, error) {
	if c.n == 0 {
		return 0, io.EOF
	}
	n := min(len(b), 4<<10, int(c.n))
	for i := range b[:n] {
		c.state = c.state*6364136223846793005 + 1442695040888963407
		b[i] = byte(c.state >> 56)
	}
	c.n -= uint64(n)
	return n, nil
}

// A large message costs little memory, going in and coming out.
func TestLargeBodyInLittleMemory(t *testing.T) {
	s, err := Open(Options{DB: memkv.New(memkv.Options{}), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	const size = 40 << 20
	most := uint64(0)
	look := func() {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	look()
	base := most
	w, err := s.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in := &counter{n: size}
	for i := 0; in.n > 0; i++ {
		if _, err := io.CopyN(w, in, int64(min(in.n, 8<<20))); err != nil {
			t.Fatal(err)
		}
		look()
	}
	h, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	refer(t, s.db, h, 1)
	r, err := s.Open(ctx, h.ID())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(struct{ io.Writer }{io.Discard}, r); n != size || err != nil {
		t.Errorf("%d octets, %v", n, err)
	}
	look()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if most > base+8<<20 {
		t.Errorf("a body of %d MB took %d MB", size>>20, (most-base)>>20)
	}
}

// BenchmarkStore stores and refers to bodies, durably, on the disk that
// EKIDEN_BENCH_DIR or the system's directory for temporary files is on.
func BenchmarkStore(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("size=%dk/writers=%d", size>>10, writers), func(b *testing.B) { benchStore(b, size, writers) })
		}
	}
}

func benchStore(b *testing.B, size, writers int) {
	dir, err := os.MkdirTemp(os.Getenv("EKIDEN_BENCH_DIR"), "ekiden-bench")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := pebblekv.Open(filepath.Join(dir, "rows"), pebblekv.Options{Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(Options{DB: db, Dir: filepath.Join(dir, "blobs")})
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.SetBytes(int64(size))
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			body := noise(size, uint64(w))
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				copy(body, fmt.Sprintf("%020d", n))
				h, err := s.Put(ctx, body)
				if err == nil {
					err = db.Update(ctx, []kv.Shard{kv.AccountShard(mail.AccountID(w))}, func(tx kv.Tx) error {
						Refer(tx, h, Owner{Kind: 'm', Shard: uint64(w), ID: [16]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}})
						return nil
					})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
	if err := errors.Join(s.Close(), db.Close()); err != nil {
		b.Error(err)
	}
}

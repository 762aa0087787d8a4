package pebblekv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/kvtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openMem(t testing.TB, fs vfs.FS) *DB {
	t.Helper()
	db, err := Open("db", Options{FS: fs, Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestContract(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.DB { return openMem(t, vfs.NewMem()) })
}

func TestContractOnDisk(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.DB {
		db, err := Open(t.TempDir(), Options{Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		return db
	})
}

var dir = kv.DirectoryShard()

func put(db kv.DB, k string, v int) error {
	return db.Update(context.Background(), []kv.Shard{dir}, func(tx kv.Tx) error {
		tx.Set([]byte(k), binary.BigEndian.AppendUint64(nil, uint64(v)))
		return nil
	})
}

func get(t *testing.T, db kv.DB, s kv.Shard, k string) (value int, version kv.Version) {
	t.Helper()
	err := db.View(context.Background(), s, func(r kv.Reader) error {
		b, ok, err := r.Get([]byte(k))
		if ok {
			value = int(binary.BigEndian.Uint64(b))
		}
		if s != nil {
			version = r.Version(s)
		}
		return err
	})
	if err != nil {
		t.Errorf("View: %v", err)
	}
	return value, version
}

// gate is a disk whose syncs of the log wait until they are let through.
type gate struct {
	waiting chan struct{} // gets one for each sync that waits
	through chan struct{} // closed: they may go
	shut    atomic.Bool
}

func (g *gate) fs(below vfs.FS) vfs.FS {
	return errorfs.Wrap(below, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if g.shut.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			g.waiting <- struct{}{}
			<-g.through
		}
		return nil
	}))
}

// While a commit is visible and not durable, no View, no Update that only read
// and no watch tells of it.
func TestNothingIsToldBeforeTheSync(t *testing.T) {
	g := &gate{waiting: make(chan struct{}, 100), through: make(chan struct{})}
	db := openMem(t, g.fs(vfs.NewMem()))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := put(db, "d/k", 1); err != nil {
		t.Fatal(err)
	}
	watch := db.Watch(ctx, dir)
	g.shut.Store(true)
	results := make(chan string, 10)
	start := func(name string, fn func() error) {
		go func() {
			if err := fn(); err != nil {
				name += ": " + err.Error()
			}
			results <- name
		}()
	}
	start("update", func() error {
		return db.Update(ctx, []kv.Shard{dir}, func(tx kv.Tx) error {
			tx.Set([]byte("d/k"), make([]byte, 8))
			tx.Set([]byte("b/k"), make([]byte, 8))
			return nil
		})
	})
	<-g.waiting // the batch is applied: the log writer only syncs what it was given
	for db.flights.any(dir) && decode(db) != 2 {
		time.Sleep(time.Millisecond)
	}
	start("view", func() error { return db.View(ctx, dir, func(r kv.Reader) error { return nil }) })
	start("view of a loose row", func() error {
		return db.View(ctx, nil, func(r kv.Reader) error { _, _, err := r.Get([]byte("b/k")); return err })
	})
	start("scan of loose rows", func() error {
		return db.View(ctx, nil, func(r kv.Reader) error {
			for range r.Scan(kv.Prefix([]byte("b/"))) {
			}
			return nil
		})
	})
	start("update that read", func() error { return db.Update(ctx, []kv.Shard{dir}, func(kv.Tx) error { return nil }) })
	start("update that read a loose row", func() error {
		return db.Update(ctx, nil, func(tx kv.Tx) error { _, _, err := tx.Get([]byte("b/k")); return err })
	})
	start("backup", func() error { return db.Backup(ctx, &bytes.Buffer{}) })
	other := kv.Partition(1)
	if _, v := get(t, db, other, string(other)); v != 0 { // another shard is not held up
		t.Errorf("version %d", v)
	}
	if v, _ := get(t, db, nil, "b/other"); v != 0 {
		t.Errorf("value %d", v)
	}
	running := 7
	select {
	case r := <-results:
		running--
		t.Errorf("%q ended before the sync", r)
	case v := <-watch:
		t.Errorf("the watch told of version %d before the sync", v)
	case <-time.After(50 * time.Millisecond):
	}
	g.shut.Store(false)
	close(g.through)
	for range running {
		if r := <-results; bytes.Contains([]byte(r), []byte(":")) {
			t.Error(r)
		}
	}
	if v := <-watch; v != 2 {
		t.Errorf("the watch told of version %d", v)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// decode reads the directory's version as it is visible, durable or not.
func decode(db *DB) kv.Version {
	r := reader{r: db.pebble}
	b, _, _ := r.get(versionKey(dir))
	return decodeVersion(b)
}

func TestFailedSyncIsFatal(t *testing.T) {
	var bad atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if bad.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			return syscall.EIO
		}
		return nil
	}))
	var fatal atomic.Int32
	db, err := Open("db", Options{FS: fs, Fatal: func(error) { fatal.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := put(db, "d/k", 1); err != nil {
		t.Fatal(err)
	}
	bad.Store(true)
	if err := put(db, "d/k", 2); !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.EIO) {
		t.Errorf("the Update whose sync failed: %v", err)
	}
	if fatal.Load() != 1 {
		t.Errorf("Fatal was called %d times", fatal.Load())
	}
	bad.Store(false)
	if err := put(db, "d/k", 3); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an Update after that: %v", err)
	}
	if err := db.View(context.Background(), dir, func(kv.Reader) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a View after that: %v", err)
	}
	_ = db.Close() // what it says does not matter any more
}

// fullDisk has little room left.
type fullDisk struct {
	vfs.FS
	left atomic.Uint64
}

func (f *fullDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.left.Load()}, nil
}

func TestReserve(t *testing.T) {
	fs := &fullDisk{FS: vfs.NewMem()}
	fs.left.Store(1 << 30)
	db := openMem(t, fs)
	defer func() { _ = db.Close() }()
	if err := put(db, "d/k", 1); err != nil {
		t.Fatal(err)
	}
	fs.left.Store(1 << 20)
	db.space.Forget()
	if err := put(db, "d/k", 2); !fault.Is(err, fault.Unavailable) {
		t.Errorf("with the disk full: %v", err)
	}
	freeing := func() error {
		return db.Update(kv.Freeing(context.Background()), []kv.Shard{dir}, func(tx kv.Tx) error { tx.Delete([]byte("d/other")); return nil })
	}
	if err := freeing(); !fault.Is(err, fault.Unavailable) || !fault.IsFull(err) {
		t.Errorf("a deletion with nearly nothing left: %v", err)
	}
	fs.left.Store(100 << 20)
	db.space.Forget()
	if err := put(db, "d/k", 2); !fault.IsFull(err) {
		t.Errorf("below the reserve: %v", err)
	}
	if err := freeing(); err != nil {
		t.Errorf("a deletion below the reserve: %v", err)
	}
	if v, _ := get(t, db, dir, "d/k"); v != 1 {
		t.Errorf("reading with the disk full gave %d", v)
	}
	fs.left.Store(1 << 30)
	db.space.Forget()
	if err := put(db, "d/k", 3); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestRestore(t *testing.T) {
	ctx := context.Background()
	db := openMem(t, vfs.NewMem())
	for i := range 300 {
		if err := put(db, fmt.Sprintf("d/%03d", i), i); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := db.Backup(ctx, &out); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	fs := vfs.NewMem()
	if err := Restore(ctx, "db", bytes.NewReader(out.Bytes()[:out.Len()-1]), Options{FS: fs}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a torn backup: %v", err)
	}
	if _, err := Open("db", Options{FS: fs}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("opening after half a restore: %v", err)
	}
	fs = vfs.NewMem()
	if err := Restore(ctx, "db", bytes.NewReader(out.Bytes()), Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	if err := Restore(ctx, "db", bytes.NewReader(out.Bytes()), Options{FS: fs}); !fault.Is(err, fault.Exists) {
		t.Errorf("a second restore: %v", err)
	}
	db = openMem(t, fs)
	defer func() { _ = db.Close() }()
	if v, n := get(t, db, dir, "d/299"); v != 299 || n != 300 {
		t.Errorf("restored %d at version %d", v, n)
	}
	var again bytes.Buffer
	if err := db.Backup(ctx, &again); err != nil || !bytes.Equal(again.Bytes(), out.Bytes()) {
		t.Errorf("the backup of what was restored is another one (%v)", err)
	}
}

func TestNewerStoreIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	db := openMem(t, fs)
	if err := db.pebble.Set([]byte(formatKey), binary.BigEndian.AppendUint32(nil, format+1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("db", Options{FS: fs}); !fault.Is(err, fault.Unsupported) {
		t.Errorf("opened a store of a newer version: %v", err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := t.TempDir()
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("opened twice: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

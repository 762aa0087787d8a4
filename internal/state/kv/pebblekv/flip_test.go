package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// How many rows the flipped stores have, in tables and in the log.
const (
	flipRows = 3_000
	flipStep = 101 // every so manieth is read
)

func flipKey(i int) []byte { return fmt.Appendf(bytes.Clone(dir), "row %05d", i) }

func flipValue(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "value %d.", i*i), 10) }

// flipStore writes rows to a store and closes it; those of the last tenth are in the log only.
func flipStore(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	for _, part := range [][2]int{{0, flipRows * 9 / 10}, {flipRows * 9 / 10, flipRows}} {
		db := openMem(t, fs)
		for from := part[0]; from < part[1]; from += 100 {
			err := db.Update(context.Background(), []kv.Shard{dir}, func(tx kv.Tx) error {
				for i := from; i < from+100; i++ {
					tx.Set(flipKey(i), flipValue(i))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// files lists the store's files that end so, with their sizes.
func files(t *testing.T, fs vfs.FS, suffix string) map[string]int64 {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	for _, n := range names {
		if strings.HasSuffix(n, suffix) || strings.HasPrefix(n, suffix) {
			info, err := fs.Stat(filepath.Join("db", n))
			if errors.Is(err, os.ErrNotExist) {
				continue // the store that runs has let it go
			}
			if err != nil {
				t.Fatal(err)
			}
			found[filepath.Join("db", n)] = info.Size()
		}
	}
	return found
}

func flip(t *testing.T, fs vfs.FS, name string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// reads looks for some rows, and gives how many there are, those that are not
// there, and those that cannot be read because of damage. Nothing else may come
// out of damage: no other bytes, no other error.
func reads(t *testing.T, db *DB) (good, missing, corrupt []int) {
	t.Helper()
	for i := 0; i < flipRows; i += flipStep {
		for _, read := range []func(r kv.Reader) ([]byte, error){
			func(r kv.Reader) ([]byte, error) { v, _, err := r.Get(flipKey(i)); return v, err },
			func(r kv.Reader) ([]byte, error) {
				v, err := r.GetMany([][]byte{flipKey(i)})
				if err != nil {
					return nil, err
				}
				return v[0], nil
			},
			func(r kv.Reader) (v []byte, err error) {
				for p, err := range r.Scan(kv.Range{From: flipKey(i), To: append(flipKey(i), 0)}) {
					return p.Value, err
				}
				return nil, nil
			},
		} {
			var v []byte
			err := db.View(context.Background(), dir, func(r kv.Reader) (err error) { v, err = read(r); return err })
			switch {
			case fault.Is(err, fault.Corrupt):
				corrupt = append(corrupt, i)
			case err != nil:
				t.Fatalf("row %d: %v", i, err)
			case v == nil:
				missing = append(missing, i)
			case !bytes.Equal(v, flipValue(i)):
				t.Fatalf("row %d has other bytes: %q", i, v)
			default:
				good = append(good, i)
			}
		}
	}
	return good, missing, corrupt
}

// flips is where to damage a file of some size: all over it, and its end.
func flips(rnd *rand.Rand, size int64) (at []int64) {
	for k := range int64(8) {
		at = append(at, rnd.Int64N(size), max(0, size-1-9*k))
	}
	return at
}

// flippable opens a store whose damage is counted. All its tables are in order:
// none is about to be written anew.
func flippable(t *testing.T, fs vfs.FS, told *int) (*DB, error) {
	db, err := Open("db", Options{
		FS: fs, Cache: 1, Fatal: func(err error) { t.Errorf("fatal: %v", err) }, Damaged: func(string, error) { *told++ },
	})
	if err == nil && *told == 0 {
		_ = db.pebble.Compact(context.Background(), []byte{0}, []byte{0xff}, false)
	}
	return db, err
}

// TestFlippedTable flips a bit in a table while the store is closed, and while it
// is open: what lies in that block cannot be read, all else can, and can be
// written.
func TestFlippedTable(t *testing.T) {
	seen := map[string]int{}
	check := func(db *DB, at, size int64, told *int) string {
		good, missing, corrupt := reads(t, db)
		inBlock := at < size*3/4 // behind them are what the whole table needs: index, filter, properties
		if len(missing) > 0 || len(corrupt) > 0 && *told != 1 || inBlock && len(good) < 3*flipRows/flipStep*8/10 {
			t.Errorf("octet %d of %d: %d rows are good, %d missing, %d corrupt; told %d times", at, size, len(good), len(missing), len(corrupt), *told)
		}
		if err := put(db, "d/another", 1); err != nil {
			t.Errorf("octet %d: a write beside the damage: %v", at, err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if len(corrupt) > 0 {
			return "corrupt"
		}
		return "no row"
	}
	whole := flipStore(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, length := range files(t, whole, ".sst") {
		for _, at := range flips(rnd, length) {
			told, size := 0, length
			fs := cloned(t, whole)
			flip(t, fs, name, at)
			db, err := flippable(t, fs, &told)
			if fault.Is(err, fault.Corrupt) { // the row with the version cannot be read
				seen["closed: refused"]++
			} else if err != nil {
				t.Fatalf("octet %d: %v", at, err)
			} else {
				seen["closed: "+check(db, at, size, &told)]++
			}

			told = 0
			fs = cloned(t, whole)
			if db, err = flippable(t, fs, &told); err != nil {
				t.Fatal(err)
			}
			for name, n := range files(t, fs, ".sst") {
				size, at = n, at*n/size
				flip(t, fs, name, at)
			}
			seen["running: "+check(db, at, size, &told)]++
		}
	}
	if seen["closed: refused"] == 0 || seen["closed: corrupt"] == 0 || seen["running: corrupt"] == 0 {
		t.Errorf("seen only: %v", seen)
	}
}

// TestFlippedLog flips a bit in the log of a store that was closed: it is not
// opened, unless the flip lies in the last commits, whose damage looks like what
// a loss of power leaves of a write that was not synced.
func TestFlippedLog(t *testing.T) {
	whole := flipStore(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	refused, short := 0, 0
	for name, size := range files(t, whole, ".log") {
		if size == 0 {
			continue
		}
		for _, at := range flips(rnd, size) {
			fs := cloned(t, whole)
			flip(t, fs, name, at)
			db, err := Open("db", Options{FS: fs, Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
			if err != nil {
				if !fault.Is(err, fault.Corrupt) {
					t.Fatalf("octet %d of %d: %v", at, size, err)
				}
				refused++
				continue
			}
			_, missing, corrupt := reads(t, db)
			if len(corrupt) > 0 {
				t.Errorf("octet %d of %d: rows %d are corrupt", at, size, corrupt)
			}
			if len(missing) > 0 {
				short++
				if missing[0] < flipRows-100 {
					t.Errorf("octet %d of %d: rows from %d on are missing", at, size, missing[0])
				}
			}
			if err := db.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
	if refused == 0 || short == 0 {
		t.Errorf("%d refused, %d short", refused, short)
	}
}

// Who looks at damage again and again waits, so that no loop takes the processor.
func TestDamageIsPaced(t *testing.T) {
	var d damage
	now := time.Now()
	for i := range 3 * looksASecond {
		fresh, wait := d.look("file", now)
		if fresh != (i == 0) || wait != map[bool]time.Duration{true: 600 * time.Millisecond}[i >= looksASecond] {
			t.Errorf("look %d: new %v, wait %v", i, fresh, wait)
		}
		if i == 0 {
			now = now.Add(400 * time.Millisecond)
		}
	}
	if fresh, wait := d.look("another", now.Add(700*time.Millisecond)); !fresh || wait > 0 {
		t.Errorf("a second later: new %v, wait %v", fresh, wait)
	}
}

func cloned(t *testing.T, fs vfs.FS) vfs.FS {
	t.Helper()
	out := vfs.NewMem()
	if _, err := vfs.Clone(fs, out, "db", "db"); err != nil {
		t.Fatal(err)
	}
	return out
}

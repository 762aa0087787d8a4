package pebblekv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

const crashShards = 3

// told is what the world was told of: counters that only grow.
type told struct {
	shards [crashShards]atomic.Uint64 // versions, answered, viewed or watched
	loose  [crashShards]atomic.Uint64 // values of loose rows, answered or viewed
}

func (w *told) snapshot() (shards, loose [crashShards]uint64) {
	for i := range crashShards {
		shards[i], loose[i] = w.shards[i].Load(), w.loose[i].Load()
	}
	return shards, loose
}

func raise(a *atomic.Uint64, v uint64) {
	for old := a.Load(); old < v && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}

func looseKey(i int) []byte { return fmt.Append(nil, "b/n", i) }

func number(r kv.Reader, k []byte) (uint64, error) {
	b, ok, err := r.Get(k)
	if !ok {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// bump counts one up in shard i, and now and then in its loose row. The loose
// row is written by this shard's transactions only, so that it grows by one.
func (w *told) bump(db *DB, i int, withLoose bool) error {
	s := kv.Partition(uint8(i))
	var n, l uint64
	err := db.Update(context.Background(), []kv.Shard{s}, func(tx kv.Tx) error {
		n = uint64(tx.Next(s))
		tx.Set(s, binary.BigEndian.AppendUint64(nil, n))
		tx.Set(kv.NewKey(s).Uint64(n), make([]byte, 500))
		if !withLoose {
			return nil
		}
		old, err := number(tx, looseKey(i))
		l = old + 1
		tx.Set(looseKey(i), binary.BigEndian.AppendUint64(nil, l))
		return err
	})
	if err == nil {
		raise(&w.shards[i], n)
		raise(&w.loose[i], l)
	}
	return err
}

func (w *told) look(db *DB, i int) error {
	s := kv.Partition(uint8(i))
	var n, l uint64
	e1 := db.View(context.Background(), s, func(r kv.Reader) (err error) {
		if n, err = number(r, s); err == nil && n != uint64(r.Version(s)) {
			err = fmt.Errorf("the row says %d, the version %d", n, r.Version(s))
		}
		return err
	})
	e2 := db.View(context.Background(), nil, func(r kv.Reader) (err error) { l, err = number(r, looseKey(i)); return err })
	raise(&w.shards[i], n)
	raise(&w.loose[i], l)
	return errors.Join(e1, e2)
}

// read looks without writing, through an Update.
func (w *told) read(db *DB, i int) error {
	s := kv.Partition(uint8(i))
	var n, l uint64
	err := db.Update(context.Background(), []kv.Shard{s}, func(tx kv.Tx) (err error) {
		n = uint64(tx.Version(s))
		l, err = number(tx, looseKey(i))
		return err
	})
	raise(&w.shards[i], n)
	raise(&w.loose[i], l)
	return err
}

// At any moment the power may go. What is left has every commit that was
// answered, and all that anybody was ever shown.
func TestCrash(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		disk := vfs.NewCrashableMem()
		var w told
		// The same disk is crashed a few times in a row.
		for range 3 {
			disk = crashOnce(t, disk, &w, uint64(round))
		}
	}
}

// slow is a disk whose syncs take the time that those of a real one do, so that
// there is a window to crash in.
func slow(below vfs.FS) vfs.FS {
	return errorfs.Wrap(below, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
			time.Sleep(200 * time.Microsecond)
		}
		return nil
	}))
}

func crashOnce(t *testing.T, disk *vfs.MemFS, w *told, seed uint64) *vfs.MemFS {
	db, err := Open("db", Options{FS: slow(disk), MemTable: 256 << 10, Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	wantTold(t, db, w)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var stop atomic.Bool
	for worker := range 6 {
		wg.Go(func() {
			for n := worker; !stop.Load(); n++ {
				var err error
				switch i := n % crashShards; worker {
				case 4:
					err = w.look(db, i)
				case 5:
					err = w.read(db, i)
				default:
					err = w.bump(db, i, n%2 == 0)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range crashShards {
		wg.Go(func() {
			for v := range db.Watch(ctx, kv.Partition(uint8(i))) {
				raise(&w.shards[i], uint64(v))
			}
		})
	}
	time.Sleep(time.Duration(rand.IntN(6000)) * time.Microsecond)
	shards, loose := w.snapshot()
	left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed%3) * 40, RNG: rand.New(rand.NewPCG(seed, 1))})
	stop.Store(true)
	cancel()
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	for i := range crashShards { // what was told after the crash did not happen
		w.shards[i].Store(shards[i])
		w.loose[i].Store(loose[i])
	}
	check, err := Open("db", Options{FS: left})
	if err != nil {
		t.Fatal(err)
	}
	wantTold(t, check, w)
	if err := check.Close(); err != nil {
		t.Error(err)
	}
	return left
}

func wantTold(t *testing.T, db *DB, w *told) {
	t.Helper()
	shards, loose := w.snapshot()
	for i := range crashShards {
		if err := w.look(db, i); err != nil {
			t.Error(err)
		}
		_, v := get(t, db, kv.Partition(uint8(i)), string(kv.Partition(uint8(i))))
		l, _ := get(t, db, nil, string(looseKey(i)))
		if uint64(v) < shards[i] || uint64(l) < loose[i] {
			t.Errorf("shard %d: version %d, loose row %d are left; told were %d and %d", i, v, l, shards[i], loose[i])
		}
		for n := 1; n <= int(v); n++ { // each commit's row
			if !has(t, db, kv.Partition(uint8(i)), n) {
				t.Errorf("shard %d has version %d, but not the row of commit %d", i, v, n)
				return
			}
		}
	}
}

func has(t *testing.T, db *DB, s kv.Shard, n int) (ok bool) {
	err := db.View(context.Background(), s, func(r kv.Reader) (err error) {
		_, ok, err = r.Get(kv.NewKey(s).Uint64(uint64(n)))
		return err
	})
	if err != nil && !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	return ok
}

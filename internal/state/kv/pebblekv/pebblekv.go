// Package pebblekv is the embedded engine: one Pebble database in a directory.
package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Options of a database on disk. The zero value is good.
type Options struct {
	FS       vfs.FS // nil is the disk
	Cache    int64  // octets of the block cache; 0 is 64 MiB
	MemTable uint64 // octets of a memtable, of which there are up to four; 0 is 32 MiB
	// Reserve is the octets of free space below which Updates are refused, but for
	// those that free room (kv.Freeing), which have three quarters of it. 0 is
	// 256 MiB or an eighth of the disk, whichever is less; negative is none.
	Reserve int64
	// Fatal is called when a commit could not be made durable, or the engine
	// found itself broken. Rows may then be visible that are not on disk, so the
	// process has to end; nil says why on standard error and ends it. If Fatal
	// returns, the database refuses all further work.
	Fatal func(err error)
	// Damaged is told once of each file in which something does not fit its
	// checksum. It does not block, and may be called by several at once; nil is
	// nobody.
	Damaged func(path string, err error)
}

// DB is a database on disk.
//
// An Update holds the locks of its shards while its function runs and its batch
// is applied, and lets them go before the sync, so that the syncs of many share
// one write to the disk. Pebble shows a batch from the moment it is applied;
// flights knows which of what is visible is not yet durable, and readers wait
// for that.
type DB struct {
	pebble   *pebble.DB
	o        Options
	space    kv.Space
	watchers kv.Watchers
	flights  flights
	newest   newest
	life     life
	seed     maphash.Seed
	stripes  [stripes]stripe
	loose    sync.Mutex // of the Updates that name no shard
	damage   damage
	pace     pace
}

// Open opens or makes the database in dir.
func Open(dir string, o Options) (*DB, error) {
	db, err := open(dir, o)
	if err != nil {
		return nil, err
	}
	if err := db.checkFormat(); err != nil {
		return nil, first(err, db.Close())
	}
	return db, nil
}

// lock takes the locks of shards in one order, each once. It gives the stripe of
// each shard, and what lets the locks go.
func (db *DB) lock(shards []kv.Shard) (of []*stripe, unlock func()) {
	if len(shards) == 0 {
		db.loose.Lock()
		return nil, db.loose.Unlock
	}
	of, held := make([]*stripe, len(shards)), make([]int, len(shards))
	for i, s := range shards {
		held[i] = int(maphash.Bytes(db.seed, s) % stripes)
		of[i] = &db.stripes[held[i]]
	}
	slices.Sort(held)
	held = slices.Compact(held)
	for _, i := range held {
		db.stripes[i].Lock()
	}
	return of, func() {
		for _, i := range held {
			db.stripes[i].Unlock()
		}
	}
}

// Update runs fn and commits what it wrote.
func (db *DB) Update(ctx context.Context, shards []kv.Shard, fn func(kv.Tx) error) error {
	fence := kv.NewFence(shards)
	if fence.Err() != nil {
		return fence.Err()
	}
	if err := db.life.enter(ctx); err != nil {
		return err
	}
	defer db.life.leave()
	if err := db.space.Check(kv.IsFreeing(ctx)); err != nil {
		return err
	}
	batch := db.pebble.NewIndexedBatch()
	f, err := db.apply(batch, fence, fn)
	if f.waitsFor != nil {
		for _, before := range f.waitsFor {
			<-before.done
		}
		return first(err, batch.Close(), db.life.broken())
	}
	if err == nil {
		err = batch.SyncWait()
	}
	if err != nil {
		db.fail(err)
	}
	if err == nil {
		db.newest.land(f.shards) // before anybody can see it
	}
	db.flights.land(f)
	if err != nil {
		return fault.As(fault.Unavailable, "pebblekv.Update", err)
	}
	for _, s := range f.shards {
		db.watchers.Tell(s.shard, s.version)
	}
	return fault.Wrap("pebblekv.Update", batch.Close())
}

// apply runs fn and makes its writes visible, under the locks. A flight without
// waitsFor is to be synced and landed. One with it wrote nothing, but may have
// read what is not durable.
func (db *DB) apply(batch *pebble.Batch, fence *kv.Fence, fn func(kv.Tx) error) (*flight, error) {
	of, unlock := db.lock(fence.Shards)
	defer unlock()
	t := &tx{
		reader: reader{r: batch, fence: fence}, below: reader{r: db.pebble}, batch: batch,
		stripes: of, written: written{seed: db.seed},
	}
	err := fn(t)
	if fence.Err() != nil {
		err = fence.Err()
	}
	f := newFlight()
	for i := range fence.Shards {
		if err == nil && fence.Wrote[i] {
			var v shardVersion
			v, err = t.bump(i)
			f.shards = append(f.shards, v)
		}
	}
	// A function that failed reading the version shows in the fence only.
	if err == nil {
		err = fence.Err()
	}
	if err != nil || !fence.Dirty() {
		f.waitsFor = db.flights.before(fence)
		return f, err
	}
	f.keys, f.ranges = t.keys, t.ranges
	db.flights.start(f)
	// ApplyNoSyncWait puts the batch into the log's sync queue at once; whoever
	// is first there syncs for all.
	err = db.pebble.ApplyNoSyncWait(batch, pebble.Sync)
	db.pace.commits.Add(1)
	if err == nil {
		t.written.kept(of)
	}
	return f, err
}

// View runs fn over a snapshot that is durable.
func (db *DB) View(ctx context.Context, s kv.Shard, fn func(kv.Reader) error) error {
	fence := kv.NewViewFence(s)
	if fence.Err() != nil {
		return fence.Err()
	}
	if err := db.life.enter(ctx); err != nil {
		return err
	}
	defer db.life.leave()
	snapshot := db.pebble.NewSnapshot()
	r := &reader{r: snapshot, fence: fence}
	if s == nil {
		r.flights = &db.flights // each row that is read waits for itself
	} else if db.flights.any(s) {
		if f := db.flights.at(s, r.Version(s)); f != nil {
			<-f.done
		}
	}
	err := fence.Err()
	if err == nil {
		err = db.life.broken()
	}
	if err == nil {
		err = fn(r)
	}
	if fence.Err() != nil {
		err = fence.Err()
	}
	return first(err, snapshot.Close(), db.life.broken())
}

// Watch tells of new versions of s.
func (db *DB) Watch(ctx context.Context, s kv.Shard) <-chan kv.Version {
	return db.watchers.Watch(ctx, s)
}

// Wake has wake called for new versions of s, until end.
func (db *DB) Wake(s kv.Shard, wake func()) (end func()) { return db.watchers.Wake(s, wake) }

// Backup writes all rows of one moment.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	if err := db.life.enter(ctx); err != nil {
		return err
	}
	defer db.life.leave()
	snapshot := db.pebble.NewSnapshot()
	for _, f := range db.flights.all() {
		<-f.done
	}
	it, err := snapshot.NewIter(nil)
	if err != nil {
		return fault.Wrap("pebblekv.Backup", errors.Join(err, snapshot.Close()))
	}
	d := kv.NewDumpWriter(w)
	for it.First(); it.Valid() && err == nil; it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		shard, isVersion := bytes.CutPrefix(it.Key(), []byte(versionPrefix))
		switch {
		case ctx.Err() != nil:
			err = ctx.Err()
		case isVersion:
			err = d.Version(shard, decodeVersion(value))
		case it.Key()[0] != 0: // the rest of our own rows each database makes for itself
			err = d.Row(it.Key(), value)
		}
	}
	err = errors.Join(err, it.Close(), snapshot.Close(), db.life.broken())
	if err == nil {
		err = d.Close()
	}
	return fault.Wrap("pebblekv.Backup", err)
}

// Close waits for what is going on and closes the database.
func (db *DB) Close() error {
	if !db.life.end() {
		return nil
	}
	db.watchers.Close()
	return fault.Wrap("pebblekv.Close", db.pebble.Close())
}

// fail takes the database out of service: nobody may see what is visible and
// not durable.
func (db *DB) fail(err error) {
	if db.life.fail(err) {
		db.o.Fatal(err)
	}
}

// first gives the first failure as it is, with the words it has for strangers.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// exit is what happens when nobody said otherwise.
func exit(err error) {
	_, _ = os.Stderr.WriteString("ekiden: the store has failed, stopping: " + err.Error() + "\n")
	os.Exit(1)
}

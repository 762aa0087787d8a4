package pebblekv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// format is the form of our rows that this program writes. A database of a newer
// one is not opened; one of an older is read as it is, and has this one from then
// on. 2 has small bodies that are packed.
const format = 2

const (
	formatKey    = "\x00format"
	restoringKey = "\x00restoring" // there while a Restore is not complete
)

func open(dir string, o Options) (*DB, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Cache == 0 {
		o.Cache = 64 << 20
	}
	if o.MemTable == 0 {
		o.MemTable = 32 << 20
	}
	share := int64(0)
	if o.Reserve == 0 {
		o.Reserve, share = 256<<20, 8
	}
	if o.Fatal == nil {
		o.Fatal = exit
	}
	db := &DB{o: o, seed: maphash.MakeSeed()}
	db.space = kv.Space{Reserve: o.Reserve, Share: share, Stat: func() (int64, int64, error) { return db.disk(dir) }}
	db.life.idle.L = &db.life.mu
	// What is in the log is written anew when the database opens. Without room for
	// that Pebble would try without end and say nothing.
	if err := db.space.Check(true); err != nil {
		e := &fault.Error{Kind: fault.Unavailable, Op: "pebblekv.Open", Public: "there is no space left to open the store in " + dir, Err: err}
		if !fault.IsFull(err) { // such as a disk that is read-only
			e.Public = fmt.Sprintf("the store in %s cannot be written: %v", dir, db.space.Err())
		}
		return nil, e
	}
	p := &pebble.Options{
		FS: o.FS,
		// Memtables are taken from the cache's size: one that fills and one that is
		// written out must leave what the blocks were promised.
		CacheSize:                   o.Cache + 2*int64(o.MemTable),
		MemTableSize:                o.MemTable,
		MemTableStopWritesThreshold: 4,
		// Rows by hash lie everywhere, so what leaves level 0 rewrites all of the next:
		// the more goes at once, the less often.
		L0CompactionThreshold:      4,
		L0StopWritesThreshold:      1000,
		MaxOpenFiles:               500,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
		// Pinned below the format with value separation, of which there are open
		// reports of damage.
		FormatMajorVersion: pebble.FormatTableFormatV6,
		WALMinSyncInterval: db.pace.pause,
		Logger:             quiet{db},
		EventListener:      &pebble.EventListener{DataCorruption: db.damaged},
	}
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	var err error
	if db.pebble, err = pebble.Open(dir, p); err != nil {
		return nil, &fault.Error{Kind: kindOf(err), Op: "pebblekv.Open", Err: err}
	}
	return db, nil
}

func kindOf(err error) fault.Kind {
	if pebble.IsCorruptionError(err) {
		return fault.Corrupt
	}
	return fault.Unavailable
}

// quiet keeps Pebble's messages to itself: events worth a line are ours to tell.
type quiet struct{ db *DB }

// Infof says nothing.
func (quiet) Infof(string, ...any) {}

// Errorf says nothing: what matters comes back as an error.
func (quiet) Errorf(string, ...any) {}

// Fatalf is called when Pebble cannot go on.
func (q quiet) Fatalf(format string, args ...any) { q.db.fail(fmt.Errorf(format, args...)) }

// checkFormat reads the row that says how the others are written, or writes it
// into an empty database.
func (db *DB) checkFormat() error {
	r := reader{r: db.pebble}
	if _, there, err := r.get([]byte(restoringKey)); err != nil {
		return err
	} else if there {
		return fault.New(fault.Corrupt, "pebblekv.Open", "a restore into this directory was not completed")
	}
	b, there, err := r.get([]byte(formatKey))
	switch {
	case err != nil:
		return err
	case there && len(b) != 4:
		return fault.New(fault.Corrupt, "pebblekv.Open", "the store's version row is damaged")
	case there && binary.BigEndian.Uint32(b) > format:
		return fault.Newf(fault.Unsupported, "pebblekv.Open",
			"the store has version %d; this program reads up to %d: use a newer one", binary.BigEndian.Uint32(b), format)
	case there && binary.BigEndian.Uint32(b) < format:
		return fault.Wrap("pebblekv.Open", db.setFormat())
	case there:
		return nil
	}
	empty, err := db.empty()
	if err == nil && !empty {
		err = fault.New(fault.Corrupt, "pebblekv.Open", "the store has rows but no version")
	}
	if err == nil {
		err = db.setFormat()
	}
	return fault.Wrap("pebblekv.Open", err)
}

func (db *DB) setFormat() error {
	return db.pebble.Set([]byte(formatKey), binary.BigEndian.AppendUint32(nil, format), pebble.Sync)
}

func (db *DB) empty() (bool, error) {
	it, err := db.pebble.NewIter(nil)
	if err != nil {
		return false, err
	}
	there := it.First()
	return !there, it.Close()
}

// Restore makes a database in dir, in which none may be, of what Backup wrote.
// Until it returns nil, Open refuses the directory.
func Restore(ctx context.Context, dir string, r io.Reader, o Options) error {
	db, err := open(dir, o)
	if err != nil {
		return err
	}
	return first(db.restore(ctx, r), db.Close())
}

func (db *DB) restore(ctx context.Context, r io.Reader) error {
	empty, err := db.empty()
	if err == nil && !empty {
		err = fault.New(fault.Exists, "pebblekv.Restore", "there is a store in this directory")
	}
	if err == nil {
		err = db.pebble.Set([]byte(restoringKey), nil, pebble.Sync)
	}
	if err != nil {
		return fault.Wrap("pebblekv.Restore", err)
	}
	batch := db.pebble.NewBatch()
	set := func(key, value []byte) error {
		if err := batch.Set(key, value, nil); err != nil || batch.Len() < 1<<20 {
			return err
		}
		err := errors.Join(ctx.Err(), batch.Commit(pebble.NoSync))
		batch = db.pebble.NewBatch()
		return err
	}
	err = kv.ReadDump(r, set, func(s kv.Shard, v kv.Version) error { return set(versionKey(s), encodeVersion(v)) })
	if err != nil {
		return fault.Wrap("pebblekv.Restore", errors.Join(err, batch.Close()))
	}
	// The last batch is synced with all before it, and only it takes the sign away.
	return fault.Wrap("pebblekv.Restore", errors.Join(
		batch.Set([]byte(formatKey), binary.BigEndian.AppendUint32(nil, format), nil),
		batch.Delete([]byte(restoringKey), nil),
		batch.Commit(pebble.Sync)))
}

// disk gives the room that is left. A disk that takes no writes is an error, so
// that transactions are refused before they break the log.
func (db *DB) disk(dir string) (free, total int64, err error) {
	usage, err := db.o.FS.GetDiskUsage(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) { // it is about to be made
		dir = filepath.Dir(dir)
		usage, err = db.o.FS.GetDiskUsage(dir)
	}
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return math.MaxInt64, 0, nil
	case err == nil && db.o.FS == vfs.Default:
		err = unix.Access(dir, unix.W_OK)
	}
	return int64(min(usage.AvailBytes, math.MaxInt64)), int64(min(usage.TotalBytes, math.MaxInt64)), err
}

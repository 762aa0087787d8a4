// Package memkv is the engine in memory: the model the other engines are
// compared with, and the store of tests.
package memkv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Options of a database in memory. The zero value is good.
type Options struct {
	Seed  uint64 // of Rerun's dice
	Rerun bool   // run a transaction's function again now and then, as the contract allows
	// Window is called by each Update while its commit is applied but not yet
	// durable. Tests wait or crash in it.
	Window func()
}

// DB is a database in memory. A transaction reads a snapshot, without a lock,
// and runs again if one of its shards has changed meanwhile.
type DB struct {
	o        Options
	watchers kv.Watchers

	durable atomic.Pointer[moment]
	closed  atomic.Bool

	mu       sync.Mutex
	applied  moment
	commits  uint64   // that were ever applied
	survived []uint64 // the last commit that each crash left
	dice     *rand.Rand
}

// moment is all rows after a commit, with the shards' versions among them.
type moment struct {
	root   *node
	commit uint64
}

// tries is how often a transaction runs without the lock before it takes it.
const tries = 4

// looseShard stands for the shard of the Updates that name none.
const looseShard = "\x00loose"

// New makes an empty database.
func New(o Options) *DB {
	db := &DB{o: o, dice: rand.New(rand.NewPCG(o.Seed, 1))}
	db.durable.Store(&moment{})
	return db
}

// Restore makes a database of what Backup wrote.
func Restore(r io.Reader, o Options) (*DB, error) {
	db := New(o)
	m := moment{}
	err := kv.ReadDump(r,
		func(key, value []byte) error { m.root = m.root.set(key, value); return nil },
		func(s kv.Shard, v kv.Version) error { m.root = m.root.set(versionKey(s), encodeVersion(v)); return nil })
	if err != nil {
		return nil, err
	}
	db.applied = m
	db.durable.Store(&m)
	return db, nil
}

// versionKey is where a shard's version lies: in front of every shard.
func versionKey(s kv.Shard) []byte { return append([]byte{0, 'v'}, s...) }

func encodeVersion(v kv.Version) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

func (n *node) version(s kv.Shard) kv.Version {
	if b, ok := n.get(versionKey(s)); ok {
		return kv.Version(binary.BigEndian.Uint64(b))
	}
	return 0
}

var (
	errClosed  = errors.New("the store is closed")
	errCrashed = errors.New("the store crashed")
)

func unavailable(err error) error { return fault.As(fault.Unavailable, "memkv", err) }

// View runs fn over what is durable.
func (db *DB) View(ctx context.Context, s kv.Shard, fn func(kv.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if db.closed.Load() {
		return unavailable(errClosed)
	}
	r := &reader{root: db.durable.Load().root, fence: kv.NewViewFence(s)}
	err := fn(r)
	if r.fence.Err() != nil {
		return r.fence.Err()
	}
	return err
}

// Newest tells the durable version of s.
func (db *DB) Newest(s kv.Shard) (kv.Version, bool) {
	return db.durable.Load().root.version(s), !db.closed.Load()
}

// Update runs fn and applies what it wrote.
func (db *DB) Update(ctx context.Context, shards []kv.Shard, fn func(kv.Tx) error) error {
	for try := 0; ; try++ {
		if err := ctx.Err(); err != nil {
			return unavailable(err)
		}
		done, err := db.try(shards, fn, try >= tries)
		if done {
			return err
		}
	}
}

// try runs fn once and says whether that was the last time.
func (db *DB) try(shards []kv.Shard, fn func(kv.Tx) error, locked bool) (bool, error) {
	db.mu.Lock()
	if db.closed.Load() {
		db.mu.Unlock()
		return true, unavailable(errClosed)
	}
	base, crashes := db.applied, len(db.survived)
	again := db.o.Rerun && !locked && db.dice.IntN(4) == 0
	t := &tx{reader: reader{root: base.root, fence: kv.NewFence(shards)}, base: base.root}
	if !locked {
		db.mu.Unlock()
	}
	err := t.fence.Err()
	if err == nil {
		err = db.run(t, fn, locked)
	}
	if t.fence.Err() != nil {
		err = t.fence.Err()
	}
	if !locked {
		db.mu.Lock()
	}
	if db.closed.Load() {
		db.mu.Unlock()
		return true, unavailable(errClosed)
	}
	// What fn read may have changed, or have been undone by a crash.
	if again || crashes != len(db.survived) || db.moved(t) {
		db.mu.Unlock()
		return false, nil
	}
	commit := base.commit
	if err == nil && t.fence.Dirty() {
		commit = db.apply(t)
	}
	db.mu.Unlock()
	return true, db.settle(t, commit, crashes, err)
}

// run runs fn. A panic in it must not leave the lock behind: whoever catches it
// goes on with the database.
func (db *DB) run(t *tx, fn func(kv.Tx) error, locked bool) error {
	returned := false
	defer func() {
		if locked && !returned {
			db.mu.Unlock()
		}
	}()
	err := fn(t)
	returned = true
	return err
}

// moved says whether one of t's shards has a newer version than t read.
func (db *DB) moved(t *tx) bool {
	for _, s := range t.fence.Shards {
		if db.applied.root.version(s) != t.base.version(s) {
			return true
		}
	}
	return len(t.fence.Shards) == 0 &&
		db.applied.root.version(kv.Shard(looseShard)) != t.base.version(kv.Shard(looseShard))
}

func (db *DB) apply(t *tx) uint64 {
	root := db.applied.root
	for _, w := range t.writes {
		root = w(root)
	}
	for i, s := range t.fence.Shards {
		if t.fence.Wrote[i] {
			root = root.set(versionKey(s), encodeVersion(t.Next(s)))
		}
	}
	if len(t.fence.Shards) == 0 {
		loose := kv.Shard(looseShard)
		root = root.set(versionKey(loose), encodeVersion(root.version(loose)+1))
	}
	db.commits++
	db.applied = moment{root: root, commit: db.commits}
	return db.commits
}

// settle makes commit durable, with all that was applied by then, and tells the
// watchers. An Update that wrote nothing goes through it too: it may have read
// what is not durable.
func (db *DB) settle(t *tx, commit uint64, crashes int, err error) error {
	if db.o.Window != nil {
		db.o.Window()
	}
	db.mu.Lock()
	if len(db.survived) > crashes {
		if db.survived[crashes] < commit {
			db.mu.Unlock()
			return unavailable(errCrashed)
		}
	} else if db.durable.Load().commit < commit {
		now := db.applied
		db.durable.Store(&now)
	}
	db.mu.Unlock()
	if err != nil {
		return err
	}
	for i, s := range t.fence.Shards {
		if t.fence.Wrote[i] {
			db.watchers.Tell(s, t.Next(s))
		}
	}
	return nil
}

// Crash forgets what is not durable. Updates that were in the window end with
// fault.Unavailable; the database goes on with what is left.
func (db *DB) Crash() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.applied = *db.durable.Load()
	db.survived = append(db.survived, db.applied.commit)
}

// Watch tells of new versions of s.
func (db *DB) Watch(ctx context.Context, s kv.Shard) <-chan kv.Version {
	return db.watchers.Watch(ctx, s)
}

// Wake has wake called for new versions of s, until end.
func (db *DB) Wake(s kv.Shard, wake func()) (end func()) { return db.watchers.Wake(s, wake) }

// Backup writes what is durable.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	d := kv.NewDumpWriter(w)
	var err error
	db.durable.Load().root.each(nil, nil, false, func(n *node) bool {
		if err = ctx.Err(); err != nil {
			return false
		}
		shard, isVersion := bytes.CutPrefix(n.key, versionKey(nil))
		switch {
		case !isVersion:
			err = d.Row(n.key, n.value)
		case !bytes.Equal(shard, []byte(looseShard)):
			err = d.Version(shard, kv.Version(binary.BigEndian.Uint64(n.value)))
		}
		return err == nil
	})
	if err == nil {
		err = d.Close()
	}
	return fault.Wrap("memkv.Backup", err)
}

// Close ends the watches and refuses further Updates.
func (db *DB) Close() error {
	db.closed.Store(true)
	db.watchers.Close()
	return nil
}

// Package kv is the contract of the store: ordered keys with atomic, durable
// transactions that are serialised per shard, and the encoding of keys. The
// engines stand in packages below it; only app names them.
package kv

import (
	"context"
	"io"
	"iter"
)

// Limits that every engine keeps.
const (
	MaxKey     = 1 << 10   // octets of a key
	MaxValue   = 90_000    // octets of a value
	MaxWrites  = 5_000     // writes of a transaction
	MaxTxBytes = 5_000_000 // octets of a transaction's keys and values
)

// A Shard is the common prefix of a set of keys that change as one: an account,
// a queue partition, the directory. No shard is a prefix of another.
type Shard []byte

// Version counts the commits that wrote to a shard. For an account it is the
// change number behind MODSEQ and JMAP state. A shard that was never written to
// has version 0.
type Version uint64

// DB is ordered keys with atomic, durable transactions, serialised per shard.
type DB interface {
	// View runs fn over one moment of a shard. It never shows what a crash could
	// still unsay. With a nil shard it reads the rows that lie in none (those
	// whose key begins with "b/").
	View(ctx context.Context, s Shard, fn func(Reader) error) error

	// Update runs fn over the shards named and makes its writes true together,
	// durably, before it returns nil. fn may run more than once: it touches
	// nothing but tx, opens no other transaction and does no I/O. Besides the
	// shards named it may read and write rows that lie in no shard. A key outside
	// gives fault.Internal, a limit broken fault.TooLarge. If fn returns an error,
	// nothing is written and Update returns that error. An Update that writes
	// nothing makes no version.
	Update(ctx context.Context, s []Shard, fn func(Tx) error) error

	// Watch tells of new versions of a shard once they are durable. Hints may be
	// merged or lost: a watcher also looks by itself now and then. The channel is
	// closed when ctx ends or the store closes.
	Watch(ctx context.Context, s Shard) <-chan Version

	// Wake is Watch for those who are many: wake is called for each hint, until end
	// was called; after the store has closed it is called no more. It may not block,
	// nor call the store.
	Wake(s Shard, wake func()) (end func())

	// Backup writes all rows and versions of one moment, in the form that
	// ReadDump reads.
	Backup(ctx context.Context, w io.Writer) error
	// Close waits for nothing: the callers have ended before.
	Close() error
}

// Pair is one row.
type Pair struct{ Key, Value []byte }

// Range is the keys from From (included) to To (not included).
type Range struct {
	From, To []byte
	Reverse  bool
	Limit    int // at most so many rows; 0 means all
	// Borrow lets the engine lend keys and values: they are good only until the
	// next row is asked for, and may not be changed.
	Borrow bool
}

// Newest is what a DB may do besides: tell a shard's version without a look at
// its rows. The version is durable, and every Update that has returned is in it.
// ok is false where it is not known; then a View tells.
type Newest interface {
	Newest(s Shard) (v Version, ok bool)
}

// Reader reads one moment. Keys and values are the caller's to keep, but for
// those that a Range borrows.
type Reader interface {
	Get(key []byte) (value []byte, ok bool, err error)
	// GetMany gives the values in the order of keys, nil where there is none.
	GetMany(keys [][]byte) ([][]byte, error)
	// Each calls found for each of keys that is there, with its place among them
	// and its value, which is lent for the call. What found returns ends it.
	Each(keys [][]byte, found func(i int, value []byte) error) error
	// Scan gives the rows of r in order, as they are when it begins. Both ends of
	// r lie in one shard; it may end where the shard does. A failure comes as a
	// last pair without a key and its error.
	Scan(r Range) iter.Seq2[Pair, error]
	// Version is the shard's version at this moment.
	Version(s Shard) Version
}

// Tx reads its own writes.
type Tx interface {
	Reader
	Set(key, value []byte)
	Delete(key []byte)
	Clear(r Range)
	// Next is the version this commit will give the shard, if it writes to it.
	Next(s Shard) Version
	// Fail makes the transaction fail with err, whatever fn returns. The first
	// failure counts.
	Fail(err error)
}

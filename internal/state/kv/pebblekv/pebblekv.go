// Package pebblekv is the embedded engine: one Pebble database in a directory.
package pebblekv

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Options of a database on disk. The zero value is good.
type Options struct {
	FS      vfs.FS          // nil is the disk
	Cache   int64           // octets of the block cache; 0 is 64 MiB
	Reserve int64           // octets of free space below which writes are refused; 0 is 256 MiB, negative none
	Fatal   func(err error) // called when a sync failed; nil ends the process
}

// DB is a database on disk.
type DB struct{ kv.DB }

// Open opens or makes the database in dir.
func Open(dir string, o Options) (*DB, error) { panic("not yet") }

// Restore makes a database in dir, which must be empty, of what Backup wrote.
func Restore(ctx context.Context, dir string, r io.Reader, o Options) error { panic("not yet") }

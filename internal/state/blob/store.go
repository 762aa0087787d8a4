package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// defaultInline is up to how many octets a body becomes rows: up to there one
// sync more costs more than what compactions copy.
const defaultInline = 32 << 10

// Options of a store.
type Options struct {
	DB      kv.DB
	Dir     string // of the segment files; "" keeps them in memory
	FS      FS     // instead of Dir
	Inline  int    // bodies of at most so many octets become rows; 0 is 32 KiB, at most 1 MiB
	Segment int64  // octets of a segment file; 0 is 64 MiB
	Reserve int64  // octets of free space below which nothing is stored; 0 is 512 MiB or a quarter of the disk, negative none
	Memory  int    // octets that one writer may keep of a body, 32 MiB among all; 0 is 4 MiB; every one may keep 512 KiB
}

// Store keeps blobs.
type Store struct {
	db     kv.DB
	fs     FS
	inline int
	size   int64 // of a segment
	space  kv.Space
	pack   *zstd.Encoder
	unpack *zstd.Decoder

	sweeps sync.Mutex // held by a sweep and by those who want none

	keep int          // octets of a record that a writer may keep in memory
	kept atomic.Int64 // octets that writers keep in memory beyond their spillAt

	buffers sync.Pool // of readers: *[]byte of atOnce octets

	mu      sync.Mutex
	current *segment            // that is written to; nil before the first write
	last    uint64              // the highest number of a segment
	spills  uint64              // that were ever made in this run
	busy    map[uint64]*segment // that are not all written, or failed to be
}

// Open opens the store. What an earlier run left unfinished is removed or lies
// idle: nothing refers to it.
func Open(o Options) (*Store, error) {
	s := &Store{db: o.DB, fs: o.FS, inline: o.Inline, size: o.Segment, keep: keepMost, busy: map[uint64]*segment{}}
	if s.inline == 0 {
		s.inline = defaultInline
	}
	if s.size == 0 {
		s.size = 64 << 20
	}
	if s.inline < 0 || s.inline > maxInline {
		return nil, fault.Newf(fault.Invalid, "blob.Open", "the limit of inline bodies is %d, not 0 to %d", s.inline, maxInline)
	}
	if o.Memory > 0 {
		s.keep = o.Memory
	}
	s.space.Reserve = o.Reserve
	if o.Reserve == 0 {
		s.space.Reserve, s.space.Share = 512<<20, 4
	}
	s.space.Stat = s.stat
	var err error
	switch {
	case s.fs != nil:
	case o.Dir == "":
		s.fs = newMemory()
	default:
		s.fs, err = openDisk(o.Dir)
	}
	if err == nil {
		err = s.openSegments()
	}
	if err != nil {
		return nil, broken("blob.Open", err)
	}
	// A window of one chunk: no frame is longer, and an encoder stays small.
	s.pack, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(chunkSize),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err == nil {
		s.unpack, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(chunkSize))
	}
	return s, fault.Wrap("blob.Open", err)
}

// Close closes the segment files. Writers and readers have ended before.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.current != nil {
		err = s.retire(s.current)
		s.current = nil
	}
	s.unpack.Close()
	err = errors.Join(err, s.pack.Close())
	if err != nil {
		return broken("blob.Close", err)
	}
	return nil
}

// Create begins a blob; nobody sees it before a transaction refers to it.
// fault.Unavailable if little room is left: bodies stop before rows do, so that
// the rows' engine always has room for what it has begun.
func (s *Store) Create(ctx context.Context) (*Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap("blob.Create", err)
	}
	if err := s.space.Check(false); err != nil {
		return nil, broken("blob.Create", err)
	}
	return &Writer{s: s, ctx: ctx, sum: sha256.New()}, nil
}

// Open opens a blob for reading: fault.NotFound, or fault.Corrupt if its rows or
// bytes are damaged.
func (s *Store) Open(ctx context.Context, id mail.BlobID) (*Reader, error) {
	const tries = 3
	for try := 1; ; try++ {
		r, err := s.open(ctx, id)
		// A sweep may have moved it, and removed the file, since the rows were read.
		if err == nil || try == tries || !errors.Is(err, fs.ErrNotExist) {
			return r, fault.Wrap("blob.Open", err)
		}
	}
}

func (s *Store) open(ctx context.Context, id mail.BlobID) (*Reader, error) {
	r := &Reader{s: s, id: id, cached: -1}
	var l lookup
	err := s.db.View(ctx, nil, func(rows kv.Reader) (err error) {
		if l, err = look(rows, id, false); err == nil && l.first != nil {
			r.body, err = readBody(rows, id, l.first)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !l.there:
		return nil, fault.New(fault.NotFound, "", "")
	}
	r.size = l.size
	if l.first != nil {
		return r, nil
	}
	r.large = true
	if err := r.at(l.at); err != nil {
		return nil, err
	}
	return r, nil
}

// stat gives the room that is left, and of a disk also how much there is.
func (s *Store) stat() (free, total int64, err error) {
	free, err = s.fs.Free()
	if d, ok := s.fs.(interface{ Total() (int64, error) }); ok && err == nil {
		total, err = d.Total()
	}
	return free, total, err
}

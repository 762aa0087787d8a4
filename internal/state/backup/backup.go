// Package backup takes a store's rows and bodies to a directory while the server
// runs, brings them back, and verifies either.
package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Progress is told now and then.
type Progress struct {
	Stage string // "rows", "bodies", "checking"
	Done  int64  // octets, rows for "rows"
	Total int64  // 0 if nobody knows
}

// Report says what a backup, a restore or a verification has done.
type Report struct {
	Taken      time.Time // when the backup was taken
	Rows       int64     // rows in it
	Changed    int64     // of them, new, changed or gone since the backup before
	Bodies     int64     // octets of bodies in it
	Written    int64     // octets written this time, of rows and bodies
	Whole      bool      // all rows were written, not only what has changed
	EarlierBad bool      // the rows of the backup before were damaged; so all were written anew
}

// Write brings the backup in dir up to date: one moment of all rows, and every
// body that they point to. Mail flows on meanwhile; sweeps wait. Only what is new
// since the backup before is written. The backup before is there until the new
// one is whole. Its errors are fault.Conflict (dir holds the backup of another
// store, or is being written), fault.Exists (dir holds something else),
// fault.Corrupt (its manifest is damaged) and fault.Unavailable.
func Write(ctx context.Context, db kv.DB, blobs *blob.Store, dir string, tell func(Progress)) (Report, error) {
	const op = "backup.Write"
	if tell == nil {
		tell = func(Progress) {}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Report{}, broken(op, err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	defer unlock()
	who, err := kv.Identify(ctx, db)
	if err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	before, err := readManifest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = mustBeFree(dir)
	} else if err == nil && before.Store != hex.EncodeToString(who.ID[:]) {
		err = fault.New(fault.Conflict, "", "this directory holds the backup of another store, or of this one before it was restored; name an empty one")
	}
	if err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	w := &writer{db: db, blobs: blobs, dir: dir, before: before, tell: tell, report: Report{Taken: time.Now()}}
	w.next = manifest{Format: format, Store: hex.EncodeToString(who.ID[:]), Epoch: who.Epoch, Number: before.Number + 1, Taken: w.report.Taken.UTC()}
	if err := w.write(ctx); err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	return w.report, nil
}

// writer is one run of Write.
type writer struct {
	db     kv.DB
	blobs  *blob.Store
	dir    string
	before manifest // zero if there is none
	next   manifest
	tell   func(Progress)
	report Report
}

func (w *writer) write(ctx context.Context) error {
	// Rows first, then bodies: what the rows point to was safe before them, and
	// stays while sweeps are held back.
	defer w.blobs.Pause()()
	if err := w.rows(ctx); err != nil {
		return err
	}
	if err := w.bodies(ctx); err != nil {
		return err
	}
	if err := w.next.write(w.dir); err != nil {
		return broken("", err)
	}
	return broken("", w.next.tidy(w.dir))
}

// bodies copies what is new in the segments.
func (w *writer) bodies(ctx context.Context) error {
	pieces, err := w.blobs.Pieces()
	if err != nil {
		return err
	}
	had := map[string]segmentFile{}
	for _, s := range w.before.Segments {
		had[s.Name] = s
	}
	total := int64(0)
	for _, p := range pieces {
		w.report.Bodies += p.Size
		total += p.Size - min(had[p.Name].Settled, p.Size)
	}
	if err := os.MkdirAll(filepath.Join(w.dir, segmentDir), 0o700); err != nil {
		return broken("", err)
	}
	done := int64(0)
	for _, p := range pieces {
		from := min(had[p.Name].Settled, p.Size)
		if err := w.piece(ctx, p, from, func(n int64) {
			done += n
			w.tell(Progress{Stage: "bodies", Done: done, Total: total})
		}); err != nil {
			return err
		}
		w.next.Segments = append(w.next.Segments, segmentFile{Name: p.Name, Size: p.Size, Settled: p.Settled})
	}
	w.report.Written += done
	return broken("", syncDir(filepath.Join(w.dir, segmentDir)))
}

// piece copies a segment from an offset on. What lies behind the settled part of
// the backup before is written again: the records that the earlier rows point
// to are the same there.
func (w *writer) piece(ctx context.Context, p blob.Piece, from int64, copied func(int64)) error {
	path := filepath.Join(w.dir, segmentDir, p.Name)
	if i, err := os.Stat(path); err != nil || i.Size() < from {
		from = 0 // somebody took it away, or a part of it
	}
	if from == p.Size && from > 0 {
		return nil
	}
	src, err := w.blobs.OpenPiece(p)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return broken("", err)
	}
	err = copyPart(ctx, io.NewOffsetWriter(dst, from), io.NewSectionReader(src, from, p.Size-from), copied)
	if err == nil {
		err = dst.Sync()
	}
	return broken("", errors.Join(err, dst.Close()))
}

// copyPart copies all of src.
func copyPart(ctx context.Context, dst io.Writer, src *io.SectionReader, copied func(int64)) error {
	buf := make([]byte, 1<<20)
	for left := src.Size(); left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(src, buf[:min(left, int64(len(buf)))])
		if err != nil {
			return err
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
		copied(int64(n))
	}
	return nil
}

// lock keeps others from writing to dir at the same time.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, broken("", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, &fault.Error{Kind: fault.Conflict, Public: "somebody is writing or reading the backup in this directory", Err: err}
	}
	return func() { _ = f.Close() }, nil
}

// mustBeFree refuses a directory in which something else lies.
func mustBeFree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return broken("", err)
	}
	for _, e := range entries {
		if !ours(e.Name()) {
			return fault.Newf(fault.Exists, "", "the directory is not empty and holds no backup: %s", e.Name())
		}
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// broken gives what the disk said a kind; an error that has one keeps it.
func broken(op string, err error) error {
	if err == nil {
		return nil
	}
	if fault.KindOf(err) != fault.Internal {
		return fault.Wrap(op, err)
	}
	e := &fault.Error{Kind: fault.Unavailable, Op: op, Err: err}
	var path *fs.PathError
	if errors.As(err, &path) {
		e.Public = path.Error()
	}
	return e
}

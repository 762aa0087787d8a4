package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// maxChain is how many files hold the rows of a backup.
const maxChain = 30

// rows writes the rows of this moment: all of them, or what has changed since the
// backup before. When the changes have grown to half of the whole, or are
// damaged, all are written.
func (w *writer) rows(ctx context.Context) error {
	chain := w.before.Rows
	whole, changes := len(chain) == 0 || len(chain) >= maxChain, int64(0)
	for i, r := range chain {
		if i > 0 {
			changes += r.Size
		}
	}
	if !whole && changes <= chain[0].Size/2 {
		err := w.dump(ctx, chain)
		if !errors.Is(err, errEarlier) {
			return err
		}
		w.report.EarlierBad = true
	}
	return w.dump(ctx, nil)
}

// errEarlier means that the rows of the backup before cannot be read.
var errEarlier = errors.New("the rows of the backup before cannot be read")

// dump writes the rows of this moment as what differs from chain.
func (w *writer) dump(ctx context.Context, chain []rowsFile) error {
	had, err := openChain(w.dir, chain)
	if err != nil {
		return errors.Join(errEarlier, err)
	}
	defer had.close()
	out, err := createRows(filepath.Join(w.dir, fmt.Sprintf("%s%d.zst", rowsPrefix, w.next.Number)))
	if err != nil {
		return broken("", err)
	}
	defer out.abort()
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = pw.CloseWithError(w.db.Backup(ctx, pw))
	}()
	err = w.diff(had, kv.NewDumpReader(pr), out.dump)
	_ = pr.CloseWithError(errors.New("the backup has ended"))
	<-done
	if err != nil {
		return err
	}
	size, err := out.finish()
	if err != nil {
		return broken("", err)
	}
	w.report.Written += size
	w.report.Whole = len(chain) == 0
	w.next.Rows = append(chain[:len(chain):len(chain)], rowsFile{Name: filepath.Base(out.path), Size: size})
	return nil
}

// diff writes what now has and had has not, or has otherwise, and what is gone.
func (w *writer) diff(had *chain, now *kv.DumpReader, out *kv.DumpWriter) error {
	w.report.Rows, w.report.Changed = 0, 0
	old, err := had.next()
	for {
		i, e := now.Next()
		if e != nil && e != io.EOF {
			return e
		}
		for err == nil && (i == nil || old.Before(i)) {
			w.report.Changed++
			if e := out.Item(&kv.Item{Key: old.Key, Version: old.Version, Gone: true}); e != nil {
				return broken("", e)
			}
			old, err = had.next()
		}
		if err != nil && err != io.EOF {
			return errors.Join(errEarlier, err)
		}
		if i == nil {
			return broken("", out.Close())
		}
		if w.report.Rows++; w.report.Rows%50_000 == 0 {
			w.tell(Progress{Stage: "rows", Done: w.report.Rows})
		}
		if err == nil && !i.Before(old) { // the same key
			same := bytes.Equal(i.Value, old.Value)
			old, err = had.next()
			if same {
				continue
			}
		}
		w.report.Changed++
		if e := out.Item(i); e != nil {
			return broken("", e)
		}
	}
}

// chain reads the rows of a backup: a whole one and changes to it, in order, each
// key as the last of them has it.
type chain struct {
	links []*link
}

type link struct {
	f    *os.File
	zip  *zstd.Decoder
	dump *kv.DumpReader
	head *kv.Item // the next item; nil at the end
}

func openChain(dir string, files []rowsFile) (*chain, error) {
	c := &chain{}
	for _, r := range files {
		f, err := os.Open(filepath.Join(dir, r.Name))
		if err != nil {
			c.close()
			return nil, unreadable(err)
		}
		l := &link{f: f}
		c.links = append(c.links, l)
		if l.zip, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)); err != nil {
			c.close()
			return nil, unreadable(err)
		}
		l.dump = kv.NewDumpReader(l.zip)
		if err := l.advance(); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.As(fault.Corrupt, "", err)
	}
	return broken("", err)
}

func (l *link) advance() (err error) {
	if l.head, err = l.dump.Next(); err == io.EOF {
		return nil
	}
	return err
}

// next gives the next row or version that is there; io.EOF at the end of a chain
// that was whole.
func (c *chain) next() (*kv.Item, error) {
	for {
		var first *kv.Item
		for _, l := range c.links { // of equal ones the last counts
			if l.head != nil && (first == nil || !first.Before(l.head)) {
				first = l.head
			}
		}
		if first == nil {
			return nil, io.EOF
		}
		for _, l := range c.links {
			if l.head != nil && !first.Before(l.head) {
				if err := l.advance(); err != nil {
					return nil, err
				}
			}
		}
		if !first.Gone {
			return first, nil
		}
	}
}

func (c *chain) close() {
	for _, l := range c.links {
		if l.zip != nil {
			l.zip.Close()
		}
		_ = l.f.Close()
	}
}

// rowsOut is a file of rows that is being written.
type rowsOut struct {
	path string
	f    *os.File
	zip  *zstd.Encoder
	dump *kv.DumpWriter
}

func createRows(path string) (*rowsOut, error) {
	f, err := os.OpenFile(path+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	zip, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &rowsOut{path: path, f: f, zip: zip, dump: kv.NewDumpWriter(zip)}, nil
}

// finish makes the file safe and gives its size.
func (o *rowsOut) finish() (int64, error) {
	if err := errors.Join(o.zip.Close(), o.f.Sync()); err != nil {
		return 0, err
	}
	i, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), errors.Join(o.f.Close(), os.Rename(o.path+unfinished, o.path))
}

// abort removes a file that was not finished.
func (o *rowsOut) abort() {
	_ = o.f.Close()
	_ = os.Remove(o.path + unfinished)
}

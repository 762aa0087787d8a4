package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// restoringFile lies in a data directory while a restore is not complete.
const restoringFile = "restoring"

// RestoreOptions say where a backup goes to.
type RestoreOptions struct {
	Rows  string // directory of the database, in which none may be
	Blobs string // directory of the segment files, in which none may be
	// Restore makes a database in a directory of what kv.DB.Backup wrote.
	Restore func(ctx context.Context, dir string, r io.Reader) error
	// Row gives each row as the restored store is to have it; nil leaves all as
	// they are. Rows come in the order of their keys.
	Row  func(key, value []byte) ([]byte, error)
	Tell func(Progress)
}

// Restore brings the backup in dir back into data, a data directory without a
// store; both directories of o lie in it. The restored store begins a new epoch.
// Until Restore returns nil, Ready refuses data, and Restore may be called again.
// Its errors are fault.NotFound (no backup in dir), fault.Exists (there is a
// store in data), fault.Corrupt (the backup is damaged) and fault.Unavailable.
func Restore(ctx context.Context, dir, data string, o RestoreOptions) (Report, error) {
	const op = "backup.Restore"
	if o.Tell == nil {
		o.Tell = func(Progress) {}
	}
	m, err := open(dir)
	if err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	defer unlock()
	if err := begin(data, o); err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	r := &restorer{o: o, m: m, dir: dir, report: Report{Taken: m.Taken, Whole: true}}
	err = r.bodies(ctx)
	if err == nil {
		err = r.rows(ctx)
	}
	if err == nil {
		err = broken("", errors.Join(syncDir(data), os.Remove(filepath.Join(data, restoringFile)), syncDir(data)))
	}
	return r.report, fault.Wrap(op, err)
}

// open reads the manifest of a directory that should have one.
func open(dir string) (manifest, error) {
	m, err := readManifest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.New(fault.NotFound, "", "there is no backup in this directory")
	}
	return m, err
}

// Ready refuses a data directory in which a restore was not completed
// (fault.Corrupt).
func Ready(data string) error {
	_, err := os.Lstat(filepath.Join(data, restoringFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		return fault.New(fault.Corrupt, "backup.Ready", "a restore into this data directory was not completed; restore again")
	}
	return broken("backup.Ready", err)
}

// begin marks data as being restored into, and removes what an earlier restore
// that broke off has left.
func begin(data string, o RestoreOptions) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return broken("", err)
	}
	marker := filepath.Join(data, restoringFile)
	if Ready(data) == nil {
		for _, d := range []string{o.Rows, o.Blobs} {
			if entries, err := os.ReadDir(d); err == nil && len(entries) > 0 {
				return fault.Newf(fault.Exists, "", "there is a store in %s already; restore into an empty data directory", d)
			}
		}
		if err := errors.Join(os.WriteFile(marker, nil, 0o600), syncDir(data)); err != nil {
			return broken("", err)
		}
	}
	return broken("", errors.Join(os.RemoveAll(o.Rows), os.RemoveAll(o.Blobs), os.MkdirAll(o.Blobs, 0o700)))
}

// restorer is one run of Restore.
type restorer struct {
	o      RestoreOptions
	m      manifest
	dir    string
	report Report
}

func (r *restorer) bodies(ctx context.Context) error {
	total, done := int64(0), int64(0)
	for _, s := range r.m.Segments {
		total += s.Size
	}
	for _, s := range r.m.Segments {
		err := r.piece(ctx, s, func(n int64) {
			done += n
			r.o.Tell(Progress{Stage: "bodies", Done: done, Total: total})
		})
		if err != nil {
			return err
		}
	}
	r.report.Bodies = total
	r.report.Written += done
	return broken("", syncDir(r.o.Blobs))
}

func (r *restorer) piece(ctx context.Context, s segmentFile, copied func(int64)) error {
	src, err := os.Open(filepath.Join(r.dir, segmentDir, s.Name))
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(filepath.Join(r.o.Blobs, s.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return broken("", err)
	}
	err = copyPart(ctx, dst, io.NewSectionReader(src, 0, s.Size), copied)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fault.As(fault.Corrupt, "", errors.New("the backup's "+s.Name+" is too short"))
	}
	if err == nil {
		err = dst.Sync()
	}
	return broken("", errors.Join(err, dst.Close()))
}

// rows puts the chain together again and hands it to the engine.
func (r *restorer) rows(ctx context.Context) error {
	c, err := openChain(r.dir, r.m.Rows)
	if err != nil {
		return err
	}
	defer c.close()
	pr, pw := io.Pipe()
	var feed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		feed = r.feed(ctx, c, pw)
		_ = pw.CloseWithError(feed)
	}()
	err = r.o.Restore(ctx, r.o.Rows, pr)
	_ = pr.CloseWithError(errors.New("the restore has ended"))
	<-done
	if feed != nil && err != nil && fault.Is(feed, fault.Corrupt) {
		return feed // what the engine says follows from it
	}
	return err
}

func (r *restorer) feed(ctx context.Context, c *chain, w io.Writer) error {
	d := kv.NewDumpWriter(w)
	for {
		i, err := c.next()
		if err == io.EOF {
			return d.Close()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && !i.Version {
			if i.Value, err = kv.NextEpoch(i.Key, i.Value); err == nil && r.o.Row != nil {
				i.Value, err = r.o.Row(i.Key, i.Value)
			}
		}
		if err == nil {
			err = d.Item(i)
		}
		if err != nil {
			return err
		}
		if r.report.Rows++; r.report.Rows%50_000 == 0 {
			r.o.Tell(Progress{Stage: "rows", Done: r.report.Rows})
		}
	}
}

// Check reads all of the backup in dir and verifies it: that the rows are whole
// and that every body they point to is there and as it was. It tells bad of each
// that is not. Its errors are fault.NotFound, fault.Corrupt (rows or manifest
// are damaged) and fault.Unavailable.
func Check(ctx context.Context, dir string, bad func(what string, err error), tell func(Progress)) (Report, error) {
	const op = "backup.Check"
	if tell == nil {
		tell = func(Progress) {}
	}
	m, err := open(dir)
	if err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	defer unlock()
	c, err := openChain(dir, m.Rows)
	if err != nil {
		return Report{}, fault.Wrap(op, err)
	}
	defer c.close()
	report := Report{Taken: m.Taken}
	part := map[string]bool{}
	for _, s := range m.Segments {
		part[s.Name] = true
		report.Bodies += s.Size
	}
	check := blob.NewRowChecker(func(segment string) (blob.ReadAtCloser, error) {
		if !part[segment] {
			return nil, fs.ErrNotExist
		}
		return os.Open(filepath.Join(dir, segmentDir, segment))
	})
	defer check.Close()
	for {
		i, err := c.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return report, fault.Wrap(op, err)
		}
		report.Rows++
		if report.Rows%10_000 == 0 {
			tell(Progress{Stage: "checking", Done: report.Rows})
		}
		if id, err := check.Row(i.Key, i.Value); err != nil && !i.Version {
			bad(id.String(), err)
		}
	}
	return report, nil
}

package crashtest

import (
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ekiden-mail/ekiden/internal/state/blob"
)

// pebbleFS is the disk as Pebble sees it.
type pebbleFS struct{ d *disk }

// segmentFS is one directory of the disk as the blobs see it.
type segmentFS struct {
	d   *disk
	dir string
}

// file is an open file or directory, for both.
type file struct {
	d    *disk
	n    *node
	name string
	pos  int64
}

func opened(d *disk, name string, n *node, err error) (*file, error) {
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &file{d: d, n: n, name: name}, nil
}

// Close does nothing.
func (f *file) Close() error { return nil }

// Read reads on.
func (f *file) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt reads anywhere.
func (f *file) ReadAt(b []byte, off int64) (int, error) {
	n := f.d.readAt(f.n, b, off)
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Write writes on.
func (f *file) Write(b []byte) (int, error) {
	f.d.writeAt(f.n, b, f.pos)
	f.pos += int64(len(b))
	return len(b), nil
}

// WriteAt writes anywhere.
func (f *file) WriteAt(b []byte, off int64) (int, error) {
	f.d.writeAt(f.n, b, off)
	return len(b), nil
}

// Sync makes it safe.
func (f *file) Sync() error { f.d.sync(f.name, f.n); return nil }

// SyncData is Sync.
func (f *file) SyncData() error { return f.Sync() }

// SyncTo promises nothing.
func (f *file) SyncTo(int64) (bool, error) { return false, nil }

// Preallocate does nothing.
func (f *file) Preallocate(int64, int64) error { return nil }

// Prefetch does nothing.
func (f *file) Prefetch(int64, int64) error { return nil }

// Fd is none.
func (f *file) Fd() uintptr { return vfs.InvalidFd }

// Allocate does nothing.
func (f *file) Allocate(int64) error { return nil }

// Trim ends the file at size.
func (f *file) Trim(size int64) error { f.d.truncate(f.n, int(size)); return nil }

// Stat tells size and time.
func (f *file) Stat() (vfs.FileInfo, error) {
	size, changed := f.d.size(f.n)
	return info{path.Base(f.name), size, changed, f.n.names != nil}, nil
}

type info struct {
	name    string
	size    int64
	changed time.Time
	dir     bool
}

// Name is the file's.
func (i info) Name() string { return i.name }

// Size is in octets.
func (i info) Size() int64 { return i.size }

// Mode tells a directory.
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

// ModTime is of the last write.
func (i info) ModTime() time.Time { return i.changed }

// IsDir tells a directory.
func (i info) IsDir() bool { return i.dir }

// Sys is nothing.
func (i info) Sys() any { return nil }

// DeviceID is always the same.
func (i info) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

// Create makes a new file in the place of one that may be there.
func (p pebbleFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	n, err := p.d.create(name, false)
	return opened(p.d, name, n, err)
}

// Link gives a file another name.
func (p pebbleFS) Link(from, to string) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	n, err := p.d.get(from)
	if err != nil {
		return err
	}
	return p.d.set(to, n)
}

// Open opens for reading.
func (p pebbleFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	n, err := p.d.open(name)
	f, err := opened(p.d, name, n, err)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

// OpenReadWrite opens a file or makes it.
func (p pebbleFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	n, err := p.d.open(name)
	if err != nil {
		n, err = p.d.create(name, false)
	}
	return opened(p.d, name, n, err)
}

// OpenDir opens a directory to sync it.
func (p pebbleFS) OpenDir(name string) (vfs.File, error) { return p.Open(name) }

// Remove removes a name.
func (p pebbleFS) Remove(name string) error { return p.d.remove(name) }

// RemoveAll removes a name and what is below it.
func (p pebbleFS) RemoveAll(name string) error {
	below, _ := p.d.list(name)
	for _, b := range below {
		if err := p.RemoveAll(path.Join(name, b)); err != nil {
			return err
		}
	}
	return p.d.remove(name)
}

// Rename gives a file another name.
func (p pebbleFS) Rename(from, to string) error { return p.d.rename(from, to) }

// ReuseForWrite writes a new file over the bytes of an old one.
func (p pebbleFS) ReuseForWrite(from, to string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := p.d.rename(from, to); err != nil {
		return nil, err
	}
	n, err := p.d.open(to)
	return opened(p.d, to, n, err)
}

// MkdirAll makes a directory and those above it.
func (p pebbleFS) MkdirAll(name string, _ os.FileMode) error { return p.d.mkdir(name, true) }

// Lock always succeeds: a cut ends all locks.
func (p pebbleFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// List gives the names in a directory.
func (p pebbleFS) List(name string) ([]string, error) { return p.d.list(name) }

// Stat tells size and time.
func (p pebbleFS) Stat(name string) (vfs.FileInfo, error) {
	f, err := p.Open(name)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

// PathBase is path.Base.
func (p pebbleFS) PathBase(name string) string { return path.Base(name) }

// PathJoin is path.Join.
func (p pebbleFS) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir is path.Dir.
func (p pebbleFS) PathDir(name string) string { return path.Dir(name) }

// GetDiskUsage knows nothing.
func (p pebbleFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

// Unwrap is nothing.
func (p pebbleFS) Unwrap() vfs.FS { return nil }

func (s segmentFS) at(name string) string { return path.Join(s.dir, name) }

// Create makes a new file.
func (s segmentFS) Create(name string) (blob.File, error) {
	n, err := s.d.create(s.at(name), true)
	return opened(s.d, s.at(name), n, err)
}

// Open opens a file.
func (s segmentFS) Open(name string) (blob.File, error) {
	n, err := s.d.open(s.at(name))
	return opened(s.d, s.at(name), n, err)
}

// Remove removes a file.
func (s segmentFS) Remove(name string) error { return s.d.remove(s.at(name)) }

// Rename gives a file another name.
func (s segmentFS) Rename(from, to string) error { return s.d.rename(s.at(from), s.at(to)) }

// List gives the files in the order of their names.
func (s segmentFS) List() ([]blob.Info, error) {
	names, err := s.d.list(s.dir)
	var all []blob.Info
	for _, name := range names {
		if n, err := s.d.open(s.at(name)); err == nil {
			size, changed := s.d.size(n)
			all = append(all, blob.Info{Name: name, Size: size, Changed: changed})
		}
	}
	return all, err
}

// Sync makes the names safe.
func (s segmentFS) Sync() error {
	n, err := s.d.open(s.dir)
	if err == nil {
		s.d.sync(s.dir, n)
	}
	return err
}

// Free says that there is always room.
func (s segmentFS) Free() (int64, error) { return math.MaxInt64, nil }

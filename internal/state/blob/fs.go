package blob

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// FS is the directory of the segment files. There are the disk, memory, and the
// tests' broken disks.
type FS interface {
	Create(name string) (File, error) // a new file
	Open(name string) (File, error)   // for reading and writing
	Remove(name string) error
	Rename(from, to string) error
	List() ([]Info, error)
	Sync() error          // of the directory: names made, changed and removed before are safe
	Free() (int64, error) // octets of room left
}

// Info is about one file.
type Info struct {
	Name    string
	Size    int64
	Changed time.Time
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error               // data, and what is needed to find it again
	Allocate(size int64) error // room for size octets, without making the file longer; a hint
	Trim(size int64) error     // ends the file at size and gives back room behind it
}

// disk is a directory of the operating system.
type disk struct{ dir string }

type diskFile struct{ *os.File }

func openDisk(dir string) (FS, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The directory's own name must be as safe as the names in it.
	return disk{dir}, disk{filepath.Dir(dir)}.Sync()
}

// Create makes a new file.
func (d disk) Create(name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// Open opens a file.
func (d disk) Open(name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// Remove removes a file.
func (d disk) Remove(name string) error { return os.Remove(filepath.Join(d.dir, name)) }

// Rename gives a file another name.
func (d disk) Rename(from, to string) error {
	return os.Rename(filepath.Join(d.dir, from), filepath.Join(d.dir, to))
}

// List gives the files in the order of their names.
func (d disk) List() ([]Info, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var files []Info
	for _, e := range entries {
		i, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !i.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, Info{Name: e.Name(), Size: i.Size(), Changed: i.ModTime()})
	}
	return files, nil
}

// Sync makes the names safe.
func (d disk) Sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Free gives the room that is left for those who are not root.
func (d disk) Free() (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(d.dir, &s)
	return int64(s.Bavail) * int64(s.Bsize), err
}

// Total gives the room there is.
func (d disk) Total() (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(d.dir, &s)
	return int64(s.Blocks) * int64(s.Bsize), err
}

// Trim ends the file at size.
func (f diskFile) Trim(size int64) error { return f.Truncate(size) }

// broken gives what the disk said a kind: whatever it is, trying again later is
// right for a write.
func broken(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fault.Full(err)
	}
	return fault.As(fault.Unavailable, op, err)
}

// unreadable gives a failed read a kind: bytes that should be there and are not,
// or are other ones, are damage.
func unreadable(op string, err error) error {
	if errors.Is(err, errRecord) || errors.Is(err, errChecksum) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO) {
		return corrupt(op, err)
	}
	return broken(op, err)
}

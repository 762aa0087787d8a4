package blob

import "golang.org/x/sys/unix"

// Allocate asks for room; a file system that cannot is no fault.
func (f diskFile) Allocate(size int64) error {
	return ifSupported(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size))
}

// Sync makes the data safe.
func (f diskFile) Sync() error { return unix.Fdatasync(int(f.Fd())) }

func ifSupported(err error) error {
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return nil
	}
	return err
}

package blob

import (
	"bytes"
	"io"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// ReadAtCloser is an open file that is only read.
type ReadAtCloser interface {
	io.ReaderAt
	io.Closer
}

// RowChecker verifies the large bodies that rows point to, in segment files that
// lie anywhere, such as in a backup.
type RowChecker struct {
	open func(segment string) (ReadAtCloser, error)
	name string // of the segment that is open
	file ReadAtCloser
}

// NewRowChecker makes a checker; open opens a segment file by its name.
func NewRowChecker(open func(segment string) (ReadAtCloser, error)) *RowChecker {
	return &RowChecker{open: open}
}

// Row verifies the body that a row points to, by the checksums of its record. A
// row of another kind is good. The error is fault.Corrupt.
func (c *RowChecker) Row(key, value []byte) (mail.BlobID, error) {
	if !bytes.HasPrefix(key, []byte(atPrefix)) {
		return mail.BlobID{}, nil
	}
	id, err := idOf(key, atPrefix)
	if err != nil {
		return id, corrupt("blob", err)
	}
	at, size, err := decodeLocation(value)
	if err != nil {
		return id, err
	}
	if name := segmentName(at.segment); name != c.name || c.file == nil {
		c.Close()
		if c.file, err = c.open(name); err != nil {
			c.file = nil
			return id, unreadable("blob", err)
		}
		c.name = name
	}
	return id, unreadableIf(soundRecord(c.file, id, at, size))
}

func unreadableIf(err error) error {
	if err == nil {
		return nil
	}
	return unreadable("blob", err)
}

// soundRecord verifies a record as it is stored.
func soundRecord(f io.ReaderAt, id mail.BlobID, at location, size int64) error {
	rec, err := openRecord(readAtFrom{f, at.offset}, at.length)
	if err != nil {
		return err
	}
	if rec.id != id || rec.size != size {
		return errRecord
	}
	for i := range rec.chunks {
		if err := rec.sound(i); err != nil {
			return err
		}
	}
	return nil
}

// readAtFrom is a file from an offset on.
type readAtFrom struct {
	f      io.ReaderAt
	offset int64
}

// ReadAt reads behind the offset.
func (r readAtFrom) ReadAt(b []byte, off int64) (int, error) { return r.f.ReadAt(b, r.offset+off) }

// Close closes the file that is open.
func (c *RowChecker) Close() {
	if c.file != nil {
		_ = c.file.Close()
		c.file = nil
	}
}

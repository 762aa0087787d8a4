package blob

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Reader reads a blob. What it gives is verified: damage is fault.Corrupt. ReadAt
// may be called by many at once, and keeps the chunk it unpacked last.
type Reader struct {
	s    *Store
	id   mail.BlobID
	size int64
	pos  int64

	body []byte // of a small blob

	record *record // of a large one
	file   File
	mu     sync.Mutex
	cached int // the number of the chunk in chunk, -1 if there is none
	chunk  []byte
	closed bool
}

// Size is the blob's length in octets.
func (r *Reader) Size() int64 { return r.size }

// Read reads on.
func (r *Reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := r.ReadAt(b, r.pos)
	r.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt reads anywhere.
func (r *Reader) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fault.New(fault.Invalid, "blob.ReadAt", "the offset is negative")
	}
	n := 0
	for n < len(b) && off < r.size {
		m, err := r.some(b[n:], off)
		if err != nil {
			return n, err
		}
		n += m
		off += int64(m)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// some reads up to the end of the chunk that off lies in.
func (r *Reader) some(b []byte, off int64) (int, error) {
	if r.record == nil {
		return copy(b, r.body[off:]), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, fault.New(fault.Internal, "blob.ReadAt", "")
	}
	i := int(off / chunkSize)
	if r.cached != i {
		r.cached = -1
		chunk, err := r.record.chunk(i, r.s.unpack, r.chunk)
		if err != nil {
			return 0, unreadable("blob.ReadAt", err)
		}
		r.chunk, r.cached = chunk, i
	}
	return copy(b, r.chunk[off%chunkSize:]), nil
}

// at opens the record of a large blob.
func (r *Reader) at(l location) error {
	f, err := r.s.fs.Open(segmentName(l.segment))
	if err != nil {
		return unreadable("", err)
	}
	r.file = f
	r.record, err = openRecord(readAtFrom{f, l.offset}, l.length)
	if err == nil && (r.record.id != r.id || r.record.size != r.size) {
		err = fmt.Errorf("%w: another blob's", errRecord)
	}
	if err != nil {
		return errors.Join(unreadable("", err), f.Close())
	}
	return nil
}

// Close lets the blob go.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if r.file != nil {
		return fault.Wrap("blob.Close", r.file.Close())
	}
	return nil
}

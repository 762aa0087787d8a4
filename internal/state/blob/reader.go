package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
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

	large  bool
	again  func() (*Reader, error) // finds the blob anew, where it was moved before it was read
	place  location                // of a record that is not open yet
	record *record
	file   File // of a record that is not in memory
	mu     sync.Mutex
	cached int    // the number of the chunk in chunk, -1 if there is none
	chunk  []byte // in room, or in the record's own memory
	room   *[]byte
	whole  *[]byte // the record's memory, or its chunk's as it is stored
	closed bool
}

// atOnce is the longest record that is read at once: one chunk with what is around.
const atOnce = chunkSize + headSize + indexEntry + 4

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
	if !r.large {
		return copy(b, r.body[off:]), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	chunk, err := r.from(off)
	return copy(b, chunk), err
}

// WriteRange writes n octets from off to w, without a copy of its own.
func (r *Reader) WriteRange(w io.Writer, off, n int64) (int64, error) {
	if off < 0 || n < 0 || off > r.size || n > r.size-off {
		return 0, fault.New(fault.Invalid, "blob.WriteRange", "the range lies outside")
	}
	if !r.large {
		k, err := w.Write(r.body[off : off+n])
		return int64(k), err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	wrote := int64(0)
	for wrote < n {
		chunk, err := r.from(off + wrote)
		if err != nil {
			return wrote, err
		}
		k, err := w.Write(chunk[:min(int64(len(chunk)), n-wrote)])
		if wrote += int64(k); err != nil {
			return wrote, err
		}
	}
	return wrote, nil
}

// from gives the chunk that off lies in, from there on.
func (r *Reader) from(off int64) ([]byte, error) {
	if r.closed {
		return nil, fault.New(fault.Internal, "blob.ReadAt", "")
	}
	if err := r.ready(); err != nil {
		return nil, fault.Wrap("blob.ReadAt", err)
	}
	i := int(off / chunkSize)
	if r.cached != i {
		r.cached = -1
		if r.room == nil {
			r.room = r.s.buffer()
		}
		chunk, err := r.record.chunk(i, r.s.unpack, *r.room)
		if err != nil {
			return nil, unreadable("blob.ReadAt", err)
		}
		r.chunk, r.cached = chunk, i
	}
	return r.chunk[off%chunkSize:], nil
}

// ready opens the record of a blob that was found and not read yet.
func (r *Reader) ready() error {
	if r.record != nil {
		return nil
	}
	err := r.at(r.place)
	if errors.Is(err, fs.ErrNotExist) && r.again != nil {
		var moved *Reader
		if moved, err = r.again(); err == nil {
			r.record, r.file, r.whole = moved.record, moved.file, moved.whole
		}
	}
	return err
}

// at opens the record of a large blob.
func (r *Reader) at(l location) error {
	f, err := r.s.fs.Open(segmentName(l.segment))
	if err != nil {
		return unreadable("", err)
	}
	if l.length <= atOnce {
		b := r.s.buffer()
		whole := (*b)[:l.length]
		if err = readFull(readAtFrom{f, l.offset}, whole, 0); err == nil {
			r.record, err = openWhole(whole)
		}
		r.whole, err = b, errors.Join(err, f.Close())
	} else {
		r.file = f
		if r.record, err = openRecord(readAtFrom{f, l.offset}, l.length); err == nil {
			r.whole = r.s.buffer()
			r.record.stored = *r.whole
		}
	}
	if err == nil && (r.record.id != r.id || r.record.size != r.size) {
		err = fmt.Errorf("%w: another blob's", errRecord)
	}
	if err == nil {
		return nil
	}
	r.record = nil
	return errors.Join(unreadable("", err), r.release())
}

// Close lets the blob go.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return fault.Wrap("blob.Close", r.release())
}

// release gives back memory and file.
func (r *Reader) release() (err error) {
	r.s.giveBack(r.room)
	r.s.giveBack(r.whole)
	if r.file != nil {
		err = r.file.Close()
	}
	r.room, r.whole, r.file, r.chunk, r.cached = nil, nil, nil, nil, -1
	return err
}

// buffer gives memory for a chunk or a record that is read at once.
func (s *Store) buffer() *[]byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, atOnce)
	return &b
}

func (s *Store) giveBack(b *[]byte) {
	if b != nil {
		s.buffers.Put(b)
	}
}

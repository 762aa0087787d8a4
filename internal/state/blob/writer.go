package blob

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

const (
	// spillAt is how many octets of a record every writer may keep in memory.
	spillAt = 512 << 10
	// keepMost is how many it may keep while all writers together are within
	// keepAll: what never was in a file of its own is written once, not twice.
	keepMost = 4 << 20
	keepAll  = 32 << 20
)

// Writer takes a blob's bytes. It holds about one chunk and keepMost octets of
// memory, however long the blob gets; when there are many writers, spillAt.
type Writer struct {
	s      *Store
	ctx    context.Context
	sum    hash.Hash
	size   int64
	plain  []byte  // the chunk being filled
	buf    []byte  // the record's octets that are not in the file
	file   File    // the record's octets before those; nil while there are none
	name   string  // of the file
	kept   int64   // octets in buf beyond spillAt that count in the store's sum
	stored int64   // octets of the record so far, without the head
	chunks []chunk // so far
	err    error
	done   bool
}

var errWriterDone = errors.New("the writer has ended")

// Write appends. fault.Unavailable if there is no room, fault.TooLarge beyond
// 1 TiB.
func (w *Writer) Write(b []byte) (int, error) {
	if w.done {
		return 0, fault.Wrap("blob.Write", errWriterDone)
	}
	written := 0
	for len(b) > 0 && w.err == nil {
		if len(w.plain) == chunkSize {
			w.err = w.flush()
			continue
		}
		n := min(len(b), chunkSize-len(w.plain))
		w.plain = append(w.plain, b[:n]...)
		w.sum.Write(b[:n])
		b = b[n:]
		written += n
		if w.size += int64(n); w.size > maxBody {
			w.err = fault.New(fault.TooLarge, "blob.Write", "")
		}
	}
	return written, w.err
}

// flush ends a chunk.
func (w *Writer) flush() error {
	if w.chunks == nil {
		w.buf = make([]byte, headSize, headSize+chunkSize)
	}
	before := len(w.buf)
	w.buf = w.s.pack.EncodeAll(w.plain, w.buf)
	packed := len(w.buf)-before <= len(w.plain)-len(w.plain)/8
	if !packed { // it does not pay: readers are spared the work
		w.buf = append(w.buf[:before], w.plain...)
	}
	c := chunk{offset: w.stored, length: int64(len(w.buf) - before), packed: packed, sum: checksum(w.buf[before:])}
	w.chunks = append(w.chunks, c)
	w.stored += c.length
	w.plain = w.plain[:0]
	if !w.mayKeep() {
		return w.spill()
	}
	return nil
}

// mayKeep says whether what is in memory may stay there.
func (w *Writer) mayKeep() bool {
	if len(w.buf) <= spillAt {
		return true
	}
	if len(w.buf) > w.s.keep || w.file != nil {
		return false
	}
	more := int64(len(w.buf)) - spillAt - w.kept
	if w.s.kept.Add(more) > keepAll {
		w.s.kept.Add(-more)
		return false
	}
	w.kept += more
	return true
}

// letGo takes what is no longer kept from the store's sum.
func (w *Writer) letGo() {
	w.s.kept.Add(-w.kept)
	w.kept = 0
}

// spill moves what is in memory to a file.
func (w *Writer) spill() error {
	if err := w.s.space.Check(false); err != nil {
		return broken("blob.Write", err)
	}
	if w.file == nil {
		w.s.mu.Lock()
		w.s.spills++
		w.name = fmt.Sprint(spillPrefix, w.s.spills)
		w.s.mu.Unlock()
		f, err := w.s.fs.Create(w.name)
		if err != nil {
			return broken("blob.Write", err)
		}
		w.file = f
	}
	if _, err := w.file.WriteAt(w.buf, headSize+w.stored-int64(len(w.buf))); err != nil {
		return broken("blob.Write", err)
	}
	if w.buf = w.buf[:0]; w.kept > 0 { // it had grown
		w.buf = make([]byte, 0, spillAt+chunkSize)
	}
	w.letGo()
	return nil
}

// Commit returns after the bytes are safe. A blob that is there already is not
// stored again.
func (w *Writer) Commit() (Handle, error) {
	if w.done {
		return Handle{}, fault.Wrap("blob.Commit", errWriterDone)
	}
	defer w.Abort()
	if w.err != nil {
		return Handle{}, w.err
	}
	h, err := w.s.find(w.ctx, mail.BlobID(w.sum.Sum(nil)), w.size <= int64(w.s.inline))
	if err == nil || !fault.Is(err, fault.NotFound) {
		return h, fault.Wrap("blob.Commit", err)
	}
	h.checked, h.fresh, h.size = time.Now(), true, w.size
	if w.size <= int64(w.s.inline) {
		if w.size > chunkSize { // with a large inline limit the first chunks went out already
			h.body, err = w.whole()
		} else {
			h.body, err = w.plain, nil
		}
		h.rows = encodeBody(h.body)
		return h, err
	}
	if h.at, err = w.store(h.id); err != nil {
		return Handle{}, broken("blob.Commit", err)
	}
	return h, nil
}

// memoryRecord is a record that fits into memory.
type memoryRecord []byte

// ReadAt reads anywhere.
func (m memoryRecord) ReadAt(b []byte, off int64) (int, error) {
	if off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(b, m[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// finish completes the record and returns its length.
func (w *Writer) finish(id mail.BlobID) (io.ReaderAt, int64, error) {
	if len(w.plain) > 0 {
		if err := w.flush(); err != nil {
			return nil, 0, err
		}
	}
	index := encodeIndex(w.chunks)
	w.buf = append(w.buf, index...)
	w.stored += int64(len(index))
	h := head{id: id, size: w.size, stored: w.stored}.encode()
	if w.file == nil {
		copy(w.buf, h)
		return memoryRecord(w.buf), headSize + w.stored, nil
	}
	if err := w.spill(); err != nil {
		return nil, 0, err
	}
	_, err := w.file.WriteAt(h, 0)
	return w.file, headSize + w.stored, err
}

// store puts the record into a segment: a large one becomes a segment itself.
func (w *Writer) store(id mail.BlobID) (location, error) {
	record, n, err := w.finish(id)
	if err != nil {
		return location{}, err
	}
	if w.file == nil || n < w.s.size/16 {
		return w.s.append(record, n)
	}
	at, err := w.s.adopt(w.file, w.name, n)
	if err == nil {
		err = w.file.Close()
		w.file = nil
	}
	return at, err
}

// whole gives back the bytes of a blob that is short enough for rows.
func (w *Writer) whole() ([]byte, error) {
	r, n, err := w.finish(mail.BlobID{})
	if err != nil {
		return nil, err
	}
	rec, err := openRecord(r, n)
	if err != nil {
		return nil, fault.Wrap("blob.Commit", err)
	}
	body := make([]byte, 0, w.size)
	for i := range rec.chunks {
		b, err := rec.chunk(i, w.s.unpack, nil)
		if err != nil {
			return nil, fault.Wrap("blob.Commit", err)
		}
		body = append(body, b...)
	}
	return body, nil
}

// Abort gives the blob up. After Commit it does nothing.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.letGo()
	if w.file != nil { // a file that stays behind is removed by the next Open
		_ = w.file.Close()
		_ = w.s.fs.Remove(w.name)
		w.file = nil
	}
}

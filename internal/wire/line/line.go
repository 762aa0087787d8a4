// Package line reads lines that end in CRLF, and literals, from a stream, with
// bounds. It is the only place that decides what ends a line, so that nothing
// can be smuggled past one reader and through another (RFC 5321 §2.3.8).
package line

import (
	"bytes"
	"errors"
	"io"
)

// Errors of ReadLine. After ErrTooLong and ErrBare the offending line has been
// read to its end and thrown away, so that the conversation can go on.
var (
	ErrTooLong = errors.New("line too long")
	ErrBare    = errors.New("line with a bare CR or LF, or a NUL")
)

// A Reader holds bufferSize octets. Where much comes in at once, as in content,
// the buffer grows to maxBuffer; while a line is waited for it is no larger than
// keepBuffer. A line that fits in it is given without a copy.
const (
	bufferSize = 4 << 10
	keepBuffer = 16 << 10
	maxBuffer  = 64 << 10
)

// emptyReads is how often in a row a source may give nothing and no error.
const emptyReads = 100

// Reader reads one side of a conversation.
type Reader struct {
	src  io.Reader
	buf  []byte
	r, w int    // what nobody read yet is buf[r:w]
	err  error  // of src, told when the window is used up
	long []byte // a line that did not fit the buffer
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{src: r, buf: make([]byte, bufferSize)}
}

// Buffered says how many octets have come in that nobody read yet. It must be
// zero when TLS begins: what came in clear before the handshake is no part of
// the protected session (RFC 3207 §4.2, CVE-2011-0411).
func (r *Reader) Buffered() int { return r.w - r.r }

// Reset throws away what is buffered and reads from src, as TLS begins.
func (r *Reader) Reset(src io.Reader) { r.src, r.r, r.w, r.err = src, 0, 0, nil }

// Window gives what is buffered, without taking it. It is good until the next
// call of another method.
func (r *Reader) Window() []byte { return r.buf[r.r:r.w] }

// Take takes the first n octets of the window.
func (r *Reader) Take(n int) { r.r = min(r.r+n, r.w) }

// More reads once from the source and makes the window longer. It gives
// io.ErrShortBuffer where the window already is as long as it can be (64 KiB).
func (r *Reader) More() error {
	if r.err != nil {
		err := r.err
		r.err = nil
		return err
	}
	r.makeRoom()
	if r.w == len(r.buf) {
		return io.ErrShortBuffer
	}
	for range emptyReads {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			r.err = err
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom moves the window to the front of the buffer. A buffer that was full
// to its end says that the source has more at hand: it grows.
func (r *Reader) makeRoom() {
	to := r.buf
	if r.w == len(r.buf) && len(r.buf) < maxBuffer {
		to = make([]byte, 4*len(r.buf))
	}
	if r.r > 0 || len(to) > len(r.buf) {
		r.w = copy(to, r.buf[r.r:r.w])
		r.r = 0
	}
	r.buf = to
}

// shrink gives back what the buffers have grown, so that a conversation that
// waits holds little.
func (r *Reader) shrink() {
	if len(r.buf) > keepBuffer {
		r.r, r.w, r.buf = 0, 0, make([]byte, keepBuffer)
	}
	if cap(r.long) > keepBuffer {
		r.long = nil
	}
}

// restBuffer is how large the buffer of a conversation at rest is.
const restBuffer = 256

// Rest gives back what the buffers hold beyond a few octets, if nothing is in them:
// nothing is expected for a long time.
func (r *Reader) Rest() {
	if r.Buffered() == 0 && len(r.buf) > restBuffer {
		r.r, r.w, r.buf = 0, 0, make([]byte, restBuffer)
	}
	r.long = nil
}

// ReadLine reads one line of at most limit octets, without its CRLF. The bytes
// are good until the next call. Octets beyond the limit are thrown away as they
// come, so memory stays bounded. Only CRLF ends a line; an LF without its CR
// ends it too, but with ErrBare. io.ErrUnexpectedEOF means that the stream
// ended inside a line.
func (r *Reader) ReadLine(limit int) ([]byte, error) {
	r.long = r.long[:0]
	if r.Buffered() == 0 {
		r.shrink()
	}
	seen, total := 0, 0 // of the window; of the line before the window
	for {
		b := r.Window()
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			i += seen + 1
			r.Take(i)
			if total == 0 {
				return checkLine(b[:i], limit)
			}
			r.keep(b[:i], limit)
			if total+i > limit+2 {
				return nil, ErrTooLong
			}
			return checkLine(r.long, limit)
		}
		seen = len(b)
		if len(b) >= bufferSize {
			r.keep(b, limit)
			r.Take(len(b))
			total += len(b)
			seen = 0
		}
		if err := r.More(); err != nil {
			if err == io.EOF && total+seen > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// keep adds part to the long line. One octet more than the limit and its CRLF
// is enough to know that it is too long.
func (r *Reader) keep(part []byte, limit int) {
	if room := limit + 3 - len(r.long); room > 0 {
		r.long = append(r.long, part[:min(room, len(part))]...)
	}
}

// checkLine takes the end off a line that ends in LF.
func checkLine(s []byte, limit int) ([]byte, error) {
	if len(s) > limit+2 {
		return nil, ErrTooLong
	}
	n := len(s)
	if n < 2 || s[n-2] != '\r' {
		return nil, ErrBare
	}
	s = s[:n-2]
	if bytes.IndexByte(s, '\r') >= 0 || bytes.IndexByte(s, 0) >= 0 {
		return nil, ErrBare
	}
	if len(s) > limit {
		return nil, ErrTooLong
	}
	return s, nil
}

// Literal is a reader of exactly the next n octets, whatever they are. It must
// be read to its end before the next line. A stream that ends early gives
// io.ErrUnexpectedEOF.
func (r *Reader) Literal(n int64) io.Reader { return &literal{r: r, left: n} }

type literal struct {
	r    *Reader
	left int64
}

func (l *literal) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.read(p)
	l.left -= int64(n)
	if err == io.EOF && l.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// read gives what is buffered, or else reads past the buffer if p is as large.
func (r *Reader) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.Buffered() == 0 && r.err == nil && len(p) >= len(r.buf) {
		return r.src.Read(p)
	}
	if r.Buffered() == 0 {
		if err := r.More(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.Window())
	r.Take(n)
	return n, nil
}

// Discard reads n octets and throws them away.
func (r *Reader) Discard(n int64) error {
	for n > 0 {
		if r.Buffered() == 0 {
			if err := r.More(); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		k := min(n, int64(r.Buffered()))
		r.Take(int(k))
		n -= k
	}
	return nil
}

// Peek gives the next n octets (at most 4096) without taking them. Where the
// stream ends before, it gives what there is, and the error.
func (r *Reader) Peek(n int) ([]byte, error) {
	for r.Buffered() < n {
		if err := r.More(); err != nil {
			return r.Window(), err
		}
	}
	return r.Window()[:n], nil
}

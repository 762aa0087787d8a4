// Package line reads lines that end in CRLF, and literals, from a stream, with
// bounds. It is the only place that decides what ends a line, so that nothing
// can be smuggled past one reader and through another (RFC 5321 §2.3.8).
package line

import (
	"bufio"
	"errors"
	"io"
)

// Errors of ReadLine. After ErrTooLong and ErrBare the offending line has been
// read to its end and thrown away, so that the conversation can go on.
var (
	ErrTooLong = errors.New("line too long")
	ErrBare    = errors.New("line with a bare CR or LF, or a NUL")
)

// bufferSize is how much a Reader holds, in octets. A line that fits in it is
// given without a copy.
const bufferSize = 4096

// Reader reads one side of a conversation.
type Reader struct {
	buf  *bufio.Reader
	long []byte // a line that did not fit the buffer
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{buf: bufio.NewReaderSize(r, bufferSize)}
}

// Buffered says how many octets have come in that nobody read yet. It must be
// zero when TLS begins: what came in clear before the handshake is no part of
// the protected session (RFC 3207 §4.2, CVE-2011-0411).
func (r *Reader) Buffered() int { return r.buf.Buffered() }

// Reset throws away what is buffered and reads from src, as TLS begins.
func (r *Reader) Reset(src io.Reader) { r.buf.Reset(src) }

// ReadLine reads one line of at most limit octets, without its CRLF. The bytes
// are good until the next call. Octets beyond the limit are thrown away as they
// come, so memory stays bounded. Only CRLF ends a line; an LF without its CR
// ends it too, but with ErrBare. io.ErrUnexpectedEOF means that the stream
// ended inside a line.
func (r *Reader) ReadLine(limit int) ([]byte, error) {
	r.long = r.long[:0]
	total := 0
	for {
		part, err := r.buf.ReadSlice('\n')
		total += len(part)
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF && total > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if err == nil && len(r.long) == 0 && total == len(part) {
			return checkLine(part, limit)
		}
		// One octet more than the limit and its CRLF is enough to know.
		if room := limit + 3 - len(r.long); room > 0 {
			r.long = append(r.long, part[:min(room, len(part))]...)
		}
		if err == nil {
			if total > limit+2 {
				return nil, ErrTooLong
			}
			return checkLine(r.long, limit)
		}
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
	for _, c := range s {
		if c == '\r' || c == 0 {
			return nil, ErrBare
		}
	}
	if len(s) > limit {
		return nil, ErrTooLong
	}
	return s, nil
}

// Literal is a reader of exactly the next n octets, whatever they are. It must
// be read to its end before the next line. A stream that ends early gives
// io.ErrUnexpectedEOF.
func (r *Reader) Literal(n int64) io.Reader { return &literal{r: r.buf, left: n} }

type literal struct {
	r    io.Reader
	left int64
}

func (l *literal) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if err == io.EOF && l.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Discard reads n octets and throws them away.
func (r *Reader) Discard(n int64) error {
	_, err := io.Copy(io.Discard, r.Literal(n))
	return err
}

// Peek gives the next n octets (at most 4096) without taking them.
func (r *Reader) Peek(n int) ([]byte, error) { return r.buf.Peek(n) }

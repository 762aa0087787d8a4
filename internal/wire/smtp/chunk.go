package smtp

import (
	"bytes"
	"errors"
	"io"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// ErrNextChunk means that a chunk has been read and another is to come.
var ErrNextChunk = errors.New("the next chunk is to come")

// ChunkReader reads the content that comes in chunks by BDAT (RFC 3030). The
// same rules hold for it as for DATA, since it will leave again by DATA. Content
// that does not end in CRLF gets one, as DATA would have given it.
//
// With Binary (BODY=BINARYMIME) they hold for the header only. What follows it
// is not lines, every octet of it is kept, and it leaves by BDAT alone.
type ChunkReader struct {
	Binary bool // set before the first Read

	src   *line.Reader
	check checker
	left  int64
	last  bool
	tail  []byte // a CRLF that was missing
	err   error
	blank bool // Binary: the line that has begun is empty so far
	body  bool // Binary: the header is behind us
}

// NewChunkReader reads content of at most size octets (0: any) from src. The
// first chunk is given by Begin.
func NewChunkReader(src *line.Reader, size int64) *ChunkReader {
	return &ChunkReader{src: src, check: checker{max: size}, blank: true}
}

// Begin starts a chunk of n octets. One that makes the content too large is
// refused before it is read.
func (c *ChunkReader) Begin(n int64, last bool) {
	c.left, c.last = n, last
	if c.check.max > 0 && n > c.check.max-c.check.size && c.err == nil {
		c.err = ErrTooLarge
	}
}

// Left says how many octets of the chunk are still to come.
func (c *ChunkReader) Left() int64 { return c.left }

// Size is how many octets of content have come.
func (c *ChunkReader) Size() int64 { return c.check.size }

// Err is how reading ended: nil if it has not, io.EOF if all is well.
func (c *ChunkReader) Err() error { return c.err }

// Read gives content as it comes; ErrNextChunk at the end of each chunk but the
// last, then io.EOF. Otherwise it ends as DataReader.Read does; Drain then reads
// to the end of the chunk.
func (c *ChunkReader) Read(p []byte) (int, error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case len(p) == 0:
		return 0, nil
	case c.left == 0 && !c.last:
		return 0, ErrNextChunk
	case c.left == 0:
		return c.finish(p)
	}
	if c.src.Buffered() == 0 {
		if err := c.src.More(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			c.err = err
			return 0, err
		}
	}
	b := c.src.Window()
	b = b[:min(int64(len(b)), int64(len(p)), c.left)]
	n, err := c.take(b)
	if err != nil {
		c.err = err
		return 0, err
	}
	copy(p, b[:n])
	c.src.Take(n)
	c.left -= int64(n)
	return n, nil
}

// take checks the next octets and says how many of them it has looked at.
func (c *ChunkReader) take(b []byte) (int, error) {
	switch {
	case !c.Binary:
		return c.check.check(b)
	case c.body:
		if c.check.max > 0 && c.check.size+int64(len(b)) > c.check.max {
			return 0, ErrTooLarge
		}
		c.check.size += int64(len(b))
		return len(b), nil
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i+1] // a line at a time, to see the empty one
	}
	n, err := c.check.check(b)
	if err != nil {
		return 0, err
	}
	c.blank = c.blank && len(bytes.Trim(b, "\r\n")) == 0
	if c.check.bol() {
		c.body, c.blank = c.blank, true
	}
	return n, nil
}

// finish looks at how the last line ends, and ends it.
func (c *ChunkReader) finish(p []byte) (int, error) {
	switch {
	case c.body:
		c.err = io.EOF
		return 0, io.EOF
	case c.check.cr:
		c.err = ErrBare
		return 0, c.err
	case c.check.line > 0 && c.tail == nil:
		c.tail = crlf
	case len(c.tail) == 0:
		c.err = io.EOF
		return 0, io.EOF
	}
	n := copy(p, c.tail)
	c.tail = c.tail[n:]
	return n, nil
}

// Drain throws away the rest of the chunk.
func (c *ChunkReader) Drain() error {
	n := c.left
	c.left = 0
	return c.src.Discard(n)
}

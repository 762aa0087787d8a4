package smtp

import (
	"bytes"
	"errors"
	"io"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// MaxTextLine is the longest line of content that is taken, in octets without
// its CRLF. RFC 5321 §4.5.3.1.6 promises 998; real mail is longer, and what is
// longer is kept as it came.
const MaxTextLine = 8 << 10

// ContentError says why content cannot be taken, in the words of a reply.
type ContentError struct{ Reply Reply }

// Error is the reply on one line.
func (e *ContentError) Error() string { return e.Reply.String() }

// What makes content unfit. RFC 5321 §2.3.8 forbids CR and LF but as CRLF: who
// takes them otherwise lets others smuggle messages through. NUL is forbidden
// by RFC 5322 §3.1.
var (
	ErrBare = &ContentError{Answer(550, Enhanced{5, 6, 0},
		"The message holds a CR or LF that is not part of CRLF, or a NUL; it cannot be taken")}
	ErrLongLine = &ContentError{Answer(554, Enhanced{5, 6, 0},
		"The message has a line of more than %d octets; it cannot be taken", MaxTextLine)}
	ErrTooLarge = &ContentError{Answer(552, Enhanced{5, 3, 4}, "The message is larger than is taken here")}
)

// ErrEndless means that refused content went on for too long to wait for its end.
var ErrEndless = errors.New("refused content does not end")

// checker holds the discipline of content: lines end in CRLF, CR and LF stand
// nowhere else, there is no NUL, no line is over MaxTextLine, and the whole not
// over max.
type checker struct {
	size, max int64 // max 0: any size
	line      int   // octets of the line that has begun
	cr        bool  // the last octet was a CR
}

// check takes the next octets. It runs over them in bulk: if every CR is
// followed by an LF, and there are as many LFs as such pairs, none is bare.
func (c *checker) check(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if c.size += int64(len(b)); c.max > 0 && c.size > c.max {
		return ErrTooLarge
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return ErrBare
	}
	rest, pairs := b, 0
	if c.cr {
		if b[0] != '\n' {
			return ErrBare
		}
		rest, pairs, c.line = b[1:], 1, 0
	}
	c.cr = b[len(b)-1] == '\r'
	for {
		i := bytes.IndexByte(rest, '\r')
		if i < 0 || i+1 == len(rest) {
			break
		}
		if rest[i+1] != '\n' {
			return ErrBare
		}
		if c.line+i > MaxTextLine {
			return ErrLongLine
		}
		c.line = 0
		pairs++
		rest = rest[i+2:]
	}
	c.line += len(rest)
	if bytes.Count(b, lf) != pairs {
		return ErrBare
	}
	if c.line > MaxTextLine && !(c.cr && c.line == MaxTextLine+1) {
		return ErrLongLine
	}
	return nil
}

var (
	lf    = []byte{'\n'}
	lfDot = []byte{'\n', '.'}
	crlf  = []byte{'\r', '\n'}
)

// dots follows where lines begin, so that a dot there can be told from others
// (RFC 5321 §4.5.2). A line begins after CRLF and nothing else.
type dots struct {
	bol bool // the next octet begins a line
	cr  bool // the last octet was a CR
}

// run says how many octets of b (not empty) to take before the next dot that
// begins a line, and notes how they end.
func (d *dots) run(b []byte) int {
	n := len(b)
	for from := 0; ; {
		i := bytes.Index(b[from:], lfDot)
		if i < 0 {
			break
		}
		i += from
		if i > 0 && b[i-1] == '\r' || i == 0 && d.cr {
			n = i + 1
			break
		}
		from = i + 1
	}
	last := b[n-1]
	d.bol = last == '\n' && (n > 1 && b[n-2] == '\r' || n == 1 && d.cr)
	d.cr = last == '\r'
	return n
}

// DataReader reads the content that follows DATA, up to CRLF.CRLF, which alone
// ends it. It takes the dot-stuffing off (RFC 5321 §4.5.2).
type DataReader struct {
	src   *line.Reader
	dots  dots
	check checker
	err   error
	ended bool
}

// NewDataReader reads content of at most size octets (0: any) from src.
func NewDataReader(src *line.Reader, size int64) *DataReader {
	return &DataReader{src: src, dots: dots{bol: true}, check: checker{max: size}}
}

// Read gives content as it comes. It ends with io.EOF after the final dot, with
// a *ContentError as soon as the content is seen to be unfit (then Drain reads
// to its end), or with the connection's error; io.ErrUnexpectedEOF if that was
// closed.
func (d *DataReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && d.err == nil {
		if n > 0 && !d.ready() {
			return n, nil
		}
		var chunk []byte
		if chunk, d.err = d.next(len(p) - n); d.err == nil {
			d.err = d.check.check(chunk)
			n += copy(p[n:], chunk)
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, d.err
}

// Err is how reading ended: nil if it has not, io.EOF if all is well.
func (d *DataReader) Err() error { return d.err }

// Size is how many octets of content have come, without dot-stuffing.
func (d *DataReader) Size() int64 { return d.check.size }

// ready says whether next will not wait for the peer.
func (d *DataReader) ready() bool {
	b := d.src.Window()
	return len(b) > 2 || len(b) > 0 && !(d.dots.bol && b[0] == '.')
}

// next gives at most limit octets of content out of the window. They are good
// until the next call.
func (d *DataReader) next(limit int) ([]byte, error) {
	for !d.ready() {
		if err := d.src.More(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	b := d.src.Window()
	if d.dots.bol && b[0] == '.' {
		if b[1] == '\r' && b[2] == '\n' {
			d.src.Take(3)
			d.ended = true
			return nil, io.EOF
		}
		d.src.Take(1)
		d.dots = dots{}
		b = b[1:]
	}
	n := d.dots.run(b[:min(len(b), limit)])
	d.src.Take(n)
	return b[:n], nil
}

// Drain reads to the final dot, at most limit octets, and throws away what it
// reads. ErrEndless means that the end is still to come.
func (d *DataReader) Drain(limit int64) error {
	for !d.ended {
		b, err := d.next(1 << 30)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if limit -= int64(len(b)); limit < 0 {
			return ErrEndless
		}
	}
	if d.err == nil {
		d.err = io.EOF
	}
	return nil
}

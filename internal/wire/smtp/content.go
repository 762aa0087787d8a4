package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"

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
	dots bool  // stop before a dot that begins a line
	max  int64 // 0: any size
	size int64
	line int  // octets of the line that has begun
	cr   bool // the last octet was a CR
}

// bol says whether the next octet begins a line: that is after CRLF, and after
// nothing else.
func (c *checker) bol() bool { return c.line == 0 && !c.cr }

// check takes the next octets (there must be some) and says how many: all, or
// those before a dot that begins a line. On an error it takes none. It runs over
// them in bulk: if every CR is followed by an LF, and there are as many LFs as
// such pairs, none is bare.
func (c *checker) check(b []byte) (int, error) {
	rest, pairs, line := b, 0, c.line
	if c.cr {
		if b[0] != '\n' {
			return 0, ErrBare
		}
		rest, pairs, line = b[1:], 1, 0
	}
	for !(c.dots && pairs > 0 && len(rest) > 0 && rest[0] == '.') {
		i := bytes.IndexByte(rest, '\r')
		if i < 0 || i+1 == len(rest) {
			line += len(rest)
			rest = nil
			break
		}
		if rest[i+1] != '\n' {
			return 0, ErrBare
		}
		if line+i > MaxTextLine {
			return 0, ErrLongLine
		}
		line = 0
		pairs++
		rest = rest[i+2:]
	}
	b = b[:len(b)-len(rest)]
	cr := b[len(b)-1] == '\r'
	switch {
	case line > MaxTextLine && !(cr && line == MaxTextLine+1):
		return 0, ErrLongLine
	case bytes.Count(b, lf) != pairs, bytes.IndexByte(b, 0) >= 0:
		return 0, ErrBare
	case c.max > 0 && c.size+int64(len(b)) > c.max:
		return 0, ErrTooLarge
	}
	c.size, c.line, c.cr = c.size+int64(len(b)), line, cr
	return len(b), nil
}

var (
	lf   = []byte{'\n'}
	crlf = []byte{'\r', '\n'}
)

// DataReader reads the content that follows DATA, up to CRLF.CRLF, which alone
// ends it. It takes the dot-stuffing off (RFC 5321 §4.5.2).
type DataReader struct {
	src   *line.Reader
	check checker
	err   error
	ended bool
	tail  string // of what Drain has thrown away: enough to know the end by
}

// NewDataReader reads content of at most size octets (0: any) from src.
func NewDataReader(src *line.Reader, size int64) *DataReader {
	return &DataReader{src: src, check: checker{dots: true, max: size}}
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
		var k int
		k, d.err = d.next(p[n:])
		n += k
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
	return len(b) > 2 || len(b) > 0 && !(d.check.bol() && b[0] == '.')
}

// more waits for the peer.
func (d *DataReader) more() error {
	err := d.src.More()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// next gives a piece of content out of the window.
func (d *DataReader) next(p []byte) (int, error) {
	for !d.ready() {
		if err := d.more(); err != nil {
			return 0, err
		}
	}
	b := d.src.Window()
	d.tail = ""
	if d.check.bol() {
		d.tail = "\r\n"
		if b[0] == '.' {
			if b[1] == '\r' && b[2] == '\n' {
				d.src.Take(3)
				d.ended = true
				return 0, io.EOF
			}
			d.src.Take(1)
			b = b[1:]
			d.tail = "\r\n."
		}
	} else if d.check.cr {
		d.tail = "\r"
	}
	n, err := d.check.check(b[:min(len(b), len(p))])
	if err != nil {
		return 0, err // b stays in the window, and Drain goes on from there
	}
	copy(p, b[:n])
	d.src.Take(n)
	return n, nil
}

// Drain reads to the final dot, at most limit octets, and throws away what it
// reads. ErrEndless means that the end is still to come.
func (d *DataReader) Drain(limit int64) error {
	if d.err == nil && !d.ended {
		// Nobody read to the end, and nothing is known of what is left.
		buf := make([]byte, 4096)
		for d.err == nil && d.check.size <= limit {
			_, d.err = d.next(buf)
		}
	}
	for !d.ended {
		if d.src.Buffered() == 0 {
			if err := d.more(); err != nil {
				return err
			}
		}
		b := d.src.Window()
		// The end may have begun in what was thrown away before.
		seam := d.tail + string(b[:min(len(b), len(dataEnd)-1)])
		if i := strings.Index(seam, dataEnd); i >= 0 {
			d.src.Take(i + len(dataEnd) - len(d.tail))
			d.ended = true
			break
		}
		if i := bytes.Index(b, []byte(dataEnd)); i >= 0 {
			d.src.Take(i + len(dataEnd))
			d.ended = true
			break
		}
		keep := d.tail + string(b[max(0, len(b)-len(dataEnd)+1):])
		d.tail = keep[max(0, len(keep)-len(dataEnd)+1):]
		d.src.Take(len(b))
		if limit -= int64(len(b)); limit < 0 {
			return ErrEndless
		}
	}
	if d.err == nil {
		d.err = io.EOF
	}
	return nil
}

// dataEnd is what ends content. The CRLF of the DATA command counts.
const dataEnd = "\r\n.\r\n"

package imap

import (
	"errors"
	"io"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// Decoder reads commands from a connection.
type Decoder struct {
	Lines *line.Reader
	// Continue asks the client for a synchronising literal ("+ …") and makes
	// sure that it goes out.
	Continue func() error
	// MaxLiterals limits the octets of all literals of one command, APPEND's
	// message apart; 0 means the package's limit.
	MaxLiterals int64
	// MaxCommand limits the octets of a command in all; 0 means the package's
	// limit.
	MaxCommand int
	// Closed refuses APPEND's literal as any other, as before login, when nothing
	// may be streamed.
	Closed bool
	// UTF8 takes mailbox names as UTF-8, as the client has asked for by ENABLE
	// (RFC 6855 §3, RFC 9051 §5.1).
	UTF8 bool

	buf []byte
}

// keepBuffer is how large a buffer a Decoder keeps between commands.
const keepBuffer = 512

// Read reads one command. A *BadError leaves the connection in step, a
// *FatalError does not; any other error is the connection's. After an
// *AppendCommand its texts have to be read by Message and Next, or refused by Refuse.
func (d *Decoder) Read() (Request, error) {
	d.buf = d.buf[:0]
	defer d.forget()
	literals := int64(0)
	for first := true; ; first = false {
		ln, err := d.Lines.ReadLine(min(MaxLine, d.maxCommand()-len(d.buf)))
		if err != nil {
			return Request{}, d.lineError(err, first)
		}
		d.buf = append(d.buf, ln...)
		n, plus, ok := lineLiteral(ln)
		if !ok {
			return d.parse()
		}
		if first && !plus {
			// A client that waits for our "+" can be told at once.
			if err := checkHead(d.buf); err != nil {
				return Request{}, err
			}
		}
		if req, ok := d.appendCommand(); ok {
			return req, nil
		}
		if literals += n; literals > d.literals() || n > d.literals() || n > int64(d.maxCommand()-len(d.buf)-2) {
			return Request{}, d.tooBig(n, plus)
		}
		if err := d.literal(n, plus); err != nil {
			return Request{}, err
		}
	}
}

// forget gives a large buffer back.
func (d *Decoder) forget() {
	if cap(d.buf) > keepBuffer {
		d.buf = nil
	}
}

// literal reads a literal of n octets into the buffer.
func (d *Decoder) literal(n int64, plus bool) error {
	if !plus {
		if err := d.Continue(); err != nil {
			return err
		}
	}
	d.buf = append(d.buf, '\r', '\n')
	at := len(d.buf)
	d.buf = append(d.buf, make([]byte, n)...)
	_, err := io.ReadFull(d.Lines.Literal(n), d.buf[at:])
	return err
}

// literals is the most octets of a command's literals.
func (d *Decoder) literals() int64 {
	if d.MaxLiterals == 0 {
		return MaxLiterals
	}
	return d.MaxLiterals
}

func (d *Decoder) maxCommand() int {
	if d.MaxCommand == 0 {
		return MaxCommand
	}
	return d.MaxCommand
}

func (d *Decoder) lineError(err error, first bool) error {
	switch {
	case errors.Is(err, line.ErrTooLong):
		// The line may have ended in a literal we have not seen: what follows must
		// not be taken for commands.
		return &FatalError{"line too long"}
	case errors.Is(err, line.ErrBare) && first:
		return badf("a line must end in CRLF and hold no other CR, LF or NUL")
	case errors.Is(err, line.ErrBare):
		return &FatalError{"a line must end in CRLF and hold no other CR, LF or NUL"}
	}
	return err
}

// tooBig refuses a literal of n octets and, if it comes unasked, reads it and
// what follows to the command's end.
func (d *Decoder) tooBig(n int64, plus bool) error {
	bad := &BadError{Tag: tagOf(d.buf), Text: "literal too large", TooBig: true}
	if plus {
		if err := d.skip(n, MaxDiscard); err != nil {
			return err
		}
	}
	return bad
}

// Line reads one line that is not a command, of at most limit octets: the answer
// to a challenge, or DONE.
func (d *Decoder) Line(limit int) ([]byte, error) {
	ln, err := d.Lines.ReadLine(limit)
	if err != nil {
		return nil, d.lineError(err, true)
	}
	return ln, nil
}

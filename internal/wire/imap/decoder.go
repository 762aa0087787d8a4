package imap

import (
	"bytes"
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
// *AppendCommand the message has to be read by Message or refused by Refuse.
func (d *Decoder) Read() (Request, error) {
	d.buf = d.buf[:0]
	defer func() {
		if cap(d.buf) > keepBuffer {
			d.buf = nil
		}
	}()
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
		if req, ok := d.appendCommand(n, plus); ok {
			return req, nil
		}
		limit := d.MaxLiterals
		if limit == 0 {
			limit = MaxLiterals
		}
		if literals += n; literals > limit || n > limit || n > int64(d.maxCommand()-len(d.buf)-2) {
			return Request{}, d.tooBig(n, plus)
		}
		if !plus {
			if err := d.Continue(); err != nil {
				return Request{}, err
			}
		}
		d.buf = append(d.buf, '\r', '\n')
		at := len(d.buf)
		d.buf = append(d.buf, make([]byte, n)...)
		if _, err := io.ReadFull(d.Lines.Literal(n), d.buf[at:]); err != nil {
			return Request{}, err
		}
	}
}

func (d *Decoder) maxCommand() int {
	if d.MaxCommand == 0 {
		return MaxCommand
	}
	return d.MaxCommand
}

// appendCommand says whether what came so far is an APPEND whose message
// begins here.
func (d *Decoder) appendCommand(n int64, plus bool) (Request, bool) {
	if d.Closed {
		return Request{}, false
	}
	p := &parser{b: d.buf, utf8: d.UTF8}
	tag := p.tag()
	p.space()
	if p.word() != "APPEND" {
		return Request{}, false
	}
	c := p.appendHead()
	if p.err != nil || p.end() || !bytes.Equal(p.b[p.i:], d.buf[bytes.LastIndexByte(d.buf, '{'):]) {
		return Request{}, false
	}
	c.Size, c.NonSync = n, plus
	return Request{tag, c}, true
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
	total := int64(0)
	for plus {
		if total += n; n > MaxDiscard || total > MaxDiscard {
			return &FatalError{"literal too large"}
		}
		if err := d.Lines.Discard(n); err != nil {
			return err
		}
		ln, err := d.Lines.ReadLine(MaxLine)
		if err != nil {
			return d.lineError(err, false)
		}
		if total += int64(len(ln)); total > MaxDiscard {
			return &FatalError{"command too long"}
		}
		var ok bool
		if n, plus, ok = lineLiteral(ln); !ok {
			break
		}
	}
	return bad
}

// Message asks for the message of c, if it has to, and gives a reader of
// it. It must be read to its end, and then EndMessage be called.
func (d *Decoder) Message(c *AppendCommand) (io.Reader, error) {
	if !c.NonSync {
		if err := d.Continue(); err != nil {
			return nil, err
		}
	}
	return d.Lines.Literal(c.Size), nil
}

// EndMessage reads the end of the command after APPEND's message.
func (d *Decoder) EndMessage() error {
	ln, err := d.Lines.ReadLine(MaxLine)
	if err != nil {
		return d.lineError(err, false)
	}
	if len(ln) == 0 {
		return nil
	}
	if _, plus, ok := lineLiteral(ln); ok && plus {
		return &FatalError{"APPEND takes one message"}
	}
	return badf("APPEND takes one message")
}

// Refuse leaves c's message unread; one that comes unasked is read and thrown
// away if it has at most limit octets, else the error is a *FatalError.
func (d *Decoder) Refuse(c *AppendCommand, limit int64) error {
	if !c.NonSync {
		return nil
	}
	if c.Size > limit {
		return &FatalError{"message too large"}
	}
	if err := d.Lines.Discard(c.Size); err != nil {
		return err
	}
	return d.EndMessage()
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

package imap

import (
	"bytes"
	"io"
)

// Message asks for a text of an APPEND, if it has to, and gives a reader of it. It
// must be read to its end, and then Next be called.
func (d *Decoder) Message(a *AppendPiece) (io.Reader, error) {
	if !a.NonSync {
		if err := d.Continue(); err != nil {
			return nil, err
		}
	}
	return d.Lines.Literal(a.Size), nil
}

// Next reads on behind a text of c and puts what follows into its Pieces: as far as
// the next text, or to the command's end. A *BadError leaves the connection in step
// behind the whole command.
func (d *Decoder) Next(c *AppendCommand) error {
	d.buf = d.buf[:0]
	defer d.forget()
	c.Pieces = nil
	for {
		ln, err := d.Lines.ReadLine(min(MaxLine, d.maxCommand()-len(d.buf)))
		if err != nil {
			return d.lineError(err, false)
		}
		d.buf = append(d.buf, ln...)
		n, plus, literal := lineLiteral(ln)
		last := len(d.buf)
		if literal {
			last = bytes.LastIndexByte(d.buf, '{')
		}
		p, state := &parser{b: d.buf, utf8: d.UTF8}, c.state
		pieces, text := state.read(p, last)
		switch {
		case p.err == nil && text == literal:
			c.Pieces, c.state = pieces, state
			return nil
		case !literal:
			return p.err
		case !p.cut || p.i != last || n > d.literals() || n > int64(d.maxCommand()-len(d.buf)-2):
			if p.err == nil {
				p.fail("literal too large")
			}
			if plus {
				if err := d.skip(n, MaxDiscard); err != nil {
					return err
				}
			}
			return p.err
		}
		if err := d.literal(n, plus); err != nil { // of a URL
			return err
		}
	}
}

// Refuse leaves what follows of c unread; what comes unasked is read and thrown away
// if it has at most limit octets, else the error is a *FatalError.
func (d *Decoder) Refuse(c *AppendCommand, limit int64) error {
	a := c.Text()
	if a == nil || !a.NonSync {
		return nil
	}
	return d.skip(a.Size, limit)
}

// skip reads a literal of n octets that comes unasked, and what follows it to the
// command's end or to a literal that waits to be asked for.
func (d *Decoder) skip(n, limit int64) error {
	for total := int64(0); ; {
		if total += n; n > limit || total > limit {
			return &FatalError{"literal too large"}
		}
		if err := d.Lines.Discard(n); err != nil {
			return err
		}
		ln, err := d.Lines.ReadLine(MaxLine)
		if err != nil {
			return d.lineError(err, false)
		}
		if total += int64(len(ln)); total > limit {
			return &FatalError{"command too long"}
		}
		var plus, ok bool
		if n, plus, ok = lineLiteral(ln); !ok || !plus {
			return nil
		}
	}
}

package imapd

import (
	"bytes"
	"io"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// decoded is a part of a message without its transfer encoding. It is decoded as
// it goes out, once more than to learn this.
type decoded struct {
	at       message.Span
	encoding string
	found    bool
	size     int64
	nul      bool // it can only go out as literal8
}

// errUnknownCTE is for a transfer encoding that we cannot undo (RFC 3516 §4.3).
func errUnknownCTE() error {
	return &answered{reply{"NO", "UNKNOWN-CTE", "a part has an unknown transfer encoding"}}
}

// checkBinary learns what there is to know of a part before the response begins.
func checkBinary(it *imap.FetchItem, b *body) error {
	d, err := b.decoded(it.Section)
	if err == nil {
		b.binaries = append(b.binaries, d)
	}
	return err
}

// binary is what checkBinary learned of the item that is written next.
func (b *body) binary() (d decoded) {
	d, b.binaries = b.binaries[0], b.binaries[1:]
	return d
}

// decoded finds a part and its size. The message itself and what holds other parts
// has no encoding of its own.
func (b *body) decoded(s *imap.Section) (d decoded, err error) {
	if d.at, d.found, err = b.span(s); err != nil || !d.found {
		return d, err
	}
	if p := b.index.Part(pathOf(s)); p != nil && !isWhole(s) && len(p.Parts) == 0 && p.Message == nil {
		switch d.encoding = p.Encoding; d.encoding {
		case "", "7bit", "8bit", "binary", "base64", "quoted-printable":
		default:
			return d, errUnknownCTE()
		}
	}
	r := d.reader(b)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		d.size += int64(n)
		d.nul = d.nul || bytes.IndexByte(buf[:n], 0) >= 0
		if err == io.EOF {
			return d, nil
		}
		if err != nil {
			return d, fault.Wrap("imapd.binary", err)
		}
	}
}

func (d *decoded) reader(b *body) io.Reader {
	return message.DecodeBody(io.NewSectionReader(b.content, d.at.Offset, d.at.Length), d.encoding)
}

// writeBinary is BINARY: a part without its transfer encoding (RFC 3516 §4.2).
func writeBinary(c *session, it *imap.FetchItem, _ *row, b *body) error {
	d := b.binary()
	enc := c.enc.SP()
	if !d.found {
		enc.Raw("NIL")
		return nil
	}
	r, n := d.reader(b), d.size
	if it.Partial != nil {
		from := min(int64(it.Partial.Offset), n)
		n = min(n-from, int64(it.Partial.Count))
		if _, err := io.CopyN(io.Discard, r, from); err != nil {
			return fault.Wrap("imapd.binary", err)
		}
	}
	if d.nul {
		enc.Raw("~")
	}
	return fault.Wrap("imapd.binary", enc.Literal(n, io.LimitReader(r, n)))
}

// writeBinarySize is BINARY.SIZE: how long the part is (RFC 3516 §4.2).
func writeBinarySize(c *session, _ *imap.FetchItem, _ *row, b *body) error {
	c.enc.SP().Number(b.binary().size)
	return nil
}

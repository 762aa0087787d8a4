package message

import (
	"bytes"
	"errors"
	"io"
	"mime/quotedprintable"
)

// ErrNotSevenBit means that a message cannot be made ASCII without becoming
// another one: what a signature covers, a header, or what may not be encoded has
// other octets.
var ErrNotSevenBit = errors.New("the message cannot be made 7bit")

// SevenBit gives a message as ASCII lines, for those who take nothing else (RFC
// 6152 §3): each body that has other octets, or is no lines, goes as
// quoted-printable or base64, whichever is shorter (RFC 2045 §6.7, §6.8), and the
// rest stays as it is, octet by octet. What is signed (RFC 1847 §2.1) is never
// changed. Decoded, every part is what it was. size is what is given.
func SevenBit(r io.ReaderAt, size int64) (io.Reader, int64, error) {
	fit, err := isASCIILines(r, 0, size)
	if fit || err != nil {
		return io.NewSectionReader(r, 0, size), size, err
	}
	ix, err := Parse(r, size)
	if err != nil {
		return nil, 0, err
	}
	s := &sevenBit{textual: textual{r: r, size: size}, ix: ix}
	s.part(ix.Root, false)
	s.keep(size)
	if s.err == nil && !s.broken {
		fit, s.err = isASCIILines(&seriesAt{r: s.reader()}, 0, s.total)
		s.broken = !fit
	}
	switch {
	case s.err != nil:
		return nil, 0, s.err
	case s.broken:
		return nil, 0, ErrNotSevenBit
	}
	return s.reader(), s.total, nil
}

// sevenBit collects the pieces of a message that becomes ASCII.
type sevenBit struct {
	textual
	ix *Index
}

// part goes through a part and those within it, in the order of the message.
func (s *sevenBit) part(p *Part, signed bool) {
	if s.err != nil || s.broken {
		return
	}
	fit, err := isASCIILines(s.r, p.BodyStart, p.End)
	if s.err = err; err != nil {
		return
	}
	wide := p.Encoding == "8bit" || p.Encoding == "binary"
	signed = signed || p.Type == "multipart" && p.Subtype == "signed"
	switch {
	case fit: // a header may say 8bit of what is 7bit
	case signed:
		s.broken = true
	case len(p.Parts) > 0:
		s.header(p, "7bit", wide)
		for _, inner := range p.Parts {
			s.part(inner, signed)
		}
	case p.Message != nil && p.Subtype == "rfc822": // may not be encoded (RFC 2046 §5.2.1)
		s.header(p, "7bit", wide)
		s.part(p.Message.Root, signed)
	default:
		s.leaf(p)
	}
}

// leaf encodes a body.
func (s *sevenBit) leaf(p *Part) {
	bare := p.HeaderStart == p.BodyStart && p.HeaderStart > 0
	other := p.Encoding != "7bit" && p.Encoding != "8bit" && p.Encoding != "binary"
	fixed := p.Type == "message" && (p.Subtype == "partial" || p.Subtype == "external-body") // RFC 2046 §5.2.2, §5.2.3
	if bare || other || fixed {
		s.broken = true
		return
	}
	n, err := s.quoted(p)
	if s.err = err; err != nil {
		return
	}
	encoding := "base64"
	if n > 0 && n <= base64Size(p.Size()) {
		encoding = "quoted-printable"
	}
	s.keep(p.HeaderStart)
	if p == s.ix.Root {
		s.declare()
	}
	s.header(p, encoding, true)
	s.keep(p.BodyStart)
	if encoding == "base64" {
		s.encode(p.End, p.End == s.size)
		return
	}
	from, to := p.BodyStart, p.End
	s.add(n, func() io.Reader { return newQPLines(io.NewSectionReader(s.r, from, to-from)) })
	s.at = to
}

// declare makes MIME of a message that is none, so that its encoding counts. What
// its octets meant is not known (RFC 1428 §3).
func (s *sevenBit) declare() {
	if s.ix.Header.Get("MIME-Version") == "" {
		s.text("MIME-Version: 1.0\r\n")
	}
	if s.ix.Header.Get("Content-Type") == "" {
		s.text("Content-Type: text/plain; charset=unknown-8bit\r\n")
	}
}

// quoted is how many octets a text becomes as quoted-printable; 0 for what is no
// text, or not lines.
func (s *sevenBit) quoted(p *Part) (int64, error) {
	if p.Type != "text" {
		return 0, nil
	}
	if fit, err := isLines(s.r, p.BodyStart, p.End); !fit || err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, newQPLines(io.NewSectionReader(s.r, p.BodyStart, p.Size())))
}

// qpLines reads lines of text as quoted-printable.
type qpLines struct {
	src   io.Reader
	w     *quotedprintable.Writer
	out   bytes.Buffer
	buf   []byte
	ended bool
}

func newQPLines(src io.Reader) *qpLines {
	q := &qpLines{src: src, buf: make([]byte, 4<<10)}
	q.w = quotedprintable.NewWriter(&q.out)
	return q
}

// Read gives what is encoded next.
func (q *qpLines) Read(p []byte) (int, error) {
	for q.out.Len() == 0 && !q.ended {
		n, err := q.src.Read(q.buf)
		if _, werr := q.w.Write(q.buf[:n]); werr != nil {
			return 0, werr
		}
		if err == io.EOF {
			q.ended = true
			err = q.w.Close()
		}
		if err != nil {
			return 0, err
		}
	}
	return q.out.Read(p)
}

// isASCIILines says whether the octets from one offset to another are lines of
// ASCII.
func isASCIILines(r io.ReaderAt, from, to int64) (bool, error) {
	c := &asciiAt{r: r, ascii: true}
	fit, err := isLines(c, from, to)
	return fit && c.ascii, err
}

// asciiAt notes whether all that is read through it is ASCII.
type asciiAt struct {
	r     io.ReaderAt
	ascii bool
}

// ReadAt reads at off.
func (c *asciiAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.ascii = c.ascii && isASCII(string(p[:n]))
	return n, err
}

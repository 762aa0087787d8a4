package message

import (
	"bytes"
	"io"
	"strings"
)

const (
	windowSize = 64 << 10
	// lookahead is how much of a line is in the window when the line is looked
	// at: more than any delimiter or field name that counts.
	lookahead = 2 << 10
)

// parser goes over a message once. What it has open are the delimiters of the
// multiparts around it, so that a message that ends anywhere closes them all.
type parser struct {
	r    io.ReaderAt
	size int64
	err  error

	buf  []byte // the window; the two octets before pos stay in it
	base int64  // offset of buf[0]
	pos  int    // next octet in buf
	nl   int64  // line ends before pos

	delims []string // "--boundary" of the open multiparts, outermost first
	parts  int
	cut    bool
	head   block

	// What the last scan ran into: the delimiter's multipart (-1 is the end of
	// the message), whether it closes, and where the content before it ended.
	hit     int
	closing bool
	end     int64
	endNL   int64
}

// Parse indexes a message of size octets. An error comes from r only: content
// is never refused. It reads once, in time linear in size, and keeps no more
// than the headers.
func Parse(r io.ReaderAt, size int64) (*Index, error) {
	i, err := parse(r, size)
	if err == nil {
		i.Preview, err = preview(r, i.Root)
	}
	return i, err
}

func parse(r io.ReaderAt, size int64) (*Index, error) {
	p := &parser{r: r, size: size, buf: make([]byte, 0, min(size, windowSize))}
	i := &Index{Size: size}
	i.Root = p.entity(0, false, &i.Header)
	i.Cut = p.cut
	if p.err != nil {
		return nil, p.err
	}
	return i, nil
}

// ParseBytes indexes a message that is in memory.
func ParseBytes(b []byte) *Index {
	i, _ := Parse(bytes.NewReader(b), int64(len(b)))
	return i
}

// ParseParts indexes a message that is in memory, but for the preview.
func ParseParts(b []byte) *Index {
	i, _ := parse(bytes.NewReader(b), int64(len(b)))
	return i
}

// fill moves the window so that pos is near its beginning, and reads on.
func (p *parser) fill() {
	keep := min(p.pos, 2)
	p.base += int64(p.pos - keep)
	n := copy(p.buf, p.buf[p.pos-keep:])
	p.pos = keep
	want := min(int64(cap(p.buf)-n), p.size-p.base-int64(n))
	p.buf = p.buf[:n+int(want)]
	if want <= 0 || p.err != nil {
		return
	}
	got, err := p.r.ReadAt(p.buf[n:], p.base+int64(n))
	if int64(got) < want {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		p.err = err
		p.buf = p.buf[:n+got]
		p.size = p.base + int64(len(p.buf))
	}
}

// more sees to it that a line's beginning is in the window; false is the end.
func (p *parser) more() bool {
	if len(p.buf)-p.pos < lookahead && !p.atLast() {
		p.fill()
	}
	return p.pos < len(p.buf)
}

// atLast says whether the window reaches the end of the message.
func (p *parser) atLast() bool { return p.base+int64(len(p.buf)) >= p.size }

func (p *parser) offset() int64 { return p.base + int64(p.pos) }

// line goes past the line in hand and gives it to take piece by piece.
func (p *parser) line(take func([]byte)) {
	for {
		n := bytes.IndexByte(p.buf[p.pos:], '\n') + 1
		if n > 0 {
			take(p.buf[p.pos : p.pos+n])
			p.pos += n
			p.nl++
			return
		}
		take(p.buf[p.pos:])
		p.pos = len(p.buf)
		if p.atLast() {
			return
		}
		p.fill()
	}
}

func drop([]byte) {}

// delimiter says whether the line at pos is a delimiter of an open multipart,
// the innermost first. RFC 2046 §5.1.1 lets white space follow it.
func (p *parser) delimiter() bool {
	line := p.buf[p.pos:min(p.pos+lookahead, len(p.buf))]
	if len(line) < 2 || line[0] != '-' || line[1] != '-' || len(p.delims) == 0 {
		return false
	}
	if n := bytes.IndexByte(line, '\n'); n >= 0 {
		line = line[:n]
	} else if len(line) == lookahead {
		return false
	}
	line = bytes.TrimRight(line, " \t\r")
	for i := len(p.delims) - 1; i >= 0; i-- {
		d := p.delims[i]
		if len(line) < len(d) || string(line[:len(d)]) != d {
			continue
		}
		rest := line[len(d):]
		if len(rest) == 0 || string(rest) == "--" {
			p.hit, p.closing = i, len(rest) > 0
			return true
		}
	}
	return false
}

// scan goes past content up to and past the next delimiter, or to the end.
func (p *parser) scan() {
	for p.more() {
		limit := len(p.buf) - lookahead
		if p.atLast() {
			limit = len(p.buf)
		}
		for first := true; first || p.pos < limit; first = false {
			b := p.buf[p.pos:]
			if b[0] == '-' && p.delimiter() {
				p.endBefore()
				p.line(drop)
				return
			}
			n := bytes.IndexByte(b, '\n') + 1
			if n == 0 {
				p.line(drop)
				break
			}
			p.pos += n
			p.nl++
		}
	}
	p.hit, p.closing, p.end, p.endNL = -1, false, p.offset(), p.nl
}

// endBefore notes that content ends before the line at pos: the line end in
// front of a delimiter is part of it (RFC 2046 §5.1.1).
func (p *parser) endBefore() {
	p.end, p.endNL = p.offset(), p.nl
	if p.pos > 0 && p.buf[p.pos-1] == '\n' {
		p.end--
		p.endNL--
		if p.pos > 1 && p.buf[p.pos-2] == '\r' {
			p.end--
		}
	}
}

// header reads a header block and stops behind its empty line, or at a line
// that is none of its own.
func (p *parser) header() Header {
	p.head.reset()
	start := p.offset()
	for first := true; p.more(); first = false {
		if p.buf[p.pos] == '-' && p.delimiter() {
			break
		}
		kind := classify(p.buf[p.pos:], first)
		if kind == lineBody {
			break
		}
		if kind == lineEmpty {
			p.line(drop)
			break
		}
		p.head.begin(kind)
		p.line(p.head.add)
	}
	return p.head.header(start)
}

// entity reads one part, with all that is in it, up to and past the delimiter
// that ends it. With keep, its header is a message's and is kept there.
func (p *parser) entity(depth int, digest bool, keep *Header) *Part {
	p.parts++
	part := &Part{HeaderStart: p.offset()}
	h := p.header()
	if keep != nil {
		*keep = h
	}
	part.describe(h, digest)
	part.BodyStart = p.offset()
	nl := p.nl
	inner := p.inner(part, depth)
	switch {
	case inner == innerMultipart:
		p.multipart(part, depth)
	case inner == innerMessage:
		m := &Index{}
		m.Root = p.entity(depth+1, false, &m.Header)
		m.Size = m.Root.End - m.Root.HeaderStart
		part.Message = m
	default:
		p.scan()
	}
	part.End = max(p.end, part.BodyStart)
	// An empty part just before an outer delimiter reaches up to the delimiter,
	// as its header owns the line end; so then does what it is in.
	if n := len(part.Parts); n > 0 {
		part.End = max(part.End, part.Parts[n-1].End)
	}
	if part.Message != nil {
		part.End = max(part.End, part.Message.Root.End)
	}
	if part.Lines = p.endNL - nl; part.End > p.end {
		part.Lines++ // that line end
	}
	if inner == innerMultipart && len(part.Parts) == 0 {
		part.Parts = []*Part{{
			Type: "text", Subtype: "plain", Encoding: "7bit",
			HeaderStart: part.BodyStart, BodyStart: part.BodyStart, End: part.End, Lines: part.Lines,
		}}
	}
	return part
}

type innerKind uint8

const (
	innerNone innerKind = iota
	innerMultipart
	innerMessage
)

// inner says what is inside a part and makes opaque what we do not open.
func (p *parser) inner(part *Part, depth int) innerKind {
	kind := innerNone
	switch {
	case part.Type == "multipart":
		kind = innerMultipart
	case part.Type == "message" && (part.Subtype == "rfc822" || part.Subtype == "global"):
		kind = innerMessage
	default:
		return innerNone
	}
	deep := depth >= MaxDepth || p.parts >= MaxParts
	if deep {
		p.cut = true
	}
	encoded := kind == innerMessage && (part.Encoding == "base64" || part.Encoding == "quoted-printable")
	if deep || encoded {
		part.Type, part.Subtype = "application", "octet-stream"
		return innerNone
	}
	return kind
}

// multipart reads preamble, parts and epilogue.
func (p *parser) multipart(part *Part, depth int) {
	boundary, _, _ := joinParam(part.Params, "boundary")
	if boundary == "" || len(boundary) > maxBoundary || strings.ContainsAny(boundary, "\r\n") {
		p.scan()
		return
	}
	level := len(p.delims)
	p.delims = append(p.delims, "--"+strings.TrimRight(boundary, " \t"))
	p.scan()
	for p.hit == level && !p.closing {
		if p.parts >= MaxParts {
			p.cut = true
			p.scan()
			continue
		}
		part.Parts = append(part.Parts, p.entity(depth+1, part.Subtype == "digest", nil))
	}
	p.delims = p.delims[:level]
	if p.hit == level {
		p.scan()
	}
}

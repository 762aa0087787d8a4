package message

import (
	"bytes"
	"io"
	"strings"
)

// lineKind is what a line is to a header block.
type lineKind uint8

const (
	lineField lineKind = iota // begins a field
	lineMore                  // continues a field, or is junk that is skipped
	lineEmpty                 // ends the block and belongs to it
	lineBody                  // is no header line: the empty line was forgotten (RFC 7103 §7.1)
)

// classify looks at the beginning of a line, of which at least 1000 octets
// must be there if the line is that long. first says that nothing came before.
func classify(line []byte, first bool) lineKind {
	if i := skipCR(line); i == len(line) || line[i] == '\n' {
		return lineEmpty
	}
	if line[0] == ' ' || line[0] == '\t' {
		return lineMore
	}
	for i, c := range line {
		switch {
		case c == ':':
			if i == 0 {
				return lineBody
			}
			return lineField
		case c == ' ' || c == '\t':
			// White space before the colon is obsolete but legal (RFC 5322 §4.5).
			rest := bytes.TrimLeft(line[i:], " \t")
			if i > 0 && len(rest) > 0 && rest[0] == ':' {
				return lineField
			}
			if first && isFromLine(line) {
				return lineMore
			}
			return lineBody
		case c <= ' ' || c >= 0x7f:
			return lineBody
		}
	}
	return lineBody
}

func skipCR(line []byte) int {
	i := 0
	for i < len(line) && line[i] == '\r' {
		i++
	}
	return i
}

// isFromLine knows the line that mbox files put in front of a message.
func isFromLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

// block gathers one header block.
type block struct {
	raw    []byte
	starts []int // where fields begin in raw
}

func (b *block) reset() {
	b.raw, b.starts = b.raw[:0], b.starts[:0]
}

// begin notes that what is added next is a line of that kind.
func (b *block) begin(k lineKind) {
	if k == lineField && len(b.starts) < MaxFields && len(b.raw) < MaxHeader {
		b.starts = append(b.starts, len(b.raw))
	}
}

// add takes octets of the line; those beyond the bound are dropped.
func (b *block) add(p []byte) {
	b.raw = append(b.raw, p[:min(len(p), MaxHeader-len(b.raw))]...)
}

// header makes the fields; base is where the block begins in the message.
func (b *block) header(base int64) Header {
	raw := string(b.raw)
	fields := make([]Field, 0, len(b.starts))
	for i, at := range b.starts {
		end := len(raw)
		if i+1 < len(b.starts) {
			end = b.starts[i+1]
		}
		text := raw[at:end]
		colon := strings.IndexByte(text, ':')
		if colon < 0 {
			continue // cut by the bound
		}
		fields = append(fields, Field{
			Name:   strings.TrimRight(text[:colon], " \t"),
			Raw:    text,
			Offset: base + int64(at),
		})
	}
	return Header{fields: fields}
}

// ParseHeader reads a header block up to its empty line, the first line that
// belongs to no header, or the end. Offsets count from the beginning of b.
func ParseHeader(b []byte) Header {
	var blk block
	for first := true; len(b) > 0; first = false {
		kind := classify(b, first)
		if kind >= lineEmpty {
			break
		}
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			n = len(b)
		}
		blk.begin(kind)
		blk.add(b[:n])
		b = b[n:]
	}
	return blk.header(0)
}

// HeaderScanner collects the header while a message streams through it. The
// zero value is ready and takes MaxHeader octets.
type HeaderScanner struct {
	Max int // octets; 0 means MaxHeader

	buf     []byte
	line    int // where the line in hand begins
	size    int
	done    bool
	tooLong bool
}

// Write takes the next octets of the message. It never fails and, once the
// header is over, does nothing.
func (s *HeaderScanner) Write(p []byte) (int, error) {
	if s.done {
		return len(p), nil
	}
	limit := s.Max
	if limit <= 0 || limit > MaxHeader {
		limit = MaxHeader
	}
	scanned := len(s.buf)
	s.buf = append(s.buf, p[:min(len(p), limit-len(s.buf))]...)
	for !s.done {
		n := bytes.IndexByte(s.buf[scanned:], '\n')
		if n < 0 {
			break
		}
		end := scanned + n + 1
		switch classify(s.buf[s.line:end], s.line == 0) {
		case lineEmpty:
			s.done, s.size = true, end
		case lineBody:
			s.done, s.size = true, s.line
		default:
			s.line, scanned = end, end
		}
	}
	if !s.done && len(s.buf) >= limit {
		s.done, s.tooLong, s.size = true, true, len(s.buf)
	}
	return len(p), nil
}

// Done says whether the end of the header, or the bound, has been seen.
func (s *HeaderScanner) Done() bool { return s.done }

// TooLong says whether the header goes on beyond the bound.
func (s *HeaderScanner) TooLong() bool { return s.tooLong }

// Size is the length of the header with its empty line, in octets; before
// Done, of what came until now.
func (s *HeaderScanner) Size() int {
	if s.done {
		return s.size
	}
	return len(s.buf)
}

// Rest is what came with the last part of the header and does not belong to it,
// unless the header is too long.
func (s *HeaderScanner) Rest() []byte { return s.buf[s.Size():] }

// SplitHeader reads the header of a content with its empty line, and gives what
// follows as a reader. Of a header over MaxHeader tooLong is set, and the block is
// its beginning.
func SplitHeader(content io.Reader) (block []byte, rest io.Reader, tooLong bool, err error) {
	var s HeaderScanner
	chunk := make([]byte, 4<<10)
	var over []byte // what the scanner did not keep
	for !s.Done() {
		n, err := content.Read(chunk)
		before := len(s.buf)
		_, _ = s.Write(chunk[:n])
		over = chunk[len(s.buf)-before : n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, false, err
		}
	}
	n := s.Size()
	return s.buf[:n:n], io.MultiReader(bytes.NewReader(s.buf[n:]), bytes.NewReader(over), content), s.TooLong(), nil
}

// Header is the fields collected so far.
func (s *HeaderScanner) Header() Header { return ParseHeader(s.buf[:s.Size()]) }

// Fields is all fields in their order. The caller must not change them.
func (h Header) Fields() []Field { return h.fields }

// Get is the unfolded raw value of the first field of that name, or "".
func (h Header) Get(name string) string {
	for _, f := range h.fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value()
		}
	}
	return ""
}

// Has says whether there is a field of that name.
func (h Header) Has(name string) bool { return h.Count(name) > 0 }

// Count is the number of fields of that name.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h.fields {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n
}

// All is the unfolded raw values of all fields of that name.
func (h Header) All(name string) []string {
	var all []string
	for _, f := range h.fields {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value())
		}
	}
	return all
}

// Value is the field's value, unfolded (RFC 5322 §2.2.3) and without white
// space at its ends. It never holds CR, LF or NUL, whatever the field holds.
func (f Field) Value() string {
	v := strings.Trim(f.Raw[strings.IndexByte(f.Raw, ':')+1:], " \t\r\n\x00")
	if !strings.ContainsAny(v, "\r\n\x00") {
		return v
	}
	var b strings.Builder
	b.Grow(len(v))
	for i := 0; i < len(v); i++ {
		if c := v[i]; c != '\r' && c != '\n' && c != 0 {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Span is where the field lies in the message, folds and line end included.
func (f Field) Span() Span { return Span{Offset: f.Offset, Length: int64(len(f.Raw))} }

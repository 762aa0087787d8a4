package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
)

// longestLine is the longest line that is left as it is, in octets without its
// end: what SMTP takes here.
const longestLine = 8 << 10

// Textual gives a binary message (RFC 3030 §3) as lines, for those who know
// nothing else: each body that is not lines goes as base64 (RFC 2045 §6.8), and
// the rest stays as it is, octet by octet. Where that does not make lines, since
// what stands between the bodies is none, the whole body goes as one. The header
// must be lines. size is what is given.
func Textual(r io.ReaderAt, size int64) (io.Reader, int64, error) {
	if fit, err := isLines(r, 0, size); fit || err != nil {
		return io.NewSectionReader(r, 0, size), size, err
	}
	ix, err := Parse(r, size)
	if err != nil {
		return nil, 0, err
	}
	t := &textual{r: r, size: size}
	t.part(ix.Root)
	if t.err == nil && !t.broken {
		t.keep(size)
		var fit bool
		if fit, t.err = isLines(&seriesAt{r: t.reader()}, 0, t.total); fit {
			return t.reader(), t.total, nil
		}
	}
	if t.err != nil {
		return nil, 0, t.err
	}
	t = &textual{r: r, size: size}
	t.whole(ix)
	return t.reader(), t.total, t.err
}

// textual collects the pieces of a message.
type textual struct {
	r      io.ReaderAt
	size   int64
	at     int64 // up to which the message is dealt with
	pieces []func() io.Reader
	total  int64
	broken bool // the parts are not what they should be
	err    error
}

func (t *textual) reader() io.Reader {
	all := make([]io.Reader, len(t.pieces))
	for i, open := range t.pieces {
		all[i] = open()
	}
	return io.MultiReader(all...)
}

func (t *textual) add(n int64, open func() io.Reader) {
	if n > 0 {
		t.pieces = append(t.pieces, open)
		t.total += n
	}
}

// keep takes the message over as it is, up to an offset.
func (t *textual) keep(to int64) {
	from := t.at
	t.add(to-from, func() io.Reader { return io.NewSectionReader(t.r, from, to-from) })
	t.at = max(t.at, to)
}

func (t *textual) text(s string) {
	t.add(int64(len(s)), func() io.Reader { return strings.NewReader(s) })
}

// encode takes the message over in base64, up to an offset.
func (t *textual) encode(to int64, ended bool) {
	from := t.at
	n := base64Size(to - from)
	if ended {
		n += 2
	}
	t.add(n, func() io.Reader {
		return &base64Lines{src: io.NewSectionReader(t.r, from, to-from), left: to - from, ended: ended}
	})
	t.at = to
}

// part goes through a part and those within it, in the order of the message.
func (t *textual) part(p *Part) {
	if t.err != nil || t.broken {
		return
	}
	switch {
	case len(p.Parts) > 0:
		t.header(p, "8bit", p.Encoding == "binary")
		for _, inner := range p.Parts {
			t.part(inner)
		}
		return
	case p.Message != nil:
		t.header(p, "8bit", p.Encoding == "binary")
		t.part(p.Message.Root)
		return
	}
	fit, err := isLines(t.r, p.BodyStart, p.End)
	if t.err = err; fit || err != nil {
		return
	}
	// No encoding goes within another, and what has no header cannot have one.
	if p.Encoding == "base64" || p.Encoding == "quoted-printable" || p.HeaderStart == p.BodyStart && p.HeaderStart > 0 {
		t.broken = true
		return
	}
	t.header(p, "base64", true)
	t.keep(p.BodyStart)
	t.encode(p.End, p.End == t.size)
}

// header gives a part another encoding, if it is to have one.
func (t *textual) header(p *Part, encoding string, change bool) {
	if !change || t.err != nil {
		return
	}
	t.keep(p.HeaderStart)
	t.text("Content-Transfer-Encoding: " + encoding + "\r\n")
	if p.HeaderStart == p.BodyStart {
		t.text("\r\n") // there was no header
	}
	t.drop(p, "Content-Transfer-Encoding")
}

// drop leaves fields of a part's header out.
func (t *textual) drop(p *Part, names ...string) {
	block := make([]byte, min(p.BodyStart-p.HeaderStart, MaxHeader))
	if n, err := t.r.ReadAt(block, p.HeaderStart); n < len(block) {
		t.err = err
		return
	}
	for _, f := range ParseHeader(block).Fields() {
		for _, name := range names {
			if strings.EqualFold(f.Name, name) {
				t.keep(p.HeaderStart + f.Offset)
				t.at = p.HeaderStart + f.Offset + int64(len(f.Raw))
			}
		}
	}
}

// whole gives the body as one part that nobody looks into.
func (t *textual) whole(ix *Index) {
	t.text("Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n")
	if ix.Root.BodyStart == 0 {
		t.text("\r\n")
	}
	t.drop(ix.Root, "Content-Type", "Content-Transfer-Encoding")
	t.keep(ix.Root.BodyStart)
	t.encode(t.size, true)
}

// IsLines says whether a message is lines, as SMTP and IMAP want it without
// BINARYMIME: Textual leaves it as it is.
func IsLines(r io.ReaderAt, size int64) (bool, error) { return isLines(r, 0, size) }

// isLines says whether the octets from one offset to another are lines: CR and LF
// stand together only, there is no NUL, and no line is over longestLine. A last
// line need not end.
func isLines(r io.ReaderAt, from, to int64) (bool, error) {
	buf := make([]byte, 32<<10)
	line, cr := 0, false
	for at := from; at < to; {
		n, err := r.ReadAt(buf[:min(int64(len(buf)), to-at)], at)
		if n == 0 {
			return false, err
		}
		at += int64(n)
		for b := buf[:n]; len(b) > 0; {
			i := bytes.IndexAny(b, "\r\n\x00")
			if cr && i != 0 || i >= 0 && (b[i] == 0 || (b[i] == '\n') != cr) {
				return false, nil
			}
			if i < 0 {
				line += len(b)
				break
			}
			line += i
			if cr = b[i] == '\r'; !cr {
				line = 0
			}
			if line > longestLine {
				return false, nil
			}
			b = b[i+1:]
		}
		if line > longestLine {
			return false, nil
		}
	}
	return !cr, nil
}

// seriesAt reads at offsets that only grow, each where the last read ended.
type seriesAt struct{ r io.Reader }

// ReadAt reads on.
func (s *seriesAt) ReadAt(p []byte, _ int64) (int, error) { return io.ReadFull(s.r, p) }

// perLine is how many octets a line of base64 holds (RFC 2045 §6.8).
const perLine = 57

// base64Size is how many octets n become as lines of base64; the last has no end.
func base64Size(n int64) int64 {
	if n == 0 {
		return 0
	}
	return (n+2)/3*4 + (n-1)/perLine*2
}

// base64Lines reads src as lines of base64.
type base64Lines struct {
	src   io.Reader
	left  int64
	ended bool // the last line has an end
	begun bool
	out   []byte
	buf   [perLine]byte
}

// Read gives the next lines.
func (b *base64Lines) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		n := min(perLine, b.left)
		if n == 0 {
			if !b.ended {
				return 0, io.EOF
			}
			b.out, b.ended = append(b.out, "\r\n"...), false
			break
		}
		if _, err := io.ReadFull(b.src, b.buf[:n]); err != nil {
			return 0, err
		}
		b.out = b.out[:0]
		if b.begun {
			b.out = append(b.out, "\r\n"...)
		}
		b.out = base64.StdEncoding.AppendEncode(b.out, b.buf[:n])
		b.left, b.begun = b.left-n, true
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

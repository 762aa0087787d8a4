package imap

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// encoderFlush is how many octets an Encoder gathers before it writes them,
// unless it was lent a larger buffer.
const encoderFlush = 16 << 10

// Encoder writes responses (and, for the test client, commands). What is
// written gathers in memory and goes to W when there is enough of it or at
// Flush. The first error of W sticks and is returned by Flush.
type Encoder struct {
	W    io.Writer // nil: everything stays in memory (Bytes)
	Plus bool      // literals are non-synchronising (a client's to a server)
	UTF8 bool      // strings and mailbox names are UTF-8 (RFC 6855 §3, RFC 9051 §4.3)
	buf  []byte
	lent int // octets of the buffer that was lent
	err  error
	// Speak translates what is for people into UTF-8 (RFC 5255 §3); nil: it is
	// English in US-ASCII.
	Speak func(string) string
}

// Bytes is what was written and not flushed.
func (e *Encoder) Bytes() []byte { return e.buf }

// Flush writes what was gathered.
func (e *Encoder) Flush() error {
	if e.W != nil && len(e.buf) > 0 {
		if e.err == nil {
			_, e.err = e.W.Write(e.buf)
		}
		e.buf = e.buf[:0]
	}
	return e.err
}

// Lend gives e room for a long answer: until Release, what buf holds is gathered
// before it is written.
func (e *Encoder) Lend(buf []byte) {
	e.buf, e.lent = append(buf[:0], e.buf...), cap(buf)
}

// Lent says whether e has a buffer from Lend.
func (e *Encoder) Lent() bool { return e.lent > 0 }

// Release gives the memory of the buffer back, and what Lend had given, nil if
// nothing. What was not flushed is lost.
func (e *Encoder) Release() (lent []byte) {
	if e.lent > 0 {
		lent = e.buf[:0]
	}
	e.buf, e.lent = nil, 0
	return lent
}

// Err is the first error of W.
func (e *Encoder) Err() error { return e.err }

// spill writes what was gathered if it is enough.
func (e *Encoder) spill() *Encoder {
	if n := len(e.buf); n >= encoderFlush && n >= e.lent-e.lent/4 && e.W != nil {
		_ = e.Flush()
	}
	return e
}

// Raw writes s as it is.
func (e *Encoder) Raw(s string) *Encoder {
	e.buf = append(e.buf, s...)
	return e.spill()
}

// Append writes what add puts behind the buffer it is given.
func (e *Encoder) Append(add func(b []byte) []byte) *Encoder {
	e.buf = add(e.buf)
	return e.spill()
}

// Text writes finished text as it is.
func (e *Encoder) Text(b []byte) *Encoder {
	e.buf = append(e.buf, b...)
	return e.spill()
}

// SP writes a space.
func (e *Encoder) SP() *Encoder { return e.byte(' ') }

// CRLF ends a line.
func (e *Encoder) CRLF() *Encoder { return e.Raw("\r\n") }

func (e *Encoder) byte(c byte) *Encoder {
	e.buf = append(e.buf, c)
	return e
}

// Number writes n.
func (e *Encoder) Number(n int64) *Encoder {
	e.buf = strconv.AppendInt(e.buf, n, 10)
	return e
}

func (e *Encoder) unsigned(n uint64) *Encoder {
	e.buf = strconv.AppendUint(e.buf, n, 10)
	return e
}

// Untagged begins "* ".
func (e *Encoder) Untagged() *Encoder { return e.Raw("* ") }

// Status writes a whole status response (RFC 3501 §7.1). An empty tag is
// untagged; code may be empty. Octets that may not stand in text become "?".
func (e *Encoder) Status(tag, status, code, text string) *Encoder {
	if tag == "" {
		tag = "*"
	}
	e.Raw(tag).SP().Raw(status).SP()
	if code != "" {
		e.byte('[').Raw(code).Raw("] ")
	}
	if text == "" {
		text = "."
	}
	return e.text(text).CRLF()
}

func (e *Encoder) text(s string) *Encoder {
	if e.Speak != nil {
		return e.Raw(strings.Map(textRune, e.Speak(s)))
	}
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f {
			c = '?'
		}
		e.buf = append(e.buf, c)
	}
	return e
}

// textRune is r, or "?" for what may not stand in text.
func textRune(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}

// Quotable says whether s may stand in a quoted string of 7 bits.
func Quotable(s string) bool { return line.Quotable(s) }

// String writes s quoted or, where that cannot be, as a literal. NULs, which
// no string can hold, become "?".
func (e *Encoder) String(s string) *Encoder {
	if e.UTF8 && line.QuotableUTF8(s) {
		e.buf = line.AppendQuoted(e.buf, s)
	} else {
		e.buf = line.AppendString(e.buf, s, e.Plus)
	}
	return e.spill()
}

// NString is String, with NIL for the empty string.
func (e *Encoder) NString(s string) *Encoder {
	if s == "" {
		return e.Raw("NIL")
	}
	return e.String(s)
}

// AString writes an atom where s is one, or a string.
func (e *Encoder) AString(s string) *Encoder {
	if s == "" || strings.EqualFold(s, "NIL") {
		return e.String(s)
	}
	for i := range len(s) {
		if !isAString(s[i]) {
			return e.String(s)
		}
	}
	return e.Raw(s)
}

// Mailbox writes a mailbox name, in modified UTF-7 or UTF-8.
func (e *Encoder) Mailbox(name string) *Encoder { return e.AString(e.mailboxName(name)) }

func (e *Encoder) mailboxName(name string) string {
	if e.UTF8 {
		return strings.ToValidUTF8(name, "\uFFFD")
	}
	return EncodeMailbox(name)
}

// Literal writes a literal of n octets from r as they come, without holding
// them. If r fails or gives fewer, the response cannot be completed: nothing
// more is written, the error sticks, and the connection has to be closed, so
// that no client takes a part for the whole. An r that is an io.WriterTo writes
// what is long past the buffer.
func (e *Encoder) Literal(n int64, r io.Reader) error {
	e.literalHead(n)
	if w, ok := r.(io.WriterTo); ok && e.W != nil && n >= encoderFlush {
		return e.stream(n, w)
	}
	for left := n; left > 0 && e.err == nil; {
		if cap(e.buf)-len(e.buf) < encoderFlush/4 {
			e.makeRoom()
		}
		room := e.buf[len(e.buf):cap(e.buf)]
		k, err := readSome(r, room[:min(int64(len(room)), left)])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && e.err == nil {
			e.err = err
		}
		e.buf = e.buf[:len(e.buf)+k]
		left -= int64(k)
	}
	e.spill()
	return e.err
}

// LiteralText writes b as a literal.
func (e *Encoder) LiteralText(b []byte) error {
	e.literalHead(int64(len(b))).Text(b)
	return e.err
}

// stream writes the n octets of a literal past the buffer.
func (e *Encoder) stream(n int64, r io.WriterTo) error {
	if err := e.Flush(); err != nil {
		return err
	}
	wrote, err := r.WriteTo(e.W)
	if err == nil && wrote != n {
		err = io.ErrUnexpectedEOF
	}
	e.err = err
	return err
}

// makeRoom writes what was gathered, or holds more where nothing is written.
func (e *Encoder) makeRoom() {
	if e.W != nil {
		_ = e.Flush()
	}
	if cap(e.buf)-len(e.buf) < encoderFlush {
		e.buf = append(make([]byte, 0, len(e.buf)+2*encoderFlush), e.buf...)
	}
}

// readSome reads at least one octet or gives an error.
func readSome(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadAtLeast(r, p, 1)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

func (e *Encoder) literalHead(n int64) *Encoder {
	e.buf = line.AppendLiteralHead(e.buf, n, e.Plus)
	return e
}

// List writes "(" … ")" with spaces between what item writes for 0…n-1.
func (e *Encoder) List(n int, item func(i int)) *Encoder {
	e.byte('(')
	for i := range n {
		if i > 0 {
			e.byte(' ')
		}
		item(i)
	}
	return e.byte(')')
}

// Words writes a list of atoms.
func (e *Encoder) Words(words []string) *Encoder {
	return e.List(len(words), func(i int) { e.Raw(words[i]) })
}

// Flags writes a list of flags.
func (e *Encoder) Flags(f Flags) *Encoder {
	e.byte('(')
	empty := len(e.buf)
	e.buf = f.System.Append(e.buf)
	for _, name := range f.Keywords {
		if len(e.buf) > empty {
			e.byte(' ')
		}
		e.buf = append(e.buf, name...)
	}
	if f.Recent {
		if len(e.buf) > empty {
			e.byte(' ')
		}
		e.buf = append(e.buf, `\Recent`...)
	}
	return e.byte(')')
}

// DateTime writes t as INTERNALDATE does, in t's own zone.
func (e *Encoder) DateTime(t time.Time) *Encoder {
	e.byte('"')
	e.buf = appendDateTime(e.buf, t)
	return e.byte('"')
}

// appendDateTime is t.AppendFormat of "_2-Jan-2006 15:04:05 -0700", of which a
// list of messages needs many.
func appendDateTime(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, "_2-Jan-2006 15:04:05 -0700")
	}
	if day < 10 {
		b = append(b, ' ', byte('0'+day))
	} else {
		b = appendTwo(b, day)
	}
	b = append(append(append(b, '-'), month.String()[:3]...), '-')
	b = append(appendTwo(appendTwo(b, year/100), year%100), ' ')
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	b = append(appendTwo(b, second), ' ')
	_, zone := t.Zone()
	sign := byte('+')
	if zone < 0 {
		sign, zone = '-', -zone
	}
	return appendTwo(appendTwo(append(b, sign), zone/3600), zone/60%60)
}

// appendTwo writes n, which is below 100, in two digits.
func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// date writes a SEARCH date.
func (e *Encoder) date(t time.Time) *Encoder { return e.Raw(t.Format("2-Jan-2006")) }

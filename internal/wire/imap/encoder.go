package imap

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// encoderFlush is how many octets an Encoder gathers before it writes them.
const encoderFlush = 16 << 10

// maxQuoted is the longest string that is quoted; a longer one is a literal.
const maxQuoted = 1 << 10

// Encoder writes responses (and, for the test client, commands). What is
// written gathers in memory and goes to W when there is enough of it or at
// Flush. The first error of W sticks and is returned by Flush.
type Encoder struct {
	W    io.Writer // nil: everything stays in memory (Bytes)
	Plus bool      // literals are non-synchronising (a client's to a server)
	UTF8 bool      // strings and mailbox names are UTF-8 (RFC 6855 §3, RFC 9051 §4.3)
	buf  []byte
	err  error
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

// Release gives the memory of the buffer back. What was not flushed is lost.
func (e *Encoder) Release() { e.buf = nil }

// Err is the first error of W.
func (e *Encoder) Err() error { return e.err }

// Raw writes s as it is.
func (e *Encoder) Raw(s string) *Encoder {
	e.buf = append(e.buf, s...)
	if len(e.buf) >= encoderFlush && e.W != nil {
		_ = e.Flush()
	}
	return e
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
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f {
			c = '?'
		}
		e.buf = append(e.buf, c)
	}
	return e
}

// Quotable says whether s may stand in a quoted string of 7 bits.
func Quotable(s string) bool {
	if len(s) > maxQuoted {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < ' ' {
			return false
		}
	}
	return true
}

// quotableUTF8 is Quotable for a client that has enabled UTF-8.
func quotableUTF8(s string) bool {
	return len(s) <= maxQuoted && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// String writes s quoted or, where that cannot be, as a literal. NULs, which
// no string can hold, become "?".
func (e *Encoder) String(s string) *Encoder {
	if !Quotable(s) && !(e.UTF8 && quotableUTF8(s)) {
		s = strings.ReplaceAll(s, "\x00", "?")
		return e.literalHead(int64(len(s))).Raw(s)
	}
	e.byte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			e.buf = append(e.buf, '\\')
		}
		e.buf = append(e.buf, s[i])
	}
	return e.byte('"')
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
// that no client takes a part for the whole.
func (e *Encoder) Literal(n int64, r io.Reader) error {
	e.literalHead(n)
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
	if len(e.buf) >= encoderFlush && e.W != nil {
		_ = e.Flush()
	}
	return e.err
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
	e.byte('{').Number(n)
	if e.Plus {
		e.byte('+')
	}
	return e.Raw("}\r\n")
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
	names := append(f.System.Names(), f.Keywords...)
	if f.Recent {
		names = append(names, `\Recent`)
	}
	for i, name := range names {
		if i > 0 {
			e.byte(' ')
		}
		e.Raw(name)
	}
	return e.byte(')')
}

// DateTime writes t as INTERNALDATE does, in t's own zone.
func (e *Encoder) DateTime(t time.Time) *Encoder {
	e.byte('"')
	e.buf = t.AppendFormat(e.buf, "_2-Jan-2006 15:04:05 -0700")
	return e.byte('"')
}

// date writes a SEARCH date.
func (e *Encoder) date(t time.Time) *Encoder { return e.Raw(t.Format("2-Jan-2006")) }

package imapd

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// casemap makes texts comparable as i;unicode-casemap does (RFC 5051 §2): each
// character in title case and decomposed, so that case, width and composition
// do not count.
func casemap(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return strings.Map(unicode.ToTitle, norm.NFKD.String(strings.Map(unicode.ToTitle, s)))
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// needle is a search string, mapped.
type needle struct{ mapped []byte }

func newNeedle(s string) needle { return needle{[]byte(casemap(s))} }

func (n needle) in(text string) bool {
	return len(n.mapped) == 0 || bytes.Contains([]byte(casemap(text)), n.mapped)
}

// searchChunk is how much of a text is mapped at a time, in octets.
const searchChunk = 32 << 10

// scratch is the memory that a search goes on with from text to text.
type scratch struct {
	buf  []byte // not mapped yet
	tail []byte // the end of what was, as long as a hit may begin there
}

// inReader searches UTF-8 text of any length in bounded memory.
func (n needle) inReader(r io.Reader, m *scratch) (bool, error) {
	if len(n.mapped) == 0 {
		return true, nil
	}
	if m.buf == nil {
		m.buf = make([]byte, 0, searchChunk)
	}
	buf, tail := m.buf[:0], m.tail[:0]
	defer func() { m.tail = tail }()
	for {
		k, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+k]
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return false, err
		}
		cut := len(buf)
		if !last {
			cut = boundary(buf)
		}
		tail = appendMapped(tail, buf[:cut])
		if bytes.Contains(tail, n.mapped) {
			return true, nil
		}
		if last {
			return false, nil
		}
		if keep := len(n.mapped) - 1; len(tail) > keep {
			tail = append(tail[:0], tail[len(tail)-keep:]...)
		}
		buf = append(buf[:0], buf[cut:]...)
	}
}

// boundary finds a place to cut text at: before an ASCII character nothing can
// combine with what follows. Text with none for long is cut between characters.
func boundary(b []byte) int {
	for i := len(b) - 1; i > len(b)/2; i-- {
		if b[i] < utf8.RuneSelf {
			return i
		}
	}
	for i := len(b) - 1; i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return len(b)
}

// appendMapped maps b and appends it.
func appendMapped(to, b []byte) []byte {
	if !isASCII(b) {
		return append(to, casemap(string(b))...)
	}
	at := len(to)
	to = append(to, b...)
	for i, c := range to[at:] {
		if c >= 'a' && c <= 'z' {
			to[at+i] = c - 'a' + 'A'
		}
	}
	return to
}

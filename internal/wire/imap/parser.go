package imap

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// parser reads the text of one command, literals in it as {n} CRLF and their
// octets. The first error sticks; after it nothing moves.
type parser struct {
	b     []byte
	i     int
	depth int
	// foreign: the command is in a charset we do not know, and will be refused
	// for that and not for what its strings hold.
	foreign bool
	utf8    bool // mailbox names are UTF-8
	binary  bool // a literal may hold NULs (RFC 3516)
	cut     bool // a string was expected where a literal has no octets
	err     error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = badf(format, args...)
	}
}

func (p *parser) end() bool { return p.i >= len(p.b) }

// peek is the next octet, 0 at the end or after an error.
func (p *parser) peek() byte {
	if p.err != nil || p.end() {
		return 0
	}
	return p.b[p.i]
}

func (p *parser) accept(c byte) bool {
	if p.peek() != c || p.end() {
		return false
	}
	p.i++
	return true
}

func (p *parser) expect(c byte) {
	if !p.accept(c) && p.err == nil {
		if p.end() {
			p.fail("%q expected at the end of the command", c)
		} else {
			p.fail("%q expected, not %q", c, p.b[p.i])
		}
	}
}

func (p *parser) space() { p.expect(' ') }

// take reads octets while ok says so.
func (p *parser) take(ok func(byte) bool) string {
	if p.err != nil {
		return ""
	}
	start := p.i
	for p.i < len(p.b) && ok(p.b[p.i]) {
		p.i++
	}
	return string(p.b[start:p.i])
}

func (p *parser) some(what string, ok func(byte) bool) string {
	s := p.take(ok)
	if s == "" {
		p.fail("%s expected", what)
	}
	return s
}

// Character classes of RFC 3501 §9.
func isAtom(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`(){%*"\]`, rune(c))
}
func isAString(c byte) bool { return isAtom(c) || c == ']' }
func isTag(c byte) bool     { return isAString(c) && c != '+' }
func isList(c byte) bool    { return isAString(c) || c == '%' || c == '*' }
func isDigit(c byte) bool   { return c >= '0' && c <= '9' }

func (p *parser) atom() string { return p.some("an atom", isAtom) }

// word is an atom in upper case.
func (p *parser) word() string { return strings.ToUpper(p.atom()) }

// number reads up to 2^32-1.
func (p *parser) number() uint32 {
	s := p.some("a number", isDigit)
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		p.fail("number too large")
	}
	return uint32(n)
}

// number64 reads up to 2^63-1, as mod-sequences go (RFC 7162 §7).
func (p *parser) number64() uint64 {
	s := p.some("a number", isDigit)
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		p.fail("number too large")
	}
	return n
}

// positive is number without 0.
func (p *parser) positive() uint32 {
	n := p.number()
	if n == 0 {
		p.fail("0 is too small")
	}
	return n
}

// str reads a string: quoted or literal.
func (p *parser) str() string {
	switch p.peek() {
	case '"':
		return p.quoted()
	case '{':
		return p.literal()
	}
	p.fail("a string expected")
	return ""
}

// quoted also takes UTF-8, which old clients send and RFC 9051 allows.
func (p *parser) quoted() string {
	p.expect('"')
	var out []byte
	for p.err == nil {
		if p.end() {
			p.fail("a quoted string has no end")
			break
		}
		c := p.b[p.i]
		p.i++
		switch {
		case c == '"':
			if !p.foreign && !utf8.Valid(out) {
				p.fail("a quoted string is not UTF-8")
			}
			return string(out)
		case c == '\\':
			if c = p.peek(); c != '"' && c != '\\' {
				p.fail("a backslash before something else than a quote or a backslash")
			}
			out = append(out, c)
			p.i++
		case c == '\r' || c == '\n' || c == 0:
			p.fail("a quoted string has no end")
		default:
			out = append(out, c)
		}
	}
	return ""
}

// literal reads {n} or {n+} (RFC 7888), CRLF and n octets.
func (p *parser) literal() string {
	if p.err != nil {
		return ""
	}
	n, _, rest, ok := literalHead(p.b[p.i:])
	if !ok || n > int64(len(p.b)-p.i-rest) {
		p.cut = true
		p.fail("not a literal")
		return ""
	}
	p.i += rest
	s := p.b[p.i : p.i+int(n)]
	p.i += int(n)
	if bytes.IndexByte(s, 0) >= 0 && !p.binary {
		p.fail("a literal with a NUL")
		return ""
	}
	return string(s)
}

// literalHead reads "{n}" or "{n+}" with its CRLF at the beginning of b and
// tells how long that is.
func literalHead(b []byte) (n int64, plus bool, size int, ok bool) {
	end := bytes.IndexByte(b, '}')
	if end < 2 || end > 24 || b[0] != '{' || !bytes.HasPrefix(b[end+1:], []byte("\r\n")) {
		return 0, false, 0, false
	}
	n, plus, ok = literalSize(b[1:end])
	return n, plus, end + 3, ok
}

// literalSize reads "n" or "n+".
func literalSize(b []byte) (n int64, plus, ok bool) {
	if b, plus = bytes.CutSuffix(b, []byte("+")); len(b) == 0 {
		return 0, false, false
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false, false
		}
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, plus, err == nil
}

// lineLiteral finds a literal's size at the end of a line without its CRLF.
func lineLiteral(ln []byte) (n int64, plus, ok bool) {
	if len(ln) == 0 || ln[len(ln)-1] != '}' {
		return 0, false, false
	}
	i := bytes.LastIndexByte(ln, '{')
	if i < 0 {
		return 0, false, false
	}
	return literalSize(ln[i+1 : len(ln)-1])
}

func (p *parser) astring() string {
	if c := p.peek(); c == '"' || c == '{' {
		return p.str()
	}
	return p.some("an atom or a string", isAString)
}

// nstring reads a string or NIL, which gives "" and false.
func (p *parser) nstring() (string, bool) {
	if c := p.peek(); c == '"' || c == '{' {
		return p.str(), true
	}
	if p.word() != "NIL" {
		p.fail("a string or NIL expected")
	}
	return "", false
}

// mailbox reads a mailbox name and decodes it; INBOX comes in upper case
// whatever its case was (RFC 3501 §5.1).
func (p *parser) mailbox() string { return p.decodeName(p.astring()) }

// pattern reads list-mailbox.
func (p *parser) pattern() string {
	if c := p.peek(); c == '"' || c == '{' {
		return p.decodeName(p.str())
	}
	return p.decodeName(p.some("a mailbox pattern", isList))
}

func (p *parser) decodeName(s string) string {
	if p.err != nil {
		return ""
	}
	name := s
	if p.utf8 {
		if !utf8.ValidString(s) {
			p.fail("a mailbox name is not UTF-8")
		}
	} else {
		var err error
		if name, err = DecodeMailbox(s); err != nil {
			p.fail("a mailbox name is not modified UTF-7 (RFC 3501 5.1.3)")
		}
	}
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	return name
}

// list reads "(" item *(SP item) ")"; an empty list only if empty is true.
func (p *parser) list(empty bool, item func()) {
	p.expect('(')
	if p.enter(); p.err != nil {
		return
	}
	defer p.leave()
	if p.accept(')') {
		if !empty {
			p.fail("an empty list")
		}
		return
	}
	for n := 1; p.err == nil; n++ {
		if n > MaxList {
			p.fail("more than %d elements in a list", MaxList)
			return
		}
		item()
		if p.accept(')') {
			return
		}
		p.space()
	}
}

func (p *parser) enter() {
	if p.depth++; p.depth > MaxDepth {
		p.fail("nested deeper than %d", MaxDepth)
	}
}

func (p *parser) leave() { p.depth-- }

// date reads d-Mon-yyyy, quoted or not, as that day's midnight in UTC.
func (p *parser) date() time.Time {
	var s string
	if p.peek() == '"' {
		s = p.quoted()
	} else {
		s = p.atom()
	}
	t, err := time.Parse("_2-Jan-2006", s)
	if err != nil || t.IsZero() {
		p.fail("not a date: %.20q", s)
	}
	return t
}

// dateTime reads a quoted date-time (RFC 3501 §9).
func (p *parser) dateTime() time.Time {
	s := p.quoted()
	t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", s)
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		p.fail("not a date and time: %.40q", s)
	}
	return t
}

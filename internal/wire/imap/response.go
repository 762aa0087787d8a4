package imap

import (
	"bytes"
	"strings"
)

// Response is one response of a server, as a client sees it (RFC 3501 §7).
type Response struct {
	Tag    string  // "*" untagged, "+" continuation
	Status string  // OK, NO, BAD, PREAUTH, BYE, or ""
	Code   []Value // of "[…]" after a status: its words and lists
	Text   string  // after a status or a "+"
	Number uint32  // of "* n FETCH", HasNumber
	Name   string  // EXISTS, FETCH, LIST, …; upper case
	Args   []Value

	HasNumber bool
}

// Value is one datum of a response: an atom or number, a string, NIL, or a list.
type Value struct {
	Kind ValueKind
	Text string // of an atom as it came, of a string its octets
	List []Value
}

// ValueKind says what a Value is.
type ValueKind byte

// The kinds of values.
const (
	Atom ValueKind = iota
	String
	List
)

// IsNil says whether v is NIL.
func (v Value) IsNil() bool { return v.Kind == Atom && strings.EqualFold(v.Text, "NIL") }

// ParseResponse reads one response without its last CRLF, literals in it as
// {n} CRLF and their octets. It is what the test client reads the server by,
// and so it is strict: one space between things, nothing behind them.
func ParseResponse(b []byte) (Response, error) {
	// The structure of a message may be deeper than what a client may send.
	p := &parser{b: b, depth: -2 * MaxDepth}
	var r Response
	switch {
	case p.accept('+'):
		r.Tag = "+"
		if !p.end() {
			p.space()
			if !p.end() { // an empty challenge is nothing behind the space
				r.Text = p.rest()
			}
		}
		return r, p.err
	case p.accept('*'):
		r.Tag = "*"
	default:
		r.Tag = p.tag()
	}
	p.space()
	if isDigit(p.peek()) {
		r.Number, r.HasNumber = p.number(), true
		p.space()
	}
	word := p.word()
	switch word {
	case "OK", "NO", "BAD", "PREAUTH", "BYE":
		r.Status = word
		p.statusRest(&r)
	default:
		r.Name = word
		for p.err == nil && !p.end() {
			p.space()
			r.Args = append(r.Args, p.value())
		}
	}
	if r.Tag != "*" && (r.Status == "" || r.HasNumber) || r.Status != "" && r.HasNumber {
		p.fail("not a response")
	}
	return r, p.err
}

func (p *parser) statusRest(r *Response) {
	p.space()
	if p.accept('[') {
		for p.err == nil {
			r.Code = append(r.Code, p.value())
			if p.accept(']') {
				break
			}
			p.space()
		}
		p.space()
	}
	r.Text = p.rest()
}

// rest is resp-text: at least one character, no line break.
func (p *parser) rest() string {
	return p.some("text", func(c byte) bool { return c != '\r' && c != '\n' && c != 0 })
}

// value reads a datum. A section in brackets belongs to its atom, as in
// BODY[HEADER.FIELDS (DATE)]<0>.
func (p *parser) value() Value {
	if p.err == nil && bytes.HasPrefix(p.b[p.i:], []byte("~{")) { // RFC 3516 §4.3
		p.i++
		p.binary = true
		return Value{Kind: String, Text: p.literal()}
	}
	switch p.peek() {
	case '"', '{':
		return Value{Kind: String, Text: p.str()}
	case '(':
		v := Value{Kind: List}
		p.expect('(')
		if p.enter(); p.err != nil {
			return v
		}
		defer p.leave()
		for p.err == nil && !p.accept(')') {
			// Bodies and addresses follow each other without a space.
			if n := len(v.List); n > 0 && (v.List[n-1].Kind != List || p.peek() != '(') {
				p.space()
			}
			v.List = append(v.List, p.value())
		}
		return v
	}
	start := p.i
	p.accept('\\')
	s := p.take(func(c byte) bool { return isAtom(c) && c != '[' || c == '*' })
	if (strings.HasPrefix(s, "BODY") || strings.HasPrefix(s, "BINARY")) && p.accept('[') {
		p.take(func(c byte) bool { return c != ']' && c != '\r' && c != '\n' && c != 0 })
		p.expect(']')
		p.take(func(c byte) bool { return c == '<' || c == '>' || isDigit(c) })
	}
	if p.i == start {
		p.fail("a value expected")
	}
	if p.err != nil {
		return Value{}
	}
	return Value{Kind: Atom, Text: string(p.b[start:p.i])}
}

// Print writes r as ParseResponse reads it, with its CRLF.
func (r Response) Print() []byte {
	e := &Encoder{}
	e.Raw(r.Tag)
	if r.Tag == "+" {
		if r.Text != "" {
			e.SP().Raw(r.Text)
		}
		return e.CRLF().Bytes()
	}
	if r.HasNumber {
		e.SP().Number(int64(r.Number))
	}
	if r.Status == "" {
		e.SP().Raw(r.Name)
		for _, v := range r.Args {
			e.SP().value(v)
		}
		return e.CRLF().Bytes()
	}
	e.SP().Raw(r.Status).SP()
	for i, v := range r.Code {
		e.Raw([]string{"[", " "}[min(i, 1)]).value(v)
	}
	if len(r.Code) > 0 {
		e.Raw("] ")
	}
	return e.Raw(r.Text).CRLF().Bytes()
}

func (e *Encoder) value(v Value) {
	switch v.Kind {
	case String:
		if strings.IndexByte(v.Text, 0) >= 0 { // RFC 3516 §4.3
			e.byte('~').literalHead(int64(len(v.Text))).Raw(v.Text)
			return
		}
		e.String(v.Text)
	case List:
		e.List(len(v.List), func(i int) { e.value(v.List[i]) })
	default:
		e.Raw(v.Text)
	}
}

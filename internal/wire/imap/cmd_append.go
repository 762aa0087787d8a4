package imap

import (
	"bytes"
	"slices"
	"time"
)

// AppendCommand is APPEND (RFC 3501 §6.3.11), of several messages (RFC 3502) and
// from parts (RFC 4469), or REPLACE (RFC 8508). From a connection it comes as far as
// its first text, which is the last of Pieces; Decoder.Next gives the rest.
type AppendCommand struct {
	Mailbox  string
	Replaced *Replaced // of REPLACE
	Pieces   []AppendPiece

	state appendState
}

// Replaced names the message that REPLACE replaces.
type Replaced struct {
	UID    bool
	Number uint32 // 0: "*"
}

// AppendPiece is a part of a message: what a URL names, or a text.
type AppendPiece struct {
	Begins  *AppendMessage // the piece is the first of a message
	IsURL   bool
	URL     string // RFC 4469 §3
	Size    int64  // of a text, in octets
	NonSync bool   // the text comes unasked (RFC 7888)
	Binary  bool   // the text may hold NULs (RFC 3516 §4.4)
	Data    []byte // of a text that was read with the command
}

// AppendMessage is what is said of a message that comes.
type AppendMessage struct {
	Flags    Flags
	Date     time.Time // zero if none was given
	Catenate bool      // it is made of parts
	UTF8     bool      // its header may be UTF-8 (RFC 6855 §4)
}

// Name is "APPEND" or "REPLACE".
func (c *AppendCommand) Name() string {
	if c.Replaced != nil {
		return "REPLACE"
	}
	return "APPEND"
}

func (c *AppendCommand) byUID() bool { return c.Replaced != nil && c.Replaced.UID }

func (c *AppendCommand) encode(e *Encoder) {
	if c.Replaced != nil {
		set := "*"
		if c.Replaced.Number > 0 {
			set = Set{{c.Replaced.Number, c.Replaced.Number}}.String()
		}
		e.SP().Raw(set)
	}
	e.SP().Mailbox(c.Mailbox)
	end := ""
	for i := range c.Pieces {
		a := &c.Pieces[i]
		e.SP()
		if a.Begins != nil {
			if end != "" { // behind the message before
				e.buf = e.buf[:len(e.buf)-1]
				e.Raw(end).SP()
			}
			end = a.Begins.encode(e)
		}
		switch {
		case a.IsURL:
			e.Raw("URL ").AString(a.URL)
			continue
		case end == ")" && !c.utf8(i):
			e.Raw("TEXT ")
		}
		if a.Binary {
			e.byte('~')
		}
		plus := e.Plus
		e.Plus = a.NonSync
		e.literalHead(a.Size).Text(a.Data)
		e.Plus = plus
	}
	e.Raw(end)
}

// utf8 says whether piece i is of a message in UTF-8.
func (c *AppendCommand) utf8(i int) bool {
	for i > 0 && c.Pieces[i].Begins == nil {
		i--
	}
	return c.Pieces[i].Begins != nil && c.Pieces[i].Begins.UTF8
}

// encode writes what stands before a message, and gives what stands behind it.
func (m *AppendMessage) encode(e *Encoder) (end string) {
	if len(m.Flags.Keywords) > 0 || m.Flags.System != 0 {
		e.Flags(m.Flags).SP()
	}
	if !m.Date.IsZero() {
		e.DateTime(m.Date).SP()
	}
	switch {
	case m.Catenate:
		e.Raw("CATENATE (")
		return ")"
	case m.UTF8:
		e.Raw("UTF8 (")
		return ")"
	}
	return ""
}

// appendState is how much of the messages was read.
type appendState struct {
	at   appendPlace
	one  bool // there is no second message
	some bool // of CATENATE: a part came before
}

type appendPlace byte

const (
	atMessage appendPlace = iota // a message begins
	atPart                       // of CATENATE: the next part, or the end
	atClose                      // of UTF8: ")"
	atEnd                        // another message, or the command's end
)

// read reads pieces to the end of the command or, where a literal stands at its
// end, whose "{" is at last, as far as that if it is a text. last is -1 where all
// texts are read with the command.
func (s *appendState) read(p *parser, last int) (pieces []AppendPiece, text bool) {
	var begins *AppendMessage
	add := func(a AppendPiece) {
		a.Begins, begins = begins, nil
		if pieces = append(pieces, a); len(pieces) > MaxList {
			p.fail("more than %d parts", MaxList)
		}
	}
	for p.err == nil {
		switch s.at {
		case atEnd:
			if p.end() {
				return pieces, false
			}
			p.space()
			if s.at = atMessage; s.one {
				p.fail("REPLACE takes one message")
			}
		case atMessage:
			begins = p.appendMessage()
			switch {
			case begins.Catenate:
				s.at, s.some = atPart, false
			case begins.UTF8:
				s.at = atClose
				if a, more := p.text(last); p.err == nil {
					if add(a); more {
						return pieces, true
					}
				}
			default:
				s.at = atEnd
				if a, more := p.text(last); p.err == nil {
					if add(a); more {
						return pieces, true
					}
				}
			}
		case atPart:
			if s.some && p.accept(')') {
				s.at = atEnd
				continue
			}
			if s.some {
				p.space()
			}
			s.some = true
			a, more := p.part(last)
			if p.err != nil {
				continue
			}
			if add(a); more {
				return pieces, true
			}
		case atClose:
			p.expect(')')
			s.at = atEnd
		}
	}
	return pieces, false
}

// appendMessage reads what stands before a message.
func (p *parser) appendMessage() *AppendMessage {
	var m AppendMessage
	if p.peek() == '(' {
		m.Flags = p.flagList()
		p.space()
	}
	if p.peek() == '"' {
		m.Date = p.dateTime()
		p.space()
	}
	if c := p.peek(); c == '{' || c == '~' {
		return &m
	}
	switch p.word() {
	case "CATENATE":
		m.Catenate = true
	case "UTF8":
		m.UTF8 = true
	default:
		p.fail("a message expected")
	}
	p.space()
	p.expect('(')
	return &m
}

// part reads a part of CATENATE.
func (p *parser) part(last int) (a AppendPiece, more bool) {
	switch p.word() {
	case "URL":
		p.space()
		a.IsURL, a.URL = true, p.astring()
		return a, false
	case "TEXT":
		p.space()
		return p.text(last)
	}
	p.fail("TEXT or URL expected")
	return a, false
}

// text reads a literal. More says that it is the one at last, whose octets are not
// here.
func (p *parser) text(last int) (a AppendPiece, more bool) {
	a.Binary = p.accept('~')
	switch {
	case last >= 0 && p.i == last:
		var ok bool
		if a.Size, a.NonSync, ok = lineLiteral(p.b[p.i:]); !ok {
			p.fail("not a literal")
		}
		p.i = len(p.b)
		return a, true
	case last >= 0:
		p.fail("a literal with the message expected")
		return a, false
	}
	n, plus, rest, ok := literalHead(p.b[min(p.i, len(p.b)):])
	if !ok || n > int64(len(p.b)-p.i-rest) {
		p.fail("a literal with the message expected")
		return a, false
	}
	p.i += rest
	a.Size, a.NonSync, a.Data = n, plus, slices.Clone(p.b[p.i:p.i+int(n)])
	p.i += int(n)
	return a, false
}

// appendHead reads the command as far as its messages.
func (p *parser) appendHead(replace, uid bool) *AppendCommand {
	var c AppendCommand
	p.space()
	if replace {
		c.state.one = true
		c.Replaced = &Replaced{UID: uid}
		if !p.accept('*') {
			if c.Replaced.Number = p.number(); c.Replaced.Number == 0 {
				p.fail("not the number of a message")
			}
		}
		p.space()
	}
	c.Mailbox = p.mailbox()
	p.space()
	return &c
}

// appendWhole reads a command whose texts are read with it, as before login, where
// it is refused anyway, or which has none.
func (p *parser) appendWhole(replace, uid bool) Command {
	c := p.appendHead(replace, uid)
	c.Pieces, _ = c.state.read(p, -1)
	return c
}

func (p *parser) append() Command { return p.appendWhole(false, false) }

func (p *parser) replace(uid bool) Command { return p.appendWhole(true, uid) }

// appendCommand says whether what came so far is a command with a message that
// begins here.
func (d *Decoder) appendCommand() (Request, bool) {
	if d.Closed {
		return Request{}, false
	}
	p := &parser{b: d.buf, utf8: d.UTF8}
	tag := p.tag()
	p.space()
	name := p.word()
	uid := name == "UID"
	if uid {
		p.space()
		name = p.word()
	}
	if name != "REPLACE" && (name != "APPEND" || uid) {
		return Request{}, false
	}
	c := p.appendHead(name == "REPLACE", uid)
	if p.err != nil {
		return Request{}, false
	}
	var text bool
	c.Pieces, text = c.state.read(p, bytes.LastIndexByte(d.buf, '{'))
	return Request{tag, c}, text && p.err == nil
}

// Text is the piece whose octets have to be read next, nil if none has.
func (c *AppendCommand) Text() *AppendPiece {
	if n := len(c.Pieces); n > 0 && !c.Pieces[n-1].IsURL && c.Pieces[n-1].Data == nil {
		return &c.Pieces[n-1]
	}
	return nil
}

package imap

import (
	"encoding/base64"
	"strings"
)

// LoginCommand is LOGIN (RFC 3501 §6.2.3).
type LoginCommand struct{ User, Password string }

// Name is "LOGIN".
func (*LoginCommand) Name() string { return "LOGIN" }

func (c *LoginCommand) encode(e *Encoder) { e.SP().AString(c.User).SP().AString(c.Password) }

func (p *parser) login() Command {
	var c LoginCommand
	p.space()
	c.User = p.astring()
	p.space()
	c.Password = p.astring()
	return &c
}

// AuthenticateCommand is AUTHENTICATE (RFC 3501 §6.2.2), with the initial
// response of RFC 4959 if HasInitial.
type AuthenticateCommand struct {
	Mechanism  string // upper case
	Initial    []byte // decoded
	HasInitial bool
}

// Name is "AUTHENTICATE".
func (*AuthenticateCommand) Name() string { return "AUTHENTICATE" }

func (c *AuthenticateCommand) encode(e *Encoder) {
	e.SP().Raw(c.Mechanism)
	if c.HasInitial {
		e.SP().Raw(EncodeInitial(c.Initial))
	}
}

// EncodeInitial writes an initial response: "=" for an empty one (RFC 4959 §3).
func EncodeInitial(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}

func (p *parser) authenticate() Command {
	var c AuthenticateCommand
	p.space()
	c.Mechanism = p.word()
	if p.err != nil || !p.accept(' ') {
		return &c
	}
	c.HasInitial = true
	s := p.some("an initial response", func(b byte) bool { return isAString(b) })
	if s == "=" {
		return &c
	}
	var err error
	if c.Initial, err = base64.StdEncoding.Strict().DecodeString(s); err != nil {
		p.fail("the initial response is not base64")
	}
	return &c
}

// EnableCommand is ENABLE (RFC 5161). Names are in upper case.
type EnableCommand struct{ Capabilities []string }

// Name is "ENABLE".
func (*EnableCommand) Name() string { return "ENABLE" }

func (c *EnableCommand) encode(e *Encoder) {
	for _, w := range c.Capabilities {
		e.SP().Raw(w)
	}
}

func (p *parser) enable() Command {
	var c EnableCommand
	for p.space(); p.err == nil; p.i++ {
		c.Capabilities = append(c.Capabilities, p.word())
		if len(c.Capabilities) > MaxList {
			p.fail("more than %d capabilities", MaxList)
		}
		if p.peek() != ' ' {
			break
		}
	}
	return &c
}

// IDCommand is ID (RFC 2971): pairs of field and value, in order. A value NIL
// is the empty string.
type IDCommand struct{ Fields [][2]string }

// Limits of RFC 2971 §3.3.
const (
	maxIDFields = 30
	maxIDField  = 30
	maxIDValue  = 1024
)

// Name is "ID".
func (*IDCommand) Name() string { return "ID" }

func (c *IDCommand) encode(e *Encoder) { e.SP().ID(c.Fields) }

// ID writes the list of fields of an ID command or response.
func (e *Encoder) ID(fields [][2]string) *Encoder {
	if len(fields) == 0 {
		return e.Raw("NIL")
	}
	return e.List(len(fields), func(i int) { e.String(fields[i][0]).SP().NString(fields[i][1]) })
}

func (p *parser) id() Command {
	var c IDCommand
	p.space()
	if p.peek() != '(' {
		if p.word() != "NIL" {
			p.fail("a list or NIL expected")
		}
		return &c
	}
	p.list(true, func() {
		field := p.str()
		p.space()
		value, _ := p.nstring()
		if len(c.Fields) >= maxIDFields || len(field) > maxIDField || len(value) > maxIDValue {
			p.fail("more than RFC 2971 allows in ID")
			return
		}
		c.Fields = append(c.Fields, [2]string{strings.ToLower(field), value})
	})
	return &c
}

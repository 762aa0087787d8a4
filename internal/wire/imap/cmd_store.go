package imap

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// MaxKeyword limits a keyword, in octets.
const MaxKeyword = 128

// FlagOp is what a STORE does with its flags.
type FlagOp byte

// The operations of STORE (RFC 3501 §6.4.6).
const (
	FlagsReplace FlagOp = 0
	FlagsAdd     FlagOp = '+'
	FlagsRemove  FlagOp = '-'
)

// StoreCommand is STORE or UID STORE.
type StoreCommand struct {
	UID    bool
	Set    Set
	Op     FlagOp
	Silent bool
	Flags  Flags
	Labels []string // instead of flags, if not nil: names of mailboxes and "\\Inbox" and the like

	UnchangedSince *uint64 // RFC 7162 §3.1.3; nil: no condition
}

// Name is "STORE".
func (*StoreCommand) Name() string { return "STORE" }

func (c *StoreCommand) byUID() bool { return c.UID }

func (c *StoreCommand) encode(e *Encoder) {
	e.SP().Raw(c.Set.String()).SP()
	if c.UnchangedSince != nil {
		e.Raw("(UNCHANGEDSINCE ").Number(int64(*c.UnchangedSince)).Raw(") ")
	}
	if c.Op != FlagsReplace {
		e.byte(byte(c.Op))
	}
	if c.Labels == nil {
		e.Raw("FLAGS")
	} else {
		e.Raw("X-GM-LABELS")
	}
	if c.Silent {
		e.Raw(".SILENT")
	}
	e.SP()
	if c.Labels == nil {
		e.Flags(c.Flags)
		return
	}
	e.List(len(c.Labels), func(i int) { e.Label(c.Labels[i]) })
}

func (p *parser) store(uid bool) Command {
	c := StoreCommand{UID: uid}
	p.space()
	c.Set = p.set()
	p.space()
	if p.peek() == '(' {
		storeModifiers.list(p, false, &c)
		p.space()
	}
	if b := p.peek(); b == '+' || b == '-' {
		c.Op = FlagOp(b)
		p.i++
	}
	switch p.word() {
	case "FLAGS":
	case "FLAGS.SILENT":
		c.Silent = true
	case "X-GM-LABELS":
		p.labels(&c)
		return &c
	case "X-GM-LABELS.SILENT":
		c.Silent = true
		p.labels(&c)
		return &c
	default:
		p.fail("FLAGS or FLAGS.SILENT expected")
	}
	p.space()
	if p.peek() == '(' {
		c.Flags = p.flagList()
		return &c
	}
	for n := 0; p.err == nil; n++ {
		if p.flag(&c.Flags); !p.accept(' ') {
			break
		}
		if n > MaxList {
			p.fail("more than %d flags", MaxList)
		}
	}
	return &c
}

// labels reads a list of labels, as X-GM-EXT-1 has them.
func (p *parser) labels(c *StoreCommand) {
	p.space()
	c.Labels = []string{}
	p.list(true, func() {
		if p.peek() == '\\' {
			c.Labels = append(c.Labels, p.systemFlag())
			return
		}
		c.Labels = append(c.Labels, p.mailbox())
	})
}

// Label writes a label.
func (e *Encoder) Label(name string) *Encoder {
	if rest, system := strings.CutPrefix(name, `\`); system && rest != "" && !strings.ContainsFunc(rest, func(r rune) bool { return r >= 0x7f || !isAtom(byte(r)) }) {
		return e.Raw(name)
	}
	return e.Mailbox(name)
}

// storeModifiers are what may stand before the flags of STORE (RFC 4466 §2.5).
var storeModifiers = options[*StoreCommand]{
	"UNCHANGEDSINCE": (*parser).unchangedSince,
}

func (p *parser) flagList() Flags {
	var f Flags
	p.list(true, func() { p.flag(&f) })
	return f
}

// flag reads one flag into f. A keyword that is there already, in any case, is
// not repeated.
func (p *parser) flag(f *Flags) {
	if p.peek() == '\\' {
		f.System |= SystemFlag(p.systemFlag())
		return
	}
	w := p.atom()
	if len(w) > MaxKeyword {
		p.fail("a keyword of more than %d octets", MaxKeyword)
	}
	for _, k := range f.Keywords {
		if strings.EqualFold(k, w) {
			return
		}
	}
	f.Keywords = append(f.Keywords, w)
}

// SystemFlag gives the flag of a name, in any case; 0 for one that is unknown or
// cannot be set, as \Recent.
func SystemFlag(name string) mail.Flags {
	for f := mail.FlagSeen; f <= mail.FlagDraft; f <<= 1 {
		if strings.EqualFold(f.Names()[0], name) {
			return f
		}
	}
	return 0
}

// CopyCommand is COPY or MOVE, by UID or not (RFC 3501 §6.4.7, RFC 6851).
type CopyCommand struct {
	UID     bool
	Move    bool
	Set     Set
	Mailbox string
}

// Name is "COPY" or "MOVE".
func (c *CopyCommand) Name() string {
	if c.Move {
		return "MOVE"
	}
	return "COPY"
}

func (c *CopyCommand) byUID() bool { return c.UID }

func (c *CopyCommand) encode(e *Encoder) { e.SP().Raw(c.Set.String()).SP().Mailbox(c.Mailbox) }

func (p *parser) copy(uid bool) Command {
	c := CopyCommand{UID: uid}
	p.space()
	c.Set = p.set()
	p.space()
	c.Mailbox = p.mailbox()
	return &c
}

func (p *parser) move(uid bool) Command {
	c := p.copy(uid).(*CopyCommand)
	c.Move = true
	return c
}

// ExpungeCommand is EXPUNGE, or UID EXPUNGE with a set (RFC 4315 §2.1).
type ExpungeCommand struct{ Set Set }

// Name is "EXPUNGE".
func (*ExpungeCommand) Name() string { return "EXPUNGE" }

func (c *ExpungeCommand) byUID() bool { return c.Set != nil }

func (c *ExpungeCommand) encode(e *Encoder) {
	if c.Set != nil {
		e.SP().Raw(c.Set.String())
	}
}

func (p *parser) expunge() Command { return &ExpungeCommand{} }

func (p *parser) uidExpunge() Command {
	p.space()
	return &ExpungeCommand{p.set()}
}

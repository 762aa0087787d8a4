package imap

// SelectCommand is SELECT or, read-only, EXAMINE (RFC 3501 §6.3.1, §6.3.2).
type SelectCommand struct {
	Mailbox   string
	ReadOnly  bool
	CondStore bool    // RFC 7162 §3.1.8
	Resync    *Resync // nil: not asked for
}

// selectOptions are the parameters of SELECT and EXAMINE (RFC 4466 §2.4).
var selectOptions = options[*SelectCommand]{
	"CONDSTORE": func(_ *parser, c *SelectCommand) { c.CondStore = true },
	"QRESYNC":   (*parser).resync,
}

// Name is "SELECT" or "EXAMINE".
func (c *SelectCommand) Name() string {
	if c.ReadOnly {
		return "EXAMINE"
	}
	return "SELECT"
}

func (c *SelectCommand) encode(e *Encoder) {
	e.SP().Mailbox(c.Mailbox)
	switch {
	case c.CondStore && c.Resync != nil:
		e.Raw(" (CONDSTORE ").resync(c.Resync)
	case c.Resync != nil:
		e.Raw(" (").resync(c.Resync)
	case c.CondStore:
		e.Raw(" (CONDSTORE")
	default:
		return
	}
	e.byte(')')
}

func (p *parser) selectBox(readOnly bool) Command {
	c := SelectCommand{ReadOnly: readOnly}
	p.space()
	c.Mailbox = p.mailbox()
	selectOptions.trailing(p, &c)
	return &c
}

// CreateCommand is CREATE (RFC 3501 §6.3.3), with the special uses that RFC
// 6154 §3 lets a client ask for. A final "/" is part of the name as it came.
type CreateCommand struct {
	Mailbox string
	Use     []string // "\Sent", as it came
}

// Name is "CREATE".
func (*CreateCommand) Name() string { return "CREATE" }

func (c *CreateCommand) encode(e *Encoder) {
	e.SP().Mailbox(c.Mailbox)
	if len(c.Use) > 0 {
		e.Raw(" (USE ").Words(c.Use).Raw(")")
	}
}

func (p *parser) create() Command {
	var c CreateCommand
	p.space()
	c.Mailbox = p.mailbox()
	createOptions.trailing(p, &c)
	return &c
}

// createOptions are the parameters of CREATE (RFC 4466 §2.2).
var createOptions = options[*CreateCommand]{
	"USE": func(p *parser, c *CreateCommand) {
		p.space()
		p.list(true, func() { c.Use = append(c.Use, p.systemFlag()) })
	},
}

// systemFlag reads "\" atom.
func (p *parser) systemFlag() string {
	p.expect('\\')
	return `\` + p.atom()
}

// BoxCommand is a command with one mailbox: DELETE, SUBSCRIBE, UNSUBSCRIBE.
type BoxCommand struct {
	Verb    string // upper case
	Mailbox string
}

// Name is the verb.
func (c *BoxCommand) Name() string { return c.Verb }

func (c *BoxCommand) encode(e *Encoder) { e.SP().Mailbox(c.Mailbox) }

func (p *parser) boxCommand(verb string) Command {
	p.space()
	return &BoxCommand{verb, p.mailbox()}
}

// RenameCommand is RENAME (RFC 3501 §6.3.5).
type RenameCommand struct{ From, To string }

// Name is "RENAME".
func (*RenameCommand) Name() string { return "RENAME" }

func (c *RenameCommand) encode(e *Encoder) { e.SP().Mailbox(c.From).SP().Mailbox(c.To) }

func (p *parser) rename() Command {
	var c RenameCommand
	p.space()
	c.From = p.mailbox()
	p.space()
	c.To = p.mailbox()
	return &c
}

// StatusCommand is STATUS (RFC 3501 §6.3.10). Items are in upper case.
type StatusCommand struct {
	Mailbox string
	Items   []string
}

// Name is "STATUS".
func (*StatusCommand) Name() string { return "STATUS" }

func (c *StatusCommand) encode(e *Encoder) { e.SP().Mailbox(c.Mailbox).SP().Words(c.Items) }

func (p *parser) status() Command {
	var c StatusCommand
	p.space()
	c.Mailbox = p.mailbox()
	p.space()
	c.Items = p.statusItems()
	return &c
}

// statusItems are the items of STATUS, which LIST may return too (RFC 5819).
var statusItems = []string{
	"APPENDLIMIT",
	"DELETED",
	"DELETED-STORAGE",
	"HIGHESTMODSEQ",
	"MAILBOXID",
	"MESSAGES",
	"RECENT",
	"SIZE",
	"UIDNEXT",
	"UIDVALIDITY",
	"UNSEEN",
}

func (p *parser) statusItems() []string { return p.known(false, statusItems) }

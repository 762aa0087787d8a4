package imap

// SelectCommand is SELECT or, read-only, EXAMINE (RFC 3501 §6.3.1, §6.3.2).
type SelectCommand struct {
	Mailbox  string
	ReadOnly bool
}

// selectOptions are the parameters of SELECT and EXAMINE (RFC 4466 §2.4).
var selectOptions = options[*SelectCommand]{}

// Name is "SELECT" or "EXAMINE".
func (c *SelectCommand) Name() string {
	if c.ReadOnly {
		return "EXAMINE"
	}
	return "SELECT"
}

func (c *SelectCommand) encode(e *Encoder) { e.SP().Mailbox(c.Mailbox) }

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
var statusItems = []string{"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}

func (p *parser) statusItems() []string { return p.known(false, statusItems) }

// ListCommand is LIST or LSUB (RFC 3501 §6.3.8, §6.3.9). Of LIST's options of
// RFC 5258 and RFC 6154 only the simple ones are known.
type ListCommand struct {
	Subscribed bool // LSUB
	Reference  string
	Pattern    string
	Select     []string // SUBSCRIBED, SPECIAL-USE
	Return     []string // SUBSCRIBED, CHILDREN, SPECIAL-USE
}

// Name is "LIST" or "LSUB".
func (c *ListCommand) Name() string {
	if c.Subscribed {
		return "LSUB"
	}
	return "LIST"
}

func (c *ListCommand) encode(e *Encoder) {
	e.SP()
	if len(c.Select) > 0 {
		e.Words(c.Select).SP()
	}
	e.Mailbox(c.Reference).SP().String(EncodeMailbox(c.Pattern))
	if len(c.Return) > 0 {
		e.Raw(" RETURN ").Words(c.Return)
	}
}

// selectionOptions are what LIST may choose by, returnOptions what it may tell
// (RFC 5258 §6).
var (
	selectionOptions = options[*ListCommand]{
		"SUBSCRIBED":  nil,
		"SPECIAL-USE": nil,
	}
	returnOptions = options[*ListCommand]{
		"SUBSCRIBED":  nil,
		"CHILDREN":    nil,
		"SPECIAL-USE": nil,
	}
)

func (p *parser) listBoxes(subscribed bool) Command {
	c := ListCommand{Subscribed: subscribed}
	p.space()
	if !subscribed && p.peek() == '(' {
		c.Select = selectionOptions.words(p, &c)
		p.space()
	}
	c.Reference = p.mailbox()
	p.space()
	c.Pattern = p.pattern()
	if !subscribed && p.accept(' ') {
		if p.word() != "RETURN" {
			p.fail("an unknown option of LIST")
		}
		p.space()
		c.Return = returnOptions.words(p, &c)
	}
	return &c
}

package imap

// ESearchCommand is ESEARCH, the search of many mailboxes (RFC 7377).
type ESearchCommand struct {
	SearchCommand
	In []MailboxFilter // none: the selected mailbox
}

// MailboxFilter names mailboxes (RFC 5465 §6, RFC 7377 §2.2).
type MailboxFilter struct {
	Kind  string   // SELECTED, INBOXES, PERSONAL, SUBSCRIBED, SUBTREE, SUBTREE-ONE or MAILBOXES
	Names []string // of the last three
}

// Name is "ESEARCH".
func (*ESearchCommand) Name() string { return "ESEARCH" }

func (c *ESearchCommand) encode(e *Encoder) {
	if len(c.In) > 0 {
		e.Raw(" IN ").List(len(c.In), func(i int) { e.mailboxFilter(&c.In[i]) })
	}
	c.SearchCommand.encode(e)
}

func (e *Encoder) mailboxFilter(f *MailboxFilter) {
	e.Raw(f.Kind)
	if f.Names != nil {
		e.SP().List(len(f.Names), func(i int) { e.Mailbox(f.Names[i]) })
	}
}

func (p *parser) esearch(bool) Command {
	c := ESearchCommand{SearchCommand: SearchCommand{UID: true}}
	p.space()
	if p.acceptWord("IN") {
		p.list(false, func() { c.In = append(c.In, p.mailboxFilter()) })
		p.space()
	}
	p.returning(&c.SearchCommand)
	p.program(&c.SearchCommand)
	return &c
}

// mailboxFilter reads filter-mailboxes.
func (p *parser) mailboxFilter() MailboxFilter {
	f := MailboxFilter{Kind: p.word()}
	switch f.Kind {
	case "SELECTED", "INBOXES", "PERSONAL", "SUBSCRIBED":
	case "SUBTREE", "SUBTREE-ONE", "MAILBOXES":
		p.space()
		if p.peek() == '(' {
			p.list(false, func() { f.Names = append(f.Names, p.mailbox()) })
		} else {
			f.Names = []string{p.mailbox()}
		}
	default:
		p.fail("an unknown mailbox specifier: %.40s", f.Kind)
	}
	return f
}

package imap

// ESearchCommand is ESEARCH, the search of many mailboxes (RFC 7377).
type ESearchCommand struct {
	SearchCommand
	In []MailboxFilter // none: the selected mailbox
}

// MailboxFilter names mailboxes (RFC 5465 §6, RFC 7377 §2.2).
type MailboxFilter struct {
	// Kind is SELECTED, INBOXES, PERSONAL, SUBSCRIBED, SUBTREE or MAILBOXES; of
	// NOTIFY also SELECTED-DELAYED, of ESEARCH SUBTREE-ONE.
	Kind  string
	Names []string // of the kinds that name mailboxes
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
		p.list(false, func() { c.In = append(c.In, p.mailboxFilter("SUBTREE-ONE")) })
		p.space()
	}
	p.returning(&c.SearchCommand)
	p.program(&c.SearchCommand)
	return &c
}

// mailboxFilter reads filter-mailboxes; own is the kind that only the command in
// hand knows.
func (p *parser) mailboxFilter(own string) MailboxFilter {
	f := MailboxFilter{Kind: p.word()}
	switch f.Kind {
	case "SELECTED", "INBOXES", "PERSONAL", "SUBSCRIBED":
		return f
	case "SELECTED-DELAYED":
		if f.Kind == own {
			return f
		}
	case "SUBTREE-ONE":
		if f.Kind != own {
			break
		}
		fallthrough
	case "SUBTREE", "MAILBOXES":
		p.space()
		if p.peek() == '(' {
			p.list(false, func() { f.Names = append(f.Names, p.mailbox()) })
		} else {
			f.Names = []string{p.mailbox()}
		}
		return f
	}
	p.fail("unknown mailboxes: %.40s", f.Kind)
	return f
}

package imap

// ListCommand is LIST or LSUB (RFC 3501 §6.3.8, §6.3.9), with the options of
// RFC 5258 and what was added to them since.
type ListCommand struct {
	Subscribed bool // LSUB
	Reference  string
	Patterns   []string // at least one
	Select     []string // RECURSIVEMATCH, REMOTE, SPECIAL-USE, SUBSCRIBED
	Return     []string // CHILDREN, METADATA, MYRIGHTS, SPECIAL-USE, STATUS, SUBSCRIBED
	Status     []string // items of STATUS in Return
	Entries    []string // of METADATA in Return
}

// Name is "LIST" or "LSUB".
func (c *ListCommand) Name() string {
	if c.Subscribed {
		return "LSUB"
	}
	return "LIST"
}

// Extended says whether the command is of a form that RFC 5258 brought (§3).
func (c *ListCommand) Extended() bool {
	return c.Select != nil || c.Return != nil || len(c.Patterns) > 1
}

func (c *ListCommand) encode(e *Encoder) {
	e.SP()
	if c.Select != nil {
		e.Words(c.Select).SP()
	}
	e.Mailbox(c.Reference).SP()
	if len(c.Patterns) == 1 {
		e.String(e.mailboxName(c.Patterns[0]))
	} else {
		e.List(len(c.Patterns), func(i int) { e.String(e.mailboxName(c.Patterns[i])) })
	}
	if c.Return == nil {
		return
	}
	e.Raw(" RETURN ").List(len(c.Return), func(i int) {
		e.Raw(c.Return[i])
		switch c.Return[i] {
		case "STATUS":
			e.SP().Words(c.Status)
		case "METADATA":
			e.SP().List(len(c.Entries), func(i int) { e.AString(c.Entries[i]) })
		}
	})
}

// selectionOptions are what LIST may choose by, returnOptions what it may tell
// (RFC 5258 §6).
var (
	selectionOptions = options[*ListCommand]{
		"RECURSIVEMATCH": nil,
		"REMOTE":         nil,
		"SPECIAL-USE":    nil,
		"SUBSCRIBED":     nil,
	}
	returnOptions = options[*ListCommand]{
		"CHILDREN": nil,
		"METADATA": func(p *parser, c *ListCommand) { // RFC 9590
			p.space()
			p.list(false, func() { c.Entries = append(c.Entries, p.astring()) })
		},
		"MYRIGHTS":    nil, // RFC 8440
		"SPECIAL-USE": nil,
		"STATUS": func(p *parser, c *ListCommand) { // RFC 5819
			p.space()
			c.Status = append(c.Status, p.statusItems()...)
		},
		"SUBSCRIBED": nil,
	}
)

func (p *parser) listBoxes(subscribed bool) Command {
	c := ListCommand{Subscribed: subscribed}
	p.space()
	if !subscribed && p.peek() == '(' {
		c.Select = selectionOptions.words(p, &c)
		p.space()
		p.checkSelection(c.Select)
	}
	c.Reference = p.mailbox()
	p.space()
	if !subscribed && p.peek() == '(' {
		p.list(false, func() { c.Patterns = append(c.Patterns, p.pattern()) })
	} else {
		c.Patterns = []string{p.pattern()}
	}
	if !subscribed && p.accept(' ') {
		if p.word() != "RETURN" {
			p.fail("an unknown option of LIST")
		}
		p.space()
		c.Return = returnOptions.words(p, &c)
	}
	return &c
}

// checkSelection refuses RECURSIVEMATCH where nothing is matched that could
// stand for what lies within it (RFC 5258 §3.1).
func (p *parser) checkSelection(words []string) {
	recursive, base := false, false
	for _, w := range words {
		recursive = recursive || w == "RECURSIVEMATCH"
		base = base || w == "SUBSCRIBED" || w == "SPECIAL-USE"
	}
	if recursive && !base {
		p.fail("RECURSIVEMATCH needs another selection option")
	}
}

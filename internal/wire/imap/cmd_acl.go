package imap

import "strings"

// ACLCommand is a command about who has rights to a mailbox (RFC 4314 §3):
// SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS.
type ACLCommand struct {
	Verb       string // upper case
	Mailbox    string
	Identifier string // of SETACL, DELETEACL and LISTRIGHTS
	Op         FlagOp // of SETACL: set, add or remove
	Rights     string // letters
}

// Name is the verb.
func (c *ACLCommand) Name() string { return c.Verb }

func (c *ACLCommand) encode(e *Encoder) {
	e.SP().Mailbox(c.Mailbox)
	switch c.Verb {
	case "SETACL":
		rights := c.Rights
		if c.Op != FlagsReplace {
			rights = string(c.Op) + rights
		}
		e.SP().AString(c.Identifier).SP().String(rights)
	case "DELETEACL", "LISTRIGHTS":
		e.SP().AString(c.Identifier)
	}
}

// acl is a command about rights; who says that it names an identifier.
func acl(name string, who bool) verb {
	return verb{plain: func(p *parser) Command {
		c := ACLCommand{Verb: name}
		p.space()
		c.Mailbox = p.mailbox()
		if who {
			p.space()
			c.Identifier = p.astring()
		}
		if name == "SETACL" {
			p.space()
			c.Rights = p.astring()
			c.Op = FlagsReplace
			if strings.HasPrefix(c.Rights, "+") || strings.HasPrefix(c.Rights, "-") {
				c.Op, c.Rights = FlagOp(c.Rights[0]), c.Rights[1:]
			}
		}
		return &c
	}}
}

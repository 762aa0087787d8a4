package imap

import "strings"

// AllBelow is the Depth of GETMETADATA for "infinity".
const AllBelow = -1

// GetMetadataCommand is GETMETADATA (RFC 5464 §4.2). An empty mailbox means the
// server.
type GetMetadataCommand struct {
	Mailbox string
	Entries []string
	MaxSize *uint32 // octets of a value; nil: no limit
	Depth   int     // 0, 1 or AllBelow
}

// Name is "GETMETADATA".
func (*GetMetadataCommand) Name() string { return "GETMETADATA" }

func (c *GetMetadataCommand) encode(e *Encoder) {
	e.SP()
	switch depth := map[int]string{1: "1", AllBelow: "infinity"}[c.Depth]; {
	case c.MaxSize != nil && depth != "":
		e.Raw("(MAXSIZE ").Number(int64(*c.MaxSize)).Raw(" DEPTH " + depth + ") ")
	case c.MaxSize != nil:
		e.Raw("(MAXSIZE ").Number(int64(*c.MaxSize)).Raw(") ")
	case depth != "":
		e.Raw("(DEPTH " + depth + ") ")
	}
	e.Mailbox(c.Mailbox).SP().List(len(c.Entries), func(i int) { e.AString(c.Entries[i]) })
}

// metadataOptions are those of GETMETADATA.
var metadataOptions = options[*GetMetadataCommand]{
	"MAXSIZE": func(p *parser, c *GetMetadataCommand) {
		p.space()
		n := p.number()
		c.MaxSize = &n
	},
	"DEPTH": func(p *parser, c *GetMetadataCommand) {
		p.space()
		switch depth := p.word(); depth {
		case "0":
		case "1":
			c.Depth = 1
		case "INFINITY":
			c.Depth = AllBelow
		default:
			p.fail("a depth is 0, 1 or infinity")
		}
	},
}

// getMetadata takes the options before the mailbox, where the grammar has them,
// or behind it, where the examples do.
func (p *parser) getMetadata() Command {
	var c GetMetadataCommand
	p.space()
	if p.peek() == '(' {
		metadataOptions.list(p, false, &c)
		p.space()
	}
	c.Mailbox = p.mailbox()
	p.space()
	if rest := string(p.b[min(p.i, len(p.b)):]); strings.HasPrefix(rest, "(") && !strings.HasPrefix(rest, "(/") && !strings.HasPrefix(rest, `("`) && !strings.HasPrefix(rest, "({") {
		metadataOptions.list(p, false, &c)
		p.space()
	}
	if p.peek() == '(' {
		p.list(false, func() { c.Entries = append(c.Entries, p.astring()) })
		return &c
	}
	c.Entries = []string{p.astring()}
	for p.accept(' ') && len(c.Entries) < MaxList {
		c.Entries = append(c.Entries, p.astring())
	}
	return &c
}

// Entry is an annotation's name and value; a nil Value is NIL.
type Entry struct {
	Name  string
	Value []byte
}

// SetMetadataCommand is SETMETADATA (RFC 5464 §4.3). An empty mailbox means the
// server.
type SetMetadataCommand struct {
	Mailbox string
	Entries []Entry
}

// Name is "SETMETADATA".
func (*SetMetadataCommand) Name() string { return "SETMETADATA" }

func (c *SetMetadataCommand) encode(e *Encoder) {
	e.SP().Mailbox(c.Mailbox).SP().Entries(c.Entries)
}

// Entries writes a list of entries with their values.
func (e *Encoder) Entries(all []Entry) *Encoder {
	return e.List(len(all), func(i int) {
		e.AString(all[i].Name).SP()
		if all[i].Value == nil {
			e.Raw("NIL")
		} else {
			e.String(string(all[i].Value))
		}
	})
}

func (p *parser) setMetadata() Command {
	var c SetMetadataCommand
	p.space()
	c.Mailbox = p.mailbox()
	p.space()
	p.list(false, func() {
		n := Entry{Name: p.astring()}
		p.space()
		p.accept('~') // literal8
		if value, ok := p.nstring(); ok {
			n.Value = append([]byte{}, value...)
		}
		c.Entries = append(c.Entries, n)
	})
	return &c
}

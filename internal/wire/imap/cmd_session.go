package imap

import "strings"

// CompressCommand is COMPRESS (RFC 4978).
type CompressCommand struct{ Mechanism string } // upper case

// Name is "COMPRESS".
func (*CompressCommand) Name() string { return "COMPRESS" }

func (c *CompressCommand) encode(e *Encoder) { e.SP().Raw(c.Mechanism) }

func (p *parser) compress() Command {
	p.space()
	return &CompressCommand{p.word()}
}

// LanguageCommand is LANGUAGE (RFC 5255 §3.2): the ranges of languages that the
// client asks for, the best first, or none to have those there are listed.
type LanguageCommand struct{ Ranges []string }

// maxLanguages limits the ranges of a LANGUAGE command.
const maxLanguages = 100

// Name is "LANGUAGE".
func (*LanguageCommand) Name() string { return "LANGUAGE" }

func (c *LanguageCommand) encode(e *Encoder) {
	for _, r := range c.Ranges {
		e.SP().AString(r)
	}
}

func (p *parser) language() Command {
	var c LanguageCommand
	for p.accept(' ') {
		if c.Ranges = append(c.Ranges, p.astring()); len(c.Ranges) > maxLanguages {
			p.fail("more than %d languages", maxLanguages)
		}
	}
	return &c
}

// NotifyCommand is NOTIFY (RFC 5465). Without groups it is NOTIFY NONE.
type NotifyCommand struct {
	Status bool // STATUS responses are wanted at once
	Groups []NotifyGroup
}

// NotifyGroup is an event group: which mailboxes, and which events.
type NotifyGroup struct {
	MailboxFilter
	Events []string // upper case; none: NONE
	Fetch  []FetchItem
}

// Name is "NOTIFY".
func (*NotifyCommand) Name() string { return "NOTIFY" }

func (c *NotifyCommand) encode(e *Encoder) {
	if len(c.Groups) == 0 {
		e.Raw(" NONE")
		return
	}
	e.Raw(" SET")
	if c.Status {
		e.Raw(" STATUS")
	}
	for i := range c.Groups {
		g := &c.Groups[i]
		e.Raw(" (").mailboxFilter(&g.MailboxFilter)
		e.SP()
		if len(g.Events) == 0 {
			e.Raw("NONE)")
			continue
		}
		e.List(len(g.Events), func(i int) {
			e.Raw(g.Events[i])
			if g.Events[i] == "MESSAGENEW" && len(g.Fetch) > 0 {
				e.SP().List(len(g.Fetch), func(i int) { e.fetchItem(&g.Fetch[i]) })
			}
		}).byte(')')
	}
}

func (p *parser) notify() Command {
	var c NotifyCommand
	p.space()
	switch p.word() {
	case "NONE":
		return &c
	case "SET":
	default:
		p.fail("SET or NONE expected")
	}
	p.space()
	if p.peek() != '(' {
		if p.word() != "STATUS" {
			p.fail("STATUS or a group of events expected")
		}
		c.Status = true
		p.space()
	}
	for p.err == nil {
		if len(c.Groups) >= MaxList {
			p.fail("more than %d groups of events", MaxList)
		}
		c.Groups = append(c.Groups, p.notifyGroup())
		if !p.accept(' ') {
			break
		}
	}
	return &c
}

func (p *parser) notifyGroup() NotifyGroup {
	p.expect('(')
	g := NotifyGroup{MailboxFilter: p.mailboxFilter("SELECTED-DELAYED")}
	p.space()
	if p.peek() == '(' {
		p.list(false, func() { p.notifyEvent(&g) })
	} else if p.word() != "NONE" {
		p.fail("a list of events or NONE expected")
	}
	p.expect(')')
	return g
}

// notifyEvent reads an event. Which are known is not the grammar's to say (RFC
// 5465 §3.1).
func (p *parser) notifyEvent(g *NotifyGroup) {
	event := p.word()
	g.Events = append(g.Events, event)
	if event != "MESSAGENEW" || !strings.HasPrefix(string(p.b[p.i:]), " (") || p.err != nil {
		return
	}
	if !strings.HasPrefix(g.Kind, "SELECTED") {
		p.fail("only for the selected mailbox can something be fetched")
	}
	p.space()
	p.list(false, func() { g.Fetch = append(g.Fetch, p.fetchItem()) })
}

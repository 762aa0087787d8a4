package imapd

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// maxPattern limits a pattern of LIST; a longer one matches nothing.
const maxPattern = 2_000

// entry is a name that LIST may tell of.
type entry struct {
	name       string
	account    mail.AccountID // whose mailbox it is
	box        *mailbox.Box   // nil: subscribed to, but there is none
	subscribed bool
	level      bool     // no mailbox, but some are below it
	parent     bool     // others are within it
	within     []string // selection options that something within it meets and that is not told itself
}

// catalogue is all that LIST may tell of, each name before those within it. The
// mailboxes of others are looked for only where a pattern could match them; no
// patterns are none of theirs.
func (c *session) catalogue(match patterns) (all []entry, err error) {
	err = c.read(func(tx *mailbox.Tx) error {
		boxes, err := tx.Boxes()
		if err != nil {
			return err
		}
		names, err := tx.Subscriptions()
		all = ownEntries(c.account(), boxes, names)
		return err
	})
	if err != nil || !c.shares() || !match.reaches(others) {
		return all, err
	}
	return c.addOthers(all)
}

// ownEntries is an account's mailboxes, and behind them the names without one
// that it has subscribed to.
func ownEntries(a mail.AccountID, boxes []mailbox.Box, names []string) []entry {
	parents, there := map[mailbox.BoxID]bool{}, map[string]bool{}
	for i := range boxes {
		parents[boxes[i].Parent], there[boxes[i].Name] = true, true
	}
	all := make([]entry, 0, len(boxes))
	for i := range boxes {
		b := &boxes[i]
		all = append(all, entry{name: b.Name, account: a, box: b, subscribed: b.Subscribed, parent: parents[b.ID]})
	}
	for _, name := range names {
		if !there[name] {
			all = append(all, entry{name: name, account: a, subscribed: true})
		}
	}
	return all
}

// list is LIST (RFC 3501 §6.3.8, RFC 5258, RFC 9051 §6.3.9) with CHILDREN (RFC
// 3348), SPECIAL-USE (RFC 6154), LIST-STATUS (RFC 5819), LIST-MYRIGHTS (RFC
// 8440) and LIST-METADATA (RFC 9590); and LSUB (RFC 3501 §6.3.9).
func (c *session) list(cmd *imap.ListCommand) (reply, error) {
	if !cmd.Subscribed && len(cmd.Patterns) == 1 && cmd.Patterns[0] == "" {
		c.tellListed(cmd.Name(), "", []string{`\Noselect`})
		return ok("LIST done"), nil
	}
	match := newPatterns(cmd.Reference, cmd.Patterns)
	all, err := c.catalogue(match)
	if err != nil {
		return reply{}, err
	}
	c.wantsStatus(cmd.Status)
	if cmd.Subscribed {
		c.lsub(all, match[0])
		return ok("LSUB done"), nil
	}
	for _, e := range chosen(all, cmd, match) {
		c.tellEntry(&e, cmd)
		if err := c.tellMore(&e, cmd); err != nil {
			return reply{}, err
		}
	}
	return ok("LIST done"), nil
}

// chosen is the entries that a LIST tells of.
func chosen(all []entry, cmd *imap.ListCommand, match patterns) []entry {
	var out []entry
	told := map[string]int{} // index in out, by name
	recursive := slices.Contains(cmd.Select, "RECURSIVEMATCH")
	var outside []string // what meets the selection and is not matched
	for _, e := range all {
		if !e.meets(cmd.Select) {
			continue
		}
		if match.matches(e.name) {
			told[e.name] = len(out)
			out = append(out, e)
		}
		outside = append(outside, e.name)
	}
	if !recursive {
		return out
	}
	byName := map[string]*entry{}
	for i := range all {
		byName[all[i].name] = &all[i]
	}
	for _, name := range outside {
		_, alone := told[name]
		for up := above(name); up != ""; up = above(up) {
			i, there := told[up]
			if !there && !alone && match.matches(up) {
				e := entry{name: up}
				if known := byName[up]; known != nil {
					e = *known
				}
				i, there = len(out), true
				told[up] = i
				out = append(out, e)
			}
			if there {
				out[i].within = criteria(cmd.Select)
			}
		}
	}
	return out
}

// above is the name of the mailbox that one is in, "" at the top.
func above(name string) string {
	return name[:max(0, strings.LastIndex(name, mailbox.Separator))]
}

// meets says whether a name is chosen by selection options (RFC 5258 §3.1).
func (e *entry) meets(options []string) bool {
	subscribed := false
	for _, o := range options {
		switch o {
		case "SUBSCRIBED":
			if subscribed = true; !e.subscribed {
				return false
			}
		case "SPECIAL-USE":
			if e.box == nil || uses[e.box.Role] == "" {
				return false
			}
		}
	}
	return e.box != nil || e.level || subscribed
}

// criteria are the selection options that CHILDINFO names (RFC 5258 §3.5).
func criteria(options []string) (out []string) {
	for _, o := range options {
		if o != "RECURSIVEMATCH" && o != "REMOTE" {
			out = append(out, o)
		}
	}
	return out
}

// tellEntry writes a LIST response.
func (c *session) tellEntry(e *entry, cmd *imap.ListCommand) {
	attrs := e.attributes()
	if e.subscribed && (slices.Contains(cmd.Return, "SUBSCRIBED") || slices.Contains(cmd.Select, "SUBSCRIBED")) {
		attrs = append(attrs, `\Subscribed`)
	}
	if len(e.within) == 0 {
		c.tellListed("LIST", e.name, attrs)
		return
	}
	c.listHead("LIST", e.name, attrs)
	c.enc.Raw(` ("CHILDINFO" `).List(len(e.within), func(i int) { c.enc.String(e.within[i]) }).Raw(")").CRLF()
}

// attributes are the attributes of a name.
func (e *entry) attributes() []string {
	switch {
	case e.level:
		return []string{`\Noselect`, `\HasChildren`}
	case e.box == nil:
		return []string{`\NonExistent`}
	}
	attrs := []string{`\HasNoChildren`}
	if e.parent {
		attrs[0] = `\HasChildren`
	}
	if use := uses[e.box.Role]; use != "" {
		attrs = append(attrs, use)
	}
	return attrs
}

// tellListed writes a LIST or LSUB response.
func (c *session) tellListed(name, box string, attrs []string) {
	c.listHead(name, box, attrs)
	c.enc.CRLF()
}

func (c *session) listHead(name, box string, attrs []string) {
	c.enc.Untagged().Raw(name).SP().Words(attrs).Raw(` "` + mailbox.Separator + `" `).Mailbox(box)
}

// tellMore writes what a LIST was asked to return beside its own responses.
func (c *session) tellMore(e *entry, cmd *imap.ListCommand) error {
	if e.box == nil {
		return nil
	}
	for _, o := range cmd.Return {
		switch o {
		case "METADATA":
			if err := c.tellMetadata(e, cmd.Entries); err != nil {
				return err
			}
		case "MYRIGHTS":
			if err := c.tellMyRights(e.name, e.box); err != nil {
				return err
			}
		case "STATUS":
			if err := c.tellListStatus(e, cmd.Status); err != nil {
				return err
			}
		}
	}
	return nil
}

// lsub lists subscriptions. One below a level that the pattern ends at with "%"
// shows as that level, \Noselect.
func (c *session) lsub(all []entry, match pattern) {
	told := map[string]bool{}
	var names []string
	for _, e := range all {
		if e.subscribed {
			names = append(names, e.name)
		}
	}
	for _, name := range names {
		if match.matches(name) {
			c.tellListed("LSUB", name, nil)
			told[name] = true
		}
	}
	if !match.endsInPercent() {
		return
	}
	for _, name := range names {
		for up := above(name); up != ""; up = above(up) {
			if !told[up] && match.matches(up) {
				c.tellListed("LSUB", up, []string{`\Noselect`})
				told[up] = true
			}
		}
	}
}

// patterns are those of a LIST; a name that fits one is told once.
type patterns []pattern

func newPatterns(reference string, all []string) patterns {
	out := make(patterns, len(all))
	for i, p := range all {
		out[i] = newPattern(reference, p)
	}
	return out
}

func (p patterns) matches(name string) bool {
	return slices.ContainsFunc(p, func(p pattern) bool { return p.matches(name) })
}

// pattern is a reference and a mailbox pattern drawn together.
type pattern string

// newPattern joins them as most servers do: the reference is a prefix.
func newPattern(reference, p string) pattern {
	full := reference + p
	if len(full) > maxPattern {
		return ""
	}
	return pattern(full)
}

func (p pattern) endsInPercent() bool { return strings.HasSuffix(string(p), "%") }

// matches says whether a name fits: "*" is anything, "%" anything but the
// separator. INBOX has no case.
func (p pattern) matches(name string) bool {
	if name == inbox {
		return wildcard(strings.ToUpper(string(p)), name)
	}
	if len(p) >= 6 && strings.EqualFold(string(p[:6]), inbox+"/") {
		p = inbox + "/" + p[6:]
	}
	return wildcard(string(p), name)
}

// wildcard follows all ways through the pattern at once, so that no pattern
// takes longer than its length times the name's.
func wildcard(p, name string) bool {
	at := make([]bool, len(p)+1) // at[i]: p[:i] fits what came of the name
	next := make([]bool, len(p)+1)
	at[0] = true
	skip := func(at []bool) {
		for i := range len(p) {
			if at[i] && (p[i] == '*' || p[i] == '%') {
				at[i+1] = true
			}
		}
	}
	skip(at)
	for k := range len(name) {
		clear(next)
		for i := range len(p) {
			if !at[i] {
				continue
			}
			switch {
			case p[i] == '*', p[i] == '%' && name[k] != mailbox.Separator[0]:
				next[i] = true
			case p[i] == name[k]:
				next[i+1] = true
			}
		}
		skip(next)
		at, next = next, at
	}
	return at[len(p)]
}

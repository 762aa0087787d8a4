package imapd

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// maxPattern limits a pattern of LIST; a longer one matches nothing.
const maxPattern = 2_000

// listed is one line of LIST or LSUB.
type listed struct {
	name  string
	attrs []string
}

// list is LIST and LSUB (RFC 3501 §6.3.8, §6.3.9) with CHILDREN (RFC 3348) and
// SPECIAL-USE (RFC 6154).
func (c *session) list(cmd *imap.ListCommand) (reply, error) {
	if cmd.Pattern == "" && !cmd.Subscribed {
		c.tellListed(cmd.Name(), listed{"", []string{`\Noselect`}})
		return ok(cmd.Name() + " done"), nil
	}
	var boxes []mailbox.Box
	var names []string
	err := c.read(func(tx *mailbox.Tx) (err error) {
		if boxes, err = tx.Boxes(); err != nil || !cmd.Subscribed && !slices.Contains(cmd.Select, "SUBSCRIBED") {
			return err
		}
		names, err = tx.Subscriptions()
		return err
	})
	if err != nil {
		return reply{}, err
	}
	match := newPattern(cmd.Reference, cmd.Pattern)
	var lines []listed
	switch {
	case cmd.Subscribed:
		lines = lsub(names, match)
	case slices.Contains(cmd.Select, "SUBSCRIBED"):
		lines = listSubscribed(names, boxes, cmd, match)
	default:
		lines = listAll(boxes, cmd, match)
	}
	for _, l := range lines {
		c.tellListed(cmd.Name(), l)
	}
	return ok(cmd.Name() + " done"), nil
}

func (c *session) tellListed(name string, l listed) {
	c.enc.Untagged().Raw(name).SP().Words(l.attrs).Raw(` "` + mailbox.Separator + `" `).Mailbox(l.name).CRLF()
}

func listAll(boxes []mailbox.Box, cmd *imap.ListCommand, match pattern) []listed {
	parents := map[mailbox.BoxID]bool{}
	for _, b := range boxes {
		parents[b.Parent] = true
	}
	var out []listed
	for _, b := range boxes {
		if !match.matches(b.Name) || slices.Contains(cmd.Select, "SPECIAL-USE") && uses[b.Role] == "" {
			continue
		}
		l := listed{b.Name, attributes(b, parents[b.ID])}
		if b.Subscribed && slices.Contains(cmd.Return, "SUBSCRIBED") {
			l.attrs = append(l.attrs, `\Subscribed`)
		}
		out = append(out, l)
	}
	return out
}

func attributes(b mailbox.Box, parent bool) []string {
	attrs := []string{`\HasNoChildren`}
	if parent {
		attrs[0] = `\HasChildren`
	}
	if use := uses[b.Role]; use != "" {
		attrs = append(attrs, use)
	}
	return attrs
}

// listSubscribed is LIST (SUBSCRIBED): a name without its mailbox is
// \NonExistent (RFC 5258 §3.1).
func listSubscribed(names []string, boxes []mailbox.Box, cmd *imap.ListCommand, match pattern) []listed {
	parents, byName := map[mailbox.BoxID]bool{}, map[string]mailbox.Box{}
	for _, b := range boxes {
		parents[b.Parent] = true
		byName[b.Name] = b
	}
	var out []listed
	for _, name := range names {
		b, there := byName[name]
		if !match.matches(name) || slices.Contains(cmd.Select, "SPECIAL-USE") && uses[b.Role] == "" {
			continue
		}
		l := listed{name, []string{`\NonExistent`}}
		if there {
			l.attrs = attributes(b, parents[b.ID])
		}
		l.attrs = append(l.attrs, `\Subscribed`)
		out = append(out, l)
	}
	return out
}

// lsub lists subscriptions. One below a level that the pattern ends at with "%"
// shows as that level, \Noselect.
func lsub(names []string, match pattern) []listed {
	var out []listed
	told := map[string]bool{}
	for _, name := range names {
		if match.matches(name) {
			out = append(out, listed{name: name})
			told[name] = true
		}
	}
	if !match.endsInPercent() {
		return out
	}
	for _, name := range names {
		for i := strings.LastIndex(name, mailbox.Separator); i > 0; i = strings.LastIndex(name[:i], mailbox.Separator) {
			if up := name[:i]; !told[up] && match.matches(up) {
				out = append(out, listed{up, []string{`\Noselect`}})
				told[up] = true
			}
		}
	}
	return out
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

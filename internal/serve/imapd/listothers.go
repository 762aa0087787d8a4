package imapd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// addOthers adds to one's own entries those mailboxes of others that may be
// seen, with the levels above them. Names that are subscribed to are theirs now.
func (c *session) addOthers(all []entry) ([]entry, error) {
	owners, err := c.o.Mailbox.Sharers(c.work, c.account())
	if err != nil {
		return nil, err
	}
	var theirs []entry
	for _, a := range owners {
		some, err := c.entriesOf(a)
		if err != nil {
			return nil, err
		}
		theirs = append(theirs, some...)
	}
	at := map[string]*entry{}
	for i := range theirs {
		at[theirs[i].name] = &theirs[i]
	}
	all = slices.DeleteFunc(all, func(e entry) bool {
		known := e.box == nil && at[e.name] != nil
		if known {
			at[e.name].subscribed = true
		}
		return known
	})
	return append(all, withLevels(theirs)...), nil
}

// entriesOf is what another account shares.
func (c *session) entriesOf(a mail.AccountID) ([]entry, error) {
	addr, err := c.o.People.Address(c.work, a)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var some []entry
	err = c.readIn(a, func(tx *mailbox.Tx) error {
		boxes, err := tx.Boxes()
		some = ownEntries(a, boxes, nil)
		return err
	})
	prefix := prefixOf(addr)
	for i := range some {
		some[i].name = prefix + some[i].name
	}
	return some, err
}

// withLevels puts before the names those above them that are no mailboxes to
// whoever asks, so that a client that walks from level to level finds them.
func withLevels(all []entry) []entry {
	known := map[string]bool{}
	for i := range all {
		known[all[i].name] = true
	}
	for _, e := range slices.Clone(all) {
		for up := above(e.name); up != "" && !known[up]; up = above(up) {
			known[up] = true
			all = append(all, entry{name: up, level: true})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int {
		return slices.CompareFunc(strings.Split(a.name, mailbox.Separator), strings.Split(b.name, mailbox.Separator), cmp.Compare[string])
	})
	return all
}

// reaches says whether a pattern could match a name that begins so.
func (p patterns) reaches(prefix string) bool {
	return slices.ContainsFunc(p, func(p pattern) bool {
		fixed, _, _ := strings.Cut(strings.ReplaceAll(string(p), "%", "*"), "*")
		return strings.HasPrefix(prefix, fixed) || strings.HasPrefix(fixed, prefix)
	})
}

// tellListStatus writes the STATUS of a listed mailbox, if it may be read (RFC
// 5819 §2).
func (c *session) tellListStatus(e *entry, items []string) error {
	if e.account != c.account() {
		box, err := c.open(e.name, mailbox.RightRead)
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
			return nil
		} else if err != nil {
			return err
		}
		return c.tellStatus(e.name, &box, items)
	}
	return c.tellStatus(e.name, e.box, items)
}

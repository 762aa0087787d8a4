package imapd

import (
	"maps"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// everyNote are the entries that all annotations lie below.
var everyNote = []string{"/private", "/shared"}

// notes are the values of annotations by their entry.
type notes map[string]string

// asks says whether an event is asked for of any mailbox.
func (n *notice) asks(event string) bool {
	for i := range n.others {
		if slices.Contains(n.others[i].Events, event) {
			return true
		}
	}
	return false
}

// surveyNotes notes the annotations that the client wants to hear of: of
// mailboxes, and of the server under the place without a name.
func (c *session) surveyNotes(n *notice) error {
	if n.asks(metadataChange) {
		for p, e := range n.known {
			if e.box == nil || !n.wants(c, &e, metadataChange) {
				continue
			}
			if err := c.surveyNote(n, p); err != nil {
				return err
			}
		}
	}
	if n.asks(serverMetadataChange) {
		return c.surveyNote(n, place{account: c.account()})
	}
	return nil
}

func (c *session) surveyNote(n *notice, p place) error {
	return c.readIn(p.account, func(tx *mailbox.Tx) error {
		all, err := tx.Annotations(p.box, everyNote, mailbox.AllBelow)
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Denied) {
			return nil // gone meanwhile
		}
		values := notes{}
		for _, a := range all {
			values[a.Entry] = string(a.Value)
		}
		n.notes[p] = values
		return err
	})
}

// tellNotes tells of annotations that have changed: which, not how (RFC 5464
// §4.4.2, RFC 5465 §5.6, §5.7).
func (c *session) tellNotes(before map[place]notes, mine []string) {
	n := c.notice
	all := n.sorted()
	if n.asks(serverMetadataChange) {
		all = append(all, entry{account: c.account(), box: &mailbox.Box{}})
	}
	for _, e := range all {
		old, was := before[e.place()]
		now, is := n.notes[e.place()]
		if !was || !is || slices.Contains(mine, e.name) {
			continue
		}
		changed := map[string]bool{}
		for entry, v := range now {
			if o, there := old[entry]; !there || o != v {
				changed[entry] = true
			}
		}
		for entry := range old {
			if _, there := now[entry]; !there {
				changed[entry] = true
			}
		}
		if len(changed) == 0 {
			continue
		}
		c.enc.Untagged().Raw("METADATA ").Mailbox(e.name)
		for _, entry := range slices.Sorted(maps.Keys(changed)) {
			c.enc.SP().AString(entry)
		}
		c.enc.CRLF()
	}
}

package imapd

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// store is STORE and UID STORE (RFC 3501 §6.4.6).
func (c *session) store(cmd *imap.StoreCommand) (reply, error) {
	if cmd.Labels != nil {
		return c.storeLabels(cmd)
	}
	v := c.sel
	if v.readOnly {
		return reply{}, denied("the mailbox is selected read-only")
	}
	spans, err := v.spans(cmd.Set, cmd.UID)
	if err != nil {
		return reply{}, err
	}
	spans, lowest := c.limit(v, spans)
	var others *news
	if cmd.Silent {
		if others, err = c.look(); err != nil {
			return reply{}, err
		}
	}
	if cmd.UnchangedSince != nil {
		c.turnOn(condstore)
	}
	uids, missing := v.pick(spans)
	changed, modified, err := c.change(cmd, uids)
	if err != nil {
		return reply{}, err
	}
	switch {
	case len(uids) == 0:
	case cmd.Silent:
		v.tellSilent(others, changed)
		if c.has(condstore) {
			err = c.tellModSeqs(cmd, spans, changed, modified)
		}
	default:
		var gone bool
		gone, err = c.tellStored(spans, cmd.UID, (*session).fetchStored)
		missing = missing || gone
	}
	if err != nil {
		return reply{}, err
	}
	r := c.limited(ok("STORE done"), lowest)
	if len(modified) > 0 {
		if lowest > 0 {
			c.tellLimit(lowest)
		}
		r = reply{"OK", "MODIFIED " + v.setOf(modified, cmd.UID), "STORE done, but for some that changed since"}
	}
	if missing && !cmd.UID {
		return reply{}, errGone()
	}
	return r, nil
}

// change does what STORE asks for. Those that changed since the client saw them
// are left alone (RFC 7162 §3.1.3); since 0 every message has.
func (c *session) change(cmd *imap.StoreCommand, uids []mailbox.UID) (changed []mailbox.Placement, modified []mailbox.UID, err error) {
	since := mailbox.ModSeq(0)
	if cmd.UnchangedSince != nil {
		if since = *cmd.UnchangedSince; since == 0 {
			return nil, uids, nil
		}
	}
	if len(uids) == 0 {
		return nil, nil, nil
	}
	return c.o.Mailbox.SetFlags(c.work, c.account(), c.sel.account, c.sel.box, uids, flagsOf(cmd), since)
}

// setOf writes UIDs as a set of UIDs or of sequence numbers.
func (v *view) setOf(uids []mailbox.UID, uid bool) string {
	if uid {
		return imap.SetOf(uids).String()
	}
	numbers := make([]uint32, len(uids))
	for i, u := range uids {
		numbers[i] = uint32(v.number(u))
	}
	return imap.SetOf(numbers).String()
}

// tellModSeqs writes the new mod-sequences after a silent STORE: of what it
// changed, and where it was conditional of all that met the condition (RFC 7162
// §3.1.3).
func (c *session) tellModSeqs(cmd *imap.StoreCommand, spans []span, changed []mailbox.Placement, modified []mailbox.UID) error {
	if cmd.UnchangedSince == nil {
		for i := range changed {
			c.fetchModSeq(&changed[i])
		}
		return nil
	}
	_, err := c.tellStored(spans, cmd.UID, func(c *session, p *mailbox.Placement, _ bool) {
		if _, failed := slices.BinarySearch(modified, p.UID); !failed {
			c.fetchModSeq(p)
		}
	})
	return err
}

// fetchStored tells the flags of a message that STORE named.
func (c *session) fetchStored(p *mailbox.Placement, uid bool) {
	c.fetchFlags(p, uid)
	c.sel.tell(p)
}

// tellSilent takes changes for known, but not where someone else had changed
// the flags before, or came between: the silence must not hide that (RFC 3501
// §6.4.6, its note).
func (v *view) tellSilent(others *news, changed []mailbox.Placement) {
	last := v.seen
	foreign := map[mailbox.UID]struct{}{}
	if others != nil {
		last = others.at
		for i := range others.changed {
			foreign[others.changed[i].UID] = struct{}{}
		}
	}
	for i := range changed {
		if changed[i].ModSeq > last+1 {
			return
		}
		last = changed[i].ModSeq
		if _, other := foreign[changed[i].UID]; !other {
			v.tell(&changed[i])
		}
	}
}

func flagsOf(cmd *imap.StoreCommand) mailbox.FlagChange {
	change := mailbox.FlagChange{Op: mailbox.FlagsSet, Flags: cmd.Flags.System, Keywords: cmd.Flags.Keywords}
	switch cmd.Op {
	case imap.FlagsAdd:
		change.Op = mailbox.FlagsAdd
	case imap.FlagsRemove:
		change.Op = mailbox.FlagsRemove
	}
	return change
}

// tellStored tells of all messages of a STORE, changed or not, as they are now.
func (c *session) tellStored(spans []span, uid bool, tell func(*session, *mailbox.Placement, bool)) (missing bool, err error) {
	for p := newPager(c.sel, spans, want{}); !p.done(); {
		rows, err := c.page(p)
		if err != nil {
			return false, err
		}
		missing = missing || p.missing
		for i := range rows {
			tell(c, &rows[i].Placement, uid)
		}
	}
	return missing, nil
}

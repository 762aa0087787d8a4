package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// store is STORE and UID STORE (RFC 3501 §6.4.6).
func (c *session) store(cmd *imap.StoreCommand) (reply, error) {
	v := c.sel
	if v.readOnly {
		return reply{}, denied("the mailbox is selected read-only")
	}
	spans, err := v.spans(cmd.Set, cmd.UID)
	if err != nil {
		return reply{}, err
	}
	var others *news
	if cmd.Silent {
		if others, err = c.look(); err != nil {
			return reply{}, err
		}
	}
	uids, missing := v.pick(spans)
	if len(uids) > 0 {
		changed, _, err := c.o.Mailbox.SetFlags(c.work, c.account(), v.account, v.box, uids, flagChange(cmd), 0)
		if err != nil {
			return reply{}, err
		}
		if cmd.Silent {
			v.tellSilent(others, changed)
		} else {
			gone, err := c.tellStored(spans, cmd.UID)
			if err != nil {
				return reply{}, err
			}
			missing = missing || gone
		}
	}
	if missing && !cmd.UID {
		return reply{}, errGone()
	}
	return ok("STORE done"), nil
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

func flagChange(cmd *imap.StoreCommand) mailbox.FlagChange {
	change := mailbox.FlagChange{Op: mailbox.FlagsSet, Flags: cmd.Flags.System, Keywords: cmd.Flags.Keywords}
	switch cmd.Op {
	case imap.FlagsAdd:
		change.Op = mailbox.FlagsAdd
	case imap.FlagsRemove:
		change.Op = mailbox.FlagsRemove
	}
	return change
}

// tellStored writes the flags of all messages of a STORE, changed or not, as
// they are now.
func (c *session) tellStored(spans []span, uid bool) (missing bool, err error) {
	for p := newPager(c.sel, spans, want{}); !p.done(); {
		rows, err := c.page(p)
		if err != nil {
			return false, err
		}
		missing = missing || p.missing
		for i := range rows {
			c.fetchFlags(&rows[i].Placement, uid)
			c.sel.tell(&rows[i].Placement)
		}
	}
	return missing, nil
}

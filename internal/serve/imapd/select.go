package imapd

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// selectBox is SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2). Whatever happens,
// the mailbox selected before is not any more. SELECT takes the messages that
// are new since the last one as \Recent, EXAMINE leaves them so.
func (c *session) selectBox(cmd *imap.SelectCommand) (reply, error) {
	switch {
	case cmd.Resync != nil && !c.has(qresync):
		return bad("QRESYNC has to be enabled first"), nil
	case cmd.Resync != nil && cmd.Resync.Numbers != nil && c.has(uidOnly):
		return uidRequired(), nil
	}
	if c.sel != nil {
		c.leave()
		// What comes behind belongs to the next mailbox (RFC 7162 §3.2.11).
		c.tellOK("CLOSED", "the mailbox before is closed")
	}
	if cmd.CondStore {
		c.turnOn(condstore)
	}
	var changed *resync
	at, err := c.locate(cmd.Mailbox)
	if err != nil {
		return reply{}, err
	}
	v := &view{account: at.account, readOnly: cmd.ReadOnly, words: map[string]string{}}
	var box mailbox.Box
	var words []string
	unseen := uint32(0)
	err = c.readIn(at.account, func(tx *mailbox.Tx) (err error) {
		if box, err = tx.BoxByName(at.name); err != nil {
			return err
		}
		if v.rights, err = tx.Rights(box.ID); err != nil {
			return err
		}
		v.box, v.inbox, v.seen = box.ID, box.Name == inbox, tx.Version()
		runs, err := tx.Runs(box.ID)
		if err != nil {
			return err
		}
		v.uids, v.highest = newSequence(runs), box.HighestModSeq
		if changed, err = v.resync(tx, &box, cmd.Resync); err != nil {
			return err
		}
		if words, err = tx.Keywords(); err != nil {
			return err
		}
		_, unseen, err = tx.FirstUnseen(box.ID)
		return err
	})
	if err == nil {
		err = c.see(v, &box)
	}
	if err != nil {
		return reply{}, err
	}
	box.Name = at.prefix + box.Name
	for _, w := range words {
		v.addWord(w)
	}
	c.tellSelected(cmd, &box, unseen)
	if err := c.tellResync(changed); err != nil {
		return reply{}, err
	}
	if v.readOnly || v.rights&writeRights == 0 {
		return reply{"OK", "READ-ONLY", cmd.Name() + " done"}, nil
	}
	return reply{"OK", "READ-WRITE", cmd.Name() + " done"}, nil
}

// tellSelected writes what a client has to know of a mailbox: for IMAP4rev2 its
// name as LIST has it and nothing by sequence number (RFC 3501 §6.3.1, RFC 9051
// §6.3.2).
func (c *session) tellSelected(cmd *imap.SelectCommand, box *mailbox.Box, unseen uint32) {
	v := c.sel
	c.tellFlags()
	v.tellPermanent(c)
	c.tellExists()
	if unseen > 0 && !c.has(rev2) && !c.has(uidOnly) {
		c.tellOK("UNSEEN "+decimal(unseen), "first unseen")
	}
	c.tellOK("UIDVALIDITY "+decimal(box.UIDValidity), "UIDs are valid")
	c.tellOK("UIDNEXT "+decimal(box.UIDNext), "next UID")
	c.tellOK("MAILBOXID ("+mailboxID(box.ID)+")", "stays the same")
	c.tellHighest()
	if c.has(rev2) {
		c.tellRenamed(box, cmd.Mailbox)
	}
}

// tellOK writes an untagged OK.
func (c *session) tellOK(code, text string) { c.enc.Status("", "OK", code, text) }

// tellRenamed writes a LIST response for a mailbox, with the name that the
// client used where that is not quite its own (RFC 9051 §6.3.9.7).
func (c *session) tellRenamed(box *mailbox.Box, old string) {
	var attrs []string
	if use := uses[box.Role]; use != "" {
		attrs = append(attrs, use)
	}
	c.listHead("LIST", box.Name, attrs)
	if old != box.Name {
		c.enc.Raw(` ("OLDNAME" (`).Mailbox(old).Raw("))")
	}
	c.enc.CRLF()
}

// see makes v the selected mailbox, and finds out what is \Recent in this
// session; by SELECT it is noted that it will not be in the next.
func (c *session) see(v *view, box *mailbox.Box) error {
	stored, err := c.o.Mailbox.Recent(c.work, c.account(), v.account, box.ID)
	if err != nil {
		return err
	}
	if !v.readOnly && box.UIDNext > stored {
		if err := c.o.Mailbox.SetRecent(c.work, c.account(), v.account, box.ID, box.UIDNext); err != nil {
			return err
		}
	}
	c.sel, v.notedTo = v, box.UIDNext
	c.s.recents.join(c.looked(), stored)
	c.takeRecent(box.UIDNext)
	c.watchSelected()
	return nil
}

// writeRights are those of which one makes a mailbox more than read-only: \Seen
// is each reader's own, and does not count (RFC 4314 §5.2).
const writeRights = mailbox.RightInsert | mailbox.RightExpunge | mailbox.RightWrite | mailbox.RightDeleteMail

// rightFor is the right that a flag is set by (RFC 4314 §4).
func rightFor(flag string) mailbox.Rights {
	switch flag {
	case `\Seen`:
		return mailbox.RightSeen
	case `\Deleted`:
		return mailbox.RightDeleteMail
	}
	return mailbox.RightWrite
}

func (v *view) tellPermanent(c *session) {
	c.tellOK("PERMANENTFLAGS ("+strings.Join(v.permanentFlags(), " ")+")", "flags that are kept")
}

func (v *view) permanentFlags() []string {
	if v.readOnly {
		return nil
	}
	var names []string
	for _, name := range v.flagNames() {
		if v.rights.Has(rightFor(name)) {
			names = append(names, name)
		}
	}
	if v.rights.Has(mailbox.RightWrite) {
		names = append(names, `\*`)
	}
	return names
}

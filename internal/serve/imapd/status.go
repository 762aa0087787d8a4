package imapd

import (
	"slices"
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// statusItems are the items of STATUS, each with the text of its value: those of
// RFC 3501 §6.3.10 and RFC 9051 §6.3.11, APPENDLIMIT (RFC 7889), HIGHESTMODSEQ
// (RFC 7162 §3.1.7), MAILBOXID (RFC 8474 §4.3) and SIZE (RFC 8438). All numbers but RECENT are kept, not
// counted.
var statusItems = map[string]func(*session, *mailbox.Box) (string, error){
	"APPENDLIMIT":     func(c *session, _ *mailbox.Box) (string, error) { return decimal(c.o.Limits.Message), nil },
	"DELETED":         func(_ *session, b *mailbox.Box) (string, error) { return decimal(b.Deleted), nil },
	"DELETED-STORAGE": (*session).deletedStorage,
	"HIGHESTMODSEQ":   func(_ *session, b *mailbox.Box) (string, error) { return decimal(b.HighestModSeq), nil },
	"MAILBOXID":       func(_ *session, b *mailbox.Box) (string, error) { return "(" + mailboxID(b.ID) + ")", nil },
	"MESSAGES":        func(_ *session, b *mailbox.Box) (string, error) { return decimal(b.Messages), nil },
	"RECENT":          (*session).countRecent,
	"SIZE":            func(_ *session, b *mailbox.Box) (string, error) { return decimal(b.Size), nil },
	"UIDNEXT":         func(_ *session, b *mailbox.Box) (string, error) { return decimal(b.UIDNext), nil },
	"UIDVALIDITY":     func(_ *session, b *mailbox.Box) (string, error) { return decimal(b.UIDValidity), nil },
	"UNSEEN":          func(_ *session, b *mailbox.Box) (string, error) { return decimal(b.Unseen), nil },
}

func decimal[N uint32 | int64 | uint64](n N) string { return strconv.FormatInt(int64(n), 10) }

// status is STATUS (RFC 3501 §6.3.10).
func (c *session) status(cmd *imap.StatusCommand) (reply, error) {
	box, err := c.open(cmd.Mailbox, mailbox.RightRead)
	if err == nil {
		c.wantsStatus(cmd.Items)
		err = c.tellStatus(cmd.Mailbox, &box, cmd.Items)
	}
	if err != nil {
		return reply{}, err
	}
	return ok("STATUS done"), nil
}

// wantsStatus turns CONDSTORE on where a client asks for a mod-sequence (RFC 7162
// §3.1).
func (c *session) wantsStatus(items []string) {
	if slices.Contains(items, "HIGHESTMODSEQ") {
		c.turnOn(condstore)
	}
}

// tellStatus writes a STATUS response, by the name that the client uses.
func (c *session) tellStatus(name string, box *mailbox.Box, items []string) error {
	values := make([]string, len(items))
	for i, item := range items {
		var err error
		if values[i], err = statusItems[item](c, box); err != nil {
			return err
		}
	}
	c.enc.Untagged().Raw("STATUS ").Mailbox(name).SP()
	c.enc.List(len(items), func(i int) { c.enc.Raw(items[i]).SP().Raw(values[i]) })
	c.enc.CRLF()
	return nil
}

// countRecent counts the messages that no session was told of.
func (c *session) countRecent(box *mailbox.Box) (string, error) {
	n := int64(0)
	first, err := c.o.Mailbox.Recent(c.work, c.account(), box.Account, box.ID)
	first = max(first, c.s.recents.take(looked{c.account(), box.Account, box.ID}, 0))
	if err != nil || first >= box.UIDNext {
		return "0", err
	}
	err = c.readIn(box.Account, func(tx *mailbox.Tx) error {
		n = 0
		for _, err := range tx.Placements(box.ID, first, box.UIDNext) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return decimal(n), err
}

package imapd

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// status is STATUS (RFC 3501 §6.3.10). All its numbers but RECENT are kept, not
// counted.
func (c *session) status(cmd *imap.StatusCommand) (reply, error) {
	var box mailbox.Box
	err := c.read(func(tx *mailbox.Tx) (err error) {
		box, err = tx.BoxByName(cmd.Mailbox)
		return err
	})
	recent := int64(0)
	if err == nil && slices.Contains(cmd.Items, "RECENT") {
		recent, err = c.countRecent(box)
	}
	if err != nil {
		return reply{}, err
	}
	c.enc.Untagged().Raw("STATUS ").Mailbox(cmd.Mailbox).SP()
	c.enc.List(len(cmd.Items), func(i int) {
		c.enc.Raw(cmd.Items[i]).SP().Number(statusItem(cmd.Items[i], box, recent))
	})
	c.enc.CRLF()
	return ok("STATUS done"), nil
}

func statusItem(item string, box mailbox.Box, recent int64) int64 {
	switch item {
	case "MESSAGES":
		return int64(box.Messages)
	case "UIDNEXT":
		return int64(box.UIDNext)
	case "UIDVALIDITY":
		return int64(box.UIDValidity)
	case "UNSEEN":
		return int64(box.Unseen)
	}
	return recent
}

// countRecent counts the messages that no session was told of.
func (c *session) countRecent(box mailbox.Box) (n int64, err error) {
	first, err := c.o.Mailbox.Recent(c.work, c.account(), box.ID)
	if err != nil || first >= box.UIDNext {
		return 0, err
	}
	err = c.read(func(tx *mailbox.Tx) error {
		n = 0
		for _, err := range tx.Placements(box.ID, first, box.UIDNext) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// status is STATUS (RFC 3501 §6.3.10). All its numbers are kept, none counted.
func (c *session) status(cmd *imap.StatusCommand) (reply, error) {
	var box mailbox.Box
	err := c.read(func(tx *mailbox.Tx) (err error) {
		box, err = tx.BoxByName(cmd.Mailbox)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	c.enc.Untagged().Raw("STATUS ").Mailbox(cmd.Mailbox).SP()
	c.enc.List(len(cmd.Items), func(i int) {
		c.enc.Raw(cmd.Items[i]).SP().Number(statusItem(cmd.Items[i], box))
	})
	c.enc.CRLF()
	return ok("STATUS done"), nil
}

func statusItem(item string, box mailbox.Box) int64 {
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
	return 0 // RECENT
}

package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// rename is RENAME (RFC 3501 §6.3.5). A selected mailbox stays selected under
// its new name. But when INBOX gives its messages away, what a session has
// selected is not INBOX any more.
func (c *session) rename(cmd *imap.RenameCommand) (reply, error) {
	mine := c.sel != nil && c.sel.inbox && cmd.From == inbox
	err := c.update(func(tx *mailbox.Tx) error { return tx.RenameBox(cmd.From, cmd.To) })
	if err != nil {
		return reply{}, err
	}
	if mine {
		c.sel = nil
	}
	return ok("RENAME done"), nil
}

package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// rename is RENAME (RFC 3501 §6.3.5).
func (c *session) rename(cmd *imap.RenameCommand) (reply, error) {
	err := c.update(func(tx *mailbox.Tx) error { return tx.RenameBox(cmd.From, cmd.To) })
	if err != nil {
		return reply{}, err
	}
	return ok("RENAME done"), nil
}

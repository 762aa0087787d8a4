package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// rename is RENAME (RFC 3501 §6.3.5). A selected mailbox stays selected under
// its new name. But when INBOX gives its messages away, what a session has
// selected is not INBOX any more.
func (c *session) rename(cmd *imap.RenameCommand) (reply, error) {
	mine := c.sel != nil && c.sel.inbox && cmd.From == inbox && c.sel.account == c.account()
	from, err := c.locate(cmd.From)
	if err != nil {
		return reply{}, err
	}
	to, err := c.locate(cmd.To)
	if err == nil && from.account != to.account {
		err = fault.New(fault.Unsupported, "imapd.rename", "a mailbox stays in its account; its messages can be moved")
	}
	if err == nil {
		err = c.updateIn(from.account, func(tx *mailbox.Tx) error { return tx.RenameBox(from.name, to.name) })
	}
	if err != nil {
		return reply{}, err
	}
	if mine {
		c.deselect()
	}
	return ok("RENAME done"), nil
}

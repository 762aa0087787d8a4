package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// subscribe is SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7).
func (c *session) subscribe(cmd *imap.BoxCommand) (reply, error) {
	err := c.update(func(tx *mailbox.Tx) error { return tx.Subscribe(cmd.Mailbox, cmd.Verb == "SUBSCRIBE") })
	if err != nil {
		return reply{}, err
	}
	return ok(cmd.Verb + " done"), nil
}

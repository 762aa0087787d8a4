package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// subscribe is SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7).
func (c *session) subscribe(cmd *imap.BoxCommand) (reply, error) {
	at, err := c.locate(cmd.Mailbox)
	on := cmd.Verb == "SUBSCRIBE"
	if fault.Is(err, fault.NotFound) && !on {
		at, err = location{account: c.account(), name: cmd.Mailbox}, nil // it may be on the list
	}
	if err == nil {
		if at.prefix != "" && on {
			err = c.subscribeTo(cmd.Mailbox, at)
		} else {
			err = c.update(func(tx *mailbox.Tx) error { return tx.Subscribe(cmd.Mailbox, on) })
		}
	}
	if err != nil {
		return reply{}, err
	}
	return ok(cmd.Verb + " done"), nil
}

// subscribeTo puts another account's mailbox on one's own list, if it is to be
// seen (RFC 4314 §4).
func (c *session) subscribeTo(name string, at location) error {
	box, err := c.open(name, mailbox.RightLookup)
	if err != nil {
		return err
	}
	return c.update(func(tx *mailbox.Tx) error { return tx.SubscribeTo(at.prefix + box.Name) })
}

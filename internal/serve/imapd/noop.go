package imapd

import "github.com/ekiden-mail/ekiden/internal/wire/imap"

// noop is NOOP and CHECK (RFC 3501 §6.1.2, §6.4.1): the news come with every
// reply, and nothing is ever left to be written.
func (c *session) noop(req imap.Request) (reply, error) {
	return ok(req.Command.Name() + " done"), nil
}

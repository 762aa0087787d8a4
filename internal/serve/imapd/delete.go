package imapd

import "github.com/ekiden-mail/ekiden/internal/wire/imap"

// delete is DELETE (RFC 3501 §6.3.4). Whoever has it selected is cut off.
func (c *session) delete(cmd *imap.BoxCommand) (reply, error) {
	if err := c.o.Mailbox.DeleteBox(c.work, c.account(), c.account(), cmd.Mailbox); err != nil {
		return reply{}, err
	}
	return ok("DELETE done"), nil
}

package imapd

import "github.com/ekiden-mail/ekiden/internal/state/mailbox"

// close is CLOSE (RFC 3501 §6.4.2): what is marked \Deleted goes without a word.
func (c *session) close() (reply, error) {
	v := c.sel
	c.leave()
	if !v.readOnly && v.rights.Has(mailbox.RightExpunge) {
		if _, err := c.o.Mailbox.Expunge(c.work, c.account(), v.account, v.box, nil, false); err != nil {
			return reply{}, err
		}
	}
	return ok("CLOSE done"), nil
}

// unselect is UNSELECT (RFC 3691).
func (c *session) unselect() (reply, error) {
	c.leave()
	return ok("UNSELECT done"), nil
}

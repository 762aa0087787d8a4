package imapd

import "github.com/ekiden-mail/ekiden/internal/state/mailbox"

// namespace is NAMESPACE (RFC 2342): one's own mailboxes, and those of others.
// What a whole domain shares is one of its accounts' like any.
func (c *session) namespace() (reply, error) {
	c.enc.Untagged().Raw(`NAMESPACE (("" "` + mailbox.Separator + `")) `)
	if c.shares() {
		c.enc.Raw(`(("` + others + mailbox.Separator + `" "` + mailbox.Separator + `")) NIL`).CRLF()
	} else {
		c.enc.Raw("NIL NIL").CRLF()
	}
	return ok("NAMESPACE done"), nil
}

package imapd

import "github.com/ekiden-mail/ekiden/internal/wire/imap"

// id is ID (RFC 2971). What the client says of itself is not used for anything
// (§3), and a stranger learns no version.
func (c *session) id(*imap.IDCommand) (reply, error) {
	c.enc.Untagged().Raw("ID ").ID([][2]string{{"name", "Ekiden"}}).CRLF()
	return ok("ID done"), nil
}

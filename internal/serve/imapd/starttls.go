package imapd

import "github.com/ekiden-mail/ekiden/internal/wire/imap"

// upgrade is STARTTLS (RFC 3501 §6.2.1). What came in clear behind it is not
// part of the protected session: a client that does that is broken or under
// attack (CVE-2011-0411), and is let go.
func (c *session) upgrade(req imap.Request) (reply, error) {
	switch {
	case c.o.TLS == nil:
		return bad("there is no TLS here"), nil
	case c.deflated:
		return bad("TLS cannot begin under compression"), nil
	case c.tls:
		return bad("TLS is on already"), nil
	case c.lines.Buffered() > 0:
		return bad("nothing may come behind STARTTLS"), &ending{"plaintext behind STARTTLS", "nothing may come behind STARTTLS"}
	}
	c.enc.Status(req.Tag, "OK", "", "begin TLS now")
	if err := c.enc.Flush(); err != nil {
		return reply{}, err
	}
	if err := c.startTLS(); err != nil {
		return reply{}, &ending{reason: "TLS: " + err.Error()}
	}
	return reply{}, nil
}

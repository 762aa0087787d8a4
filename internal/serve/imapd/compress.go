package imapd

import "github.com/ekiden-mail/ekiden/internal/wire/imap"

// compress is COMPRESS DEFLATE (RFC 4978): behind its reply all is compressed,
// both ways, under TLS too.
func (c *session) compress(req imap.Request) (reply, error) {
	switch {
	case req.Command.(*imap.CompressCommand).Mechanism != "DEFLATE":
		return no("that compression is not spoken here"), nil
	case c.deflated:
		return reply{"NO", "COMPRESSIONACTIVE", "DEFLATE is on already"}, nil
	case c.lines.Buffered() > 0:
		return bad("nothing may come behind COMPRESS"), &ending{"input behind COMPRESS", "nothing may come behind COMPRESS"}
	}
	c.enc.Status(req.Tag, "OK", "", "DEFLATE is on")
	if err := c.enc.Flush(); err != nil {
		return reply{}, err
	}
	c.deflated = true
	c.wire.replace(c.s.deflating.Over(c.wire.Conn, c.wire.waits))
	return reply{}, nil
}

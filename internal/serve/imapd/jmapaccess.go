package imapd

// jmapAccess is GETJMAPACCESS (RFC 9698): where the same messages are to be had
// by JMAP.
func (c *session) jmapAccess() (reply, error) {
	if c.o.JMAP == "" {
		return bad("there is no JMAP here"), nil
	}
	c.enc.Untagged().Raw("JMAPACCESS ").String(c.o.JMAP).CRLF()
	return ok("GETJMAPACCESS done"), nil
}

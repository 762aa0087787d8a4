package imapd

// namespace is NAMESPACE (RFC 2342): one's own mailboxes and no others.
func (c *session) namespace() (reply, error) {
	c.enc.Untagged().Raw(`NAMESPACE (("" "/")) NIL NIL`).CRLF()
	return ok("NAMESPACE done"), nil
}

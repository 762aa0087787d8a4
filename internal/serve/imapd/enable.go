package imapd

// enable is ENABLE (RFC 5161). None of our extensions needs it yet, so nothing
// is ever enabled.
func (c *session) enable() (reply, error) {
	c.enc.Untagged().Raw("ENABLED\r\n")
	return ok("ENABLE done"), nil
}

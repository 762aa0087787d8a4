package imapd

// logout is LOGOUT (RFC 3501 §6.1.3).
func (c *session) logout() (reply, error) {
	c.enc.Status("", "BYE", "", "see you")
	return ok("logged out"), &ending{reason: "quit"}
}

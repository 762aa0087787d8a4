package imapd

import "strings"

// Extensions that hold in every state, and those after login.
const (
	everywhere = "IMAP4rev1 LITERAL+ ID ENABLE"
	afterLogin = " IDLE NAMESPACE CHILDREN UIDPLUS MOVE UNSELECT SPECIAL-USE CREATE-SPECIAL-USE"
)

// capabilities lists what the client may use now (RFC 3501 §6.1.1).
func (c *session) capabilities() string {
	if c.in {
		return everywhere + afterLogin
	}
	words := []string{everywhere, "SASL-IR"}
	if c.o.TLS != nil && !c.tls {
		words = append(words, "STARTTLS")
	}
	if !c.mayLogin() {
		return strings.Join(append(words, "LOGINDISABLED"), " ")
	}
	for _, m := range c.o.Login.Mechanisms(c.attempt()) {
		words = append(words, "AUTH="+m)
	}
	return strings.Join(words, " ")
}

// capability is CAPABILITY (RFC 3501 §6.1.1).
func (c *session) capability() (reply, error) {
	c.enc.Untagged().Raw("CAPABILITY ").Raw(c.capabilities()).CRLF()
	return ok("that is all"), nil
}

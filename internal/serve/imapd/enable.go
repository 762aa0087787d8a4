package imapd

import "github.com/ekiden-mail/ekiden/internal/wire/imap"

// extension is a set of extensions that change what the server says once the
// client has enabled them (RFC 5161).
type extension uint16

const (
	condstore extension = 1 << iota // RFC 7162 §3.1
	qresync                         // RFC 7162 §3.2
)

// enables are the extensions that ENABLE knows, by their capability.
var enables = map[string]extension{
	"CONDSTORE": condstore,
	"QRESYNC":   qresync | condstore,
}

// has says whether the client has enabled all of e.
func (c *session) has(e extension) bool { return c.enabled&e == e }

// enable is ENABLE (RFC 5161). What is unknown is passed over.
func (c *session) enable(cmd *imap.EnableCommand) (reply, error) {
	fresh := extension(0)
	c.enc.Untagged().Raw("ENABLED")
	for _, word := range cmd.Capabilities {
		if e, known := enables[word]; known && !c.has(e) {
			fresh |= e
			c.enc.SP().Raw(word)
		}
	}
	c.enc.CRLF()
	c.turnOn(fresh)
	return ok("ENABLE done"), nil
}

// turnOn enables extensions.
func (c *session) turnOn(e extension) {
	if e&condstore != 0 && !c.has(condstore) && c.sel != nil {
		c.tellHighest()
	}
	c.enabled |= e
}

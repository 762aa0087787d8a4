package imapd

import "github.com/ekiden-mail/ekiden/internal/wire/imap"

// extension is a set of extensions that change what the server says once the
// client has enabled them (RFC 5161).
type extension uint16

const (
	condstore extension = 1 << iota // RFC 7162 §3.1
	qresync                         // RFC 7162 §3.2
	rev2                            // RFC 9051
	utf8Names                       // RFC 6855 §3, RFC 9755 §3
	uidOnly                         // RFC 9586
)

// enables are the extensions that ENABLE knows, by their capability in upper
// case.
var enables = map[string]struct {
	word string // as it is told
	is   extension
}{
	"CONDSTORE":   {"CONDSTORE", condstore},
	"IMAP4REV2":   {"IMAP4rev2", rev2},
	"QRESYNC":     {"QRESYNC", qresync | condstore},
	"UIDONLY":     {"UIDONLY", uidOnly},
	"UTF8=ACCEPT": {"UTF8=ACCEPT", utf8Names},
}

// has says whether the client has enabled all of e.
func (c *session) has(e extension) bool { return c.enabled&e == e }

// enable is ENABLE (RFC 5161). What is unknown is passed over.
func (c *session) enable(cmd *imap.EnableCommand) (reply, error) {
	fresh := extension(0)
	c.enc.Untagged().Raw("ENABLED")
	for _, word := range cmd.Capabilities {
		if e, known := enables[word]; known && !c.has(e.is) {
			fresh |= e.is
			c.enc.SP().Raw(e.word)
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
	utf8 := c.has(rev2) || c.has(utf8Names)
	c.dec.UTF8, c.enc.UTF8 = utf8, utf8
}

// vanishes says whether what is gone is told by VANISHED, and not by EXPUNGE (RFC 7162 §3.2.10, RFC 9586 §3).
func (c *session) vanishes() bool { return c.has(qresync) || c.has(uidOnly) }

// uidRequired is the reply to what names messages by their numbers once UIDONLY
// is enabled (RFC 9586 §3).
func uidRequired() reply {
	return reply{"BAD", "UIDREQUIRED", "only UIDs name messages now"}
}

package imapd

import (
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/login"
)

// unauthenticate is UNAUTHENTICATE (RFC 8437): all is as it was before login,
// but for TLS and compression. The mailbox is left without an expunge.
func (c *session) unauthenticate() (reply, error) {
	c.endNotify()
	c.leave()
	c.who, c.in, c.enabled = login.Who{}, false, 0
	c.turnOn(0)
	c.speak(iDefault)
	c.dec.Closed, c.dec.MaxLiterals, c.dec.MaxCommand = true, preAuthLiterals, preAuthCommand
	c.wire.closed(time.Now().Add(c.o.Limits.PreAuth))
	return reply{"OK", "CAPABILITY " + c.capabilities(), "UNAUTHENTICATE done"}, nil
}

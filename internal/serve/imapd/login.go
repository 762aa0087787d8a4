package imapd

import (
	"encoding/base64"
	"errors"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// mayLogin says whether a password may come over this connection.
func (c *session) mayLogin() bool { return c.tls || c.o.PlaintextAuth }

func (c *session) attempt() login.Attempt {
	return login.Attempt{Door: "imap", Addr: c.peer, TLS: c.tls, Secured: c.secured}
}

// privacyNeeded is the reply to a login in clear (RFC 5530 §3).
func privacyNeeded() reply { return reply{"NO", "PRIVACYREQUIRED", "use TLS first"} }

// login is LOGIN (RFC 3501 §6.2.3).
func (c *session) login(cmd *imap.LoginCommand) (reply, error) {
	if !c.mayLogin() {
		return privacyNeeded(), nil
	}
	who, err := c.o.Login.Password(c.work, c.attempt(), cmd.User, cmd.Password)
	if err != nil {
		return c.loginFailed(err)
	}
	return c.loggedIn(who), nil
}

// loggedIn begins the authenticated state. The capabilities are told at once,
// to save a round trip.
func (c *session) loggedIn(who login.Who) reply {
	c.who, c.in, c.held = who, true, time.Now()
	c.dec.Closed, c.dec.MaxLiterals, c.dec.MaxCommand = false, 0, 0
	c.wire.opened()
	return reply{"OK", "CAPABILITY " + c.capabilities(), "welcome"}
}

func (c *session) loginFailed(err error) (reply, error) {
	r, err := c.failed(err)
	if err != nil {
		return reply{}, err
	}
	if c.failures++; c.failures >= c.o.Limits.Logins {
		return r, &ending{"failed logins", "too many failed logins"}
	}
	return r, nil
}

// authenticate is AUTHENTICATE (RFC 3501 §6.2.2) with SASL-IR (RFC 4959).
func (c *session) authenticate(cmd *imap.AuthenticateCommand) (reply, error) {
	if !c.mayLogin() {
		return privacyNeeded(), nil
	}
	exchange, err := c.o.Login.Start(c.work, c.attempt(), cmd.Mechanism)
	if err != nil {
		return reply{}, err
	}
	var response []byte
	if cmd.HasInitial {
		response = append([]byte{}, cmd.Initial...)
	}
	for {
		challenge, done, err := exchange.Next(response)
		if err != nil {
			return c.loginFailed(err)
		}
		if done {
			return c.loggedIn(exchange.Who()), nil
		}
		if response, err = c.challenge(challenge); err != nil {
			var b *imap.BadError
			if errors.As(err, &b) {
				return bad(b.Text), nil
			}
			return reply{}, err
		}
	}
}

// maxResponse limits a line of a SASL exchange, in octets of base64.
const maxResponse = 12 << 10

// challenge sends a challenge and reads the response to it. A *imap.BadError
// means that the client gave up, or wrote no base64.
func (c *session) challenge(challenge []byte) ([]byte, error) {
	c.enc.Raw("+ ").Raw(base64.StdEncoding.EncodeToString(challenge)).CRLF()
	if err := c.enc.Flush(); err != nil {
		return nil, err
	}
	c.wire.wait(true)
	ln, err := c.dec.Line(maxResponse)
	c.wire.wait(false)
	switch {
	case err != nil:
		return nil, err
	case string(ln) == "*":
		return nil, &imap.BadError{Text: "authentication cancelled"}
	}
	response := make([]byte, base64.StdEncoding.DecodedLen(len(ln)))
	n, err := base64.StdEncoding.Strict().Decode(response, ln)
	if err != nil {
		return nil, &imap.BadError{Text: "the response is not base64"}
	}
	return response[:n], nil
}

// holds is for how long a login is believed to hold.
const holds = time.Minute

// still ends the session of an account that was disabled or removed, or whose
// password has changed. A directory that cannot be read proves nothing.
func (c *session) still() error {
	if !c.in || time.Since(c.held) < holds {
		return nil
	}
	c.held = time.Now()
	ok, err := c.o.Login.Still(c.work, c.who)
	if err != nil {
		c.report(err)
		return nil
	}
	if !ok {
		return &ending{"login revoked", "please log in again"}
	}
	return nil
}

// denied is what a command gets that the mailbox's state forbids.
func denied(text string) error { return fault.New(fault.Denied, "imapd", text) }

package pop3d

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
)

// authorization are the commands of the AUTHORIZATION state.
var authorization = map[string]action{
	"USER": (*conn).userCommand, "PASS": (*conn).pass, "AUTH": (*conn).auth, "STLS": (*conn).stls, "UTF8": (*conn).utf8Command,
}

// capa lists what holds now (RFC 2449 §5).
func (c *conn) capa() {
	lines := []string{"+OK capabilities follow", "TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE " + c.expire()}
	if d := c.o.LoginDelay; d > 0 {
		lines = append(lines, "LOGIN-DELAY "+strconv.Itoa(int(d/time.Second)))
	}
	if c.mayLogIn() { // in both states (RFC 2449 §6.2, §6.3)
		lines = append(lines, "USER", "SASL "+strings.Join(c.o.Login.Mechanisms(c.attempt()), " "))
	}
	if c.drop == nil && c.mayStartTLS() {
		lines = append(lines, "STLS")
	}
	lines = append(lines, "UTF8 USER", "IMPLEMENTATION Ekiden", ".")
	c.reply("%s", strings.Join(lines, "\r\n"))
}

// expire is the argument of EXPIRE (RFC 2449 §6.7): before login the least that
// any account may have.
func (c *conn) expire() string {
	switch {
	case c.drop == nil && c.o.Use != nil:
		return "1 USER"
	case c.drop != nil && c.drop.use.Expire > 0:
		return strconv.Itoa(c.drop.use.Expire)
	}
	return "NEVER"
}

func (c *conn) mayLogIn() bool    { return c.tls || c.o.PlaintextAuth }
func (c *conn) mayStartTLS() bool { return !c.tls && c.o.TLS != nil }

func (c *conn) attempt() login.Attempt {
	return login.Attempt{Door: "pop3", Addr: c.peer, TLS: c.tls, Secured: c.secured}
}

// stls begins TLS (RFC 2595 §4). What came in behind the command in clear is
// never executed: such a session ends.
func (c *conn) stls(ctx context.Context, cmd command) {
	switch {
	case cmd.Argument != "":
		c.mistake("STLS has no argument")
	case !c.mayStartTLS():
		c.mistake("TLS is not to be had now")
	case c.utf8:
		c.mistake("STLS comes before UTF8") // RFC 6856 §2.1
	case c.in.Buffered() > 0:
		c.reply("-ERR nothing may follow STLS before the handshake")
		c.reason = "plaintext behind STLS"
	default:
		c.reply("+OK begin TLS")
		if c.flush() != nil {
			return
		}
		if err := c.startTLS(ctx); err != nil {
			c.reason = "TLS: " + err.Error()
			return
		}
		c.user = ""
		c.setStreams()
	}
}

// utf8Command switches to UTF-8 (RFC 6856 §2.1).
func (c *conn) utf8Command(_ context.Context, cmd command) {
	if cmd.Argument != "" {
		c.mistake("UTF8 has no argument")
		return
	}
	c.utf8 = true
	c.reply("+OK UTF-8 from now on")
}

// userCommand keeps the name for PASS. Whether it exists is not told.
func (c *conn) userCommand(_ context.Context, cmd command) {
	c.user = ""
	switch {
	case !c.mayLogIn():
		c.mistake("STLS first: no logins in clear text")
	case cmd.Argument == "" || !utf8.ValidString(cmd.Argument):
		c.mistake("USER wants a name")
	default:
		c.user = cmd.Argument
		c.reply("+OK now the password")
	}
}

// pass tries the password; all of the argument is it (RFC 1939 §7).
func (c *conn) pass(ctx context.Context, cmd command) {
	user := c.user
	c.user = ""
	switch {
	case user == "":
		c.mistake("USER first")
	case !utf8.ValidString(cmd.Argument):
		c.mistake("PASS wants a password in UTF-8") // RFC 6856 §2.2
	default:
		who, err := c.o.Login.Password(ctx, c.attempt(), user, cmd.Argument)
		c.finishLogin(ctx, who, err)
	}
}

// auth is SASL (RFC 5034). Without an argument it lists the mechanisms, one a
// line, for clients older than CAPA.
func (c *conn) auth(ctx context.Context, cmd command) {
	words := strings.Fields(cmd.Argument)
	switch {
	case !c.mayLogIn():
		c.mistake("STLS first: no logins in clear text")
		return
	case len(words) == 0:
		lines := append([]string{"+OK mechanisms follow"}, c.o.Login.Mechanisms(c.attempt())...)
		c.reply("%s", strings.Join(append(lines, "."), "\r\n"))
		return
	case len(words) > 2:
		c.mistake("AUTH wants a mechanism and at most an initial response")
		return
	}
	session, err := c.o.Login.Start(ctx, c.attempt(), strings.ToUpper(words[0]))
	if err != nil {
		c.finishLogin(ctx, login.Who{}, err)
		return
	}
	var response []byte // nil: no initial response
	if len(words) == 2 {
		var ok bool
		if response, ok = initial(words[1]); !ok {
			c.mistake("the initial response is not base64")
			return
		}
	}
	c.exchange(ctx, session, response)
}

// initial decodes an initial response; "=" is an empty one (RFC 5034 §4).
func initial(s string) ([]byte, bool) {
	if s == "=" {
		return []byte{}, true
	}
	b, err := base64.StdEncoding.DecodeString(s)
	return b, err == nil
}

// exchange carries challenges and responses until the mechanism is done.
func (c *conn) exchange(ctx context.Context, session *login.Session, response []byte) {
	for {
		challenge, done, err := session.Next(response)
		if err != nil {
			c.finishLogin(ctx, login.Who{}, err)
			return
		}
		if done {
			c.finishLogin(ctx, session.Who(), nil)
			return
		}
		c.reply("+ %s", base64.StdEncoding.EncodeToString(challenge))
		l, err := c.readLine(c.o.Limits.AuthLine)
		if c.reason != "" {
			return
		}
		if err != nil {
			c.mistake("AUTH is off: that line is too long, or has a NUL, CR or LF in it")
			return
		}
		if string(l) == "*" {
			c.mistake("AUTH is off")
			return
		}
		response = make([]byte, base64.StdEncoding.DecodedLen(len(l)))
		n, err := base64.StdEncoding.Decode(response, l)
		if err != nil {
			c.mistake("AUTH is off: that is not base64")
			return
		}
		response = response[:n]
	}
}

// holds is for how long a login is believed to hold.
const holds = time.Minute

// still ends the session of an account that was disabled or removed, or whose
// password has changed: nothing is removed. A directory that cannot be read
// proves nothing.
func (c *conn) still(ctx context.Context) bool {
	now := c.o.Now()
	if c.drop == nil || now.Sub(c.held) < holds {
		return true
	}
	c.held = now
	ok, err := c.o.Login.Still(ctx, c.who)
	if err != nil {
		c.o.Sink.Emit(ctx, event.Failed{Where: "pop3d", Peer: c.peer, Err: err})
		return true
	}
	if !ok {
		c.reason = "login revoked"
		c.reply("-ERR [AUTH] please log in again")
	}
	return ok
}

// finishLogin opens the maildrop for who came in, or says why not. A session
// that did not get the lock may try again, as RFC 2449 §8.1.1 foresees.
func (c *conn) finishLogin(ctx context.Context, who login.Who, err error) {
	if err == nil {
		err = c.openMaildrop(ctx, who)
	}
	if err == nil {
		c.who, c.held = who, c.o.Now()
		c.reply("+OK %d messages (%d octets)", c.drop.left(), c.drop.octets())
		return
	}
	c.fail(ctx, err)
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.Unsupported, fault.Invalid:
		if c.errors++; c.errors >= c.o.Limits.Errors {
			c.reason = "too many errors"
		}
	}
}

package smtpc

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Probe asks whether the server would take a message for a recipient, with the
// null reverse-path, as a report would come, and sends none. The reply is the
// one to RCPT. An error means that nothing was said about the recipient: a
// *Refusal where the server refused what came before, else the connection is of
// no more use.
func (c *Conn) Probe(ctx context.Context, to mail.Address) (smtp.Reply, error) {
	defer c.guard(ctx)()
	if c.unclosed {
		if err := c.reset(); err != nil {
			return smtp.Reply{}, err
		}
	}
	say := "MAIL FROM:<>"
	if !to.IsASCII() {
		if !c.Has("SMTPUTF8") {
			return smtp.Answer(553, smtp.Enhanced{5, 6, 7}, "The address needs SMTPUTF8, which the next server does not have"), nil
		}
		say += " SMTPUTF8" // RFC 6531 §3.4
	}
	c.unclosed = true
	r, err := c.command("%s", say)
	if err == nil && r.Code != 250 {
		return smtp.Reply{}, &Refusal{Command: "MAIL", Reply: r}
	}
	if err == nil {
		r, err = c.command("RCPT TO:<%s>", to)
	}
	return r, fault.As(fault.Unavailable, "smtpc.Probe", err)
}

package smtpd

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// do carries out one command that was understood.
func (s *session) do(c smtp.Command) {
	if ends[c.Verb] && c.Verb != smtp.Data { // what answers content may begin the next group
		defer s.flush() // RFC 2920 §3.2: these answers do not wait
	}
	if r := s.forbidden(c); !r.IsZero() {
		s.fail(r)
		return
	}
	if r := s.guard(c); !r.IsZero() {
		s.send(r)
		return
	}
	switch c.Verb {
	case smtp.Helo, smtp.Ehlo, smtp.Lhlo:
		s.greet(c)
	case smtp.Mail:
		s.mail(c)
	case smtp.Rcpt:
		s.rcpt(c)
	case smtp.Data:
		if s.opts.Binary { // RFC 3030 §3
			s.abort()
			s.fail(smtp.Answer(503, smtp.Enhanced{5, 5, 1}, "What was said to be BINARYMIME comes by BDAT; say MAIL again"))
			return
		}
		s.data()
	case smtp.Bdat:
		s.bdat(c)
	case smtp.Rset:
		s.abort()
		s.answer(250, smtp.Enhanced{2, 0, 0}, "Ok")
	case smtp.Noop:
		s.answer(250, smtp.Enhanced{2, 0, 0}, "Ok")
	case smtp.Quit:
		s.answer(221, smtp.Enhanced{2, 0, 0}, "%s Goodbye", s.srv.o.Hostname)
		s.end("quit")
	case smtp.Vrfy: // RFC 5321 §7.3: nothing is told that RCPT would not tell
		s.answer(252, smtp.Enhanced{2, 0, 0}, "Send mail there, and it will be seen")
	case smtp.Help:
		s.answer(214, smtp.Enhanced{2, 0, 0}, "This is %s of RFC 5321; see https://www.rfc-editor.org/", s.srv.o.Mode)
	case smtp.StartTLS:
		s.startTLS()
	case smtp.Auth:
		s.auth(c)
	}
}

// forbidden refuses what is never done here, and what may not come now.
func (s *session) forbidden(c smtp.Command) smtp.Reply {
	o := s.srv.o
	bad := func(code int, text string) smtp.Reply { return smtp.Answer(code, smtp.Enhanced{5, 5, 1}, "%s", text) }
	switch {
	case (c.Verb == smtp.Lhlo) != (o.Mode == LMTP) && c.Verb <= smtp.Lhlo: // RFC 2033 §4.1
		return bad(500, "Say "+s.hello().String())
	case c.Verb == smtp.Expn:
		return bad(502, "EXPN is not done here")
	case c.Verb == smtp.StartTLS && o.TLS == nil, c.Verb == smtp.StartTLS && o.ImplicitTLS:
		return bad(502, "STARTTLS is not done here")
	case c.Verb == smtp.StartTLS && s.peer.TLS:
		return bad(503, "This is TLS already")
	case c.Verb == smtp.Auth && o.Mode != Submission:
		return bad(502, "AUTH is not done here; users submit mail on port 465 or 587")
	case c.Verb == smtp.Auth && !s.mayAuth():
		return smtp.Answer(538, smtp.Enhanced{5, 7, 11}, "Say STARTTLS first") // RFC 4954 §6
	case c.Verb == smtp.Auth && s.peer.Account != 0:
		return bad(503, "You have logged in already")
	}
	if legal[c.Verb]&s.state == 0 {
		return bad(503, s.outOfPlace())
	}
	switch c.Verb {
	case smtp.Mail, smtp.Vrfy: // RFC 4954 §6, RFC 6409 §4.3
		if o.Mode == Submission && s.peer.Account == 0 && !s.listed() {
			if !s.mayAuth() {
				return smtp.Answer(530, smtp.Enhanced{5, 7, 0}, "Say STARTTLS first, then AUTH")
			}
			return smtp.Answer(530, smtp.Enhanced{5, 7, 0}, "Say AUTH first")
		}
	}
	return smtp.Reply{}
}

// listed says whether this peer may send without a login.
func (s *session) listed() bool {
	return s.srv.o.NoAuth != nil && s.srv.o.NoAuth(s.peer.Addr.Addr())
}

// hello is the greeting of this mode.
func (s *session) hello() smtp.Verb {
	if s.srv.o.Mode == LMTP {
		return smtp.Lhlo
	}
	return smtp.Ehlo
}

// mayAuth says whether a password may be said on this line.
func (s *session) mayAuth() bool { return s.peer.TLS || s.srv.o.PlaintextAuth }

// greet answers HELO, EHLO and LHLO. What a peer calls itself is kept and
// judged by others; here only octets go that have no place in a header field.
func (s *session) greet(c smtp.Command) {
	s.abort()
	s.state = greeted
	s.peer.ESMTP = c.Verb != smtp.Helo
	s.peer.Helo = cmp.Or(s.proxied.Helo, printable(strings.Fields(c.Arg)[0]))
	o := s.srv.o
	if !s.peer.ESMTP {
		s.answer(250, smtp.Enhanced{}, "%s", o.Hostname)
		return
	}
	text := append([]string{o.Hostname + " greets " + s.peer.Helo}, s.announce()...)
	s.send(smtp.Reply{Code: 250, Text: text})
}

// printable gives s, at most 255 octets, with "?" for what is not printable.
func printable(s string) string {
	b := []byte(s[:min(len(s), mail.MaxDomain)])
	for i, c := range b {
		if c <= ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

func (s *session) mail(c smtp.Command) {
	l := s.srv.limits
	s.peer.Ref = mail.NewArrivalID()
	unmet := s.unmet(c.Mail)
	switch {
	case c.NonASCII && !c.Mail.UTF8: // RFC 6531 §3.5
		s.fail(smtp.Answer(550, smtp.Enhanced{5, 6, 7}, "An address that is not ASCII needs SMTPUTF8"))
		return
	case c.Mail.Size > l.MessageSize: // RFC 1870 §6.1
		s.answer(552, smtp.Enhanced{5, 3, 4}, "The message is larger than the %d octets that are taken here", l.MessageSize)
		return
	case s.transactions >= l.Transactions:
		s.answer(421, smtp.Enhanced{4, 7, 0}, "%s That is enough for one session; please connect again", s.srv.o.Hostname)
		s.end("too many transactions")
		return
	case !unmet.IsZero():
		s.send(unmet)
		return
	}
	s.transactions++
	txn, r := s.srv.o.Handler.Begin(s.ctx, &s.peer, c.Path, c.Mail)
	if (txn != nil) != r.OK() {
		if txn != nil {
			txn.Abort()
		}
		if r.OK() || r.IsZero() {
			r = s.broken("Begin", r)
		}
		txn = nil
	}
	if txn != nil {
		s.txn, s.from, s.opts, s.taken, s.state = txn, c.Path, c.Mail, 0, opened
	}
	s.reply(r)
}

func (s *session) rcpt(c smtp.Command) {
	switch {
	case c.NonASCII && !s.opts.UTF8:
		s.fail(smtp.Answer(553, smtp.Enhanced{5, 6, 7}, "An address that is not ASCII needs SMTPUTF8"))
		return
	case s.taken >= s.srv.limits.Recipients: // RFC 5321 §4.5.3.1.10
		s.answer(452, smtp.Enhanced{4, 5, 3}, "Too many recipients; send the message to these first")
		return
	}
	r := s.txn.Rcpt(s.ctx, c.Path, c.Rcpt)
	if r.OK() {
		s.taken++
		s.state = addressed
	} else {
		r = s.tarpit(r)
	}
	s.reply(r)
}

// reply sends what a handler decided. After its 421 the connection is closed
// (RFC 5321 §3.8).
func (s *session) reply(r smtp.Reply) {
	if r.IsZero() {
		r = s.broken("handler", r)
	}
	s.send(r)
	if r.Code == 421 {
		s.end("refused: " + r.String())
	}
}

// broken tells of a handler that broke its contract; the mail is deferred.
func (s *session) broken(where string, r smtp.Reply) smtp.Reply {
	err := fmt.Errorf("smtpd: %s answered %q, which cannot be", where, r.String())
	s.srv.failed(s, err)
	return smtp.Fault(err)
}

var errInjected = errors.New("commands in clear behind STARTTLS")

// startTLS secures the line. What the peer sent behind the command in clear may
// be another's, put in on the way: it is never carried out, and the session ends
// (RFC 3207 §4.2, CVE-2011-0411).
func (s *session) startTLS() {
	if s.link.in.Buffered() > 0 {
		s.answer(554, smtp.Enhanced{5, 7, 0}, "Nothing may follow STARTTLS before its reply; goodbye")
		s.end(errInjected.Error())
		return
	}
	s.answer(220, smtp.Enhanced{2, 0, 0}, "Go ahead")
	if err := s.link.flush(); err != nil {
		s.lost(err)
		return
	}
	if s.secure() != nil {
		return
	}
	// What was said in clear is forgotten.
	s.state = connected
	s.peer.Helo, s.peer.ESMTP, s.peer.Account, s.peer.User = "", false, 0, mail.Address{}
}

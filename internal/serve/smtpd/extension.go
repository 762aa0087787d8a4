package smtpd

import (
	"fmt"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// extensions are those with parameters that this session knows: none after HELO.
func (s *session) extensions() smtp.Extensions {
	if !s.peer.ESMTP {
		return smtp.Extensions{}
	}
	o := s.srv.o
	return smtp.Extensions{
		Size: true, EightBit: true, Binary: true, UTF8: true, DSN: true, DeliverBy: true, Priority: true, NoSoliciting: true,
		Auth: o.Mode == Submission, FutureRelease: s.offersHold(),
		RequireTLS: s.peer.TLS, TLS: o.TLS != nil && !s.peer.TLS,
	}
}

// offersHold says whether messages may be held for their senders: at submission,
// and nowhere else (RFC 4865 §4.2).
func (s *session) offersHold() bool { return s.srv.o.Mode == Submission && s.srv.o.MaxHold > 0 }

// announce is what EHLO and LHLO are answered, behind the greeting.
func (s *session) announce() []string {
	o, l := s.srv.o, s.srv.limits
	text := []string{
		"PIPELINING",                          // RFC 2920
		fmt.Sprintf("SIZE %d", l.MessageSize), // RFC 1870
		"8BITMIME",                            // RFC 6152
		"ENHANCEDSTATUSCODES",                 // RFC 2034
		"SMTPUTF8",                            // RFC 6531
		"CHUNKING",                            // RFC 3030
		"BINARYMIME",
		"DSN", // RFC 3461
	}
	add := func(is bool, line string) {
		if is {
			text = append(text, line)
		}
	}
	if s.minBy() > 0 {
		add(true, fmt.Sprintf("DELIVERBY %d", s.minBy())) // RFC 2852
	} else {
		add(true, "DELIVERBY")
	}
	add(true, "MT-PRIORITY") // RFC 6710
	limits := smtp.Limits{Mails: l.Transactions, Rcpts: l.Recipients}.String()
	add(limits != "", "LIMITS "+limits) // RFC 9422
	if s.offersHold() {
		until := time.Now().Add(o.MaxHold).UTC().Format(time.RFC3339)
		add(true, fmt.Sprintf("FUTURERELEASE %d %s", o.MaxHold/time.Second, until)) // RFC 4865
	}
	add(true, strings.TrimSpace("NO-SOLICITING "+strings.Join(o.NoSoliciting, ","))) // RFC 3865
	add(s.peer.TLS, "REQUIRETLS")                                                    // RFC 8689
	add(o.TLS != nil && !s.peer.TLS, "STARTTLS")                                     // RFC 3207
	if o.Mode == Submission && s.mayAuth() && s.peer.Account == 0 {
		add(true, "AUTH "+strings.Join(o.Auth.Mechanisms(s.attempt()), " ")) // RFC 4954
	}
	add(s.mayXClient(), smtp.XClientKeyword)
	return text
}

func (s *session) minBy() int64 { return int64(s.srv.o.MinBy / time.Second) }

// unmet refuses what a client asks of the way of a message and cannot have.
func (s *session) unmet(o smtp.MailOptions) smtp.Reply {
	bad := func(format string, args ...any) smtp.Reply {
		return smtp.Answer(501, smtp.Enhanced{5, 5, 4}, format, args...)
	}
	most, now := s.srv.o.MaxHold, time.Now()
	d := o.Demands(now)
	switch {
	case o.By.Mode == 'R' && o.By.Seconds < s.minBy(): // RFC 2852 §3
		return smtp.Answer(555, smtp.Enhanced{5, 5, 4}, "Delivery within %d seconds cannot be promised here, but within %d", o.By.Seconds, s.minBy())
	case o.HoldFor > most: // RFC 4865 §4.2
		return bad("A message is held for at most %d seconds", most/time.Second)
	case o.HoldUntil.After(now.Add(most)):
		return bad("A message is held until %s at most", now.Add(most).UTC().Format(time.RFC3339))
	case !d.By.IsZero() && d.Release.After(d.By.At): // RFC 4865 §5.2.2
		return bad("A message cannot be held for longer than it may take to be delivered")
	}
	if no := smtp.Unsolicited(o.Solicit, s.srv.o.NoSoliciting); no != "" { // RFC 3865 §2.4
		return smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "Mail of this kind is not wanted here: SOLICIT=%s", no)
	}
	return smtp.Reply{}
}

// ends are the commands that end a group: their answers decide what may come
// next, so nothing may be sent before they are heard (RFC 2920 §3.1).
var ends = [smtp.NumVerbs]bool{
	smtp.Helo: true, smtp.Ehlo: true, smtp.Lhlo: true, smtp.Data: true, smtp.Noop: true, smtp.Quit: true,
	smtp.Vrfy: true, smtp.Expn: true, smtp.Help: true, smtp.StartTLS: true, smtp.Auth: true,
}

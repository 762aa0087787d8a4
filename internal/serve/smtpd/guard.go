package smtpd

import (
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// rates are how much strangers bring, by address and by network.
type rates struct {
	messages, rcpts [2]*limit.Buckets[netip.Prefix] // of an address, of its network
	unknown         *limit.Buckets[netip.Prefix]    // recipients of an address that are not here
}

// maxKnown is how many addresses, and networks, each rate is known of.
const maxKnown = 20_000

func newRates(l Limits) rates {
	make := func(r limit.Rate) *limit.Buckets[netip.Prefix] { return limit.NewBuckets[netip.Prefix](r, maxKnown) }
	return rates{
		messages: [2]*limit.Buckets[netip.Prefix]{make(l.Messages), make(l.NetworkMessages)},
		rcpts:    [2]*limit.Buckets[netip.Prefix]{make(l.Rcpts), make(l.NetworkRcpts)},
		unknown:  make(l.Unknown),
	}
}

// take takes one from an address and from its network. It says whose was used
// up: "address", "network", or "" if neither.
func take(now time.Time, b [2]*limit.Buckets[netip.Prefix], a netip.Addr) string {
	if _, ok := b[0].Take(now, limit.Key(a), 1); !ok {
		return "address"
	}
	if _, ok := b[1].Take(now, limit.Network(a), 1); !ok {
		return "network"
	}
	return ""
}

// makeRoom cuts off the peer that has kept us waiting longest, if that is longer
// than Limits.Yield, so that slow peers cannot hold all places.
func (s *Server) makeRoom() {
	oldest := time.Now().Add(-s.limits.Yield).UnixNano()
	var slowest *session
	s.sessions.Each(func(x *session) {
		if since := x.link.waits(); since != 0 && since < oldest {
			oldest, slowest = since, x
		}
	})
	if slowest != nil {
		slowest.link.yield()
	}
}

// watches says whether the peer is watched for speaking out of turn: a stranger
// that no operator allows.
func (s *session) watches() bool {
	return s.srv.limits.GreetDelay > 0 && !s.srv.gate.Exempt(s.peer.Addr.Addr())
}

// welcome greets.
func (s *session) welcome() {
	name := "ESMTP"
	if s.srv.o.Mode == LMTP {
		name = "LMTP"
	}
	s.answer(220, smtp.Enhanced{}, "%s %s Ekiden", s.srv.o.Hostname, name)
}

// hasty says whether the peer went on without the reply that it had to wait for:
// it cannot know that pipelining is offered before the reply to EHLO, has no
// pipelining after HELO, and sends content before it was asked for (RFC 2920
// §3.1). No mail server does; programs that only spit out text do.
func (s *session) hasty(c smtp.Command) bool {
	if !s.watches() || s.link.in.Buffered() == 0 {
		return false
	}
	switch c.Verb {
	case smtp.Quit, smtp.StartTLS: // what follows is nobody's, or is looked at there
		return false
	case smtp.Mail, smtp.Rcpt:
		return s.state != connected && !s.peer.ESMTP
	}
	return ends[c.Verb]
}

// guard looks at a command before it is carried out. A reply that is not zero
// refuses it, and 421 and 554 end the session.
func (s *session) guard(c smtp.Command) smtp.Reply {
	if s.hasty(c) {
		s.end("early talker")
		return smtp.Answer(554, smtp.Enhanced{5, 5, 1}, "You did not wait for the reply to %s; goodbye", c.Verb)
	}
	switch c.Verb {
	case smtp.Mail:
		s.link.patience.newContent()
		return s.tooMany("messages", s.srv.rates.messages)
	case smtp.Rcpt:
		if r := s.tooMany("recipients", s.srv.rates.rcpts); !r.IsZero() {
			return r
		}
		if s.knocks() && !s.srv.rates.unknown.Has(time.Now(), limit.Key(s.peer.Addr.Addr()), 1) {
			return smtp.Answer(450, smtp.Enhanced{4, 7, 0}, "Too many recipients from your address were not here; please come back later")
		}
	case smtp.Helo, smtp.Ehlo, smtp.Lhlo, smtp.Rset, smtp.Noop, smtp.Vrfy, smtp.Expn, smtp.Help:
		if s.junk++; s.junk > s.srv.limits.Junk {
			s.end("too many junk commands")
			return smtp.Answer(421, smtp.Enhanced{4, 7, 0}, "%s Too many commands that bring no message; goodbye", s.srv.o.Hostname)
		}
	}
	return smtp.Reply{}
}

// knocks says whether the peer is one whose rates are counted.
func (s *session) knocks() bool {
	return s.srv.o.Mode == Relay && !s.srv.gate.Exempt(s.peer.Addr.Addr())
}

func (s *session) tooMany(what string, b [2]*limit.Buckets[netip.Prefix]) smtp.Reply {
	if !s.knocks() {
		return smtp.Reply{}
	}
	if whose := take(time.Now(), b, s.peer.Addr.Addr()); whose != "" {
		return smtp.Answer(450, smtp.Enhanced{4, 7, 0}, "Too many %s from your %s; please come back later", what, whose)
	}
	return smtp.Reply{}
}

// maxTarpit is the longest that one answer is held back.
const maxTarpit = 10 * time.Second

// tarpit gives what a recipient is told that was not taken. Who asks for many of
// these is guessing: the answers become slower, and then there are none.
func (s *session) tarpit(r smtp.Reply) smtp.Reply {
	l := s.srv.limits
	if s.refused++; s.refused > l.Refused {
		return smtp.Answer(421, smtp.Enhanced{4, 7, 0}, "%s Too many recipients that cannot be taken; goodbye", s.srv.o.Hostname)
	}
	if s.knocks() && r.Permanent() {
		s.srv.rates.unknown.Take(time.Now(), limit.Key(s.peer.Addr.Addr()), 1)
	}
	if over := s.refused - l.Tarpit; over > 0 {
		s.link.pause(s.ctx, min(maxTarpit, l.TarpitDelay<<min(over-1, 10)))
	}
	return r
}

// progress notes that a message was taken, after which the peer has our
// patience again.
func (s *session) progress(replies []smtp.Reply) {
	for _, r := range replies {
		if r.OK() {
			s.junk = 0
			s.link.patience.taken()
			return
		}
	}
}

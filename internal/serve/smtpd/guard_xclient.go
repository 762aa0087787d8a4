package smtpd

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

func isXClient(text []byte) bool {
	const verb = "XCLIENT"
	return len(text) >= len(verb) && strings.EqualFold(string(text[:len(verb)]), verb) && (len(text) == len(verb) || text[len(verb)] == ' ')
}

// mayXClient says whether the peer may speak for others: its own address, which
// XCLIENT does not change, is one that an operator trusts. Others are told that
// there is no such command.
func (s *session) mayXClient() bool {
	if len(s.srv.o.XClient) == 0 {
		return false
	}
	return slices.ContainsFunc(s.srv.o.XClient, func(p netip.Prefix) bool { return p.Contains(s.link.from.Addr()) })
}

// xclient makes the session that of a client behind the peer, from before its
// EHLO (Postfix, XCLIENT_README). The client is held to what every stranger is.
func (s *session) xclient(text string) {
	switch {
	case s.state&(connected|greeted) == 0:
		s.fail(smtp.Answer(503, smtp.Enhanced{5, 5, 1}, "XCLIENT cannot come within a mail transaction"))
		return
	case s.srv.o.Mode == Submission && s.peer.Account != 0 && s.proxied.Login == "":
		s.fail(smtp.Answer(503, smtp.Enhanced{5, 5, 1}, "XCLIENT cannot come after AUTH"))
		return
	}
	x, r := smtp.ParseXClient(text[len("XCLIENT"):])
	if !r.IsZero() {
		s.fail(r)
		return
	}
	p := s.peer
	p.Helo, p.ESMTP = "", false
	s.name(&p, x)
	if !x.Said["HELO"] {
		x.Helo = s.proxied.Helo
	}
	if x.Said["LOGIN"] {
		p.Account, p.User = 0, mail.Address{}
	} else {
		x.Login = s.proxied.Login
	}
	if x.Said["LOGIN"] && x.Login != "" && s.srv.o.Mode == Submission {
		a := s.attempt()
		a.Addr = p.Addr
		who, err := s.srv.o.Auth.Vouched(s.ctx, a, x.Login)
		if err != nil {
			s.send(authReply(err))
			return
		}
		p.Account, p.User = who.Account, who.Address
	}
	if p.Addr.Addr() != s.peer.Addr.Addr() {
		s.leave()
		leave, why := s.srv.gate.Enter(s.ctx, p.Addr)
		if s.leave = leave; leave == nil {
			s.leave = func() {}
			s.send(s.srv.refusal(why))
			s.end(why.Reason)
			return
		}
	}
	s.abort()
	s.state, s.peer, s.proxied = connected, p, x
	s.welcome()
}

// name takes over what the proxy said of its client's addresses. What it did not
// say now stays as it was said before.
func (s *session) name(p *mail.Peer, x smtp.XClient) {
	addr, port := p.Addr.Addr(), p.Addr.Port()
	if x.Said["ADDR"] {
		addr, port = x.Addr, 0
	}
	if x.Said["PORT"] {
		port = x.Port
	}
	p.Addr = netip.AddrPortFrom(addr, port)
	addr, port = p.Local.Addr(), p.Local.Port()
	if x.Said["DESTADDR"] {
		addr = x.DestAddr
	}
	if x.Said["DESTPORT"] {
		port = x.DestPort
	}
	p.Local = netip.AddrPortFrom(addr, port)
	p.Name = cmp.Or(x.Name, p.Name)
	if x.Said["NAME"] || x.Said["ADDR"] {
		p.Name = x.Name
	}
}

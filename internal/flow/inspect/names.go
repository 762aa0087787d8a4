package inspect

import (
	"context"
	"errors"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/trust/iprev"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// mx finds the mail hosts (RFC 5321 §5.1).
func (s *subject) mx(ctx context.Context) {
	a, err := s.o.Resolver.Lookup(ctx, string(s.domain), dns.TypeMX)
	switch {
	case errors.Is(err, dns.ErrNoName):
		s.say(Bad, "Register the domain, or see that its name servers are right at the registrar.", "%s does not exist", s.domain)
		s.none = true
		return
	case errors.Is(err, dns.ErrBogus):
		s.say(Bad, "The signatures of the zone do not hold: whoever validates gets no mail to you. Sign the zone again, or take its DS record away.", "%v", err)
		return
	case err != nil && !dns.Absent(err):
		s.say(Note, "", "it cannot be told: %v", dns.Brief(err))
		return
	case len(a.Records) == 0:
		s.say(Warn, "Add an MX record: without one, mail goes to the domain's own address, and some servers send none.", "there is no MX record")
		s.hosts = append(s.hosts, host{name: string(s.domain)})
	case len(a.Records) == 1 && a.Records[0].Target == "":
		s.say(Good, "", "the domain takes no mail, and says so (RFC 7505)")
		s.none = true
		return
	}
	for _, r := range a.Records[:min(len(a.Records), maxHosts)] {
		if r.Target == "" {
			s.say(Bad, "A null MX stands alone (RFC 7505 §3).", "a null MX stands beside others")
			continue
		}
		s.hosts = append(s.hosts, host{name: r.Target, secure: a.Secure})
		s.say(Good, "", "%d %s", r.Pref, r.Target)
	}
	for i := range s.hosts {
		s.address(ctx, &s.hosts[i])
	}
}

// address finds the addresses of a host.
func (s *subject) address(ctx context.Context, h *host) {
	for _, t := range []dns.Type{dns.TypeAAAA, dns.TypeA} {
		a, err := s.o.Resolver.Lookup(ctx, h.name, t)
		if err == nil {
			h.addrs = append(h.addrs, a.Records...)
			h.secure = h.secure && a.Secure
			if a.Name != "" && a.Name != h.name && t == dns.TypeA {
				s.say(Warn, "An MX record names a host itself, not an alias (RFC 2181 §10.3): some servers do not send there.", "%s is an alias of %s", h.name, a.Name)
			}
		}
	}
	h.addrs = h.addrs[:min(len(h.addrs), maxAddrs)]
}

// dnssecOf says whether the answers are signed.
func dnssecOf(ctx context.Context, s *subject) {
	a, err := s.o.Resolver.Lookup(ctx, string(s.domain), dns.TypeSOA)
	switch {
	case errors.Is(err, dns.ErrBogus):
		s.say(Bad, "Whoever validates gets no answers, and sends no mail. Sign the zone again, or take its DS record away.", "the zone's signatures do not hold")
		return
	case err != nil && !dns.Absent(err):
		s.say(Note, "", "it cannot be told: %v", dns.Brief(err))
	case a.Secure:
		s.say(Good, "", "the zone is signed, and its parent vouches for it")
	default:
		s.say(Warn, "Without DNSSEC anyone on the way can lead mail elsewhere, and there is no DANE. Sign the zone, and give its DS record to the registrar.", "the zone is not signed, or its parent has no DS record")
	}
	for _, h := range s.hosts {
		if a.Secure && !h.secure && len(h.addrs) > 0 {
			s.say(Warn, "Senders that use DANE need the host's name signed too.", "the name %s is not signed", h.name)
		}
	}
}

// hostsOf says how the hosts can be reached.
func hostsOf(_ context.Context, s *subject) {
	six := false
	for _, h := range s.hosts {
		var addrs []string
		for _, r := range h.addrs {
			addrs = append(addrs, r.Addr.String())
			six = six || r.Type == dns.TypeAAAA
			if s.o.Lab {
				continue
			}
			if r.Addr.IsPrivate() || r.Addr.IsLoopback() || r.Addr.IsLinkLocalUnicast() {
				s.say(Bad, "Give the address by which the world reaches the host.", "%s has the address %s, which nobody outside can reach", h.name, r.Addr)
			}
		}
		if len(addrs) == 0 {
			s.say(Bad, "Add A and AAAA records, or take the host out of the MX records.", "%s has no address", h.name)
			continue
		}
		s.say(Good, "", "%s: %s", h.name, strings.Join(addrs, ", "))
	}
	if len(s.hosts) > 0 && !six {
		s.say(Note, "Networks with IPv6 alone cannot reach you. Add AAAA records if the host has IPv6.", "no mail host has IPv6")
	}
}

// reverseOf says whether the hosts' addresses have names that lead back. Mail leaves by
// them more often than not.
func reverseOf(ctx context.Context, s *subject) {
	s.each(func(s *subject, h host) {
		for _, r := range h.addrs {
			res := iprev.Check(ctx, s.o.Resolver, r.Addr)
			switch res.Code {
			case iprev.Pass:
				s.say(Good, "", "%s is %s, which leads back", r.Addr, res.Name)
			case iprev.TempError:
				s.say(Note, "", "%s: %s", r.Addr, res.Problem)
			default:
				s.say(Warn, "Large providers refuse mail from such an address. Ask whoever gave you the address for: "+dns.Reverse(r.Addr)+". PTR "+h.name+".",
					"%s: %s", r.Addr, res.Problem)
			}
		}
	})
}

// caaOf says who may certify the hosts' names (RFC 8659).
func caaOf(ctx context.Context, s *subject) {
	a, err := s.o.Resolver.Lookup(ctx, string(s.domain), dns.TypeCAA)
	switch {
	case dns.Absent(err), err == nil && len(a.Records) == 0:
		s.say(Note, "Any authority may certify your names. A CAA record with the one that you use narrows that.", "there is no CAA record")
	case err != nil:
		s.say(Note, "", "it cannot be told: %v", dns.Brief(err))
	default:
		var all []string
		for _, r := range a.Records {
			all = append(all, caaText(r.Data))
		}
		s.say(Good, "", "%s", strings.Join(all, ", "))
	}
}

// caaText is a CAA record's data in words (RFC 8659 §4.1.1).
func caaText(b []byte) string {
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return "?"
	}
	tag, value := b[2:2+int(b[1])], b[2+int(b[1]):]
	return printable(string(tag) + " " + string(value))
}

// printable is a stranger's text as it may be shown.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}

// listsOf asks well-known lists for the hosts' addresses.
func listsOf(ctx context.Context, s *subject) {
	s.each(func(s *subject, h host) {
		for _, r := range h.addrs {
			clean, silent := 0, 0
			for _, l := range s.o.Lists {
				found, err := l.Check(ctx, s.o.Resolver, r.Addr.String())
				switch {
				case err != nil:
					silent++
				case found != nil:
					s.say(Bad, "Servers that ask this list refuse your mail. Find out why (a stolen account, an open relay), stop it, then ask at "+l.Delist, "%s is on %s: %s", r.Addr, l.Zone, found.Text)
				default:
					clean++
				}
			}
			if clean > 0 {
				s.say(Good, "", "%s is not on %d lists", r.Addr, clean)
			}
			if silent > 0 {
				s.say(Note, "Lists refuse large public resolvers: ask by a resolver of your own.", "%s: %d lists did not answer", r.Addr, silent)
			}
		}
	})
}

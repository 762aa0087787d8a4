package inspect

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/trust/dmarc"
	"github.com/ekiden-mail/ekiden/internal/trust/spf"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// nobody is an address that no policy names on purpose (RFC 5737), so that an
// evaluation for it goes through the whole policy.
var nobody = netip.MustParseAddr("203.0.113.251")

// spfOf looks at the SPF policy (RFC 7208).
func spfOf(ctx context.Context, s *subject) {
	all, _, err := s.texts(ctx, string(s.domain), "v=spf1")
	switch {
	case err != nil:
		s.say(Note, "", "it cannot be told: %v", dns.Brief(err))
		return
	case len(all) == 0:
		s.say(Bad, "Anybody may send in your name. Add the TXT record \"v=spf1 mx -all\" (with include: for whoever else sends for you).", "there is no SPF record")
		return
	case len(all) > 1:
		s.say(Bad, "With several, none counts (RFC 7208 §4.5): make one of them.", "there are %d SPF records", len(all))
		return
	}
	s.say(Good, "", "%s", printable(all[0]))
	res := spf.Check(ctx, s.o.Resolver, spf.Query{IP: nobody, Local: "postmaster", Domain: string(s.domain), Helo: string(s.domain), Now: s.o.Now()})
	switch res.Code {
	case spf.PermError:
		s.say(Bad, "A policy that cannot be evaluated protects nobody, and some refuse all your mail for it.", "it cannot be evaluated: %s", res.Problem)
	case spf.TempError:
		s.say(Note, "", "it cannot be evaluated now: %s", res.Problem)
	case spf.Pass:
		s.say(Bad, "The policy lets the whole world send in your name: end it with -all.", "any address passes")
	case spf.Neutral, spf.None:
		s.say(Warn, "The policy says nothing of strangers: end it with -all, or ~all while you try.", "strangers are neither refused nor marked")
	case spf.SoftFail:
		s.say(Good, "", "strangers are marked (~all)")
	default:
		s.say(Good, "", "strangers are refused (-all)")
	}
	switch n := res.Terms; {
	case n > spf.MaxTerms:
		s.say(Bad, "Beyond ten, the policy counts as broken (RFC 7208 §4.6.4): leave includes out.", "more than %d look-ups are needed", spf.MaxTerms)
	case n > spf.MaxTerms*8/10:
		s.say(Warn, "At more than ten the policy breaks (RFC 7208 §4.6.4), and an include may grow any day.", "%d of %d look-ups are needed", n, spf.MaxTerms)
	default:
		s.say(Good, "", "%d of %d look-ups are needed", n, spf.MaxTerms)
	}
	for _, h := range s.hosts {
		for _, r := range h.addrs {
			if res := spf.Check(ctx, s.o.Resolver, spf.Query{IP: r.Addr, Local: "postmaster", Domain: string(s.domain), Helo: h.name, Now: s.o.Now()}); res.Code == spf.Fail || res.Code == spf.SoftFail {
				s.say(Note, "If mail leaves by this host, add mx to the policy.", "the mail host %s (%s) itself may not send", h.name, r.Addr)
			}
		}
	}
}

// common are selectors that many use: which a domain has cannot be asked.
func common() []string {
	return []string{"default", "dkim", "mail", "google", "selector1", "selector2", "k1", "k2", "k3", "s1", "s2", "mta", "smtp", "key1", "fm1", "fm2", "fm3", "protonmail", "zoho", "mxvault", "sig1", "x", "a", "b", "2024", "2025", "2026"}
}

// Strong is the least length of an RSA key that is not at its end, in bits (RFC 8301
// §3.2 asks for 1024 and advises 2048).
const strong = 2048

// dkimOf looks for keys (RFC 6376 §3.6.1).
func dkimOf(ctx context.Context, s *subject) {
	found := 0
	var unknown error
	for _, selector := range append(append([]string{}, s.o.Selector...), common()...) {
		k, err := dkim.FindKey(ctx, s.o.Resolver, selector, string(s.domain))
		if err != nil {
			if !errors.Is(err, dkim.ErrKey) {
				unknown = err
			}
			continue
		}
		found++
		bits := k.Bits()
		switch {
		case k.Testing:
			s.say(Warn, "Take t=y out of the record: with it, signatures need not count.", "%s: %d bits, for testing only", selector, bits)
		case bits >= strong, bits == 256:
			s.say(Good, "", "%s: %d bits", selector, bits)
		default:
			s.say(Warn, "Make a new key of 2048 bits (RFC 8301 §3.2).", "%s: a key of %d bits is weak", selector, bits)
		}
	}
	switch {
	case found > 0:
	case unknown != nil:
		s.say(Note, "", "it cannot be told: %v", unknown)
	default:
		s.say(Note, "Which selectors a domain has cannot be asked. If you sign, name yours with --selector; if not, sign: large providers ask for it.", "no key was found under common selectors")
	}
}

// dmarcOf looks at the policy for forgeries (RFC 9989).
func dmarcOf(ctx context.Context, s *subject) {
	res := dmarc.Check(ctx, s.o.Resolver, dmarc.Query{Authors: []string{string(s.domain)}})
	const add = "Add the TXT record _dmarc." // and the domain
	switch {
	case res.Code == dmarc.TempError:
		s.say(Note, "", "it cannot be told: %s", res.Problem)
	case res.Record == nil:
		s.say(Bad, add+string(s.domain)+" \"v=DMARC1; p=none; rua=mailto:you@"+string(s.domain)+"\", look at the reports, then go on to quarantine and reject.", "there is no DMARC record: nobody is told to refuse forgeries")
	default:
		s.policy(res)
	}
}

func (s *subject) policy(res dmarc.Result) {
	where := ""
	if res.Domain != string(s.domain) {
		where = " (by " + res.Domain + ")"
	}
	switch res.Policy {
	case "reject":
		s.say(Good, "", "forgeries are to be refused%s", where)
	case "quarantine":
		s.say(Good, "", "forgeries are to be put aside%s", where)
	default:
		s.say(Warn, "Once the reports show that all your own mail passes, set p=quarantine, then p=reject.", "forgeries are to be taken as before%s", where)
	}
	if len(res.Record.Aggregate) == 0 {
		s.say(Note, "Add rua=mailto:… to learn who sends in your name.", "no reports are asked for")
	} else {
		s.say(Good, "", "reports go to %s", printable(strings.Join(res.Record.Aggregate, ", ")))
	}
}

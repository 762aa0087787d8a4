package app

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/flow/prove"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/trust/dnsbl"
)

// List is a list of addresses or domains in the DNS that strangers are looked up in,
// one [[list]] each; see trust.md.
type List struct {
	Zone  string             `toml:"zone"`  // where it is, such as "zen.spamhaus.org"
	Kind  string             `toml:"kind"`  // "address": of the server that sends; "domain": of the author
	Score float64            `toml:"score"` // points for being listed; below zero where that speaks for the sender
	Codes map[string]float64 `toml:"codes"` // points for single answers, such as "127.0.0.10" = 1.5, instead
}

// Kinds of lists.
const (
	listOfAddresses = "address"
	listOfDomains   = "domain"
)

func (c *Config) checkLists() error {
	if c.Checks.JunkAt < 0 || c.Checks.RejectAt < 0 {
		return fmt.Errorf("checks: junk_at and reject_at cannot be negative")
	}
	for _, s := range c.Checks.TrustedSealers {
		if _, err := mail.ParseDomain(s); err != nil {
			return fmt.Errorf("checks.trusted_sealers: %q is not a domain", s)
		}
	}
	for _, l := range c.Lists {
		if d, err := mail.ParseDomain(l.Zone); err != nil || d.IsLiteral() {
			return fmt.Errorf("list: %q is not a zone", l.Zone)
		}
		if l.Kind != "" && l.Kind != listOfAddresses && l.Kind != listOfDomains {
			return fmt.Errorf("list %s: kind: %q is neither %s nor %s", l.Zone, l.Kind, listOfAddresses, listOfDomains)
		}
		if l.Score == 0 && len(l.Codes) == 0 {
			return fmt.Errorf("list %s: it has neither score nor codes", l.Zone)
		}
		for code := range l.Codes {
			if a, err := netip.ParseAddr(code); err != nil || !a.Is4() || !a.IsLoopback() {
				return fmt.Errorf("list %s: codes: %q is not an address of 127.0.0.0/8", l.Zone, code)
			}
		}
	}
	return nil
}

// lists are the lists as they are asked.
func (c *Config) lists() []dnsbl.List {
	var all []dnsbl.List
	for _, l := range c.Lists {
		d, _ := mail.ParseDomain(l.Zone)
		one := dnsbl.List{Zone: string(d), Domains: l.Kind == listOfDomains, Score: l.Score, Codes: map[netip.Addr]float64{}}
		for code, score := range l.Codes {
			if a, err := netip.ParseAddr(code); err == nil {
				one.Codes[a] = score
			}
		}
		all = append(all, one)
	}
	return all
}

// prover finds out who sends strangers' mail; nil if nobody is to.
func (r *rooms) prover(c *Config) *prove.Prover {
	if c.Checks.Off || !c.Checks.Senders {
		return nil
	}
	return prove.New(prove.Options{Resolver: r.resolver, Lists: c.lists(), Hostname: c.Hostname})
}

// judgement is how the operator wants mail to be judged.
func (c *Config) judgement() judge.Settings {
	return judge.Settings{
		IgnoreDMARC: !c.Checks.DMARC, JunkAt: c.Checks.JunkAt, RejectAt: c.Checks.RejectAt, Sealers: c.Checks.TrustedSealers,
	}
}

// screening is how mail for an address is judged, as its account and domain have it.
func (r *rooms) screening(ctx context.Context, to mail.Address) (directory.Screening, error) {
	return r.directory.ScreeningOf(ctx, to)
}

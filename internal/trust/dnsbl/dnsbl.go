// Package dnsbl asks lists of addresses and domains that are kept in the DNS
// (RFC 5782): of those that send junk, and of those that do not.
package dnsbl

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// List is one list.
type List struct {
	Zone    string
	Domains bool                   // it lists domains, not addresses
	Score   float64                // for being listed; below zero where that speaks for the sender
	Codes   map[netip.Addr]float64 // for single codes, instead of Score
}

// Listing is what a list says about a subject.
type Listing struct {
	Zone    string
	Subject string       // the address or the domain
	Codes   []netip.Addr // in their order
	Score   float64      // the weightiest of the codes'
	Text    string       // the list's own words; "" if it has none
}

// maxText is how much of a list's words is kept, in octets.
const maxText = 200

// refusals are the codes by which lists say that they do not answer us, and not
// that somebody is listed.
var refusals = netip.MustParsePrefix("127.255.255.0/24")

// codes are where codes lie (RFC 5782 §2.3). What is outside means that the zone
// is no list any more.
var codes = netip.MustParsePrefix("127.0.0.0/8")

// Name is what is asked about a subject: the reverse of an address, or a domain.
func (l List) Name(subject string) (string, error) {
	if l.Domains {
		name := dns.Normal(subject) + "." + l.Zone
		if subject == "" || !dns.IsName(name) {
			return "", fmt.Errorf("%.100q cannot be asked for at %s", subject, l.Zone)
		}
		return name, nil
	}
	ip, err := netip.ParseAddr(subject)
	if err != nil {
		return "", err
	}
	reverse := dns.Reverse(ip)
	for _, tree := range []string{".in-addr.arpa", ".ip6.arpa"} {
		reverse = strings.TrimSuffix(reverse, tree)
	}
	return reverse + "." + l.Zone, nil
}

// Check asks for a subject. It gives nil if it is not listed; an error is that it
// is not known.
func (l List) Check(ctx context.Context, r dns.Resolver, subject string) (*Listing, error) {
	name, err := l.Name(subject)
	if err != nil {
		return nil, err
	}
	answer, err := r.Lookup(ctx, name, dns.TypeA)
	if dns.Absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("address of %s: %w", name, dns.Brief(err))
	}
	found := &Listing{Zone: l.Zone, Subject: subject}
	for _, rec := range answer.Records {
		switch {
		case refusals.Contains(rec.Addr):
			return nil, fmt.Errorf("the list %s does not answer us: it says %s", l.Zone, rec.Addr)
		case codes.Contains(rec.Addr):
			found.add(rec.Addr, l.score(rec.Addr))
		}
	}
	if len(found.Codes) == 0 {
		return nil, nil
	}
	slices.SortFunc(found.Codes, netip.Addr.Compare)
	if text, err := r.Lookup(ctx, name, dns.TypeTXT); err == nil && len(text.Records) > 0 {
		found.Text = printable(text.Records[0].Text)
	}
	return found, nil
}

func (l List) score(code netip.Addr) float64 {
	if s, ok := l.Codes[code]; ok {
		return s
	}
	return l.Score
}

// add notes a code. The weightiest score counts, that against the sender before
// that for it.
func (f *Listing) add(code netip.Addr, score float64) {
	f.Codes = append(f.Codes, code)
	switch {
	case len(f.Codes) == 1, score > 0 && score > f.Score, score < 0 && f.Score <= 0 && score < f.Score:
		f.Score = score
	}
}

// printable is a list's words as they may stand in a log.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxText)]
}

// String says what the list says, in words.
func (f Listing) String() string {
	words := make([]string, len(f.Codes))
	for i, c := range f.Codes {
		words[i] = c.String()
	}
	return fmt.Sprintf("%s is listed by %s (%s), score %+g", f.Subject, f.Zone, strings.Join(words, " "), f.Score)
}

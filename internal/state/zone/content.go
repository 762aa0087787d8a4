package zone

import (
	"context"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// Content gives a zone's records before they are signed, in order, and those of them
// that were written by hand. fault.NotFound.
func (s *Store) Content(ctx context.Context, name string) (all, own []dns.RR, err error) {
	const op = "zone.Content"
	name = dns.CanonicalName(name)
	h, err := s.Zone(ctx, name)
	if err != nil {
		return nil, nil, fault.Wrap(op, err)
	}
	drawn, err := s.draw(ctx, h)
	if err != nil {
		return nil, nil, fault.Wrap(op, err)
	}
	if own, err = s.Records(ctx, name); err != nil {
		return nil, nil, fault.Wrap(op, err)
	}
	all = Merge(slices.Concat(drawn, Apex(name, h.Domain, s.o.Server(), h.Serial)), own)
	slices.SortStableFunc(all, func(a, b dns.RR) int {
		if d := dnssec.Order(dns.CanonicalName(a.Header().Name), dns.CanonicalName(b.Header().Name)); d != 0 {
			return d
		}
		return int(a.Header().Rrtype) - int(b.Header().Rrtype)
	})
	return all, own, nil
}

// Drawn gives the records that the world is to see of a domain of ours, wherever its
// zone is served.
func (s *Store) Drawn(ctx context.Context, d mail.Domain) ([]dns.RR, error) {
	f, err := s.o.Facts(ctx, d)
	return Draw(s.o.Server(), f), fault.Wrap("zone.Drawn", err)
}

// ParseFile reads a zone file (RFC 1035 §5) for Import. The SOA and what signing makes
// is left out, as both are ours; $INCLUDE is refused. fault.Invalid says where it is
// wrong.
func ParseFile(name, text string) ([]dns.RR, error) {
	const op = "zone.ParseFile"
	name = dns.CanonicalName(name)
	p := dns.NewZoneParser(strings.NewReader(text), name, "")
	p.SetDefaultTTL(ttl)
	var rrs []dns.RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		switch rr.Header().Rrtype {
		case dns.TypeSOA, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY:
			continue
		}
		if rrs = append(rrs, rr); len(rrs) > MaxRecords {
			return nil, fault.Newf(fault.TooLarge, op, "a zone has at most %d records", MaxRecords)
		}
	}
	if err := p.Err(); err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Op: op, Public: strings.TrimPrefix(err.Error(), "dns: "), Err: err}
	}
	return rrs, nil
}

// Package zone is the authority for names: zones that are drawn from what the
// server knows of its domains, with records of their operators beside, signed on
// line, and what is to be answered from them.
package zone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// Limits of a zone that is answered from.
const (
	MaxRecords = 20_000 // of a zone, before it is signed
	maxSet     = 500    // records of one name and type
	maxAliases = 8      // CNAMEs that are followed within a zone for one answer
)

// Zone is a zone ready to be answered from. It is not changed once built, and may
// be used by many goroutines.
type Zone struct {
	Name   string // canonical, with the final dot
	Serial uint32
	Signed bool
	nodes  map[string]*node // by canonical name; empty non-terminals too
	soa    *set
	low    *set // soa with the TTL of negative answers (RFC 2308 §5)
	chain  []hashed
	proven map[string]int // by name: its place in chain
}

// node is a name of a zone.
type node struct {
	sets  map[uint16]*set
	cut   bool // what is here and below is another's
	below bool // lies under a cut, and is only glue
}

// set is the records of one name and type, with their signatures.
type set struct{ rrs, sigs []dns.RR }

// hashed is one link of the chain of NSEC3 records.
type hashed struct {
	hash string // upper case
	set  set
}

// with gives the records, and the signatures if they are asked for.
func (s *set) with(sigs bool, into []dns.RR) []dns.RR {
	into = append(into, s.rrs...)
	if sigs {
		into = append(into, s.sigs...)
	}
	return into
}

// Build makes a zone of records, which it may change, and signs it unless signing
// has no keys. The records must hold one SOA at the apex. fault.Invalid says what
// is wrong with them.
func Build(name string, records []dns.RR, signing Signing) (*Zone, error) {
	const op = "zone.Build"
	z := &Zone{Name: dns.CanonicalName(name), nodes: map[string]*node{}, Signed: len(signing.Keys) > 0}
	if len(records) > MaxRecords {
		return nil, fault.Newf(fault.Invalid, op, "a zone has at most %d records", MaxRecords)
	}
	for _, rr := range slices.Concat(records, signing.records(z.Name)) {
		if err := z.add(rr); err != nil {
			return nil, fault.Wrap(op, err)
		}
	}
	if err := z.check(); err != nil {
		return nil, fault.Wrap(op, err)
	}
	z.fill()
	soa := z.soa.rrs[0].(*dns.SOA)
	z.Serial = soa.Serial
	if z.Signed {
		if err := z.sign(signing); err != nil {
			return nil, fault.Wrap(op, err)
		}
	}
	z.low = lowered(z.soa, min(soa.Hdr.Ttl, soa.Minttl))
	return z, nil
}

// add puts a record in its place. A record that is there already is left out
// (RFC 2181 §5), and the lowest TTL of a set counts.
func (z *Zone) add(rr dns.RR) error {
	h := rr.Header()
	h.Name = dns.CanonicalName(h.Name)
	if h.Class != dns.ClassINET {
		return invalid("%s: only records of class IN are served", h.Name)
	}
	if !dns.IsSubDomain(z.Name, h.Name) {
		return invalid("%s does not lie in the zone %s", h.Name, z.Name)
	}
	switch h.Rrtype {
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM:
		return nil // made anew
	}
	n := z.nodes[h.Name]
	if n == nil {
		n = &node{sets: map[uint16]*set{}}
		z.nodes[h.Name] = n
	}
	s := n.sets[h.Rrtype]
	if s == nil {
		s = &set{}
		n.sets[h.Rrtype] = s
	}
	for _, there := range s.rrs {
		if dns.IsDuplicate(there, rr) {
			return nil
		}
	}
	if len(s.rrs) >= maxSet {
		return invalid("%s has more than %d records of type %s", h.Name, maxSet, dns.TypeToString[h.Rrtype])
	}
	s.rrs = append(s.rrs, rr)
	ttl := min(h.Ttl, s.rrs[0].Header().Ttl)
	for _, one := range s.rrs {
		one.Header().Ttl = ttl
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "", fmt.Sprintf(format, args...))
}

// check refuses what no zone can hold.
func (z *Zone) check() error {
	apex := z.nodes[z.Name]
	if apex == nil || apex.sets[dns.TypeSOA] == nil {
		return invalid("%s has no SOA record", z.Name)
	}
	z.soa = apex.sets[dns.TypeSOA]
	if len(z.soa.rrs) != 1 {
		return invalid("%s has more than one SOA record", z.Name)
	}
	for name, n := range z.nodes {
		if n.sets[dns.TypeSOA] != nil && name != z.Name {
			return invalid("%s: an SOA record stands at the zone's own name alone", name)
		}
		if c := n.sets[dns.TypeCNAME]; c != nil && (len(c.rrs) > 1 || len(n.sets) > 1) {
			return invalid("%s: beside a CNAME there is nothing else (RFC 1034 §3.6.2)", name)
		}
		if n.sets[dns.TypeDS] != nil && n.sets[dns.TypeNS] == nil {
			return invalid("%s: a DS record without NS records", name)
		}
	}
	return nil
}

// fill finds the delegations, what lies below them, and the empty names between.
func (z *Zone) fill() {
	for name, n := range z.nodes {
		n.cut = name != z.Name && n.sets[dns.TypeNS] != nil
	}
	for name, n := range z.nodes {
		for up := dnssec.Parent(name); name != z.Name && dns.IsSubDomain(z.Name, up); up = dnssec.Parent(up) {
			above := z.nodes[up]
			n.below = n.below || above != nil && above.cut
			if up == z.Name {
				break
			}
		}
	}
	for _, name := range z.names() {
		n := z.nodes[name]
		for up := dnssec.Parent(name); !n.below && name != z.Name && up != z.Name; up = dnssec.Parent(up) {
			if z.nodes[up] == nil {
				z.nodes[up] = &node{}
			}
		}
	}
}

// names lists the names of the zone in canonical order (RFC 4034 §6.1).
func (z *Zone) names() []string {
	names := make([]string, 0, len(z.nodes))
	for name := range z.nodes {
		names = append(names, name)
	}
	slices.SortFunc(names, dnssec.Order)
	return names
}

// Records lists all records with their signatures, the SOA first, in canonical
// order: what a transfer sends between two SOAs (RFC 5936 §2.2).
func (z *Zone) Records() []dns.RR {
	all := z.soa.with(true, nil)
	for _, name := range z.names() {
		n := z.nodes[name]
		types := make([]uint16, 0, len(n.sets))
		for t := range n.sets {
			if t != dns.TypeSOA {
				types = append(types, t)
			}
		}
		slices.Sort(types)
		for _, t := range types {
			all = n.sets[t].with(true, all)
		}
	}
	for i := range z.chain {
		all = z.chain[i].set.with(true, all)
	}
	return all
}

// Text is the zone as a zone file (RFC 1035 §5).
func (z *Zone) Text() string {
	var b strings.Builder
	for _, rr := range z.Records() {
		b.WriteString(rr.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// lowered is a set with a lower TTL; signatures keep the original one inside.
func lowered(s *set, ttl uint32) *set {
	out := &set{}
	for _, rr := range s.rrs {
		rr = dns.Copy(rr)
		rr.Header().Ttl = min(ttl, rr.Header().Ttl)
		out.rrs = append(out.rrs, rr)
	}
	for _, rr := range s.sigs {
		rr = dns.Copy(rr)
		rr.Header().Ttl = min(ttl, rr.Header().Ttl)
		out.sigs = append(out.sigs, rr)
	}
	return out
}

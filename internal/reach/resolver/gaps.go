package resolver

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// How much is remembered of what is not there.
const (
	maxGapZones = 256
	maxGaps     = 1024 // of one zone
)

// gaps are the NSEC records of zones whose signatures hold. What they prove need not be
// asked for (RFC 8198 §5.1); with NSEC3 little is gained, so that those are left out.
type gaps struct {
	mu    sync.Mutex
	zones map[string]*zoneGaps
}

type zoneGaps struct {
	list []gap    // in the order of a zone (RFC 4034 §6.1)
	soa  []dns.RR // with its signatures
}

type gap struct {
	rr      *dns.NSEC
	sigs    []dns.RR
	expires time.Time
}

// learn takes from an answer of a signed zone the records whose signatures hold.
func (g *gaps) learn(s *step, zone string, held []dns.RR, until time.Time) {
	var soa []dns.RR
	byOwner := map[string]*gap{}
	for _, rr := range held {
		if n, ok := rr.(*dns.NSEC); ok {
			byOwner[n.Hdr.Name] = &gap{rr: n, expires: until}
		}
	}
	for _, rr := range s.auth {
		sig, isSig := rr.(*dns.RRSIG)
		switch h := rr.Header(); {
		case h.Rrtype == dns.TypeSOA, isSig && sig.TypeCovered == dns.TypeSOA:
			soa = append(soa, rr)
		case isSig && sig.TypeCovered == dns.TypeNSEC && byOwner[h.Name] != nil:
			byOwner[h.Name].sigs = append(byOwner[h.Name].sigs, sig)
		}
	}
	if len(byOwner) == 0 || len(soa) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	z := g.zones[zone]
	if z == nil {
		if g.zones == nil {
			g.zones = map[string]*zoneGaps{}
		}
		for other := range g.zones {
			if len(g.zones) < maxGapZones {
				break
			}
			delete(g.zones, other)
		}
		z = &zoneGaps{}
		g.zones[zone] = z
	}
	z.soa = soa
	for _, n := range byOwner {
		at, found := z.find(n.rr.Hdr.Name)
		switch {
		case found:
			z.list[at] = *n
		case len(z.list) < maxGaps:
			z.list = slices.Insert(z.list, at, *n)
		default:
			z.list[min(at, maxGaps-1)] = *n // the neighbour gives way
			slices.SortFunc(z.list, func(a, b gap) int { return dnssec.Order(a.rr.Hdr.Name, b.rr.Hdr.Name) })
		}
	}
}

func (z *zoneGaps) find(name string) (int, bool) {
	return slices.BinarySearchFunc(z.list, name, func(g gap, name string) int { return dnssec.Order(g.rr.Hdr.Name, name) })
}

// before is the gap that begins at a name or nearest before it.
func (z *zoneGaps) before(name string, now time.Time) *gap {
	at, found := z.find(name)
	if !found {
		at--
	}
	if at < 0 || !now.Before(z.list[at].expires) {
		return nil
	}
	return &z.list[at]
}

// denies answers a question from what is known not to be there; nil if it is not known.
func (g *gaps) denies(q question, now time.Time) *step {
	g.mu.Lock()
	defer g.mu.Unlock()
	zone := q.name
	if q.t == dns.TypeDS && zone != "." {
		zone = dnssec.Parent(zone)
	}
	for g.zones[zone] == nil {
		if zone == "." {
			return nil
		}
		zone = dnssec.Parent(zone)
	}
	z := g.zones[zone]
	first := z.before(q.name, now)
	if first == nil {
		return nil
	}
	s := &step{q: q, zone: zone, made: now, expires: first.expires, auth: slices.Clone(z.soa)}
	known := []*gap{first}
	// The wildcard that would stand for the name lies below one of its ancestors.
	for up := q.name; !s.proved(zone, known); {
		if up == zone {
			return nil
		}
		up = dnssec.Parent(up)
		known = known[:1]
		if wild := z.before("*."+strings.TrimPrefix(up, "."), now); wild != nil {
			known = append(known, wild)
		}
	}
	for _, k := range known {
		s.auth = append(append(s.auth, k.rr), k.sigs...)
		if k.expires.Before(s.expires) {
			s.expires = k.expires
		}
	}
	s.ttl = s.expires.Sub(now)
	s.verdict.Store(&verdict{security: secure, expires: s.expires})
	return s
}

// proved says whether what is known proves what the step says, and has it say that.
func (s *step) proved(zone string, known []*gap) bool {
	var rrs []dns.RR
	for _, k := range known {
		rrs = append(rrs, k.rr)
	}
	var w dnssec.Work
	d := w.Denial(zone, rrs)
	switch {
	case d.NoName(s.q.name) == dnssec.Secure:
		s.kind = noName
	case d.NoData(s.q.name, s.q.t) == dnssec.Secure:
		s.kind = noData
	default:
		return false
	}
	return true
}

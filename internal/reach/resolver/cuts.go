package resolver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// Delegations are remembered as their parents gave them, so that a zone that was taken
// away from its owner does not live on by its own word (ghost domains, CVE-2012-1033).
const (
	maxCutTTL  = 24 * time.Hour
	minCutTTL  = 5 * time.Second
	maxServers = 16 // name servers of a zone that are looked at
	maxGlue    = 32 // addresses of them that came along
)

// dnsPort is where name servers answer.
const dnsPort = 53

// cut is a delegation: a zone and who answers for it.
type cut struct {
	zone    string
	servers []string // names
	glue    []netip.AddrPort
	expires time.Time
	used    atomic.Bool
}

func (c *cut) size() int {
	n := 200 + len(c.zone) + 32*len(c.glue)
	for _, s := range c.servers {
		n += 16 + len(s)
	}
	return n
}

func (c *cut) use()         { c.used.Store(true) }
func (c *cut) unused() bool { return !c.used.Swap(false) }

// closest is the deepest known zone that a question is to be put to: for digests the
// one above the name (RFC 4035 §4.2). nil: only the root is known.
func (r *Resolver) closest(q question, now time.Time) *cut {
	name := q.name
	if q.t == dns.TypeDS && name != "." {
		name = dnssec.Parent(name)
	}
	for ; name != "."; name = dnssec.Parent(name) {
		if c, ok := r.cuts.get(name); ok && now.Before(c.expires) {
			return c
		}
	}
	return nil
}

// referral reads an answer of a zone's server that points to a zone further down on
// the way to a name. It is nil if the answer does not.
func referral(m *dns.Msg, zone, name string, now time.Time) *cut {
	if m.Rcode != dns.RcodeSuccess || len(m.Answer) > 0 {
		return nil
	}
	c := &cut{}
	ttl := maxCutTTL
	for _, rr := range m.Ns {
		ns, ok := rr.(*dns.NS)
		if !ok || len(c.servers) == maxServers {
			continue
		}
		owner := dns.CanonicalName(ns.Hdr.Name)
		if c.zone == "" && owner != zone && dns.IsSubDomain(zone, owner) && dns.IsSubDomain(owner, name) {
			c.zone = owner
		}
		if owner == c.zone && c.zone != "" {
			c.servers = append(c.servers, dns.CanonicalName(ns.Ns))
			ttl = min(ttl, seconds(ns.Hdr.Ttl))
		}
	}
	if c.zone == "" {
		return nil
	}
	c.expires = now.Add(max(ttl, minCutTTL))
	c.addGlue(m.Extra, zone)
	return c
}

// addGlue takes the addresses of the cut's servers, of names in the zone of who gives
// them only; they serve to reach the zone and for nothing else (RFC 2181 §5.4.1).
func (c *cut) addGlue(extra []dns.RR, zone string) {
	named := map[string]bool{}
	for _, s := range c.servers {
		named[s] = dns.IsSubDomain(zone, s)
	}
	for _, rr := range extra {
		var a netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			a = addr(rr.A)
		case *dns.AAAA:
			a = addr(rr.AAAA)
		}
		if a.IsValid() && named[dns.CanonicalName(rr.Header().Name)] && len(c.glue) < maxGlue {
			c.glue = append(c.glue, netip.AddrPortFrom(a, dnsPort))
		}
	}
}

// addresses are those at which a zone's servers are known to answer: as its parent
// gave them, and as they were found when they were looked up.
func (r *Resolver) addresses(c *cut, now time.Time) []netip.AddrPort {
	all := append([]netip.AddrPort(nil), c.glue...)
	for _, s := range c.servers {
		for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if known, ok := r.steps.get(question{s, t}); ok && known.kind == has && now.Before(known.until()) {
				all = append(all, addrs(known)...)
			}
		}
	}
	return unique(all)
}

func unique(all []netip.AddrPort) []netip.AddrPort {
	seen := map[netip.AddrPort]bool{}
	kept := all[:0]
	for _, a := range all {
		if !seen[a] {
			seen[a] = true
			kept = append(kept, a)
		}
	}
	return kept
}

// addrs are the addresses of name servers in a step.
func addrs(s *step) []netip.AddrPort {
	var all []netip.AddrPort
	for _, rr := range s.set {
		var a netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			a = addr(rr.A)
		case *dns.AAAA:
			a = addr(rr.AAAA)
		}
		if a.IsValid() {
			all = append(all, netip.AddrPortFrom(a, dnsPort))
		}
	}
	return all[:min(len(all), maxGlue)]
}

// lookUpServers looks for more addresses of a zone's servers, of few of them and few
// for a question (NXNSAttack). It says whether it found any that are not in known.
func (r *Resolver) lookUpServers(ctx context.Context, c *cut, known []netip.AddrPort, w *work) ([]netip.AddrPort, error) {
	if w.depth >= maxDepth {
		return nil, errors.New("look-ups of name servers that need each other")
	}
	have := map[netip.AddrPort]bool{}
	for _, a := range known {
		have[a] = true
	}
	why := fmt.Errorf("no server of %s has an address", c.zone)
	tried := 0
	for _, i := range rand.Perm(len(c.servers)) {
		name := c.servers[i]
		if dns.IsSubDomain(c.zone, name) {
			continue // only the zone itself knows more of it
		}
		if tried++; tried > maxPerZone {
			break
		}
		if w.targets++; w.targets > maxTargets {
			return nil, fmt.Errorf("%w: %d name servers' addresses", errSpent, maxTargets)
		}
		var fresh []netip.AddrPort
		for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
			w.depth++
			s, err := r.raw(ctx, question{name, t}, w)
			w.depth--
			if err != nil {
				if why = err; ctx.Err() != nil || isSpent(err) {
					return nil, err
				}
				continue
			}
			for _, a := range addrs(s) {
				if !have[a] {
					fresh = append(fresh, a)
				}
			}
			if len(fresh) > 0 || s.kind == noName {
				break
			}
		}
		if len(fresh) > 0 {
			return fresh, nil
		}
	}
	return nil, why
}

func isSpent(err error) bool { return errors.Is(err, errSpent) }

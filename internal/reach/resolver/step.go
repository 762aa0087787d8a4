package resolver

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// question is what is asked; the class is always IN.
type question struct {
	name string // lower case, with the final dot
	t    uint16
}

func (q question) String() string { return q.name + " " + dns.Type(q.t).String() }

// kind is what a step says.
type kind uint8

const (
	has    kind = iota + 1 // the records are there
	alias                  // the name is another's: a CNAME, or a DNAME above it
	noData                 // the name is there, without records of the type
	noName                 // the name is not there
)

// step is what servers said to one question, aliases not followed. Only its verdict
// and its use change after it was made.
type step struct {
	q       question
	kind    kind
	zone    string // whose servers said so: nothing outside it was believed
	set     []dns.RR
	sigs    []*dns.RRSIG
	auth    []dns.RR // SOA, NSEC and NSEC3 with their signatures
	target  string   // of an alias
	ttl     time.Duration
	made    time.Time
	expires time.Time
	from    netip.AddrPort // who said so, in recursion
	ad      bool           // a forwarder's AD bit

	forwarded bool // it came from a forwarder
	local     bool // nobody was asked
	chained   bool // it came with the answer to another question, at the end of aliases

	verdict atomic.Pointer[verdict]
	used    atomic.Bool // since the cache last looked
}

// security is what validation found (RFC 4033 §5).
type security uint8

const (
	insecure security = iota // nothing above it vouches for it
	secure                   // a chain of signatures leads to a trust anchor
	bogus                    // it should be signed, and that does not hold
)

// verdict is what validation found of a step, for as long as its signatures hold.
type verdict struct {
	security security
	why      *dnssec.Bogus // of what is bogus, and of insecure where there is a reason to tell
	expires  time.Time     // the zero time: as the step
}

// until is when the step and its verdict are no longer to be used.
func (s *step) until() time.Time {
	if v := s.verdict.Load(); v != nil && !v.expires.IsZero() && v.expires.Before(s.expires) {
		return v.expires
	}
	return s.expires
}

// size is about how many octets the step takes in memory.
func (s *step) size() int {
	n := 400 + 2*len(s.q.name)
	for _, rr := range s.set {
		n += 100 + dns.Len(rr)
	}
	for _, rr := range s.sigs {
		n += 100 + 2*dns.Len(rr)
	}
	for _, rr := range s.auth {
		n += 100 + 2*dns.Len(rr)
	}
	return n
}

// extract takes the meaning of a server's answer to q: one step for each name along
// the aliases that are in the answer and in the zone that the server speaks for.
// It is nil where the answer does not answer q.
func extract(m *dns.Msg, q question, zone string, now time.Time, o *Options) []*step {
	var steps []*step
	for range maxAliases + 1 {
		s := extractOne(m, q, zone, now, o)
		if s == nil {
			return steps
		}
		s.chained = len(steps) > 0
		steps = append(steps, s)
		if s.kind != alias || !dns.IsSubDomain(zone, s.target) {
			return steps
		}
		q.name = s.target
	}
	return steps
}

func extractOne(m *dns.Msg, q question, zone string, now time.Time, o *Options) *step {
	s := &step{q: q, zone: zone, made: now, ad: m.AuthenticatedData}
	cname := pick(m.Answer, q.name, dns.TypeCNAME)
	set := pick(m.Answer, q.name, q.t)
	dname := above(m.Answer, q.name, zone)
	switch {
	case len(set) > 0:
		s.kind, s.set = has, set
	case len(cname) > 0 && q.t != dns.TypeCNAME && len(dname) == 0:
		s.kind, s.set = alias, cname[:1]
		s.target = dns.CanonicalName(cname[0].(*dns.CNAME).Target)
	case len(dname) > 0 && m.Rcode != dns.RcodeYXDomain:
		s.kind, s.set = alias, dname
		if s.target = substitute(q.name, dname[0].(*dns.DNAME)); s.target == "" {
			return nil
		}
	default:
		return s.negative(m, now, o)
	}
	s.sigs = signatures(m.Answer, s.set[0].Header().Name, s.set[0].Header().Rrtype)
	s.ttl = min(lowest(s.set), o.MaxTTL)
	// The proof that nothing is closer than a wildcard.
	for _, sig := range s.sigs {
		if int(sig.Labels) < dns.CountLabel(s.set[0].Header().Name) {
			s.auth = proofs(m.Ns, zone)
			break
		}
	}
	s.expires = now.Add(s.ttl)
	return s
}

// negative makes a step of an answer that has nothing, or nil if it is no answer.
func (s *step) negative(m *dns.Msg, now time.Time, o *Options) *step {
	var soa *dns.SOA
	for _, rr := range m.Ns {
		if x, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(s.zone, x.Hdr.Name) && dns.IsSubDomain(x.Hdr.Name, s.q.name) {
			soa = x
		}
	}
	switch {
	case m.Rcode == dns.RcodeNameError:
		s.kind = noName
	case m.Rcode != dns.RcodeSuccess:
		return nil
	case soa == nil && !m.Authoritative && !m.RecursionAvailable, len(m.Answer) > 0 && soa == nil:
		return nil // it may be further along the aliases, or nowhere
	default:
		s.kind = noData
	}
	if soa != nil {
		// RFC 2308 §5; without SOA it is not remembered (RFC 2308 §5).
		s.ttl = min(seconds(min(soa.Hdr.Ttl, soa.Minttl)), o.MaxNegative)
		s.auth = append(s.auth, lower(soa))
		for _, sig := range signatures(m.Ns, dns.CanonicalName(soa.Hdr.Name), dns.TypeSOA) {
			s.auth = append(s.auth, sig)
		}
	}
	s.auth = append(s.auth, proofs(m.Ns, s.zone)...)
	s.expires = now.Add(s.ttl)
	return s
}

// lower is a record with its owner in lower case, so that owners can be compared.
func lower(rr dns.RR) dns.RR {
	rr.Header().Name = dns.CanonicalName(rr.Header().Name)
	return rr
}

// pick gives the records of one set, up to maxRecords.
func pick(rrs []dns.RR, name string, t uint16) []dns.RR {
	var set []dns.RR
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype != t || h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) || len(set) == maxRecords || duplicate(set, rr) {
			continue
		}
		set = append(set, lower(rr))
	}
	return set
}

// duplicate says whether a record stands in a set already (RFC 2181 §5).
func duplicate(set []dns.RR, rr dns.RR) bool {
	if len(set) > 64 {
		return false // verification sees to it
	}
	for _, have := range set {
		if dns.IsDuplicate(have, rr) {
			return true
		}
	}
	return false
}

// maxSigs is how many signatures of one set are kept.
const maxSigs = 16

// signatures are those of one set.
func signatures(rrs []dns.RR, name string, t uint16) []*dns.RRSIG {
	var sigs []*dns.RRSIG
	for _, rr := range rrs {
		if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == t && strings.EqualFold(sig.Hdr.Name, name) && len(sigs) < maxSigs {
			lower(sig)
			sigs = append(sigs, sig)
		}
	}
	return sigs
}

// maxProofs is how many records of a proof are kept, signatures among them.
const maxProofs = 48

// proofs are the NSEC and NSEC3 records of a zone or one below it, with signatures.
func proofs(rrs []dns.RR, zone string) []dns.RR {
	var all []dns.RR
	for _, rr := range rrs {
		t := rr.Header().Rrtype
		if sig, ok := rr.(*dns.RRSIG); ok {
			t = sig.TypeCovered
		}
		if (t == dns.TypeNSEC || t == dns.TypeNSEC3) && dns.IsSubDomain(zone, rr.Header().Name) && len(all) < maxProofs {
			all = append(all, lower(rr))
		}
	}
	return all
}

// above gives the DNAME record that a name lies below (RFC 6672 §3).
func above(rrs []dns.RR, name, zone string) []dns.RR {
	for _, rr := range rrs {
		owner := rr.Header().Name
		if rr.Header().Rrtype == dns.TypeDNAME && !strings.EqualFold(owner, name) && dns.IsSubDomain(owner, name) && dns.IsSubDomain(zone, owner) {
			return []dns.RR{lower(rr)}
		}
	}
	return nil
}

// substitute is the name that a DNAME makes of another; "" if it is too long
// (RFC 6672 §2.2).
func substitute(name string, d *dns.DNAME) string {
	prefix := strings.TrimSuffix(name, dnssec.Suffix(name, dns.CountLabel(d.Hdr.Name)))
	target := dns.CanonicalName(d.Target)
	if target == "." {
		target = ""
	}
	if _, ok := dns.IsDomainName(prefix + target); !ok {
		return ""
	}
	return prefix + target
}

// lowest is the smallest TTL of a set.
func lowest(set []dns.RR) time.Duration {
	ttl := seconds(set[0].Header().Ttl)
	for _, rr := range set[1:] {
		ttl = min(ttl, seconds(rr.Header().Ttl))
	}
	return ttl
}

// seconds is a TTL as a duration; one with the top bit set is 0 (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

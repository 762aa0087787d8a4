package zone

import (
	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// Answer is what a zone says to a question.
type Answer struct {
	Rcode         int
	Authoritative bool
	Answer        []dns.RR
	Authority     []dns.RR
	Additional    []dns.RR
}

// asking is one question in work.
type asking struct {
	z      *Zone
	t      uint16
	sigs   bool // signatures and proofs are wanted
	proofs map[int]bool
	Answer
}

// Ask answers a question about a name of the zone (RFC 1034 §4.3.2, RFC 4035 §3.1).
// name is canonical. sigs says whether the asker takes signatures.
func (z *Zone) Ask(name string, t uint16, sigs bool) Answer {
	a := asking{z: z, t: t, sigs: sigs && z.Signed}
	a.Authoritative = true
	for range maxAliases {
		if name = a.step(name); name == "" || !dns.IsSubDomain(z.Name, name) {
			break
		}
	}
	return a.Answer
}

// step answers for one name. It gives the name at the end of an alias.
func (a *asking) step(name string) (next string) {
	n, cut := a.z.at(name, a.t)
	switch {
	case cut != "":
		a.refer(cut)
	case n != nil:
		return a.from(n, name, name)
	default:
		return a.missing(name)
	}
	return ""
}

// at finds a name, or the delegation it lies under.
func (z *Zone) at(name string, t uint16) (n *node, cut string) {
	for labels := dns.CountLabel(z.Name) + 1; labels <= dns.CountLabel(name); labels++ {
		up := dnssec.Suffix(name, labels)
		if n := z.nodes[up]; n != nil && n.cut && (up != name || t != dns.TypeDS) {
			return nil, up
		}
	}
	return z.nodes[name], ""
}

// from answers with what stands at a node, for a name that is its own or, with a
// wildcard, another.
func (a *asking) from(n *node, owner, name string) (next string) {
	if a.t == dns.TypeANY {
		a.any(n, owner, name)
		return ""
	}
	if s := n.sets[a.t]; s != nil {
		a.put(s, owner, name)
		return ""
	}
	if s := n.sets[dns.TypeCNAME]; s != nil {
		a.put(s, owner, name)
		return dns.CanonicalName(s.rrs[0].(*dns.CNAME).Target)
	}
	a.negative(dns.RcodeSuccess)
	a.prove(owner)
	return ""
}

// any answers a question for everything with as little as may be: one set, which
// RFC 8482 §4.1 allows.
func (a *asking) any(n *node, owner, name string) {
	for _, t := range [...]uint16{dns.TypeCNAME, dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeSOA, dns.TypeNS} {
		if s := n.sets[t]; s != nil {
			a.put(s, owner, name)
			return
		}
	}
	for _, s := range n.sets {
		a.put(s, owner, name)
		return
	}
	a.negative(dns.RcodeSuccess)
	a.prove(owner)
}

// put gives a set; with a wildcard, under the name that was asked for.
func (a *asking) put(s *set, owner, name string) {
	if owner == name {
		a.Answer.Answer = s.with(a.sigs, a.Answer.Answer)
		return
	}
	for _, rr := range s.with(a.sigs, nil) {
		rr = dns.Copy(rr)
		rr.Header().Name = name
		a.Answer.Answer = append(a.Answer.Answer, rr)
	}
}

// missing answers for a name that is not there: by a wildcard, or that there is none
// (RFC 4592 §3.3.1).
func (a *asking) missing(name string) (next string) {
	closest := dnssec.Parent(name)
	for a.z.nodes[closest] == nil {
		closest = dnssec.Parent(closest)
	}
	star := "*." + closest
	nextCloser := dnssec.Suffix(name, dns.CountLabel(closest)+1)
	wild := a.z.nodes[star]
	if wild == nil || wild.cut {
		a.negative(dns.RcodeNameError)
		a.prove(closest)
		a.cover(nextCloser)
		a.cover(star)
		return ""
	}
	next = a.from(wild, star, name)
	if len(a.Authority) > 0 {
		a.prove(closest) // no data of this type (RFC 5155 §7.2.5)
	}
	a.cover(nextCloser)
	return next
}

// negative gives the SOA of an answer without what was asked for (RFC 2308 §3).
func (a *asking) negative(rcode int) {
	a.Rcode = rcode
	a.Authority = a.z.low.with(a.sigs, a.Authority)
}

// refer sends the asker to the servers of a delegation (RFC 4035 §3.1.4).
func (a *asking) refer(cut string) {
	n := a.z.nodes[cut]
	a.Authoritative = len(a.Answer.Answer) > 0
	servers := n.sets[dns.TypeNS]
	a.Authority = append(a.Authority, servers.rrs...)
	if ds := n.sets[dns.TypeDS]; ds != nil {
		if a.sigs {
			a.Authority = ds.with(true, a.Authority)
		}
	} else {
		a.prove(cut)
	}
	for _, rr := range servers.rrs {
		host := dns.CanonicalName(rr.(*dns.NS).Ns)
		glue := a.z.nodes[host]
		if glue == nil || !dns.IsSubDomain(cut, host) && !glue.below {
			continue
		}
		for _, t := range [...]uint16{dns.TypeA, dns.TypeAAAA} {
			if s := glue.sets[t]; s != nil {
				a.Additional = append(a.Additional, s.rrs...)
			}
		}
	}
}

// prove gives the link of a name that is there.
func (a *asking) prove(name string) {
	if !a.sigs {
		return
	}
	if i, ok := a.z.proven[name]; ok {
		a.link(i)
	}
}

// cover gives the link that leaves a name out.
func (a *asking) cover(name string) {
	if a.sigs {
		a.link(a.z.find(hash(name)))
	}
}

// link gives a link once.
func (a *asking) link(i int) {
	if a.proofs[i] {
		return
	}
	if a.proofs == nil {
		a.proofs = map[int]bool{}
	}
	a.proofs[i] = true
	a.Authority = a.z.chain[i].set.with(true, a.Authority)
}

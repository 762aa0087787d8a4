package zone

import (
	"slices"
	"sort"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// Signing says how a zone is signed. The zero Signing leaves it as it is.
type Signing struct {
	Keys  []SigningKey
	From  time.Time // signatures hold from here…
	Until time.Time // …until here
	// Parent are the keys that the parent is to name in its DS records, as CDS and
	// CDNSKEY records tell it (RFC 7344 §4); Forget tells it to name none (RFC 8078 §4).
	Parent []*dns.DNSKEY
	Forget bool
}

// SigningKey is a key of a zone at work.
type SigningKey struct {
	dnssec.Key
	Signs bool // else it is only published
}

// digest is that of our DS and CDS records (RFC 8624 §3.3).
const digest = dns.SHA256

// entry says whether a key signs the keys, and not the rest.
func (k SigningKey) entry() bool { return k.Flags&dns.SEP != 0 }

// records are those that the keys add to a zone.
func (s Signing) records(name string) []dns.RR {
	var rrs []dns.RR
	for _, k := range s.Keys {
		rrs = append(rrs, dns.Copy(k.DNSKEY))
	}
	for _, k := range s.Parent {
		cds, cdnskey := k.ToDS(digest).ToCDS(), k.ToCDNSKEY()
		cds.Hdr.Ttl, cdnskey.Hdr.Ttl = k.Hdr.Ttl, k.Hdr.Ttl
		rrs = append(rrs, cds, cdnskey)
	}
	if s.Forget {
		h := dns.RR_Header{Name: name, Class: dns.ClassINET, Ttl: 3600}
		cds, cdnskey := &dns.CDS{}, &dns.CDNSKEY{}
		cds.Hdr, cdnskey.Hdr = h, h
		cds.Hdr.Rrtype, cdnskey.Hdr.Rrtype = dns.TypeCDS, dns.TypeCDNSKEY
		cds.Digest = "00"
		cdnskey.Protocol, cdnskey.PublicKey = 3, "AA=="
		rrs = append(rrs, cds, cdnskey)
	}
	return rrs
}

// sign makes the chain and the signatures.
func (z *Zone) sign(how Signing) error {
	apex := z.nodes[z.Name]
	low := min(z.soa.rrs[0].Header().Ttl, z.soa.rrs[0].(*dns.SOA).Minttl) // RFC 9077 §3
	apex.sets[dns.TypeNSEC3PARAM] = &set{rrs: []dns.RR{&dns.NSEC3PARAM{
		Hdr: dns.RR_Header{Name: z.Name, Rrtype: dns.TypeNSEC3PARAM, Class: dns.ClassINET}, Hash: dns.SHA1,
	}}}
	types := map[string][]uint16{}
	for name, n := range z.nodes {
		if n.below {
			continue
		}
		list := []uint16{}
		for t, s := range n.sets {
			if n.cut && t != dns.TypeNS && t != dns.TypeDS {
				continue // glue
			}
			list = append(list, t)
			if n.cut && t == dns.TypeNS {
				continue // the child signs them
			}
			if err := s.sign(how, z.Name); err != nil {
				return err
			}
		}
		types[name] = list
	}
	z.proven = make(map[string]int, len(types))
	for _, rr := range dnssec.NSEC3s(z.Name, types, low, dnssec.Hashing{}) {
		h := hashed{hash: hashOf(rr), set: set{rrs: []dns.RR{rr}}}
		if err := h.set.sign(how, z.Name); err != nil {
			return err
		}
		z.chain = append(z.chain, h)
	}
	slices.SortFunc(z.chain, func(a, b hashed) int { return cmpText(a.hash, b.hash) })
	for name := range types {
		z.proven[name] = z.find(hash(name))
	}
	return nil
}

// sign makes the signatures of a set.
func (s *set) sign(how Signing, apex string) error {
	h := s.rrs[0].Header()
	ofKeys := h.Name == apex && (h.Rrtype == dns.TypeDNSKEY || h.Rrtype == dns.TypeCDS || h.Rrtype == dns.TypeCDNSKEY)
	for _, k := range how.Keys {
		if !k.Signs || k.entry() != ofKeys && !how.single(k) {
			continue
		}
		sig, err := k.Sign(s.rrs, how.From, how.Until)
		if err != nil {
			return err
		}
		s.sigs = append(s.sigs, sig)
	}
	return nil
}

// single says whether a key is the only kind there is, and signs everything.
func (s Signing) single(k SigningKey) bool {
	for _, other := range s.Keys {
		if other.Signs && other.Algorithm == k.Algorithm && other.entry() != k.entry() {
			return false
		}
	}
	return true
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// hash is a name's in the chain, in upper case as base32hex.
func hash(name string) string { return dns.HashName(name, dns.SHA1, 0, "") }

func hashOf(rr *dns.NSEC3) string {
	label, _ := dns.NextLabel(rr.Hdr.Name, 0)
	return upper(rr.Hdr.Name[:label-1])
}

func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// find is the place of the link that matches a hash, or else of the one that
// covers it.
func (z *Zone) find(h string) int {
	i := sort.Search(len(z.chain), func(i int) bool { return z.chain[i].hash > h }) - 1
	if i < 0 {
		i = len(z.chain) - 1 // the last covers what is before the first
	}
	return i
}

package dnssec

import (
	"crypto"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Key is a zone's key with its private half.
type Key struct {
	*dns.DNSKEY
	Private crypto.Signer
}

// keyTTL is the TTL in seconds of the DNSKEY records that Generate makes.
const keyTTL = 3600

// Generate makes a key for a zone; entry says whether a parent is to name it by a
// digest (a key-signing key, RFC 4034 §2.1.1). RSA keys have 2048 bits.
func Generate(zone string, algorithm uint8, entry bool) (Key, error) {
	const op = "dnssec.Generate"
	bits, ok := map[uint8]int{
		dns.RSASHA256: 2048, dns.RSASHA512: 2048, dns.ECDSAP256SHA256: 256, dns.ECDSAP384SHA384: 384, dns.ED25519: 256,
	}[algorithm]
	if !ok {
		return Key{}, fault.New(fault.Unsupported, op, "not an algorithm to sign with")
	}
	k := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: dns.CanonicalName(zone), Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: keyTTL},
		Flags: dns.ZONE, Protocol: 3, Algorithm: algorithm,
	}
	if entry {
		k.Flags |= dns.SEP
	}
	private, err := k.Generate(bits)
	if err != nil {
		return Key{}, fault.As(fault.Internal, op, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return Key{}, fault.New(fault.Internal, op, "a key that cannot sign")
	}
	return Key{k, signer}, nil
}

// Sign signs a set of records, which are of one name, type and class.
func (k Key) Sign(set []dns.RR, from, until time.Time) (*dns.RRSIG, error) {
	const op = "dnssec.Sign"
	if len(set) == 0 {
		return nil, fault.New(fault.Invalid, op, "nothing to sign")
	}
	sig := &dns.RRSIG{
		Hdr:        dns.RR_Header{Ttl: set[0].Header().Ttl},
		KeyTag:     k.KeyTag(),
		SignerName: k.Hdr.Name,
		Algorithm:  k.Algorithm,
		Inception:  uint32(from.Unix()),
		Expiration: uint32(until.Unix()),
	}
	if err := sig.Sign(k.Private, set); err != nil {
		return nil, fault.As(fault.Internal, op, err)
	}
	return sig, nil
}

// NSECs is the chain that says which names of a zone are, and of which types: types
// lists those of each name in the zone, the types of the chain itself not counted
// (RFC 4035 §2.3). Names below a delegation do not belong there.
func NSECs(zone string, types map[string][]uint16, ttl uint32) []*dns.NSEC {
	names := make([]string, 0, len(types))
	for name := range types {
		names = append(names, name)
	}
	slices.SortFunc(names, Order)
	chain := make([]*dns.NSEC, len(names))
	for i, name := range names {
		chain[i] = &dns.NSEC{
			Hdr:        dns.RR_Header{Name: name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: ttl},
			NextDomain: names[(i+1)%len(names)],
			TypeBitMap: bitmap(types[name], dns.TypeNSEC, dns.TypeRRSIG),
		}
	}
	return chain
}

// bitmap is a sorted list of types with others.
func bitmap(types []uint16, more ...uint16) []uint16 {
	all := slices.Concat(types, more)
	slices.Sort(all)
	return slices.Compact(all)
}

// Hashing says how NSEC3 records are made. The zero Hashing is what RFC 9276 §3.1
// advises: no more iterations, no salt, no opt-out.
type Hashing struct {
	Iterations uint16
	Salt       string // in hexadecimal digits
	OptOut     bool   // unsigned delegations have no record (RFC 5155 §6)
}

// NSEC3s is the chain by hashes (RFC 5155 §7.1); empty non-terminals get records, too.
func NSEC3s(zone string, types map[string][]uint16, ttl uint32, h Hashing) []*dns.NSEC3 {
	byHash := map[string][]uint16{}
	for name, list := range types {
		unsigned := slices.Contains(list, dns.TypeNS) && !slices.Contains(list, dns.TypeSOA) && !slices.Contains(list, dns.TypeDS)
		if h.OptOut && unsigned {
			continue
		}
		if !unsigned {
			list = bitmap(list, dns.TypeRRSIG)
		}
		byHash[dns.HashName(name, dns.SHA1, h.Iterations, h.Salt)] = bitmap(list)
		for up := Parent(name); dns.IsSubDomain(zone, up) && up != zone && name != zone; up = Parent(up) {
			if _, there := types[up]; !there {
				byHash[dns.HashName(up, dns.SHA1, h.Iterations, h.Salt)] = nil
			}
		}
	}
	hashes := make([]string, 0, len(byHash))
	for hash := range byHash {
		hashes = append(hashes, hash)
	}
	slices.Sort(hashes)
	chain := make([]*dns.NSEC3, len(hashes))
	for i, hash := range hashes {
		rr := &dns.NSEC3{
			Hdr:  dns.RR_Header{Name: under(hash, zone), Rrtype: dns.TypeNSEC3, Class: dns.ClassINET, Ttl: ttl},
			Hash: dns.SHA1, Iterations: h.Iterations, SaltLength: uint8(len(h.Salt) / 2), Salt: h.Salt,
			HashLength: 20, NextDomain: hashes[(i+1)%len(hashes)], TypeBitMap: byHash[hash],
		}
		if h.OptOut {
			rr.Flags = optOut
		}
		chain[i] = rr
	}
	return chain
}

// under is the name of a hash in a zone.
func under(hash, zone string) string {
	if zone == "." {
		zone = ""
	}
	return strings.ToLower(hash) + "." + zone
}

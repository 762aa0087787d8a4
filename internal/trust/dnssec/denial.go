package dnssec

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Proof is how well it is proved that something is not there.
type Proof uint8

// What a proof can be worth.
const (
	Unproved Proof = iota // nothing proves it: whoever says so may lie
	Secure                // it is proved
	Insecure              // it is proved that it cannot be proved: opt-out, or more iterations than we count
)

// Denial is the proof that came with an answer: NSEC or NSEC3 records of a zone
// whose signatures hold.
type Denial struct {
	w     *Work
	zone  string
	nsec  []*dns.NSEC
	nsec3 []hashed
	many  bool // iterations: nothing more can be said than that

	hashes map[string]string // of names that were hashed
}

// Denial takes the records of a zone, whose signatures were checked, that speak of
// what is not there.
func (w *Work) Denial(zone string, verified []dns.RR) *Denial {
	d := &Denial{w: w, zone: zone, hashes: map[string]string{}}
	for _, rr := range verified {
		if len(d.nsec)+len(d.nsec3) >= maxDenials {
			break
		}
		switch rr := rr.(type) {
		case *dns.NSEC:
			if dns.IsSubDomain(zone, rr.Hdr.Name) && dns.IsSubDomain(zone, rr.NextDomain) {
				d.nsec = append(d.nsec, rr)
			}
		case *dns.NSEC3:
			d.add(rr)
		}
	}
	return d
}

// Excessive says whether the zone's NSEC3 records want more iterations than we count.
func (d *Denial) Excessive() bool { return d.many }

// NoName proves that a name does not exist, nor a wildcard for it (RFC 4035 §5.4,
// RFC 5155 §8.4).
func (d *Denial) NoName(name string) Proof {
	if d.many {
		return Insecure
	}
	if p := d.noName3(name); p != Unproved {
		return p
	}
	rr := d.covering(name)
	if rr == nil || dns.IsSubDomain(name, rr.NextDomain) { // there is something below it, so that it is
		return Unproved
	}
	if d.covering(wildcard(d.encloser(rr, name))) == nil {
		return Unproved
	}
	return Secure
}

// NoData proves that a name has no records of a type, nor an alias (RFC 4035 §5.4,
// RFC 5155 §8.5 to §8.7).
func (d *Denial) NoData(name string, t uint16) Proof {
	if d.many {
		return Insecure
	}
	if p := d.noData3(name, t); p != Unproved {
		return p
	}
	if rr := d.matching(name); rr != nil {
		return lacks(rr.TypeBitMap, t, name)
	}
	rr := d.covering(name)
	if rr == nil {
		return Unproved
	}
	if dns.IsSubDomain(name, rr.NextDomain) {
		return Secure // an empty non-terminal
	}
	if w := d.matching(wildcard(d.encloser(rr, name))); w != nil {
		return lacks(w.TypeBitMap, t, w.Hdr.Name)
	}
	return Unproved
}

// NoDS proves that a name has no digests. cut says whether the name begins an
// unsigned zone, or may (opt-out); otherwise it lies in the zone itself.
func (d *Denial) NoDS(name string) (p Proof, cut bool) {
	if d.many {
		return Insecure, true
	}
	p = d.NoData(name, dns.TypeDS)
	switch p {
	case Insecure:
		return p, true
	case Unproved:
		// A name that does not exist has none either.
		if p = d.NoName(name); p == Insecure {
			return p, true
		}
		return p, false
	}
	types := d.types(name)
	return p, slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA)
}

// types are those that a name has, if a record matches it.
func (d *Denial) types(name string) []uint16 {
	if rr := d.matching(name); rr != nil {
		return rr.TypeBitMap
	}
	if rr := d.matching3(name); rr != nil {
		return rr.TypeBitMap
	}
	return nil
}

// NoCloser proves for a set that was drawn from a wildcard below the ancestor with so
// many labels that nothing stands closer to the name (RFC 4035 §5.3.4, RFC 5155 §8.8).
func (d *Denial) NoCloser(name string, labels int) Proof {
	if d.many {
		return Insecure
	}
	if next := d.covering3(Suffix(name, labels+1)); next != nil {
		return next.worth()
	}
	rr := d.covering(name)
	if rr == nil || dns.IsSubDomain(name, rr.NextDomain) || dns.CountLabel(d.encloser(rr, name)) != labels {
		return Unproved
	}
	return Secure
}

// lacks says what the types at a name prove about one (RFC 6840 §4.3). A record from
// above a zone cut only speaks of digests, and one from below it of all else
// (RFC 6840 §4.1, §4.4).
func lacks(types []uint16, t uint16, name string) Proof {
	delegation := slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA)
	switch {
	case slices.Contains(types, t), slices.Contains(types, dns.TypeCNAME):
		return Unproved
	case t == dns.TypeDS && slices.Contains(types, dns.TypeSOA) && name != ".":
		return Unproved
	case t != dns.TypeDS && delegation:
		return Unproved
	}
	return Secure
}

// matching is the NSEC record of a name.
func (d *Denial) matching(name string) *dns.NSEC {
	for _, rr := range d.nsec {
		if strings.EqualFold(rr.Hdr.Name, name) {
			return rr
		}
	}
	return nil
}

// covering is the NSEC record whose gap a name falls into.
func (d *Denial) covering(name string) *dns.NSEC {
	if !dns.IsSubDomain(d.zone, name) {
		return nil
	}
	for _, rr := range d.nsec {
		if Order(rr.Hdr.Name, name) >= 0 || foreign(rr.TypeBitMap) && dns.IsSubDomain(rr.Hdr.Name, name) {
			continue
		}
		if Order(name, rr.NextDomain) < 0 || strings.EqualFold(rr.NextDomain, d.zone) {
			return rr
		}
	}
	return nil
}

// foreign says whether what is below a name is not its zone's to deny: another zone,
// or another tree by DNAME (RFC 6840 §4.1).
func foreign(types []uint16) bool {
	return slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA) || slices.Contains(types, dns.TypeDNAME)
}

// encloser is the nearest ancestor of a name that exists, by the record whose gap the
// name falls into: the longer of what it shares with the gap's ends.
func (d *Denial) encloser(rr *dns.NSEC, name string) string {
	a, b := common(name, rr.Hdr.Name), common(name, rr.NextDomain)
	if len(b) > len(a) {
		return b
	}
	return a
}

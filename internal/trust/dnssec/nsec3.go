package dnssec

import (
	"strings"

	"github.com/miekg/dns"
)

// hashed is an NSEC3 record and the hash that is its name's first label.
type hashed struct {
	*dns.NSEC3
	hash string // in upper case, base 32
}

const optOut = 1 // flag (RFC 5155 §3.1.2.1)

// worth is what a gap proves: with opt-out unsigned delegations may lie in it.
func (h *hashed) worth() Proof {
	if h.Flags&optOut != 0 {
		return Insecure
	}
	return Secure
}

// add takes a record if it is of a kind that is known (RFC 5155 §8.1) and of the same
// parameters as the first (§8.2).
func (d *Denial) add(rr *dns.NSEC3) {
	if rr.Hash != dns.SHA1 || rr.Flags&^optOut != 0 || !strings.EqualFold(Parent(rr.Hdr.Name), d.zone) {
		return
	}
	if rr.Iterations > MaxIterations {
		d.many = true
		return
	}
	if len(d.nsec3) > 0 && (d.nsec3[0].Iterations != rr.Iterations || !strings.EqualFold(d.nsec3[0].Salt, rr.Salt)) {
		return
	}
	d.nsec3 = append(d.nsec3, hashed{rr, strings.ToUpper(rr.Hdr.Name[:strings.IndexByte(rr.Hdr.Name, '.')])})
}

// hash is a name's, or "" if the question has cost too many or there is no NSEC3.
func (d *Denial) hash(name string) string {
	if len(d.nsec3) == 0 || !dns.IsSubDomain(d.zone, name) {
		return ""
	}
	if h, ok := d.hashes[name]; ok {
		return h
	}
	if d.w.Hashes++; d.w.Hashes > MaxHashes {
		return ""
	}
	first := d.nsec3[0]
	h := dns.HashName(name, first.Hash, first.Iterations, first.Salt)
	d.hashes[name] = h
	return h
}

func (d *Denial) matching3(name string) *hashed {
	h := d.hash(name)
	for i := range d.nsec3 {
		if h != "" && d.nsec3[i].hash == h {
			return &d.nsec3[i]
		}
	}
	return nil
}

// covering3 is the record whose gap a name's hash falls into.
func (d *Denial) covering3(name string) *hashed {
	h := d.hash(name)
	if h == "" {
		return nil
	}
	for i := range d.nsec3 {
		rr := &d.nsec3[i]
		next := strings.ToUpper(rr.NextDomain)
		switch {
		case rr.hash < next && rr.hash < h && h < next,
			rr.hash >= next && (h > rr.hash || h < next): // the last gap, round the end
			return rr
		}
	}
	return nil
}

// encloser3 finds the nearest ancestor of a name that exists, and the gap in which
// the name one label longer lies (RFC 5155 §8.3).
func (d *Denial) encloser3(name string) (encloser string, gap *hashed) {
	next := name
	for {
		if rr := d.matching3(next); rr != nil {
			if next == name || foreign(rr.TypeBitMap) {
				return "", nil // it exists, or what is below is not this zone's
			}
			return next, gap
		}
		if strings.EqualFold(next, d.zone) || next == "." || d.w.Hashes > MaxHashes {
			return "", nil
		}
		if gap = d.covering3(next); gap == nil && d.matching3(Parent(next)) != nil {
			return "", nil
		}
		next = Parent(next)
	}
}

func (d *Denial) noName3(name string) Proof {
	if len(d.nsec3) == 0 {
		return Unproved
	}
	encloser, gap := d.encloser3(name)
	if gap == nil || d.covering3(wildcard(encloser)) == nil {
		return Unproved
	}
	return gap.worth() // RFC 5155 §9.2: with opt-out nothing is authentic
}

func (d *Denial) noData3(name string, t uint16) Proof {
	if len(d.nsec3) == 0 {
		return Unproved
	}
	if rr := d.matching3(name); rr != nil {
		return lacks(rr.TypeBitMap, t, name)
	}
	encloser, gap := d.encloser3(name)
	if gap == nil {
		return Unproved
	}
	if gap.worth() == Insecure {
		return Insecure // it may be an unsigned delegation, or stand above one
	}
	if rr := d.matching3(wildcard(encloser)); rr != nil {
		return lacks(rr.TypeBitMap, t, name)
	}
	return Unproved
}

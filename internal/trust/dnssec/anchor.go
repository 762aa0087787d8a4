package dnssec

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// The times of RFC 5011.
const (
	addHoldDown    = 30 * 24 * time.Hour // §2.4.1: a new key waits so long
	removeHoldDown = 30 * 24 * time.Hour // §2.4.2: a revoked one is remembered so long
	minRefresh     = time.Hour           // §2.3
	maxRefresh     = 15 * 24 * time.Hour // §2.3
	maxAnchors     = 32                  // keys of one zone that are followed
)

// State is where a key that is followed stands (RFC 5011 §4.2).
type State string

// The states that are kept. A key that is in none is at the start.
const (
	Pending State = "pending" // new: trusted when it has been there for 30 days
	Valid   State = "valid"   // trusted
	Missing State = "missing" // trusted, though the zone does not show it
	Revoked State = "revoked" // never trusted again
)

// Anchor is a key that is followed.
type Anchor struct {
	Key   string    `json:"key"` // the DNSKEY record as a line of a zone file
	State State     `json:"state"`
	Since time.Time `json:"since"`
}

// Anchors are what the trust in a zone begins with: digests that were given, and the
// zone's keys as they have been followed since (RFC 5011). The keys count once there
// are any.
type Anchors struct {
	Zone string
	DS   []*dns.DS
	Keys []Anchor
}

// NewAnchors takes DS and DNSKEY records, as a trust anchor file has them, by zone.
func NewAnchors(rrs []dns.RR) ([]*Anchors, error) {
	byZone := map[string]*Anchors{}
	var all []*Anchors
	for _, rr := range rrs {
		var ds *dns.DS
		switch rr := rr.(type) {
		case *dns.DS:
			ds = rr
		case *dns.DNSKEY:
			if rr.Flags&dns.ZONE == 0 || rr.Flags&dns.REVOKE != 0 {
				continue
			}
			ds = rr.ToDS(dns.SHA256)
		}
		if ds == nil {
			return nil, fault.New(fault.Invalid, "dnssec.NewAnchors", "a trust anchor is a DS or DNSKEY record, not "+rr.String())
		}
		zone := dns.CanonicalName(rr.Header().Name)
		a := byZone[zone]
		if a == nil {
			a = &Anchors{Zone: zone}
			byZone[zone] = a
			all = append(all, a)
		}
		a.DS = append(a.DS, ds)
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Invalid, "dnssec.NewAnchors", "no trust anchor")
	}
	return all, nil
}

// Trusted are the digests of the keys that are trusted now.
func (a *Anchors) Trusted() []*dns.DS {
	var ds []*dns.DS
	for _, k := range a.Keys {
		if k.State == Valid || k.State == Missing {
			if key := k.key(); key != nil {
				ds = append(ds, key.ToDS(dns.SHA256))
			}
		}
	}
	if len(ds) == 0 {
		return a.DS
	}
	return ds
}

func (k Anchor) key() *dns.DNSKEY {
	rr, err := dns.NewRR(k.Key)
	if err != nil {
		return nil
	}
	key, _ := rr.(*dns.DNSKEY)
	return key
}

// Follow takes a zone's DNSKEY set whose signatures by a trusted key hold, and brings
// the states up to date (RFC 5011 §4.1). It says whether anything changed and when to
// look again.
func (a *Anchors) Follow(set []dns.RR, sigs []*dns.RRSIG, v Verified, now time.Time) (changed bool, next time.Duration) {
	before, _ := json.Marshal(a.Keys)
	first := len(a.Keys) == 0
	seen := map[string]bool{}
	for _, k := range zoneKeysAll(set) {
		id := identity(k)
		seen[id] = true
		at := slices.IndexFunc(a.Keys, func(o Anchor) bool { o2 := o.key(); return o2 != nil && identity(o2) == id })
		switch {
		case k.Flags&dns.REVOKE != 0:
			a.revoke(at, k, set, sigs, now)
		case k.Flags&dns.SEP == 0:
		case at >= 0:
			a.seen(at, now)
		case len(a.Keys) < maxAnchors:
			state := Pending
			if first && slices.ContainsFunc(a.DS, func(d *dns.DS) bool { return Matches(d, k) }) {
				state = Valid
			}
			a.Keys = append(a.Keys, Anchor{k.String(), state, now})
		}
	}
	a.Keys = slices.DeleteFunc(a.Keys, func(o Anchor) bool {
		k := o.key()
		gone := k == nil || !seen[identity(k)]
		return gone && o.State == Pending || o.State == Revoked && gone && now.Sub(o.Since) >= removeHoldDown
	})
	for i, o := range a.Keys {
		if k := o.key(); k != nil && !seen[identity(k)] && o.State == Valid {
			a.Keys[i].State, a.Keys[i].Since = Missing, now
		}
	}
	after, _ := json.Marshal(a.Keys)
	interval := min(time.Duration(v.TTL)*time.Second/2, v.Until.Sub(now)/2, maxRefresh)
	return string(before) != string(after), max(interval, minRefresh)
}

// seen moves a key on that the zone shows.
func (a *Anchors) seen(at int, now time.Time) {
	k := &a.Keys[at]
	switch {
	case k.State == Missing, k.State == Pending && now.Sub(k.Since) >= addHoldDown:
		k.State, k.Since = Valid, now
	}
}

// revoke gives a key up that says so itself, signed by itself (RFC 5011 §2.1).
func (a *Anchors) revoke(at int, k *dns.DNSKEY, set []dns.RR, sigs []*dns.RRSIG, now time.Time) {
	if at < 0 || a.Keys[at].State == Revoked {
		return
	}
	var w Work
	if _, err := w.Verify(set, sigs, a.Zone, []*dns.DNSKEY{k}, now); err == nil {
		a.Keys[at].State, a.Keys[at].Since = Revoked, now
	}
}

// identity is what stays of a key when it is revoked.
func identity(k *dns.DNSKEY) string {
	return strings.Join([]string{dns.AlgorithmToString[k.Algorithm], k.PublicKey}, " ")
}

func zoneKeysAll(set []dns.RR) []*dns.DNSKEY {
	keys := zoneKeys(set)
	// Those that may be followed come first, so that a long set hides none.
	slices.SortStableFunc(keys, func(x, y *dns.DNSKEY) int { return int(y.Flags&dns.SEP) - int(x.Flags&dns.SEP) })
	return keys
}

// MarshalText gives what is to be kept of anchors.
func (a *Anchors) MarshalText() ([]byte, error) {
	return json.Marshal(struct {
		Zone string   `json:"zone"`
		Keys []Anchor `json:"keys"`
	}{a.Zone, a.Keys})
}

// UnmarshalText takes what was kept, for the same zone. What cannot be read is
// refused, and the digests that were given count.
func (a *Anchors) UnmarshalText(b []byte) error {
	const op = "dnssec.Anchors"
	var kept struct {
		Zone string   `json:"zone"`
		Keys []Anchor `json:"keys"`
	}
	if err := json.Unmarshal(b, &kept); err != nil {
		return fault.As(fault.Corrupt, op, err)
	}
	if kept.Zone != a.Zone || len(kept.Keys) > maxAnchors {
		return fault.New(fault.Corrupt, op, "not the anchors of "+a.Zone)
	}
	for _, k := range kept.Keys {
		if k.key() == nil {
			return fault.New(fault.Corrupt, op, "not a key: "+k.Key)
		}
	}
	a.Keys = kept.Keys
	return nil
}

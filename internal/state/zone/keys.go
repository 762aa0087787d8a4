package zone

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// How a zone is signed, and how its keys roll (RFC 6781 §4.1, RFC 7583 §3).
const (
	algorithm = dns.ECDSAP256SHA256 // RFC 8624 §3.1

	signedFor   = 14 * 24 * time.Hour // how long a signature holds
	signedEvery = 3 * 24 * time.Hour  // then they are made anew
	signedSince = 6 * time.Hour       // before they are made: clocks differ

	// settle is how long something that is published takes until all know it and
	// nobody remembers what was before: the longest TTL we give out, and time for
	// secondaries.
	settle     = 2 * 24 * time.Hour
	zoneKeyAge = 90 * 24 * time.Hour // after it the next zone-signing key comes
	// entryKeyAge is for the key that the parent names. It rolls by itself only where
	// the parent follows CDS records.
	entryKeyAge = 2 * 365 * 24 * time.Hour
)

// Key is a key of a zone as it is kept. A zero time has not come.
type Key struct {
	Entry   bool      `json:"entry,omitempty"` // the parent names it (a KSK); else it signs the rest (a ZSK)
	Private []byte    `json:"private"`         // PKCS #8
	Public  string    `json:"public"`          // as in the DNSKEY record
	Tag     uint16    `json:"tag"`
	Made    time.Time `json:"made"`    // and published
	Active  time.Time `json:"active"`  // signs from here on
	Retired time.Time `json:"retired"` // signs no more
	// Parent is when the parent's DS was first seen to name it, Gone when it was first
	// seen not to any more.
	Parent time.Time `json:"parent"`
	Gone   time.Time `json:"gone"`
}

// newKey makes a key. It is active at once if first.
func newKey(name string, entry, first bool, now time.Time) (Key, error) {
	const op = "zone.newKey"
	k, err := dnssec.Generate(name, algorithm, entry)
	if err != nil {
		return Key{}, fault.Wrap(op, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		return Key{}, fault.As(fault.Internal, op, err)
	}
	out := Key{Entry: entry, Private: private, Public: k.PublicKey, Tag: k.KeyTag(), Made: now}
	if first || entry {
		out.Active = now // a KSK signs the keys from the day it is published: the double signature of RFC 6781 §4.1.2
	}
	return out, nil
}

// open gives the key at work.
func (k Key) open(name string, now time.Time) (SigningKey, error) {
	const op = "zone.open"
	private, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return SigningKey{}, fault.As(fault.Corrupt, op, err)
	}
	signer, ok := private.(crypto.Signer)
	if _, bad := base64.StdEncoding.DecodeString(k.Public); !ok || bad != nil {
		return SigningKey{}, fault.New(fault.Corrupt, op, "a key that cannot sign")
	}
	record := k.record(name)
	signs := !k.Active.IsZero() && !now.Before(k.Active) && (k.Retired.IsZero() || now.Before(k.Retired))
	return SigningKey{dnssec.Key{DNSKEY: record, Private: signer}, signs}, nil
}

func (k Key) record(name string) *dns.DNSKEY {
	r := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: dns.CanonicalName(name), Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: dns.ZONE, Protocol: 3, Algorithm: algorithm, PublicKey: k.Public,
	}
	if k.Entry {
		r.Flags |= dns.SEP
	}
	return r
}

// DS is the record that the parent is to have of an entry key.
func (k Key) DS(name string) *dns.DS { return k.record(name).ToDS(digest) }

// Parent is what is known of a zone's parent.
type Parent struct {
	Seen    bool      // DS is what it has
	DS      []*dns.DS // of the zone
	Follows bool      // it reads CDS records, so that entry keys can roll by themselves
}

// Roll gives the keys as they should be now: it makes those that are due, retires
// those that are old, and drops those that nobody needs any more.
func Roll(name string, keys []Key, now time.Time, parent Parent) ([]Key, bool, error) {
	r := roll{name: name, keys: slices.Clone(keys), now: now, follows: parent.Follows}
	if parent.Seen {
		r.look(parent.DS)
	}
	err := r.first()
	if err == nil {
		err = r.zoneKeys()
	}
	if err == nil {
		err = r.entryKeys()
	}
	return r.keys, r.changed, err
}

type roll struct {
	name    string
	keys    []Key
	now     time.Time
	follows bool
	changed bool
}

// look notes which keys the parent names.
func (r *roll) look(parent []*dns.DS) {
	for i := range r.keys {
		k := &r.keys[i]
		if !k.Entry {
			continue
		}
		named := slices.ContainsFunc(parent, func(d *dns.DS) bool { return dnssec.Matches(d, k.record(r.name)) })
		switch {
		case named && (k.Parent.IsZero() || !k.Gone.IsZero()):
			k.Parent, k.Gone, r.changed = r.now, time.Time{}, true
		case !named && !k.Parent.IsZero() && k.Gone.IsZero():
			k.Gone, r.changed = r.now, true
		}
	}
}

// add makes a key.
func (r *roll) add(entry, first bool) error {
	k, err := newKey(r.name, entry, first, r.now)
	if err == nil {
		r.keys, r.changed = append(r.keys, k), true
	}
	return err
}

// first makes the keys of a zone that has none.
func (r *roll) first() error {
	for _, entry := range []bool{true, false} {
		if !slices.ContainsFunc(r.keys, func(k Key) bool { return k.Entry == entry }) {
			if err := r.add(entry, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// zoneKeys rolls by publishing ahead (RFC 6781 §4.1.1.1): the next key is known
// everywhere before it signs, and the old one is there until the last signature by
// it is forgotten.
func (r *roll) zoneKeys() error {
	var newest *Key
	for i := range r.keys {
		if k := &r.keys[i]; !k.Entry && (newest == nil || k.Made.After(newest.Made)) {
			newest = k
		}
	}
	if newest.Active.IsZero() && r.now.Sub(newest.Made) >= settle {
		newest.Active, r.changed = r.now, true
		for i := range r.keys {
			if k := &r.keys[i]; !k.Entry && k != newest && k.Retired.IsZero() {
				k.Retired = r.now
			}
		}
	}
	r.drop(func(k Key) bool { return !k.Entry && !k.Retired.IsZero() && r.now.Sub(k.Retired) >= settle })
	if !newest.Active.IsZero() && r.now.Sub(newest.Active) >= zoneKeyAge {
		return r.add(false, false)
	}
	return nil
}

// entryKeys rolls by double signature (RFC 6781 §4.1.2): the next key signs beside the
// old one, the parent is told of it by CDS, and the old one goes once the parent
// has let it go and all have forgotten that.
func (r *roll) entryKeys() error {
	newest := r.newestEntry()
	if !newest.Parent.IsZero() && newest.Gone.IsZero() {
		r.drop(func(k Key) bool {
			gone := k.Gone
			if k.Parent.IsZero() { // never named: nobody has followed it
				gone = k.Made
			}
			return k.Entry && k.Tag != newest.Tag && !gone.IsZero() && r.now.Sub(gone) >= settle
		})
	}
	named := !newest.Parent.IsZero() && newest.Gone.IsZero() && r.entries() == 1
	if named && r.follows && r.now.Sub(newest.Made) >= entryKeyAge {
		return r.add(true, false)
	}
	return nil
}

func (r *roll) newestEntry() Key {
	var newest Key
	for _, k := range r.keys {
		if k.Entry && !k.Made.Before(newest.Made) {
			newest = k
		}
	}
	return newest
}

func (r *roll) entries() int {
	n := 0
	for _, k := range r.keys {
		if k.Entry {
			n++
		}
	}
	return n
}

func (r *roll) drop(gone func(Key) bool) {
	before := len(r.keys)
	r.keys = slices.DeleteFunc(r.keys, gone)
	r.changed = r.changed || len(r.keys) != before
}

// signing is how the keys sign a zone in the period that now lies in.
func signing(name string, keys []Key, now time.Time) (Signing, error) {
	if len(keys) == 0 {
		return Signing{}, nil
	}
	begin := now.Truncate(signedEvery)
	s := Signing{From: begin.Add(-signedSince), Until: begin.Add(signedFor)}
	r := roll{name: name, keys: keys}
	newest := r.newestEntry()
	// The parent is told of the next key once it is known everywhere (RFC 7583 §3.3.1).
	settled := r.entries() == 1 || now.Sub(newest.Made) >= settle
	for _, k := range keys {
		open, err := k.open(name, now)
		if err != nil {
			return s, err
		}
		s.Keys = append(s.Keys, open)
		if k.Entry && (k.Tag == newest.Tag) == settled {
			s.Parent = append(s.Parent, open.DNSKEY)
		}
	}
	return s, nil
}

package zone

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// TestRoll lives three years in steps of half a day, with a parent that follows our
// CDS records, and holds a validator that remembers keys and DS for a day against
// every zone in between (RFC 6781 §4.1): it never meets a bogus answer.
func TestRoll(t *testing.T) {
	var (
		keys      []Key
		err       error
		ds        []*dns.DS
		dsSets    [][]*dns.DS     // remembered, newest last
		keySets   [][]*dns.DNSKEY // remembered
		zskRolls  int
		kskRolls  int
		lastZSK   uint16
		lastKSK   uint16
		published = map[uint16]time.Time{}
	)
	for now := day; now.Before(day.Add(3 * 365 * 24 * time.Hour)); now = now.Add(12 * time.Hour) {
		if keys, _, err = Roll(apex, keys, now, Parent{Seen: true, DS: ds, Follows: true}); err != nil {
			t.Fatal(err)
		}
		how, err := signing(apex, keys, now)
		if err != nil {
			t.Fatal(err)
		}
		z, err := Build(apex, parse(t, "@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns.example.net.\n"), how)
		if err != nil {
			t.Fatal(err)
		}
		a := z.Ask(apex, dns.TypeDNSKEY, true)
		set, sigs := split(a.Answer)
		dnskeys := toKeys(set)
		for _, k := range dnskeys {
			if _, there := published[k.KeyTag()]; !there {
				published[k.KeyTag()] = now
			}
		}
		keySets = remember(keySets, dnskeys)
		// The parent reads CDS, and old DS are remembered for a day.
		cds, _ := split(z.Ask(apex, dns.TypeCDS, true).Answer)
		ds = nil
		for _, rr := range cds {
			d := rr.(*dns.CDS).DS
			d.Hdr.Rrtype = dns.TypeDS
			ds = append(ds, &d)
		}
		dsSets = remember(dsSets, ds)
		for _, d := range dsSets {
			var w dnssec.Work
			if _, _, err := w.Keys(apex, set, sigs, d, now); err != nil {
				t.Fatalf("%v: the keys do not hold under a DS set that is remembered: %v", now, err)
			}
		}
		soa, soaSigs := split(z.Ask(apex, dns.TypeSOA, true).Answer)
		for _, k := range keySets {
			var w dnssec.Work
			if _, err := w.Verify(soa, soaSigs, apex, k, now); err != nil {
				t.Fatalf("%v: an answer does not hold under keys that are remembered: %v", now, err)
			}
		}
		tag := soaSigs[0].KeyTag
		if lastZSK != 0 && tag != lastZSK {
			zskRolls++
			if now.Sub(published[tag]) < settle {
				t.Fatalf("%v: key %d signs before all know it", now, tag)
			}
		}
		lastZSK = tag
		if lastKSK != 0 && ds[0].KeyTag != lastKSK {
			kskRolls++
		}
		lastKSK = ds[0].KeyTag
		if len(keys) > 4 {
			t.Fatalf("%v: %d keys", now, len(keys))
		}
	}
	if zskRolls < 10 || kskRolls != 1 {
		t.Errorf("in three years the zone key rolled %d times and the entry key %d times", zskRolls, kskRolls)
	}
}

// remember adds a set, and forgets what is older than a day.
func remember[T any](sets []T, s T) []T { return append(sets[max(0, len(sets)-2):], s) }

func split(rrs []dns.RR) (set []dns.RR, sigs []*dns.RRSIG) {
	for _, rr := range rrs {
		if s, ok := rr.(*dns.RRSIG); ok {
			sigs = append(sigs, s)
			continue
		}
		set = append(set, rr)
	}
	return set, sigs
}

func toKeys(rrs []dns.RR) (keys []*dns.DNSKEY) {
	for _, rr := range rrs {
		keys = append(keys, rr.(*dns.DNSKEY))
	}
	return keys
}

// TestEntryKeyStays: without a parent that follows, the entry key stays for ever.
func TestEntryKeyStays(t *testing.T) {
	var keys []Key
	for now := day; now.Before(day.Add(6 * 365 * 24 * time.Hour)); now = now.Add(30 * 24 * time.Hour) {
		var err error
		var ds []*dns.DS
		for _, k := range keys {
			if k.Entry {
				ds = append(ds, k.DS(apex))
			}
		}
		if keys, _, err = Roll(apex, keys, now, Parent{Seen: true, DS: ds}); err != nil {
			t.Fatal(err)
		}
	}
	if !keys[0].Entry || !keys[0].Made.Equal(day) {
		t.Error("the entry key was rolled though nobody told the parent")
	}
}

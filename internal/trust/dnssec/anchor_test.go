package dnssec

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// states is where each key stands, by the names a test gives them.
func states(a *Anchors, names map[string]Key) string {
	var b strings.Builder
	for _, k := range a.Keys {
		for name, key := range names {
			if identity(k.key()) == identity(key.DNSKEY) {
				b.WriteString(name + "=" + string(k.State) + " ")
			}
		}
	}
	return strings.TrimSpace(b.String())
}

// TestRoll follows a zone whose key is rolled, as RFC 5011 §6 has it: the new key is
// trusted after thirty days, the old one given up when it says so, and a key that
// appears for a short time never counts.
func TestRoll(t *testing.T) {
	old, fresh, thief := key(t, "z.", dns.ED25519), key(t, "z.", dns.ED25519), key(t, "z.", dns.ED25519)
	names := map[string]Key{"old": old, "fresh": fresh, "thief": thief}
	all, err := NewAnchors([]dns.RR{old.ToDS(dns.SHA256)})
	if err != nil {
		t.Fatal(err)
	}
	a := all[0]
	revoked := Key{dns.Copy(old.DNSKEY).(*dns.DNSKEY), old.Private}
	revoked.Flags |= dns.REVOKE
	now := day
	show := func(signers []Key, keys ...Key) string {
		t.Helper()
		var set []dns.RR
		for _, k := range keys {
			set = append(set, k.DNSKEY)
		}
		var sigs []*dns.RRSIG
		for _, k := range signers {
			s, err := k.Sign(set, now.Add(-time.Hour), now.Add(240*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			sigs = append(sigs, s)
		}
		var w Work
		_, v, err := w.Keys("z.", set, sigs, a.Trusted(), now)
		if err != nil {
			return err.Error()
		}
		if _, next := a.Follow(set, sigs, v, now); next < minRefresh || next > maxRefresh {
			t.Errorf("looks again after %v", next)
		}
		kept, err := a.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		a = &Anchors{Zone: "z.", DS: a.DS}
		if err := a.UnmarshalText(kept); err != nil {
			t.Fatal(err)
		}
		return states(a, names)
	}
	step := func(days int, want string, signers []Key, keys ...Key) {
		t.Helper()
		now = now.Add(time.Duration(days) * 24 * time.Hour)
		if got := show(signers, keys...); !strings.Contains(got, want) || want == "" {
			t.Errorf("day %v: %s, want %s", now.Sub(day).Hours()/24, got, want)
		}
	}
	step(0, "old=valid", []Key{old}, old)
	step(1, "old=valid fresh=pending", []Key{old}, old, fresh)
	step(1, "no key of z.", []Key{fresh}, fresh) // not yet trusted by itself
	step(10, "old=valid fresh=pending thief=pending", []Key{old}, old, fresh, thief)
	step(10, "old=valid fresh=pending", []Key{old}, old, fresh)
	step(10, "old=valid fresh=valid", []Key{old}, old, fresh)
	step(1, "old=revoked fresh=valid", []Key{revoked, fresh}, revoked, fresh)
	step(1, "no key of z.", []Key{old}, old)
	step(1, "old=revoked fresh=valid", []Key{fresh}, fresh)
	step(31, "fresh=valid", []Key{fresh}, fresh)
	if got := states(a, names); got != "fresh=valid" {
		t.Errorf("at the end: %s", got)
	}
}

// TestAnchorFiles refuses what is no anchor and what was not kept for the zone.
func TestAnchorFiles(t *testing.T) {
	if _, err := NewAnchors(rrs(t, "z. 1 IN A 192.0.2.1")); err == nil {
		t.Error("an address is an anchor")
	}
	if _, err := NewAnchors(nil); err == nil {
		t.Error("nothing is an anchor")
	}
	k := key(t, "z.", dns.ED25519)
	a, err := NewAnchors([]dns.RR{k.DNSKEY, key(t, "y.", dns.ED25519).ToDS(dns.SHA256), key(t, "z.", dns.ED25519).ToDS(dns.SHA256)})
	if err != nil || len(a) != 2 || len(a[0].DS) != 2 || !Matches(a[0].DS[0], k.DNSKEY) {
		t.Fatalf("%v, %v", a, err)
	}
	for _, bad := range []string{"", "{}", `{"zone":"y."}`, `{"zone":"z.","keys":[{"key":"z. A 1.2.3.4"}]}`} {
		if err := a[0].UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("takes %q", bad)
		}
	}
}

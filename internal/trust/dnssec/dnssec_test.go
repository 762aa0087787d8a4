package dnssec

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

var day = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func rrs(t testing.TB, lines ...string) []dns.RR {
	t.Helper()
	var set []dns.RR
	for _, l := range lines {
		rr, err := dns.NewRR(l)
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, rr)
	}
	return set
}

func key(t testing.TB, zone string, algorithm uint8) Key {
	t.Helper()
	k, err := Generate(zone, algorithm, true)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k Key, set []dns.RR) *dns.RRSIG {
	t.Helper()
	s, err := k.Sign(set, day.Add(-time.Hour), day.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// code is the reason in an error, 0 for none.
func code(err error) Code {
	var b *Bogus
	if errors.As(err, &b) {
		return b.Code
	}
	return 0
}

// TestAlgorithms signs and verifies with each algorithm, and finds the keys of a zone
// by each digest (RFC 5702, RFC 6605, RFC 8080).
func TestAlgorithms(t *testing.T) {
	for _, a := range []uint8{dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519} {
		k := key(t, "example.org.", a)
		set := rrs(t, "WWW.example.org. 300 IN MX 10 Mail.example.org.", "WWW.example.org. 300 IN MX 20 b.example.org.")
		sig := sign(t, k, set)
		slices.Reverse(set)
		set[0].Header().Ttl = 100
		var w Work
		v, err := w.Verify(set, []*dns.RRSIG{sig}, "example.org.", []*dns.DNSKEY{k.DNSKEY}, day)
		if err != nil || v.TTL != 100 || v.Wildcard != "" || !v.Until.Equal(day.Add(time.Hour)) {
			t.Errorf("%s: %+v, %v", dns.AlgorithmToString[a], v, err)
		}
		keys := []dns.RR{k.DNSKEY}
		for _, digest := range []uint8{dns.SHA1, dns.SHA256, dns.SHA384} {
			got, _, err := w.Keys("example.org.", keys, []*dns.RRSIG{sign(t, k, keys)}, []*dns.DS{k.ToDS(digest)}, day)
			if err != nil || len(got) != 1 {
				t.Errorf("%s by digest %d: %v, %v", dns.AlgorithmToString[a], digest, got, err)
			}
		}
	}
}

// TestVerifyRefuses has a case for each way in which a signature does not hold.
func TestVerifyRefuses(t *testing.T) {
	good, other := key(t, "example.org.", dns.ED25519), key(t, "example.org.", dns.ED25519)
	parent := key(t, "org.", dns.ED25519)
	set := rrs(t, "www.example.org. 300 IN A 192.0.2.1")
	at := func(from, until time.Duration) *dns.RRSIG {
		s, err := good.Sign(set, day.Add(from), day.Add(until))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	changed := sign(t, good, set)
	changed.OrigTtl++
	moreLabels := sign(t, good, set)
	moreLabels.Labels = 4
	noZone := Key{dns.Copy(good.DNSKEY).(*dns.DNSKEY), good.Private}
	noZone.Flags = dns.SEP
	for name, c := range map[string]struct {
		set  []dns.RR
		sigs []*dns.RRSIG
		keys []Key
		want Code
	}{
		"none":            {set, nil, []Key{good}, SignatureMissing},
		"expired":         {set, []*dns.RRSIG{at(-2*time.Hour, -time.Hour)}, []Key{good}, SignatureExpired},
		"not yet":         {set, []*dns.RRSIG{at(time.Hour, 2*time.Hour)}, []Key{good}, SignatureNotYetValid},
		"turned round":    {set, []*dns.RRSIG{at(time.Hour, -time.Hour)}, []Key{good}, SignatureExpired},
		"another key":     {set, []*dns.RRSIG{sign(t, other, set)}, []Key{good}, KeyMissing},
		"another record":  {rrs(t, "www.example.org. 300 IN A 192.0.2.2"), []*dns.RRSIG{sign(t, good, set)}, []Key{good}, CodeBogus},
		"another name":    {rrs(t, "ftp.example.org. 300 IN A 192.0.2.1"), []*dns.RRSIG{sign(t, good, set)}, []Key{good}, SignatureMissing},
		"added record":    {append(rrs(t, "www.example.org. 300 IN A 192.0.2.3"), set...), []*dns.RRSIG{sign(t, good, set)}, []Key{good}, CodeBogus},
		"changed":         {set, []*dns.RRSIG{changed}, []Key{good}, CodeBogus},
		"parent's":        {set, []*dns.RRSIG{sign(t, parent, set)}, []Key{parent}, SignatureMissing},
		"too many labels": {set, []*dns.RRSIG{moreLabels}, []Key{good}, SignatureMissing},
		"no zone key":     {set, []*dns.RRSIG{sign(t, noZone, set)}, []Key{noZone}, CodeBogus},
	} {
		var keys []*dns.DNSKEY
		for _, k := range c.keys {
			keys = append(keys, k.DNSKEY)
		}
		var w Work
		if _, err := w.Verify(c.set, c.sigs, "example.org.", keys, day); code(err) != c.want {
			t.Errorf("%s: %v, want code %d", name, err, c.want)
		}
	}
}

// TestKeysRefuses has a case for each way in which a zone's keys are not what its
// parent vouches for.
func TestKeysRefuses(t *testing.T) {
	good, other := key(t, "example.org.", dns.ED25519), key(t, "example.org.", dns.ED25519)
	set := []dns.RR{good.DNSKEY}
	sigs := []*dns.RRSIG{sign(t, good, set)}
	unknown := good.ToDS(dns.SHA256)
	unknown.Algorithm = 200
	strange := good.ToDS(dns.SHA256)
	strange.DigestType = 200
	wrong1 := good.ToDS(dns.SHA1)
	var w Work
	for name, c := range map[string]struct {
		ds   []*dns.DS
		set  []dns.RR
		sigs []*dns.RRSIG
		want string
	}{
		"not named":     {[]*dns.DS{other.ToDS(dns.SHA256)}, set, sigs, "no key of example.org. is one that its parent names"},
		"no keys":       {[]*dns.DS{good.ToDS(dns.SHA256)}, nil, nil, "has no keys"},
		"unsigned":      {[]*dns.DS{good.ToDS(dns.SHA256)}, set, nil, "is not signed"},
		"by the other":  {[]*dns.DS{good.ToDS(dns.SHA256)}, []dns.RR{good.DNSKEY, other.DNSKEY}, []*dns.RRSIG{sign(t, other, []dns.RR{good.DNSKEY, other.DNSKEY})}, "has no key"},
		"unknown kinds": {[]*dns.DS{unknown, strange}, set, sigs, ErrUnsupported.Error()},
		"SHA-1 is weak": {[]*dns.DS{wrong1, other.ToDS(dns.SHA256)}, set, sigs, "no key of example.org. is one that its parent names"},
	} {
		if _, _, err := w.Keys("example.org.", c.set, c.sigs, c.ds, day); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// An algorithm that is unknown beside one that is known does not matter.
	if _, _, err := w.Keys("example.org.", set, sigs, []*dns.DS{unknown, good.ToDS(dns.SHA256)}, day); err != nil {
		t.Error(err)
	}
}

// TestKeyTrap: keys and signatures made to cost much cost little (CVE-2023-50387).
func TestKeyTrap(t *testing.T) {
	k := key(t, "example.org.", dns.ECDSAP256SHA256)
	set := rrs(t, "www.example.org. 300 IN A 192.0.2.1")
	bad := sign(t, k, rrs(t, "www.example.org. 300 IN A 192.0.2.9"))
	var sigs []*dns.RRSIG
	var keys []*dns.DNSKEY
	for range 100 {
		sigs, keys = append(sigs, bad), append(keys, k.DNSKEY) // the same tag, always
	}
	var w Work
	if _, err := w.Verify(set, sigs, "example.org.", keys, day); code(err) != CodeBogus || w.Signatures > maxTries*maxSameTag {
		t.Errorf("%v after %d signatures", err, w.Signatures)
	}
	for range 100 {
		_, _ = w.Verify(set, sigs, "example.org.", keys, day)
	}
	if w.Signatures > MaxSignatures+100*maxTries { // counted, not tried
		t.Errorf("%d signatures", w.Signatures)
	}
	if _, err := w.Verify(set, []*dns.RRSIG{sign(t, k, set)}, "example.org.", keys, day); code(err) != CodeBogus {
		t.Errorf("a question that has cost too much goes on: %v", err)
	}
}

// TestNSEC3Cost: names of many labels and iterations are bounded (CVE-2023-50868,
// RFC 9276 §3.2).
func TestNSEC3Cost(t *testing.T) {
	types := map[string][]uint16{"example.org.": {dns.TypeSOA, dns.TypeNS}}
	var chain []dns.RR
	for _, rr := range NSEC3s("example.org.", types, 300, Hashing{Iterations: MaxIterations, Salt: "ab"}) {
		chain = append(chain, rr)
	}
	var w Work
	long := strings.Repeat("a.", 120) + "example.org."
	for range 10 {
		w.Denial("example.org.", chain).NoName(long)
	}
	if w.Hashes > MaxHashes+10*250 {
		t.Errorf("%d hashes", w.Hashes)
	}
	if p := w.Denial("example.org.", chain).NoName("b.example.org."); p != Unproved {
		t.Errorf("a question that has cost too much goes on: %v", p)
	}
	for _, rr := range chain {
		rr.(*dns.NSEC3).Iterations = MaxIterations + 1
	}
	w = Work{}
	if d := w.Denial("example.org.", chain); d.NoName("b.example.org.") != Insecure || w.Hashes != 0 || !d.Excessive() {
		t.Error("too many iterations are counted")
	}
}

func TestWildcard(t *testing.T) {
	k := key(t, "example.org.", dns.ED25519)
	wild := rrs(t, "*.example.org. 300 IN A 192.0.2.1")
	sig := sign(t, k, wild)
	set := rrs(t, "a.b.example.org. 300 IN A 192.0.2.1")
	sig.Hdr.Name = "a.b.example.org."
	var w Work
	v, err := w.Verify(set, []*dns.RRSIG{sig}, "example.org.", []*dns.DNSKEY{k.DNSKEY}, day)
	if err != nil || v.Wildcard != "*.example.org." || v.Labels != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err = w.Verify(wild, []*dns.RRSIG{sign(t, k, wild)}, "example.org.", []*dns.DNSKEY{k.DNSKEY}, day); err != nil || v.Wildcard != "" {
		t.Errorf("the wildcard itself: %+v, %v", v, err)
	}
}

func TestOrder(t *testing.T) {
	// RFC 4034 §6.1
	want := []string{"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Order)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// world is a zone for the model: its names with their types.
type world map[string][]uint16

// exists says whether a name is there, if only because of one below it.
func (z world) exists(name string) bool {
	for have := range z {
		if dns.IsSubDomain(name, have) {
			return true
		}
	}
	return false
}

// cut says whether a name lies below a delegation or is one, and whether it is signed.
func (z world) cut(name string) (at string, signed bool) {
	for up := name; dns.IsSubDomain("z.", up) && up != "z."; up = Parent(up) {
		if slices.Contains(z[up], dns.TypeNS) {
			at, signed = up, slices.Contains(z[up], dns.TypeDS)
		}
	}
	return at, signed
}

// look is what the zone says of a name: its types, and whether it or a wildcard for it is.
func (z world) look(name string) (types []uint16, there bool) {
	if z.exists(name) {
		return z[name], true
	}
	up := Parent(name)
	for !z.exists(up) {
		up = Parent(up)
	}
	types, there = z["*."+up]
	return types, there
}

// hidden says whether a name, or one above it, is there only because of unsigned
// delegations below it, so that a chain with opt-out does not know it.
func (z world) hidden(name string) bool {
	for up := name; up != "z."; up = Parent(up) {
		shown := !z.exists(up)
		for have, types := range z {
			unsigned := slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeDS)
			shown = shown || dns.IsSubDomain(up, have) && !unsigned
		}
		if !shown {
			return true
		}
	}
	return false
}

// TestDenialModel: over random zones, with all of a chain at hand, what is not there
// is proved, and nothing that is there is denied (RFC 4035 §5.4, RFC 5155 §8).
func TestDenialModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := world{"z.": {dns.TypeSOA, dns.TypeNS}}
		label := rapid.SampledFrom([]string{"a", "b", "c", "*"})
		for range rapid.IntRange(0, 7).Draw(t, "names") {
			name := label.Draw(t, "label") + ".z."
			for range rapid.IntRange(0, 2).Draw(t, "depth") {
				name = label.Draw(t, "label") + "." + name
			}
			kinds := [][]uint16{{dns.TypeA}, {dns.TypeMX, dns.TypeTXT}, {dns.TypeNS}, {dns.TypeNS, dns.TypeDS}, {dns.TypeCNAME}}
			z[name] = rapid.SampledFrom(kinds).Draw(t, "types")
			if strings.Contains(name[1:], "*") || name[0] == '*' && z[name][0] == dns.TypeNS { // legal, and of no use to anybody
				delete(z, name)
			}
		}
		for name := range z { // what lies below a delegation is not the zone's
			if at, _ := z.cut(name); at != "" && at != name {
				delete(z, name)
			}
		}
		for how, chain := range map[string][]dns.RR{
			"NSEC": asRRs(NSECs("z.", z, 300)), "NSEC3": asRRs(NSEC3s("z.", z, 300, Hashing{})),
			"salted": asRRs(NSEC3s("z.", z, 300, Hashing{Iterations: 2, Salt: "beef"})), "opt-out": asRRs(NSEC3s("z.", z, 300, Hashing{OptOut: true})),
		} {
			for _, name := range universe() {
				checkDenial(t, z, how, chain, name)
			}
		}
	})
}

func asRRs[T dns.RR](chain []T) []dns.RR {
	var all []dns.RR
	for _, rr := range chain {
		all = append(all, rr)
	}
	return all
}

// universe is all names that are asked for.
func universe() []string {
	all := []string{"z."}
	labels := []string{"a", "b", "c", "d"}
	for _, x := range labels {
		all = append(all, x+".z.")
		for _, y := range labels {
			all = append(all, y+"."+x+".z.")
			for _, v := range labels {
				all = append(all, v+"."+y+"."+x+".z.")
			}
		}
	}
	return all
}

func checkDenial(t *rapid.T, z world, how string, chain []dns.RR, name string) {
	var w Work
	d := w.Denial("z.", chain)
	types, there := z.look(name)
	at, signed := z.cut(name)
	below := at != "" && at != name
	// An opt-out span may hide a delegation anywhere in it.
	vague := how == "opt-out"
	hidden := vague && z.hidden(name)
	ok := func(got Proof, want bool) bool {
		return (got == Secure) == want || vague && want && got == Insecure || hidden && got == Unproved
	}
	lying := func(got Proof) bool { return got == Secure || got == Insecure && !vague }

	if got := d.NoName(name); below && lying(got) || !below && there && lying(got) || !below && !there && !ok(got, true) {
		t.Fatalf("%s: NoName(%s) = %d in %v", how, name, got, z)
	}
	for _, q := range []uint16{dns.TypeA, dns.TypeMX, dns.TypeDS} {
		other := below || at == name && q != dns.TypeDS // another zone's
		has := slices.Contains(types, q) || slices.Contains(types, dns.TypeCNAME)
		got := d.NoData(name, q)
		if (other || has || !there) && lying(got) && !(q == dns.TypeDS && name == "z.") {
			t.Fatalf("%s: NoData(%s, %s) = %d in %v", how, name, dns.Type(q), got, z)
		}
		if !other && there && !has && name != "z." && !ok(got, true) {
			t.Fatalf("%s: NoData(%s, %s) = %d, want a proof, in %v", how, name, dns.Type(q), got, z)
		}
	}
	if name == "z." || below || slices.Contains(types, dns.TypeCNAME) {
		return
	}
	p, cut := d.NoDS(name)
	if signed != (p == Unproved) || p == Secure && cut != (at == name) {
		t.Fatalf("%s: NoDS(%s) = %d, cut %v, in %v", how, name, p, cut, z)
	}
}

// TestNoCloser: an answer from a wildcard stands only where nothing is closer.
func TestNoCloser(t *testing.T) {
	z := world{"z.": {dns.TypeSOA, dns.TypeNS}, "*.z.": {dns.TypeA}, "a.z.": {dns.TypeA}, "x.b.z.": {dns.TypeA}}
	for how, chain := range map[string][]dns.RR{"NSEC": asRRs(NSECs("z.", z, 300)), "NSEC3": asRRs(NSEC3s("z.", z, 300, Hashing{}))} {
		for name, want := range map[string]Proof{"q.z.": Secure, "r.q.z.": Secure, "a.z.": Unproved, "q.a.z.": Unproved, "b.z.": Unproved, "c.b.z.": Unproved} {
			var w Work
			if got := w.Denial("z.", chain).NoCloser(name, 1); got != want {
				t.Errorf("%s: %s: %d, want %d", how, name, got, want)
			}
		}
	}
}

// FuzzProof feeds messages to all that looks at records.
func FuzzProof(f *testing.F) {
	k := key(f, "z.", dns.ED25519)
	z := world{"z.": {dns.TypeSOA, dns.TypeNS}, "a.z.": {dns.TypeA}}
	for _, chain := range [][]dns.RR{asRRs(NSECs("z.", z, 300)), asRRs(NSEC3s("z.", z, 300, Hashing{Iterations: 1, Salt: "aa"}))} {
		m := new(dns.Msg)
		m.SetQuestion("b.z.", dns.TypeA)
		m.Ns = append(chain, sign(f, k, chain[:1]), k.DNSKEY, k.ToDS(dns.SHA256))
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(dns.Msg)
		if m.Unpack(b) != nil || len(m.Question) == 0 {
			return
		}
		var w Work
		var sigs []*dns.RRSIG
		var ds []*dns.DS
		keys := []*dns.DNSKEY{k.DNSKEY}
		for _, rr := range m.Ns {
			switch rr := rr.(type) {
			case *dns.RRSIG:
				sigs = append(sigs, rr)
			case *dns.DS:
				ds = append(ds, rr)
			case *dns.DNSKEY:
				keys = append(keys, rr)
			}
		}
		for _, rr := range m.Ns {
			_, _ = w.Verify([]dns.RR{rr}, sigs, "z.", keys, day)
		}
		_, _, _ = w.Keys("z.", m.Ns, sigs, ds, day)
		d := w.Denial("z.", m.Ns)
		name := m.Question[0].Name
		d.NoName(name)
		d.NoData(name, m.Question[0].Qtype)
		d.NoDS(name)
		d.NoCloser(name, 1)
		if a, err := NewAnchors(m.Ns); err == nil {
			a[0].Follow(m.Ns, sigs, Verified{}, day)
		}
	})
}

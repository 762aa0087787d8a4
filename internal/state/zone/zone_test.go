package zone

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// sample has every kind of place: wildcards, aliases, delegations with and without
// DS, glue, and empty names between.
const sample = `
@ 3600 IN SOA ns1.example.test. hostmaster.example.test. 7 14400 3600 1209600 300
@ NS ns1
@ NS ns2.elsewhere.example.
@ MX 10 mx
@ A 192.0.2.80
ns1 A 192.0.2.53
mx A 192.0.2.25
mx AAAA 2001:db8::25
_25._tcp.mx TLSA 3 1 1 2222222222222222222222222222222222222222222222222222222222222222
www CNAME @
away CNAME host.elsewhere.example.
lost CNAME nowhere
loop1 CNAME loop2
loop2 CNAME loop1
*.wild TXT "any"
real.wild A 192.0.2.1
*.alias CNAME mx
a.b.c TXT "deep"
sub NS ns.sub
ns.sub A 192.0.2.54
safe NS ns.safe
safe DS 12345 13 2 3333333333333333333333333333333333333333333333333333333333333333
ns.safe AAAA 2001:db8::54
`

const apex = "example.test."

var day = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func parse(t testing.TB, text string) []dns.RR {
	t.Helper()
	p := dns.NewZoneParser(strings.NewReader(text), apex, "")
	p.SetDefaultTTL(3600)
	var rrs []dns.RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		rrs = append(rrs, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return rrs
}

func signed(t testing.TB, text string) *Zone {
	t.Helper()
	keys, _, err := Roll(apex, nil, day, Parent{})
	if err != nil {
		t.Fatal(err)
	}
	how, err := signing(apex, keys, day)
	if err != nil {
		t.Fatal(err)
	}
	z, err := Build(apex, parse(t, text), how)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// show is an answer in short: rcode, and each section's names and types.
func show(a Answer) string {
	var b strings.Builder
	b.WriteString(dns.RcodeToString[a.Rcode])
	if a.Authoritative {
		b.WriteString(" aa")
	}
	for _, s := range []struct {
		name string
		rrs  []dns.RR
	}{{"answer", a.Answer}, {"authority", a.Authority}, {"additional", a.Additional}} {
		var words []string
		for _, rr := range s.rrs {
			w := strings.TrimSuffix(rr.Header().Name, "."+apex) + "/" + dns.TypeToString[rr.Header().Rrtype]
			if _, ok := rr.(*dns.NSEC3); ok {
				w = "NSEC3"
			}
			if _, ok := rr.(*dns.RRSIG); ok {
				w = "+"
			}
			words = append(words, w)
		}
		if len(words) > 0 {
			fmt.Fprintf(&b, " | %s: %s", s.name, strings.ReplaceAll(strings.Join(words, " "), " +", "+"))
		}
	}
	return b.String()
}

func TestAsk(t *testing.T) {
	z := signed(t, sample)
	for _, c := range []struct {
		name string
		t    uint16
		want string
	}{
		{"", dns.TypeMX, "NOERROR aa | answer: example.test./MX+"},
		{"", dns.TypeDNSKEY, "NOERROR aa | answer: example.test./DNSKEY example.test./DNSKEY+"},
		{"", dns.TypeCDS, "NOERROR aa | answer: example.test./CDS+"},
		{"mx", dns.TypeTXT, "NOERROR aa | authority: example.test./SOA+ NSEC3+"},
		{"c", dns.TypeTXT, "NOERROR aa | authority: example.test./SOA+ NSEC3+"}, // an empty name
		{"nope", dns.TypeA, "NXDOMAIN aa | authority: example.test./SOA+ NSEC3+ NSEC3+ NSEC3+"},
		{"www", dns.TypeA, "NOERROR aa | answer: www/CNAME+ example.test./A+"},
		{"www", dns.TypeCNAME, "NOERROR aa | answer: www/CNAME+"},
		{"away", dns.TypeA, "NOERROR aa | answer: away/CNAME+"},
		{"lost", dns.TypeA, "NXDOMAIN aa | answer: lost/CNAME+ | authority: example.test./SOA+ NSEC3+ NSEC3+ NSEC3+"},
		{"x.wild", dns.TypeTXT, "NOERROR aa | answer: x.wild/TXT+ | authority: NSEC3+"},
		{"x.wild", dns.TypeA, "NOERROR aa | authority: example.test./SOA+ NSEC3+ NSEC3+ NSEC3+"},
		{"x.real.wild", dns.TypeTXT, "NXDOMAIN aa | authority: example.test./SOA+ NSEC3+ NSEC3+ NSEC3+"},
		{"q.alias", dns.TypeA, "NOERROR aa | answer: q.alias/CNAME+ mx/A+ | authority: NSEC3+"},
		{"sub", dns.TypeA, "NOERROR | authority: sub/NS NSEC3+ | additional: ns.sub/A"},
		{"x.y.sub", dns.TypeA, "NOERROR | authority: sub/NS NSEC3+ | additional: ns.sub/A"},
		{"sub", dns.TypeDS, "NOERROR aa | authority: example.test./SOA+ NSEC3+"},
		{"safe", dns.TypeDS, "NOERROR aa | answer: safe/DS+"},
		{"safe", dns.TypeNS, "NOERROR | authority: safe/NS safe/DS+ | additional: ns.safe/AAAA"},
	} {
		name := c.name + "." + apex
		if c.name == "" {
			name = apex
		}
		got := show(z.Ask(name, c.t, true))
		if c.want != got {
			t.Errorf("%s %s:\n got %s\nwant %s", c.name, dns.TypeToString[c.t], got, c.want)
		}
		// Without DO there is no signature and no proof.
		for _, rr := range slices.Concat(z.Ask(name, c.t, false).Answer, z.Ask(name, c.t, false).Authority) {
			switch rr.(type) {
			case *dns.RRSIG, *dns.NSEC3:
				t.Errorf("%s %s: %v without DO", c.name, dns.TypeToString[c.t], rr)
			}
		}
	}
	if a := z.Ask("loop1."+apex, dns.TypeA, false); len(a.Answer) > 2*maxAliases {
		t.Errorf("a loop of aliases gave %d records", len(a.Answer))
	}
}

// TestProofs asks for many names and types, and holds each answer to what a
// validator would.
func TestProofs(t *testing.T) {
	z := signed(t, sample)
	keys := z.Ask(apex, dns.TypeDNSKEY, true)
	var work dnssec.Work
	var dnskeys []*dns.DNSKEY
	for _, rr := range keys.Answer {
		if k, ok := rr.(*dns.DNSKEY); ok {
			dnskeys = append(dnskeys, k)
		}
	}
	verified := func(rrs []dns.RR) []dns.RR {
		sets, sigs := map[string][]dns.RR{}, map[string][]*dns.RRSIG{}
		for _, rr := range rrs {
			key := rr.Header().Name + dns.TypeToString[rr.Header().Rrtype]
			if s, ok := rr.(*dns.RRSIG); ok {
				key = s.Hdr.Name + dns.TypeToString[s.TypeCovered]
				sigs[key] = append(sigs[key], s)
				continue
			}
			sets[key] = append(sets[key], rr)
		}
		var good []dns.RR
		for key, set := range sets {
			if h := set[0].Header(); h.Rrtype == dns.TypeNS && h.Name != apex {
				continue
			}
			work = dnssec.Work{}
			if _, err := work.Verify(set, sigs[key], apex, dnskeys, day); err != nil {
				t.Errorf("%s: %v", key, err)
			}
			good = append(good, set...)
		}
		return good
	}
	labels := []string{"mx", "wild", "real", "sub", "safe", "x", "*", "c", "b", "a", "nope", "alias", "www", "zz"}
	types := []uint16{dns.TypeA, dns.TypeTXT, dns.TypeMX, dns.TypeDS, dns.TypeCNAME}
	r := rand.New(rand.NewPCG(1, 2))
	denied := map[int]int{}
	for range 3000 {
		name := apex
		for range r.IntN(4) {
			name = labels[r.IntN(len(labels))] + "." + name
		}
		typ := types[r.IntN(len(types))]
		a := z.Ask(name, typ, true)
		verified(a.Answer)
		proofs := verified(a.Authority)
		if len(a.Answer) > 0 || !a.Authoritative || name == apex && typ == dns.TypeDS { // whose DS are the parent's
			continue
		}
		work = dnssec.Work{}
		d := work.Denial(apex, proofs)
		proof := d.NoData(name, typ)
		if a.Rcode == dns.RcodeNameError {
			proof = d.NoName(name)
		}
		if proof != dnssec.Secure {
			t.Errorf("%s %s: rcode %d is not proven: %v\n%s", name, dns.TypeToString[typ], a.Rcode, proof, show(a))
		}
		denied[a.Rcode]++
	}
	if denied[dns.RcodeNameError] < 100 || denied[dns.RcodeSuccess] < 100 {
		t.Errorf("too few denials were looked at: %v", denied)
	}
}

func TestBuildRefuses(t *testing.T) {
	const soa = "@ SOA ns hostmaster 1 2 3 4 5\n"
	for what, text := range map[string]string{
		"no SOA":               "@ NS ns1\n",
		"two SOA":              soa + "@ SOA other hostmaster 1 2 3 4 5\n",
		"an SOA elsewhere":     soa + "sub SOA ns hostmaster 1 2 3 4 5\n",
		"a CNAME with others":  soa + "www CNAME @\nwww A 192.0.2.1\n",
		"two CNAMEs":           soa + "www CNAME a\nwww CNAME b\n",
		"a name of other's":    soa + "www.example.org. A 192.0.2.1\n",
		"a DS without servers": soa + "sub DS 1 13 2 3333333333333333333333333333333333333333333333333333333333333333\n",
		"a CNAME at the apex":  soa + "@ CNAME www.example.org.\n",
	} {
		if _, err := Build(apex, parse(t, text), Signing{}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	rrs := parse(b, sample)
	keys, _, _ := Roll(apex, nil, day, Parent{})
	how, _ := signing(apex, keys, day)
	for b.Loop() {
		if _, err := Build(apex, rrs, how); err != nil {
			b.Fatal(err)
		}
	}
}

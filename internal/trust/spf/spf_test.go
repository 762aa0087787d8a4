package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// TestExpansion is the examples of RFC 7208 §7.4.
func TestExpansion(t *testing.T) {
	r := dnstest.New(`
		3.2.0.192.in-addr.arpa PTR mx.example.org
		mx.example.org         A   192.0.2.3`)
	for _, c := range []struct{ ip, text, want string }{
		{"192.0.2.3", "%{s}", "strong-bad@email.example.com"},
		{"192.0.2.3", "%{o}", "email.example.com"},
		{"192.0.2.3", "%{d}", "email.example.com"},
		{"192.0.2.3", "%{d4}", "email.example.com"},
		{"192.0.2.3", "%{d2}", "example.com"},
		{"192.0.2.3", "%{d1}", "com"},
		{"192.0.2.3", "%{dr}", "com.example.email"},
		{"192.0.2.3", "%{d2r}", "example.email"},
		{"192.0.2.3", "%{l}", "strong-bad"},
		{"192.0.2.3", "%{l-}", "strong.bad"},
		{"192.0.2.3", "%{lr}", "strong-bad"},
		{"192.0.2.3", "%{lr-}", "bad.strong"},
		{"192.0.2.3", "%{l1r-}", "strong"},
		{"192.0.2.3", "%{p}", "mx.example.org"},
		{"192.0.2.3", "%{S}", "strong-bad%40email.example.com"},
		{"192.0.2.3", "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{"192.0.2.3", "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{"2001:db8::cb01", "%{ir}.%{v}._spf.%{d2}", "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"},
	} {
		m, err := parseMacros(c.text, inRecord)
		if err != nil {
			t.Fatal(err)
		}
		e := evaluation{r: r, q: Identity(netip.MustParseAddr(c.ip), "helo.test", "strong-bad@email.example.com")}
		if got := e.name(context.Background(), m, e.q.Domain); !strings.EqualFold(got, c.want) {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
}

// TestLimits sees that no policy asks for more than its share.
func TestLimits(t *testing.T) {
	r := dnstest.New("")
	check := func(zone string) Result {
		r.Set(zone)
		q := Identity(netip.MustParseAddr("192.0.2.1"), "helo.test", "a@x.test")
		q.Now = time.Unix(1e9, 0)
		return Check(t.Context(), r, q)
	}
	var chain, hosts strings.Builder
	for i := range 12 {
		fmt.Fprintf(&chain, "c%d.test TXT v=spf1 include:c%d.test -all\n", i, i+1)
		fmt.Fprintf(&hosts, "h.test MX 1 m%d.h.test\nm%d.h.test A 192.0.2.200\n", i, i)
	}
	for _, c := range []struct {
		name, zone string
		want       Code
		problem    string
	}{
		{"a policy that includes itself", "x.test TXT v=spf1 include:x.test -all", PermError, "over 10 terms ask the DNS"},
		{"a long chain", "x.test TXT v=spf1 redirect=c0.test\n" + chain.String(), PermError, "over 10 terms ask the DNS"},
		{"too many mail hosts", "x.test TXT v=spf1 mx:h.test -all\n" + hosts.String(), PermError, "h.test has over 10 mail hosts"},
		{"three questions for nothing", "x.test TXT v=spf1 a:u.test a:v.test a:w.test +all", PermError, "over 2 questions of the policy have no answer"},
		{"two questions for nothing", "x.test TXT v=spf1 a:u.test a:v.test ~all", SoftFail, ""},
		{"a failure of the DNS", "x.test TXT v=spf1 a:u.test -all\nu.test SERVFAIL", TempError, "A of u.test: dns: server failure"},
		{"a bogus answer", "x.test BOGUS", TempError, "TXT of x.test: dns: signatures do not hold"},
		{"two policies", "x.test TXT v=spf1 -all\nx.test TXT v=spf1 +all", PermError, "x.test has 2 policies"},
		{"an include without policy", "x.test TXT v=spf1 include:u.test +all", PermError, `include leads to "u.test", which has no policy`},
	} {
		if got := check(c.zone); got.Code != c.want || got.Problem != c.problem || got.Terms > MaxTerms+1 {
			t.Errorf("%s: %s %q, %d terms", c.name, got.Code, got.Problem, got.Terms)
		}
	}
	if n := len(r.Asked()); n > 60 {
		t.Errorf("%d questions", n)
	}
}

// TestIdentity is RFC 7208 §2.4 and §4.3.
func TestIdentity(t *testing.T) {
	for _, c := range []struct{ address, local, domain string }{
		{"a@b.test", "a", "b.test"}, {"", "postmaster", "helo.test"}, {"@b.test", "postmaster", "b.test"},
		{"b.test", "postmaster", "b.test"}, {"a@b@c.test", "a@b", "c.test"},
	} {
		if q := Identity(netip.MustParseAddr("::ffff:192.0.2.1"), "helo.test", c.address); q.Local != c.local || q.Domain != c.domain || !q.IP.Is4() {
			t.Errorf("%q: %q %q %s", c.address, q.Local, q.Domain, q.IP)
		}
	}
}

// FuzzParse sees that no record and no explanation breaks the evaluation.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"v=spf1 a mx/24//64 ip4:192.0.2.0/24 ip6:2001:db8::/32 ptr:x.test exists:%{ir}.%{l1r-}.x.test include:x.test ?all exp=e.x.test redirect=x.test",
		"v=spf1 -exists:%(ir).x.test", "v=spf1 a:%{", "v=spf1 a:x.test/", "v=spf1 %{d}=%{d}",
	} {
		f.Add(s)
	}
	r := dnstest.New("x.test A 192.0.2.1\nx.test MX 1 x.test\n1.2.0.192.in-addr.arpa PTR x.test")
	q := Identity(netip.MustParseAddr("192.0.2.1"), "helo.test", "a.b@x.test")
	f.Fuzz(func(t *testing.T, text string) {
		if isRecord(text) {
			if rec, err := parse(text); err == nil {
				e := &evaluation{r: r, q: q}
				for _, d := range rec.directives {
					_, _ = e.matches(t.Context(), d, "x.test", maxDepth)
				}
			}
		}
		if m, err := parseMacros(text, inExplanation); err == nil {
			e := &evaluation{r: r, q: q}
			m.expand(func(letter byte) string { return e.value(t.Context(), letter, "x.test") })
		}
	})
}

package route

import (
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

func TestSites(t *testing.T) {
	r := New(Options{Resolver: dnstest.New(`
a.test MX 10 mx1.host.test
a.test MX 10 mx2.host.test
b.test MX 10 mx2.host.test
b.test MX 10 mx1.host.test
c.test MX 10 mx1.host.test
one.test MX 5 only.test
two.test MX 9 only.test
g.test MX 5 aspmx.l.google.com
o.test MX 0 o-test.mail.protection.outlook.com
own.test MX 0 in.big.test
broken.test SERVFAIL
`)})
	known, err := KnownSites()
	if err != nil {
		t.Fatal(err)
	}
	s := NewSites(r, append([]SiteRule{{Name: "big", MX: []string{"in.big.test"}, Rule: queue.Rule{Connections: 3}}}, known...))
	site := func(d mail.Domain) mail.Domain {
		t.Helper()
		if name, ok := s.Site(d); ok || name != d {
			t.Errorf("%s is known as %s before", d, name)
		}
		s.Learn(t.Context(), d)
		name, ok := s.Site(d)
		if !ok {
			t.Errorf("%s is not known", d)
		}
		return name
	}
	a, b, c := site("a.test"), site("b.test"), site("c.test")
	if a != b || a == c {
		t.Errorf("%s %s %s", a, b, c)
	}
	for d, want := range map[mail.Domain]mail.Domain{
		"one.test": "only.test", "two.test": "only.test", "g.test": "gmail", "o.test": "microsoft", "own.test": "big",
		"broken.test": "broken.test", "gone.test": "gone.test",
	} {
		if got := site(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	if s.Rule("big").Connections != 3 || s.Rule("gmail").Connections == 0 || s.Rule("only.test") != (queue.Rule{}) {
		t.Error("rules")
	}
	if name, ok := s.Site("smart.test:25"); !ok || name != "smart.test:25" {
		t.Errorf("smart host: %s %v", name, ok)
	}
	if name, ok := (*Sites)(nil).Site("a.test"); !ok || name != "a.test" {
		t.Errorf("without sites: %s %v", name, ok)
	}
}

// TestKnownSites sees that the shipped rules can be kept.
func TestKnownSites(t *testing.T) {
	all, err := KnownSites()
	if err != nil || len(all) < 8 {
		t.Fatal(len(all), err)
	}
	seen := map[string]bool{}
	for _, r := range all {
		if seen[r.Name] || r.Name == "" || len(r.MX) == 0 || r.Connections <= 0 || r.PerConnection <= 0 || r.PerMinute < 0 {
			t.Errorf("%+v", r)
		}
		seen[r.Name] = true
	}
}

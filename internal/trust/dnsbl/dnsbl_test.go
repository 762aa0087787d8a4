package dnsbl

import (
	"net/netip"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// TestCheck asks lists as RFC 5782 §2 describes them.
func TestCheck(t *testing.T) {
	code := netip.MustParseAddr
	bad := List{Zone: "bad.test", Score: 4, Codes: map[netip.Addr]float64{code("127.0.0.10"): 1, code("127.0.0.11"): 0}}
	good := List{Zone: "good.test", Score: -1, Codes: map[netip.Addr]float64{code("127.0.5.3"): -3}}
	domains := List{Zone: "dom.test", Domains: true, Score: 2}
	r := dnstest.New(`
		1.2.0.192.bad.test  A   127.0.0.2
		1.2.0.192.bad.test  A   127.0.0.10
		1.2.0.192.bad.test  TXT see https://bad.test/é
		2.2.0.192.bad.test  A   127.0.0.10
		3.2.0.192.bad.test  A   127.0.0.11
		4.2.0.192.bad.test  A   127.255.255.254
		5.2.0.192.bad.test  A   198.51.100.1
		6.2.0.192.bad.test  SERVFAIL
		b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bad.test A 127.0.0.2
		1.2.0.192.good.test A   127.0.5.2
		1.2.0.192.good.test A   127.0.5.3
		evil.test.dom.test  A   127.0.0.2`)
	for _, c := range []struct {
		list          List
		subject, want string
		fails         bool
	}{
		{bad, "192.0.2.1", "192.0.2.1 is listed by bad.test (127.0.0.2 127.0.0.10), score +4", false},
		{bad, "192.0.2.2", "192.0.2.2 is listed by bad.test (127.0.0.10), score +1", false},
		{bad, "192.0.2.3", "192.0.2.3 is listed by bad.test (127.0.0.11), score +0", false},
		{bad, "192.0.2.4", "", true},
		{bad, "192.0.2.5", "", false},
		{bad, "192.0.2.6", "", true},
		{bad, "192.0.2.7", "", false},
		{bad, "2001:db8::567:89ab", "2001:db8::567:89ab is listed by bad.test (127.0.0.2), score +4", false},
		{good, "192.0.2.1", "192.0.2.1 is listed by good.test (127.0.5.2 127.0.5.3), score -3", false},
		{domains, "Evil.test", "Evil.test is listed by dom.test (127.0.0.2), score +2", false},
		{domains, "other.test", "", false},
		{domains, "", "", true},
		{bad, "nobody", "", true},
	} {
		got, err := c.list.Check(t.Context(), r, c.subject)
		said := ""
		if got != nil {
			said = got.String()
		}
		if said != c.want || (err != nil) != c.fails {
			t.Errorf("%s at %s: %q, %v", c.subject, c.list.Zone, said, err)
		}
	}
	if got, _ := bad.Check(t.Context(), r, "192.0.2.1"); got.Text != "see https://bad.test/?" {
		t.Errorf("text %q", got.Text)
	}
}

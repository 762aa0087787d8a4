package iprev

import (
	"net/netip"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

const zone = `
	1.2.0.192.in-addr.arpa PTR other.test
	1.2.0.192.in-addr.arpa PTR mx.test
	mx.test                A   192.0.2.1
	mx.test                AAAA 2001:db8::1
	2.2.0.192.in-addr.arpa PTR mx.test
	3.2.0.192.in-addr.arpa SERVFAIL
	4.2.0.192.in-addr.arpa PTR late.test
	late.test              SERVFAIL`

// TestCheck is RFC 8601 §3.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		ip   string
		want Code
		name string
	}{
		{"192.0.2.1", Pass, "mx.test"}, {"::ffff:192.0.2.1", Pass, "mx.test"}, {"192.0.2.2", Fail, "mx.test"}, {"192.0.2.3", TempError, ""},
		{"192.0.2.4", TempError, "late.test"}, {"192.0.2.5", PermError, ""}, {"2001:db8::1", PermError, ""},
	} {
		if r := Check(t.Context(), dnstest.New(zone), netip.MustParseAddr(c.ip)); r.Code != c.want || r.Name != c.name {
			t.Errorf("%s: %+v", c.ip, r)
		}
	}
}

func TestHelo(t *testing.T) {
	for _, c := range []struct {
		helo, ip string
		want     Code
	}{
		{"mx.test", "192.0.2.1", Pass}, {"MX.test.", "192.0.2.1", Pass}, {"mx.test", "2001:db8::1", Pass}, {"mx.test", "192.0.2.2", Fail},
		{"none.test", "192.0.2.1", Fail}, {"late.test", "192.0.2.1", TempError}, {"localhost", "192.0.2.1", PermError}, {"a..b", "192.0.2.1", PermError},
		{"[192.0.2.1]", "192.0.2.1", Pass}, {"[192.0.2.2]", "192.0.2.1", Fail}, {"[IPv6:2001:db8::1]", "2001:db8::1", Pass}, {"[x", "192.0.2.1", Fail},
	} {
		if r := Helo(t.Context(), dnstest.New(zone), c.helo, netip.MustParseAddr(c.ip)); r.Code != c.want {
			t.Errorf("%s from %s: %+v", c.helo, c.ip, r)
		}
	}
}

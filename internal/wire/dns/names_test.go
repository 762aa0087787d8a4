package dns

import (
	"net/netip"
	"strings"
	"testing"
)

func TestReverse(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.1", "1.2.0.192.in-addr.arpa"},
		{"::ffff:192.0.2.1", "1.2.0.192.in-addr.arpa"},
		{"2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"}, // RFC 3596 §2.5
	} {
		if got := Reverse(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("Reverse(%s) = %s, want %s", c.addr, got, c.want)
		}
	}
}

func TestIsName(t *testing.T) {
	for name, want := range map[string]bool{
		"": true, "a": true, "_25._tcp.mx.example.org": true, "a..b": false, ".a": false,
		strings.Repeat("a", 63) + ".b": true, strings.Repeat("a", 64) + ".b": false,
		strings.Repeat("a.", 126) + "a": true, strings.Repeat("a.", 127) + "a": false,
	} {
		if IsName(name) != want {
			t.Errorf("IsName(%q) = %v", name, !want)
		}
	}
}

func TestTypeNames(t *testing.T) {
	if got, ok := ParseType(TypeTLSA.String()); !ok || got != TypeTLSA {
		t.Errorf("TLSA reads back as %v", got)
	}
	if Type(65).String() != "TYPE65" {
		t.Errorf("type 65 is %s", Type(65))
	}
}

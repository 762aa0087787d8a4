package smtp

import (
	"strings"
	"testing"
)

// FuzzParseXClient: what is taken is fit for a header field and names no
// attribute that was not said.
func FuzzParseXClient(f *testing.F) {
	for _, s := range []string{
		"ADDR=192.0.2.1", "addr=IPV6:2001:db8::1 port=25 NAME=a.example", "HELO=[UNAVAILABLE] LOGIN=a+40b PROTO=esmtp DESTADDR=::1", "NAME=a+0D+0A", "X", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, r := ParseXClient(s)
		if !r.IsZero() {
			if !r.Permanent() || len(x.Said) > 0 || strings.ContainsAny(r.String(), "\r\n") {
				t.Fatalf("%q: %+v, %q", s, x, r)
			}
			return
		}
		for name, v := range map[string]string{"NAME": x.Name, "HELO": x.Helo, "LOGIN": x.Login, "PROTO": x.Proto} {
			if v != "" && !x.Said[name] || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' }) {
				t.Fatalf("%q: %s is %q", s, name, v)
			}
		}
		if x.Addr.IsValid() && (!x.Said["ADDR"] || x.Addr.Is4In6() || x.Addr.Zone() != "") {
			t.Fatalf("%q: %v", s, x.Addr)
		}
	})
}

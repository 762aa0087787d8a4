package route

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/policies"
	"github.com/ekiden-mail/ekiden/internal/trust/mtasts"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

const (
	tlsa  = "030101" + "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	tlsa0 = "000101" + "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

// secured is signed, but for what is INSECURE.
const secured = `
dane.test             MX    10 mx.dane.test
mx.dane.test          A     203.0.113.1
_25._tcp.mx.dane.test TLSA  ` + tlsa + `
useless.test          MX    10 mx.useless.test
mx.useless.test       A     203.0.113.1
_25._tcp.mx.useless.test TLSA ` + tlsa0 + `
shared.test           MX    10 mx.shared.test
mx.shared.test        A     203.0.113.1
_25._tcp.mx.shared.test CNAME tlsa.shared.test
tlsa.shared.test      TLSA  ` + tlsa + `
aliased.test          MX    10 mx.aliased.test
mx.aliased.test       CNAME mx.dane.test
first.test            MX    10 mx.first.test
mx.first.test         CNAME mx.plain.test
_25._tcp.mx.first.test TLSA ` + tlsa + `
mx.plain.test         A     203.0.113.1
plain.test            MX    10 mx.plain.test
away.test             MX    10 mx.away.test
mx.away.test          CNAME mx.bare.test
_25._tcp.mx.away.test TLSA  ` + tlsa + `
mx.bare.test          A     203.0.113.1
mx.bare.test          INSECURE
_25._tcp.mx.bare.test SERVFAIL
tobare.test           MX    10 mx.bare.test
bare.test             MX    10 mx.dane.test
bare.test             INSECURE
bogus.test            MX    10 mx.bogus.test
bogus.test            MX    20 mx.dane.test
mx.bogus.test         A     203.0.113.1
_25._tcp.mx.bogus.test SERVFAIL
unsigned.test         MX    10 mx.unsigned.test
mx.unsigned.test      A     203.0.113.1
_25._tcp.mx.unsigned.test CNAME tlsa.bare.test
tlsa.bare.test        TLSA  ` + tlsa + `
tlsa.bare.test        INSECURE
self.test             A     203.0.113.1
_25._tcp.self.test    TLSA  ` + tlsa + `
sts.test              MX    10 mx.bare.test
sts.test              MX    20 mx.other.test
sts.test              INSECURE
mx.other.test         A     203.0.113.1
testing.test          MX    10 mx.bare.test
testing.test          MX    20 mx.other.test
both.test             MX    10 mx.dane.test
both.test             MX    20 mx.bare.test
none.test             MX    10 mx.bare.test
lost.test             MX    10 mx.bare.test
kept.test             MX    10 mx.bare.test
`

func published(_ context.Context, d mail.Domain) policies.Known {
	p := policies.Known{Policy: mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"*.bare.test", "mx.none.test"}, MaxAge: time.Hour}, ID: "1", Fetched: time.Unix(1, 0)}
	switch d {
	case "sts.test", "both.test":
	case "testing.test":
		p.Mode = mtasts.Testing
	case "none.test":
		p.Mode = mtasts.None
	case "kept.test":
		p.Trouble, p.Reason = tlsrpt.PolicyFetch, "timeout"
	case "lost.test":
		return policies.Known{Trouble: tlsrpt.PolicyFetch, Reason: "timeout"}
	default:
		return policies.Known{}
	}
	return p
}

// TestDemands: what the line to each host must prove.
func TestDemands(t *testing.T) {
	dns := dnstest.New(secured)
	dns.Secure()
	r := New(Options{Resolver: dns, Hostname: "me.test", Policy: published})
	for _, c := range []struct{ domain, want string }{
		{"dane.test", "mx.dane.test tlsa mx.dane.test/dane.test mandatory proves"},
		{"useless.test", "mx.useless.test tlsa mx.useless.test/useless.test mandatory"}, // RFC 7672 §2.2
		{"shared.test", "mx.shared.test tlsa mx.shared.test/shared.test mandatory proves"},
		{"aliased.test", "mx.aliased.test tlsa mx.dane.test/mx.aliased.test/aliased.test mandatory proves"},
		{"first.test", "mx.first.test tlsa mx.first.test/first.test mandatory proves"},
		{"away.test", "mx.away.test tlsa mx.away.test/away.test mandatory proves"},
		{"plain.test", "mx.plain.test no-policy-found"},
		{"tobare.test", "mx.bare.test no-policy-found"}, // and its TLSA records are not asked for
		{"bare.test", "mx.dane.test no-policy-found"},
		{"bogus.test", "mx.bogus.test tlsa mx.bogus.test mandatory barred; mx.dane.test tlsa mx.dane.test/bogus.test mandatory proves; ! dnssec-invalid mx.bogus.test"},
		{"unsigned.test", "mx.unsigned.test no-policy-found"},
		{"self.test", "self.test tlsa self.test mandatory proves"},
		{"sts.test", "mx.bare.test sts mx.bare.test mandatory proves; mx.other.test sts mx.other.test mandatory proves barred; ! validation-failure mx.other.test"},
		{"testing.test", "mx.bare.test sts mx.bare.test proves; mx.other.test no-policy-found mx.other.test; ! validation-failure mx.other.test"},
		{"both.test", "mx.dane.test tlsa mx.dane.test/both.test mandatory proves; mx.bare.test sts mx.bare.test mandatory proves"},
		{"none.test", "mx.bare.test no-policy-found"},
		{"lost.test", "mx.bare.test no-policy-found; ! sts-policy-fetch-error "},
		{"kept.test", "mx.bare.test sts mx.bare.test mandatory proves; ! sts-policy-fetch-error "},
	} {
		way, err := r.For(t.Context(), mail.Domain(c.domain))
		if err != nil {
			t.Errorf("%s: %v", c.domain, err)
			continue
		}
		var got []string
		for _, h := range way.Hosts {
			got = append(got, describe(h))
		}
		for _, s := range way.Trouble {
			got = append(got, fmt.Sprintf("! %s %s", s.Failure.Result, s.Failure.Host))
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.domain, s, c.want)
		}
	}
	for _, q := range dns.Asked() {
		if q == "_25._tcp.mx.bare.test TLSA" {
			t.Errorf("asked: %s", q) // RFC 7672 §2.2.2
		}
	}
}

func describe(h Host) string {
	s := h.Name + " " + string(h.Demand.Policy.Type)
	if names := strings.Join(h.Demand.names, "/"); names != "" {
		s += " " + names
	}
	for _, f := range []struct {
		is   bool
		word string
	}{{h.Demand.Mandatory(), " mandatory"}, {h.Demand.Proves(), " proves"}, {h.Barred != "", " barred"}} {
		if f.is {
			s += f.word
		}
	}
	return s
}

package route

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

const zone = `
plain.test        MX    20 b.mx.test
plain.test        MX    10 a.mx.test
a.mx.test         A     203.0.113.1
b.mx.test         A     203.0.113.2
b.mx.test         AAAA  2001:db8:1::2
alias.test        CNAME plain.test
nomx.test         A     203.0.113.3
nomx.test         AAAA  2001:db8:1::3
nothing.test      TXT   hello
null.test         MX    0 .
nullandmore.test  MX    0 .
nullandmore.test  MX    5 a.mx.test
broken.test       SERVFAIL
bogus.test        BOGUS
slow.test         TIMEOUT
dead.test         MX    10 gone.mx.test
half.test         MX    10 gone.mx.test
half.test         MX    20 a.mx.test
unsure.test       MX    10 fail.mx.test
unsure2.test      MX    10 fail.mx.test
unsure2.test      MX    20 a.mx.test
fail.mx.test      SERVFAIL
onefam.test       MX    10 onefam.mx.test
onefam.mx.test    SERVFAIL AAAA
onefam.mx.test    A     203.0.113.4
inside.test       MX    10 inside.mx.test
inside.mx.test    A     10.0.0.1
inside.mx.test    AAAA  ::1
mixed.test        MX    10 mixed.mx.test
mixed.mx.test     A     192.168.0.1
mixed.mx.test     A     203.0.113.5
mapped.test       AAAA  ::ffff:127.0.0.1
backup.test       MX    10 a.mx.test
backup.test       MX    20 us.test
backup.test       MX    20 b.mx.test
backup.test       MX    30 onefam.mx.test
first.test        MX    10 us.test
first.test        MX    20 a.mx.test
byaddr.test       MX    10 other-name.test
other-name.test   A     203.0.113.99
us.test           A     203.0.113.99
many.test         A     203.0.113.11
many.test         A     203.0.113.12
many.test         AAAA  2001:db8:1::11
many.test         AAAA  2001:db8:1::12
`

func router(t *testing.T, o Options) *Router {
	t.Helper()
	if o.Resolver == nil {
		o.Resolver = dnstest.New(zone)
	}
	o.Self = append(o.Self, netip.MustParseAddr("203.0.113.99"))
	o.Hostname = "us.test"
	return New(o)
}

func show(r Route, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for i, h := range r.Hosts {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(h.Name)
		for _, a := range h.Addrs {
			b.WriteString(" " + a.String())
		}
	}
	return b.String()
}

func TestFor(t *testing.T) {
	for _, c := range []struct{ domain, want string }{
		{"plain.test", "a.mx.test 203.0.113.1:25; b.mx.test [2001:db8:1::2]:25 203.0.113.2:25"}, // RFC 5321 §5.1
		{"alias.test", "a.mx.test 203.0.113.1:25; b.mx.test [2001:db8:1::2]:25 203.0.113.2:25"},
		{"nomx.test", "nomx.test [2001:db8:1::3]:25 203.0.113.3:25"},
		{"nothing.test", "550 5.1.2 "},
		{"nowhere.test", "550 5.1.2 the domain nowhere.test does not exist"},
		{"null.test", "556 5.1.10 "}, // RFC 7505 §4.2
		{"nullandmore.test", "a.mx.test 203.0.113.1:25"},
		{"broken.test", "451 4.4.3 "},
		{"bogus.test", "451 4.4.3 "},
		{"dead.test", "550 5.4.4 "},
		{"half.test", "a.mx.test 203.0.113.1:25"},
		{"unsure.test", "451 4.4.3 "},
		{"unsure2.test", "a.mx.test 203.0.113.1:25"},
		{"onefam.test", "onefam.mx.test 203.0.113.4:25"},
		{"inside.test", "550 5.4.4 "},
		{"mixed.test", "mixed.mx.test 203.0.113.5:25"},
		{"mapped.test", "550 5.4.4 "},
		{"backup.test", "a.mx.test 203.0.113.1:25"}, // RFC 5321 §5.1: nobody after us
		{"first.test", "550 5.4.6 "},
		{"byaddr.test", "550 5.4.6 "},
		{"us.test", "550 5.4.6 "},
		{"[203.0.113.7]", "203.0.113.7 203.0.113.7:25"},
		{"[IPv6:2001:db8::7]", "2001:db8::7 [2001:db8::7]:25"},
		{"[203.0.113.99]", "550 5.4.6 "},
		{"[127.0.0.1]", "550 5.1.2 "},
		{"[IPv6:::ffff:10.0.0.1]", "550 5.1.2 "},
	} {
		for range 5 { // the order of equals is drawn
			got := show(router(t, Options{}).For(t.Context(), mail.Domain(c.domain)))
			if got != c.want && !(strings.HasSuffix(c.want, " ") && strings.HasPrefix(got, c.want)) {
				t.Errorf("%s: %s, want %s", c.domain, got, c.want)
				break
			}
		}
	}
}

func TestAllowPrivate(t *testing.T) {
	r := router(t, Options{AllowPrivate: true, Port: 2525, Self: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	for domain, want := range map[mail.Domain]string{
		"inside.test": "inside.mx.test [::1]:2525 10.0.0.1:2525",
		"[127.0.0.1]": "127.0.0.1 127.0.0.1:2525",
		"[0.0.0.0]":   "550 5.1.2 [0.0.0.0] is not an address that mail is sent to",
	} {
		if got := show(r.For(t.Context(), domain)); got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
}

// TestEqualsAreDrawn sees that hosts of one preference and addresses of one
// host come first in turn, and the families alternate.
func TestEqualsAreDrawn(t *testing.T) {
	r := router(t, Options{Resolver: dnstest.New(zone + "eq.test MX 5 a.mx.test\neq.test MX 5 b.mx.test\n")})
	first := map[string]int{}
	for range 100 {
		route, err := r.For(t.Context(), "eq.test")
		if err != nil || len(route.Hosts) != 2 {
			t.Fatal(route, err)
		}
		first[route.Hosts[0].Name]++
		many, err := r.For(t.Context(), "many.test")
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range many.Hosts[0].Addrs {
			if a.Addr().Is6() != (i%2 == 0) {
				t.Fatalf("families do not alternate: %v", many.Hosts[0].Addrs)
			}
		}
		first[many.Hosts[0].Addrs[0].String()]++
	}
	if len(first) != 4 {
		t.Errorf("first were %v", first)
	}
}

func TestSmartHost(t *testing.T) {
	for _, c := range []struct {
		s    SmartHost
		want string
		tls  TLS
	}{
		{SmartHost{Addr: "a.mx.test:587"}, "a.mx.test 203.0.113.1:587", Opportunistic},
		{SmartHost{Addr: "a.mx.test:587", User: "u"}, "a.mx.test 203.0.113.1:587", Required},
		{SmartHost{Addr: "a.mx.test:465", User: "u"}, "a.mx.test 203.0.113.1:465", Implicit},
		{SmartHost{Addr: "127.0.0.1:2525", User: "u"}, "127.0.0.1 127.0.0.1:2525", Opportunistic},
		{SmartHost{Addr: "10.0.0.1:25", User: "u"}, "10.0.0.1 10.0.0.1:25", Required},
		{SmartHost{Addr: "nowhere.test:25"}, "451 4.4.3 no address of the smart host nowhere.test is known", 0},
	} {
		r := router(t, Options{SmartHosts: []SmartHost{c.s}})
		route, err := r.For(t.Context(), "null.test")
		if got := show(route, err); got != c.want {
			t.Errorf("%s: %s, want %s", c.s.Addr, got, c.want)
		}
		if err == nil && (route.Hosts[0].TLS != c.tls || route.User != c.s.User) {
			t.Errorf("%s: TLS %d, user %q", c.s.Addr, route.Hosts[0].TLS, route.User)
		}
		if r.Hop("x.test") != r.Hop("y.test") {
			t.Errorf("%s: two hops", c.s.Addr)
		}
	}
	for _, bad := range []string{"", "a", "a:", ":25", "a:0", "a:99999"} {
		s := &SmartHost{Addr: bad}
		if s.Check() == nil {
			t.Errorf("%q is taken as a smart host", bad)
		}
		if got := show(router(t, Options{SmartHosts: []SmartHost{*s}}).For(t.Context(), "x.test")); !strings.HasPrefix(got, "451 4.3.5 ") {
			t.Errorf("%q: %s", bad, got)
		}
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := router(t, Options{}).For(ctx, "slow.test"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestRelayed: domains of ours that are relayed go to the hosts that an operator
// named, whatever their addresses, or to the MX hosts before us; never to the
// smart host.
func TestRelayed(t *testing.T) {
	relays := map[mail.Domain]directory.Relay{
		"inner.test":  {To: []string{"10.0.0.1", "inside.mx.test:2525"}},
		"tls.test":    {To: []string{"[::1]:465"}},
		"lost.test":   {To: []string{"gone.mx.test"}},
		"backup.test": {To: []string{directory.ByMX}},
		"first.test":  {To: []string{directory.ByMX}},
	}
	relayed := func(_ context.Context, d mail.Domain) (directory.Relay, error) {
		if d == "unread.test" {
			return directory.Relay{}, errors.New("disk")
		}
		return relays[d], nil
	}
	r := router(t, Options{Relayed: relayed, SmartHosts: []SmartHost{{Addr: "192.0.2.7:25"}}})
	for domain, want := range map[mail.Domain]string{
		"inner.test":  "10.0.0.1 10.0.0.1:25; inside.mx.test [::1]:2525 10.0.0.1:2525",
		"tls.test":    "::1 [::1]:465",
		"lost.test":   "451 4.4.3 no address of the hosts that lost.test is relayed to is known",
		"backup.test": "a.mx.test 203.0.113.1:25", // RFC 5321 §5.1: nobody after us
		"first.test":  "550 5.4.6 mail for first.test loops back to this host",
		"unread.test": "451 4.3.0 where unread.test is relayed to cannot be read",
		"plain.test":  "192.0.2.7 192.0.2.7:25",
	} {
		if got := show(r.For(t.Context(), domain)); got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
		hop := mail.Domain("192.0.2.7:25")
		if domain != "plain.test" {
			hop = domain
		}
		if got := r.Hop(domain); got != hop {
			t.Errorf("%s: hop %s", domain, got)
		}
	}
	if way, err := r.For(t.Context(), "tls.test"); err != nil || way.Hosts[0].TLS != Implicit {
		t.Error(way, err)
	}
}

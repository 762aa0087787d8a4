package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// TestCheckHost sees what is said of a host from which nothing goes out, and of
// names that do not fit.
func TestCheckHost(t *testing.T) {
	c := Default()
	c.Hostname = "mx.example.com"
	c.Outbound.Source = "203.0.113.5"
	c.SmartHosts = []SmartHost{{Address: "rescue.test:587", User: "u", Fallback: true, password: "p"}}
	c.Sources = []Source{{Addresses: []string{"203.0.113.6"}, Hostname: "out.example.com"}}
	var asked []string
	k := &hostCheck{
		c: &c,
		resolver: dnstest.New("mx.example.com A 203.0.113.5\nout.example.com A 203.0.113.7\n" +
			"a.test MX 1 mx1.a.test\na.test MX 2 mx2.a.test\nmx1.a.test A 192.0.2.1\nmx2.a.test A 198.51.100.1\nb.test MX 1 mx.b.test\nmx.b.test A 203.0.113.9"),
		dial: func(_ context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error) {
			asked = append(asked, fmt.Sprintf("%s %d %v %q", addr, o.TLS, o.VerifyCA, o.User))
			return nil, errors.New("timeout")
		},
	}
	c.Outbound.AllowPrivate = true // the networks of examples are none of the public one
	var got []string
	for _, f := range k.all(t.Context(), []string{"a.test", "b.test"}) {
		got = append(got, fmt.Sprintf("%v %s: %s", f.Good, f.What, f.Said))
	}
	want := `true name mx.example.com: 203.0.113.5
false name out.example.com: its addresses are 203.0.113.7, but connections leave from 203.0.113.6
false port 25 of others: no server of several networks was reached, while the DNS answers: the access network lets no mail out (OP25B); mail goes to rescue.test:587 meanwhile
false smart host rescue.test:587: timeout`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("%s\nwant\n%s", s, want)
	}
	if s := strings.Join(asked, "; "); s != `192.0.2.1:25 1 false ""; 198.51.100.1:25 1 false ""; 203.0.113.9:25 1 false ""; rescue.test:587 2 true "u"` {
		t.Error(s)
	}
}

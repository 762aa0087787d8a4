package resolver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// served is a signed world with a resolver that answers at a door on loopback.
func served(t testing.TB) (*world, *Resolver, string) {
	t.Helper()
	w := newWorld()
	w.latency = 0
	root := newZone(".", "@ NS ns.root.\nns.root. A 198.51.100.1\norg. NS ns.org.\nns.org. A 198.51.100.2", dns.ECDSAP256SHA256)
	org := newZone("org.", "@ NS ns\nns A 198.51.100.2\nwww 300 A 192.0.2.1\nalias CNAME www\ntree DNAME other\nx.other A 192.0.2.2\nbig TXT "+strings.Repeat(`"`+strings.Repeat("x", 200)+`" `, 10)+"\n*.wild A 192.0.2.3", dns.ED25519)
	bad := newZone("bad.org.", "@ NS ns\nns A 198.51.100.3\nwww A 192.0.2.1", dns.ED25519)
	bad.break_ = func(_ []dns.RR, s *dns.RRSIG) { s.Signature = "AAAA" + s.Signature[4:] }
	org.add("bad NS ns.bad\nns.bad A 198.51.100.3")
	org.vouch(bad)
	root.vouch(org)
	w.servers["198.51.100.1"], w.servers["198.51.100.2"], w.servers["198.51.100.3"] = &actor{zones: []*zone{root}}, &actor{zones: []*zone{org}}, &actor{zones: []*zone{bad}}
	r := w.resolver(t, Options{Hints: w.hints("198.51.100.1"), Anchors: root.anchor()})
	d := door(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx, d) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		r.Close()
	})
	return w, r, d.Addr().String()
}

// door opens a door at any port.
func door(t testing.TB) *Door {
	t.Helper()
	var err error
	for range 100 { // another program may have the port for TCP
		var d *Door
		if d, err = Open(netip.MustParseAddrPort("127.0.0.1:0")); err == nil {
			return d
		}
	}
	t.Fatal(err)
	return nil
}

// ask puts a question through a door.
func ask(t testing.TB, network, at, name string, kind uint16, change func(*dns.Msg)) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, kind)
	if change != nil {
		change(m)
	}
	c := dns.Client{Net: network, UDPSize: 1232, Timeout: 5 * time.Second}
	a, _, err := c.Exchange(m, at)
	if err != nil {
		t.Fatalf("%s %s by %s: %v", name, dns.Type(kind), network, err)
	}
	return a
}

// gist is what counts of an answer.
func gist(m *dns.Msg) string {
	s := dns.RcodeToString[m.Rcode]
	for flag, name := range map[bool]string{m.AuthenticatedData: " ad"} {
		if flag {
			s += name
		}
	}
	if m.Truncated {
		s += " tc"
	}
	for _, rr := range m.Answer {
		s += " " + dns.Type(rr.Header().Rrtype).String()
	}
	s += " /"
	for _, rr := range m.Ns {
		s += " " + dns.Type(rr.Header().Rrtype).String()
	}
	if o := m.IsEdns0(); o != nil {
		for _, x := range o.Option {
			if e, ok := x.(*dns.EDNS0_EDE); ok {
				s += " ede=" + dns.ExtendedErrorCodeToString[e.InfoCode]
			}
		}
	}
	return s
}

// TestServed: programs on this machine get what stub resolvers expect, from the first
// question and from the cache alike (RFC 4035 §3.2, RFC 6840 §5.8, RFC 8914).
func TestServed(t *testing.T) {
	w, _, at := served(t)
	edns := func(m *dns.Msg) { m.SetEdns0(1232, false) }
	do := func(m *dns.Msg) { m.SetEdns0(1232, true) }
	cases := []struct {
		name   string
		t      uint16
		change func(*dns.Msg)
		want   string
	}{
		{"www.org.", dns.TypeA, nil, "NOERROR A /"},
		{"WWW.oRg.", dns.TypeA, func(m *dns.Msg) { m.AuthenticatedData = true }, "NOERROR ad A /"},
		{"www.org.", dns.TypeA, do, "NOERROR ad A RRSIG /"},
		{"alias.org.", dns.TypeA, do, "NOERROR ad CNAME RRSIG A RRSIG /"},
		{"x.tree.org.", dns.TypeA, nil, "NOERROR DNAME CNAME A /"},
		{"none.org.", dns.TypeA, do, "NXDOMAIN ad / SOA RRSIG NSEC RRSIG NSEC RRSIG"},
		{"none.org.", dns.TypeA, nil, "NXDOMAIN / SOA"},
		{"www.org.", dns.TypeMX, nil, "NOERROR / SOA"},
		{"a.wild.org.", dns.TypeA, do, "NOERROR ad A RRSIG / NSEC RRSIG"},
		{"www.bad.org.", dns.TypeA, edns, "SERVFAIL / ede=DNSSEC Bogus"},
		{"www.bad.org.", dns.TypeA, func(m *dns.Msg) { do(m); m.CheckingDisabled = true }, "NOERROR A RRSIG /"},
		{"www.org.", dns.TypeA, func(m *dns.Msg) { m.RecursionDesired = false }, "REFUSED /"},
		{"www.org.", dns.TypeANY, nil, "NOTIMP /"},
		{"www.org.", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, "REFUSED /"},
		{"www.org.", dns.TypeA, func(m *dns.Msg) { edns(m); m.IsEdns0().SetVersion(1) }, "BADSIG /"}, // BADVERS, which has the same number
		{"www.org.", dns.TypeA, func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, "NOTIMP /"},
		{"localhost.", dns.TypeA, nil, "NOERROR A /"},
	}
	for round := range 2 {
		for _, c := range cases {
			for _, network := range []string{"udp", "tcp"} {
				m := ask(t, network, at, c.name, c.t, c.change)
				if got := gist(m); !strings.HasPrefix(got, c.want) {
					t.Errorf("round %d: %s %s by %s: %s, want %s", round, c.name, dns.Type(c.t), network, got, c.want)
				}
				if !m.RecursionAvailable && m.Rcode != dns.RcodeRefused && m.Rcode != dns.RcodeNotImplemented && m.Rcode != dns.RcodeBadVers || len(m.Question) == 1 && m.Question[0].Name != c.name {
					t.Errorf("%s %s: %v", c.name, dns.Type(c.t), m)
				}
			}
		}
	}
	before := w.asked()
	if m := ask(t, "udp", at, "big.org.", dns.TypeTXT, edns); gist(m) != "NOERROR tc /" {
		t.Errorf("what is too long for UDP: %s", gist(m))
	}
	for range 3 {
		if m := ask(t, "tcp", at, "big.org.", dns.TypeTXT, edns); gist(m) != "NOERROR TXT /" {
			t.Errorf("by TCP: %s", gist(m))
		}
		if m := ask(t, "udp", at, "big.org.", dns.TypeTXT, edns); gist(m) != "NOERROR tc /" {
			t.Errorf("from the cache: %s", gist(m))
		}
	}
	if n := w.asked() - before; n > 2 {
		t.Errorf("%d questions for one record", n)
	}
}

// TestServedTTL: what comes from the cache says how long it still lives.
func TestServedTTL(t *testing.T) {
	_, r, at := served(t)
	first := ask(t, "udp", at, "www.org.", dns.TypeA, nil).Answer[0].Header().Ttl
	for i := range r.packets.parts {
		part := &r.packets.parts[i]
		part.mu.RLock()
		all := maps.Clone(part.byKey)
		part.mu.RUnlock()
		for k, p := range all {
			r.packets.put(k, &packet{key: p.key, reply: p.reply, wire: p.wire, ttls: p.ttls, made: p.made.Add(-100 * time.Second), expires: p.expires, renew: p.renew})
		}
	}
	if next := ask(t, "udp", at, "www.org.", dns.TypeA, nil).Answer[0].Header().Ttl; next > first-100 || next < first-102 {
		t.Errorf("a TTL of %d after %d, 100 s later", next, first)
	}
}

// TestDoor is shut to strangers.
func TestDoor(t *testing.T) {
	for _, at := range []string{"0.0.0.0:0", "192.0.2.1:53", "[::]:0"} {
		if d, err := Open(netip.MustParseAddrPort(at)); err == nil {
			t.Errorf("opens %s", at)
			_ = d.Close()
		}
	}
}

// TestMalformedQuestions are answered with FORMERR, not at all, or, where only the class
// is missing, as of a class that is not served.
func TestMalformedQuestions(t *testing.T) {
	_, r, _ := served(t)
	good, _ := new(dns.Msg).SetQuestion("www.org.", dns.TypeA).Pack()
	for i := range good {
		if out := r.Respond(t.Context(), good[:i], nil, true); out != nil && (len(out) < header || out[3]&15 != dns.RcodeFormatError && out[3]&15 != dns.RcodeRefused) {
			t.Errorf("cut to %d octets: %x", i, out)
		}
	}
	loop := append([]byte{}, good[:header]...)
	loop = append(loop, 0xc0, header, 0, 1, 0, 1)
	if out := r.Respond(t.Context(), loop, nil, true); out == nil || out[3]&15 != dns.RcodeFormatError {
		t.Errorf("a name that points to itself: %x", out)
	}
	answer := append([]byte{}, good...)
	answer[2] |= 0x80
	if out := r.Respond(t.Context(), answer, nil, true); out != nil {
		t.Errorf("an answer is answered: %x", out)
	}
}

// FuzzRespond asks anything; what is answered quickly is what is answered slowly.
func FuzzRespond(f *testing.F) {
	w := newWorld()
	w.servers["198.51.100.9"] = &actor{zones: []*zone{newZone(".", "a. A 192.0.2.1\nb. CNAME a.", 0)}}
	w.latency = 0
	r := w.resolver(f, Options{Servers: []string{"198.51.100.9:53"}, NoValidation: true})
	f.Cleanup(r.Close)
	for _, name := range []string{"a.", "B.", "none.", "."} {
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		b, _ := m.Pack()
		f.Add(b)
		b, _ = m.SetEdns0(1232, true).Pack()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		var a inquiry
		common := a.read(b)
		out := r.Respond(ctx, b, nil, true)
		if out == nil {
			return
		}
		m := new(dns.Msg)
		if err := m.Unpack(out); err != nil {
			t.Fatalf("answers %x with what cannot be read: %v", b, err)
		}
		if m.Id != uint16(b[0])<<8|uint16(b[1]) || !m.Response || common && len(out) > a.size {
			t.Errorf("answers %x with %v", b, m)
		}
		if again := r.Respond(ctx, b, nil, true); again != nil && len(again) != len(out) && common {
			t.Errorf("%x the first time, %x then", out, again)
		}
	})
}

// secured runs a forwarder by TLS or HTTPS, and gives an authority for it.
func secured(t *testing.T, z *zone) (tlsAt, httpsAt string, roots *x509.CertPool) {
	t.Helper()
	answer := func(b []byte) []byte {
		q := new(dns.Msg)
		if err := q.Unpack(b); err != nil {
			t.Error(err)
			return nil
		}
		if len(b)%128 != 0 {
			t.Errorf("a question of %d octets is not padded", len(b))
		}
		m := serveZones([]*zone{z}, q, time.Now())
		m.RecursionAvailable = true
		out, _ := m.Pack()
		return out
	}
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		w.Header().Set("Content-Type", "application/dns-message")
		_, _ = w.Write(answer(b))
	}))
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // of those who do not trust it
	h.StartTLS()
	t.Cleanup(h.Close)
	roots = x509.NewCertPool()
	roots.AddCert(h.Certificate())
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: h.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		b, _ := q.Pack()
		_, _ = w.Write(answer(append(b, make([]byte, (128-len(b)%128)%128)...)))
	})}
	ended, started := make(chan struct{}), make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	go func() { _ = s.ActivateAndServe(); close(ended) }()
	<-started
	t.Cleanup(func() { _ = s.Shutdown(); <-ended })
	return ln.Addr().String(), h.Listener.Addr().String(), roots
}

// TestSecuredForwarders asks by TLS (RFC 7858) and HTTPS (RFC 8484), with questions
// that are padded (RFC 8467), of servers whose certificates are good for their name.
func TestSecuredForwarders(t *testing.T) {
	z := newZone(".", "a. A 192.0.2.1\nb. A 192.0.2.2", 0)
	byTLS, byHTTPS, roots := secured(t, z)
	for server, want := range map[string]string{
		"tls://" + byTLS + "#example.com": "", "https://" + byHTTPS + "/dns-query#example.com": "",
		"tls://" + byTLS + "#other.org": "certificate", "https://" + byHTTPS + "/dns-query#other.org": "certificate",
	} {
		r, err := New(Options{Servers: []string{server}, RootCAs: roots, NoValidation: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			a, err := r.Lookup(t.Context(), name, words.TypeA)
			if got := show(a, err); (err == nil) != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s: %s", server, got)
			}
		}
		r.Close()
	}
}

// BenchmarkQuick answers from the cache, without the network.
func BenchmarkQuick(b *testing.B) {
	_, r, at := served(b)
	ask(b, "udp", at, "www.org.", dns.TypeA, nil)
	q, _ := new(dns.Msg).SetQuestion("www.org.", dns.TypeA).Pack()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var a inquiry
		out := make([]byte, 0, 1232)
		for pb.Next() {
			if r.quick(&a, q, out, true) == nil {
				b.Error("not from the cache")
			}
		}
	})
}

// BenchmarkLookup answers our own question from the cache.
func BenchmarkLookup(b *testing.B) {
	_, r, _ := served(b)
	for b.Loop() {
		if _, err := r.Lookup(context.Background(), "www.org", words.TypeA); err != nil {
			b.Fatal(err)
		}
	}
}

var _ net.Conn = (*wire)(nil)

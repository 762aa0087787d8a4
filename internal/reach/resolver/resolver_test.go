package resolver

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// A Resolver is what everyone asks.
var _ words.Resolver = (*Resolver)(nil)

// server is a name server on loopback whose answers a test writes.
type server struct {
	addr     string
	udp, tcp atomic.Int32 // questions
}

// zone answers from records, following nothing: CNAMEs are given as they are.
func zone(t *testing.T, text string) dns.HandlerFunc {
	t.Helper()
	records := map[string][]dns.RR{}
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ToLower(rr.Header().Name)
		records[name] = append(records[name], rr)
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		found := records[strings.ToLower(q.Question[0].Name)]
		for _, rr := range found {
			if t := rr.Header().Rrtype; t == q.Question[0].Qtype || t == dns.TypeCNAME {
				m.Answer = append(m.Answer, rr)
			}
		}
		if len(found) == 0 {
			m.Rcode = dns.RcodeNameError
		}
		if len(m.Answer) == 0 {
			soa, _ := dns.NewRR("example.org. 60 SOA ns.example.org. root.example.org. 1 2 3 4 30")
			m.Ns = append(m.Ns, soa)
		}
		_ = w.WriteMsg(m)
	}
}

// listen gives one port for UDP and TCP.
func listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		_ = pc.Close() // another program has that port for TCP
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

func serve(t *testing.T, h dns.HandlerFunc) *server {
	t.Helper()
	pc, l := listen(t)
	s := &server{addr: pc.LocalAddr().String()}
	counted := func(n *atomic.Int32) dns.HandlerFunc {
		return func(w dns.ResponseWriter, q *dns.Msg) { n.Add(1); h(w, q) }
	}
	for _, srv := range []*dns.Server{
		{PacketConn: pc, Handler: counted(&s.udp)}, {Listener: l, Handler: counted(&s.tcp)},
	} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		go func() { _ = srv.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return s
}

func resolve(t *testing.T, o Options, servers ...*server) *Resolver {
	t.Helper()
	for _, s := range servers {
		o.Servers = append(o.Servers, s.addr)
	}
	if o.Timeout == 0 {
		o.Timeout = 200 * time.Millisecond
	}
	return New(o)
}

func TestRecords(t *testing.T) {
	s := serve(t, zone(t, `
example.org. 300 MX 10 MX.Example.org.
example.org. 300 TXT "v=spf1 " "\"quo\\ted\" \200"
mx.example.org. 60 A 192.0.2.1
mx.example.org. 60 AAAA 2001:db8::1
1.2.0.192.in-addr.arpa. 60 PTR mx.example.org.
_25._tcp.mx.example.org. 60 TLSA 3 1 1 ab12
_s._tcp.example.org. 60 SRV 1 2 3 t.example.org.
a.example.org. 10 CNAME b.example.org.
b.example.org. 20 CNAME mx.example.org.
dangling.example.org. 10 CNAME nowhere.example.org.
loop.example.org. 10 CNAME pool.example.org.
pool.example.org. 10 CNAME loop.example.org.
`))
	for _, mix := range []bool{false, true} {
		r := resolve(t, Options{MixCase: mix}, s)
		for _, c := range []struct {
			name string
			t    words.Type
			want string
		}{
			{"Example.ORG.", words.TypeMX, "example.org: 10 mx.example.org 5m0s"},
			{"example.org", words.TypeTXT, `example.org: "v=spf1 \"quo\\ted\" \xc8"`},
			{"mx.example.org", words.TypeA, "mx.example.org: 192.0.2.1"},
			{"mx.example.org", words.TypeAAAA, "mx.example.org: 2001:db8::1"},
			{"1.2.0.192.in-addr.arpa", words.TypePTR, "mx.example.org"},
			{"_25._tcp.mx.example.org", words.TypeTLSA, "030101ab12"},
			{"_s._tcp.example.org", words.TypeSRV, "1 2 3 t.example.org"},
			{"a.example.org", words.TypeA, "mx.example.org: 192.0.2.1"},
			{"a.example.org", words.TypeCNAME, "a.example.org: b.example.org"},
			{"mx.example.org", words.TypeMX, words.ErrNoData.Error()},
			{"nowhere.example.org", words.TypeMX, words.ErrNoName.Error()},
			{"dangling.example.org", words.TypeA, words.ErrNoName.Error()},
			{"loop.example.org", words.TypeA, words.ErrServer.Error()},
			{"a..example.org", words.TypeA, words.ErrNoName.Error()},
		} {
			a, err := r.Lookup(t.Context(), c.name, c.t)
			if got := show(a, err); !strings.Contains(got, c.want) {
				t.Errorf("%s %s (mixed case %v): %s, want %s", c.name, c.t, mix, got, c.want)
			}
			if a.Secure {
				t.Errorf("%s %s is said to be secure", c.name, c.t)
			}
		}
	}
	if s.tcp.Load() != 0 {
		t.Errorf("%d questions by TCP", s.tcp.Load())
	}
}

func show(a words.Answer, err error) string {
	if err != nil {
		return err.Error()
	}
	s := a.Name + ":"
	for _, r := range a.Records {
		switch {
		case r.Addr.IsValid():
			s += " " + r.Addr.String()
		case r.Type == words.TypeTXT:
			s += fmt.Sprintf(" %q", r.Text)
		case r.Data != nil:
			s += " " + hex.EncodeToString(r.Data)
		case r.Type == words.TypeSRV:
			s += fmt.Sprintf(" %d %d %d %s", r.Pref, r.Weight, r.Port, r.Target)
		case r.Type == words.TypeMX:
			s += fmt.Sprintf(" %d %s %s", r.Pref, r.Target, r.TTL)
		default:
			s += " " + r.Target
		}
	}
	return s
}

func TestCacheAndSingleFlight(t *testing.T) {
	answer := zone(t, "example.org. 300 A 192.0.2.1\nzero.example.org. 0 A 192.0.2.2")
	s := serve(t, func(w dns.ResponseWriter, q *dns.Msg) { time.Sleep(20 * time.Millisecond); answer(w, q) })
	r := resolve(t, Options{CacheSize: 2}, s)
	ask := func(name string) { _, _ = r.Lookup(t.Context(), name, words.TypeA) }
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { ask("example.org") })
	}
	wg.Wait()
	ask("example.org")
	if n := s.udp.Load(); n != 1 {
		t.Errorf("equal questions were asked %d times", n)
	}
	ask("no.example.org")
	ask("no.example.org")
	if n := s.udp.Load(); n != 2 {
		t.Errorf("after a name that is not: %d questions, want 2", n)
	}
	ask("zero.example.org")
	ask("zero.example.org")
	if n := s.udp.Load(); n != 4 {
		t.Errorf("after a TTL of 0: %d questions, want 4", n)
	}
	ask("other.example.org") // pushes example.org out, which was used longest ago
	ask("example.org")
	if n := s.udp.Load(); n != 6 {
		t.Errorf("after the cache was full: %d questions, want 6", n)
	}
	if n := len(r.cache.byQ); n != 2 || r.cache.order.Len() != 2 {
		t.Errorf("the cache holds %d", n)
	}
}

// TestFailureIsRemembered does not ask again at once where nobody could answer
// (RFC 9520 §3.2).
func TestFailureIsRemembered(t *testing.T) {
	s := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeServerFailure)
		_ = w.WriteMsg(m)
	})
	r := resolve(t, Options{}, s)
	for range 3 {
		if _, err := r.Lookup(t.Context(), "example.org", words.TypeA); !errors.Is(err, words.ErrServer) {
			t.Fatal(err)
		}
	}
	if n := s.udp.Load(); n > 2 { // a question and one more try
		t.Errorf("%d questions", n)
	}
}

func TestLeaderGoesAway(t *testing.T) {
	release := make(chan struct{})
	answer := zone(t, "example.org. 300 A 192.0.2.1")
	s := serve(t, func(w dns.ResponseWriter, q *dns.Msg) { <-release; answer(w, q) })
	r := resolve(t, Options{Timeout: 5 * time.Second}, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := r.Lookup(ctx, "example.org", words.TypeA); !errors.Is(err, context.Canceled) {
			t.Errorf("the one who went away got %v", err)
		}
	})
	for s.udp.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	wg.Go(func() {
		if _, err := r.Lookup(t.Context(), "example.org", words.TypeA); err != nil {
			t.Errorf("the one who stayed got %v", err)
		}
	})
	time.Sleep(5 * time.Millisecond)
	cancel()
	time.Sleep(5 * time.Millisecond)
	close(release)
	wg.Wait()
}

// broken writes octets of its own behind the question's id.
func broken(w dns.ResponseWriter, q *dns.Msg, b []byte) {
	_, _ = w.Write(append([]byte{byte(q.Id >> 8), byte(q.Id)}, b...))
}

func TestBadServers(t *testing.T) {
	good := zone(t, "example.org. 300 A 192.0.2.1")
	tcp := func(w dns.ResponseWriter) bool { return w.RemoteAddr().Network() == "tcp" }
	reply := func(q *dns.Msg, change func(m *dns.Msg)) *dns.Msg {
		m := new(dns.Msg)
		m.SetReply(q)
		change(m)
		return m
	}
	for name, c := range map[string]struct {
		h    dns.HandlerFunc
		want string
		tcp  int32
	}{
		"cut answer": {func(w dns.ResponseWriter, q *dns.Msg) {
			if tcp(w) {
				good(w, q)
				return
			}
			_ = w.WriteMsg(reply(q, func(m *dns.Msg) { m.Truncated = true }))
		}, "192.0.2.1", 1},
		"malformed by UDP": {func(w dns.ResponseWriter, q *dns.Msg) {
			if tcp(w) {
				good(w, q)
				return
			}
			broken(w, q, []byte{0x80, 0, 0, 1, 0, 9, 0, 0, 0, 0, 0xc0})
		}, "192.0.2.1", 1},
		"malformed always": {func(w dns.ResponseWriter, q *dns.Msg) {
			broken(w, q, []byte{0x80, 0, 0, 1, 0, 9, 0, 0, 0, 0, 0xc0})
		}, words.ErrServer.Error(), 2},
		"SERVFAIL": {func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(reply(q, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }))
		}, "server failure: example.org A", 0},
		"no EDNS": {func(w dns.ResponseWriter, q *dns.Msg) {
			if q.IsEdns0() != nil {
				_ = w.WriteMsg(reply(q, func(m *dns.Msg) { m.Rcode, m.Question = dns.RcodeFormatError, nil }))
				return
			}
			good(w, q)
		}, "192.0.2.1", 0},
		"wrong id, wrong question, then right": {func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(reply(q, func(m *dns.Msg) { m.Id++ }))
			_ = w.WriteMsg(reply(q, func(m *dns.Msg) { m.Question[0].Name = "other.org." }))
			_ = w.WriteMsg(reply(q, func(m *dns.Msg) { m.Response = false }))
			good(w, q)
		}, "192.0.2.1", 0},
		"referral": {func(w dns.ResponseWriter, q *dns.Msg) {
			ns, _ := dns.NewRR("org. 60 NS a.example.")
			_ = w.WriteMsg(reply(q, func(m *dns.Msg) { m.Ns = []dns.RR{ns} }))
		}, "refers to other servers", 0},
		"silence": {func(dns.ResponseWriter, *dns.Msg) {}, words.ErrServer.Error(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.h)
			a, err := resolve(t, Options{}, s).Lookup(t.Context(), "example.org", words.TypeA)
			if got := show(a, err); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
			if n := s.tcp.Load(); n != c.tcp {
				t.Errorf("%d questions by TCP, want %d", n, c.tcp)
			}
		})
	}
}

func TestSecondServer(t *testing.T) {
	bad := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeRefused)
		_ = w.WriteMsg(m)
	})
	good := serve(t, zone(t, "example.org. 300 A 192.0.2.1"))
	a, err := resolve(t, Options{}, bad, good).Lookup(t.Context(), "example.org", words.TypeA)
	if err != nil || len(a.Records) != 1 {
		t.Fatalf("%v, %v", a, err)
	}
}

func TestTrustAD(t *testing.T) {
	s := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.AuthenticatedData = q.AuthenticatedData
		rr, _ := dns.NewRR("example.org. 60 A 192.0.2.1")
		m.Answer = []dns.RR{rr}
		_ = w.WriteMsg(m)
	})
	for _, trust := range []bool{false, true} {
		a, err := resolve(t, Options{TrustAD: trust}, s).Lookup(t.Context(), "example.org", words.TypeA)
		if err != nil || a.Secure != trust {
			t.Errorf("TrustAD %v: secure %v, %v", trust, a.Secure, err)
		}
	}
}

func TestContextEnds(t *testing.T) {
	s := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := resolve(t, Options{Timeout: 10 * time.Second}, s).Lookup(ctx, "example.org", words.TypeA)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

func TestSystemServers(t *testing.T) {
	file := t.TempDir() + "/resolv.conf"
	r := New(Options{ResolvConf: file})
	if _, err := r.Lookup(t.Context(), "example.org", words.TypeA); !errors.Is(err, words.ErrServer) {
		t.Errorf("without a file: %v", err)
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("nameserver 192.0.2.53\nnameserver 2001:db8::53\n")
	now := time.Now()
	if got, err := r.servers(now); err != nil || strings.Join(got, " ") != "192.0.2.53:53 [2001:db8::53]:53" {
		t.Errorf("%v, %v", got, err)
	}
	write("nameserver 192.0.2.54\n")
	if got, err := r.servers(now.Add(time.Minute)); err != nil || strings.Join(got, " ") != "192.0.2.54:53" {
		t.Errorf("a minute later: %v, %v", got, err)
	}
}

// FuzzAnswer feeds packets to what reads a server's answers.
func FuzzAnswer(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("example.org.", dns.TypeTXT)
	for _, text := range []string{`example.org. 60 TXT "a" "b"`, "example.org. 60 CNAME x.org.", "example.org. 60 TLSA 3 1 1 ab"} {
		rr, _ := dns.NewRR(text)
		a := new(dns.Msg)
		a.SetReply(m)
		a.Answer = []dns.RR{rr}
		b, _ := a.Pack()
		f.Add(b, uint16(rr.Header().Rrtype))
	}
	f.Fuzz(func(t *testing.T, b []byte, kind uint16) {
		m := m.Copy()
		m.Question[0].Qtype = kind
		if len(b) > 2 {
			m.Id = uint16(b[0])<<8 | uint16(b[1])
		}
		r := &Resolver{}
		a, err := r.parse(b, m)
		if err != nil {
			return
		}
		o, err := r.understand(a, question{"example.org", words.Type(kind)}, time.Unix(0, 0))
		if err == nil && o.err == nil && len(o.Records) == 0 {
			t.Error("success without records")
		}
	})
}

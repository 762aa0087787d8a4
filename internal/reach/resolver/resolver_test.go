package resolver

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A Resolver is what everyone asks.
var _ words.Resolver = (*Resolver)(nil)

// alone is a world with one server that looks further, at 198.51.100.9, and a resolver
// that forwards to it.
func alone(t *testing.T, text string, o Options) (*world, *actor, *Resolver) {
	t.Helper()
	w := newWorld()
	s := &actor{zones: []*zone{newZone(".", text, 0)}}
	w.servers["198.51.100.9"] = s
	o.Servers, o.NoValidation = []string{"198.51.100.9:53"}, true
	r := w.resolver(t, o)
	t.Cleanup(r.Close)
	return w, s, r
}

func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.log)
}

// TestRecords puts each kind of record into our words, through sockets of the system.
func TestRecords(t *testing.T) {
	z := newZone(".", `
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
`, 0)
	var byTCP atomic.Int32
	addr := listen(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if w.RemoteAddr().Network() == "tcp" {
			byTCP.Add(1)
		}
		m := serveZones([]*zone{z}, q, time.Now())
		m.RecursionAvailable = true
		_ = w.WriteMsg(m)
	})
	r, err := New(Options{Servers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
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
			t.Errorf("%s %s: %s, want %s", c.name, c.t, got, c.want)
		}
		if a.Secure {
			t.Errorf("%s %s is said to be secure", c.name, c.t)
		}
	}
	if byTCP.Load() != 0 {
		t.Errorf("%d questions by TCP", byTCP.Load())
	}
}

// listen runs a server by UDP and TCP on a port of loopback.
func listen(t *testing.T, h dns.HandlerFunc) string {
	t.Helper()
	for range 100 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err != nil {
			_ = pc.Close() // another program has that port for TCP
			continue
		}
		for _, srv := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
			started, ended := make(chan struct{}), make(chan struct{})
			srv.NotifyStartedFunc = func() { close(started) }
			go func() { _ = srv.ActivateAndServe(); close(ended) }()
			<-started
			t.Cleanup(func() { _ = srv.Shutdown(); <-ended })
		}
		return pc.LocalAddr().String()
	}
	t.Fatal("no port is free for both")
	return ""
}

// TestCacheAndSingleFlight: equal questions are asked once, at the same time and while
// the answer lives (RFC 2308).
func TestCacheAndSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, r := alone(t, "example.org. 300 A 192.0.2.1\nzero.example.org. 0 A 192.0.2.2", Options{})
		ask := func(name string) { _, _ = r.Lookup(t.Context(), name, words.TypeA) }
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { ask("example.org") })
		}
		wg.Wait()
		ask("example.org")
		if n := w.asked(); n != 1 {
			t.Errorf("equal questions were asked %d times", n)
		}
		ask("no.example.org")
		ask("no.example.org")
		if n := w.asked(); n != 2 {
			t.Errorf("after a name that is not: %d questions, want 2", n)
		}
		ask("zero.example.org")
		ask("zero.example.org")
		if n := w.asked(); n != 4 {
			t.Errorf("after a TTL of 0: %d questions, want 4", n)
		}
		time.Sleep(10 * time.Minute)
		ask("example.org")
		if n := w.asked(); n != 5 {
			t.Errorf("after its life: %d questions, want 5", n)
		}
	})
}

// TestFailureIsRemembered does not ask again at once where nobody could answer
// (RFC 9520 §3.2), and does so later.
func TestFailureIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, r := alone(t, "", Options{})
		s.act = func(q *dns.Msg, _ bool, _ func() *dns.Msg) []*dns.Msg {
			return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)}
		}
		for range 3 {
			if _, err := r.Lookup(t.Context(), "example.org", words.TypeA); !errors.Is(err, words.ErrServer) {
				t.Fatal(err)
			}
		}
		if n := w.asked(); n != forwardRounds {
			t.Errorf("%d questions", n)
		}
		time.Sleep(failureTTL)
		_, _ = r.Lookup(t.Context(), "example.org", words.TypeA)
		if n := w.asked(); n != 2*forwardRounds {
			t.Errorf("%d questions later", n)
		}
	})
}

// TestLeaderGoesAway: who waits for another's question is answered though the other
// goes away.
func TestLeaderGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, r := alone(t, "example.org. 300 A 192.0.2.1", Options{})
		w.latency = 500 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.Lookup(ctx, "example.org", words.TypeA); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who went away got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := r.Lookup(t.Context(), "example.org", words.TypeA); err != nil {
				t.Errorf("the one who stayed got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, r := alone(t, "", Options{})
		s.act = func(*dns.Msg, bool, func() *dns.Msg) []*dns.Msg { return nil }
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := r.Lookup(ctx, "example.org", words.TypeA)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 30*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// TestMalformed: an answer that cannot be read is asked for again by TCP, and given up
// where that does not help; compression in a circle is such a one.
func TestMalformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, r := alone(t, "", Options{})
		s.raw = func(q []byte) [][]byte {
			bad := append([]byte{}, q...)
			bad[2] |= 0x80
			bad[6], bad[7] = 0, 1
			bad = append(bad[:len(bad)-11], 0xc0, byte(len(bad)-11), 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4)
			return [][]byte{{q[0], q[1]}, q[:12], bad}
		}
		if _, err := r.Lookup(t.Context(), "example.org", words.TypeA); !errors.Is(err, words.ErrServer) || !strings.Contains(err.Error(), "short read") { // of what came by TCP
			t.Error(err)
		}
		if n := w.asked(); n > 4*forwardRounds {
			t.Errorf("%d questions", n)
		}
	})
}

// TestBudget: the questions for one message may cost so much together.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, r := alone(t, "a. A 192.0.2.1\nb. A 192.0.2.1\nc. A 192.0.2.1", Options{})
		ctx := words.WithBudget(t.Context(), words.NewBudget(2))
		for name, want := range map[string]bool{"a": true, "b": true} {
			if _, err := r.Lookup(ctx, name, words.TypeA); (err == nil) != want {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.Lookup(ctx, "c", words.TypeA); !errors.Is(err, words.ErrServer) {
			t.Errorf("beyond the budget: %v", err)
		}
		if _, err := r.Lookup(ctx, "a", words.TypeA); err != nil {
			t.Errorf("what is known costs something: %v", err)
		}
		if _, err := r.Lookup(t.Context(), "c", words.TypeA); err != nil {
			t.Errorf("another message pays for it: %v", err)
		}
	})
}

// TestCacheIsBounded: what is remembered takes no more memory than it may, and what is
// used stays.
func TestCacheIsBounded(t *testing.T) {
	s := newStore[question, *step](64<<10, func(q question) uint64 { return uint64(len(q.name)) })
	now := time.Now()
	add := func(name string) {
		q := question{name, dns.TypeA}
		s.put(q, &step{q: q, made: now, expires: now.Add(time.Hour)})
	}
	add("kept.")
	for i := range 10_000 {
		add(strings.Repeat("x", i%50+5) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + ".")
		if _, ok := s.get(question{"kept.", dns.TypeA}); !ok {
			t.Fatalf("forgot what is used, after %d", i)
		}
	}
	if octets, entries := s.held(); octets > 64<<10 || entries == 0 {
		t.Errorf("%d octets, %d entries", octets, entries)
	}
}

// TestTrustAD believes a server on loopback if it is told to, and no other.
func TestTrustAD(t *testing.T) {
	for _, c := range []struct {
		at    string
		trust bool
		want  bool
	}{{"127.0.0.1", true, true}, {"127.0.0.1", false, false}, {"198.51.100.9", true, false}} {
		w := newWorld()
		w.servers[c.at] = &actor{zones: []*zone{newZone(".", "a. A 192.0.2.1", 0)}, act: func(_ *dns.Msg, _ bool, good func() *dns.Msg) []*dns.Msg {
			m := good()
			m.AuthenticatedData = true
			return []*dns.Msg{m}
		}}
		r := w.resolver(t, Options{Servers: []string{c.at + ":53"}, TrustAD: c.trust})
		a, err := r.Lookup(t.Context(), "a", words.TypeA)
		if err != nil || a.Secure != c.want {
			t.Errorf("%+v: secure %v, %v", c, a.Secure, err)
		}
		r.Close()
	}
}

// TestSystem: where the root is out of reach the system's servers answer, which may
// change while we run.
func TestSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := t.TempDir() + "/resolv.conf"
		w := newWorld() // none of the Internet's root servers is in it
		p := &play{w: w}
		r := w.resolver(t, Options{ResolvConf: file, Sink: p})
		defer r.Close()
		begin := time.Now()
		if _, err := r.Lookup(t.Context(), "a", words.TypeA); !errors.Is(err, words.ErrServer) || !strings.Contains(err.Error(), "resolv.conf") {
			t.Errorf("without a file: %v", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %v to find out that the root is out of reach", took)
		}
		if got := p.news(); !strings.Contains(got, "dns.root reached=false system_resolvers=true") {
			t.Errorf("said %q", got)
		}
		w.servers["198.51.100.6"] = &actor{act: func(q *dns.Msg, _ bool, _ func() *dns.Msg) []*dns.Msg {
			return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeNameError)} // to all: log in first
		}}
		if err := os.WriteFile(file, []byte("nameserver 198.51.100.6\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(failureTTL)
		if _, err := r.Lookup(t.Context(), "a", words.TypeA); !errors.Is(err, words.ErrServer) {
			t.Errorf("of servers that deny all: %v", err)
		}
		for _, at := range []string{"198.51.100.7", "198.51.100.8"} {
			w.servers[at] = &actor{zones: []*zone{newZone(".", "a. 1 A 192.0.2.1", 0)}}
			if err := os.WriteFile(file, []byte("nameserver "+at+"\nnameserver fe80::1%lo\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			a, err := r.Lookup(t.Context(), "a", words.TypeA)
			w.mu.Lock()
			last := w.log[len(w.log)-1]
			for i := len(w.log) - 1; !strings.Contains(w.log[i], " a. A"); i-- {
				last = w.log[i-1]
			}
			w.mu.Unlock()
			if err != nil || a.Secure || !strings.HasPrefix(last, at) {
				t.Errorf("%v, %v; %s was asked, want %s", a, err, last, at)
			}
		}
	})
}

func TestParseUpstream(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.1:53": "192.0.2.1:53", "[2001:db8::1]:5353": "[2001:db8::1]:5353", "tls://192.0.2.1#dns.example": "tls://192.0.2.1:853", "tls://[2001:db8::1]:8853": "tls://[2001:db8::1]:8853",
		"https://192.0.2.1/dns-query#dns.example": "https://192.0.2.1:443",
		"192.0.2.1": "", "dns.example:53": "", "tls://dns.example": "", "http://192.0.2.1/": "", "tls://192.0.2.1/x": "", "https://u@192.0.2.1/": "",
	} {
		u, err := parseUpstream(s)
		if (err != nil) != (want == "") || err == nil && u.String() != want {
			t.Errorf("%s: %v, %v", s, u, err)
		}
		if (CheckServer(s) != nil) != (want == "") {
			t.Errorf("CheckServer(%s) = %v", s, CheckServer(s))
		}
	}
}

// FuzzAnswer feeds packets to what reads a server's answers.
func FuzzAnswer(f *testing.F) {
	m := message(question{"example.org.", dns.TypeTXT}, asking{}, true, false)
	for _, text := range []string{`example.org. 60 TXT "a" "b"`, "example.org. 60 CNAME x.org.", "example.org. 60 TLSA 3 1 1 ab", "org. 60 DNAME net."} {
		rr, _ := dns.NewRR(text)
		a := new(dns.Msg)
		a.SetReply(m)
		a.Answer = []dns.RR{rr}
		b, _ := a.Pack()
		f.Add(b, rr.Header().Rrtype)
	}
	f.Fuzz(func(t *testing.T, b []byte, kind uint16) {
		m := m.Copy()
		m.Question[0].Qtype = kind
		if len(b) > 2 {
			m.Id = uint16(b[0])<<8 | uint16(b[1])
		}
		a, err := parse(b, m)
		if err != nil {
			return
		}
		o := Options{MaxTTL: time.Hour, MaxNegative: time.Hour}
		q := question{"example.org.", kind}
		if c := referral(a, "org.", q.name, time.Unix(0, 0)); c != nil && (!dns.IsSubDomain("org.", c.zone) || c.zone == "org." || len(c.glue) > maxGlue || len(c.servers) > maxServers) {
			t.Errorf("refers to %+v", c)
		}
		for _, s := range extract(a, q, "org.", time.Unix(0, 0), &o) {
			if s.kind == has && len(s.set) == 0 || s.kind == alias && !dns.IsSubDomain("org.", s.set[0].Header().Name) || len(s.set) > maxRecords {
				t.Errorf("%+v", s)
			}
			if _, err := records(s, time.Unix(0, 0)); err == nil && s.kind == has && len(s.set) == 0 {
				t.Error("success without records")
			}
		}
	})
}

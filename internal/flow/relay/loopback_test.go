package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// listen puts a host on a port of loopback.
func listen(t testing.TB, h *host) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { h.serve(c, h.enter()) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// eventually waits for what other goroutines do in real time.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// TestLoopback goes over a real network: by MX and to a smart host.
func TestLoopback(t *testing.T) {
	for _, smart := range []bool{false, true} {
		h := &host{}
		port := listen(t, h)
		b := newBed(t)
		b.o.Dial, b.o.Local = nil, netip.MustParseAddr("127.0.0.1")
		o := route.Options{
			Resolver: dnstest.New("y.test MX 1 mx.y.test\nmx.y.test A 127.0.0.1\nmx.y.test AAAA ::1"), AllowPrivate: true, Port: int(port),
		}
		if smart {
			o.SmartHosts = []route.SmartHost{{Addr: fmt.Sprintf("127.0.0.1:%d", port)}}
		}
		b.o.Router = route.New(o)
		stop := b.run()
		b.send(1, "s", "alice@home.test", "b@y.test")
		eventually(t, "taken", func() bool { return b.waiting() == "" })
		stop()
		b.want("taken", h.got(), "alice@home.test > b@y.test: s")
	}
}

// TestSmartHost sees what is asked of the line to a smart host, that all
// domains go over it together, and that its refusal to log us in bounces
// nothing.
func TestSmartHost(t *testing.T) {
	for _, c := range []struct {
		addr   string
		tls    smtpc.TLSMode
		verify bool
	}{{"192.0.2.9:587", smtpc.Required, true}, {"192.0.2.9:465", smtpc.Implicit, true}, {"127.0.0.1:587", smtpc.Opportunistic, false}} {
		play(t, func(b *bed) {
			h := b.net.add(c.addr, &host{})
			b.o.Router = route.New(route.Options{SmartHosts: []route.SmartHost{{Addr: c.addr, User: "u", Password: "p"}}})
			var asked smtpc.Options
			var willing atomic.Bool
			b.o.Dial = func(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error) {
				asked = o
				if !willing.Load() {
					return nil, &smtpc.Refusal{Command: "AUTH"}
				}
				o.User = ""
				return b.net.dial(ctx, addr, o)
			}
			b.send(1, "s", "alice@home.test", "b@y.test", "c@z.test")
			stop := b.run()
			synctest.Wait()
			b.want("queue", b.waiting(), "b@y.test 1 attempts; c@z.test 1 attempts")
			willing.Store(true)
			time.Sleep(10 * time.Minute)
			stop()
			b.want("taken", h.got(), "alice@home.test > b@y.test,c@z.test: s")
			if asked.TLS != c.tls || asked.VerifyCA != c.verify || asked.User != "u" || asked.Password != "p" ||
				asked.ServerName != strings.Split(c.addr, ":")[0] {
				b.Errorf("%s: asked %+v", c.addr, asked)
			}
		})
	}
}

// BenchmarkRelay sends messages over loopback to a host that takes all at once.
func BenchmarkRelay(b *testing.B) {
	h := &host{ext: []string{"SIZE"}}
	port := listen(b, h)
	bed := newBed(b)
	bed.o.Dial, bed.o.Sink = nil, nil
	bed.o.Router = route.New(route.Options{SmartHosts: []route.SmartHost{{Addr: fmt.Sprintf("127.0.0.1:%d", port)}}})
	for n := range b.N {
		bed.queue(n, fmt.Sprint(n), "alice@home.test", deliveries([]string{"b@y.test"}))
	}
	b.ResetTimer()
	stop := bed.run()
	eventually(b, "all", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.received) == b.N })
	b.StopTimer()
	stop()
}

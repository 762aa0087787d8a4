package relay

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// portEvents keeps what is said of the port.
type portEvents struct{ recorder }

func (p *portEvents) Emit(ctx context.Context, e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := e.(type) {
	case event.PortBlocked:
		p.lines = append(p.lines, fmt.Sprintf("blocked, fallback %q", e.Fallback))
	case event.PortReached:
		p.lines = append(p.lines, "reached "+e.Host.String())
	}
}

// taken is how many messages a host has taken.
func taken(h *host) (n int) {
	h.set(func(h *host) { n = len(h.received) })
	return n
}

// TestEscape sees that what finds the port blocked while it is under way goes by
// the fallback at once, over a connection that later ones use for the same.
func TestEscape(t *testing.T) {
	play(t, func(b *bed) {
		b.o.Router = route.New(route.Options{
			AllowPrivate: true, Resolver: dnstest.New("a.test MX 1 mx.a.test\nmx.a.test A 192.0.2.1\nmx.a.test A 198.51.100.1\nb.test MX 1 mx.b.test\nmx.b.test A 203.0.113.1\nmx.b.test A 10.0.0.1"),
			SmartHosts: []route.SmartHost{{Addr: "10.9.9.9:587", Fallback: true}},
		})
		rescue := b.net.add("10.9.9.9:587", &host{})
		b.o.Dial = func(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error) {
			if strings.HasSuffix(addr, ":587") {
				return b.net.dial(ctx, addr, o)
			}
			if o.Timeouts.Connect != probeWithin { // what is tried on purpose fails at once
				time.Sleep(time.Second)
			}
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		defer b.run()()
		b.send(1, "1", "alice@home.test", "x@a.test")
		time.Sleep(3 * time.Second)
		b.send(2, "2", "alice@home.test", "x@b.test")
		time.Sleep(2500 * time.Millisecond)
		b.want("the one under way", rescue.got(), "alice@home.test > x@b.test: 2")
		b.send(3, "3", "alice@home.test", "x@c.test")
		synctest.Wait()
		rescue.set(func(h *host) {
			if len(h.received) != 2 || h.conns != 1 {
				b.Errorf("%d over %d connections", len(h.received), h.conns)
			}
		})
	})
}

// TestBlockedPort shuts port 25 and opens it again: what is under way when that
// is noticed and what comes later goes by the fallback, and directly in the end.
func TestBlockedPort(t *testing.T) {
	for _, fallback := range []bool{true, false} {
		play(t, func(b *bed) {
			o := route.Options{AllowPrivate: true, Hostname: "me.test", Resolver: dnstest.New(
				"a.test MX 1 mx.a.test\nmx.a.test A 192.0.2.1\nb.test MX 1 mx.b.test\nmx.b.test A 198.51.100.1\n" +
					"c.test MX 1 mx1.c.test\nc.test MX 2 mx2.c.test\nmx1.c.test A 203.0.113.1\nmx2.c.test A 10.0.0.1")}
			if fallback {
				o.SmartHosts = []route.SmartHost{{Addr: "10.9.9.9:587", Fallback: true}}
			}
			b.o.Router = route.New(o)
			said := &portEvents{}
			b.o.Sink = said
			rescue := b.net.add("10.9.9.9:587", &host{})
			direct := map[string]*host{}
			for _, a := range []string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "10.0.0.1"} {
				direct[a] = b.net.add(a+":25", &host{})
			}
			var shut atomic.Bool
			b.o.Dial = func(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error) {
				if shut.Load() && strings.HasSuffix(addr, ":25") {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
				}
				return b.net.dial(ctx, addr, o)
			}
			b.o.Idle = -1
			defer b.run()()
			step := func(n int, to, what string) {
				b.send(n, fmt.Sprint(n), "alice@home.test", to)
				time.Sleep(time.Second)
				synctest.Wait()
				got := fmt.Sprintf("%d by the fallback, %s", taken(rescue), said.take())
				if fallback {
					b.want(fmt.Sprint(n, " to ", to), got, what)
				}
			}
			step(1, "x@a.test", "0 by the fallback, ")
			shut.Store(true)
			step(2, "x@a.test", "0 by the fallback, ")
			step(3, "x@b.test", "0 by the fallback, ")
			step(4, "x@c.test", `0 by the fallback, blocked, fallback "10.9.9.9:587"`) // it was noticed too late for itself
			step(5, "x@c.test", "1 by the fallback, ")
			time.Sleep(9 * time.Minute)
			step(6, "x@b.test", "5 by the fallback, ") // with what was put off
			shut.Store(false)
			time.Sleep(probeEvery)
			step(7, "x@a.test", "5 by the fallback, reached 192.0.2.1")
			if !fallback {
				time.Sleep(time.Hour)
			}
			synctest.Wait()
			b.want("queue", b.waiting(), "")
			if n := taken(direct["192.0.2.1"]); fallback && n != 2 || !fallback && n != 3 {
				b.Errorf("%d directly", n)
			}
		})
	}
}

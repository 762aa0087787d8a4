package relay

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
)

// TestSources: a message leaves from its sender's addresses under their name, and
// never over a connection that another name has opened.
func TestSources(t *testing.T) {
	play(t, func(b *bed) {
		b.net.add("192.0.2.1:25", &host{})
		b.net.add("192.0.2.2:25", &host{})
		b.o.Sources = []Source{
			{Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")}, Hostname: "one.me.test", Senders: []string{"home.test"}},
			{Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.2")}, Hostname: "two.me.test"},
			{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::3")}, Hostname: "three.me.test", Senders: []string{"six.test"}},
		}
		var mu sync.Mutex
		var left []string
		b.o.Dial = func(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error) {
			mu.Lock()
			left = append(left, fmt.Sprintf("%s from %v %v", o.Hostname, o.Local, o.Local2))
			mu.Unlock()
			return b.net.dial(ctx, addr, o)
		}
		defer b.run()()
		for n, from := range []string{"alice@home.test", "c@HOME.test", "b@other.test", "d@more.test", "e@six.test"} {
			b.send(n, fmt.Sprint(n), from, "x@y.test")
			synctest.Wait()
		}
		b.want("left", strings.Join(left, "\n"), "one.me.test from 203.0.113.1 2001:db8::1\ntwo.me.test from 203.0.113.2 invalid IP")
		b.want("waiting", b.waiting(), "x@y.test 1 attempts") // no host has IPv6
	})
}

// TestPool: each destination meets the same of several sources, and all are used.
func TestPool(t *testing.T) {
	r := New(Options{Hostname: "me.test", Sources: []Source{{Hostname: "a"}, {Hostname: "b"}, {Hostname: "c"}}})
	used := map[string]int{}
	for i := range 300 {
		k := trunk{hop: mail.Domain(fmt.Sprint(i, ".test"))}
		s := r.source("x.test", k)
		if again := r.source("x.test", k); again.Hostname != s.Hostname {
			t.Fatalf("%v meets %s and %s", k, s.Hostname, again.Hostname)
		}
		used[s.Hostname]++
	}
	if len(used) != 3 || used["a"] < 50 || used["b"] < 50 || used["c"] < 50 {
		t.Errorf("used: %v", used)
	}
	if s := New(Options{Hostname: "me.test"}).source("x.test", trunk{}); s.Hostname != "me.test" || len(s.Addrs) != 0 {
		t.Errorf("without any: %v", s)
	}
}

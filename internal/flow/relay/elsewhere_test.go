package relay

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// TestSmartHostOfASender sees that what goes by a smart host because of its sender
// counts as the smart host's and not as the recipients': whatever becomes of those
// sites, and no faster than one site is sent mail.
func TestSmartHostOfASender(t *testing.T) {
	play(t, func(b *bed) {
		zone := "mx.smart.test A 192.0.2.9\n"
		for n := range 40 {
			zone += fmt.Sprintf("d%d.test MX 1 mx.d%d.test\nmx.d%d.test A 192.0.2.1\n", n, n, n)
		}
		b.o.Router = route.New(route.Options{
			Resolver: dnstest.New(zone), AllowPrivate: true,
			SmartHosts: []route.SmartHost{{Addr: "mx.smart.test:587", Senders: []string{"alice@home.test"}}},
		})
		b.o.Sites = route.NewSites(b.o.Router, nil)
		smart := b.net.add("192.0.2.9:587", &host{pause: time.Second})
		b.net.add("192.0.2.1:25", &host{any: "451 4.7.1 try later"})
		for n := range 10 { // so that their sites are suspended
			b.send(n, "x", "bob@else.test", "b@d0.test", "b@d1.test", "b@d2.test")
		}
		defer b.run()()
		time.Sleep(10 * time.Second)
		for n := range 40 {
			b.send(100+n, fmt.Sprint(n), "alice@home.test", fmt.Sprintf("b@d%d.test", n))
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := taken(smart); n != 40 || smart.most != 8 {
			b.Errorf("the smart host has %d, over %d connections at once", n, smart.most)
		}
		// What was put off is read from the index, which does not name the sender.
		smart.set(func(h *host) { h.any, h.received = "450 4.2.1 not now", nil })
		b.send(200, "late", "alice@home.test", "b@d0.test")
		time.Sleep(time.Second)
		smart.set(func(h *host) { h.any = "" })
		time.Sleep(10 * time.Minute)
		b.want("in the end", smart.got(), "alice@home.test > b@d0.test: late")
	})
}

// TestMovedDomain sees that a domain whose MX has changed counts as another site's
// at once, however lately its site was found out.
func TestMovedDomain(t *testing.T) {
	play(t, func(b *bed) {
		zone := "mx.a.test A 192.0.2.1\nmx.b.test A 192.0.2.2\n"
		at := func(host string) (all string) {
			for n := range 30 {
				all += fmt.Sprintf("d%d.test MX 1 mx.%s.test\n", n, host)
			}
			return zone + all
		}
		names := dnstest.New(at("a"))
		b.o.Router = route.New(route.Options{Resolver: names, AllowPrivate: true})
		b.o.Sites = route.NewSites(b.o.Router, []route.SiteRule{{Name: "b", MX: []string{"mx.b.test"}, Rule: queue.Rule{Connections: 2}}})
		a, moved := b.net.add("192.0.2.1:25", &host{}), b.net.add("192.0.2.2:25", &host{pause: time.Second})
		defer b.run()()
		send := func() {
			for n := range 30 {
				b.send(n, fmt.Sprint(n), "alice@home.test", fmt.Sprintf("b@d%d.test", n))
			}
			time.Sleep(time.Minute)
		}
		send()
		time.Sleep(time.Hour)
		names.Set(at("b"))
		send()
		synctest.Wait()
		if taken(a) != 30 || taken(moved) != 30 || moved.most != 2 {
			b.Errorf("%d there, then %d, over %d connections at once", taken(a), taken(moved), moved.most)
		}
	})
}

// TestOneConnection sees that a site which allows one connection never has two,
// although each serves one message and the host is slow to say goodbye.
func TestOneConnection(t *testing.T) {
	play(t, func(b *bed) {
		b.o.Sites = route.NewSites(b.o.Router, []route.SiteRule{
			{Name: "y", MX: []string{".y.test"}, Rule: queue.Rule{Connections: 1, PerConnection: 1}},
		})
		h := b.net.add("192.0.2.1:25", &host{slowQuit: 3 * time.Second})
		defer b.run()()
		for n := range 10 {
			b.send(n, fmt.Sprint(n), "alice@home.test", "b@"+[]string{"y.test", "w.test"}[n%2])
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if taken(h) != 10 || h.most != 1 || h.conns != 10 {
			b.Errorf("%d over %d connections, %d at once", taken(h), h.conns, h.most)
		}
	})
}

package relay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// TestSuspends: a host that wants nothing is left alone for a growing time, its
// mail is put off meanwhile, and goes when it is well again.
func TestSuspends(t *testing.T) {
	play(t, func(b *bed) {
		h := b.net.add("192.0.2.3:25", &host{any: "421 4.7.0 too many messages, slow down"})
		defer b.run()()
		synctest.Wait()
		for n := range 30 {
			b.send(n, "s", "", "b@z.test")
		}
		synctest.Wait()
		asked := func() (n int) {
			h.set(func(h *host) {
				for _, c := range h.command {
					if strings.HasPrefix(c, "RCPT") {
						n++
					}
				}
			})
			return n
		}
		if n := asked(); n > 12 {
			t.Errorf("%d were tried at a host that wants none", n)
		}
		if s := b.events.take(); !strings.Contains(s, "is put off for a while; its last word was: 421 4.7.0 too many messages") {
			t.Errorf("events: %s", s)
		}
		before := asked()
		time.Sleep(time.Hour)
		if n := asked() - before; n < 1 || n > 12 {
			t.Errorf("%d probes in an hour", n)
		}
		h.set(func(h *host) { h.any = "" })
		time.Sleep(10 * time.Hour)
		b.want("queue", b.waiting(), "")
	})
}

// TestSitesShareLimits: two domains with the same mail host are one destination.
func TestSitesShareLimits(t *testing.T) {
	play(t, func(b *bed) {
		y := b.net.add("192.0.2.1:25", &host{pause: time.Second})
		b.o.Sites = route.NewSites(b.o.Router, []route.SiteRule{
			{Name: "big", MX: []string{".y.test"}, Rule: queue.Rule{Connections: 2}},
		})
		defer b.run()()
		synctest.Wait()
		for n := range 20 {
			b.send(n, "s", "", []string{"b@y.test", "c@w.test"}[n%2])
		}
		time.Sleep(time.Minute)
		b.want("queue", b.waiting(), "")
		if y.most != 2 || len(y.received) != 20 {
			t.Errorf("%d connections at once, %d messages", y.most, len(y.received))
		}
	})
}

// TestSuspensionOutlivesRestart: who wants nothing is not pressed again because the
// process begins anew.
func TestSuspensionOutlivesRestart(t *testing.T) {
	play(t, func(b *bed) {
		h := b.net.add("192.0.2.3:25", &host{any: "421 4.7.0 too many messages, slow down"})
		for n := range 20 {
			b.send(n, "s", "", "b@z.test")
		}
		stop := b.run()
		synctest.Wait()
		stop()
		h.set(func(h *host) { h.command = nil })
		again := newBedOver(t, b.db, b.net)
		for n := range 20 {
			b.send(100+n, "s", "", "b@z.test")
		}
		stop = again.run()
		time.Sleep(10 * time.Second)
		stop()
		if len(h.command) != 0 {
			t.Errorf("it was pressed again: %q", h.command)
		}
	})
}

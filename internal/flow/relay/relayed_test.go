package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// TestSplitDelivery: of a domain that moves, who is here is delivered here, and
// everyone else where it was, even with a smart host for all other mail. A
// change of mind takes effect on what waits.
func TestSplitDelivery(t *testing.T) {
	play(t, func(b *bed) {
		old, smart := b.net.add("10.0.0.1:25", &host{}), b.net.add("192.0.2.9:25", &host{})
		relayTo := func(to ...string) {
			b.must(b.dir.UpdateDomain(b.Context(), "home.test", func(d *directory.Domain) error { d.Settings.Relay.To = to; return nil }))
		}
		relayTo("10.0.0.1")
		b.o.Router = route.New(route.Options{
			Resolver: dnstest.New(zone), Relayed: b.dir.Relayed, SmartHosts: []route.SmartHost{{Addr: "192.0.2.9:25"}},
		})
		b.send(1, "s", "x@y.test", "carol@home.test", "alice@home.test", "b@z.test")
		stop := b.run()
		synctest.Wait()
		b.want("queue", b.waiting(), "")
		b.want("old host", old.got(), "x@y.test > carol@home.test: s")
		b.want("smart host", smart.got(), "x@y.test > b@z.test: s")
		if n := len(b.inbox()); n != 1 {
			b.Errorf("%d messages here", n)
		}
		// Down, and then everyone has moved.
		old.mu.Lock()
		old.any = "451 4.2.0 moving"
		old.mu.Unlock()
		b.send(2, "t", "alice@home.test", "dora@home.test")
		synctest.Wait()
		b.want("queue", b.waiting(), "dora@home.test 1 attempts")
		relayTo()
		time.Sleep(time.Hour)
		stop()
		b.want("queue", b.waiting(), "")
		if got := b.inbox(); len(got) != 2 {
			b.Errorf("alice was not told: %v", got)
		}
	})
}

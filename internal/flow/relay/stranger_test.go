package relay

import (
	"testing"
	"testing/synctest"
)

// TestStrangers: what an alias sends on, and the next host takes for unwanted,
// comes back to nobody, since its sender may be forged; that there is no such
// address is told, but no more than the header goes along. Our own hear all.
func TestStrangers(t *testing.T) {
	for _, c := range []struct{ from, refusal, want string }{
		{"bob@near.test", "550 5.7.1 this is spam", "bounced carl@y.test; untold carl@y.test"},
		{"bob@near.test", "550 5.1.1 no such user", "bounced carl@y.test; reported bob@near.test failed"},
		{"alice@home.test", "550 5.7.1 this is spam", "bounced carl@y.test; reported alice@home.test failed"},
	} {
		play(t, func(b *bed) {
			b.net.add("192.0.2.1:25", &host{any: c.refusal})
			id := b.send(1, "s", c.from, "carl@y.test")
			stop := b.run()
			synctest.Wait()
			stop()
			b.want(c.from+" "+c.refusal, b.story(id), c.want)
			if got := b.inbox(); c.from == "alice@home.test" && len(got) != 1 {
				b.Errorf("alice has %v", got)
			}
		})
	}
}

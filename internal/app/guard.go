package app

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	gate "github.com/ekiden-mail/ekiden/internal/serve/door"
)

// guards are what every door asks about an address. Trusted proxies that speak
// for others are above the limits of addresses.
func (r *rooms) guards(c *Config) gate.Guards {
	if c.Limits.Off {
		return gate.Guards{}
	}
	proxies, _ := networks(c.Proxy.XClient)
	return gate.Guards{
		Barred: func(now time.Time, a netip.Addr) (time.Time, bool) {
			b, barred := r.bans.Barred(now, a)
			return b.Until, barred
		},
		Allows: func(a netip.Addr) bool {
			return r.bans.Allows(a) || slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
		},
	}
}

// behindProxies lets the doors believe the PROXY protocol where the
// configuration says so.
func (s *Server) behindProxies() {
	from, _ := networks(s.config.Proxy.From)
	if len(from) == 0 {
		return
	}
	for _, d := range s.doors {
		for i, ln := range d.listeners {
			d.listeners[i] = gate.Proxied(ln, from, func(peer netip.AddrPort, err error) {
				s.rooms.sink.Emit(context.Background(), event.ConnectionRefused{Door: d.name, Peer: peer, Reason: err.Error()})
			})
		}
	}
}

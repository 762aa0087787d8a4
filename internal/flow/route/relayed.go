package route

import (
	"context"
	"net/netip"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// relayed is where mail of a domain of ours goes that is relayed; off where it
// is not.
func (r *Router) relayed(ctx context.Context, d mail.Domain) (directory.Relay, error) {
	if r.o.Relayed == nil {
		return directory.Relay{}, nil
	}
	return r.o.Relayed(ctx, d)
}

// inner is the route to the hosts an operator named for a domain of ours. They
// may have any address, and what is wrong with them is never the sender's
// fault, so nothing is permanent.
func (r *Router) inner(ctx context.Context, d mail.Domain, relay directory.Relay) (Route, error) {
	var route Route
	for _, to := range relay.To {
		name, port, err := directory.SplitHost(to)
		if err != nil {
			return Route{}, fail(451, smtp.Enhanced{4, 3, 5}, "the host that %s is relayed to is not configured well", d)
		}
		h, err := r.named(ctx, name, port)
		if err != nil {
			return Route{}, err
		}
		if len(h.Addrs) > 0 {
			route.Hosts = append(route.Hosts, h)
		}
	}
	if len(route.Hosts) == 0 {
		return Route{}, fail(451, smtp.Enhanced{4, 4, 3}, "no address of the hosts that %s is relayed to is known", d)
	}
	return route, nil
}

// named is a host that configuration names; its addresses are looked up where
// the name is none. The error is the context's.
func (r *Router) named(ctx context.Context, name string, port uint16) (Host, error) {
	h := Host{Name: name}
	if port == 465 {
		h.TLS = Implicit
	}
	if a, err := netip.ParseAddr(name); err == nil {
		h.Addrs = []netip.AddrPort{netip.AddrPortFrom(a, port)}
		return h, nil
	}
	found := r.addresses(ctx, name)
	h.Addrs = withPort(found.addrs, port)
	return h, ctx.Err()
}

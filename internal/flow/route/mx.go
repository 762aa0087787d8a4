package route

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// mx gives a domain's MX hosts in the order of preference, equals in random
// order (RFC 5321 §5.1), and whether they are surely the domain's. A domain
// without any is its own; that nobody could take them away is not known then.
func (r *Router) mx(ctx context.Context, d mail.Domain) ([]dns.Record, bool, error) {
	a, err := r.o.Resolver.Lookup(ctx, string(d), dns.TypeMX)
	switch {
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	case errors.Is(err, dns.ErrNoName):
		return nil, false, fail(550, smtp.Enhanced{5, 1, 2}, "the domain %s does not exist", d)
	case errors.Is(err, dns.ErrNoData):
		return []dns.Record{{Type: dns.TypeMX, Target: string(d)}}, a.Secure, nil
	case err != nil:
		return nil, false, fail(451, smtp.Enhanced{4, 4, 3}, "the name servers of %s do not answer as they should", d)
	}
	mx := slices.Clone(a.Records)
	if len(mx) == 1 && mx[0].Target == "" {
		return nil, false, fail(556, smtp.Enhanced{5, 1, 10}, "the domain %s takes no mail (null MX)", d) // RFC 7505 §4.2
	}
	mx = slices.DeleteFunc(mx, func(rec dns.Record) bool { return rec.Target == "" })
	rand.Shuffle(len(mx), func(i, j int) { mx[i], mx[j] = mx[j], mx[i] })
	slices.SortStableFunc(mx, func(a, b dns.Record) int { return cmp.Compare(a.Pref, b.Pref) })
	return mx[:min(len(mx), maxHosts)], a.Secure, nil
}

// found is what is known of one host's addresses.
type found struct {
	name      string // at the end of the aliases
	addrs     []netip.Addr
	uncertain bool // a name server failed
	secure    bool // the addresses are signed, and so is the way to them
}

// hosts looks up the addresses of the MX hosts, leaves out ourselves and
// whoever comes after us, and what cannot be sent to.
func (r *Router) hosts(ctx context.Context, d mail.Domain, mx []dns.Record, secure bool) (Route, error) {
	all := make([]found, len(mx))
	var wg sync.WaitGroup
	for i, rec := range mx {
		wg.Go(func() { all[i] = r.addresses(ctx, rec.Target) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return Route{}, ctx.Err()
	}
	kept := r.beforeSelf(mx, all)
	if kept == 0 && len(mx) > 0 {
		return Route{}, fail(550, smtp.Enhanced{5, 4, 6}, "mail for %s loops back to this host", d)
	}
	route := Route{Secure: secure}
	var of []found // each of its hosts
	uncertain, refused := false, false
	for i, rec := range mx[:kept] {
		uncertain = uncertain || all[i].uncertain
		good := slices.DeleteFunc(slices.Clone(all[i].addrs), func(a netip.Addr) bool { return !r.allowed(a) })
		refused = refused || len(good) < len(all[i].addrs)
		if len(good) > 0 {
			route.Hosts = append(route.Hosts, Host{Name: rec.Target, Addrs: withPort(good, uint16(r.o.Port))})
			of = append(of, all[i])
		}
	}
	switch {
	case len(route.Hosts) > 0:
		r.demands(ctx, d, &route, of)
		return route, ctx.Err()
	case uncertain:
		return Route{}, fail(451, smtp.Enhanced{4, 4, 3}, "the addresses of the mail hosts of %s cannot be found out now", d)
	case refused:
		return Route{}, fail(550, smtp.Enhanced{5, 4, 4}, "the mail hosts of %s have only addresses that mail is not sent to", d)
	case len(mx) == 1 && mx[0].Target == string(d):
		return Route{}, fail(550, smtp.Enhanced{5, 1, 2}, "the domain %s has no mail host", d)
	}
	return Route{}, fail(550, smtp.Enhanced{5, 4, 4}, "the mail hosts of %s have no addresses", d)
}

// beforeSelf gives the number of MX hosts to keep: where we are one of them,
// those that are preferred to us (RFC 5321 §5.1).
func (r *Router) beforeSelf(mx []dns.Record, all []found) int {
	for i := range mx {
		if r.o.Hostname != "" && (mx[i].Target == r.o.Hostname || all[i].name == r.o.Hostname) ||
			slices.ContainsFunc(all[i].addrs, r.isSelf) {
			return slices.IndexFunc(mx, func(rec dns.Record) bool { return rec.Pref >= mx[i].Pref })
		}
	}
	return len(mx)
}

// addresses looks up both families of a host and puts them in turn, IPv6 first
// (RFC 5321 §5.2, RFC 8305 §4). What is not known for one family does not hide
// the other.
func (r *Router) addresses(ctx context.Context, name string) found {
	f := found{name: name}
	var sets [2][]netip.Addr
	for i, t := range []dns.Type{dns.TypeAAAA, dns.TypeA} {
		a, err := r.o.Resolver.Lookup(ctx, name, t)
		if err != nil {
			f.uncertain = f.uncertain || !errors.Is(err, dns.ErrNoName) && !errors.Is(err, dns.ErrNoData)
			continue
		}
		f.name, f.secure = a.Name, f.secure || a.Secure
		for _, rec := range a.Records {
			sets[i] = append(sets[i], rec.Addr.Unmap())
		}
		rand.Shuffle(len(sets[i]), func(x, y int) { sets[i][x], sets[i][y] = sets[i][y], sets[i][x] })
	}
	for i := range max(len(sets[0]), len(sets[1])) {
		for _, s := range sets {
			if i < len(s) && len(f.addrs) < maxAddrs {
				f.addrs = append(f.addrs, s[i])
			}
		}
	}
	return f
}

// isSelf says whether a is ours. Where loopback is a network like others, as
// in trials, being there does not make a host ourselves.
func (r *Router) isSelf(a netip.Addr) bool {
	if r.o.AllowPrivate && a.IsLoopback() {
		return false
	}
	return slices.ContainsFunc(r.o.Self, func(s netip.Addr) bool { return s.Unmap() == a })
}

// allowed says whether mail may be sent to a. Anyone can point a domain's MX at
// what stands behind our firewall.
func (r *Router) allowed(a netip.Addr) bool {
	if r.o.AllowPrivate {
		return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast()
	}
	return dns.IsPublic(a)
}

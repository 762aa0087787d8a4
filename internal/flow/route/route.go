// Package route finds where mail for a domain goes: the hosts in the order in
// which they are to be tried, and how the line to them must be secured.
package route

import (
	"context"
	"net/netip"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/policies"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Limits on what a domain may make us do.
const (
	maxHosts = 16 // MX hosts whose addresses are looked up
	maxAddrs = 10 // addresses of one host
)

// Options of a router. Resolver must be given.
type Options struct {
	Resolver     dns.Resolver
	SmartHosts   []SmartHost  // what none of them is for goes to the domains' own hosts
	Port         int          // other servers are reached at; 25
	AllowPrivate bool         // loopback, private and other special addresses may be sent to
	Self         []netip.Addr // our own addresses
	Hostname     string       // our own name

	// Policy gives the MTA-STS policy of a domain (RFC 8461); nil: none has one.
	Policy func(context.Context, mail.Domain) policies.Known
	// Relayed says where mail of a domain of ours goes that is relayed; nil: none is.
	Relayed func(context.Context, mail.Domain) (directory.Relay, error)
	// Account gives the address of an account; nil: no smart host is for accounts.
	Account func(context.Context, mail.AccountID) (mail.Address, error)
}

// TLS is how a line must be secured.
type TLS uint8

// The demands. Opportunistic encrypts where it can and asks for no certificate
// (RFC 7435); Required and Implicit want one that is good.
const (
	Opportunistic TLS = iota
	Required          // STARTTLS or nothing
	Implicit          // from the first octet
)

// Host is one host to try.
type Host struct {
	Name   string // as MX or configuration gives it; an address literal without its brackets
	Addrs  []netip.AddrPort
	TLS    TLS    // what configuration wants
	Demand Demand // what the domain wants besides

	// Barred says why the host is not to be used now: its domain would not have it.
	// Only a message whose TLS its sender does not insist on may go there (RFC 8689 §3).
	Barred string
}

// Route is where mail for a domain goes: hosts in the order to be tried.
type Route struct {
	Hosts    []Host
	User     string // for AUTH; "": none
	Password string

	// Secure says that the names of the hosts are surely the domain's: an operator
	// has given them, the DNS is signed, or an MTA-STS policy vouches for them.
	Secure bool

	Policy  policies.Known // of MTA-STS, where it was asked for
	Trouble []Session      // what was found wrong before any host was reached

	// Public says that the hosts are the domain's own, at the port that servers are
	// reached at; MX is what the DNS says of them.
	Public bool
	MX     []dns.Record
}

// Failure says that there is no route. It is a decision about the recipients,
// as a reply would be.
type Failure struct{ Reply smtp.Reply }

// Error is the reply on one line.
func (f *Failure) Error() string { return f.Reply.String() }

// Permanent says whether trying again is of no use.
func (f *Failure) Permanent() bool { return f.Reply.Permanent() }

func fail(code int, e smtp.Enhanced, format string, args ...any) error {
	return &Failure{smtp.Answer(code, e, format, args...)}
}

// Router finds routes.
type Router struct {
	o         Options
	smart     []SmartHost
	byAccount bool // some are for accounts
}

// New makes a router. A smart host that Check refuses makes every route fail
// for the time being.
func New(o Options) *Router {
	if o.Port == 0 {
		o.Port = 25
	}
	o.Hostname = dns.Normal(o.Hostname)
	r := &Router{o: o, smart: o.SmartHosts}
	for _, s := range r.smart {
		r.byAccount = r.byAccount || len(s.Accounts) > 0
	}
	return r
}

// For finds the route to a domain, whoever sends, by the smart host for it if
// there is one. Its errors are a *Failure, permanent or not, or the context's.
func (r *Router) For(ctx context.Context, d mail.Domain) (Route, error) {
	if v := r.Via(ctx, d, Sender{}); v.Is() {
		return r.Through(ctx, v)
	}
	return r.Straight(ctx, d)
}

// Straight finds the route to a domain's own hosts (RFC 5321 §5.1). Its errors
// are a *Failure, permanent or not, or the context's.
func (r *Router) Straight(ctx context.Context, d mail.Domain) (Route, error) {
	ctx = dns.WithBudget(ctx, dns.NewBudget(dns.MessagePackets)) // whoever answers for the domain
	relay, err := r.relayed(ctx, d)
	switch {
	case ctx.Err() != nil:
		return Route{}, ctx.Err()
	case err != nil:
		return Route{}, fail(451, smtp.Enhanced{4, 3, 0}, "where %s is relayed to cannot be read", d)
	case relay.On() && !relay.ByMX():
		way, err := r.inner(ctx, d, relay)
		way.Secure = true
		return way, err
	case relay.On():
		// As a backup MX does (RFC 5321 §5.1), whatever others take.
	case d.IsLiteral():
		return r.literal(d)
	}
	mx, secure, err := r.mx(ctx, d)
	if err != nil {
		return Route{}, err
	}
	way, err := r.hosts(ctx, d, mx, secure)
	way.Public, way.MX = true, mx
	return way, err
}

// loopback says whether the line to h never leaves the machine.
func (h Host) loopback() bool {
	for _, a := range h.Addrs {
		if !a.Addr().IsLoopback() {
			return false
		}
	}
	return true
}

// literal is the route to an address in brackets (RFC 5321 §4.1.3).
func (r *Router) literal(d mail.Domain) (Route, error) {
	text := strings.TrimPrefix(strings.Trim(string(d), "[]"), "IPv6:")
	a, err := netip.ParseAddr(text)
	if err != nil {
		return Route{}, fail(550, smtp.Enhanced{5, 1, 2}, "%s is not an address", d)
	}
	a = a.Unmap()
	if r.isSelf(a) {
		return Route{}, fail(550, smtp.Enhanced{5, 4, 6}, "%s is this host, and not a domain of its own", d)
	}
	if !r.allowed(a) {
		return Route{}, fail(550, smtp.Enhanced{5, 1, 2}, "%s is not an address that mail is sent to", d)
	}
	return Route{Hosts: []Host{{Name: text, Addrs: withPort([]netip.Addr{a}, uint16(r.o.Port))}}, Public: true}, nil
}

func withPort(addrs []netip.Addr, port uint16) []netip.AddrPort {
	out := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		out[i] = netip.AddrPortFrom(a, port)
	}
	return out
}

// Package route finds where mail for a domain goes: the hosts in the order in
// which they are to be tried, and how the line to them must be secured.
package route

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
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
	SmartHost    *SmartHost   // takes everything; nil: mail goes to the domains' own hosts
	Port         int          // other servers are reached at; 25
	AllowPrivate bool         // loopback, private and other special addresses may be sent to
	Self         []netip.Addr // our own addresses
	Hostname     string       // our own name

	// Policy gives the MTA-STS policy of a domain (RFC 8461); nil: none has one.
	Policy func(context.Context, mail.Domain) policies.Known
	// Relayed says where mail of a domain of ours goes that is relayed; nil: none is.
	Relayed func(context.Context, mail.Domain) (directory.Relay, error)
}

// SmartHost is the one host that takes all mail.
type SmartHost struct {
	Addr     string // host:port; port 465 is TLS from the first octet (RFC 8314)
	User     string // "": no AUTH
	Password string
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
type Router struct{ o Options }

// New makes a router. A smart host that Check refuses makes every route fail
// for the time being.
func New(o Options) *Router {
	if o.Port == 0 {
		o.Port = 25
	}
	o.Hostname = dns.Normal(o.Hostname)
	return &Router{o}
}

// Check says what is wrong with a smart host's address.
func (s *SmartHost) Check() error {
	_, _, err := s.split()
	return err
}

func (s *SmartHost) split() (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(s.Addr)
	if err != nil || host == "" {
		return "", 0, fmt.Errorf("the smart host is not host:port: %.80q", s.Addr)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("the smart host's port is no port: %.80q", s.Addr)
	}
	return host, uint16(n), nil
}

// Hop names the next hop of a domain: all that share it may share connections.
// Domains of ours that are relayed do not go to the smart host.
func (r *Router) Hop(d mail.Domain) mail.Domain {
	if r.o.SmartHost == nil {
		return d
	}
	if relay, err := r.relayed(context.Background(), d); err != nil || relay.On() {
		return d
	}
	return mail.Domain(r.o.SmartHost.Addr)
}

// For finds the route to a domain (RFC 5321 §5.1). Its errors are a *Failure,
// permanent or not, or the context's.
func (r *Router) For(ctx context.Context, d mail.Domain) (Route, error) {
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
	case r.o.SmartHost != nil:
		return r.smart(ctx)
	case d.IsLiteral():
		return r.literal(d)
	}
	mx, secure, err := r.mx(ctx, d)
	if err != nil {
		return Route{}, err
	}
	return r.hosts(ctx, d, mx, secure)
}

// smart is the route to the smart host. What is wrong with it is never the
// sender's fault, so nothing is permanent.
func (r *Router) smart(ctx context.Context) (Route, error) {
	s := r.o.SmartHost
	name, port, err := s.split()
	if err != nil {
		return Route{}, fail(451, smtp.Enhanced{4, 3, 5}, "the smart host is not configured well")
	}
	h, err := r.named(ctx, name, port)
	if err != nil {
		return Route{}, err
	}
	if len(h.Addrs) == 0 {
		return Route{}, fail(451, smtp.Enhanced{4, 4, 3}, "no address of the smart host %s is known", name)
	}
	if h.TLS != Implicit && s.User != "" && !h.loopback() {
		h.TLS = Required
	}
	return Route{Hosts: []Host{h}, User: s.User, Password: s.Password, Secure: true}, nil
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
	return Route{Hosts: []Host{{Name: text, Addrs: withPort([]netip.Addr{a}, uint16(r.o.Port))}}}, nil
}

func withPort(addrs []netip.Addr, port uint16) []netip.AddrPort {
	out := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		out[i] = netip.AddrPortFrom(a, port)
	}
	return out
}

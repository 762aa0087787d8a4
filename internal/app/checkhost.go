package app

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/resolver"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Finding is one thing that was looked at on this host and from it.
type Finding struct {
	What string `json:"what"`
	Good bool   `json:"good"`
	Said string `json:"said"`
}

const checkWithin = 10 * time.Second // for each connection

// CheckHost finds out whether mail can leave this host as it is configured: that
// other servers' port is open, by the hosts of some domains; that smart hosts take
// us; and that our names and addresses lead to each other. No mail is sent.
func (c *Config) CheckHost(ctx context.Context, domains []string) []Finding {
	k := &hostCheck{c: c, dial: smtpc.Dial}
	names, err := c.DNS.resolver()
	if err != nil {
		k.say("resolver", false, "%v", err)
		return k.found
	}
	defer names.Close()
	k.resolver = names
	k.names(ctx, names)
	return k.all(ctx, domains)
}

type hostCheck struct {
	c        *Config
	resolver dns.Resolver
	dial     func(context.Context, string, smtpc.Options) (*smtpc.Conn, error)
	router   *route.Router
	found    []Finding
}

func (k *hostCheck) say(what string, good bool, format string, args ...any) {
	k.found = append(k.found, Finding{what, good, fmt.Sprintf(format, args...)})
}

func (k *hostCheck) all(ctx context.Context, domains []string) []Finding {
	c := k.c
	k.router = route.New(route.Options{
		Resolver: k.resolver, SmartHosts: c.smartHosts(), Port: c.Outbound.Port, AllowPrivate: c.Outbound.AllowPrivate, Hostname: c.Hostname,
	})
	k.name(ctx, c.Hostname, c.Outbound.Source)
	for _, s := range c.Sources {
		for _, a := range s.Addresses {
			k.name(ctx, s.Hostname, a)
		}
	}
	k.port(ctx, domains)
	for _, s := range c.smartHosts() {
		if s.Addr != route.Direct {
			k.smartHost(ctx, s)
		}
	}
	return k.found
}

// names says who looks names up, and whether signatures are checked.
func (k *hostCheck) names(ctx context.Context, r *resolver.Resolver) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	recursive, err := r.Root(ctx)
	switch {
	case !recursive:
		k.say("resolver", true, "names are looked up by %s", strings.Join(k.c.DNS.Resolvers, ", "))
	case err == nil:
		k.say("resolver", true, "names are looked up from the root down, by ourselves")
	case k.c.DNS.RootHintsFile != "":
		k.say("resolver", false, "%v", err)
	default:
		k.say("resolver", true, "the root servers are out of reach: the system's resolvers are asked instead")
	}
	switch d := k.c.DNS; {
	case d.TrustAD:
		k.say("DNSSEC", true, "what %s says of signatures is believed (dns.trust_ad)", strings.Join(d.Resolvers, ", "))
	case !d.Validate:
		k.say("DNSSEC", false, "dns.validate is off: no domain counts as signed, and there is no DANE")
	default:
		zone, err := r.Anchored(ctx)
		if err != nil {
			k.say("DNSSEC", false, "no domain counts as signed, and there is no DANE: the keys of %s cannot be had: %v", zone, err)
			return
		}
		k.say("DNSSEC", true, "signatures are checked from the keys of %s down", zone)
	}
}

// name sees that a name has an address and, if one is given, that it leads back:
// servers refuse who calls himself otherwise.
func (k *hostCheck) name(ctx context.Context, name, addr string) {
	what := "name " + name
	var addrs []string
	for _, t := range []dns.Type{dns.TypeA, dns.TypeAAAA} {
		if a, err := k.resolver.Lookup(ctx, name, t); err == nil {
			for _, r := range a.Records {
				addrs = append(addrs, r.Addr.String())
			}
		}
	}
	at, err := netip.ParseAddr(addr)
	switch {
	case len(addrs) == 0:
		k.say(what, false, "it has no address in the DNS")
	case err == nil && !strings.Contains(" "+strings.Join(addrs, " ")+" ", " "+at.Unmap().String()+" "):
		k.say(what, false, "its addresses are %s, but connections leave from %s", strings.Join(addrs, ", "), addr)
	default:
		k.say(what, true, "%s", strings.Join(addrs, ", "))
	}
}

// port tries other servers' port, by the rule by which the relay judges it.
func (k *hostCheck) port(ctx context.Context, domains []string) {
	what := fmt.Sprintf("port %d of others", k.c.Outbound.Port)
	var rule route.Exit
	reached := ""
	for _, d := range domains {
		domain, err := mail.ParseDomain(d)
		if err != nil {
			k.say(what, false, "%q is not a domain", d)
			continue
		}
		way, err := k.router.Straight(ctx, domain)
		if err != nil {
			k.say("route to "+d, false, "%v", err)
			continue
		}
		for _, h := range way.Hosts[:min(2, len(way.Hosts))] {
			if err = k.greet(ctx, h.Addrs[0].String(), smtpc.Options{TLS: smtpc.None}); err == nil {
				reached = fmt.Sprintf("%s [%s]", h.Name, h.Addrs[0])
				break
			}
			rule.Failed(time.Now(), domain, h.Addrs[0])
		}
	}
	fallback := "there is no fallback: mail waits"
	if f := k.router.Fallback(); f.Is() {
		fallback = "mail goes to " + f.String() + " meanwhile"
	}
	switch {
	case reached != "":
		k.say(what, true, "%s was reached", reached)
	case rule.Suspected():
		k.say(what, false, "no server of several networks was reached, while the DNS answers: the access network lets no mail out (OP25B); %s", fallback)
	default:
		k.say(what, false, "no server was reached, and too few were tried to say why")
	}
}

// smartHost sees that a smart host takes us, login and all.
func (k *hostCheck) smartHost(ctx context.Context, s route.SmartHost) {
	what := "smart host " + s.Addr
	roots, err := k.c.roots()
	if err != nil {
		k.say(what, false, "%v", err)
		return
	}
	o := smtpc.Options{User: s.User, Password: s.Password, RootCAs: roots}
	loopback := strings.HasPrefix(s.Addr, "127.") || strings.HasPrefix(s.Addr, "[::1]")
	switch {
	case s.TLS == route.Implicit || strings.HasSuffix(s.Addr, ":465"):
		o.TLS, o.VerifyCA = smtpc.Implicit, !loopback
	case s.TLS == route.Required || s.User != "" && !loopback:
		o.TLS, o.VerifyCA = smtpc.Required, !loopback
	}
	if err := k.greet(ctx, s.Addr, o); err != nil {
		k.say(what, false, "%v", err)
		return
	}
	said := "it takes us"
	if s.User != "" {
		said += " as " + s.User
	}
	k.say(what, true, "%s", said)
}

func (k *hostCheck) greet(ctx context.Context, addr string, o smtpc.Options) error {
	ctx, cancel := context.WithTimeout(ctx, 3*checkWithin)
	defer cancel()
	o.Hostname, o.SOCKS5 = k.c.Hostname, k.c.Outbound.SOCKS5
	o.Local, _ = netip.ParseAddr(k.c.Outbound.Source)
	o.Timeouts = smtpc.Timeouts{Connect: checkWithin, Command: checkWithin, Handshake: checkWithin}
	conn, err := k.dial(ctx, addr, o)
	if err != nil {
		return err
	}
	_ = conn.Quit()
	return nil
}

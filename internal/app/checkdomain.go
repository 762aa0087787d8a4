package app

import (
	"context"
	"crypto/x509"
	"net/netip"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/inspect"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/fetch"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Inspection is how a domain is looked at from this machine, without a server.
type Inspection struct {
	Resolver  string   // address:port; "" is our own recursion
	Anchor    string   // file with a lab's trust anchor; "" is the Internet's
	Hints     string   // file with a lab's root servers
	TrustCA   string   // file with an authority to trust beside the system's
	SMTPPort  int      // of mail hosts
	HTTPSPort int      // of MTA-STS policies
	Selectors []string // of DKIM keys that are looked for besides common ones
	Hostname  string   // how we call ourselves to mail hosts
	NoLists   bool     // lists are not asked
}

// Domain looks at a domain.
func (i Inspection) Domain(ctx context.Context, d mail.Domain) (inspect.Report, error) {
	const op = "app.Inspection"
	o := DNS{Validate: true, Cache: defaultDNS().Cache, TrustAnchorFile: i.Anchor, RootHintsFile: i.Hints}
	if i.Resolver != "" {
		o.Resolvers = []string{i.Resolver}
	}
	names, err := o.resolver()
	if err != nil {
		return inspect.Report{}, fault.Wrap(op, err)
	}
	defer names.Close()
	roots, err := trusted(i.TrustCA)
	if err != nil {
		return inspect.Report{}, fault.Wrap(op, err)
	}
	return inspect.Domain(ctx, d, i.options(names, roots, netip.Addr{})), nil
}

// options are those of an inspection with a resolver, from a source address.
func (i Inspection) options(names dns.Resolver, roots *x509.CertPool, source netip.Addr) inspect.Options {
	web := fetch.New(fetch.Options{Resolver: names, RootCAs: roots, Port: i.HTTPSPort, AllowPrivate: true, Local: source})
	o := inspect.Options{
		Resolver: names, Dial: smtpc.Dial, Fetch: web.Get, Port: i.SMTPPort, Selector: i.Selectors,
		Lab:  i.Anchor != "" || i.SMTPPort != 25,
		SMTP: smtpc.Options{Hostname: i.Hostname, RootCAs: roots, Local: source},
	}
	if !i.NoLists {
		o.Lists = inspect.Lists()
	}
	return o
}

// inspector looks at a domain as the server itself does.
func (r *rooms) inspector(c *Config) func(context.Context, mail.Domain) (inspect.Report, error) {
	return func(ctx context.Context, d mail.Domain) (inspect.Report, error) {
		i := Inspection{SMTPPort: c.Outbound.Port, HTTPSPort: c.Outbound.HTTPSPort, Hostname: c.Hostname}
		keys, err := r.directory.Keys(ctx, d)
		if err != nil {
			return inspect.Report{}, fault.Wrap("app.inspector", err)
		}
		for _, k := range keys {
			i.Selectors = append(i.Selectors, k.Selector)
		}
		source, _ := netip.ParseAddr(c.Outbound.Source)
		return inspect.Domain(ctx, d, i.options(r.resolver, r.outside.roots, source)), nil
	}
}

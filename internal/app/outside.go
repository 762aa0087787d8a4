package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/inspect"
	"github.com/ekiden-mail/ekiden/internal/flow/report"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/fetch"
	"github.com/ekiden-mail/ekiden/internal/reach/resolver"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/state/policies"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// outside is how we find out about other domains, and tell them about us.
type outside struct {
	roots    *x509.CertPool // nil: the system's
	names    *resolver.Resolver
	resolver dns.Resolver
	policies *policies.Store
	reporter *report.Reporter
	router   *route.Router
	explain  func(context.Context, mail.Address, apid.Trial) (apid.Way, error)
	inspect  func(context.Context, mail.Domain) (inspect.Report, error)
}

// openOutside makes it. Nobody is asked anything yet.
func (r *rooms) openOutside(c *Config) error {
	o := &c.Outbound
	roots, err := c.roots()
	if err != nil {
		return err
	}
	if err := r.openResolver(c); err != nil {
		return err
	}
	r.outside.roots, r.outside.resolver = roots, r.names
	source, _ := netip.ParseAddr(o.Source)
	web := fetch.New(fetch.Options{Resolver: r.resolver, RootCAs: roots, Port: o.HTTPSPort, AllowPrivate: o.AllowPrivate, Local: source})
	r.policies = policies.New(policies.Options{
		DB: r.db, Resolver: r.resolver, Fetch: web.Get, Untrusted: fetch.IsUntrusted,
		Failed: func(ctx context.Context, err error) { r.sink.Emit(ctx, event.Failed{Where: "policies", Err: err}) },
	})
	contact, _ := mail.ParseAddress(o.ReportsFrom)
	r.reporter = report.New(report.Options{
		DB: r.db, Blobs: r.blobs, Deliver: r.deliver, Resolver: r.resolver, Post: web.Post, Sink: r.sink, IsLocal: r.directory.IsLocal, Hostname: r.hostname, Contact: contact,
	})
	r.router = r.newRouter(c, r.resolver)
	r.explain, r.inspect = r.explainer(c), r.inspector(c)
	return nil
}

// newRouter makes a router that asks a resolver.
func (r *rooms) newRouter(c *Config, dns dns.Resolver) *route.Router {
	return route.New(route.Options{
		Resolver: dns, SmartHosts: c.smartHosts(), Account: r.addressOf, Port: c.Outbound.Port, AllowPrivate: c.Outbound.AllowPrivate, Self: c.self(), Hostname: c.Hostname,
		Relayed: r.directory.Relayed, Policy: r.policies.Find,
	})
}

// checkTrust says what cannot work of what outside is made of.
func (o *Outbound) checkTrust() error {
	if o.HTTPSPort < 1 || o.HTTPSPort > 65535 {
		return fmt.Errorf("outbound.https_port: %d is not a port", o.HTTPSPort)
	}
	if o.ReportsFrom != "" {
		if _, err := mail.ParseAddress(o.ReportsFrom); err != nil {
			return errors.New("outbound.tls_reports_from: not an address")
		}
	}
	return nil
}

package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/resolver"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// trialTime is how long trial connections may take, all together.
const trialTime = 30 * time.Second

// explainer makes what explains the way to an address.
func (r *rooms) explainer(c *Config) func(context.Context, mail.Address, apid.Trial) (apid.Way, error) {
	return func(ctx context.Context, a mail.Address, t apid.Trial) (apid.Way, error) {
		router := r.router
		if t.Resolver.IsValid() || t.Anchors != "" || t.Hints != "" {
			o, err := c.DNS.options()
			if err != nil {
				return apid.Way{}, err
			}
			o.TrustAD, o.Anchors, o.Hints = false, cmp.Or(t.Anchors, o.Anchors), cmp.Or(t.Hints, o.Hints)
			if o.Servers = nil; t.Resolver.IsValid() {
				o.Servers = []string{t.Resolver.String()}
			}
			other, err := resolver.New(o)
			if err != nil {
				return apid.Way{}, err
			}
			defer other.Close()
			router = r.newRouter(c, other)
		}
		w := apid.Way{Address: a.String()}
		var err error
		if w.Here, err = r.directory.Here(ctx, a); err != nil || w.Here {
			return w, err
		}
		w.Hop = string(router.Hop(a.Domain))
		way, err := router.For(ctx, a.Domain)
		var none *route.Failure
		if errors.As(err, &none) {
			w.Failure = none.Reply.String()
			return w, nil
		}
		if err != nil {
			return w, err
		}
		describeWay(&w, way)
		if t.Connect {
			r.try(ctx, c, &w, way)
		}
		return w, nil
	}
}

// describeWay puts a route into the API's words.
func describeWay(w *apid.Way, way route.Route) {
	w.Signed = way.Secure
	if p := way.Policy; p.There() {
		w.Policy = &apid.STSPolicy{Mode: p.Mode.String(), ID: p.ID, MX: p.MX, Until: p.Until().UTC(), Cached: p.Cached}
	}
	for _, s := range way.Trouble {
		w.Trouble = append(w.Trouble, fmt.Sprintf("%s: %s", s.Failure.Result, s.Failure.Reason))
	}
	for _, h := range way.Hosts {
		host := apid.WayHost{Name: h.Name, Barred: h.Barred, By: string(h.Demand.Policy.Type), Demand: h.Demand.String(), TLSA: h.Demand.Records()}
		switch {
		case h.TLS == route.Implicit:
			host.By, host.Demand = "configuration", "TLS from the first octet, with a certificate for "+h.Name
		case h.TLS == route.Required:
			host.By, host.Demand = "configuration", "TLS, with a certificate for "+h.Name
		case host.By == "":
			host.By = "configuration"
		}
		for _, a := range h.Addrs {
			host.Addresses = append(host.Addresses, a.String())
		}
		w.Hosts = append(w.Hosts, host)
	}
}

// try connects to the first address of each host, secures the line as a message
// would want it, and leaves.
func (r *rooms) try(ctx context.Context, c *Config, w *apid.Way, way route.Route) {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	var all sync.WaitGroup
	for i, h := range way.Hosts {
		all.Go(func() { w.Hosts[i].Trial = r.trial(ctx, c, h) })
	}
	all.Wait()
}

func (r *rooms) trial(ctx context.Context, c *Config, h route.Host) string {
	source, _ := netip.ParseAddr(c.Outbound.Source)
	o := smtpc.Options{Hostname: c.Hostname, Local: source, RootCAs: r.roots, ServerName: h.Name}
	var unmet error
	switch {
	case h.TLS == route.Implicit:
		o.TLS = smtpc.Implicit
	case h.TLS == route.Required || h.Demand.Mandatory():
		o.TLS = smtpc.Required
	}
	o.VerifyCA = h.TLS != route.Opportunistic && !h.Addrs[0].Addr().IsLoopback()
	if h.Demand.Proves() {
		o.ServerName = h.Demand.ServerName()
		o.Verify = func(s tls.ConnectionState) error {
			if unmet = h.Demand.Verify(s, r.roots, time.Now()); h.Demand.Mandatory() {
				return unmet
			}
			return nil
		}
	}
	conn, err := smtpc.Dial(ctx, h.Addrs[0].String(), o)
	if err != nil {
		return "no: " + err.Error()
	}
	defer func() { _ = conn.Quit() }()
	state := conn.TLS()
	switch {
	case state == nil && conn.Clear() != nil:
		return "in clear: " + conn.Clear().Error()
	case state == nil:
		return "in clear"
	}
	text := tls.VersionName(state.Version)
	if len(state.PeerCertificates) > 0 {
		cert := state.PeerCertificates[0]
		text += fmt.Sprintf(", certificate for %v, until %s", cert.DNSNames, cert.NotAfter.UTC().Format(time.DateOnly))
	}
	if unmet != nil {
		return text + "; it is not what the policy wants: " + unmet.Error()
	}
	return text + "; it is what is wanted"
}

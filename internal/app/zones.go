package app

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/dnsd"
	"github.com/ekiden-mail/ekiden/internal/serve/webd"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
	"github.com/ekiden-mail/ekiden/internal/trust/mtasts"
)

// naming is what the records of our zones are drawn from, besides the directory.
type naming struct {
	server atomic.Pointer[zone.Server] // nil until the doors are open
	shown  func() []zone.Digest        // of the certificates now; set before server
	policy mtasts.Mode
	host   mail.Domain
}

// openZones opens the zones.
func (r *rooms) openZones(c *Config) {
	r.naming.host, _ = mail.ParseDomain(c.Hostname)
	r.naming.policy, _ = mtasts.ParseMode(c.Zones.MTASTS)
	r.zones = zone.NewStore(zone.Options{DB: r.db, Facts: r.facts, Server: func() zone.Server {
		s := r.naming.server.Load()
		if s == nil {
			return zone.Server{Hostname: r.naming.host}
		}
		now := *s
		now.TLSA = r.naming.shown()
		return now
	}})
}

// facts are what a domain's records are drawn from.
func (r *rooms) facts(ctx context.Context, d mail.Domain) (zone.Facts, error) {
	f := zone.Facts{Domain: d}
	if _, err := r.directory.Domain(ctx, d); err != nil {
		return f, fault.Wrap("app.facts", err)
	}
	f.Reports = mail.Address{Local: "postmaster", Domain: d} // it always reaches somebody
	f.TLSRPT = f.Reports
	keys, err := r.directory.Keys(ctx, d)
	if err != nil {
		return f, fault.Wrap("app.facts", err)
	}
	for _, k := range keys {
		f.Keys = append(f.Keys, zone.DKIMKey{Selector: k.Selector, Record: k.Record})
	}
	s := r.naming.server.Load()
	if s == nil {
		return f, nil
	}
	if _, web := s.Ports["https"]; web {
		f.WebRoots = true
		if text := r.policyText(); text != "" {
			sum := sha256.Sum256([]byte(text))
			f.STSID = hex.EncodeToString(sum[:8])
		}
	}
	return f, nil
}

// policyText is the MTA-STS policy of our domains (RFC 8461 §3.2), "" if they have
// none.
func (r *rooms) policyText() string {
	if r.naming.policy == mtasts.None {
		return ""
	}
	return mtasts.Policy{Mode: r.naming.policy, MX: []string{string(r.naming.host)}, MaxAge: policyAge}.String()
}

// policyAge is how long others remember the policy.
const policyAge = 7 * 24 * time.Hour

// webLabels are the labels of what the https door answers by for a domain.
var webLabels = [...]string{webd.LabelPolicy, webd.LabelAutoconfig, webd.LabelAutodiscover}

// zonePage is how many zones are read at once.
const zonePage = 500

// site is what the https door has for a domain.
func (r *rooms) site(ctx context.Context, domain string) (webd.Site, bool) {
	d, err := mail.ParseDomain(domain)
	if err != nil {
		return webd.Site{}, false
	}
	if _, err := r.directory.Domain(ctx, d); err != nil {
		return webd.Site{}, false
	}
	return webd.Site{Domain: string(d), Policy: r.policyText()}, true
}

// webRoots are the names of our zones' domains that the https door answers by.
func (r *rooms) webRoots(ctx context.Context) []string {
	var names []string
	for after := ""; ; {
		page, err := r.zones.List(ctx, after, zonePage)
		if err != nil || len(page) == 0 {
			return names
		}
		for _, z := range page {
			if z.Domain == "" || strings.TrimSuffix(z.Name, ".") != string(z.Domain) {
				continue
			}
			for _, label := range webLabels {
				names = append(names, label+"."+string(z.Domain))
			}
		}
		after = page[len(page)-1].Name
	}
}

// authority is what stands behind the DNS door.
func (s *Server) authority() *dnsd.Server {
	c := &s.config
	limits := dnsd.Limits{Responses: c.Zones.Rate}
	if c.Zones.Rate == 0 {
		limits.Responses = -1
	}
	if c.Limits.Off {
		limits = dnsd.Limits{Connections: -1, PerAddress: -1, Responses: -1}
	}
	var source netip.Addr
	for _, d := range s.doors {
		for _, pc := range d.packets {
			if at, ok := pc.LocalAddr().(*net.UDPAddr); ok && !at.IP.IsUnspecified() && !source.IsValid() {
				source = at.AddrPort().Addr().Unmap()
			}
		}
	}
	return dnsd.New(dnsd.Options{Zones: s.rooms.zones, Source: source, Limits: limits, Guards: s.rooms.guards(c), Sink: s.rooms.sink})
}

// describe notes what our zones are to say of the server.
func (s *Server) describe() {
	c := &s.config
	z := zone.Server{Hostname: s.rooms.naming.host, Addresses: c.addresses(s.doors), Ports: map[string]int{}}
	for _, n := range c.Zones.NameServers {
		if d, err := mail.ParseDomain(n); err == nil {
			z.NameServers = append(z.NameServers, d)
		}
	}
	for _, d := range s.doors {
		if at, ok := d.listeners[0].Addr().(*net.TCPAddr); ok {
			z.Ports[d.name] = at.Port
		}
	}
	s.rooms.naming.shown = s.digests
	s.rooms.naming.server.Store(&z)
}

// digests are of the keys that hosts which send to us may meet (RFC 7672 §3.1).
func (s *Server) digests() []zone.Digest {
	var all []zone.Digest
	for _, leaf := range s.tls.set.Shown(s.config.Hostname) {
		all = append(all, zone.Digest{Usage: 3, Selector: 1, Matching: 1, Hex: keyDigest(leaf)})
	}
	// The own authority's key outlives the certificates that it gives.
	if ca := s.tls.set.Authority(); ca != nil {
		all = append(all, zone.Digest{Usage: 2, Selector: 1, Matching: 1, Hex: keyDigest(ca)})
	}
	return all
}

// keyDigest is that of a certificate's key (RFC 6698 §2.1.2 and §2.1.3: SPKI,
// SHA-256).
func keyDigest(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Package acme gets certificates from an authority and renews them in time
// (RFC 8555), proving that the host names are ours at our own web doors: by a
// file there (http-01) or by a handshake (tls-alpn-01, RFC 8737).
//
// The protocol is certmagic's; what is done when, and where things lie, is ours:
// one service works through the host names one by one, and nothing runs beside
// it (see docs/decisions/010-acme.md).
package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Options say who certifies what.
type Options struct {
	Directory string   // the authority's directory URL
	Email     string   // where the authority writes to
	Agreed    bool     // to the authority's terms
	Names     []string // host names in ASCII; each gets a certificate of its own
	Profile   string   // one of the authority's kinds of certificate; "": its usual one
	EABKeyID  string   // the external account (RFC 8555 §7.3.4); "": none
	EABKey    string   // its key in base64url

	// HTTP and HTTPS are where our web doors listen, invalid where there is none.
	// The authority comes to ports 80 and 443, however they lead there.
	HTTP, HTTPS netip.AddrPort

	// DNS proves names in our own zone (dns-01) and stands before the web doors;
	// nil: there is none.
	DNS acmez.Solver

	Roots *x509.CertPool // by whom the authority's own certificate is signed; nil: the system's
	Store Store
	Sink  event.Sink

	// Changed is told all certificates whenever one of them is new.
	Changed func([]*tls.Certificate)
}

// Client is the service.
type Client struct {
	o      Options
	idle   *certmagic.Config // for what is not a run: it manages nothing
	issuer *certmagic.ACMEIssuer
	again  chan struct{}
	hosts  []*host
}

// host is a name with its certificate.
type host struct {
	name     string
	cert     *tls.Certificate
	failures int
	due      time.Time // when it is looked at again
}

// New makes the service. It asks nobody anything yet.
func New(o Options) *Client {
	c := &Client{o: o, again: make(chan struct{}, 1)}
	for _, n := range o.Names {
		c.hosts = append(c.hosts, &host{name: n})
	}
	cache := c.cache()
	cache.Stop()
	c.idle = c.config(cache)
	template := certmagic.ACMEIssuer{
		CA: o.Directory, Email: o.Email, Agreed: o.Agreed, Profile: o.Profile, TrustedRoots: o.Roots, Logger: zap.NewNop(),
		DisableHTTPChallenge: !o.HTTP.IsValid(), DisableTLSALPNChallenge: !o.HTTPS.IsValid(), DNS01Solver: o.DNS,
		AltHTTPPort: int(o.HTTP.Port()), AltTLSALPNPort: int(o.HTTPS.Port()), ListenHost: c.listenHost(),
	}
	if o.EABKeyID != "" {
		template.ExternalAccount = &acme.EAB{KeyID: o.EABKeyID, MACKey: o.EABKey}
	}
	c.issuer = certmagic.NewACMEIssuer(c.idle, template)
	c.idle.Issuers = []certmagic.Issuer{c.issuer}
	return c
}

// listenHost is where certmagic looks whether a web door is open before it would
// open one itself, which is never wanted: with "" it finds any.
func (c *Client) listenHost() string {
	host := ""
	for _, a := range []netip.AddrPort{c.o.HTTP, c.o.HTTPS} {
		switch {
		case !a.IsValid():
		case a.Addr().IsUnspecified(), host != "" && host != a.Addr().String():
			return ""
		default:
			host = a.Addr().String()
		}
	}
	return host
}

// ariAhead is how far ahead of the time that the authority proposes (RFC 9773) a
// certificate is renewed at the most.
const ariAhead = time.Hour

func (c *Client) cache() *certmagic.Cache {
	return certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return c.idle, nil },
		RenewCheckInterval: ariAhead, OCSPCheckInterval: 100 * time.Hour, Logger: zap.NewNop(),
	})
}

func (c *Client) config(cache *certmagic.Cache) *certmagic.Config {
	o := certmagic.Config{
		Storage: storage{c.o.Store}, KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, Logger: zap.NewNop(),
		// A TLSA record names the key, and is remembered by others for a while: one that
		// changed with each renewal would cost mail (RFC 7671 §8.1).
		ReusePrivateKeys: true,
	}
	if c.issuer != nil {
		o.Issuers = []certmagic.Issuer{c.issuer}
	} else {
		o.Issuers = []certmagic.Issuer{}
	}
	return certmagic.New(cache, o)
}

// Load gives Changed the certificates that are in the store already.
func (c *Client) Load(ctx context.Context) error {
	cache := c.cache()
	defer cache.Stop()
	config := c.config(cache)
	for _, h := range c.hosts {
		cert, err := config.CacheManagedCertificate(ctx, h.name)
		if err == nil {
			h.cert = &cert.Certificate
		} else if !isMissing(err) {
			return fault.Wrap("acme.Load", err)
		}
	}
	c.tell()
	return nil
}

// tell hands on what is there.
func (c *Client) tell() {
	var all []*tls.Certificate
	for _, h := range c.hosts {
		if h.cert != nil {
			all = append(all, h.cert)
		}
	}
	c.o.Changed(all)
}

// Run orders what is missing and renews what is due, until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	for {
		wait := c.round(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-c.again:
			timer.Stop()
			for _, h := range c.hosts {
				h.due, h.failures = time.Time{}, 0
			}
		}
	}
}

// Again makes the service look at all host names now, also at those that it
// would leave alone for a while after failures.
func (c *Client) Again() {
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// The pauses of the service.
const (
	patience = 5 * time.Minute // for one order
	shortest = time.Second
	longest  = time.Hour // in which nothing is looked at
)

// round looks at each host that is due, and says when the next one will be.
func (c *Client) round(ctx context.Context) time.Duration {
	next := time.Now().Add(longest)
	for _, h := range c.hosts {
		if ctx.Err() != nil {
			break
		}
		if !h.due.After(time.Now()) {
			c.look(ctx, h)
		}
		if h.due.Before(next) {
			next = h.due
		}
	}
	return max(time.Until(next), shortest)
}

// look orders or renews the certificate of h if that is needed.
func (c *Client) look(ctx context.Context, h *host) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	renewal := h.cert != nil
	cert, err := c.manage(limited, h.name)
	now := time.Now()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		h.failures++
		pause := backOff(h.failures)
		h.due = now.Add(pause)
		c.o.Sink.Emit(ctx, event.CertificateFailed{Host: h.name, Err: err, Renewal: renewal, Again: pause})
	default:
		h.failures, h.due = 0, now.Add(untilLook(cert.Leaf, now))
		if renewal && cert.Leaf.Equal(h.cert.Leaf) {
			return
		}
		h.cert = cert
		c.o.Sink.Emit(ctx, event.CertificateOrdered{
			Host: h.name, Issuer: cert.Leaf.Issuer.String(), Until: cert.Leaf.NotAfter, Renewal: renewal,
		})
		c.tell()
	}
}

// manage does what certmagic finds to do for a name, in the foreground: a fresh
// cache makes it look at what is stored, and asks the authority when renewal is
// wanted.
func (c *Client) manage(ctx context.Context, name string) (*tls.Certificate, error) {
	const op = "acme.manage"
	cache := c.cache()
	defer cache.Stop()
	config := c.config(cache)
	if err := config.ManageSync(ctx, []string{name}); err != nil {
		return nil, fault.As(fault.Unavailable, op, err)
	}
	cert, err := config.CacheManagedCertificate(ctx, name)
	return &cert.Certificate, fault.Wrap(op, err)
}

// backOff is the pause after so many failures in a row. Authorities allow few
// failures an hour: five with Let's Encrypt, and an attempt may be two.
func backOff(failures int) time.Duration {
	pauses := []time.Duration{time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}
	if failures > len(pauses) {
		return 6 * time.Hour
	}
	return pauses[failures-1]
}

// untilLook is when a good certificate is looked at again: often enough for one
// that lives for days or minutes only.
func untilLook(leaf *x509.Certificate, now time.Time) time.Duration {
	return min(max(leaf.NotAfter.Sub(now)/20, shortest), longest)
}

// HandleHTTP answers a request if it is the authority's for a file of http-01,
// and says whether it was.
func (c *Client) HandleHTTP(w http.ResponseWriter, r *http.Request) bool {
	return c.issuer.HandleHTTPChallenge(w, r)
}

// Certificate answers a handshake if it is the authority's for tls-alpn-01; else
// it gives nil.
func (c *Client) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != Protocol {
		return nil, nil
	}
	return c.idle.GetCertificate(hello)
}

// Protocol is what a handshake of tls-alpn-01 speaks (RFC 8737 §6.2).
const Protocol = acmez.ACMETLS1Protocol

// AddrPort is where a listener can be reached, for Options.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

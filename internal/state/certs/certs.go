// Package certs holds the certificates that the doors show, from files of the
// operator, from an ACME authority or from an authority of our own, chooses one
// for each handshake, and keeps the keys of session tickets.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
)

// WarnBefore is how long before its end a certificate is spoken of.
const WarnBefore = 14 * 24 * time.Hour

// Set is the certificates in service. All its methods may be called at the same
// time as handshakes choose from it.
type Set struct {
	o Options

	mu      sync.Mutex // one change at a time
	files   []*file
	ordered []*tls.Certificate
	stopgap *tls.Certificate
	warned  map[string]time.Time // by where it comes from: when its end was last spoken of

	view atomic.Pointer[view]
}

// Options say where certificates come from, in the order in which they are
// preferred: files, then what SetOrdered gives, then the own authority. The
// first of them all is shown to clients that ask for no name, or for one that
// is not here.
type Options struct {
	Files    []Files
	Own      string          // directory of the own authority; "": none
	OwnNames []string        // what the own authority certifies
	OwnMore  func() []string // more of that, asked at each Reload; nil: nothing
	Hostname string          // what is certified by itself while there is nothing else
	Sink     event.Sink
}

// own is all that the own authority certifies.
func (o *Options) own() []string {
	if o.OwnMore == nil {
		return o.OwnNames
	}
	return slices.Concat(o.OwnNames, o.OwnMore())
}

// Files are the two files of a pair, in PEM.
type Files struct{ Cert, Key string }

// view is what handshakes see: it is replaced, never changed.
type view struct {
	names map[string][]*tls.Certificate // in lower case; a wildcard with its asterisk
	first []*tls.Certificate
}

// New loads everything. Its error names the file at fault.
func New(o Options) (*Set, error) {
	const op = "certs.New"
	s := &Set{o: o, warned: map[string]time.Time{}}
	for _, f := range o.Files {
		s.files = append(s.files, &file{Files: f, from: f.Cert})
	}
	if o.Own != "" {
		own, err := ensureOwn(o.Own, o.own())
		if err != nil {
			return nil, fault.Wrap(op, err)
		}
		s.files = append(s.files, &file{Files: own, from: "own authority", own: true})
	}
	for _, f := range s.files {
		if _, err := f.load(true); err != nil {
			return nil, fault.As(fault.Invalid, op, err)
		}
	}
	if len(s.files) == 0 {
		c, err := selfSigned(o.Hostname)
		if err != nil {
			return nil, fault.Wrap(op, err)
		}
		s.stopgap = c
		o.Sink.Emit(context.Background(), event.CertificateTaken{
			Names: Names(c.Leaf), From: "itself, for want of another", Issuer: c.Leaf.Issuer.String(), Until: c.Leaf.NotAfter,
		})
	}
	s.show()
	return s, nil
}

// SetOrdered puts the certificates that an ACME authority gave in the place of
// those that SetOrdered gave before.
func (s *Set) SetOrdered(all []*tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ordered = all
	s.show()
}

// Reload looks at the files again, at all of them with force, else at those
// that have changed, and at what is about to expire. A pair that cannot be
// loaded leaves the one before it in service. What happened goes to the sink.
func (s *Set) Reload(ctx context.Context, force bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if f.own {
			if _, err := ensureOwn(s.o.Own, s.o.own()); err != nil {
				s.o.Sink.Emit(ctx, event.CertificateRefused{From: f.from, Err: err})
			}
		}
		switch changed, err := f.load(force); {
		case err != nil:
			s.o.Sink.Emit(ctx, event.CertificateRefused{From: f.from, Err: err})
		case changed:
			leaf := f.pair.Leaf
			s.o.Sink.Emit(ctx, event.CertificateTaken{Names: Names(leaf), From: f.from, Issuer: leaf.Issuer.String(), Until: leaf.NotAfter})
		}
	}
	s.show()
	s.warn(ctx, time.Now())
}

// warn speaks of what is at its end, once a day. Ordered certificates, which may
// live for days only, are renewed before the last quarter of their life.
func (s *Set) warn(ctx context.Context, now time.Time) {
	say := func(leaf *x509.Certificate, from string, before time.Duration) {
		left := leaf.NotAfter.Sub(now)
		if left > before || now.Sub(s.warned[from]) < 24*time.Hour {
			return
		}
		s.warned[from] = now
		s.o.Sink.Emit(ctx, event.CertificateExpires{Names: Names(leaf), From: from, Until: leaf.NotAfter, Left: left.Round(time.Second)})
	}
	for _, f := range s.files {
		say(f.pair.Leaf, f.from, WarnBefore)
	}
	for _, c := range s.ordered {
		life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)
		say(c.Leaf, "acme: "+strings.Join(Names(c.Leaf), " "), min(WarnBefore, life/4))
	}
}

// show makes a view of what is there. The caller holds mu.
func (s *Set) show() {
	v := &view{names: map[string][]*tls.Certificate{}}
	add := func(c *tls.Certificate) {
		for _, n := range Names(c.Leaf) {
			v.names[strings.ToLower(n)] = append(v.names[strings.ToLower(n)], c)
		}
		if len(v.first) == 0 || sameNames(c.Leaf, v.first[0].Leaf) {
			v.first = append(v.first, c) // such as an RSA pair beside an ECDSA one
		}
	}
	for _, f := range s.files {
		if !f.own {
			add(f.pair)
		}
	}
	for _, c := range s.ordered {
		add(c)
	}
	for _, f := range s.files {
		if f.own {
			add(f.pair)
		}
	}
	if len(v.first) == 0 {
		add(s.stopgap)
	}
	s.view.Store(v)
}

func sameNames(a, b *x509.Certificate) bool {
	return strings.Join(Names(a), " ") == strings.Join(Names(b), " ")
}

// Certificate is what tls.Config.GetCertificate wants: by the name that the
// client asks for (RFC 6066 §3), or else the first. A name that is not here is
// no reason to fail: servers that send mail often ask for a domain's name and
// look at no certificate.
func (s *Set) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := s.view.Load().of(hello.ServerName)
	if len(all) > 1 {
		for _, c := range all {
			if hello.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
	}
	return all[0], nil
}

// of gives the certificates for a name; it is never empty.
func (v *view) of(name string) []*tls.Certificate {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if all := v.names[name]; len(all) > 0 {
		return all
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if all := v.names["*."+parent]; len(all) > 0 {
			return all
		}
	}
	return v.first
}

// Leaf is the certificate that a client which asks for name is shown, if it
// takes ECDSA: for channel bindings (RFC 5929 §4), and for tests.
func (s *Set) Leaf(name string) *x509.Certificate { return s.view.Load().of(name)[0].Leaf }

// Shown are the certificates that a client which asks for name may be shown.
func (s *Set) Shown(name string) []*x509.Certificate {
	var leaves []*x509.Certificate
	for _, c := range s.view.Load().of(name) {
		leaves = append(leaves, c.Leaf)
	}
	return leaves
}

// Authority is the own authority's certificate, nil without one.
func (s *Set) Authority() *x509.Certificate {
	if s.o.Own == "" {
		return nil
	}
	ca, _, err := authority(s.o.Own)
	if err != nil {
		return nil
	}
	return ca
}

// Names are the host names and addresses that a certificate is good for.
func Names(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// errNoNames is about certificates of old, whose name is in the subject only.
var errNoNames = errors.New("the certificate has no host name in its subjectAltName, where clients look for it (RFC 9525 §2)")

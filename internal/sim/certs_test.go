package sim

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// certs are all certificates of the world, made once for all seeds.
type certs struct {
	roots *x509.CertPool
	good  []tls.Certificate // by the number of the site
	own   []tls.Certificate // those that nobody else has signed
	bad   []tls.Certificate // another's, one that has expired, one of nobody
}

// ring makes them. Virtual time begins in the year 2000.
var ring = sync.OnceValue(func() *certs {
	c := &certs{roots: x509.NewCertPool()}
	from, to := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC)
	authority := certificate(nil, "authority.example", from, to)
	c.roots.AddCert(authority.Leaf)
	for n := range manySites {
		name := fmt.Sprintf("*.s%d.example", n)
		c.good = append(c.good, certificate(&authority, name, from, to))
		c.own = append(c.own, certificate(nil, name, from, to))
	}
	c.own = append(c.own, certificate(nil, "*.evil.example", from, to))
	c.good = append(c.good, c.own[manySites], certificate(&authority, "*.smart.example", from, to))
	c.bad = []tls.Certificate{
		certificate(&authority, "mx.other.example", from, to), certificate(&authority, "mx1.s1.example", from, from.Add(day)),
		certificate(nil, "mx1.s1.example", from, to),
	}
	return c
})

// certificate makes one, signed by itself if by is nil.
func certificate(by *tls.Certificate, name string, from, to time.Time) tls.Certificate {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	parent, signer := t, private
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey.(ed25519.PrivateKey)
	} else {
		t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, signer)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}

// of is a site's own certificate.
func (c *certs) of(s *site) *tls.Certificate {
	if s.secure == selfMade {
		return &c.own[s.number]
	}
	return &c.good[s.number]
}

// config is what a host shows.
func (c *certs) config(s *site, bad bool, n int) *tls.Config {
	cert := c.of(s)
	if bad {
		cert = &c.bad[n%len(c.bad)]
	}
	return &tls.Config{Certificates: []tls.Certificate{*cert}, CurvePreferences: []tls.CurveID{tls.X25519}, SessionTicketsDisabled: true}
}

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
)

// Configs makes the doors' TLS configurations (RFC 8314, RFC 9325) and changes
// the keys of their session tickets together, so that a client that was at one
// door is known at the others, too.
//
// A configuration is one for all connections of its door, since a copy for each
// would cost memory for as long as they last. The groups of the key exchange are
// left to crypto/tls, whose first choice is X25519MLKEM768, which withstands
// quantum computers.
type Configs struct {
	set *Set
	min uint16

	mu   sync.Mutex
	all  []*tls.Config
	keys [][32]byte // of session tickets; none: each configuration makes its own
}

// NewConfigs makes configurations that show the certificates of s and speak
// min (such as tls.VersionTLS12) or later.
func NewConfigs(s *Set, min uint16) *Configs { return &Configs{set: s, min: min} }

// Use is what a door does with TLS.
type Use struct {
	// ALPN lists the protocols behind the door (RFC 7301). A client that offers
	// others only, such as a browser that was led to a mail port, is refused; one
	// that offers none comes in.
	ALPN []string

	// Strangers send mail here, without TLS rather than not at all. So they may
	// use the ciphers of TLS 1.2 that others may not.
	Strangers bool

	// Clients says whether a client is asked for a certificate, and ClientCAs by
	// whom it must be signed (for SASL EXTERNAL).
	Clients   tls.ClientAuthType
	ClientCAs *x509.CertPool

	// Certificate stands in front of the set's, if it is not nil: it gives nil for
	// what the set has to answer.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// For makes a configuration. It must not be copied, except for one connection.
func (c *Configs) For(u Use) *tls.Config {
	t := &tls.Config{
		MinVersion: c.min, NextProtos: u.ALPN, ClientAuth: u.Clients, ClientCAs: u.ClientCAs, GetCertificate: c.set.Certificate,
	}
	if !u.Strangers {
		t.CipherSuites = authenticated()
	}
	if first := u.Certificate; first != nil {
		t.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if cert, err := first(hello); cert != nil || err != nil {
				return cert, err
			}
			return c.set.Certificate(hello)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, t)
	if len(c.keys) > 0 {
		t.SetSessionTicketKeys(c.keys)
	}
	return t
}

// authenticated lists the ciphers of TLS 1.2 that RFC 9325 §4.2 recommends: with
// forward secrecy and authenticated encryption. Those of TLS 1.3 are always on.
func authenticated() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// SetTicketKeys changes the keys of session tickets at all doors: the first one
// makes tickets, all of them open some.
func (c *Configs) SetTicketKeys(keys [][32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = keys
	for _, t := range c.all {
		t.SetSessionTicketKeys(keys)
	}
}

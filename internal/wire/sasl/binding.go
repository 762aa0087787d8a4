package sasl

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
)

// The types of channel binding that we know, by their registered names.
const (
	TLSExporter       = "tls-exporter"         // RFC 9266
	TLSUnique         = "tls-unique"           // RFC 5929 §3
	TLSServerEndPoint = "tls-server-end-point" // RFC 5929 §4
)

// Binding is what both sides know of the secure channel below an exchange, and
// nobody between them can fake (RFC 5056).
type Binding struct {
	Type string
	Data []byte
}

// Bindings gives what a TLS connection can be bound by, the best first: on
// TLS 1.3 tls-exporter (RFC 9266 §3), before it tls-unique, and with the
// server's certificate tls-server-end-point. nil if there is no TLS, or nothing
// that is safe. server may be nil if it is not known.
func Bindings(state *tls.ConnectionState, server *x509.Certificate) []Binding {
	if state == nil || !state.HandshakeComplete {
		return nil
	}
	var all []Binding
	// Before TLS 1.3 this fails without the extended master secret, without which
	// the value would not be unique (RFC 9266 §4.2).
	if key, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err == nil {
		all = append(all, Binding{TLSExporter, key})
		// For the same reason tls-unique is offered only beside it.
		if state.Version < tls.VersionTLS13 && len(state.TLSUnique) > 0 {
			all = append([]Binding{{TLSUnique, state.TLSUnique}}, all...)
		}
	}
	if sum := endPoint(server); sum != nil {
		all = append(all, Binding{TLSServerEndPoint, sum})
	}
	return all
}

// endPoint hashes a certificate as RFC 5929 §4.1 says: with the hash of its
// signature, or SHA-256 where that is MD5 or SHA-1. nil where it is undefined.
func endPoint(c *x509.Certificate) []byte {
	if c == nil {
		return nil
	}
	var h crypto.Hash
	switch c.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		h = crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h = crypto.SHA512
	default: // Ed25519, above all
		return nil
	}
	sum := h.New()
	sum.Write(c.Raw)
	return sum.Sum(nil)
}

package door

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"

	"github.com/ekiden-mail/ekiden/internal/flow/login"
)

// shownKey is where the context of a handshake keeps the certificate shown.
type shownKey struct{}

// Note lets Handshake know which certificate get gives.
func Note(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := get(hello)
		if ctx := hello.Context(); ctx != nil && err == nil {
			if shown, ok := ctx.Value(shownKey{}).(**tls.Certificate); ok {
				*shown = cert
			}
		}
		return cert, err
	}
}

// Handshake makes the server's side of TLS over nc, which must have its
// deadlines, and tells what a login may rely on.
func Handshake(ctx context.Context, nc net.Conn, conf *tls.Config) (*tls.Conn, *login.Secured, error) {
	var shown *tls.Certificate
	t := tls.Server(nc, conf)
	if err := t.HandshakeContext(context.WithValue(ctx, shownKey{}, &shown)); err != nil {
		return nil, nil, err
	}
	s := &login.Secured{State: t.ConnectionState()}
	if shown == nil && conf.GetCertificate != nil {
		// A session that was resumed shows none: it goes on with what was shown
		// when it began (RFC 5929 §4), which is what the name is shown now, unless
		// that was renewed meanwhile.
		shown, _ = conf.GetCertificate(asking(&s.State))
	}
	if shown == nil && len(conf.Certificates) == 1 {
		shown = &conf.Certificates[0]
	}
	s.Certificate = leaf(shown)
	return t, s, nil
}

// asking is a hello of a client that takes any certificate for the name.
func asking(state *tls.ConnectionState) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName: state.ServerName, SupportedVersions: []uint16{state.Version}, CipherSuites: []uint16{state.CipherSuite},
		SupportedPoints: []uint8{0}, SupportedCurves: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
		SignatureSchemes: []tls.SignatureScheme{
			tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.PSSWithSHA256, tls.PKCS1WithSHA256, tls.Ed25519,
		},
	}
}

func leaf(c *tls.Certificate) *x509.Certificate {
	if c == nil || len(c.Certificate) == 0 {
		return nil
	}
	if c.Leaf != nil {
		return c.Leaf
	}
	parsed, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return parsed
}

package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Check looks at a pair as a client would at the time now: whether key and
// certificate belong together, how long it is good, and whether the chain leads
// to an authority in roots (nil: one that this machine trusts). Its error says
// why it is of no use; what is told is what somebody may trip over.
func Check(f Files, roots *x509.CertPool, now time.Time) (leaf *x509.Certificate, told []string, err error) {
	const op = "certs.Check"
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, nil, fault.As(fault.Invalid, op, fmt.Errorf("%s with %s: %w", f.Cert, f.Key, err))
	}
	leaf = pair.Leaf
	bad := func(format string, args ...any) error {
		return fault.Newf(fault.Invalid, op, "%s: %s", f.Cert, fmt.Sprintf(format, args...))
	}
	tell := func(path, format string, args ...any) { told = append(told, path+": "+fmt.Sprintf(format, args...)) }
	switch left := leaf.NotAfter.Sub(now); {
	case len(Names(leaf)) == 0:
		return leaf, nil, fault.As(fault.Invalid, op, fmt.Errorf("%s: %w", f.Cert, errNoNames))
	case left < 0:
		return leaf, nil, bad("it was good until %s", leaf.NotAfter.Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		return leaf, nil, bad("it is good from %s only", leaf.NotBefore.Format(time.DateTime))
	case left < WarnBefore:
		tell(f.Cert, "it is good until %s only", leaf.NotAfter.Format(time.DateTime))
	}
	if why := weak(leaf); why != "" {
		return leaf, told, bad("%s", why)
	}
	chain, err := parseChain(pair.Certificate)
	if err != nil {
		return leaf, told, fault.As(fault.Invalid, op, err)
	}
	if why := checkChain(chain, roots, now); why != "" {
		tell(f.Cert, "%s", why)
	}
	if info, err := os.Stat(f.Key); err == nil && info.Mode().Perm()&0o004 != 0 {
		tell(f.Key, "everybody on this machine can read the key")
	}
	return leaf, told, nil
}

// weak says why no client of today takes a certificate.
func weak(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return fmt.Sprintf("its RSA key has %d bits; at least 2048 are needed", k.N.BitLen())
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return "its key is of a kind that TLS does not use"
	}
	switch c.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		return "it is signed with " + c.SignatureAlgorithm.String()
	}
	return ""
}

func parseChain(raw [][]byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// checkChain says what is wrong with the certificates in a file, the first of
// which is the server's own.
func checkChain(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) string {
	others := x509.NewCertPool()
	for i, c := range chain[1:] {
		others.AddCert(c)
		if !bytes.Equal(chain[i].RawIssuer, c.RawSubject) || chain[i].CheckSignatureFrom(c) != nil {
			return fmt.Sprintf("certificate %d of the file is not signed by the one behind it", i+1)
		}
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: now})
	last := chain[len(chain)-1]
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &unknown):
		return err.Error()
	case len(chain) == 1 && bytes.Equal(last.RawIssuer, last.RawSubject):
		return "it signs itself: mail programs will not trust it"
	case bytes.Equal(last.RawIssuer, last.RawSubject):
		return fmt.Sprintf("it is signed by %q, which this machine does not trust", last.Subject)
	}
	return fmt.Sprintf("the chain ends with what %q has signed, whose certificate is not in the file, and which this machine does not trust", last.Issuer)
}

// Covered says whether one of the certificates is good for a host name.
func Covered(all []*x509.Certificate, name string) bool {
	for _, c := range all {
		if c.VerifyHostname(strings.TrimSuffix(name, ".")) == nil {
			return true
		}
	}
	return false
}

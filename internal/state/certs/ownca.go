package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// The files of an authority of our own, below its directory.
const (
	CAFile     = "ca.pem"
	caKeyFile  = "ca-key.pem"
	certFile   = "cert.pem"
	keyFile    = "key.pem"
	caLife     = 10 * 365 * 24 * time.Hour
	leafLife   = 365 * 24 * time.Hour
	renewAhead = 30 * 24 * time.Hour
)

// ensureOwn gives the pair for names (host names and addresses) signed by an
// authority of our own in dir, and makes whatever of it is missing, about to
// expire, or made for other names. Clients trust it by dir/ca.pem.
func ensureOwn(dir string, names []string) (Files, error) {
	const op = "certs.ensureOwn"
	ca, caKey, err := authority(dir)
	if err != nil {
		return Files{}, fault.Wrap(op, err)
	}
	f := Files{Cert: filepath.Join(dir, certFile), Key: filepath.Join(dir, keyFile)}
	if usable(f.Cert, f.Key, ca, names) {
		return f, nil
	}
	key, chain, err := issue(ca, caKey, names)
	if err != nil {
		return Files{}, fault.Wrap(op, err)
	}
	return f, fault.Wrap(op, writePair(f.Cert, f.Key, key, chain...))
}

// selfSigned makes a certificate that nobody trusts, for the time in which
// there is no other: servers that send mail take it, since they would send
// without TLS otherwise (RFC 7435 §3).
func selfSigned(name string) (*tls.Certificate, error) {
	key, chain, err := issue(nil, nil, []string{name})
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(chain[0])
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, err
}

// authority loads the authority in dir or makes it.
func authority(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, CAFile), filepath.Join(dir, caKeyFile))
	if err == nil {
		key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
		if !ok {
			return nil, nil, errors.New("the authority's key is not an ECDSA key")
		}
		return pair.Leaf, key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Ekiden's own authority, for trying only"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(caLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	if err := writePair(filepath.Join(dir, CAFile), filepath.Join(dir, caKeyFile), key, der); err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

// usable says whether the pair on disk is the authority's, for these names, and
// good for some time yet.
func usable(cert, key string, ca *x509.Certificate, names []string) bool {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil || pair.Leaf.CheckSignatureFrom(ca) != nil || time.Until(pair.Leaf.NotAfter) < renewAhead {
		return false
	}
	have := slices.Clone(pair.Leaf.DNSNames)
	for _, ip := range pair.Leaf.IPAddresses {
		have = append(have, ip.String())
	}
	for _, n := range names {
		if !slices.Contains(have, n) {
			return false
		}
	}
	return true
}

// issue makes a certificate for names, signed by ca or by itself, and gives its
// key and its chain.
func issue(ca *x509.Certificate, caKey *ecdsa.PrivateKey, names []string) (*ecdsa.PrivateKey, [][]byte, error) {
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	if ca == nil {
		der, err := x509.CreateCertificate(rand.Reader, template, template, &leaf.PublicKey, leaf)
		return leaf, [][]byte{der}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &leaf.PublicKey, caKey)
	return leaf, [][]byte{der, ca.Raw}, err
}

// serial is 120 random bits (RFC 5280 §4.1.2.2).
func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return n
}

// writePair writes the key, for its owner only, and then the chain.
func writePair(cert, key string, k *ecdsa.PrivateKey, chain ...[]byte) error {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return err
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	var out []byte
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	return os.WriteFile(cert, out, 0o644)
}

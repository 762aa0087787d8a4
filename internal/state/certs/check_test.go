package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authorities are a root, and what it has signed, with which leaves are signed.
type authorities struct {
	root, middle *x509.Certificate
	key          *ecdsa.PrivateKey
}

func newAuthorities(t *testing.T) authorities {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	make := func(name string, parent *x509.Certificate) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err = x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := make("root", nil)
	return authorities{root, make("middle", root), key}
}

func TestCheck(t *testing.T) {
	a := newAuthorities(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	ca := func(cs ...*x509.Certificate) []*x509.Certificate { return cs }
	day := 24 * time.Hour
	for _, c := range []struct {
		what      string
		from, to  time.Duration // how long it is good, from now
		bits      int           // of an RSA key; 0: ECDSA
		chain     []*x509.Certificate
		noNames   bool
		otherKey  bool
		mode      os.FileMode
		bad, told string // "" is nothing
	}{
		{what: "good", from: -day, to: 30 * day, chain: ca(a.middle)},
		{what: "good, with its root", from: -day, to: 30 * day, chain: ca(a.middle, a.root)},
		{what: "RSA", from: -day, to: 30 * day, bits: 2048, chain: ca(a.middle)},
		{what: "weak RSA", from: -day, to: 30 * day, bits: 1024, chain: ca(a.middle), bad: "1024 bits"},
		{what: "over", from: -day, to: -time.Hour, chain: ca(a.middle), bad: "it was good until"},
		{what: "not yet", from: time.Hour, to: day, chain: ca(a.middle), bad: "it is good from"},
		{what: "soon over", from: -day, to: 13 * day, chain: ca(a.middle), told: "until"},
		{what: "no chain", from: -day, to: 30 * day, told: `"CN=middle" has signed`},
		{what: "another chain", from: -day, to: 30 * day, chain: ca(a.root), told: "not signed by the one behind"},
		{what: "no name", from: -day, to: 30 * day, chain: ca(a.middle), noNames: true, bad: "subjectAltName"},
		{what: "another key", from: -day, to: 30 * day, chain: ca(a.middle), otherKey: true, bad: "private key does not match"},
		{what: "an open key", from: -day, to: 30 * day, chain: ca(a.middle), mode: 0o644, told: "can read the key"},
	} {
		f := a.write(t, c.bits, c.from, c.to, c.noNames, c.otherKey, c.chain)
		if c.mode != 0 {
			if err := os.Chmod(f.Key, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		_, told, err := Check(f, roots, time.Now())
		switch {
		case c.bad == "" && err != nil, c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)):
			t.Errorf("%s: %v", c.what, err)
		case c.told == "" && len(told) > 0, c.told != "" && !strings.Contains(strings.Join(told, "\n"), c.told):
			t.Errorf("%s: told %q", c.what, told)
		}
	}
}

// write makes a pair that middle has signed, or one that the key of another
// belongs to.
func (a authorities) write(t *testing.T, bits int, from, to time.Duration, noNames, otherKey bool, chain []*x509.Certificate) Files {
	t.Helper()
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var key, public any = ec, &ec.PublicKey
	if bits > 0 {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, &k.PublicKey
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "mx.example.com"}, DNSNames: []string{"mx.example.com"},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
	}
	if noNames {
		leaf.DNSNames = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.middle, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	put(t, f.Cert, out)
	if otherKey {
		key = a.key
	}
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	put(t, f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return f
}

func TestSelfSigned(t *testing.T) {
	f := pair(t, t.TempDir(), "x", false, 100*24*time.Hour, "mx.example.com", "*.example.net")
	leaf, told, err := Check(f, x509.NewCertPool(), time.Now())
	if err != nil || len(told) != 1 || !strings.Contains(told[0], "signs itself") {
		t.Errorf("got %q, %v", told, err)
	}
	for name, want := range map[string]bool{"mx.example.com": true, "MX.example.com.": true, "a.example.net": true, "example.com": false} {
		if Covered([]*x509.Certificate{leaf}, name) != want {
			t.Errorf("%s: not %v", name, want)
		}
	}
}

// Package certs gives the doors their certificates: from files of the operator,
// or from an authority of our own for trying things out.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// lookEvery is how often the files are looked at for a newer certificate.
const lookEvery = time.Minute

// Files serves a certificate and key from PEM files, and takes up new ones
// within a minute of their being put in place, without a restart. A new pair
// that cannot be loaded leaves the old one in service.
type Files struct {
	cert, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	stamp  time.Time // the certificate file's modification time
	looked time.Time
}

// Open loads a pair. Its error names the file at fault.
func Open(certFile, keyFile string) (*Files, error) {
	f := &Files{cert: certFile, key: keyFile}
	if err := f.load(time.Now()); err != nil {
		return nil, fault.As(fault.Invalid, "certs.Open", err)
	}
	return f, nil
}

func (f *Files) load(now time.Time) error {
	f.looked = now
	info, err := os.Stat(f.cert)
	if err != nil {
		return err
	}
	if f.loaded != nil && info.ModTime().Equal(f.stamp) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("%s with %s: %w", f.cert, f.key, err)
	}
	f.loaded, f.stamp = &pair, info.ModTime()
	return nil
}

// Certificate is what tls.Config.GetCertificate wants.
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= lookEvery {
		_ = f.load(now)
	}
	return f.loaded, nil
}

// Leaf is the certificate in service.
func (f *Files) Leaf() *x509.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loaded.Leaf
}

// Config makes the doors' TLS configuration (RFC 8314, RFC 9325): 1.2 and up.
func (f *Files) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.Certificate}
}

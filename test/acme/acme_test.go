// Package acme orders certificates for the real program from Pebble, the test
// authority of Let's Encrypt.
package acme

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// configure has certificates ordered from p, with more settings of [acme].
func configure(s *blackbox.Served, p *pebble, more string, doors ...string) {
	s.Configure(fmt.Sprintf("[acme]\nagree_terms = true\nemail = \"postmaster@example.test\"\ndirectory = %q\ntrust_ca_file = %q\n%s",
		p.directory, p.ca, more), append(doors, "imaps")...)
}

// shows wants a certificate for a name at the imaps door that roots vouch for.
func shows(t *testing.T, s *blackbox.Served, name string, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	c, err := shown(t.Context(), s.Addr("imaps"), name, roots)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFile proves the name by a file (http-01). The certificate is there again
// after a restart, and in a backup, while the authority is away.
func TestFile(t *testing.T) {
	t.Parallel()
	s := blackbox.NewServed(t)
	names := blackbox.StartDNS(t, "mx.example.test. 60 IN A "+s.Bind)
	p := startPebble(t, names, s, nil)
	configure(s, p, "", "http")
	s.Start()
	s.Hears("certificate.ordered", "mx.example.test", "renewal=false")
	roots := p.roots(t)
	first := shows(t, s, "mx.example.test", roots)
	if _, err := shown(t.Context(), s.Addr("imaps"), "other.example.test", roots); err == nil {
		t.Error("the certificate is good for any name")
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if code, out := s.Ekiden("backup", backup); code != 0 {
		t.Fatal(out)
	}
	p.stop()
	s.Stop()
	s.Start()
	if again := shows(t, s, "mx.example.test", roots); !again.Equal(first) {
		t.Error("another certificate after a restart")
	}
	s.Stop()
	if err := os.RemoveAll(filepath.Join(s.Dir, "data")); err != nil {
		t.Fatal(err)
	}
	if code, out := s.Ekiden("restore", backup); code != 0 {
		t.Fatal(out)
	}
	s.Start()
	if again := shows(t, s, "mx.example.test", roots); !again.Equal(first) {
		t.Error("another certificate after a restore")
	}
}

// TestHandshake proves two names by handshakes (tls-alpn-01), and shows each
// client the one it asks for.
func TestHandshake(t *testing.T) {
	t.Parallel()
	s := blackbox.NewServed(t)
	names := blackbox.StartDNS(t, "mx.example.test. 60 IN A "+s.Bind, "mail.example.test. 60 IN A "+s.Bind)
	p := startPebble(t, names, s, nil)
	configure(s, p, "names = [\"mx.example.test\", \"mail.example.test\"]\n", "https")
	s.Start()
	s.Hears("certificate.ordered", "host=mx.example.test")
	s.Hears("certificate.ordered", "host=mail.example.test")
	roots := p.roots(t)
	if shows(t, s, "mx.example.test", roots).Equal(shows(t, s, "mail.example.test", roots)) {
		t.Error("one certificate for two names")
	}
	if _, err := shown(t.Context(), s.Addr("https"), "mail.example.test", roots); err != nil {
		t.Error("at the door https:", err)
	}
}

// TestRenewal takes a new certificate into service before the old one is over,
// for clients that come later.
func TestRenewal(t *testing.T) {
	t.Parallel()
	s := blackbox.NewServed(t)
	names := blackbox.StartDNS(t, "mx.example.test. 60 IN A "+s.Bind)
	p := startPebble(t, names, s, nil)
	configure(s, p, "profile = \"brief\"\n", "http", "https")
	s.Start()
	s.Hears("certificate.ordered", "renewal=false")
	roots := p.roots(t)
	first := shows(t, s, "mx.example.test", roots)
	s.Hears("certificate.ordered", "renewal=true")
	if shows(t, s, "mx.example.test", roots).Equal(first) {
		t.Error("the old certificate is still shown")
	}
	log, err := os.ReadFile(p.log)
	if err != nil || !bytes.Contains(log, []byte("/renewalInfo/")) {
		t.Error("the authority was never asked when to renew (RFC 9773 §4.1)", err)
	}
}

// TestFailure says why there is no certificate, serves TLS without one that
// anybody trusts, and tries again at once at SIGHUP. The authority wants an
// account from outside.
func TestFailure(t *testing.T) {
	t.Parallel()
	s := blackbox.NewServed(t)
	names := blackbox.StartDNS(t)
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	p := startPebble(t, names, s, map[string]any{
		"externalAccountBindingRequired": true, "externalAccountMACKeys": map[string]string{"kid-1": key},
	})
	if err := os.WriteFile(filepath.Join(s.Dir, "eab"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	configure(s, p, "eab_key_id = \"kid-1\"\neab_key_file = \"eab\"\n", "http", "https")
	s.Start()
	s.Hears("certificate.failed", "mx.example.test", "again=1m0s")
	roots := p.roots(t)
	if _, err := shown(t.Context(), s.Addr("imaps"), "mx.example.test", roots); err == nil {
		t.Error("a certificate out of nothing")
	}
	names.Add(t, "mx.example.test. 60 IN A "+s.Bind)
	s.Signal(syscall.SIGHUP)
	s.Hears("certificate.ordered", "renewal=false")
	shows(t, s, "mx.example.test", roots)
}

// Package acme orders certificates for the real program from Pebble, the test
// authority of Let's Encrypt.
package acme

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const soon = 30 * time.Second

// server is an `ekiden serve` on an address of its own.
type server struct {
	t    *testing.T
	bind string
	dir  string
	log  string
	cmd  *exec.Cmd
}

func newServer(t *testing.T) *server {
	s := &server{t: t, bind: blackbox.FreeAddress(t), dir: t.TempDir()}
	s.log = filepath.Join(s.dir, "log")
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			b, _ := os.ReadFile(s.log)
			t.Logf("ekiden:\n%.8000s", b)
		}
	})
	return s
}

func (s *server) port(door string) int {
	return map[string]int{"http": 10080, "https": 10443, "imaps": 10993}[door]
}

func (s *server) addr(door string) string {
	return net.JoinHostPort(s.bind, strconv.Itoa(s.port(door)))
}

// config is where the configuration is written to: these doors are open.
func (s *server) config(p *pebble, more string, doors ...string) string {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"mx.example.test\"\ndata = \"data\"\n[listen]\n")
	for _, d := range []string{"smtp", "submission", "submission_alt", "submissions", "pop3", "pop3s", "imap", "imaps", "http", "https"} {
		open := ""
		for _, o := range append(doors, "imaps") {
			if o == d {
				open = strconv.Quote(s.addr(d))
			}
		}
		fmt.Fprintf(&b, "%s = [%s]\n", d, open)
	}
	fmt.Fprintf(&b, "[acme]\nagree_terms = true\nemail = \"postmaster@example.test\"\ndirectory = %q\ntrust_ca_file = %q\n%s", p.directory, p.ca, more)
	path := filepath.Join(s.dir, "ekiden.toml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *server) start(config string) {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	s.cmd = exec.Command(blackbox.Binary(s.t), "serve", "-c", config)
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.hears("server.ready")
}

// hears waits for a line of the log with all of the words.
func (s *server) hears(words ...string) {
	s.t.Helper()
	for end := time.Now().Add(soon); ; time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(s.log)
	lines:
		for l := range bytes.Lines(b) {
			for _, w := range words {
				if !bytes.Contains(l, []byte(w)) {
					continue lines
				}
			}
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the log does not say %q", words)
		}
	}
}

func (s *server) stop() {
	if s.cmd == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(soon, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("ekiden did not stop cleanly: %v", err)
	}
}

// shows wants a certificate for a name at the imaps door that roots vouch for.
func (s *server) shows(name string, roots *x509.CertPool) *x509.Certificate {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), soon)
	defer cancel()
	c, err := shown(ctx, s.addr("imaps"), name, roots)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// TestFile proves the name by a file (http-01). The certificate is there again
// after a restart, and in a backup, while the authority is away.
func TestFile(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	names := blackbox.StartDNS(t, "mx.example.test. 60 IN A "+s.bind)
	p := startPebble(t, names, s, nil)
	config := s.config(p, "", "http")
	s.start(config)
	s.hears("certificate.ordered", "mx.example.test", "renewal=false")
	roots := p.roots(t)
	first := s.shows("mx.example.test", roots)
	if _, err := shown(t.Context(), s.addr("imaps"), "other.example.test", roots); err == nil {
		t.Error("the certificate is good for any name")
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if out, err := exec.Command(blackbox.Binary(t), "backup", "-c", config, backup).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.stop()
	s.stop()
	s.start(config)
	if again := s.shows("mx.example.test", roots); !again.Equal(first) {
		t.Error("another certificate after a restart")
	}
	s.stop()
	if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(blackbox.Binary(t), "restore", "-c", config, backup).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.start(config)
	if again := s.shows("mx.example.test", roots); !again.Equal(first) {
		t.Error("another certificate after a restore")
	}
}

// TestHandshake proves two names by handshakes (tls-alpn-01), and shows each
// client the one it asks for.
func TestHandshake(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	names := blackbox.StartDNS(t, "mx.example.test. 60 IN A "+s.bind, "mail.example.test. 60 IN A "+s.bind)
	p := startPebble(t, names, s, nil)
	s.start(s.config(p, "names = [\"mx.example.test\", \"mail.example.test\"]\n", "https"))
	s.hears("certificate.ordered", "host=mx.example.test")
	s.hears("certificate.ordered", "host=mail.example.test")
	roots := p.roots(t)
	if s.shows("mx.example.test", roots).Equal(s.shows("mail.example.test", roots)) {
		t.Error("one certificate for two names")
	}
	if _, err := shown(t.Context(), s.addr("https"), "mail.example.test", roots); err != nil {
		t.Error("at the door https:", err)
	}
}

// TestRenewal takes a new certificate into service before the old one is over,
// for clients that come later.
func TestRenewal(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	names := blackbox.StartDNS(t, "mx.example.test. 60 IN A "+s.bind)
	p := startPebble(t, names, s, nil)
	s.start(s.config(p, "profile = \"brief\"\n", "http", "https"))
	s.hears("certificate.ordered", "renewal=false")
	roots := p.roots(t)
	first := s.shows("mx.example.test", roots)
	s.hears("certificate.ordered", "renewal=true")
	if s.shows("mx.example.test", roots).Equal(first) {
		t.Error("the old certificate is still shown")
	}
}

// TestFailure says why there is no certificate, serves TLS without one that
// anybody trusts, and tries again at once at SIGHUP. The authority wants an
// account from outside.
func TestFailure(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	names := blackbox.StartDNS(t)
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	p := startPebble(t, names, s, map[string]any{
		"externalAccountBindingRequired": true, "externalAccountMACKeys": map[string]string{"kid-1": key},
	})
	if err := os.WriteFile(filepath.Join(s.dir, "eab"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(s.config(p, "eab_key_id = \"kid-1\"\neab_key_file = \"eab\"\n", "http", "https"))
	s.hears("certificate.failed", "mx.example.test", "again=1m0s")
	roots := p.roots(t)
	if _, err := shown(t.Context(), s.addr("imaps"), "mx.example.test", roots); err == nil {
		t.Error("a certificate out of nothing")
	}
	names.Add(t, "mx.example.test. 60 IN A "+s.bind)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.hears("certificate.ordered", "renewal=false")
	s.shows("mx.example.test", roots)
}

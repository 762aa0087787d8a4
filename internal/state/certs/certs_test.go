package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
)

// heard keeps the names of events.
type heard struct{ all []event.Event }

func (h *heard) Emit(_ context.Context, e event.Event) { h.all = append(h.all, e) }

func (h *heard) take() []string {
	var names []string
	for _, e := range h.all {
		names = append(names, e.Name())
	}
	h.all = nil
	return names
}

// pair writes a certificate that signs itself.
func pair(t *testing.T, dir, name string, rsaKey bool, life time.Duration, hosts ...string) Files {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var signer any = ec
	var public any = &ec.PublicKey
	if rsaKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		signer, public = k, &k.PublicKey
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, DNSNames: hosts,
		NotBefore: time.Now().Add(-80 * 24 * time.Hour), NotAfter: time.Now().Add(life),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+"-key.pem")}
	put(t, f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	put(t, f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return f
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Options) *Set {
	t.Helper()
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOwnAuthority(t *testing.T) {
	dir := t.TempDir()
	own := func(names ...string) *Set { return open(t, Options{Own: dir, OwnNames: names}) }
	names := []string{"mx.example.test", "localhost", "127.0.0.1"}
	s := own(names...)
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no authority to trust", err)
	}
	for _, n := range names {
		if _, err := s.Leaf("").Verify(x509.VerifyOptions{Roots: roots, DNSName: n}); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
	if again := own(names...); !again.Leaf("").Equal(s.Leaf("")) {
		t.Error("a good certificate was replaced")
	}
	if other := own("mx.other.test"); other.Leaf("").Equal(s.Leaf("")) {
		t.Error("a certificate for other names was kept")
	}
	if now, _ := os.ReadFile(filepath.Join(dir, CAFile)); !bytes.Equal(now, ca) {
		t.Error("the authority was replaced")
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error("the key can be read by others", err)
	}
}

// TestChoice shows each client the certificate for the name it asks for.
func TestChoice(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{
		Files: []Files{
			pair(t, dir, "first", false, time.Hour, "mx.example.com", "mail.example.com"),
			pair(t, dir, "wild", false, time.Hour, "*.example.net"),
			pair(t, dir, "wild-rsa", true, time.Hour, "*.example.net"),
		},
		Own: dir, OwnNames: []string{"localhost"},
	})
	ecdsaToo := []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}
	rsaOnly := []tls.SignatureScheme{tls.PSSWithSHA256}
	for _, c := range []struct {
		ask     string
		schemes []tls.SignatureScheme
		want    string
	}{
		{"", ecdsaToo, "first"}, {"mx.example.com", ecdsaToo, "first"}, {"MAIL.Example.COM", ecdsaToo, "first"},
		{"Localhost.", ecdsaToo, "localhost"}, {"unknown.example.com", ecdsaToo, "first"}, {"example.net", ecdsaToo, "first"},
		{"a.example.net", ecdsaToo, "wild"}, {"a.b.example.net", ecdsaToo, "first"}, {"a.example.net", rsaOnly, "wild-rsa"},
		{"localhost", ecdsaToo, "localhost"},
	} {
		got, err := s.Certificate(&tls.ClientHelloInfo{
			ServerName: c.ask, SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: c.schemes,
			SupportedCurves: []tls.CurveID{tls.X25519, tls.CurveP256},
		})
		if err != nil || got.Leaf.Subject.CommonName != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.ask, got.Leaf.Subject.CommonName, err, c.want)
		}
	}
}

// TestOrdered prefers files to what an authority gave, and both to the own one;
// with nothing at all there is a certificate that signs itself.
func TestOrdered(t *testing.T) {
	dir := t.TempDir()
	sink := &heard{}
	s := open(t, Options{Hostname: "mx.example.com", Sink: sink})
	if got := sink.take(); !slices.Equal(got, []string{"certificate.taken"}) {
		t.Errorf("told %q", got)
	}
	stopgap := s.Leaf("mx.example.com")
	if stopgap.VerifyHostname("mx.example.com") != nil {
		t.Error("no stopgap")
	}
	ordered, err := selfSigned("mx.example.com")
	if err != nil {
		t.Fatal(err)
	}
	s.SetOrdered([]*tls.Certificate{ordered})
	if s.Leaf("").Equal(stopgap) || !s.Leaf("").Equal(ordered.Leaf) {
		t.Error("the stopgap was kept")
	}
	both := open(t, Options{Own: dir, OwnNames: []string{"mx.example.com"}})
	own := both.Leaf("")
	both.SetOrdered([]*tls.Certificate{ordered})
	if !both.Leaf("").Equal(ordered.Leaf) {
		t.Error("the own authority stands before the other")
	}
	both.SetOrdered(nil)
	if !both.Leaf("").Equal(own) {
		t.Error("what was taken away is still there")
	}
	files := open(t, Options{Files: []Files{pair(t, dir, "file", false, time.Hour, "mx.example.com")}})
	files.SetOrdered([]*tls.Certificate{ordered})
	if files.Leaf("mx.example.com").Subject.CommonName != "file" {
		t.Error("a file gave way")
	}
}

// TestReload takes up a new pair, and keeps the one in service if the new one
// is of no use.
func TestReload(t *testing.T) {
	dir, sink := t.TempDir(), &heard{}
	f := pair(t, dir, "x", false, 100*24*time.Hour, "a.test")
	s := open(t, Options{Files: []Files{f}, Sink: sink})
	expect := func(what, host string, force bool, events ...string) {
		t.Helper()
		s.Reload(t.Context(), force)
		if got := sink.take(); !slices.Equal(got, events) {
			t.Errorf("%s: events %q, want %q", what, got, events)
		}
		if got := s.Leaf("").DNSNames[0]; got != host {
			t.Errorf("%s: %s is in service, not %s", what, got, host)
		}
	}
	expect("nothing new", "a.test", false)
	expect("nothing new, by force", "a.test", true)
	pair(t, dir, "x", false, 100*24*time.Hour, "b.test")
	expect("a new pair", "b.test", false, "certificate.taken")
	put(t, f.Cert, []byte("rubbish"))
	expect("rubbish", "b.test", false, "certificate.refused")
	expect("the same rubbish", "b.test", false)
	expect("the same rubbish, by force", "b.test", true, "certificate.refused")
	other := pair(t, t.TempDir(), "x", false, 100*24*time.Hour, "c.test")
	b, _ := os.ReadFile(other.Cert)
	put(t, f.Cert, b)
	expect("another's certificate", "b.test", false, "certificate.refused")
	b, _ = os.ReadFile(other.Key)
	put(t, f.Key, b)
	expect("and its key", "c.test", false, "certificate.taken")
	if err := os.Remove(f.Key); err != nil {
		t.Fatal(err)
	}
	expect("no key", "c.test", false, "certificate.refused")
	pair(t, dir, "x", false, 10*24*time.Hour, "d.test")
	expect("soon over", "d.test", false, "certificate.taken", "certificate.expires")
	expect("soon over, the same day", "d.test", false)
	s.warned[f.Cert] = time.Now().Add(-25 * time.Hour)
	expect("soon over, the next day", "d.test", false, "certificate.expires")
}

func TestNewNamesTheFile(t *testing.T) {
	_, err := New(Options{Files: []Files{{"/nonexistent/cert.pem", "/nonexistent/key.pem"}}})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/") {
		t.Errorf("got %v", err)
	}
	_, err = New(Options{Files: []Files{pair(t, t.TempDir(), "old", false, time.Hour)}})
	if err == nil || !strings.Contains(err.Error(), "subjectAltName") {
		t.Errorf("got %v", err)
	}
}

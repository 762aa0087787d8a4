package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOwnAuthority(t *testing.T) {
	dir := t.TempDir()
	names := []string{"mx.example.test", "localhost", "127.0.0.1"}
	f, err := OpenOwn(dir, names)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no authority to trust", err)
	}
	for _, n := range names {
		if _, err := f.Leaf().Verify(x509.VerifyOptions{Roots: roots, DNSName: n}); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
	again, err := OpenOwn(dir, names)
	if err != nil || !bytes.Equal(again.Leaf().Raw, f.Leaf().Raw) {
		t.Error("a good certificate was replaced", err)
	}
	other, err := OpenOwn(dir, []string{"mx.other.test"})
	if err != nil || bytes.Equal(other.Leaf().Raw, f.Leaf().Raw) {
		t.Error("a certificate for other names was kept", err)
	}
	if now, _ := os.ReadFile(filepath.Join(dir, CAFile)); !bytes.Equal(now, ca) {
		t.Error("the authority was replaced")
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error("the key can be read by others", err)
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	f, err := OpenOwn(dir, []string{"a.test"})
	if err != nil {
		t.Fatal(err)
	}
	old := f.Leaf()
	if _, err := OpenOwn(dir, []string{"b.test"}); err != nil {
		t.Fatal(err)
	}
	if c, _ := f.Certificate(&tls.ClientHelloInfo{}); !bytes.Equal(c.Leaf.Raw, old.Raw) {
		t.Error("looked at the files again too soon")
	}
	later := time.Now().Add(time.Second)
	if err := os.Chtimes(filepath.Join(dir, certFile), later, later); err != nil {
		t.Fatal(err)
	}
	f.looked = time.Now().Add(-2 * lookEvery)
	if c, _ := f.Certificate(&tls.ClientHelloInfo{}); c.Leaf.DNSNames[0] != "b.test" {
		t.Error("the new certificate was not taken up")
	}
	if err := os.WriteFile(filepath.Join(dir, certFile), []byte("rubbish"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.looked = time.Now().Add(-2 * lookEvery)
	if c, err := f.Certificate(&tls.ClientHelloInfo{}); err != nil || c.Leaf.DNSNames[0] != "b.test" {
		t.Error("a bad file took the good certificate out of service", err)
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	_, err := Open("/nonexistent/cert.pem", "/nonexistent/key.pem")
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("/nonexistent/cert.pem")) {
		t.Errorf("got %v", err)
	}
}

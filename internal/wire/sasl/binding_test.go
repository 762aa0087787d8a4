package sasl

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// certificate makes one that is signed by itself.
func certificate(t *testing.T, key any, public any) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"x.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// TestBindings sees both ends of a connection find the same values.
func TestBindings(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		version uint16
		cert    tls.Certificate
		want    []string
	}{
		{"TLS 1.3", tls.VersionTLS13, certificate(t, ec, &ec.PublicKey), []string{TLSExporter, TLSServerEndPoint}},
		{"TLS 1.2", tls.VersionTLS12, certificate(t, ec, &ec.PublicKey), []string{TLSUnique, TLSExporter, TLSServerEndPoint}},
		{"Ed25519, whose signature has no hash of its own", tls.VersionTLS13, certificate(t, private, public), []string{TLSExporter}},
	} {
		a, b := net.Pipe()
		server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{c.cert}, MaxVersion: c.version})
		client := tls.Client(b, &tls.Config{InsecureSkipVerify: true, ServerName: "x.test"}) //nolint:gosec // it knows whom it speaks with
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s, cl := server.ConnectionState(), client.ConnectionState()
		ours, theirs := Bindings(&s, c.cert.Leaf), Bindings(&cl, cl.PeerCertificates[0])
		var got []string
		for i, o := range ours {
			got = append(got, o.Type)
			if i >= len(theirs) || o.Type != theirs[i].Type || !bytes.Equal(o.Data, theirs[i].Data) || len(o.Data) < 12 {
				t.Errorf("%s: %v and %v", c.name, o, theirs)
			}
		}
		if len(got) != len(c.want) || len(theirs) != len(ours) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
			if sum := sha256.Sum256(c.cert.Leaf.Raw); got[i] == TLSServerEndPoint && !bytes.Equal(ours[i].Data, sum[:]) {
				t.Errorf("%s: the end point is not the certificate's hash", c.name)
			}
		}
		_, _ = a.Close(), b.Close()
	}
	if Bindings(nil, nil) != nil {
		t.Error("a binding without TLS")
	}
}

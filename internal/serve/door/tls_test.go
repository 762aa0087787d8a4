package door

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// TestHandshakeKnowsItsCertificate looks at which certificate a login may be
// bound to: the one that was shown, and after resumption the one of the name.
func TestHandshakeKnowsItsCertificate(t *testing.T) {
	certs := map[string]*tls.Certificate{}
	for i, name := range []string{"a.test", "b.test"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		certs[name] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	get := func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return certs[h.ServerName], nil }
	server := &tls.Config{GetCertificate: Note(get)}
	cache := tls.NewLRUClientSessionCache(4)
	for _, name := range []string{"a.test", "b.test", "a.test", "b.test"} {
		a, b := connected(t)
		client := tls.Client(b, &tls.Config{ServerName: name, InsecureSkipVerify: true, ClientSessionCache: cache})
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := client.Handshake(); err == nil {
				_, _ = client.Read(make([]byte, 1)) // and the ticket before it
			}
		}()
		c, s, err := Handshake(context.Background(), a, server)
		if err != nil {
			t.Fatal(err)
		}
		if s.Certificate == nil || s.Certificate.VerifyHostname(name) != nil || s.State.ServerName != name {
			t.Errorf("%s (resumed: %v): %v", name, s.State.DidResume, s.Certificate)
		}
		_, _ = c.Write([]byte("x"))
		<-done
		_, _ = a.Close(), b.Close()
	}
}

// connected gives both ends of a connection that can be written to without a
// reader.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if b, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if a, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = a.SetDeadline(time.Now().Add(10 * time.Second))
	return a, b
}

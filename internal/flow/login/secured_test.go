package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate; by itself if a has none yet.
func (a *authority) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// person makes a client's certificate.
func (a *authority) person(t *testing.T, usage x509.ExtKeyUsage, ends time.Time, names ...string) *x509.Certificate {
	c, _ := a.sign(t, &x509.Certificate{EmailAddresses: names, ExtKeyUsage: []x509.ExtKeyUsage{usage}, NotBefore: time.Now().Add(-time.Hour), NotAfter: ends})
	return c
}

func TestExternal(t *testing.T) {
	l, j := open(t, small)
	ours, theirs := newAuthority(t), newAuthority(t)
	l.o.ClientCAs = x509.NewCertPool()
	l.o.ClientCAs.AddCert(ours.cert)
	if err := l.o.Directory.UpdateAccount(context.Background(), bob, func(a *directory.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	later, client := time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth
	for _, c := range []struct {
		name    string
		cert    *x509.Certificate
		authzid string
		reason  string // "-": not offered
	}{
		{"alice", ours.person(t, client, later, "Alice@X.test"), "", ""},
		{"alice by name", ours.person(t, client, later, "alice@x.test"), "alice@x.test", ""},
		{"the one who has an account", ours.person(t, client, later, "carol@x.test", "alice@x.test"), "", ""},
		{"another", ours.person(t, client, later, "alice@x.test"), "bob@x.test", "the certificate does not name that address"},
		{"unknown", ours.person(t, client, later, "carol@x.test"), "", "unknown account"},
		{"disabled", ours.person(t, client, later, "bob@x.test"), "", "disabled account"},
		{"another authority", theirs.person(t, client, later, "alice@x.test"), "", "-"},
		{"a server's", ours.person(t, x509.ExtKeyUsageServerAuth, later, "alice@x.test"), "", "-"},
		{"expired", ours.person(t, client, time.Now().Add(-time.Minute), "alice@x.test"), "", "-"},
		{"without an address", ours.person(t, client, later), "", "-"},
		{"none", nil, "", "-"},
	} {
		a := at("127.0.0.1:9")
		if c.cert != nil {
			a.Secured = &Secured{State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}}}
		}
		if offered := slices.Contains(l.Mechanisms(a), sasl.External); offered != (c.reason != "-") {
			t.Errorf("%s: offered: %v", c.name, offered)
		}
		j.take()
		who, err := come(l, a, sasl.ExternalClient(c.authzid))
		switch {
		case c.reason == "" && (err != nil || who.Address != alice || who.Until.IsZero()):
			t.Errorf("%s: %+v, %v", c.name, who, err)
		case c.reason == "-" && !fault.Is(err, fault.Unsupported):
			t.Errorf("%s: %v", c.name, err)
		case c.reason != "" && c.reason != "-" && (!fault.Is(err, fault.Unauthenticated) || !strings.HasSuffix(j.take(), "reason="+c.reason)):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestBound runs SCRAM over a real connection with every binding.
func TestBound(t *testing.T) {
	l, j := open(t, small)
	cert, key := newAuthority(t).sign(t, &x509.Certificate{DNSNames: []string{"x.test"}})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		a, b := net.Pipe()
		server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, MaxVersion: version})
		client := tls.Client(b, &tls.Config{InsecureSkipVerify: true})
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		attempt := at("127.0.0.1:9")
		attempt.Secured = &Secured{State: server.ConnectionState(), Certificate: cert}
		if got := fmt.Sprint(l.Mechanisms(attempt)); got != "[SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-512 SCRAM-SHA-256 PLAIN LOGIN]" {
			t.Error(got)
		}
		state := client.ConnectionState()
		theirs := sasl.Bindings(&state, state.PeerCertificates[0])
		for i := range theirs {
			if _, err := come(l, attempt, sasl.ScramClient(sasl.SHA256, true, "alice@x.test", "pencil", theirs[i:])); err != nil {
				t.Errorf("%s: %v", theirs[i].Type, err)
			}
		}
		j.take()
		wrong := []sasl.Binding{{Type: sasl.TLSExporter, Data: []byte("of another connection")}}
		if _, err := come(l, attempt, sasl.ScramClient(sasl.SHA256, true, "alice@x.test", "pencil", wrong)); err == nil || !strings.HasSuffix(j.take(), "reason=channel binding") {
			t.Errorf("one between us: %v", err)
		}
		if _, err := come(l, attempt, sasl.ScramClient(sasl.SHA256, false, "alice@x.test", "pencil", theirs)); err == nil {
			t.Error("nobody noticed that -PLUS was hidden")
		}
		_, _ = a.Close(), b.Close()
	}
}

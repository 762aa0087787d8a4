package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
)

// shake lets a client and a door greet each other, and gives what the client saw.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		c := tls.Server(nc, server)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write([]byte("x"))
		_ = c.Close()
	}()
	defer func() { <-done }()
	c, err := tls.Dial("tcp", ln.Addr().String(), client)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n == 0 { // with TLS 1.3, the ticket comes before it
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), nil
}

func trust(s *Set) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(s.Leaf(""))
	return &tls.Config{RootCAs: pool, ServerName: Names(s.Leaf(""))[0]}
}

// TestHandshake shows what the doors speak and what they do not.
func TestHandshake(t *testing.T) {
	s := open(t, Options{Files: []Files{pair(t, t.TempDir(), "x", false, time.Hour, "mx.example.com")}})
	user, strangers := Use{ALPN: []string{"imap"}}, Use{Strangers: true}
	for _, c := range []struct {
		what   string
		min    uint16
		use    Use
		client func(*tls.Config)
		good   bool
	}{
		{"the newest", tls.VersionTLS12, user, func(*tls.Config) {}, true},
		{"1.2", tls.VersionTLS12, user, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true},
		{"1.2, where 1.3 is wanted", tls.VersionTLS13, user, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, false},
		{"1.1", tls.VersionTLS12, strangers, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
		{"CBC from a user", tls.VersionTLS12, user, cbc, false},
		{"CBC from a stranger", tls.VersionTLS12, strangers, cbc, true},
		{"the right protocol", tls.VersionTLS12, user, func(c *tls.Config) { c.NextProtos = []string{"imap"} }, true},
		{"a browser", tls.VersionTLS12, user, func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, false},
		{"a stranger with a protocol", tls.VersionTLS12, strangers, func(c *tls.Config) { c.NextProtos = []string{"smtp"} }, true},
	} {
		client := trust(s)
		c.client(client)
		if state, err := shake(t, NewConfigs(s, c.min).For(c.use), client); (err == nil) != c.good {
			t.Errorf("%s: %v, %x", c.what, err, state.CipherSuite)
		}
	}
}

func cbc(c *tls.Config) {
	c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
}

// TestPostQuantum negotiates the hybrid key exchange with a client that offers
// it, and does without if it does not.
func TestPostQuantum(t *testing.T) {
	s := open(t, Options{Files: []Files{pair(t, t.TempDir(), "x", false, time.Hour, "mx.example.com")}})
	for _, u := range []Use{{Strangers: true}, {ALPN: []string{"imap"}}, {ALPN: []string{"h2"}, Certificate: noCertificate}} {
		door := NewConfigs(s, tls.VersionTLS12).For(u)
		if state, err := shake(t, door, trust(s)); err != nil || state.CurveID != tls.X25519MLKEM768 {
			t.Errorf("got %v, %v", state.CurveID, err)
		}
		old := trust(s)
		old.CurvePreferences = []tls.CurveID{tls.X25519}
		if state, err := shake(t, door, old); err != nil || state.CurveID != tls.X25519 {
			t.Errorf("got %v, %v", state.CurveID, err)
		}
	}
}

func noCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }

// TestTickets resumes at one door what began at another, also after a change of
// keys, until the key is gone.
func TestTickets(t *testing.T) {
	s := open(t, Options{Files: []Files{pair(t, t.TempDir(), "x", false, time.Hour, "mx.example.com")}, Sink: event.Discard{}})
	configs := NewConfigs(s, tls.VersionTLS12)
	imap := configs.For(Use{ALPN: []string{"imap"}})
	keys := [][32]byte{{1}}
	configs.SetTicketKeys(keys)
	smtp := configs.For(Use{Strangers: true})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := trust(s)
		client.MaxVersion, client.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		for _, step := range []struct {
			keys    [][32]byte
			door    *tls.Config
			resumed bool
		}{
			{nil, smtp, false}, {nil, imap, true}, {nil, smtp, true},
			{[][32]byte{{2}, {1}}, smtp, true}, {[][32]byte{{3}, {2}}, imap, true}, {[][32]byte{{5}, {4}}, imap, false},
		} {
			if step.keys != nil {
				configs.SetTicketKeys(step.keys)
			}
			if state, err := shake(t, step.door, client); err != nil || state.DidResume != step.resumed {
				t.Errorf("%x with keys %x: resumed %v, %v", version, step.keys, state.DidResume, err)
			}
		}
		configs.SetTicketKeys(keys)
	}
}

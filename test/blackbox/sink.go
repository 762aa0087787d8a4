package blackbox

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Taken is one message that a Sink took.
type Taken struct {
	Peer    string // the address it came from, without the port
	Helo    string // what that called itself
	User    string // who logged in
	TLS     bool
	From    string
	To      []string
	Content []byte
}

// Sink is another mail server for a test: STARTTLS with a certificate of its
// own, AUTH PLAIN, and whatever Answer says.
type Sink struct {
	Addr string
	// Answer, if set, may answer a command instead of the sink; "" leaves it to
	// the sink. It is called for "DATA" and "." too.
	Answer func(command string) string

	user, password string
	cert           tls.Certificate
	mu             sync.Mutex
	taken          []Taken
}

// StartSink runs a sink at addr until the test ends. With a user it wants AUTH.
func StartSink(t testing.TB, addr, user, password string) *Sink {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &Sink{Addr: ln.Addr().String(), user: user, password: password, cert: selfSigned(t)}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[nc] = true
			mu.Unlock()
			all.Go(func() { s.serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for nc := range open {
			_ = nc.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return s
}

// Taken gives what came so far.
func (s *Sink) Taken() []Taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Taken(nil), s.taken...)
}

// SetCertificate gives the sink another certificate.
func (s *Sink) SetCertificate(c tls.Certificate) {
	s.mu.Lock()
	s.cert = c
	s.mu.Unlock()
}

func (s *Sink) certificate() tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cert
}

// sinkSession is one connection.
type sinkSession struct {
	s  *Sink
	nc net.Conn
	r  *bufio.Reader
	m  Taken
}

func (s *Sink) serve(nc net.Conn) {
	c := &sinkSession{s: s, nc: nc, r: bufio.NewReader(nc)}
	defer func() { _ = c.nc.Close() }()
	c.say("220 sink ESMTP")
	for {
		_ = nc.SetDeadline(time.Now().Add(time.Minute))
		l, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		l = strings.TrimRight(l, "\r\n")
		if s.Answer != nil {
			if a := s.Answer(l); a != "" {
				c.say(a)
				continue
			}
		}
		if !c.command(l) {
			return
		}
	}
}

func (c *sinkSession) say(l string) { _, _ = fmt.Fprintf(c.nc, "%s\r\n", l) }

// command answers one; false ends the connection.
func (c *sinkSession) command(l string) bool {
	verb, rest, _ := strings.Cut(l, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		c.m.Helo = rest
		c.m.Peer, _, _ = net.SplitHostPort(c.nc.RemoteAddr().String())
		c.say("250-sink\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES")
		if !c.m.TLS {
			c.say("250-STARTTLS")
		}
		c.say("250 AUTH PLAIN")
	case "HELO", "NOOP", "RSET":
		c.say("250 ok")
	case "STARTTLS":
		c.say("220 go")
		t := tls.Server(c.nc, &tls.Config{Certificates: []tls.Certificate{c.s.certificate()}, MinVersion: tls.VersionTLS12})
		if t.Handshake() != nil {
			return false
		}
		c.nc, c.r, c.m = t, bufio.NewReader(t), Taken{TLS: true}
	case "AUTH":
		c.auth(rest)
	case "MAIL":
		c.mail(rest)
	case "RCPT":
		c.m.To = append(c.m.To, path(rest))
		c.say("250 2.1.5 ok")
	case "DATA":
		if len(c.m.To) == 0 {
			c.say("554 5.5.1 no valid recipients")
			return true
		}
		c.say("354 go")
		return c.data()
	case "QUIT":
		c.say("221 bye")
		return false
	default:
		c.say("500 what?")
	}
	return true
}

func (c *sinkSession) auth(rest string) {
	_, initial, _ := strings.Cut(rest, " ")
	if initial == "" {
		c.say("334 ")
		initial, _ = c.r.ReadString('\n')
	}
	b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(initial))
	parts := bytes.Split(b, []byte{0})
	if len(parts) != 3 || string(parts[1]) != c.s.user || string(parts[2]) != c.s.password {
		c.say("535 5.7.8 no")
		return
	}
	c.m.User = c.s.user
	c.say("235 2.7.0 welcome")
}

func (c *sinkSession) mail(rest string) {
	if c.s.user != "" && c.m.User == "" {
		c.say("530 5.7.0 AUTH first")
		return
	}
	c.m.From, c.m.To, c.m.Content = path(rest), nil, nil
	c.say("250 2.1.0 ok")
}

// data reads the content and keeps the message.
func (c *sinkSession) data() bool {
	for {
		l, err := c.r.ReadBytes('\n')
		if err != nil {
			return false
		}
		if string(l) == ".\r\n" {
			break
		}
		c.m.Content = append(c.m.Content, bytes.TrimPrefix(l, []byte("."))...)
	}
	c.s.mu.Lock()
	c.s.taken = append(c.s.taken, c.m)
	c.s.mu.Unlock()
	c.say("250 2.0.0 taken")
	return true
}

func path(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"sink.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

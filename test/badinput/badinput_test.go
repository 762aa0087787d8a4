// Package badinput sends to the server what no client should.
package badinput

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// mostMemory is what the server may have resident after everything here, in
// octets.
const mostMemory = 512 << 20

// door is one protocol: what its greeting, its refusals and a harmless command
// look like.
type door struct {
	name, greeting string
	refusals       []string // how an answer to nonsense may begin
	noop           string
}

func doors() []door {
	return []door{
		{"smtp", "220 ", []string{"5", "4"}, "NOOP"},
		{"lmtp", "220 ", []string{"5", "4"}, "NOOP"},
		{"submission", "220 ", []string{"5", "4"}, "NOOP"},
		{"imap", "* OK", []string{"* BAD", "* BYE", "a BAD", "a NO", "+", "* NO", "GET BAD"}, "a NOOP"},
		{"pop3", "+OK", []string{"-ERR"}, "CAPA"},
	}
}

// open connects and reads the greeting.
func open(t *testing.T, s *blackbox.Server, d door) *blackbox.Wire {
	t.Helper()
	w, err := blackbox.Dial(s.Addr(d.name), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	if l, err := w.Line(); err != nil || !strings.HasPrefix(l, d.greeting) {
		t.Fatalf("%s greets with %q, %v", d.name, l, err)
	}
	return w
}

// healthy uses every door once, as a client would.
func healthy(t *testing.T, s *blackbox.Server) {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatalf("SMTP: %v", err)
	}
	err = c.Mail("a@elsewhere.example", []string{s.Address("bob")}, []byte("Subject: healthy\r\n\r\nStill here.\r\n"))
	if err != nil {
		t.Fatalf("SMTP: %v", err)
	}
	c.Quit()
	if len(s.Messages("bob", "INBOX")) == 0 {
		t.Fatal("IMAP: no message")
	}
	p, err := blackbox.DialPOP3(s.Addr("pop3s"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatalf("POP3: %v", err)
	}
	if err := p.Quit(); err != nil {
		t.Fatalf("POP3: %v", err)
	}
	if rss := s.RSS(); rss > mostMemory {
		t.Errorf("%d MiB resident", rss>>20)
	}
}

// refused wants a refusal or the end of the connection.
func refused(t *testing.T, d door, what string, w *blackbox.Wire) {
	t.Helper()
	l, err := w.Line()
	if isTimeout(err) {
		t.Errorf("%s says nothing to %s", d.name, what)
		return
	}
	if err != nil {
		return
	}
	for _, r := range d.refusals {
		if strings.HasPrefix(l, r) {
			return
		}
	}
	t.Errorf("%s answers %s with %q", d.name, what, l)
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func TestBadInput(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	for _, d := range doors() {
		t.Run(d.name, func(t *testing.T) {
			t.Run("lines", func(t *testing.T) { lines(t, s, d) })
			t.Run("endless", func(t *testing.T) { endless(t, s, d) })
			t.Run("burst", func(t *testing.T) { burst(t, s, d) })
			if d.name != "lmtp" {
				t.Run("starttls", func(t *testing.T) { startTLS(t, s, d) })
			}
			healthy(t, s)
		})
	}
	t.Run("literals", func(t *testing.T) { literals(t, s) })
	t.Run("content", func(t *testing.T) { content(t, s) })
	t.Run("chunks", func(t *testing.T) { chunks(t, s) })
	t.Run("auth", func(t *testing.T) { auth(t, s) })
	t.Run("handshake", func(t *testing.T) { handshake(t, s) })
	t.Run("mountains", func(t *testing.T) { mountains(t, s) })
	t.Run("half-open", func(t *testing.T) { halfOpen(t, s) })
	healthy(t, s)
	t.Logf("%d MiB resident at the end", s.RSS()>>20)
	s.NoPanics()
}

// lines sends lines that are none.
func lines(t *testing.T, s *blackbox.Server, d door) {
	for _, l := range []string{
		"NO\x00OP\r\n", "a NO\x00OP\r\n", "a NOOP\n", "NOOP\n", "a NO\rOP\r\n", "\x00\x00\x00\r\n", "\xff\xfe\xfd\r\n",
		strings.Repeat("A", 100_000) + "\r\n", "a " + strings.Repeat("\x80", 70_000) + "\r\n",
		"GET / HTTP/1.1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
	} {
		w := open(t, s, d)
		if err := w.Send(l); err != nil {
			continue // closed while it was sent: as good
		}
		if strings.HasSuffix(l, "NOOP\n") {
			// An LF ends it or not; the answer may be that it is no line, or
			// that it goes on. It must not hang the door for others.
			_ = w.Send("\r\n")
		}
		refused(t, d, fmt.Sprintf("%.20q", l), w)
		_ = w.Close()
	}
}

// endless sends 64 MB without the end of a line.
func endless(t *testing.T, s *blackbox.Server, d door) {
	w := open(t, s, d)
	before, block := s.RSS(), strings.Repeat("x", 1<<20)
	for range 64 {
		if err := w.Send(block); err != nil {
			return
		}
	}
	if grown := s.RSS() - before; grown > 100<<20 {
		t.Errorf("a line without end cost %d MiB", grown>>20)
	}
	if w.Send("\r\n") == nil {
		refused(t, d, "64 MB on one line", w)
	}
}

// burst sends ten thousand commands in one packet, with nobody reading.
func burst(t *testing.T, s *blackbox.Server, d door) {
	w := open(t, s, d)
	go func() { _, _ = w.Write([]byte(strings.Repeat(d.noop+"\r\n", 10_000) + "QUIT\r\na LOGOUT\r\n")) }()
	_ = w.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := io.Copy(io.Discard, w.R)
	if isTimeout(err) && d.name != "imap" {
		t.Errorf("%s neither answers all nor closes; %d octets came", d.name, n)
	}
	if n == 0 {
		t.Errorf("%s answers nothing at all", d.name)
	}
}

// startTLS puts a command behind STARTTLS in the same packet: it must never be
// carried out.
func startTLS(t *testing.T, s *blackbox.Server, d door) {
	w := open(t, s, d)
	packet := map[string]string{
		"smtp":       "STARTTLS\r\nEHLO smuggled.example\r\nMAIL FROM:<smuggled@example.org>\r\n",
		"submission": "STARTTLS\r\nEHLO smuggled.example\r\n",
		"imap":       "a STARTTLS\r\nb CAPABILITY\r\n",
		"pop3":       "STLS\r\nCAPA\r\n",
	}[d.name]
	if strings.HasPrefix(packet, "STARTTLS") {
		if err := w.Send("EHLO a.example\r\n"); err != nil {
			t.Fatal(err)
		}
		for {
			l, err := w.Line()
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(l, "250 ") {
				break
			}
		}
	}
	if err := w.Send(packet); err != nil {
		t.Fatal(err)
	}
	l, err := w.Line()
	if err != nil {
		return // closed: fine
	}
	if !strings.HasPrefix(l, "220") && !strings.HasPrefix(l, "+OK") && !strings.HasPrefix(l, "a OK") {
		return // refused: fine
	}
	if w.StartTLS(s.TLS()) != nil {
		return // what was behind it spoilt the handshake: fine
	}
	_ = w.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	if l, err := w.R.ReadString('\n'); err == nil {
		t.Errorf("%s carries out plaintext inside TLS: %q", d.name, l)
	}
}

// literals are absurd, or never come.
func literals(t *testing.T, s *blackbox.Server) {
	d := doors()[3]
	for _, l := range []string{
		"a LOGIN {4294967295}\r\n", "a LOGIN {4294967295+}\r\n", "a LOGIN {18446744073709551616}\r\n", "a LOGIN {-1}\r\n",
		"a LOGIN {99999999999999999999999999}\r\n", "a LOGIN {}\r\n", "a LOGIN {1\r\n", "a ID (\"x\" {2147483647}\r\n",
		"a LOGIN " + strings.Repeat("(", 50_000) + "\r\n", "a STATUS INBOX " + strings.Repeat("(", 5_000) + "\r\n",
		"a APPEND INBOX {4294967295}\r\n", "a " + strings.Repeat("{1+}\r\nx", 5000) + "\r\n",
	} {
		w := open(t, s, d)
		if w.Send(l) == nil {
			refused(t, d, fmt.Sprintf("%.40q", l), w)
		}
		_ = w.Close()
	}
	// The same from somebody who is known.
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("alice"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Logout()
	for _, l := range []string{
		"APPEND INBOX {4294967295}", "APPEND INBOX {99999999999999999999}", "SEARCH " + strings.Repeat("NOT ", 20_000) + "ALL",
		"SEARCH " + strings.Repeat("(", 20_000) + "ALL" + strings.Repeat(")", 20_000), "FETCH 1:* BODY[" + strings.Repeat("1.", 20_000) + "1]",
		"UID FETCH " + strings.Repeat("1,", 20_000) + "1 FLAGS", "LIST \"\" " + strings.Repeat("%*", 5_000), "CREATE " + strings.Repeat("a/", 20_000) + "b",
	} {
		c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("alice"), blackbox.Password)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Select("INBOX"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.Send("a9 " + l + "\r\n"); err == nil {
			_, err = c.Line()
			if isTimeout(err) {
				t.Errorf("no answer to %.40q", l)
			}
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("%.40q took %v", l, d)
		}
		_ = c.Close()
	}
}

// auth sends responses that are none.
func auth(t *testing.T, s *blackbox.Server) {
	long := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 60_000)))
	for _, l := range []string{"AUTH PLAIN " + long, "AUTH PLAIN !!!!", "AUTH PLAIN ====", "AUTH NONSENSE", "AUTH", "AUTH PLAIN AAAA", "AUTH SCRAM-SHA-256 " + base64.StdEncoding.EncodeToString([]byte("n,,n=,r="))} {
		c, err := blackbox.DialSMTP(s.Addr("submissions"), s.TLS())
		if err != nil {
			t.Fatal(err)
		}
		code, text, err := c.Do(l)
		if err == nil && code < 400 {
			t.Errorf("%.30q is answered with %s", l, text)
		}
		c.Quit()
	}
	c, err := blackbox.DialSMTP(s.Addr("submissions"), s.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if code, text, _ := c.Do("AUTH PLAIN"); code != 334 {
		t.Errorf("AUTH PLAIN: %s", text)
	}
	if code, text, _ := c.Do("*"); code != 501 {
		t.Errorf("a cancelled AUTH: %s (RFC 4954 §4 says 501)", text)
	}
}

// handshake talks nonsense where TLS is due.
func handshake(t *testing.T, s *blackbox.Server) {
	for _, name := range []string{"submissions", "imaps", "pop3s", "https"} {
		if _, ok := s.Ports[name]; !ok && name == "https" {
			continue
		}
		for _, l := range []string{"EHLO a\r\n", "\x16\x03\x01\xff\xff" + strings.Repeat("\x00", 1000), "\x80\x2e\x01\x00\x02"} {
			w, err := blackbox.Dial(s.Addr(name), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = w.Send(l)
			if c, ok := w.Conn.(*net.TCPConn); ok {
				_ = c.CloseWrite()
			}
			_ = w.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, io.LimitReader(w.R, 1000)); isTimeout(err) {
				t.Errorf("%s keeps the line open after %.20q", name, l)
			}
			_ = w.Close()
		}
	}
}

// halfOpen opens connections that never say a word, from many addresses.
func halfOpen(t *testing.T, s *blackbox.Server) {
	before := s.RSS()
	n := 0
	for i := range 600 {
		local := &net.TCPAddr{IP: net.IPv4(127, 77, byte(i/200), byte(i%200+1))}
		names := []string{"smtp", "submissions", "imap", "imaps", "pop3", "pop3s"}
		dialer := net.Dialer{LocalAddr: local, Timeout: 5 * time.Second}
		nc, err := dialer.Dial("tcp", s.Addr(names[i%len(names)]))
		if err != nil {
			t.Fatalf("after %d connections: %v", n, err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		n++
		if i%3 == 0 { // half a command
			_, _ = nc.Write([]byte("EHL"))
		}
	}
	healthy(t, s)
	if grown := s.RSS() - before; grown > 100<<20 {
		t.Errorf("%d half-open connections cost %d MiB", n, grown>>20)
	}
	if os.Getenv("EKIDEN_BADINPUT_VERBOSE") != "" {
		t.Logf("%d connections, %d KiB", n, (s.RSS()-before)>>10)
	}
}

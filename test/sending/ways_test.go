package sending

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// login opens a session of an account at the submission door.
func (s *server) login(who string) *blackbox.SMTP {
	s.t.Helper()
	c, err := blackbox.DialSMTP(s.ports["submission"], nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if code, text, err := c.Do("STARTTLS"); code != 220 {
		s.t.Fatal(code, text, err)
	}
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		s.t.Fatal(err)
	}
	if _, _, err := c.Do("EHLO laptop.test"); err != nil {
		s.t.Fatal(err)
	}
	if err := c.Login(who, blackbox.Password); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// TestWays sends by smart hosts for recipients, accounts and senders, from a pool of
// addresses with a name each.
func TestWays(t *testing.T) {
	partner, line := blackbox.StartSink(t, "127.0.0.1:0", "", ""), blackbox.StartSink(t, "127.0.0.1:0", "line4711", "secret")
	bulk := blackbox.StartSink(t, "127.0.0.1:0", "", "")
	pool := map[string]string{"127.0.0.31": "out1.example.test", "127.0.0.32": "out2.example.test", "127.0.0.33": "out3.example.test"}
	var more strings.Builder
	fmt.Fprintf(&more, "[[smart_host]]\naddress = %q\nrecipients = [\"*.partner.test\"]\n", partner.Addr)
	fmt.Fprintf(&more, "[[smart_host]]\naddress = %q\naccounts = [\"bulk@example.test\"]\n", bulk.Addr)
	fmt.Fprintf(&more, "[[smart_host]]\naddress = %q\nuser = \"line4711\"\npassword_file = \"line.password\"\nsenders = [\"second.test\"]\n", line.Addr)
	for addr, name := range pool {
		fmt.Fprintf(&more, "[[source]]\naddresses = [%q]\nhostname = %q\nsenders = [\"second.test\"]\n", addr, name)
	}
	s := startIn(t, more.String(), map[string]string{"line.password": "secret\n"}, "bulk@example.test", "bob@second.test")
	for _, m := range []struct{ who, to, subject string }{
		{"alice@example.test", "x@far.test", "usual"}, {"alice@example.test", "x@mx.partner.test", "to the partner"},
		{"bulk@example.test", "x@far.test", "in bulk"}, {"bob@second.test", "x@far.test", "by the line"}, {"bob@second.test", "x@mx.partner.test", "to the partner, by bob"},
	} {
		c := s.login(m.who)
		if err := c.Mail(m.who, []string{m.to}, []byte("From: "+m.who+"\r\nSubject: "+m.subject+".\r\n\r\nhi\r\n")); err != nil {
			t.Fatal(err)
		}
		c.Quit()
	}
	for _, c := range []struct {
		sink          *blackbox.Sink
		subject, user string
		pooled        bool
	}{
		{s.smart, "usual.", "", false}, {partner, "to the partner.", "", false}, {bulk, "in bulk.", "", false},
		{line, "by the line.", "line4711", true}, {partner, "to the partner, by bob.", "", true},
	} {
		m := s.waits(c.sink, "Subject: "+c.subject)
		if m.User != c.user {
			t.Errorf("%s: logged in as %q", c.subject, m.User)
		}
		if name, ok := pool[m.Peer]; ok != c.pooled || ok && name != m.Helo || !ok && m.Helo != "mx.example.test" {
			t.Errorf("%s: it came from %s, which said EHLO %s", c.subject, m.Peer, m.Helo)
		}
	}
}

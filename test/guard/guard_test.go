// Package guard holds what keeps strangers out of the real program: bans at
// every door, and the PROXY protocol.
package guard

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// plain are the doors that say something first, and how that begins.
func plain() map[string]string {
	return map[string]string{
		"smtp": "220 ", "lmtp": "220 ", "submission": "220 ", "submission_alt": "220 ", "pop3": "+OK ", "imap": "* OK ",
	}
}

// secure are the doors with TLS from the first octet.
func secure() map[string]string {
	return map[string]string{"submissions": "220 ", "pop3s": "+OK ", "imaps": "* OK "}
}

// header is a PROXY header of version 1 for a client.
func header(client string) string {
	return fmt.Sprintf("PROXY TCP4 %s 198.51.100.1 4711 25\r\n", client)
}

// hear connects, says something, and gives the first line that comes; "" if the
// connection is closed.
func hear(t *testing.T, s *blackbox.Server, door, say string, tlsToo bool) string {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr(door))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(nc, say); err != nil {
		t.Fatal(err)
	}
	if tlsToo {
		c := tls.Client(nc, s.TLS())
		if err := c.Handshake(); err != nil {
			return ""
		}
		nc = c
	}
	line, _ := bufio.NewReader(nc).ReadString('\n')
	return strings.TrimSpace(line)
}

// TestBans: who is banned hears so at every door, as long as the ban lasts,
// after a restart too; who is allowed does not.
func TestBans(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--proxy-from", "127.0.0.0/8"}})
	const client, other = "192.0.2.77", "192.0.3.77"
	s.Command("ban", "add", "192.0.2.0/24", "--reason", "abuse")
	s.Command("ban", "add", "203.0.113.9", "--for", "1h")
	s.Stop()
	s.Restart()
	all := map[string]string{
		"smtp": "554 5.7.1 ", "lmtp": "554 5.7.1 ", "submission": "554 5.7.1 ", "submission_alt": "554 5.7.1 ",
		"pop3": "-ERR [SYS/PERM] Your address is banned here", "imap": "* BYE [UNAVAILABLE] Your address is banned here",
	}
	for door, want := range all {
		if got := hear(t, s, door, header(client), false); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", door, got)
		}
		if got := hear(t, s, door, header(other), false); !strings.HasPrefix(got, plain()[door]) {
			t.Errorf("%s, not banned: %q", door, got)
		}
	}
	for door := range secure() {
		if got := hear(t, s, door, header(client), true); got != "" {
			t.Errorf("%s: %q", door, got)
		}
	}
	if got := hear(t, s, "smtp", header("203.0.113.9"), false); !strings.HasPrefix(got, "421 4.7.0 ") || !strings.Contains(got, "until 20") {
		t.Errorf("banned for a while: %q", got)
	}
	s.Command("ban", "allow", "192.0.2.77", "--note", "the office")
	var list struct {
		Bans    []struct{ Net, Reason string }
		Allowed []struct{ Net, Note string }
	}
	if err := json.Unmarshal([]byte(s.Command("ban", "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Bans) != 2 || list.Bans[0].Net != "192.0.2.0/24" || list.Bans[0].Reason != "abuse" || len(list.Allowed) != 1 || list.Allowed[0].Note != "the office" {
		t.Errorf("the list is %+v", list)
	}
	if got := hear(t, s, "smtp", header(client), false); !strings.HasPrefix(got, "220 ") {
		t.Errorf("allowed: %q", got)
	}
	s.Command("ban", "disallow", "192.0.2.77")
	s.Command("ban", "remove", "192.0.2.0/24")
	if got := hear(t, s, "imaps", header(client), true); !strings.HasPrefix(got, "* OK ") {
		t.Errorf("lifted: %q", got)
	}
	s.NoPanics()
}

// TestProxy: every door wants the header from a proxy, of either version, and
// believes it; a silent proxy keeps nobody else waiting.
func TestProxy(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--proxy-from", "127.0.0.0/8"}})
	for range 20 {
		nc, err := net.Dial("tcp", s.Addr("smtp"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00\x19"
	for door, want := range plain() {
		for _, h := range []string{header("192.0.2.1"), v2, "PROXY UNKNOWN\r\n"} {
			if got := hear(t, s, door, h, false); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %q", door, got)
			}
		}
		if got := hear(t, s, door, "EHLO nobody\r\n", false); got != "" {
			t.Errorf("%s without a header: %q", door, got)
		}
	}
	for door, want := range secure() {
		if got := hear(t, s, door, header("192.0.2.1"), true); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", door, got)
		}
		if got := hear(t, s, door, "", true); got != "" {
			t.Errorf("%s without a header: %q", door, got)
		}
	}
	if got := hear(t, s, "smtp", header("192.0.2.1")+"EHLO early.example\r\n", false); !strings.HasPrefix(got, "554 5.5.1 ") {
		t.Errorf("an early talker behind the proxy heard %q", got)
	}
	deliver(t, s)
	s.NoPanics()
}

// deliver sends a message as a patient client behind the proxy, and finds its
// address in the message.
func deliver(t *testing.T, s *blackbox.Server) {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr("smtp"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(nc)
	for _, step := range []struct{ say, want string }{
		{header("192.0.2.1"), "220 "}, {"EHLO client.example\r\n", "250 "}, {"MAIL FROM:<a@client.example>\r\n", "250 "},
		{"RCPT TO:<" + s.Address("alice") + ">\r\n", "250 "}, {"DATA\r\n", "354 "}, {"Subject: x\r\n\r\nx\r\n.\r\n", "250 "},
	} {
		if _, err := io.WriteString(nc, step.say); err != nil {
			t.Fatal(err)
		}
		for {
			l, err := in.ReadString('\n')
			if err != nil || l[:3] != step.want[:3] {
				t.Fatalf("%q: %q, %v", step.say, l, err)
			}
			if strings.HasPrefix(l, step.want) {
				break
			}
		}
	}
	out := s.Command("export", "mbox", s.Address("alice"), "-", "--mailbox", "INBOX")
	if !strings.Contains(out, "Received: from client.example ([192.0.2.1])") {
		t.Errorf("the message does not say where it came from:\n%s", out)
	}
}

// TestContent: what cannot be looked into whole is refused, with the reason.
func TestContent(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	part := "--b\r\n\r\nx\r\n"
	for name, c := range map[string]struct{ content, want string }{
		"fields":  {strings.Repeat("X-Filler: y\r\n", 1001) + "\r\nx\r\n", "554 5.6.0 the header has more than the 1000 fields"},
		"header":  {"X: " + strings.Repeat(strings.Repeat("y", 900)+"\r\n ", 1200) + "\r\n\r\nx\r\n", "552 5.3.4 the header is larger than the 1048576 octets"},
		"parts":   {"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat(part, 10_001) + "--b--\r\n", "554 5.6.0 the message has more than the 10000 parts"},
		"nesting": {strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 60) + "\r\nx\r\n", "554 5.6.0 the message has parts nested deeper than the 50 levels"},
		"circles": {strings.Repeat("Received: from a by b; x\r\n", 101) + "\r\nx\r\n", "554 5.4.6 this message goes in circles"},
		"fine":    {strings.Repeat("Received: from a by b; x\r\n", 99) + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat(part, 900) + "--b--\r\n", "250 2.0.0 "},
	} {
		nc, err := net.Dial("tcp", s.Addr("smtp"))
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		in := bufio.NewReader(nc)
		last := ""
		for _, say := range []string{"", "HELO x\r\n", "MAIL FROM:<a@client.example>\r\n", "RCPT TO:<" + s.Address("alice") + ">\r\n", "DATA\r\n", c.content + ".\r\n"} {
			if _, err := io.WriteString(nc, say); err != nil {
				t.Fatal(err)
			}
			if last, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.HasPrefix(last, c.want) {
			t.Errorf("%s: %q", name, last)
		}
		_ = nc.Close()
	}
	s.NoPanics()
}

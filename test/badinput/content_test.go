package badinput

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// begin opens a connection to port 25 and a transaction up to 354.
func begin(t *testing.T, s *blackbox.Server) *blackbox.SMTP {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []string{"MAIL FROM:<a@elsewhere.example>", "RCPT TO:<" + s.Address("alice") + ">"} {
		if code, text, err := c.Do(l); err != nil || code != 250 {
			t.Fatalf("%s: %s %v", l, text, err)
		}
	}
	if code, text, err := c.Do("DATA"); err != nil || code != 354 {
		t.Fatalf("DATA: %s %v", text, err)
	}
	return c
}

// content tries to end the data where no CRLF.CRLF is: a second message must
// never come out (RFC 5321 §2.3.8, "SMTP smuggling").
func content(t *testing.T, s *blackbox.Server) {
	const smuggled = "MAIL FROM:<smuggled@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nBoo.\r\n"
	for i, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\r\n.\r\r\n", "\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\n\n.\r\n\r\n",
	} {
		c := begin(t, s)
		m := fmt.Sprintf("Subject: outer %d\r\n\r\nHello.%s", i, end) + fmt.Sprintf(smuggled, s.Address("alice"))
		if err := c.Send(m + ".\r\n"); err != nil {
			t.Fatal(err)
		}
		code, text, err := c.Reply()
		if err == nil && code != 250 && code < 500 {
			t.Errorf("%q in the data: %s", end, text)
		}
		if err == nil && code == 250 {
			// Taken whole, or not at all: the next reply must be that of the
			// next command.
			if code, text, err := c.Do("NOOP"); err != nil || code != 250 {
				t.Errorf("%q in the data: NOOP is answered with %s, %v", end, text, err)
			}
		}
		_ = c.Close()
	}
	for _, m := range s.Messages("alice", "INBOX") {
		if !bytes.Contains(m, []byte("Subject: outer ")) || bytes.Contains(m, []byte("Return-Path: <smuggled@")) {
			t.Errorf("a smuggled message came out:\n%.300q", m)
		}
	}
	// A NUL alone, and lines longer than any protocol foresees.
	for name, body := range map[string]string{
		"NUL": "a\x00b\r\n", "a line of 7,000 octets": strings.Repeat("x", 7_000) + "\r\n",
		"a line of 100,000 octets": strings.Repeat("x", 100_000) + "\r\n", "no line end before the dot": strings.Repeat("y", 1000),
	} {
		c := begin(t, s)
		if err := c.Send("Subject: body\r\n\r\n" + body + "\r\n.\r\n"); err != nil {
			t.Fatal(err)
		}
		if code, text, err := c.Reply(); err == nil && code != 250 && code < 500 {
			t.Errorf("%s: %s", name, text)
		} else if name == "a line of 7,000 octets" && code != 250 {
			t.Errorf("%s: %s; it must be kept unchanged", name, text)
		}
		_ = c.Close()
	}
}

// mountains are messages that cost more to understand than to send.
func mountains(t *testing.T, s *blackbox.Server) {
	var nested strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	taken := 0
	for name, m := range map[string]string{
		"nested parts":      nested.String() + "\r\nEnd.\r\n",
		"one header field":  "Subject: " + strings.Repeat("x\r\n ", 500_000) + "\r\n\r\nBody.\r\n",
		"many fields":       strings.Repeat("X-A: b\r\n", 400_000) + "\r\nBody.\r\n",
		"many parts":        "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 50_000),
		"many addresses":    "To: " + strings.Repeat("a@b.example,\r\n ", 100_000) + "c@d.example\r\n\r\nBody.\r\n",
		"many encoded":      "Subject: " + strings.Repeat("=?utf-8?q?=41?=\r\n ", 50_000) + "\r\n\r\nBody.\r\n",
		"many parameters":   "Content-Type: text/plain" + strings.Repeat(";\r\n a*1*=b", 50_000) + "\r\n\r\nBody.\r\n",
		"nested messages":   strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 5_000) + "\r\nEnd.\r\n",
		"comments in To":    "To: " + strings.Repeat("(", 100_000) + strings.Repeat(")", 100_000) + "\r\n\r\nBody.\r\n",
		"unclosed quote":    "To: \"" + strings.Repeat("a\\\"", 200_000) + "\r\n\r\nBody.\r\n",
		"no header at all":  "\r\n\r\n\r\n",
		"nothing but a dot": "..\r\n",
	} {
		c := begin(t, s)
		if err := c.Send(m + ".\r\n"); err != nil {
			t.Logf("%s: %v", name, err)
		}
		if code, text, err := c.Reply(); err == nil && code != 250 && code < 500 {
			t.Errorf("%s: %s", name, text)
		} else if isTimeout(err) {
			t.Errorf("%s: no reply", name)
		} else if code == 250 {
			taken++
		} else {
			t.Logf("%s: %s", name, text)
		}
		_ = c.Close()
	}
	if taken < 6 {
		t.Errorf("only %d of them were taken: the rest of this shows little", taken)
	}
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("alice"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Logout()
	if _, err := c.Select("INBOX"); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER]", "BODY.PEEK[1.1.1]", "BODY.PEEK[TEXT]"} {
		if _, err := c.Do("FETCH 1:* (" + what + ")"); err != nil {
			t.Error(err)
		}
	}
	for _, what := range []string{"SUBJECT x", "TO b.example", "BODY End", "TEXT nothing"} {
		if _, err := c.Do("SEARCH " + what); err != nil {
			t.Error(err)
		}
	}
	if rss := s.RSS(); rss > mostMemory {
		t.Errorf("%d MiB resident after mountains", rss>>20)
	}
}

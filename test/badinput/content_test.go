package badinput

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

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

// chunks brings by BDAT (RFC 3030) what DATA could not: what has no line
// structure must be refused, since it could not go out again.
func chunks(t *testing.T, s *blackbox.Server) {
	for _, body := range []string{"a\x00b\r\n", "a\nb\r\n", "a\rb\r\n", "no end"} {
		c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
		if err != nil {
			t.Fatal(err)
		}
		m := "Subject: chunk\r\n\r\n" + body
		for _, l := range []string{"MAIL FROM:<a@elsewhere.example>", "RCPT TO:<" + s.Address("alice") + ">"} {
			if code, text, err := c.Do(l); err != nil || code != 250 {
				t.Fatalf("%s: %s %v", l, text, err)
			}
		}
		if err := c.Send(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", 10, m[:10], len(m)-10, m[10:])); err != nil {
			t.Fatal(err)
		}
		var codes []int
		for range 2 {
			code, text, err := c.Reply()
			if err != nil || code != 250 && code < 500 {
				t.Errorf("%q by BDAT: %s %v", body, text, err)
			}
			codes = append(codes, code)
		}
		if body[1] == 0 && codes[1] == 250 {
			t.Errorf("a NUL is taken by BDAT")
		}
		if code, text, err := c.Do("NOOP"); err != nil || code != 250 {
			t.Errorf("after %q by BDAT: %s %v", body, text, err)
		}
		c.Quit()
	}
	for _, m := range s.Messages("alice", "INBOX") {
		if bare := bytes.ReplaceAll(m, []byte("\r\n"), nil); bytes.ContainsAny(bare, "\r\n\x00") {
			t.Errorf("a message came out that is no lines:\n%.300q", m)
		}
	}
	// A chunk that is announced and does not come, and one that is absurd.
	for _, l := range []string{"BDAT 4294967295 LAST", "BDAT 99999999999999999999 LAST", "BDAT -1 LAST", "BDAT x", "BDAT"} {
		c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Send("MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<" + s.Address("alice") + ">\r\n" + l + "\r\n")
		for range 2 {
			_, _, _ = c.Reply()
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if l, err := c.R.ReadString('\n'); err == nil && l[0] != '5' {
			t.Errorf("%s is answered with %q", l, l)
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
		"nested parts":     nested.String() + "\r\nEnd.\r\n",
		"one header field": "Subject: " + strings.Repeat("x\r\n ", 500_000) + "\r\n\r\nBody.\r\n",
		"many fields":      strings.Repeat("X-A: b\r\n", 400_000) + "\r\nBody.\r\n",
		"many parts":       "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 50_000),
		"many addresses":   "To: " + strings.Repeat("a@b.example,\r\n ", 100_000) + "c@d.example\r\n\r\nBody.\r\n",
		"many encoded":     "Subject: " + strings.Repeat("=?utf-8?q?=41?=\r\n ", 50_000) + "\r\n\r\nBody.\r\n",
		"many parameters":  "Content-Type: text/plain" + strings.Repeat(";\r\n a*1*=b", 50_000) + "\r\n\r\nBody.\r\n",
		"nested messages":  strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 5_000) + "\r\nEnd.\r\n",
		"comments in To":   "To: " + strings.Repeat("(", 100_000) + strings.Repeat(")", 100_000) + "\r\n\r\nBody.\r\n",
		"unclosed quote":   "To: \"" + strings.Repeat("a\\\"", 200_000) + "\r\n\r\nBody.\r\n",
		"no header at all": "\r\n\r\n\r\n",
		// As high as is taken.
		"one long field":      "Subject: " + strings.Repeat("x\r\n ", 200_000) + "\r\n\r\nBody.\r\n",
		"parts, as many":      "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 9_900),
		"addresses, as many":  "To: " + strings.Repeat("a@b.example,\r\n ", 60_000) + "c@d.example\r\n\r\nBody.\r\n",
		"messages, as deep":   strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 45) + "\r\nEnd.\r\n",
		"comments over lines": "To: " + strings.Repeat("(\r\n ", 100_000) + strings.Repeat(")\r\n ", 100_000) + "\r\n\r\nBody.\r\n",
		"a quote over lines":  "To: \"" + strings.Repeat("a\\\"\r\n ", 100_000) + "\r\n\r\nBody.\r\n",
		"nothing but a dot":   "..\r\n",
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

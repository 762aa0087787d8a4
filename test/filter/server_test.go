// Package filter has the programs that filter mail elsewhere, OpenDKIM, rspamd
// and clamd, asked by the real server, and a hook.
package filter

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// serve runs `ekiden serve` with filters on data that the demo made, with alice
// and bob; the helpers of the demo's server go on working.
func serve(t *testing.T, filters string) *blackbox.Server {
	t.Helper()
	s := blackbox.Start(t, blackbox.Options{})
	s.Stop()
	door := func(name string) string { return fmt.Sprintf("%s = [%q]\n", name, s.Addr(name)) }
	shut := ""
	for _, name := range []string{"submission", "submission_alt", "pop3", "pop3s", "imap", "http", "https"} {
		shut += name + " = []\n"
	}
	config := filepath.Join(t.TempDir(), "ekiden.toml")
	text := fmt.Sprintf("hostname = %q\ndata = %q\n[tls]\nown_authority = true\n[dkim]\nsign = false\n[checks]\nsenders = false\n[listen]\n", s.Hostname, s.Data) +
		door("smtp") + door("submissions") + door("imaps") + shut + filters
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	blackbox.StartTool(t, []string{blackbox.Binary(t), "serve", "-c", config}, func() bool {
		c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return s
}

// letter is a message with a body.
func letter(subject, body string) string {
	return "From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n" +
		"Message-ID: <" + strings.Join(strings.Fields(subject), ".") + "@example.test>\r\nDate: " + time.Now().Format(time.RFC1123Z) + "\r\n\r\n" + body + "\r\n"
}

// send sends a message to bob through a door, as alice where that is for users,
// and gives the reply to it.
func send(t *testing.T, s *blackbox.Server, door, from, text string) (int, string) {
	t.Helper()
	var conf *tls.Config
	if door == "submissions" {
		conf = s.TLS()
	}
	c, err := blackbox.DialSMTP(s.Addr(door), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if door == "submissions" {
		if err := c.Login("alice@example.test", blackbox.Password); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<bob@example.test>", "DATA"} {
		if code, reply, err := c.Do(command); code/100 > 3 || err != nil {
			return code, reply
		}
	}
	code, reply, err := c.Do(text + ".")
	if err != nil {
		t.Fatal(err)
	}
	return code, reply
}

// traced waits until the history of an address tells of something.
func traced(t *testing.T, s *blackbox.Server, address string, words ...string) {
	t.Helper()
	var story, missing string
	for end := time.Now().Add(blackbox.Soon); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		story, _ = blackbox.Try(t, t.TempDir(), "", blackbox.Binary(t), "trace", address, "--data", s.Data)
		missing = ""
		for _, w := range words {
			if !strings.Contains(story, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
	}
	t.Errorf("%q is not in the trace:\n%s", missing, story)
}

// Package clients lets real mail programs use the server.
package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// soon is how long accepted mail may take to be seen.
const soon = 10 * time.Second

// demo starts a server on 127.0.0.1, which its certificate names.
func demo(t *testing.T) *blackbox.Server {
	t.Helper()
	return blackbox.Start(t, blackbox.Options{Bind: "127.0.0.1", Domain: "example.test"})
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fill sends n messages to bob with subjects "name 1"… by submission.
func fill(t *testing.T, s *blackbox.Server, name string, n int) {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("submissions"), s.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if err := c.Login(s.Address("alice"), blackbox.Password); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= n; i++ {
		m := fmt.Sprintf("From: alice@example.test\r\nTo: bob@example.test\r\nSubject: %s %d\r\n"+
			"Message-ID: <%s.%d@example.test>\r\nDate: Tue, 3 Mar 2026 10:00:00 +0000\r\n\r\nLine.\r\n.\r\n..two dots\r\n", name, i, strings.ReplaceAll(name, " ", "-"), i)
		if err := c.Mail(s.Address("alice"), []string{s.Address("bob")}, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSwaks(t *testing.T) {
	blackbox.Need(t, "swaks")
	s, dir := demo(t), t.TempDir()
	common := []string{"--server", "127.0.0.1", "--from", s.Address("alice"), "--to", s.Address("bob"),
		"--auth-user", s.Address("alice"), "--auth-password", blackbox.Password, "--tls-verify", "--tls-ca-path", s.CA, "--timeout", "20"}
	for _, c := range []struct {
		subject string
		args    []string
	}{
		{"swaks starttls plain", []string{"--port", s.Port("submission"), "-tls", "--auth", "PLAIN"}},
		{"swaks starttls login", []string{"--port", s.Port("submission"), "-tls", "--auth", "LOGIN"}},
		{"swaks implicit", []string{"--port", s.Port("submissions"), "-tlsc", "--auth", "PLAIN"}},
		{"swaks pipelined", []string{"--port", s.Port("submission_alt"), "-tls", "--auth", "PLAIN", "--pipeline"}},
	} {
		blackbox.Run(t, dir, "", "swaks", append(append(common, c.args...), "--h-Subject", c.subject)...)
		m := s.WaitFor("bob", "INBOX", "Subject: "+c.subject, soon)
		if !strings.Contains(string(m), "This is a test mailing") {
			t.Errorf("%s: the body is missing:\n%s", c.subject, m)
		}
	}
	// From a stranger on port 25: no AUTH, local recipients only.
	blackbox.Run(t, dir, "", "swaks", "--server", "127.0.0.1", "--port", s.Port("smtp"), "--from", "stranger@example.org",
		"--to", s.Address("bob"), "--h-Subject", "swaks stranger")
	s.WaitFor("bob", "INBOX", "Subject: swaks stranger", soon)
	for _, c := range [][]string{
		{"--port", s.Port("smtp"), "--to", "someone@elsewhere.example"},
		{"--port", s.Port("smtp"), "--to", s.Address("nobody")},
		{"--port", s.Port("submission"), "-tls", "--to", s.Address("bob")},
		{"--port", s.Port("submissions"), "-tlsc", "--to", s.Address("bob"), "--auth", "PLAIN", "--auth-user", s.Address("alice"), "--auth-password", "wrong"},
	} {
		out, err := blackbox.Try(t, dir, "", "swaks", append([]string{"--server", "127.0.0.1", "--from", "stranger@example.org"}, c...)...)
		if err == nil {
			t.Errorf("swaks %v was let through:\n%s", c, out)
		}
	}
}

func TestMsmtp(t *testing.T) {
	blackbox.Need(t, "msmtp")
	s, dir := demo(t), t.TempDir()
	rc := write(t, filepath.Join(dir, "msmtprc"), fmt.Sprintf(`
defaults
auth on
tls on
tls_trust_file %s
host 127.0.0.1
from %s
user %s
password %q
account starttls
tls_starttls on
port %s
account implicit : starttls
tls_starttls off
port %s
account scram : starttls
auth scram-sha-256
`, s.CA, s.Address("alice"), s.Address("alice"), blackbox.Password, s.Port("submission"), s.Port("submissions")))
	features := blackbox.Run(t, dir, "", "msmtp", "--version")
	for _, account := range []string{"starttls", "implicit", "scram"} {
		if account == "scram" && !strings.Contains(strings.ToLower(features), "scram-sha-256") {
			continue // a matter of how GSASL was built
		}
		message := "From: alice@example.test\nTo: bob@example.test\nSubject: msmtp " + account + "\n\nHello.\n.\nBye.\n"
		blackbox.Run(t, dir, message, "msmtp", "-C", rc, "-a", account, s.Address("bob"))
		if m := s.WaitFor("bob", "INBOX", "Subject: msmtp "+account, soon); !strings.HasSuffix(string(m), "\r\n\r\nHello.\r\n.\r\nBye.\r\n") {
			t.Errorf("%s: %q", account, m)
		}
	}
}

func TestCurl(t *testing.T) {
	blackbox.Need(t, "curl")
	s, dir := demo(t), t.TempDir()
	message := "From: alice@example.test\r\nTo: bob@example.test\r\nSubject: curl %s\r\n\r\nBody of %[1]s.\r\n.dot\r\n"
	curl := func(user string, args ...string) string {
		return blackbox.Run(t, dir, "", "curl", append([]string{"-sS", "--ssl-reqd", "--cacert", s.CA, "--user", s.Address(user) + ":" + blackbox.Password}, args...)...)
	}
	for name, url := range map[string]string{"starttls": "smtp://" + s.Addr("submission"), "implicit": "smtps://" + s.Addr("submissions")} {
		file := write(t, filepath.Join(dir, name+".eml"), fmt.Sprintf(message, name))
		curl("alice", url, "--mail-from", s.Address("alice"), "--mail-rcpt", s.Address("bob"), "--upload-file", file)
		s.WaitFor("bob", "INBOX", "Subject: curl "+name, soon)
	}
	for name, url := range map[string]string{"imap": "imap://" + s.Addr("imap"), "imaps": "imaps://" + s.Addr("imaps")} {
		if got := curl("bob", url+"/INBOX;MAILINDEX=1"); !strings.Contains(got, "Subject: curl ") || !strings.Contains(got, "\r\n.dot\r\n") {
			t.Errorf("%s fetched %q", name, got)
		}
		if got := curl("bob", url+"/INBOX", "-X", "SEARCH SUBJECT curl"); strings.TrimSpace(got) != "* SEARCH 1 2" {
			t.Errorf("%s search: %q", name, got)
		}
		file := write(t, filepath.Join(dir, name+".eml"), fmt.Sprintf(message, name))
		curl("bob", url+"/Drafts", "--upload-file", file)
		s.WaitFor("bob", "Drafts", "Subject: curl "+name, soon)
	}
	for name, url := range map[string]string{"pop3": "pop3://" + s.Addr("pop3"), "pop3s": "pop3s://" + s.Addr("pop3s")} {
		if got := curl("bob", url+"/"); len(strings.Split(strings.TrimSpace(got), "\n")) != 2 {
			t.Errorf("%s lists %q", name, got)
		}
		if got := curl("bob", url+"/2"); !strings.Contains(got, "Subject: curl ") || !strings.Contains(got, "\r\n.dot\r\n") {
			t.Errorf("%s fetched %q", name, got)
		}
	}
	curl("bob", "pop3s://"+s.Addr("pop3s")+"/1", "-X", "DELE", "--head")
	if n := len(s.Messages("bob", "INBOX")); n != 1 {
		t.Errorf("after DELE and QUIT %d messages are left, not 1", n)
	}
}

func TestFetchmail(t *testing.T) {
	blackbox.Need(t, "fetchmail")
	s, dir := demo(t), t.TempDir()
	fill(t, s, "for fetchmail", 20)
	rc := write(t, filepath.Join(dir, "fetchmailrc"), fmt.Sprintf(`
poll localhost via 127.0.0.1 with protocol POP3 service %s uidl
  user %q there with password %q is root here
  ssl sslcertck sslcertfile %s sslcommonname localhost
  mda "cat >>%s/got" fetchall no keep
`, s.Port("pop3s"), s.Address("bob"), blackbox.Password, s.CA, dir))
	blackbox.Run(t, dir, "", "fetchmail", "-f", rc, "--nodetach", "--nosyslog", "--pidfile", filepath.Join(dir, "pid"), "-v")
	got, err := os.ReadFile(filepath.Join(dir, "got"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 20; i++ {
		if n := strings.Count(string(got), fmt.Sprintf("\nSubject: for fetchmail %d\n", i)); n != 1 {
			t.Errorf("message %d came %d times", i, n)
		}
	}
	if n := len(s.Messages("bob", "INBOX")); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestMpop(t *testing.T) {
	blackbox.Need(t, "mpop")
	s, dir := demo(t), t.TempDir()
	for _, box := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "in", box), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := func(name, keep string, port, starttls string) string {
		return write(t, filepath.Join(dir, name), fmt.Sprintf(`
account default
host 127.0.0.1
port %s
user %s
password %q
tls on
tls_starttls %s
tls_trust_file %s
keep %s
delivery maildir %s
uidls_file %s
`, port, s.Address("bob"), blackbox.Password, starttls, s.CA, keep, filepath.Join(dir, "in"), filepath.Join(dir, "uidls")))
	}
	count := func() int {
		files, _ := filepath.Glob(filepath.Join(dir, "in", "new", "*"))
		return len(files)
	}
	keep := config("keep", "on", s.Port("pop3"), "on")
	fill(t, s, "first", 5)
	blackbox.Run(t, dir, "", "mpop", "-C", keep)
	fill(t, s, "second", 5)
	blackbox.Run(t, dir, "", "mpop", "-C", keep)
	if n := count(); n != 10 {
		t.Errorf("two runs that keep fetched %d messages, not 10: UIDL must stay the same", n)
	}
	empty := config("empty", "off", s.Port("pop3s"), "off")
	blackbox.Run(t, dir, "", "mpop", "-C", empty)
	if n := count(); n != 10 {
		t.Errorf("the run that empties fetched again what was there: %d messages", n)
	}
	if n := len(s.Messages("bob", "INBOX")); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

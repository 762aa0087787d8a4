// Package contract holds the program to what its operators rely on.
package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const soon = 15 * time.Second

// ekiden runs a command and gives its exit code and all that it prints.
func ekiden(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(blackbox.Binary(t), args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestExitCodes(t *testing.T) {
	data := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"version"}, 0, "ekiden"},
		{[]string{"dmo"}, 2, `"demo"`},
		{[]string{"demo", "--prot-base", "1"}, 2, `"--port-base"`},
		{[]string{"queue", "lsit", "--data", data}, 2, `"list"`},
		{[]string{"account", "add", "nonsense", "--data", data}, 2, "nonsense"},
		{[]string{"account", "show", "nobody@example.test", "--data", data}, 1, ""},
		{[]string{"demo", "--account", "nonsense", "--data", data}, 2, "nonsense"},
	} {
		code, out := ekiden(t, c.args...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("ekiden %s: exit code %d, not %d, or %q is not in %q", strings.Join(c.args, " "), code, c.code, c.says, out)
		}
	}
}

// TestReady reads the line that --json prints, in full.
func TestReady(t *testing.T) {
	bind := blackbox.FreeAddress(t)
	cmd := exec.Command(blackbox.Binary(t), "demo", "--json", "--bind", bind, "--data", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var r struct {
		Ready    bool
		PID      int
		Ports    map[string]int
		CA, Web  string
		Accounts []struct{ Address, Password string }
	}
	if err := json.NewDecoder(out).Decode(&r); err != nil {
		t.Fatal(err)
	}
	if !r.Ready || r.PID != cmd.Process.Pid {
		t.Errorf("ready %v, pid %d of %d", r.Ready, r.PID, cmd.Process.Pid)
	}
	for door, port := range map[string]int{"smtp": 10025, "lmtp": 10024, "submission": 10587, "submission_alt": 12525, "submissions": 10465,
		"pop3": 10110, "pop3s": 10995, "imap": 10143, "imaps": 10993, "http": 10080, "https": 10443} {
		if r.Ports[door] != port {
			t.Errorf("%s at %d, not %d", door, r.Ports[door], port)
		}
	}
	if r.Web != "https://"+bind+":10443/" {
		t.Errorf("web is %q", r.Web)
	}
	if pem, err := os.ReadFile(r.CA); err != nil || !bytes.Contains(pem, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("no authority in %q: %v", r.CA, err)
	}
	if len(r.Accounts) != 2 || r.Accounts[0].Address != "alice@example.test" || r.Accounts[1].Address != "bob@example.test" || r.Accounts[0].Password == "" {
		t.Errorf("the accounts are %v", r.Accounts)
	}
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

// hash gives a password in PHC form, as another system kept it.
func hash(password string) string {
	salt := []byte("0123456789abcdef")
	b := argon2.IDKey([]byte(password), salt, 2, 8192, 1, 32)
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=8192,t=2,p=1$%s$%s", e.EncodeToString(salt), e.EncodeToString(b))
}

func login(s *blackbox.Server, user, password string) error {
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), user, password)
	if err == nil {
		c.Logout()
	}
	return err
}

// TestAccounts gives accounts in each form, twice, and opens the data again.
func TestAccounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "accounts")
	text := "carol@example.test:pass:with:colons\ndave@second.test:" + hash("kept elsewhere") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--domain", "second.test", "--accounts-file", file}})
	check := func(when string) {
		t.Helper()
		for user, password := range map[string]string{
			"alice@example.test": blackbox.Password, "carol@example.test": "pass:with:colons", "dave@second.test": "kept elsewhere",
		} {
			if err := login(s, user, password); err != nil {
				t.Errorf("%s: %s: %v", when, user, err)
			}
			if login(s, user, password+"x") == nil {
				t.Errorf("%s: %s comes in with a wrong password", when, user)
			}
		}
	}
	check("at first")
	send(t, s, "alice@example.test", "Kept over a restart")
	s.Stop()
	s.Restart()
	check("after a restart")
	s.WaitFor("alice", "INBOX", "Kept over a restart", soon)
}

// send delivers a message by port 25.
func send(t *testing.T, s *blackbox.Server, to, subject string) {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if err := c.Mail("stranger@elsewhere.example", []string{to}, []byte("Subject: "+subject+"\r\n\r\nHello.\r\n")); err != nil {
		t.Fatal(err)
	}
}

var arrival = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

// TestPort25 says what a stranger may and may not.
func TestPort25(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--domain", "second.test"}})
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	_, offer, err := c.Do("EHLO client.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"PIPELINING", "SIZE ", "8BITMIME", "ENHANCEDSTATUSCODES", "STARTTLS", "SMTPUTF8", "CHUNKING"} {
		if !strings.Contains(offer, word) {
			t.Errorf("%s is not offered:\n%s", word, offer)
		}
	}
	if strings.Contains(offer, "AUTH") {
		t.Errorf("AUTH is offered:\n%s", offer)
	}
	for _, e := range []struct {
		command string
		code    int
	}{
		{"AUTH PLAIN AGEAYg==", 502}, {"VRFY bob", 252}, {"EXPN list", 502}, {"NOOP", 250}, {"HELP", 214},
		{"MAIL FROM:<>", 250}, {"RCPT TO:<Postmaster>", 250}, {"RCPT TO:<postmaster@example.test>", 250}, {"RCPT TO:<abuse@example.test>", 250},
		{"RCPT TO:<alice+tag@example.test>", 250}, {"RCPT TO:<ALICE@EXAMPLE.TEST>", 250}, {"RCPT TO:<nobody@example.test>", 550},
		{"RCPT TO:<someone@other.example>", 550}, {"RCPT TO:<alice%other.example@example.test>", 550}, {"RCPT TO:<@example.test:x@other.example>", 550},
		{"RSET", 250},
	} {
		code, text, err := c.Do(e.command)
		if err != nil || code/100 != e.code/100 || e.code < 500 && code != e.code {
			t.Errorf("%s: %s (%v), not %d", e.command, text, err, e.code)
		}
	}
	for _, to := range []string{"Postmaster", "abuse@example.test", "bob+detail@example.test"} {
		send(t, s, to, "for "+to)
	}
	s.WaitFor("alice", "INBOX", "Subject: for Postmaster", soon) // the first account is it
	s.WaitFor("alice", "INBOX", "Subject: for abuse@", soon)
	s.WaitFor("bob", "INBOX", "Subject: for bob+detail", soon)
}

// TestTrace takes the id out of a 250 and asks what became of it.
func TestTrace(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	for _, l := range []string{"MAIL FROM:<stranger@elsewhere.example>", "RCPT TO:<bob@example.test>", "DATA"} {
		if code, text, err := c.Do(l); err != nil || code >= 400 {
			t.Fatalf("%s: %s %v", l, text, err)
		}
	}
	_, text, err := c.Do("Subject: traced\r\n\r\nHello.\r\n.")
	id := arrival.FindString(text)
	if err != nil || id == "" {
		t.Fatalf("no id in %q: %v", text, err)
	}
	for _, running := range []bool{true, false} {
		for _, what := range []string{id, "bob@example.test"} {
			out := s.Command("trace", what)
			if !strings.Contains(out, "bob@example.test") || !strings.Contains(out, "delivered") {
				t.Errorf("running %v: trace %s: %q", running, what, out)
			}
		}
		if !json.Valid([]byte(s.Command("trace", id, "--json"))) {
			t.Error("trace --json is no JSON")
		}
		if running {
			s.Stop()
		}
	}
}

// TestCommands uses the same words with a running server and without one.
func TestCommands(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	round := func(domain string) {
		t.Helper()
		s.Command("domain", "add", domain)
		add := exec.Command(blackbox.Binary(t), "account", "add", "erin@"+domain, "--password-stdin", "--quota", "5GB", "--data", s.Data)
		add.Stdin = strings.NewReader("a new one\n")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("account add: %v: %s", err, out)
		}
		s.Command("alias", "add", "sales@"+domain, "erin@"+domain, "bob@example.test")
		for _, c := range [][]string{{"domain", "list"}, {"account", "list"}, {"alias", "list"}, {"domain", "show", domain}, {"account", "show", "erin@" + domain}} {
			if out := s.Command(c...); !strings.Contains(out, domain) {
				t.Errorf("%v does not tell of %s:\n%s", c, domain, out)
			}
			if out := s.Command(append(slices.Clone(c), "--json")...); !json.Valid([]byte(out)) || !strings.Contains(out, domain) {
				t.Errorf("%v --json: %s", c, out)
			}
		}
	}
	round("while.test")
	if err := login(s, "erin@while.test", "a new one"); err != nil {
		t.Error(err)
	}
	send(t, s, "sales@while.test", "by alias")
	s.WaitFor("bob", "INBOX", "Subject: by alias", soon)

	s.Stop()
	round("offline.test")
	s.Restart()
	if err := login(s, "erin@offline.test", "a new one"); err != nil {
		t.Error(err)
	}
	send(t, s, "sales@offline.test", "by the other alias")
	s.WaitFor("bob", "INBOX", "Subject: by the other alias", soon)

	s.Command("alias", "remove", "sales@while.test")
	s.Command("account", "remove", "erin@while.test")
	s.Command("domain", "remove", "while.test")
	if login(s, "erin@while.test", "a new one") == nil {
		t.Error("a removed account comes in")
	}
	if out := s.Command("domain", "list"); strings.Contains(out, "while.test") {
		t.Errorf("still there:\n%s", out)
	}
}

// TestOneMaildrop locks across both doors of POP3.
func TestOneMaildrop(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	c, err := blackbox.DialPOP3(s.Addr("pop3s"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	second := func() error {
		w, err := blackbox.Dial(s.Addr("pop3"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Close() }()
		p := &blackbox.POP3{Wire: w}
		if _, err := p.Line(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Do("STLS"); err != nil {
			t.Fatal(err)
		}
		if err := p.StartTLS(s.TLS()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Do("USER " + s.Address("bob")); err != nil {
			t.Fatal(err)
		}
		_, err = p.Do("PASS " + blackbox.Password)
		return err
	}
	if err := second(); err == nil || !strings.Contains(err.Error(), "[IN-USE]") {
		t.Errorf("the second session heard %v", err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	if err := second(); err != nil {
		t.Errorf("after QUIT: %v", err)
	}
}

// TestClearText wants no login without TLS, but where it is allowed.
func TestClearText(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	if _, err := blackbox.DialIMAP(s.Addr("imap"), nil, s.Address("bob"), blackbox.Password); err == nil {
		t.Error("IMAP logs in without TLS")
	}
	if _, err := blackbox.DialPOP3(s.Addr("pop3"), nil, s.Address("bob"), blackbox.Password); err == nil {
		t.Error("POP3 logs in without TLS")
	}
	c, err := blackbox.DialSMTP(s.Addr("submission"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if c.Login(s.Address("bob"), blackbox.Password) == nil {
		t.Error("submission logs in without TLS")
	}

	open := blackbox.Start(t, blackbox.Options{Args: []string{"--plaintext-auth", "--no-limits", "--no-checks", "--no-sign"}})
	i, err := blackbox.DialIMAP(open.Addr("imap"), nil, open.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	i.Logout()
	p, err := blackbox.DialPOP3(open.Addr("pop3"), nil, open.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Quit()
	o, err := blackbox.DialSMTP(open.Addr("submission"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Quit()
	if err := o.Login(open.Address("bob"), blackbox.Password); err != nil {
		t.Error(err)
	}
	if err := o.Mail(open.Address("bob"), []string{open.Address("alice")}, []byte("From: bob@example.test\r\nSubject: clear\r\n\r\nHello.\r\n")); err != nil {
		t.Error(err)
	}
}

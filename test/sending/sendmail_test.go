package sending

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// Users of the machine, as Debian numbers them.
const (
	root   = 0
	daemon = 1
	nobody = 65534
)

// TestSendmail: programs of the machine send as they always did.
func TestSendmail(t *testing.T) {
	if os.Getuid() != 0 {
		blackbox.Missing(t, "the rights of root, who alone is several users")
	}
	s := start(t, "[sending]\nsendmail_allow = [\"nobody=@example.test\", \"nobody=web@shop.test\"]\n")
	const letter = "To: a@far.test, B <b..c.@docomo.example>\nCc: alice@example.test\nBcc: secret@far.test\nSubject: %s\n\nhi\n.\nthere\n"
	send := func(subject string) string { return strings.ReplaceAll(letter, "%s", subject) }

	// The header's recipients, those of the command line too, and Bcc goes.
	if code, out := s.sendmail(root, send("all"), "-t", "-i", "-f", "alice@example.test", "-F", "Alice Ä", "x@far.test"); code != 0 || out != "" {
		t.Fatalf("%d %s\n%s", code, out, tail(s.err.String()))
	}
	m := s.waits(s.smart, "Subject: all")
	to := strings.Join(m.To, " ")
	for _, want := range []string{"a@far.test", "b..c.@docomo.example", "secret@far.test", "x@far.test"} {
		if !strings.Contains(to, want) {
			t.Errorf("%s is not among %s", want, to)
		}
	}
	text := string(m.Content)
	for _, want := range []string{"\r\nDate: ", "\r\nMessage-ID: <", "\r\nFrom: =?utf-8?", "<alice@example.test>\r\n", "hi\r\n.\r\nthere\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(text, "secret") || m.From != "alice@example.test" {
		t.Errorf("from %s: %s", m.From, text)
	}

	s.exitCodes()
	if m := s.waits(s.smart, "Subject: dot"); strings.Contains(string(m.Content), "never seen") {
		t.Error("the dot ended nothing")
	}
	if m := s.waits(s.smart, "Subject: itself"); m.From != "web@shop.test" {
		t.Errorf("from %s", m.From)
	}
	s.waits(s.smart, "Subject: some")
	if m := s.waits(s.smart, "Subject: large"); len(m.Content) < 30_000*72 {
		t.Errorf("%d octets came", len(m.Content))
	}
	if out := s.ekiden("trace", "alice@example.test"); !strings.Contains(out, "delivered") {
		t.Errorf("cron's words are lost: %s", out)
	}

	// Nothing else can be asked there, and the server's own socket is shut.
	if _, err := os.Stat(filepath.Join(s.dir, "sendmail.sock")); err != nil {
		t.Error(err)
	}
	// Down, and up again.
	s.stop()
	for _, uid := range []uint32{root, nobody} {
		if code, out := s.sendmail(uid, "\nhi\n", "-f", "alice@example.test", "a@far.test"); code != 75 || out == "" {
			t.Errorf("down: %d %s", code, out)
		}
	}
	s.run()
	if code, out := s.sendmail(nobody, "Subject: again\n\nhi\n", "a@far.test"); code != 0 {
		t.Errorf("up again: %d %s", code, out)
	}
	s.waits(s.smart, "Subject: again")
}

// exitCodes tries what callers know by its code (sysexits.h).
func (s *server) exitCodes() {
	s.t.Helper()
	for _, c := range []struct {
		what    string
		uid     uint32
		message string
		args    []string
		code    int
		says    string
	}{
		{"as cron does", root, "Subject: cron\n\nran\n", []string{"-FCronDaemon", "-i", "-odi", "-oem", "root"}, 0, ""},
		{"a dot ends", root, "Subject: dot\n\na\n.\nnever seen\n", []string{"-f", "alice@example.test", "a@far.test"}, 0, ""},
		{"nobody there", root, "\nhi\n", []string{"-f", "alice@example.test", "none@example.test"}, 67, "no such recipient here"},
		{"some there", root, "Subject: some\n\nhi\n", []string{"-f", "alice@example.test", "none@example.test", "a@far.test"}, 67, "none@example.test: 550 5.1.1"},
		{"no recipients", root, "\nhi\n", nil, 64, "no recipients"},
		{"none in the header", root, "Subject: x\n\nhi\n", []string{"-t"}, 64, "names none"},
		{"unknown option", root, "\nhi\n", []string{"-k", "a@far.test"}, 64, "unknown option -k"},
		{"a NUL", root, "Subject: x\n\na\x00b\n", []string{"-f", "alice@example.test", "a@far.test"}, 65, "NUL"},
		{"a large one", root, "Subject: large\n\n" + strings.Repeat(strings.Repeat("x", 70)+"\n", 30_000), []string{"-f", "alice@example.test", "a@far.test"}, 0, ""},
		{"a CR", root, "Subject: x\n\na\rb\n", []string{"-f", "alice@example.test", "a@far.test"}, 65, "CR"},
		{"newaliases", root, "", []string{"-bi"}, 0, ""},
		{"its own domain", nobody, "Subject: web\n\nhi\n", []string{"-f", "any@example.test", "a@far.test"}, 0, ""},
		{"its own address", nobody, "Subject: shop\n\nhi\n", []string{"-t", "-fweb@shop.test", "a@far.test"}, 0, ""},
		{"as it is", nobody, "Subject: itself\n\nhi\n", []string{"a@far.test"}, 0, ""},
		{"another's", nobody, "\nhi\n", []string{"-f", "x@shop.test", "a@far.test"}, 77, "the user nobody may not send as <x@shop.test>"},
		{"another's in From", nobody, "From: x@shop.test\n\nhi\n", []string{"-f", "web@shop.test", "a@far.test"}, 77, "may not send as <x@shop.test>"},
		{"who is not listed", daemon, "\nhi\n", []string{"a@far.test"}, 77, "the user daemon may not send here"},
	} {
		code, out := s.sendmail(c.uid, c.message, c.args...)
		if code != c.code || !strings.Contains(out, c.says) || c.says == "" && out != "" {
			s.t.Errorf("%s: %d %s, want %d %s", c.what, code, out, c.code, c.says)
		}
	}
}

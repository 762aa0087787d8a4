// Package structure asks Dovecot what messages are made of.
package structure

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// otherwise are messages of which Dovecot says something else, and why what we say
// stands.
var otherwise = map[string]string{
	"feedback-report.txt": "a byte order mark before the header: its first line is no field, and so none is",
	"issue358.txt":        "a line that is no field ends the header, also where more fields follow",
	"missing-subtype.txt": "a content type without a subtype, which RFC 2045 §5.2 leaves to us",
	"rfc2060.txt":         "the line end before a delimiter belongs to it (RFC 2046 §5.1.1), also within a message",
	"stack-overflow.txt":  "an address of thousands of encoded words",
	"msg_14.txt":          "Content-Type: text, which RFC 2045 §5.2 takes for text/plain",
	"msg_17.txt":          "a multipart without a delimiter: its body is shown as text, not left out",
	"msg_19.txt":          "no header: a line that is no field ends it",
	"msg_25.txt":          "a multipart without a delimiter",
	"msg_27.txt":          "an unfolded tab stays one (RFC 5322 §2.2.3)",
	"msg_29.txt":          "parameters stand as in the header; Dovecot joins the pieces of RFC 2231",
	"msg_31.txt":          "a multipart without a delimiter",
	"msg_32.txt":          "charset* names a charset: none is added",
	"msg_33.txt":          "boundary*, which RFC 2231 allows",
	"msg_35.txt":          "a line that is no field ends the header",
	"msg_38.txt":          "a delimiter amid a header",
	"msg_39.txt":          "the same boundary twice, at which Dovecot 2.3 fails",
	"msg_41.txt":          "a multipart without a boundary: its body is shown as text",
	"msg_42.txt":          "parts whose header has no empty line behind it have a body",
	"msg_47.txt":          "parts whose header has no empty line behind it have a body",
}

// TestDovecotAgrees has Dovecot tell ENVELOPE and BODYSTRUCTURE of the collections.
func TestDovecotAgrees(t *testing.T) {
	blackbox.Need(t, "doveadm")
	if os.Getuid() != 0 {
		t.Skip("doveadm wants root")
	}
	root, err := blackbox.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ekiden-dovecot") // another user has to get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var names []string
	var ours []imap.Response
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "mail", sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, glob := range []string{"mimekit/messages/*", "python-test-email/msg_*"} {
		files, err := filepath.Glob(filepath.Join(root, "test/vectors/mime", glob))
		if err != nil || len(files) == 0 {
			t.Fatalf("no vectors: %v", err)
		}
		for _, f := range files {
			name := filepath.Base(f)
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if otherwise[name] != "" {
				continue
			}
			text := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")
			names = append(names, name)
			if err := os.WriteFile(filepath.Join(dir, "mail", "cur", fmt.Sprintf("%d.M1P1.host:2,", 1_000_000_000+len(names))), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			ours = append(ours, told(t, text))
		}
	}
	theirs := askDovecot(t, dir)
	if len(theirs) != len(names) {
		t.Fatalf("Dovecot tells of %d messages, of %d", len(theirs), len(names))
	}
	for i, name := range names {
		for part, what := range []string{"ENVELOPE", "BODYSTRUCTURE"} {
			a, b := plain(ours[i].Args[part]), plain(theirs[i].Args[part])
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s: %s\nours   %v\ntheirs %v", name, what, a, b)
			}
		}
	}
}

// told is what we say of a message.
func told(t *testing.T, text string) imap.Response {
	t.Helper()
	i := message.ParseBytes([]byte(text))
	env := i.Envelope()
	b := env.AppendIMAP([]byte("* X "))
	r, err := imap.ParseResponse(i.Root.AppendIMAP(append(b, ' '), true))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// askDovecot reads what doveadm says of a Maildir.
func askDovecot(t *testing.T, dir string) (told []imap.Response) {
	t.Helper()
	const nobody = 65534
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf("mail_location = maildir:%s/mail\nmail_uid = %d\nmail_gid = %d\nfirst_valid_uid = 0\nbase_dir = %s/run\nstate_dir = %s/run\nlog_path = /dev/stderr\nssl = no\n", dir, nobody, nobody, dir, dir)
	err := os.WriteFile(conf, []byte(text), 0o644)
	if err == nil {
		err = filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			return os.Chown(p, nobody, nobody)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("doveadm", "-c", conf, "-f", "tab", "fetch", "uid imap.envelope imap.bodystructure", "mailbox", "INBOX", "ALL")
	cmd.Env = []string{"USER=nobody", "HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for n, rest := 0, string(out); rest != ""; n++ {
		var line string
		if line, rest = cutRow(rest); n == 0 {
			continue // the names of the columns
		}
		fields := strings.SplitN(line, "\t", 3)
		if len(fields) != 3 || fields[0] != strconv.Itoa(n) {
			t.Fatalf("not a line of three columns: %.200q", line)
		}
		r, err := imap.ParseResponse([]byte("* X (" + fields[1] + ") (" + fields[2] + ")"))
		if err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		told = append(told, r)
	}
	return told
}

// cutRow takes a line off, with the literals in it.
func cutRow(s string) (row, rest string) {
	for at := 0; ; {
		end := strings.IndexByte(s[at:], '\n')
		if end < 0 {
			return s, ""
		}
		at += end + 1
		open := strings.LastIndexByte(s[:at], '{')
		if open < 0 || !strings.HasSuffix(s[:at], "}\r\n") {
			return s[:at-1], s[at:]
		}
		n, err := strconv.Atoi(s[open+1 : at-3])
		if err != nil || at+n > len(s) {
			return s[:at-1], s[at:]
		}
		at += n
	}
}

// plain is a value as both write it: without case, and with what Dovecot writes
// for a host that is not there.
func plain(v imap.Value) any {
	if v.Kind != imap.List {
		text := strings.ToLower(v.Text)
		if text == "missing_domain" || text == "missing_mailbox" {
			return ""
		}
		return text
	}
	list := make([]any, len(v.List))
	for i := range v.List {
		list[i] = plain(v.List[i])
	}
	return list
}

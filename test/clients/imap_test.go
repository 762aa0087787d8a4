package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// TestImaplib drives Python's imaplib, which is strict about what it is told,
// through what it can do; and with zlib, COMPRESS.
func TestImaplib(t *testing.T) {
	blackbox.Need(t, "python3")
	s := demo(t)
	fill(t, s, "imaplib", 3)
	s.WaitFor("bob", "INBOX", "Subject: imaplib 3", soon)
	script, err := filepath.Abs("testdata/imaplib_session.py")
	if err != nil {
		t.Fatal(err)
	}
	out := blackbox.Run(t, t.TempDir(), "", "python3", script, s.Port("imaps"), s.CA, s.Address("bob"), blackbox.Password)
	if !strings.Contains(out, "all done") {
		t.Errorf("the script did not come to its end:\n%s", out)
	}
}

// TestOfflineimap keeps a Maildir and the server alike, both ways.
func TestOfflineimap(t *testing.T) {
	blackbox.Need(t, "offlineimap")
	s, dir := demo(t), t.TempDir()
	fill(t, s, "offline", 3)
	s.WaitFor("bob", "INBOX", "Subject: offline 3", soon)
	mail := filepath.Join(dir, "mail")
	rc := write(t, filepath.Join(dir, "offlineimaprc"), fmt.Sprintf(`
[general]
accounts = demo
metadata = %s/state
ui = quiet
[Account demo]
localrepository = here
remoterepository = there
[Repository here]
type = Maildir
localfolders = %s
[Repository there]
type = IMAP
ssl = yes
starttls = no
remotehost = localhost
remoteport = %s
sslcacertfile = %s
remoteuser = %s
remotepass = %s
`, dir, mail, s.Port("imaps"), s.CA, s.Address("bob"), blackbox.Password))
	sync := func() { blackbox.Run(t, dir, "", "offlineimap", "-o", "-c", rc) }
	sync()
	inbox := filepath.Join(mail, "INBOX")
	got := maildir(t, inbox)
	if len(got) != 3 {
		t.Fatalf("%d messages came: %v", len(got), got)
	}
	// Read one, throw one away, and write one.
	read := got["offline 1"]
	if err := os.Rename(read.path, filepath.Join(inbox, "cur", strings.Split(filepath.Base(read.path), ":2,")[0]+":2,FS")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(got["offline 2"].path); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(inbox, "new", "1.local"), "From: bob@example.test\nSubject: written offline\n\nHello.\n")
	sync()
	want := []string{`Subject: offline 1 [\Flagged \Seen]`, "Subject: offline 3 []", "Subject: written offline []"}
	if got := subjects(t, s, "bob", "INBOX"); !slices.Equal(got, want) {
		t.Errorf("the server has %q, not %q", got, want)
	}
	i, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Logout()
	if _, err := i.Select("INBOX"); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Do(`STORE 1:* +FLAGS (\Seen)`); err != nil {
		t.Fatal(err)
	}
	sync()
	for subject, m := range maildir(t, inbox) {
		if !strings.Contains(m.flags, "S") {
			t.Errorf("%s has the flags %q here", subject, m.flags)
		}
	}
}

// TestNeomuttComesBack lets neomutt use QRESYNC: it finds what has changed since
// it was here, by what it keeps.
func TestNeomuttComesBack(t *testing.T) {
	blackbox.Need(t, "neomutt", "script")
	s, dir := demo(t), t.TempDir()
	fill(t, s, "mutt", 5)
	s.WaitFor("bob", "INBOX", "Subject: mutt 5", soon)
	rc := write(t, filepath.Join(dir, "muttrc"), fmt.Sprintf(`
set imap_user=%q
set imap_pass=%q
set folder="imaps://127.0.0.1:%s/"
set spoolfile="+INBOX"
set certificate_file=%q
set ssl_ca_certificates_file=%q
set imap_condstore=yes
set imap_qresync=yes
set header_cache=%q
set delete=yes
set quit=yes
set sort=mailbox-order
set mark_old=no
`, s.Address("bob"), blackbox.Password, s.Port("imaps"), filepath.Join(dir, "accepted"), s.CA, dir))
	visit := func(name, keys string) string {
		t.Helper()
		file := write(t, filepath.Join(dir, name), "source "+rc+"\npush \""+keys+"\"\n")
		log := filepath.Join(dir, name+".log")
		out, err := blackbox.Try(t, dir, "", "script", "-qec", "env TERM=xterm neomutt -d 3 -l "+log+" -F "+file, filepath.Join(dir, "typescript"))
		if err != nil {
			t.Fatalf("neomutt: %v\n%q", err, out)
		}
		logs, _ := filepath.Glob(log + "*") // it numbers them, or does not
		if len(logs) != 1 {
			t.Fatalf("%q are not the log\n%q", logs, out)
		}
		b, err := os.ReadFile(logs[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := visit("first", "<jump>2<enter><flag-message><sync-mailbox><quit>")
	if !strings.Contains(first, "ENABLE QRESYNC") {
		t.Fatalf("it did not enable QRESYNC:\n%s", first)
	}
	// Somebody else reads and writes. (What was expunged this neomutt counts as if
	// VANISHED came behind FETCH, notices, and begins anew.)
	i, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Logout()
	if _, err := i.Select("INBOX"); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Do(`STORE 4 +FLAGS (\Seen \Flagged)`); err != nil {
		t.Fatal(err)
	}
	fill(t, s, "late", 1)
	s.WaitFor("bob", "INBOX", "Subject: late 1", soon)
	second := visit("second", "<jump>6<enter><flag-message><sync-mailbox><quit>")
	if !strings.Contains(second, " VANISHED)") || strings.Contains(second, "QRESYNC failed") {
		t.Errorf("it did not come back by QRESYNC:\n%s", second)
	}
	want := []string{"Subject: late 1 [\\Flagged]", "Subject: mutt 1 []", "Subject: mutt 2 [\\Flagged]", "Subject: mutt 3 []", `Subject: mutt 4 [\Flagged \Seen]`, "Subject: mutt 5 []"}
	if got := subjects(t, s, "bob", "INBOX"); !slices.Equal(got, want) {
		t.Errorf("the INBOX holds %q, not %q", got, want)
	}
}

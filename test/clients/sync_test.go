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

// subjects gives the subject of each message of a mailbox with its flags,
// sorted: "Subject: first 1 [\Seen]".
func subjects(t *testing.T, s *blackbox.Server, local, box string) []string {
	t.Helper()
	i, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address(local), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Logout()
	n, err := i.Select(box)
	if err != nil || n == 0 {
		return nil
	}
	all, err := i.Do("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range all {
		if len(r.Literals) != 1 {
			continue
		}
		_, flags, _ := strings.Cut(r.Text, "FLAGS (")
		flags, _, _ = strings.Cut(flags, ")")
		words := slices.DeleteFunc(strings.Fields(flags), func(f string) bool { return f == `\Recent` })
		slices.Sort(words)
		list = append(list, strings.TrimSpace(string(r.Literals[0]))+" ["+strings.Join(words, " ")+"]")
	}
	slices.Sort(list)
	return list
}

// local is one message of a Maildir.
type local struct{ path, flags string }

// maildir finds the messages of a Maildir by subject.
func maildir(t *testing.T, dir string) map[string]local {
	t.Helper()
	found := map[string]local{}
	for _, sub := range []string{"new", "cur"} {
		files, _ := filepath.Glob(filepath.Join(dir, sub, "*"))
		for _, path := range files {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(b), "Subject: ")
			subject, _, _ := strings.Cut(rest, "\n")
			_, flags, _ := strings.Cut(filepath.Base(path), ":2,")
			found[strings.TrimSpace(subject)] = local{path, flags}
		}
	}
	return found
}

func TestMbsync(t *testing.T) {
	blackbox.Need(t, "mbsync")
	s, dir := demo(t), t.TempDir()
	mail := filepath.Join(dir, "mail")
	rc := write(t, filepath.Join(dir, "mbsyncrc"), fmt.Sprintf(`
IMAPAccount demo
Host localhost
Port %s
User %s
Pass %q
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account demo

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
CopyArrivalDate yes
`, s.Port("imaps"), s.Address("bob"), blackbox.Password, s.CA, mail, mail))
	if err := os.MkdirAll(mail, 0o700); err != nil {
		t.Fatal(err)
	}
	sync := func() { blackbox.Run(t, dir, "", "mbsync", "-V", "-c", rc, "-a") }

	fill(t, s, "first", 6)
	sync()
	near := maildir(t, filepath.Join(mail, "INBOX"))
	if len(near) != 6 {
		t.Fatalf("the first sync brought %d messages, not 6: %v", len(near), near)
	}
	if b, _ := os.ReadFile(near["first 1"].path); !strings.Contains(string(b), "\n.\n..two dots\n") {
		t.Errorf("not as sent: %q", b)
	}

	// Both sides change before they meet again.
	cur := filepath.Join(mail, "INBOX", "cur")
	change := func(subject, flags string) {
		base, _, _ := strings.Cut(filepath.Base(near[subject].path), ":2,")
		if err := os.Rename(near[subject].path, filepath.Join(cur, base+":2,"+flags)); err != nil {
			t.Fatal(err)
		}
	}
	change("first 1", "S")
	change("first 2", "T")
	change("first 5", "RS")
	write(t, filepath.Join(mail, "INBOX", "new", "1.local.host"), "From: bob@example.test\nSubject: written near\n\nHello.\n")
	write(t, filepath.Join(mail, "Project", "cur", "2.local.host:2,S"), "From: bob@example.test\nSubject: in a new box\n\nHello.\n")
	for _, sub := range []string{"new", "tmp"} {
		_ = os.MkdirAll(filepath.Join(mail, "Project", sub), 0o700)
	}
	far(t, s, `STORE 3 +FLAGS (\Flagged)`, `STORE 4 +FLAGS (\Deleted)`, "EXPUNGE")
	fill(t, s, "second", 2)
	sync()
	sync() // the second finds nothing to do, and must not undo anything

	want := []string{`Subject: first 1 [\Seen]`, `Subject: first 3 [\Flagged]`, `Subject: first 5 [\Answered \Seen]`, "Subject: first 6 []",
		"Subject: second 1 []", "Subject: second 2 []", "Subject: written near []"}
	if got := subjects(t, s, "bob", "INBOX"); !slices.Equal(got, want) {
		t.Errorf("the server has\n%q, not\n%q", got, want)
	}
	if got := subjects(t, s, "bob", "Project"); !slices.Equal(got, []string{`Subject: in a new box [\Seen]`}) {
		t.Errorf("the new mailbox has %q", got)
	}
	near = maildir(t, filepath.Join(mail, "INBOX"))
	if len(near) != len(want) || near["first 3"].flags != "F" || near["second 2"].path == "" || near["first 4"].path != "" {
		t.Errorf("the Maildir has %v", near)
	}
}

// far changes the INBOX on the server.
func far(t *testing.T, s *blackbox.Server, commands ...string) {
	t.Helper()
	i, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Logout()
	if _, err := i.Select("INBOX"); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if _, err := i.Do(c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNeomutt(t *testing.T) {
	blackbox.Need(t, "neomutt", "script")
	s, dir := demo(t), t.TempDir()
	rc := write(t, filepath.Join(dir, "muttrc"), fmt.Sprintf(`
set imap_user=%q
set imap_pass=%q
set smtp_url="smtps://alice%%40example.test@127.0.0.1:%s/"
set smtp_pass=%q
set from=%q
set realname="Alice"
set folder="imaps://127.0.0.1:%s/"
set spoolfile="+INBOX"
set record="+Sent"
set postponed="+Drafts"
set certificate_file=%q
set ssl_ca_certificates_file=%q
set ssl_force_tls=yes
set confirmappend=no
set confirmcreate=no
set delete=yes
set quit=yes
set copy=yes
set sort=mailbox-order
set mark_old=no
set header_cache=""
set wait_key=no
set editor=true
set abort_unmodified=no
set askcc=no
set use_envelope_from=yes
`, s.Address("alice"), blackbox.Password, s.Port("submissions"), blackbox.Password, s.Address("alice"),
		s.Port("imaps"), filepath.Join(dir, "accepted"), s.CA))
	file := write(t, filepath.Join(dir, "note.txt"), "an attachment\n")
	blackbox.Run(t, dir, "Written with neomutt: 日本語。\n", "neomutt", "-F", rc, "-s", "neomutt 送信", "-a", file, "--", s.Address("alice"))
	m := string(s.WaitFor("alice", "INBOX", "Written with neomutt", soon))
	if !strings.Contains(m, "Content-Type: multipart/mixed") || !strings.Contains(m, "note.txt") {
		t.Errorf("not what was sent:\n%s", m)
	}

	// Read, flag, file away, delete and write, with the keys of a person.
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 3; i++ {
		m := fmt.Sprintf("From: stranger@example.org\r\nTo: alice@example.test\r\nSubject: keys %d\r\n\r\nBody %d.\r\n", i, i)
		if err := c.Mail("stranger@example.org", []string{s.Address("alice")}, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	c.Quit()
	keys := `push "<first-entry><delete-message><jump>2<enter><flag-message><jump>3<enter><save-message>=Archive<enter><jump>4<enter><display-message><exit><sync-mailbox>` +
		`<mail>bob@example.test<enter>typed in neomutt<enter><send-message><quit>"`
	keysFile := write(t, filepath.Join(dir, "keysrc"), "source "+rc+"\n"+keys+"\n")
	out, err := blackbox.Try(t, dir, "", "script", "-qec", "env TERM=xterm neomutt -F "+keysFile, filepath.Join(dir, "typescript"))
	if err != nil {
		t.Fatalf("neomutt: %v\n%q", err, out)
	}
	want := []string{`Subject: keys 1 [\Flagged]`, `Subject: keys 3 [\Seen]`}
	if got := subjects(t, s, "alice", "INBOX"); !slices.Equal(got, want) {
		t.Errorf("the INBOX holds %q, not %q\n%q", got, want, out)
	}
	s.WaitFor("bob", "INBOX", "Subject: typed in neomutt", soon)
	if got := subjects(t, s, "alice", "Sent"); !slices.Equal(got, []string{`Subject: typed in neomutt [\Seen]`}) {
		t.Errorf("Sent holds %q\n%q", got, out)
	}
	if got := subjects(t, s, "alice", "Archive"); len(got) != 1 || !strings.HasPrefix(got[0], "Subject: keys 2 ") {
		t.Errorf("the Archive holds %q\n%q", got, out)
	}
}

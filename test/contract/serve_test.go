package contract

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// served is an `ekiden serve` that systemd might have started: its sockets are
// handed over, and it says on another one how it is doing.
type served struct {
	t      *testing.T
	cmd    *exec.Cmd
	err    bytes.Buffer
	notify *net.UnixConn
	ports  map[string]string
}

// serve hands a listener for each name to the program, and waits until it says
// that it is ready.
func serve(t *testing.T, config string, names ...string) *served {
	t.Helper()
	s := &served{t: t, ports: map[string]string{}}
	socket := filepath.Join(t.TempDir(), "notify")
	var err error
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.notify.Close() })
	// The shell knows the process id that LISTEN_PID must have: exec keeps it.
	s.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", blackbox.Binary(t), "serve", "-c", config)
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	s.cmd.Stderr = &s.err
	for _, name := range names {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		s.ports[name] = ln.Addr().String()
		s.cmd.ExtraFiles = append(s.cmd.ExtraFiles, f)
		_ = ln.Close()
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	for _, f := range s.cmd.ExtraFiles {
		_ = f.Close()
	}
	s.hears("READY=1")
	return s
}

// hears waits for a state.
func (s *served) hears(want string) {
	s.t.Helper()
	_ = s.notify.SetReadDeadline(time.Now().Add(soon))
	b := make([]byte, 100)
	n, err := s.notify.Read(b)
	if err != nil || string(b[:n]) != want {
		s.t.Fatalf("heard %q, %v; want %q\n%s", b[:n], err, want, s.err.String())
	}
}

// configure writes a configuration without a door of its own, and a certificate
// for it.
func configure(t *testing.T, more string) string {
	t.Helper()
	dir := t.TempDir()
	blackbox.Need(t, "openssl")
	blackbox.Run(t, dir, "", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=mx.example.test", "-addext", "subjectAltName=DNS:mx.example.test", "-keyout", "key.pem", "-out", "cert.pem")
	text := `hostname = "mx.example.test"
data = "data"
[tls]
cert_file = "cert.pem"
key_file = "key.pem"
[listen]
smtp = []
submission = []
submission_alt = []
submissions = []
pop3 = []
pop3s = []
imap = []
imaps = []
http = []
https = []
` + more
	path := filepath.Join(dir, "ekiden.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServe runs the server as systemd does: sockets handed over by name, a
// word when it is ready, a word when it stops, and exit code 0.
func TestServe(t *testing.T) {
	config := configure(t, "")
	if code, out := ekiden(t, "check", "config", "-c", config); code != 0 {
		t.Fatalf("check config: %d %s", code, out)
	}
	for _, args := range [][]string{{"domain", "add", "example.test"}, {"account", "add", "alice@example.test"}} {
		if code, out := ekiden(t, append(args, "-c", config)...); code != 0 {
			t.Fatalf("%v: %d %s", args, code, out)
		}
	}
	s := serve(t, config, "smtp", "submission")
	c, err := blackbox.DialSMTP(s.ports["smtp"], nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("x@elsewhere.test", []string{"alice@example.test"}, []byte("Subject: hi\r\n\r\nhi\r\n")); err != nil {
		t.Error(err)
	}
	if _, text, _ := c.Do("EHLO x"); strings.Contains(text, "AUTH") {
		t.Errorf("the door named smtp offers AUTH: %s", text)
	}
	u, err := blackbox.DialSMTP(s.ports["submission"], nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, text, _ := u.Do("EHLO x"); strings.Contains(text, "AUTH") || !strings.Contains(text, "STARTTLS") {
		t.Errorf("before TLS submission offers %s", text)
	}
	if code, out := ekiden(t, "account", "list", "-c", config); code != 0 || !strings.Contains(out, "alice@example.test") {
		t.Errorf("over the socket: %d %s", code, out)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.hears("STOPPING=1")
	// Who is idle is told: 421 (RFC 5321 §3.8).
	if code, _, err := u.Reply(); code != 421 {
		t.Errorf("at the end: %d, %v", code, err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, s.err.String())
	}
	if code, out := ekiden(t, "trace", "alice@example.test", "-c", config); code != 0 || !strings.Contains(out, "delivered") {
		t.Errorf("trace: %d %s", code, out)
	}
}

// TestServeRefuses has configurations that cannot work.
func TestServeRefuses(t *testing.T) {
	for _, c := range []struct{ more, says string }{
		{"smpt = [\":25\"]\n", `"listen.smtp"`},
		{"[outbound]\nretry_frist = \"5m\"\n", `"outbound.retry_first"`},
		{"[tls]\n", "tls"},
	} {
		config := configure(t, c.more)
		for _, args := range [][]string{{"serve", "-c", config}, {"check", "config", "-c", config}} {
			if code, out := ekiden(t, args...); code != 1 || !strings.Contains(out, c.says) {
				t.Errorf("%v: %d, %q is not in %q", args, code, c.says, out)
			}
		}
	}
}

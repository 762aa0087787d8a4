package sending

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

const soon = 20 * time.Second

// server is an `ekiden serve` with a configuration of its own.
type server struct {
	t      *testing.T
	dir    string // which everyone may enter
	cmd    *exec.Cmd
	err    bytes.Buffer
	config string
	ports  map[string]string
	smart  *blackbox.Sink // takes all outside mail
}

// start runs a server with alice@example.test, whose password is
// blackbox.Password.
func start(t *testing.T, more string) *server {
	t.Helper()
	return startIn(t, more, nil)
}

// startIn is start with files beside the configuration, and more accounts.
func startIn(t *testing.T, more string, files map[string]string, accounts ...string) *server {
	t.Helper()
	s := &server{t: t, ports: map[string]string{}, smart: blackbox.StartSink(t, "127.0.0.1:0", "", "")}
	var err error
	if s.dir, err = os.MkdirTemp("", "ekiden-sending-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	var listen strings.Builder
	for _, d := range []string{"smtp", "submission", "submission_alt", "submissions", "pop3", "pop3s", "imap", "imaps", "http", "https"} {
		if d != "smtp" && d != "submission" {
			fmt.Fprintf(&listen, "%s = []\n", d)
			continue
		}
		s.ports[d] = fmt.Sprintf("127.0.0.1:%d", blackbox.FreePort(t, "127.0.0.1"))
		fmt.Fprintf(&listen, "%s = [%q]\n", d, s.ports[d])
	}
	s.config = filepath.Join(s.dir, "ekiden.toml")
	text := fmt.Sprintf("hostname = \"mx.example.test\"\ndata = \"data\"\n[tls]\nown_authority = true\n[auth]\nargon2_memory = 64\nargon2_time = 1\n"+
		"[checks]\nsenders = false\n[listen]\n%s[limits]\nunknown_recipient_rate = 0\n[outbound]\nallow_private = true\nsmart_host = %q\nretry_first = \"1s\"\n%s\n",
		listen.String(), s.smart.Addr, more)
	if strings.Contains(more, "sendmail_allow") {
		text += fmt.Sprintf("sendmail_socket = %q\n", filepath.Join(s.dir, "sendmail.sock"))
	}
	s.write(s.config, []byte(text), 0o644)
	for name, text := range files {
		s.write(filepath.Join(s.dir, name), []byte(text), 0o600)
	}
	binary, err := os.ReadFile(blackbox.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	s.write(filepath.Join(s.dir, "ekiden"), binary, 0o755)
	if err := errorsOf(os.Symlink("ekiden", filepath.Join(s.dir, "sendmail")), os.Chmod(s.dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	s.ekiden("domain", "add", "example.test")
	s.account("alice@example.test")
	for _, a := range accounts {
		if d := a[strings.Index(a, "@")+1:]; d != "example.test" {
			s.ekiden("domain", "add", d)
		}
		s.account(a)
	}
	s.run()
	return s
}

func errorsOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *server) write(path string, b []byte, mode os.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(path, b, mode); err != nil {
		s.t.Fatal(err)
	}
}

// run starts it and waits until it answers.
func (s *server) run() {
	s.t.Helper()
	s.cmd = exec.Command(filepath.Join(s.dir, "ekiden"), "serve", "-c", s.config)
	s.cmd.Stderr = &s.err
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.stop)
	blackbox.Eventually(s.t, soon, "the server to come up", func() bool {
		_, err := os.Stat(filepath.Join(s.dir, "data", "ekiden.sock"))
		c, bad := net.Dial("tcp", s.ports["smtp"])
		if bad == nil {
			_ = c.Close()
		}
		return err == nil && bad == nil
	})
}

// stop ends it, if it runs; it must end well.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil || strings.Contains(s.err.String(), "panic") {
		s.t.Errorf("%v\n%s", err, s.err.String())
	}
	s.cmd = nil
}

// ekiden gives a command.
func (s *server) ekiden(args ...string) string {
	s.t.Helper()
	return blackbox.Run(s.t, s.dir, "", filepath.Join(s.dir, "ekiden"), append(args, "-c", s.config)...)
}

// account adds one.
func (s *server) account(addr string) {
	s.t.Helper()
	blackbox.Run(s.t, s.dir, blackbox.Password+"\n", filepath.Join(s.dir, "ekiden"), "account", "add", addr, "--password-stdin", "-c", s.config)
}

// sendmail runs it as a user of the machine, by his number, and gives the exit
// code and what it said.
func (s *server) sendmail(uid uint32, message string, args ...string) (int, string) {
	s.t.Helper()
	c := exec.Command(filepath.Join(s.dir, "sendmail"), args...)
	c.Stdin = strings.NewReader(message)
	c.Env = []string{"EKIDEN_CONFIG=" + s.config}
	c.Dir = "/"
	if uid != 0 {
		c.Env = []string{"EKIDEN_SENDMAIL=" + filepath.Join(s.dir, "sendmail.sock")}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// waits for a message at the smart host whose content has a text.
func (s *server) waits(sink *blackbox.Sink, text string) blackbox.Taken {
	s.t.Helper()
	var found blackbox.Taken
	blackbox.Eventually(s.t, soon, "a message with "+text, func() bool {
		for _, m := range sink.Taken() {
			if strings.Contains(string(m.Content), text) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// smtp says lines to a door from an address of this machine, and gives the codes
// of the replies, with the enhanced code of the last.
func (s *server) smtp(from, door string, lines ...string) string {
	s.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: soon}
	nc, err := d.Dial("tcp", s.ports[door])
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(soon))
	buf := make([]byte, 4096)
	said := ""
	for _, l := range append([]string{"", "EHLO client.test"}, lines...) {
		if l != "" {
			_, _ = fmt.Fprintf(nc, "%s\r\n", l)
		}
		n, err := nc.Read(buf)
		if err != nil {
			return said + " " + err.Error()
		}
		if said = strings.TrimSpace(string(buf[:n])); len(l) > 4 && l[:4] != "EHLO" && !strings.HasPrefix(said, "2") && !strings.HasPrefix(said, "3") {
			break
		}
	}
	return said
}

func (s *server) want(what, got, want string) {
	s.t.Helper()
	if !strings.HasPrefix(got, want) {
		s.t.Errorf("%s: %q, want %q\n%s", what, got, want, tail(s.err.String()))
	}
}

func tail(log string) string { return log[max(0, len(log)-2000):] }

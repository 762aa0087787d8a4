package blackbox

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Served is an `ekiden serve` with a configuration, on a loopback address of its
// own, each door at 10000 plus its well-known port.
type Served struct {
	Bind string
	Dir  string // of the configuration, ekiden.toml, and of data
	Log  string // file with its standard error

	t   testing.TB
	cmd *exec.Cmd
}

// NewServed prepares a server, which is not started yet and is stopped when the
// test ends.
func NewServed(t testing.TB) *Served {
	s := &Served{t: t, Bind: FreeAddress(t), Dir: t.TempDir()}
	s.Log = filepath.Join(s.Dir, "log")
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			b, _ := os.ReadFile(s.Log)
			t.Logf("ekiden:\n%.8000s", b)
		}
	})
	return s
}

// servedDoors are the doors with their ports.
func servedDoors() map[string]int {
	return map[string]int{
		"smtp": 25, "submission": 587, "submission_alt": 2525, "submissions": 465, "pop3": 110, "pop3s": 995, "imap": 143, "imaps": 993,
		"http": 80, "https": 443,
	}
}

// Port is the port of a door.
func (s *Served) Port(door string) int { return 10000 + servedDoors()[door] }

// Addr is host:port of a door.
func (s *Served) Addr(door string) string {
	return net.JoinHostPort(s.Bind, strconv.Itoa(s.Port(door)))
}

// Config is the path of the configuration.
func (s *Served) Config() string { return filepath.Join(s.Dir, "ekiden.toml") }

// Configure writes a configuration for mx.example.test with these doors open,
// and more sections in TOML.
func (s *Served) Configure(more string, doors ...string) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"mx.example.test\"\ndata = \"data\"\n[listen]\n")
	for d := range servedDoors() {
		open := ""
		if slices.Contains(doors, d) {
			open = strconv.Quote(s.Addr(d))
		}
		fmt.Fprintf(&b, "%s = [%s]\n", d, open)
	}
	if !strings.Contains(more, "[checks]") {
		more += "[checks]\nsenders = false\n" // the DNS outside is no part of a test
	}
	if err := os.WriteFile(s.Config(), []byte(b.String()+more), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Start runs the server, with an empty log, and waits until it is ready.
func (s *Served) Start() {
	s.t.Helper()
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	s.cmd = exec.Command(Binary(s.t), "serve", "-c", s.Config())
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.Hears("server.ready")
}

// Hears waits for a line of the log with all of the words.
func (s *Served) Hears(words ...string) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !s.Said(words...); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("the log does not say %q", words)
		}
	}
}

// Said tells whether a line of the log has all of the words.
func (s *Served) Said(words ...string) bool {
	b, _ := os.ReadFile(s.Log)
lines:
	for l := range bytes.Lines(b) {
		for _, w := range words {
			if !bytes.Contains(l, []byte(w)) {
				continue lines
			}
		}
		return true
	}
	return false
}

// Signal sends a signal to the server.
func (s *Served) Signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Stop ends the server, if it runs, as an operator does; it must exit 0.
func (s *Served) Stop() {
	s.t.Helper()
	if s.cmd == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(os.Interrupt)
	late := time.AfterFunc(30*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("ekiden did not stop cleanly: %v", err)
	}
}

// Ekiden runs another command of the program with this server's configuration,
// and gives its exit code and all that it prints.
func (s *Served) Ekiden(args ...string) (code int, out string) {
	s.t.Helper()
	cmd := exec.Command(Binary(s.t), append(args, "-c", s.Config())...)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// Package blackbox starts the real program as an operator would and talks to it
// over sockets only. The suites beside it are tests of what can be seen from
// outside.
package blackbox

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options say how `ekiden demo` is started. The zero value is a server on a
// loopback address of its own, with alice@ and bob@example.test.
type Options struct {
	Bind     string   // default: a loopback address of its own
	PortBase int      // default: 10000 on an address of its own, else a free one
	Hostname string   // default: mx.example.test
	Domain   string   // default: example.test
	Accounts []string // local parts; default: alice, bob. The password is Password
	Data     string   // default: a directory of the test's
	Args     []string // more arguments
	Under    []string // a command that runs the program, such as strace with its options
}

// Password is every account's.
const Password = "correct horse 9"

// Server is one running program.
type Server struct {
	Options
	Ports map[string]int
	CA    string // file
	PID   int
	Web   string
	Log   string // file with its standard error

	t    testing.TB
	cmd  *exec.Cmd
	out  io.ReadCloser
	done bool
}

// ready is the line that --json prints.
type ready struct {
	Ready    bool           `json:"ready"`
	PID      int            `json:"pid"`
	Ports    map[string]int `json:"ports"`
	CA       string         `json:"ca"`
	Accounts []struct {
		Address  string `json:"address"`
		Password string `json:"password"`
	} `json:"accounts"`
	Web string `json:"web"`
}

// Start runs a server until the test ends; then it must stop cleanly.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Bind == "" {
		o.Bind = FreeAddress(t)
	}
	if o.PortBase == 0 {
		o.PortBase = freeBase(t, o.Bind)
	}
	if o.Domain == "" {
		o.Domain = "example.test"
	}
	if o.Hostname == "" {
		o.Hostname = "mx." + o.Domain
	}
	if o.Accounts == nil {
		o.Accounts = []string{"alice", "bob"}
	}
	if o.Data == "" {
		o.Data = filepath.Join(t.TempDir(), "data")
	}
	s := &Server{Options: o, t: t}
	s.start()
	t.Cleanup(func() {
		if !s.done {
			s.Stop()
		}
		if t.Failed() {
			s.showLog()
		}
	})
	return s
}

func (s *Server) arguments() []string {
	args := []string{"demo", "--json", "--data", s.Data, "--bind", s.Bind, "--port-base", strconv.Itoa(s.PortBase),
		"--hostname", s.Hostname, "--domain", s.Domain}
	for _, a := range s.Accounts {
		args = append(args, "--account", a+"@"+s.Domain+":"+Password)
	}
	if !slices.Contains(s.Args, "--resolver") && !slices.Contains(s.Args, "--root-hints") {
		// Nobody listens there, and says so at once: the DNS outside is no part of a test.
		args = append(args, "--resolver", net.JoinHostPort(s.Bind, "53530"))
	}
	return append(args, s.Args...)
}

// start runs the program and waits until every door is open.
func (s *Server) start() {
	t := s.t
	t.Helper()
	s.Log = filepath.Join(filepath.Dir(s.Data), "ekiden-"+s.Hostname+".log")
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	command := append(append(append([]string(nil), s.Under...), Binary(t)), s.arguments()...)
	s.cmd = exec.Command(command[0], command[1:]...)
	s.cmd.Stderr = log
	if s.out, err = s.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	s.done = false
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slow := time.AfterFunc(60*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer slow.Stop()
	line, err := bufio.NewReader(s.out).ReadBytes('\n')
	var r ready
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil || !r.Ready {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.done = true
		s.showLog()
		t.Fatalf("ekiden %s did not get ready: %v: %s", strings.Join(s.arguments(), " "), err, line)
	}
	s.Ports, s.CA, s.PID, s.Web = r.Ports, r.CA, r.PID, r.Web
}

// Addr is host:port of a door: smtp, submission, submissions, imap, imaps, …
func (s *Server) Addr(door string) string {
	s.t.Helper()
	p, ok := s.Ports[door]
	if !ok {
		s.t.Fatalf("there is no door %q among %v", door, s.Ports)
	}
	return net.JoinHostPort(s.Bind, strconv.Itoa(p))
}

// Port is the port of a door, in decimal.
func (s *Server) Port(door string) string {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr(door))
	return port
}

// Address is an account's address.
func (s *Server) Address(local string) string { return local + "@" + s.Domain }

// TLS is how a client verifies this server.
func (s *Server) TLS() *tls.Config {
	s.t.Helper()
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		s.t.Fatalf("%s holds no certificate", s.CA)
	}
	return &tls.Config{RootCAs: pool, ServerName: s.Hostname, MinVersion: tls.VersionTLS12}
}

// Stop ends the server as an operator does; it must exit 0 within 30 seconds.
func (s *Server) Stop() {
	s.t.Helper()
	if s.done {
		return
	}
	s.done = true
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(30*time.Second, func() {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // for the stacks in the log
		time.Sleep(2 * time.Second)
		_ = s.cmd.Process.Kill()
	})
	defer late.Stop()
	_, _ = io.Copy(io.Discard, s.out)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("ekiden did not stop cleanly: %v", err)
	}
}

// Kill ends the server as a power cut does.
func (s *Server) Kill() {
	s.t.Helper()
	s.done = true
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Restart starts a server again that was stopped or killed, on the same data.
func (s *Server) Restart() {
	s.t.Helper()
	s.start()
}

// RSS is the resident memory, in octets.
func (s *Server) RSS() int64 {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatalf("the server is gone: %v", err)
	}
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	s.t.Fatal("no VmRSS")
	return 0
}

// Command runs another command of the program on this server's data and gives
// its standard output.
func (s *Server) Command(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(Binary(s.t), append(args, "--data", s.Data)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("ekiden %s: %v: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out)
}

// showLog tells the end of the server's log, and panics wherever they stand.
func (s *Server) showLog() {
	b, _ := os.ReadFile(s.Log)
	if i := bytes.Index(b, []byte("panic")); i >= 0 {
		s.t.Logf("a panic in the log of %s:\n%.4000s", s.Hostname, b[i:])
	}
	var kept bytes.Buffer
	for l := range bytes.Lines(b) {
		if !bytes.Contains(l, []byte("msg=login.accepted")) {
			kept.Write(l)
		}
	}
	b = kept.Bytes()
	s.t.Logf("end of the log of %s, logins aside:\n%s", s.Hostname, b[max(0, len(b)-6000):])
}

// NoPanics fails the test if the log tells of one.
func (s *Server) NoPanics() {
	s.t.Helper()
	if b, _ := os.ReadFile(s.Log); bytes.Contains(b, []byte("panic")) {
		s.t.Error("a session panicked")
	}
}

// FreeAddress gives a loopback address on which nothing listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		a := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 2+rand.IntN(250))
		if free(a, 10025) && free(a, 10993) {
			return a
		}
	}
	t.Fatal("no loopback address is free (on other systems than Linux only 127.0.0.1 is there)")
	return ""
}

// freeBase gives a port base whose ports are free on the address.
func freeBase(t testing.TB, bind string) int {
	t.Helper()
	if bind != "127.0.0.1" {
		return 10000
	}
	for range 100 {
		base := 11000 + 10*rand.IntN(1900)
		ok := base+9090 < 32768 // beyond are the ports of outgoing connections
		for _, p := range []int{25, 24, 587, 2525, 465, 110, 995, 143, 993, 4190, 53, 80, 443, 9090} {
			ok = ok && free(bind, base+p)
		}
		if ok {
			return base
		}
	}
	t.Fatal("no port base is free")
	return 0
}

func free(bind string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(bind, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// FreePort gives a port that is free on the address for TCP and UDP.
func FreePort(t testing.TB, bind string) int {
	t.Helper()
	for range 100 {
		p := 20000 + rand.IntN(12000)
		u, err := net.ListenPacket("udp", net.JoinHostPort(bind, strconv.Itoa(p)))
		if err == nil {
			_ = u.Close()
			if free(bind, p) {
				return p
			}
		}
	}
	t.Fatal("no port is free")
	return 0
}

// Run runs a tool and gives what it prints, both ways; an exit code but 0
// fails the test.
func Run(t testing.TB, dir string, stdin string, name string, args ...string) string {
	t.Helper()
	out, err := Try(t, dir, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// Try is Run for a tool that may fail. It ends after a minute.
func Try(t testing.TB, dir string, stdin string, name string, args ...string) (string, error) {
	t.Helper()
	Need(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "TERM=dumb", "LC_ALL=C.UTF-8", "SSL_CERT_FILE=", "MAIL=")
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(err, errors.New("took more than a minute"))
	}
	return out.String(), err
}

// Need skips the test if a tool is not installed. In CI nothing is skipped.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, name := range tools {
		if _, err := exec.LookPath(name); err != nil {
			Missing(t, name)
		}
	}
}

// Missing skips the test for want of something. In CI nothing is skipped.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not here, and CI skips nothing", what)
	}
	t.Skipf("%s is not here", what)
}

// Long says whether the long tests are wanted (`make long`).
func Long() bool { return os.Getenv("EKIDEN_LONG") != "" }

// Eventually asks again and again until ask is content, at most d long.
func Eventually(t testing.TB, d time.Duration, what string, ask func() bool) {
	t.Helper()
	for end := time.Now().Add(d); ; time.Sleep(50 * time.Millisecond) {
		if ask() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s", d, what)
		}
	}
}

package blackbox

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Jail is a root directory of its own for a program that Debian would not
// install beside Postfix, and that has its paths and users built in.
type Jail struct {
	Dir string

	t    testing.TB
	logs []string
}

// unpacked is where .ci/run unpacks such packages, each in a directory with its
// name; EKIDEN_PEERS names another place.
const unpacked = "/var/cache/ekiden-peers"

// NewJail makes a jail with what is in a package, and the libraries and users
// that its programs need. It is removed when the test ends.
func NewJail(t testing.TB, pkg string, programs []string, users ...string) *Jail {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "root, to run "+pkg+" in a directory of its own,")
	}
	top := os.Getenv("EKIDEN_PEERS")
	if top == "" {
		top = unpacked
	}
	from := filepath.Join(top, pkg)
	if _, err := os.Stat(from); err != nil {
		Missing(t, pkg)
	}
	dir, err := os.MkdirTemp("", "ekiden-jail-") // short: there will be sockets in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	j := &Jail{Dir: dir, t: t}
	Run(t, dir, "", "cp", "-a", from+"/.", dir)
	Run(t, dir, "", "chmod", "755", dir)
	for _, p := range programs {
		if _, err := os.Stat(filepath.Join(dir, p)); err != nil {
			Run(t, dir, "", "cp", "--parents", "-L", p, dir)
		}
		for l := range strings.Lines(Run(t, dir, "", "ldd", filepath.Join(dir, p))) {
			for _, word := range strings.Fields(l) {
				if strings.HasPrefix(word, "/") {
					Run(t, dir, "", "cp", "--parents", "-L", "-u", word, dir)
				}
			}
		}
	}
	passwd, group := "root:x:0:0::/:/bin/sh\n", "root:x:0:\nmail:x:8:\n"
	for i, u := range users {
		id := string(rune('1'+i)) + "0001"
		passwd += u + ":x:" + id + ":" + id + "::/:/bin/sh\n"
		group += u + ":x:" + id + ":\n"
	}
	j.Write("etc/passwd", passwd, 0o644)
	j.Write("etc/group", group, 0o644)
	j.Write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", 0o644)
	j.Write("etc/resolv.conf", "nameserver 127.0.0.1\n", 0o644)
	j.Write("dev/null", "", 0o666) // a file does, and needs no privilege
	j.Mkdir("tmp", "root", 0o777)
	return j
}

// Write writes a file in the jail.
func (j *Jail) Write(path, text string, mode fs.FileMode) {
	j.t.Helper()
	path = filepath.Join(j.Dir, path)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		j.t.Fatal(err)
	}
}

// Mkdir makes a directory in the jail that belongs to one of its users.
func (j *Jail) Mkdir(path, user string, mode fs.FileMode) {
	j.t.Helper()
	full := filepath.Join(j.Dir, path)
	if err := os.MkdirAll(full, 0o755); err != nil {
		j.t.Fatal(err)
	}
	for l := range strings.Lines(j.read("etc/passwd")) {
		if f := strings.Split(l, ":"); f[0] == user {
			Run(j.t, j.Dir, "", "chown", f[2]+":"+f[3], full)
		}
	}
	if err := os.Chmod(full, mode); err != nil {
		j.t.Fatal(err)
	}
}

// Log names a file of the jail that is shown if the test fails.
func (j *Jail) Log(path string) { j.logs = append(j.logs, path) }

func (j *Jail) read(path string) string {
	b, _ := os.ReadFile(filepath.Join(j.Dir, path))
	return string(b)
}

// Start runs a program of the jail, in it, until the test ends, with all that it
// starts itself.
func (j *Jail) Start(command ...string) {
	j.t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: j.Dir, Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		j.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	j.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(3*time.Second, func() { _ = cmd.Process.Kill() })
		err := <-ended
		late.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its children, if any are left
		if !j.t.Failed() {
			return
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			j.t.Logf("%s: %v", command[0], err)
		}
		b := said.String()
		for _, l := range j.logs {
			b += "\n--- " + l + "\n" + j.read(l)
		}
		j.t.Logf("the end of what %s said:\n%s", command[0], b[max(0, len(b)-8000):])
	})
}

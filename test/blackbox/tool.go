package blackbox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Soon is how long a tool may take to start.
const Soon = 30 * time.Second

// StartTool runs a program until the test ends, and waits until it is ready.
func StartTool(t *testing.T, command []string, ready func() bool) {
	t.Helper()
	Need(t, command[0])
	var log bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		patience := time.Second // OpenDKIM looks about every five seconds only
		if command[0] == Binary(t) {
			patience = Soon
		}
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		<-ended
		late.Stop()
		if t.Failed() {
			b := log.Bytes()
			t.Logf("the end of what %s said:\n%s", command[0], b[max(0, len(b)-4000):])
		}
	})
	Eventually(t, Soon, command[0]+" is ready", ready)
}

// There says whether a file is there.
func There(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

// WriteFile writes a file below a directory and gives its path.
func WriteFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

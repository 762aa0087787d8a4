// Package disk fills the disk under the server, and frees it again.
package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// megabytes of the disk: the rows' reserve is an eighth of it, the bodies' a
// quarter.
const megabytes = 160

// mount gives a small file system of its own, or skips.
func mount(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		blackbox.Missing(t, "root, to mount a small disk,")
	}
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		blackbox.Missing(t, fmt.Sprintf("mount of a tmpfs (%v)", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// disk is a mounted file system and what fills it.
type disk struct {
	t   *testing.T
	dir string
}

func (d disk) free() int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(d.dir, &s); err != nil {
		d.t.Fatal(err)
	}
	return int64(s.Bavail) * int64(s.Bsize)
}

// leave fills the disk with something else until so many octets are free.
func (d disk) leave(octets int64) {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.dir, "filler"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 256<<10)
	for d.free() > octets {
		if _, err := f.Write(block); err != nil && !errors.Is(err, unix.ENOSPC) {
			d.t.Fatal(err)
		} else if err != nil {
			return
		}
	}
}

func (d disk) clear() { _ = os.Remove(filepath.Join(d.dir, "filler")) }

// promises are the messages whose 250 was read.
type promises struct {
	mu  sync.Mutex
	all []string
	n   atomic.Int64
}

// send delivers one message; a 250 is a promise.
func (p *promises) send(s *blackbox.Server, c *blackbox.SMTP, lines int) error {
	id := fmt.Sprintf("id-%d-end", p.n.Add(1))
	m := fmt.Sprintf("From: a@far.example\r\nSubject: %s\r\n\r\n%s", id, strings.Repeat("Some text to fill the message.\r\n", lines))
	err := c.Mail("a@far.example", []string{s.Address("bob")}, []byte(m))
	if err == nil {
		p.mu.Lock()
		p.all = append(p.all, id)
		p.mu.Unlock()
	}
	return err
}

func dial(t *testing.T, s *blackbox.Server) *blackbox.SMTP {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var subject = regexp.MustCompile(`Subject: (id-\S+-end)`)

// check looks for each promise in bob's mailbox, but for those taken out.
func (p *promises) check(t *testing.T, s *blackbox.Server, gone map[string]bool) {
	t.Helper()
	seen := map[string]int{}
	for _, m := range s.Messages("bob", "INBOX") {
		if id := subject.FindSubmatch(m); id != nil {
			seen[string(id[1])]++
		}
	}
	for _, id := range p.all {
		if want := 1; !gone[id] && seen[id] != want {
			t.Errorf("%s was answered with 250 and is there %d times", id, seen[id])
		}
	}
}

const full = "452 4.3.1"

func TestFullDisk(t *testing.T) {
	d := disk{t, mount(t)}
	s := blackbox.Start(t, blackbox.Options{Data: filepath.Join(d.dir, "data"), Args: []string{"--no-limits", "--no-checks"}})
	var p promises
	c := dial(t, s)
	for i := range 20 {
		if err := p.send(s, c, 1+700*(i%2)); err != nil {
			t.Fatal(err)
		}
	}
	bob, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Logout()
	if _, err := bob.Select("INBOX"); err != nil {
		t.Fatal(err)
	}

	// Below the rows' reserve nothing comes in, and what is there can be read and
	// thrown away.
	d.leave(megabytes << 20 / 8 / 2)
	blackbox.Eventually(t, 5*time.Second, "a full disk is noticed", func() bool { return p.send(s, c, 1) != nil })
	for _, lines := range []int{1, 700} {
		if err := p.send(s, c, lines); err == nil || !strings.Contains(err.Error(), full) {
			t.Errorf("with the disk full a message of %d lines got %v", lines, err)
		}
	}
	if _, err := bob.Do("NOOP"); err != nil { // tells of what came before
		t.Error(err)
	}
	if err := bob.Append("INBOX", "", []byte("Subject: x\r\n\r\n")); err == nil || !strings.Contains(err.Error(), "[UNAVAILABLE]") {
		t.Errorf("with the disk full APPEND got %v", err)
	}
	if _, err := bob.Do("UID STORE 1 +FLAGS.SILENT (\\Deleted)"); err != nil {
		t.Errorf("with the disk full STORE got %v", err)
	}
	if _, err := bob.Do("UID EXPUNGE 1"); err != nil {
		t.Errorf("with the disk full EXPUNGE got %v", err)
	}
	gone := map[string]bool{p.all[0]: true}
	p.check(t, s, gone)

	// With nothing left at all nothing is written, and all can be read.
	d.leave(0)
	time.Sleep(1100 * time.Millisecond) // how long a look at the disk holds
	if err := p.send(s, c, 1); err == nil || !strings.Contains(err.Error(), full) {
		t.Errorf("with nothing left a message got %v", err)
	}
	if _, err := bob.Do("UID STORE 2 +FLAGS.SILENT (\\Flagged)"); err == nil || !strings.Contains(err.Error(), "[UNAVAILABLE]") {
		t.Errorf("with nothing left STORE got %v", err)
	}
	p.check(t, s, gone)

	// It recovers by itself.
	d.clear()
	blackbox.Eventually(t, 5*time.Second, "mail is taken again", func() bool { return p.send(s, c, 700) == nil })
	p.check(t, s, gone)
	s.NoPanics()
}

// TestFilledUnderLoad lets the disk run full under load, kills the server there,
// and starts it again, with the disk full and with room.
func TestFilledUnderLoad(t *testing.T) {
	d := disk{t, mount(t)}
	s := blackbox.Start(t, blackbox.Options{Data: filepath.Join(d.dir, "data"), Args: []string{"--no-limits", "--no-checks"}})
	var p promises
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for !stop.Load() {
				c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
				if err != nil {
					return // it was killed
				}
				for i := 0; p.send(s, c, 1+(i%4)*(100+w)) == nil; i++ {
				}
				_ = c.Close()
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	d.leave(0) // faster than it can be noticed
	time.Sleep(300 * time.Millisecond)
	s.Kill()
	stop.Store(true)
	wg.Wait()
	d.leave(0)
	startFull(t, s)
	d.clear()
	s.Restart()
	if len(p.all) < 20 {
		t.Errorf("only %d messages were promised: this shows nothing", len(p.all))
	}
	p.check(t, s, nil)
	c := dial(t, s)
	blackbox.Eventually(t, 5*time.Second, "mail is taken again", func() bool { return p.send(s, c, 10) == nil })
	t.Logf("%d messages", len(p.all))
}

// startFull starts the server without any room: it either serves, or says what
// is wrong and ends, so that it is started again.
func startFull(t *testing.T, s *blackbox.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, blackbox.Binary(t), "demo", "--json", "--data", s.Data, "--bind", s.Bind, "--port-base", strconv.Itoa(s.PortBase))
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGQUIT) }
	err := cmd.Run()
	switch {
	case strings.Contains(out.String(), `"ready":true`):
		t.Log("with the disk full it serves")
	case ctx.Err() != nil:
		t.Errorf("with the disk full it neither serves nor ends: %s", &complaint)
	case err == nil || !strings.Contains(complaint.String(), "space"):
		t.Errorf("with the disk full: %v, %s", err, &complaint)
	default:
		t.Logf("with the disk full it ends: %s", &complaint)
	}
}

// TestReadOnlyDisk starts it where nothing can be written: it says so and ends,
// and starts when the disk can be written again.
func TestReadOnlyDisk(t *testing.T) {
	d := disk{t, mount(t)}
	s := blackbox.Start(t, blackbox.Options{Data: filepath.Join(d.dir, "data"), Args: []string{"--no-limits", "--no-checks"}})
	var p promises
	c := dial(t, s)
	for range 5 {
		if err := p.send(s, c, 300); err != nil {
			t.Fatal(err)
		}
	}
	c.Quit()
	s.Stop()
	if err := unix.Mount("", d.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		blackbox.Missing(t, fmt.Sprintf("read-only mount (%v)", err))
	}
	out, err := blackbox.Try(t, "/", "", blackbox.Binary(t), "demo", "--json", "--data", s.Data, "--bind", s.Bind, "--port-base", strconv.Itoa(s.PortBase))
	if err == nil || !strings.Contains(out, "read-only") {
		t.Errorf("on a read-only disk: %v, %s", err, out)
	}
	if err := unix.Mount("", d.dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	p.check(t, s, nil)
}

package guard

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
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

// TestConfigured runs `ekiden serve` with guards as an operator sets them: a
// guesser behind a trusted proxy is banned at another door after failures on
// three accounts, and others behind the same proxy are not.
func TestConfigured(t *testing.T) {
	bind := blackbox.FreeAddress(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "ekiden.toml")
	config := fmt.Sprintf(`
hostname = "mx.example.test"
data = "data"
[tls]
own_authority = true
[listen]
smtp = ["%[1]s:10025"]
submission = ["%[1]s:10587"]
submission_alt = []
submissions = []
pop3 = []
pop3s = []
imap = []
imaps = []
http = []
https = []
[proxy]
xclient = ["127.0.0.0/8"]
[limits]
guess_delay = "1ms"
max_guess_delay = "2ms"
ban_accounts = 3
greet_delay = "1ms"
`, bind)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(blackbox.Binary(t), "serve", "-c", file)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b, _ := os.ReadFile(log.Name())
			t.Errorf("ekiden serve: %v\n%s", err, b)
		}
	}()
	blackbox.Eventually(t, 20*time.Second, "the door is open", func() bool {
		nc, err := net.Dial("tcp", bind+":10025")
		if err == nil {
			_ = nc.Close()
		}
		return err == nil
	})
	guesser := "XCLIENT ADDR=192.0.2.1 NAME=bad.example"
	for _, user := range []string{"a", "b", "c"} {
		plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "@x.test\x00guess"))
		got := converse(t, bind+":10587", "EHLO proxy.example", guesser, "EHLO x", "STARTTLS", "EHLO x", "AUTH PLAIN "+plain)
		if !strings.HasPrefix(got, "535 5.7.8 ") {
			t.Errorf("%s: %q", user, got)
		}
	}
	if got := converse(t, bind+":10025", "EHLO proxy.example", guesser); !strings.HasPrefix(got, "421 4.7.0 mx.example.test Your address is banned here until ") {
		t.Errorf("the guesser: %q", got)
	}
	if got := converse(t, bind+":10025", "EHLO proxy.example", "XCLIENT ADDR=192.0.2.2"); !strings.HasPrefix(got, "220 ") {
		t.Errorf("another behind the proxy: %q", got)
	}
	out, err := exec.Command(blackbox.Binary(t), "ban", "list", "-c", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "192.0.2.1/32") || !strings.Contains(string(out), "failed logins on 3 accounts") {
		t.Errorf("%v\n%s", err, out)
	}
}

// converse says commands one by one, with TLS behind STARTTLS, and gives the last
// line of the last reply.
func converse(t *testing.T, addr string, commands ...string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(nc)
	last := ""
	for i := -1; i < len(commands); i++ {
		if i >= 0 {
			if _, err := io.WriteString(nc, commands[i]+"\r\n"); err != nil {
				return err.Error()
			}
		}
		for {
			if last, err = in.ReadString('\n'); err != nil {
				return err.Error()
			}
			if len(last) < 4 || last[3] == ' ' {
				break
			}
		}
		if i >= 0 && commands[i] == "STARTTLS" {
			nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
			in = bufio.NewReader(nc)
		}
	}
	return strings.TrimSpace(last)
}

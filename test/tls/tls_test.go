// Package tls looks at the doors with OpenSSL and curl, as a stranger would.
package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

// client runs openssl s_client with a script of lines, and gives all that it
// prints; ok is whether the handshake was good.
func client(t *testing.T, script string, args ...string) (out string, ok bool) {
	t.Helper()
	blackbox.Need(t, "openssl")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-ign_eof"}, args...)...)
	cmd.Stdin = strings.NewReader(script)
	b, err := cmd.CombinedOutput()
	return string(b), err == nil
}

// pair writes a certificate that signs itself, for these days and names.
func pair(t *testing.T, dir, name string, days int, hosts ...string) {
	t.Helper()
	blackbox.Need(t, "openssl")
	names := "DNS:" + strings.Join(hosts, ",DNS:")
	blackbox.Run(t, dir, "", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", fmt.Sprint(days),
		"-subj", "/CN="+name, "-addext", "subjectAltName="+names, "-keyout", name+"-key.pem", "-out", name+".pem")
}

// starttls are the doors that change to TLS, with their protocol's name in
// s_client.
func starttls() map[string]string {
	return map[string]string{"smtp": "smtp", "submission": "smtp", "submission_alt": "smtp", "imap": "imap", "pop3": "pop3"}
}

// goodbye ends a session at a door.
func goodbye(door string) string {
	switch {
	case strings.HasPrefix(door, "imap"):
		return "a LOGOUT\r\n"
	case door == "https":
		return "GET / HTTP/1.1\r\nHost: mx.example.test\r\nConnection: close\r\n\r\n"
	}
	return "QUIT\r\n"
}

// to are the arguments by which s_client comes to a door.
func to(s *blackbox.Server, door string, more ...string) []string {
	args := append([]string{"-connect", s.Addr(door)}, more...)
	if p, ok := starttls()[door]; ok {
		args = append(args, "-starttls", p)
	}
	return args
}

// TestDoors shows each door a client that trusts the demo's authority, by each
// version of TLS, and what each door refuses.
func TestDoors(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	trust := []string{"-CAfile", s.CA, "-verify_return_error", "-verify_hostname", s.Hostname, "-servername", s.Hostname}
	for _, door := range []string{"smtp", "submission", "submission_alt", "submissions", "imap", "imaps", "pop3", "pop3s", "https"} {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			for _, version := range []string{"-tls1_2", "-tls1_3"} {
				if out, ok := client(t, goodbye(door), to(s, door, append(trust, version)...)...); !ok || !strings.Contains(out, "Verify return code: 0 (ok)") {
					t.Errorf("%s:\n%s", version, out)
				}
			}
			if out, ok := client(t, "", to(s, door, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")...); ok {
				t.Errorf("TLS 1.1 is spoken:\n%s", out)
			}
			cbc := []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"}
			if out, ok := client(t, goodbye(door), to(s, door, cbc...)...); ok != (door == "smtp") {
				t.Errorf("CBC: %v\n%s", ok, out)
			}
			if out, ok := client(t, goodbye(door), to(s, door, "-alpn", "xmpp-client")...); ok != (door == "smtp") {
				t.Errorf("another protocol: %v\n%s", ok, out)
			}
		})
	}
	own := map[string]string{"submissions": "smtp", "imaps": "imap", "pop3s": "pop3", "https": "http/1.1"}
	for door, name := range own {
		if out, ok := client(t, goodbye(door), to(s, door, "-alpn", name)...); !ok || !strings.Contains(out, "ALPN protocol: "+name) {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}

// TestPostQuantum negotiates X25519MLKEM768, with OpenSSL from 3.5 on and
// always with Go's client, at a door with TLS at once and after STARTTLS.
func TestPostQuantum(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	c, err := tls.Dial("tcp", s.Addr("imaps"), s.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got := c.ConnectionState().CurveID; got != tls.X25519MLKEM768 {
		t.Errorf("with Go: %v", got)
	}
	blackbox.Need(t, "openssl")
	if groups, _ := exec.Command("openssl", "list", "-kem-algorithms").Output(); !strings.Contains(string(groups), "X25519MLKEM768") {
		t.Log("this OpenSSL has no X25519MLKEM768")
		return
	}
	for _, door := range []string{"imaps", "smtp"} {
		if out, ok := client(t, goodbye(door), to(s, door, "-groups", "X25519MLKEM768")...); !ok || !strings.Contains(out, "X25519MLKEM768") {
			t.Errorf("%s:\n%s", door, out)
		}
	}
}

// TestResumption takes a session from one door to another, and over a restart.
func TestResumption(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		session := filepath.Join(t.TempDir(), "session")
		if out, ok := client(t, goodbye("imaps"), to(s, "imaps", version, "-sess_out", session)...); !ok || !strings.Contains(out, "New, ") {
			t.Fatalf("%s", out)
		}
		for _, door := range []string{"imaps", "submissions", "smtp"} {
			if out, _ := client(t, goodbye(door), to(s, door, version, "-sess_in", session)...); !strings.Contains(out, "Reused, ") {
				t.Errorf("%s at %s:\n%s", version, door, out)
			}
		}
		s.Stop()
		s.Restart()
		if out, _ := client(t, goodbye("imaps"), to(s, "imaps", version, "-sess_in", session)...); !strings.Contains(out, "Reused, ") {
			t.Errorf("%s after a restart:\n%s", version, out)
		}
	}
}

// subject is whose certificate a client that asks for name is shown.
func subject(t *testing.T, s *blackbox.Served, name string) string {
	t.Helper()
	c, err := tls.Dial("tcp", s.Addr("imaps"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// TestNames shows each client the certificate that it asks for, the first one
// to all others, and takes up new files at SIGHUP; broken ones it tells of.
func TestNames(t *testing.T) {
	s := blackbox.NewServed(t)
	pair(t, s.Dir, "first", 100, "mx.example.test")
	pair(t, s.Dir, "second", 100, "mail.example.net", "*.example.org")
	s.Configure(`[tls]
cert_file = "first.pem"
key_file = "first-key.pem"
[[tls.certificates]]
cert_file = "second.pem"
key_file = "second-key.pem"
`, "imaps")
	s.Start()
	for name, want := range map[string]string{
		"": "first", "mx.example.test": "first", "unknown.example.com": "first", "mail.example.net": "second", "a.example.org": "second",
	} {
		if got := subject(t, s, name); got != want {
			t.Errorf("%q is shown %s", name, got)
		}
	}
	pair(t, s.Dir, "new", 100, "mail.example.net")
	for _, f := range []string{"", "-key"} {
		if err := os.Rename(filepath.Join(s.Dir, "new"+f+".pem"), filepath.Join(s.Dir, "second"+f+".pem")); err != nil {
			t.Fatal(err)
		}
	}
	s.Signal(syscall.SIGHUP)
	s.Hears("certificate.taken", "second.pem")
	if got := subject(t, s, "mail.example.net"); got != "new" {
		t.Errorf("after SIGHUP %s is shown", got)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "second.pem"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGHUP)
	s.Hears("certificate.refused", "second.pem")
	if got := subject(t, s, "mail.example.net"); got != "new" {
		t.Errorf("with a broken file %s is shown", got)
	}
	pair(t, s.Dir, "first", 5, "mx.example.test")
	s.Signal(syscall.SIGHUP)
	s.Hears("certificate.expires", "first.pem")
}

// TestCheck finds what clients would trip over before they do.
func TestCheck(t *testing.T) {
	s := blackbox.NewServed(t)
	pair(t, s.Dir, "good", 100, "mx.example.test")
	pair(t, s.Dir, "brief", 5, "mx.example.test")
	pair(t, s.Dir, "other", 100, "mail.example.net")
	for _, c := range []struct {
		cert, key string
		code      int
		says      string
	}{
		{"good", "good", 0, "signs itself"}, {"brief", "brief", 0, "good until"}, {"other", "other", 0, "no certificate is good for the host name"},
		{"good", "other", 1, "private key does not match"}, {"missing", "good", 1, "missing.pem"},
	} {
		s.Configure(fmt.Sprintf("[tls]\ncert_file = \"%s.pem\"\nkey_file = \"%s-key.pem\"\n", c.cert, c.key), "imaps")
		if code, out := s.Ekiden("check", "config"); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s with %s: %d %s", c.cert, c.key, code, out)
		}
	}
}

// TestWeb reads the page with curl, and is led there from http.
func TestWeb(t *testing.T) {
	blackbox.Need(t, "curl")
	s := blackbox.Start(t, blackbox.Options{})
	curl := func(args ...string) string {
		return blackbox.Run(t, t.TempDir(), "", "curl", append([]string{"-sS", "--cacert", s.CA, "--max-time", "20"}, args...)...)
	}
	if out := curl(s.Web, "-H", "Accept-Language: ja"); !strings.Contains(out, "メールサーバー") || !strings.Contains(out, s.Port("imaps")) {
		t.Errorf("in Japanese:\n%s", out)
	}
	if out := curl("-L", "http://"+s.Addr("http")+"/", "-w", "%{url_effective} %{http_version}"); !strings.Contains(out, "mail server") || !strings.HasSuffix(out, s.Web+" 2") {
		t.Errorf("by http:\n%s", out)
	}
	named := []string{"--resolve", s.Hostname + ":" + s.Port("https") + ":" + s.Bind, "https://" + net.JoinHostPort(s.Hostname, s.Port("https")) + "/"}
	if out := curl(append(named, "-I", "--http1.1")...); !strings.HasPrefix(out, "HTTP/1.1 200") || !strings.Contains(out, "Content-Security-Policy: default-src 'none'") {
		t.Errorf("by name:\n%s", out)
	}
	b, err := os.ReadFile(s.CA)
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(b) {
		t.Error("no authority")
	}
}

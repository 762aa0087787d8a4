// Package postfix exchanges mail with a Postfix.
package postfix

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const soon = 30 * time.Second

// peer is a running Postfix for p.test, with ptr@p.test in a Maildir.
type peer struct{ dir, addr string }

const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mx.p.test
myorigin = p.test
mydestination =
inet_interfaces = 127.0.0.1
smtp_bind_address = %[2]s
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
alias_maps =
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
transport_maps = inline:{ a.test=smtp:[%[3]s]:10025 }
virtual_mailbox_domains = p.test
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{ ptr@p.test=ptr/ }
virtual_uid_maps = static:%[4]s
virtual_gid_maps = static:%[5]s
virtual_minimum_uid = 1
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_chain_files = %[1]s/key.pem, %[1]s/cert.pem
smtp_tls_security_level = encrypt
smtp_tls_loglevel = 1
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
`

const masterCF = `%s:10025 inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// start runs a Postfix until the test ends. ekiden is where a.test is.
func start(t *testing.T, addr, ekiden string) *peer {
	t.Helper()
	dir, err := os.MkdirTemp("", "ekiden-postfix-") // short: there will be sockets in it
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{dir, addr}
	uid, gid := id(t, "-u"), id(t, "-g")
	for _, d := range []string{"etc", "queue", "data", "mail"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"data", "mail"} {
		blackbox.Run(t, dir, "", "chown", uid+":"+gid, filepath.Join(dir, d))
	}
	blackbox.Run(t, dir, "", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=mx.p.test", "-keyout", "key.pem", "-out", "cert.pem")
	for name, text := range map[string]string{
		"main.cf": fmt.Sprintf(mainCF, dir, addr, ekiden, uid, gid), "master.cf": fmt.Sprintf(masterCF, addr),
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("end of Postfix's log:\n%s", b[max(0, len(b)-8000):])
		}
		if out, err := exec.Command("postfix", "-c", filepath.Join(dir, "etc"), "stop").CombinedOutput(); err != nil {
			t.Errorf("Postfix did not stop: %v: %s", err, out)
		}
		_ = os.RemoveAll(dir)
	})
	if out, err := exec.Command("postfix", "-c", filepath.Join(dir, "etc"), "start").CombinedOutput(); err != nil {
		t.Fatalf("Postfix did not start: %v: %s", err, out)
	}
	blackbox.Eventually(t, soon, "Postfix listens", func() bool {
		c, err := blackbox.DialSMTP(p.addr+":10025", nil)
		if err == nil {
			c.Quit()
		}
		return err == nil
	})
	return p
}

func id(t *testing.T, what string) string {
	t.Helper()
	return strings.TrimSpace(blackbox.Run(t, "/", "", "id", what, "postfix"))
}

// waitFor waits for a message in ptr's Maildir.
func (p *peer) waitFor(t *testing.T, text string) string {
	t.Helper()
	var found string
	blackbox.Eventually(t, soon, fmt.Sprintf("%q in Postfix's Maildir", text), func() bool {
		files, _ := filepath.Glob(filepath.Join(p.dir, "mail", "ptr", "new", "*"))
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), text) {
				found = string(b)
				return true
			}
		}
		return false
	})
	return found
}

// send gives Postfix a message of ptr's.
func (p *peer) send(t *testing.T, to, body string) {
	t.Helper()
	c, err := blackbox.DialSMTP(p.addr+":10025", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	m := "From: ptr@p.test\r\nTo: " + to + "\r\nSubject: from Postfix\r\n\r\n" + body
	if err := c.Mail("ptr@p.test", []string{to}, []byte(m)); err != nil {
		t.Fatal(err)
	}
}

func TestPostfixBothWays(t *testing.T) {
	blackbox.Need(t, "postfix", "openssl")
	if os.Getuid() != 0 {
		blackbox.Missing(t, "root, which Postfix needs,")
	}
	addrP, addrA := blackbox.FreeAddress(t), blackbox.FreeAddress(t)
	d := blackbox.StartDNS(t, "p.test. 60 IN MX 10 mx.p.test.", "mx.p.test. 60 IN A "+addrP,
		"a.test. 60 IN MX 10 mx.a.test.", "mx.a.test. 60 IN A "+addrA)
	a := blackbox.Start(t, blackbox.Options{Domain: "a.test", Bind: addrA, PortBase: 10000,
		Args: []string{"--resolver", d.Addr, "--outbound-port", "10025", "--retry-first", "1s"}})
	p := start(t, addrP, addrA)

	c, err := blackbox.DialSMTP(a.Addr("submissions"), a.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if err := c.Login(a.Address("alice"), blackbox.Password); err != nil {
		t.Fatal(err)
	}
	body := "To Postfix.\r\n.\r\n..dots\r\nna\xc3\xafve\r\n" + strings.Repeat("A long line of text to send. ", 30) + "\r\n"
	for _, to := range []string{"ptr@p.test", "nobody@p.test"} {
		m := "From: alice@a.test\r\nTo: " + to + "\r\nSubject: from Ekiden\r\n\r\n" + body
		if err := c.Mail("alice@a.test", []string{to}, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	got := p.waitFor(t, "Subject: from Ekiden")
	if !strings.HasSuffix(got, "\n\n"+strings.ReplaceAll(body, "\r\n", "\n")) {
		t.Errorf("Postfix got %q", got)
	}
	if !strings.Contains(got, "TLSv1.") && !strings.Contains(got, "ESMTPS") {
		t.Errorf("not over TLS:\n%s", got)
	}
	bounce := string(a.WaitFor("alice", "INBOX", "Final-Recipient", soon))
	for _, want := range []string{"nobody@p.test", "Status: 5.1.1", "Remote-MTA: dns; mx.p.test"} {
		if !strings.Contains(bounce, want) {
			t.Errorf("the report has no %q:\n%s", want, bounce)
		}
	}

	p.send(t, "bob@a.test", body)
	if m := a.WaitFor("bob", "INBOX", "Subject: from Postfix", soon); !bytes.HasSuffix(m, []byte("\r\n\r\n"+body)) {
		t.Errorf("from Postfix came %q", m)
	} else if !bytes.Contains(m, []byte("with ESMTPS")) {
		t.Errorf("not over TLS:\n%s", m)
	}
	p.send(t, "missing@a.test", "To nobody.\r\n")
	if bounce := p.waitFor(t, "missing@a.test"); !strings.Contains(bounce, "550 5.1.1") {
		t.Errorf("Postfix's report does not show our words:\n%s", bounce)
	}
	successes(t, a, p, c)
}

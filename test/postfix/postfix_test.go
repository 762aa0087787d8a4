// Package postfix exchanges mail with a Postfix.
package postfix

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

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
relayhost = [%[3]s]:10025
sender_dependent_relayhost_maps = inline:{ alice@a.test=[%[3]s]:10587 }
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = scram-sha-256
smtp_sasl_password_maps = inline:{ { [%[3]s]:10587 = alice@a.test:%[6]s } }
virtual_mailbox_domains = p.test, poor.test
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{ ptr@p.test=ptr/, later@p.test=ptr/, ptr@poor.test=ptr/ }
smtpd_recipient_restrictions = check_recipient_access inline:{ { later@p.test = 450 4.2.1 not now } }
virtual_alias_domains =
virtual_alias_maps = inline:{ lost@p.test=missing@a.test }
virtual_uid_maps = static:%[4]s
virtual_gid_maps = static:%[5]s
virtual_minimum_uid = 1
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_chain_files = %[1]s/key.pem, %[1]s/cert.pem
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = mx.a.test
smtp_tls_CAfile = %[7]s
smtp_tls_loglevel = 1
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
`

const masterCF = `%s:10025 inet n - n - - smtpd
%s:10025 inet n - n - - smtpd -o smtpd_discard_ehlo_keywords=8bitmime,smtputf8,dsn,chunking,pipelining,size
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

// start runs a Postfix until the test ends, and gives the file of its log.
func start(t *testing.T) (p *blackbox.Peer, log string) {
	t.Helper()
	blackbox.Need(t, "postfix", "openssl")
	if os.Getuid() != 0 {
		blackbox.Missing(t, "root, which Postfix needs,")
	}
	dir, err := os.MkdirTemp("", "ekiden-postfix-") // short: there will be sockets in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p, ekiden := blackbox.NewPeer(t, "p.test")
	p.Maildir, p.UTF8, p.Later, p.Poor = filepath.Join(dir, "mail", "ptr"), true, true, "poor.test"
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
	p.Certificate(dir)
	ca, err := os.ReadFile(ekiden.CA)
	if err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(dir, "etc", "ca.pem")
	for name, text := range map[string]string{
		"main.cf":   fmt.Sprintf(mainCF, dir, p.Addr, ekiden.Bind, uid, gid, blackbox.Password, authority),
		"master.cf": fmt.Sprintf(masterCF, p.Addr, p.PoorAt), "ca.pem": string(ca),
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log = filepath.Join(dir, "log")
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(log)
			t.Logf("end of Postfix's log:\n%s", b[max(0, len(b)-8000):])
		}
		if out, err := exec.Command("postfix", "-c", filepath.Join(dir, "etc"), "stop").CombinedOutput(); err != nil {
			t.Errorf("Postfix did not stop: %v: %s", err, out)
		}
	})
	if out, err := exec.Command("postfix", "-c", filepath.Join(dir, "etc"), "start").CombinedOutput(); err != nil {
		t.Fatalf("Postfix did not start: %v: %s", err, out)
	}
	p.Await()
	return p, log
}

func id(t *testing.T, what string) string {
	t.Helper()
	return strings.TrimSpace(blackbox.Run(t, "/", "", "id", what, "postfix"))
}

func TestPostfix(t *testing.T) {
	t.Parallel()
	p, log := start(t)
	p.TryAll(t)
	p.TryForms(t)
	p.TryReturns(t)
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if want := "Verified TLS connection established to"; !strings.Contains(string(b), want) {
		t.Errorf("Postfix's log does not say %q:\n%s", want, b)
	}
}

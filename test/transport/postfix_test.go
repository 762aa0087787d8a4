package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// mainCF is for a directory and the domains of a Postfix that takes their mail and
// throws it away.
const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mx.postfix.test
mydestination = %[2]s
local_recipient_maps =
local_transport = discard:
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = %[1]s/etc/key.pem, %[1]s/etc/cert.pem
smtpd_tls_loglevel = 1
`

const masterCF = `%s:%d inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

// postfix runs a Postfix with a certificate for domains, and gives its log.
func (l *lab) postfix(c tls.Certificate, domains ...string) (log func() string) {
	blackbox.Need(l.t, "postfix")
	if os.Getuid() != 0 {
		blackbox.Missing(l.t, "root, which Postfix needs,")
	}
	at := blackbox.FreeAddress(l.t)
	for _, d := range domains {
		fmt.Fprintf(&l.zone, "%[1]s. 60 IN MX 10 mx.%[1]s.\nmx.%[1]s. 60 IN A %[2]s\n", d, at)
	}
	dir, err := os.MkdirTemp("", "ekiden-postfix-") // short: there will be sockets in it
	l.must(err)
	l.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	etc := filepath.Join(dir, "etc")
	for _, d := range []string{"etc", "queue", "data"} {
		l.must(os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	l.must(os.Chmod(dir, 0o755))
	blackbox.Run(l.t, dir, "", "chown", "postfix", filepath.Join(dir, "data"))
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	l.must(err)
	for name, b := range map[string][]byte{
		"main.cf":   fmt.Appendf(nil, mainCF, dir, strings.Join(domains, ", ")),
		"master.cf": fmt.Appendf(nil, masterCF, at, l.port),
		"key.pem":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"cert.pem":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
	} {
		l.must(os.WriteFile(filepath.Join(etc, name), b, 0o644))
	}
	log = func() string {
		b, _ := os.ReadFile(filepath.Join(dir, "log"))
		return string(b)
	}
	l.t.Cleanup(func() {
		if l.t.Failed() {
			l.t.Logf("Postfix:\n%.6000s", log())
		}
		if out, err := exec.Command("postfix", "-c", etc, "stop").CombinedOutput(); err != nil {
			l.t.Errorf("Postfix did not stop: %v: %s", err, out)
		}
	})
	if out, err := exec.Command("postfix", "-c", etc, "start").CombinedOutput(); err != nil {
		l.t.Fatalf("Postfix did not start: %v: %s", err, out)
	}
	return log
}

// TestPostfix: what a domain demands of the line to a Postfix, by signed TLSA records
// that name its key and others that do not, and by policies.
func TestPostfix(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.certificate("mx.goodsts.test", true)
	log := l.postfix(c, "dane.test", "mismatch.test", "goodsts.test", "badsts.test")
	l.tlsa("dane.test", c)
	l.tlsa("mismatch.test", l.certificate("x.test", false))
	l.sts("goodsts.test", "enforce", "mx.goodsts.test", 86400)
	l.sts("badsts.test", "enforce", "mx.badsts.test", 86400) // the certificate has another name
	l.resolve(func(zone string) string { return zone })
	s := l.ekiden()
	for domain, want := range map[string]string{
		"dane.test": "", "goodsts.test": "",
		"mismatch.test": "no TLSA record matches the server's certificate",
		"badsts.test":   "(MTA-STS): x509: certificate is valid for mx.goodsts.test, not mx.badsts.test",
	} {
		to := "ptr@" + domain
		taken := regexp.MustCompile(`to=<ptr@` + domain + `>.*status=sent`)
		l.send(s, "", to)
		blackbox.Eventually(t, soon, domain+" "+want, func() bool {
			if want == "" {
				return taken.MatchString(log())
			}
			reply, _ := l.waiting(s, to)
			return strings.HasPrefix(reply, "451 4.7.5 ") && strings.Contains(reply, want)
		})
		if want != "" && taken.MatchString(log()) {
			t.Errorf("%s was delivered", to)
		}
	}
	if n := strings.Count(log(), "TLS connection established from"); n < 2 {
		t.Errorf("%d connections over TLS", n)
	}
	if story := s.Command("trace", "ptr@dane.test"); !strings.Contains(story, "relayed") || !strings.Contains(story, "TLS") {
		t.Errorf("the history: %s", story)
	}
	s.NoPanics()
}

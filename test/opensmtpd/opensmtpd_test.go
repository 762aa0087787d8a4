// Package opensmtpd exchanges mail with an OpenSMTPD.
package opensmtpd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// config is for the address of OpenSMTPD and the password of alice. Its
// authorities are those of /etc/ssl/certs/ca-certificates.crt; /etc/hosts knows
// mx.a.test.
const config = `pki mx.o.test cert "/cert.pem"
pki mx.o.test key "/key.pem"
table moved { "lost@o.test" = "missing@a.test" }
table logins { ekiden = "alice@a.test:%[2]s" }
smtp max-message-size 20M
queue ttl 1h
listen on %[1]s port 10025 tls pki mx.o.test hostname mx.o.test
action "mailbox" maildir "/mail/%%{user.username}"
action "moved" maildir virtual <moved>
action "submission" relay host "smtp+tls://ekiden@mx.a.test:10587" auth <logins> tls helo "mx.o.test"
action "smtp" relay host "smtp+tls://mx.a.test:10025" tls helo "mx.o.test"
match from any for rcpt-to "lost@o.test" action "moved"
match from any for domain "o.test" action "mailbox"
match from any mail-from "alice@a.test" for any action "submission"
match from any for any action "smtp"
`

// start runs an OpenSMTPD until the test ends.
func start(t *testing.T) *blackbox.Peer {
	t.Helper()
	blackbox.Need(t, "openssl", "ldd")
	j := blackbox.NewJail(t, "opensmtpd", []string{"/usr/sbin/smtpd", "/usr/libexec/opensmtpd/mail.maildir", "/bin/sh"}, "opensmtpd", "opensmtpq", "ptr")
	p, ekiden := blackbox.NewPeer(t, "o.test")
	p.Maildir, p.Terse = filepath.Join(j.Dir, "mail/ptr"), true
	p.Clear = true // 6.8 loses its private key in OpenSSL 3: a chance to see mail arrive all the same (RFC 7435)
	ca, err := os.ReadFile(ekiden.CA)
	if err != nil {
		t.Fatal(err)
	}
	j.Write("etc/ssl/certs/ca-certificates.crt", string(ca), 0o644)
	j.Write("etc/hosts", "127.0.0.1 localhost\n"+ekiden.Bind+" mx.a.test\n", 0o644)
	j.Write("etc/mailname", "mx.o.test\n", 0o644)
	j.Write("etc/smtpd.conf", fmt.Sprintf(config, p.Addr, blackbox.Password), 0o644)
	p.Certificate(j.Dir)
	for _, dir := range []string{"var/lib/opensmtpd/empty", "var/run", "run", "var/spool"} {
		j.Mkdir(dir, "root", 0o755)
	}
	j.Mkdir("mail", "ptr", 0o755)
	j.Start("/usr/sbin/smtpd", "-d", "-v", "-f", "/etc/smtpd.conf")
	p.Await()
	return p
}

func TestOpenSMTPD(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.TryAll(t)
	p.TryForms(t)
	p.TryReturns(t)
}

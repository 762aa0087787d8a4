// Package exim exchanges mail with an Exim.
package exim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// config is for the address of Exim and the password of alice. Mail that goes to
// Ekiden is verified by the authority in /ca.pem; /etc/hosts knows mx.a.test.
const config = `primary_hostname = mx.e.test
domainlist local_domains = e.test
hostlist relay_from_hosts = 127.0.0.0/8
local_interfaces = <; [%[1]s]:10025
daemon_smtp_ports = 10025
keep_environment =
log_file_path = /var/log/%%slog
log_selector = +smtp_confirmation +tls_cipher +tls_certificate_verified +received_recipients
host_lookup =
recipient_unqualified_hosts =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = /cert.pem
tls_privatekey = /key.pem
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
message_size_limit = 20M
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
begin acl
rcpt:
  deny message = 5.1.1 No such mailbox
    domains = +local_domains
    ! local_parts = ptr : lost : later
  defer message = 4.2.1 Not now
    domains = +local_domains
    local_parts = later
  accept domains = +local_domains
  accept hosts = +relay_from_hosts
  deny message = 5.7.1 No relaying
begin routers
lost:
  driver = redirect
  domains = +local_domains
  local_parts = lost
  data = missing@a.test
submit:
  driver = manualroute
  domains = ! +local_domains
  senders = alice@a.test
  transport = submission
  route_list = * mx.a.test byname
  self = send
  no_more
out:
  driver = manualroute
  domains = ! +local_domains
  transport = smtp
  route_list = * mx.a.test byname
  self = send
  no_more
mailbox:
  driver = accept
  local_parts = ptr
  transport = maildir
begin transports
smtp:
  driver = smtp
  port = 10025
  hosts_require_tls = *
  tls_verify_certificates = /ca.pem
  tls_verify_hosts = *
submission:
  driver = smtp
  port = 10587
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_certificates = /ca.pem
  tls_verify_hosts = *
maildir:
  driver = appendfile
  directory = /mail/ptr
  maildir_format
  return_path_add
  user = mailer
  group = mailer
begin retry
* * F,1h,2s
begin rewrite
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^alice@a.test^%[2]s
`

// start runs an Exim until the test ends.
func start(t *testing.T) *blackbox.Peer {
	t.Helper()
	blackbox.Need(t, "openssl", "ldd")
	j := blackbox.NewJail(t, "exim4", []string{"/usr/sbin/exim4"}, "Debian-exim", "mailer")
	p, ekiden := blackbox.NewPeer(t, "e.test")
	p.Maildir, p.UTF8, p.Later = filepath.Join(j.Dir, "mail/ptr"), true, true
	ca, err := os.ReadFile(ekiden.CA)
	if err != nil {
		t.Fatal(err)
	}
	j.Write("ca.pem", string(ca), 0o644)
	j.Write("etc/hosts", "127.0.0.1 localhost\n"+ekiden.Bind+" mx.a.test\n", 0o644)
	j.Write("etc/exim4/exim4.conf", fmt.Sprintf(config, p.Addr, blackbox.Password), 0o644)
	p.Certificate(j.Dir)
	blackbox.Run(t, j.Dir, "", "chmod", "644", "key.pem")
	j.Mkdir("var/spool/exim4", "Debian-exim", 0o750)
	j.Mkdir("var/log", "Debian-exim", 0o750)
	j.Mkdir("mail", "mailer", 0o755)
	j.Log("var/log/mainlog")
	j.Log("var/log/paniclog")
	j.Start("/usr/sbin/exim4", "-bdf", "-q2s")
	p.Await()
	return p
}

func TestExim(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.TryAll(t)
	p.TryForms(t)
	p.TryReturns(t)
	b, err := os.ReadFile(filepath.Join(p.Maildir, "..", "..", "var", "log", "mainlog"))
	if err != nil {
		t.Fatal(err)
	}
	// K: by BDAT; CV=yes: the certificate was verified; A=plain: logged in.
	for _, want := range []string{" => bob@a.test ", " K ", " CV=yes", " A=plain"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("Exim's log does not say %q:\n%s", want, b)
		}
	}
}

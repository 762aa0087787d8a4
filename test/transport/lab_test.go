// Package transport sends mail to hosts whose domains demand something of the
// line: by DANE, with an unbound that validates a signed zone, and by MTA-STS.
package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const soon = 20 * time.Second

// lab is a signed zone "test.", a resolver that validates it, an authority, a web
// server with policies, and mail hosts on addresses of their own, all at one port.
type lab struct {
	t         *testing.T
	dir       string
	port      int // of mail hosts
	web       string
	webPort   int
	resolver  string
	anchor    string // file with the zone's digest
	zone      strings.Builder
	authority *x509.Certificate
	key       *ecdsa.PrivateKey

	mu       sync.Mutex
	policies map[string]string // by host
	fetched  map[string]int
}

func newLab(t *testing.T) *lab {
	blackbox.Need(t, "unbound", "ldns-keygen", "ldns-signzone")
	l := &lab{t: t, dir: t.TempDir(), policies: map[string]string{}, fetched: map[string]int{}}
	l.web = blackbox.FreeAddress(t)
	l.port, l.webPort = 10025, blackbox.FreePort(t, l.web) // where a demo listens, too
	l.zone.WriteString("test. 60 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 1\ntest. 60 IN NS ns.test.\nns.test. 60 IN A 127.0.0.1\n")
	l.key = newKey(t)
	l.authority = l.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "lab"}, IsCA: true, BasicConstraintsValid: true}, l.key, nil, l.key)
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.authority.Raw})
	l.must(os.WriteFile(l.path("ca.pem"), b, 0o600))
	l.serve()
	return l
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate, by itself if by is nil.
func (l *lab) sign(c *x509.Certificate, key *ecdsa.PrivateKey, by *x509.Certificate, byKey *ecdsa.PrivateKey) *x509.Certificate {
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
	l.must(err)
	out, err := x509.ParseCertificate(der)
	l.must(err)
	return out
}

// certificate is one by the lab's authority, or with good false by itself.
func (l *lab) certificate(host string, good bool) tls.Certificate {
	key := newKey(l.t)
	by, byKey := l.authority, l.key
	if !good {
		by, byKey = nil, key
	}
	c := l.sign(&x509.Certificate{DNSNames: []string{host}}, key, by, byKey)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

// serve answers for policies until the test ends.
func (l *lab) serve() {
	ln, err := net.Listen("tcp", net.JoinHostPort(l.web, strconv.Itoa(l.webPort)))
	l.must(err)
	s := &http.Server{
		ReadHeaderTimeout: time.Second,
		TLSConfig: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := l.certificate(h.ServerName, true)
			return &c, nil
		}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := strings.Cut(r.Host, ":")
			l.mu.Lock()
			defer l.mu.Unlock()
			l.fetched[host]++
			p, ok := l.policies[host]
			if !ok || r.URL.Path != "/.well-known/mta-sts.txt" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte(p))
		}),
	}
	done := make(chan struct{})
	go func() { _ = s.ServeTLS(ln, "", ""); close(done) }()
	l.t.Cleanup(func() { _ = s.Close(); <-done })
}

// host runs the mail host of a domain.
func (l *lab) host(domain string, c tls.Certificate) *blackbox.Sink {
	at := blackbox.FreeAddress(l.t)
	fmt.Fprintf(&l.zone, "%[1]s. 60 IN MX 10 mx.%[1]s.\nmx.%[1]s. 60 IN A %[2]s\n", domain, at)
	s := blackbox.StartSink(l.t, net.JoinHostPort(at, strconv.Itoa(l.port)), "", "")
	s.SetCertificate(c)
	return s
}

// tlsa publishes that the key of a certificate is the host's.
func (l *lab) tlsa(domain string, c tls.Certificate) {
	sum := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	fmt.Fprintf(&l.zone, "_%d._tcp.mx.%s. 60 IN TLSA 3 1 1 %x\n", l.port, domain, sum)
}

// sts publishes a policy.
func (l *lab) sts(domain, mode, mx string, age int) {
	fmt.Fprintf(&l.zone, "_mta-sts.%[1]s. 1 IN TXT \"v=STSv1; id=1;\"\nmta-sts.%[1]s. 60 IN A %[2]s\n", domain, l.web)
	l.mu.Lock()
	l.policies["mta-sts."+domain] = fmt.Sprintf("version: STSv1\nmode: %s\nmx: %s\nmax_age: %d\n", mode, mx, age)
	l.mu.Unlock()
}

// unpublish takes all policies away.
func (l *lab) unpublish() {
	l.mu.Lock()
	clear(l.policies)
	l.mu.Unlock()
}

// resolve signs the zone, lets forge change what was signed, and starts unbound.
func (l *lab) resolve(forge func(string) string) {
	l.must(os.WriteFile(l.path("zone"), []byte(l.zone.String()), 0o600))
	key := strings.TrimSpace(blackbox.Run(l.t, l.dir, "", "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "test."))
	blackbox.Run(l.t, l.dir, "", "ldns-signzone", "-f", "signed", "zone", key)
	l.anchor = l.path(key + ".ds")
	b, err := os.ReadFile(l.path("signed"))
	l.must(err)
	l.must(os.WriteFile(l.path("signed"), []byte(forge(string(b))), 0o600))
	at := blackbox.FreeAddress(l.t)
	port := blackbox.FreePort(l.t, at)
	l.resolver = net.JoinHostPort(at, strconv.Itoa(port))
	conf := fmt.Sprintf(`server:
	interface: %s@%d
	access-control: 127.0.0.0/8 allow
	chroot: ""
	username: ""
	pidfile: ""
	directory: %q
	use-syslog: no
	verbosity: 1
	do-daemonize: no
	num-threads: 1
	module-config: "validator iterator"
	trust-anchor-file: %q
	local-zone: "test." nodefault
remote-control:
	control-enable: no
auth-zone:
	name: "test."
	zonefile: "signed"
	for-upstream: yes
	for-downstream: no
	fallback-enabled: no
`, at, port, l.dir, l.anchor)
	l.must(os.WriteFile(l.path("unbound.conf"), []byte(conf), 0o600))
	log, err := os.Create(l.path("unbound.log"))
	l.must(err)
	cmd := exec.Command("unbound", "-d", "-c", l.path("unbound.conf"))
	cmd.Stdout, cmd.Stderr = log, log
	l.must(cmd.Start())
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if b, _ := os.ReadFile(l.path("unbound.log")); l.t.Failed() {
			l.t.Logf("unbound:\n%.3000s", b)
		}
	})
	blackbox.Eventually(l.t, soon, "unbound answers", func() bool {
		c, err := net.Dial("tcp", l.resolver)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// ekiden starts a server in the lab.
func (l *lab) ekiden() *blackbox.Server {
	return blackbox.Start(l.t, blackbox.Options{Domain: "a.example", Args: []string{
		"--resolver", l.resolver, "--trust-anchor", l.anchor, "--outbound-port", strconv.Itoa(l.port), "--outbound-https-port", strconv.Itoa(l.webPort),
		"--trust-ca", l.path("ca.pem"), "--retry-first", "1s",
	}})
}

// other starts another Ekiden, whose authority the zone vouches for.
func (l *lab) other(domain string) *blackbox.Server {
	s := blackbox.Start(l.t, blackbox.Options{Domain: domain})
	b, err := os.ReadFile(s.CA)
	l.must(err)
	block, _ := pem.Decode(b)
	fmt.Fprintf(&l.zone, "%[1]s. 60 IN MX 10 mx.%[1]s.\nmx.%[1]s. 60 IN A %[2]s\n_%[3]d._tcp.mx.%[1]s. 60 IN TLSA 2 0 0 %[4]s\n",
		domain, s.Bind, l.port, hex.EncodeToString(block.Bytes))
	return s
}

// login opens a session as alice.
func (l *lab) login(s *blackbox.Server) *blackbox.SMTP {
	l.t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("submission"), nil)
	l.must(err)
	code, text, err := c.Do("STARTTLS")
	if code != 220 {
		l.t.Fatal(code, text, err)
	}
	l.must(c.StartTLS(s.TLS()))
	if _, _, err := c.Do("EHLO laptop.test"); err != nil {
		l.t.Fatal(err)
	}
	l.must(c.Login(s.Address("alice"), blackbox.Password))
	return c
}

// send submits a message, with more header fields.
func (l *lab) send(s *blackbox.Server, header string, to ...string) {
	l.t.Helper()
	c := l.login(s)
	defer c.Quit()
	l.must(c.Mail(s.Address("alice"), to, []byte(header+"From: "+s.Address("alice")+"\r\nSubject: lab\r\n\r\nhello\r\n")))
}

// waiting gives what the queue says of a recipient: "" if nothing waits.
func (l *lab) waiting(s *blackbox.Server, to string) (reply string, attempts int) {
	l.t.Helper()
	var q struct {
		Items []struct {
			Attempts  int    `json:"attempts"`
			LastReply string `json:"last_reply"`
		} `json:"items"`
	}
	l.must(json.Unmarshal([]byte(s.Command("queue", "list", "--json", "--recipient", to)), &q))
	if len(q.Items) == 0 {
		return "", 0
	}
	return q.Items[0].LastReply, q.Items[0].Attempts
}

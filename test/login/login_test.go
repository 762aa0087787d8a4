// Package login lets real programs log in, by every mechanism that they have.
package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// pair writes a certificate and its key into dir; signed by itself without ca.
func pair(t *testing.T, dir, name string, c *x509.Certificate, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Subject.CommonName = name
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if ca == nil {
		ca, caKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issuer makes access tokens.
type issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T, dir string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out any = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}}}
		if strings.HasSuffix(r.URL.Path, "openid-configuration") {
			out = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(i.Close)
	write(t, filepath.Join(dir, "issuer.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})))
	return i
}

func (i *issuer) token(t *testing.T, address string, lives time.Duration) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(map[string]any{"iss": i.URL, "aud": "ekiden", "exp": time.Now().Add(lives).Unix(), "email": address}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// world is a server with all its neighbours.
type world struct {
	*blackbox.Served
	t      *testing.T
	dir    string
	issuer *issuer
	ca     string // that the server's certificate is trusted by
}

const people = `dn: dc=example,dc=test
objectClass: domain
dc: example

dn: uid=carol,dc=example,dc=test
objectClass: inetOrgPerson
uid: carol
cn: Carol
sn: Carol
mail: carol@away.test
userPassword: pencil
`

// slapd runs OpenLDAP's server on loopback and gives its URL.
func slapd(t *testing.T, dir, bind string) string {
	t.Helper()
	path := "/usr/sbin/slapd"
	if _, err := os.Stat(path); err != nil {
		blackbox.Missing(t, "slapd")
	}
	base := filepath.Join(dir, "slapd")
	if err := os.MkdirAll(filepath.Join(base, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := write(t, filepath.Join(base, "slapd.conf"), fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
maxsize 10485760
suffix dc=example,dc=test
directory %s/db
access to attrs=userPassword by anonymous auth by * none
access to * by * read
`, base))
	ldif := write(t, filepath.Join(base, "people.ldif"), people)
	if out, err := exec.Command(path, "-T", "add", "-f", conf, "-l", ldif).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	url := fmt.Sprintf("ldap://%s:%d", bind, blackbox.FreePort(t, bind))
	cmd := exec.Command(path, "-d", "0", "-f", conf, "-h", url+"/")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return url
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Served: blackbox.NewServed(t), t: t, dir: t.TempDir()}
	w.issuer = newIssuer(t, w.dir)
	w.ca = filepath.Join(w.dir, "ca.pem")
	ca, key := pair(t, w.dir, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	pair(t, w.dir, "server", &x509.Certificate{DNSNames: []string{"mx.example.test"}, IPAddresses: []net.IP{net.ParseIP(w.Bind)}}, ca, key)
	pair(t, w.dir, "alice", &x509.Certificate{EmailAddresses: []string{"alice@example.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ca, key)
	w.Configure(fmt.Sprintf(`
[tls]
cert_file = "%[1]s/server.pem"
key_file = "%[1]s/server.key"
[auth]
scram = ["SHA-1", "SHA-256", "SHA-512"]
scram_iterations = 10000
channel_binding = true
client_ca_file = "%[1]s/ca.pem"
[oauth]
issuer = "%[2]s"
audience = "ekiden"
trust_ca_file = "%[1]s/issuer.pem"
[ldap]
url = "%[3]s"
domains = ["away.test"]
base = "dc=example,dc=test"
`, w.dir, w.issuer.URL, slapd(t, w.dir, w.Bind)), "smtp", "submission", "imap", "imaps", "pop3s")
	w.Start()
	w.ekiden("domain", "add", "example.test")
	w.ekiden("domain", "add", "away.test")
	w.ekiden("account", "add", "alice@example.test", "--password-stdin")
	return w
}

// ekiden runs a command, with alice's password on its standard input.
func (w *world) ekiden(args ...string) string {
	w.t.Helper()
	return blackbox.Run(w.t, w.dir, "pencil\n", blackbox.Binary(w.t), append(args, "-c", w.Config())...)
}

// curl tries to come in by a protocol and says whether it did.
func (w *world) curl(door string, args ...string) bool {
	w.t.Helper()
	url := fmt.Sprintf("%s://mx.example.test:%d", door, w.Port(door))
	all := append([]string{"-sS", "-m", "30", "--cacert", w.ca, "--resolve", fmt.Sprintf("mx.example.test:%d:%s", w.Port(door), w.Bind), url}, args...)
	out, err := blackbox.Try(w.t, w.dir, "", "curl", all...)
	if err != nil {
		w.t.Logf("curl %v: %v\n%s", args, err, out)
	}
	return err == nil
}

func TestCurl(t *testing.T) {
	blackbox.Need(t, "curl")
	w := newWorld(t)
	app := w.ekiden("account", "app-password", "add", "alice@example.test", "phone", "--for", "imap")
	_, app, _ = strings.Cut(strings.TrimSpace(app), "password: ")
	good, old := w.issuer.token(t, "alice@example.test", time.Hour), w.issuer.token(t, "alice@example.test", -time.Hour)
	cert := []string{"--cert", w.dir + "/alice.pem", "--key", w.dir + "/alice.key"}
	alice := []string{"-u", "alice@example.test:pencil"}
	for _, c := range []struct {
		name string
		door string
		args []string
		ok   bool
	}{
		{"PLAIN", "imaps", append(alice, "--login-options", "AUTH=PLAIN"), true},
		{"LOGIN", "pop3s", append(alice, "--login-options", "AUTH=LOGIN"), true},
		{"an app password", "imaps", []string{"-u", "alice@example.test:" + app}, true},
		{"an app password for another door", "pop3s", []string{"-u", "alice@example.test:" + app}, false},
		{"OAUTHBEARER", "imaps", []string{"-u", "alice@example.test", "--oauth2-bearer", good, "--login-options", "AUTH=OAUTHBEARER"}, true},
		{"OAUTHBEARER at POP3", "pop3s", []string{"-u", "alice@example.test", "--oauth2-bearer", good, "--login-options", "AUTH=OAUTHBEARER"}, true},
		{"XOAUTH2", "imaps", []string{"-u", "alice@example.test", "--oauth2-bearer", good, "--login-options", "AUTH=XOAUTH2"}, true},
		{"a token of old", "imaps", []string{"-u", "alice@example.test", "--oauth2-bearer", old, "--login-options", "AUTH=OAUTHBEARER"}, false},
		{"another's token", "imaps", []string{"-u", "bob@example.test", "--oauth2-bearer", good, "--login-options", "AUTH=XOAUTH2"}, false},
		{"EXTERNAL", "imaps", append(cert, "-u", "alice@example.test:", "--login-options", "AUTH=EXTERNAL"), true},
		{"EXTERNAL at POP3", "pop3s", append(cert, "-u", "alice@example.test:", "--login-options", "AUTH=EXTERNAL"), true},
		{"EXTERNAL as another", "imaps", append(cert, "-u", "bob@example.test:", "--login-options", "AUTH=EXTERNAL"), false},
		{"LDAP, for the first time", "imaps", []string{"-u", "carol@away.test:pencil"}, true},
		{"LDAP, wrong", "imaps", []string{"-u", "carol@away.test:chalk"}, false},
	} {
		if got := w.curl(c.door, c.args...); got != c.ok {
			t.Errorf("%s: came in: %v", c.name, got)
		}
	}
}

// TestUnknownInLDAP sees mail for somebody whom LDAP alone knows.
func TestUnknownInLDAP(t *testing.T) {
	w := newWorld(t)
	c, err := blackbox.DialSMTP(w.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	for _, line := range []string{"EHLO client.test", "MAIL FROM:<a@elsewhere.test>"} {
		if code, text, err := c.Do(line); code != 250 || err != nil {
			t.Fatal(line, code, text, err)
		}
	}
	for to, want := range map[string]int{"carol@away.test": 250, "carol+news@away.test": 250, "dave@away.test": 550} {
		if code, text, err := c.Do("RCPT TO:<" + to + ">"); code != want || err != nil {
			t.Errorf("%s: %d %s, %v", to, code, text, err)
		}
	}
}

func TestMsmtpMechanisms(t *testing.T) {
	blackbox.Need(t, "msmtp")
	w := newWorld(t)
	write(t, filepath.Join(w.dir, "token"), w.issuer.token(t, "alice@example.test", time.Hour))
	features := blackbox.Run(t, w.dir, "", "msmtp", "--version")
	for _, c := range []struct{ auth, more string }{
		{"plain", `password "pencil"`}, {"login", `password "pencil"`}, {"scram-sha-1", `password "pencil"`}, {"scram-sha-256", `password "pencil"`},
		{"oauthbearer", `passwordeval "cat ` + w.dir + `/token"`}, {"xoauth2", `passwordeval "cat ` + w.dir + `/token"`},
		{"external", "tls_cert_file " + w.dir + "/alice.pem\ntls_key_file " + w.dir + "/alice.key"},
	} {
		if !strings.Contains(features, c.auth) {
			t.Logf("this msmtp has no %s", c.auth)
			continue
		}
		rc := write(t, filepath.Join(w.dir, "msmtprc"), fmt.Sprintf(
			"account default\nhost %s\nport %d\ntls on\ntls_starttls on\ntls_trust_file %s\ntls_host_override mx.example.test\nauth %s\nuser alice@example.test\nfrom alice@example.test\n%s\n",
			w.Bind, w.Port("submission"), w.ca, c.auth, c.more))
		out, err := blackbox.Try(t, w.dir, "Subject: by "+c.auth+"\n\nHello.\n", "msmtp", "-C", rc, "alice@example.test")
		if err != nil {
			t.Errorf("%s: %v\n%s", c.auth, err, out)
		}
		w.Hears("login.accepted", "mechanism="+strings.ToUpper(c.auth))
	}
}

// TestBound has GNU SASL bind SCRAM to the connection: by tls-exporter on
// TLS 1.3, by tls-unique before it.
func TestBound(t *testing.T) {
	blackbox.Need(t, "gsasl")
	w := newWorld(t)
	for _, priority := range []string{"NORMAL", "NORMAL:-VERS-TLS1.3"} {
		for mechanism, password := range map[string]string{"SCRAM-SHA-256-PLUS": "pencil", "SCRAM-SHA-1-PLUS": "chalk"} {
			out, err := blackbox.Try(t, w.dir, "", "gsasl", "--imap", "--connect", w.Addr("imap"), "--starttls", "--priority", priority,
				"--x509-ca-file", w.ca, "--authentication-id", "alice@example.test", "--password", password, "--mechanism", mechanism)
			if (err == nil) != (password == "pencil") {
				t.Errorf("%s with %s and %s: %v\n%s", mechanism, priority, password, err, out)
			}
		}
	}
	w.Hears("login.accepted", "mechanism=SCRAM-SHA-256-PLUS")
	w.Hears("login.failed", "mechanism=SCRAM-SHA-1-PLUS", "wrong password")
}

func TestMbsyncMechanisms(t *testing.T) {
	blackbox.Need(t, "mbsync")
	w := newWorld(t)
	for _, mechanism := range []string{"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		box := filepath.Join(w.dir, mechanism)
		if err := os.Mkdir(box, 0o700); err != nil {
			t.Fatal(err)
		}
		rc := write(t, filepath.Join(w.dir, "mbsyncrc"), fmt.Sprintf(`IMAPAccount a
Host %s
Port %d
User alice@example.test
Pass pencil
SSLType IMAPS
CertificateFile %s
AuthMechs %s

IMAPStore far
Account a

MaildirStore near
Path %s/
Inbox %s/INBOX

Channel c
Far :far:
Near :near:
Patterns INBOX
Create Near
`, w.Bind, w.Port("imaps"), w.dir+"/server.pem", mechanism, box, box))
		out, err := blackbox.Try(t, w.dir, "", "mbsync", "-c", rc, "c")
		if err != nil {
			t.Errorf("%s: %v\n%s", mechanism, err, out)
		}
	}
}
